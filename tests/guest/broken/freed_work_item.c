// SPDX-License-Identifier: MIT
// PL-115: freeing pool memory that holds a work item that is queued
// Options: --checked
#include "broken.h"

static VOID NTAPI Nothing(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
}

BREAK
{
    PWORK_QUEUE_ITEM Items = ExAllocatePoolWithTag(NonPagedPool, 64 * sizeof(*Items), 'korB');
    KIRQL OldIrql;

    // More than there can be threads to take them meanwhile.
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG i = 0; i < 64; i++) {
        ExInitializeWorkItem(&Items[i], Nothing, NULL);
        ExQueueWorkItem(&Items[i], DelayedWorkQueue);
    }
    Expect(0xE4, 0, ANYTHING, ANYTHING, ANYTHING);
    ExFreePoolWithTag(Items, 'korB');
    return STATUS_SUCCESS;
}
