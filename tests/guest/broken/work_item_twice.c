// SPDX-License-Identifier: MIT
// BC-188: queueing a work item that is queued
#include "broken.h"

static VOID NTAPI Nothing(PDEVICE_OBJECT Object, PVOID Context)
{
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(Context);
}

BREAK
{
    PIO_WORKITEM Items[64];
    KIRQL OldIrql;

    for (ULONG i = 0; i < 64; i++)
        Items[i] = IoAllocateWorkItem((PDEVICE_OBJECT)Items);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG i = 0; i < 64; i++) // more than there are threads to take them meanwhile
        IoQueueWorkItem(Items[i], Nothing, DelayedWorkQueue, NULL);
    Expect(0xE4, 1, (ULONG_PTR)Items[63], IN_DRIVER, 0);
    IoQueueWorkItem(Items[63], Nothing, DelayedWorkQueue, NULL);
    return STATUS_SUCCESS;
}
