// SPDX-License-Identifier: MIT
// IR-51: freeing pool memory that holds a DPC that is queued
// Options: --checked
#include "broken.h"

static VOID NTAPI Nothing(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

BREAK
{
    PKDPC Dpc = ExAllocatePoolWithTag(NonPagedPool, sizeof(*Dpc), 'korB');
    KIRQL OldIrql;

    KeInitializeDpc(Dpc, Nothing, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeInsertQueueDpc(Dpc, NULL, NULL);
    Expect(0xC7, 1, (ULONG_PTR)Dpc, ANYTHING, ANYTHING);
    ExFreePoolWithTag(Dpc, 'korB');
    return STATUS_SUCCESS;
}
