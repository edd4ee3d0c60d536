// SPDX-License-Identifier: MIT
// IR-27: a DPC routine that returns at another IRQL than it was called at.
#include "broken.h"

static VOID NTAPI Routine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeRaiseIrql(DISPATCH_LEVEL + 1, &OldIrql);
}

BREAK
{
    KDPC Dpc;

    KeInitializeDpc(&Dpc, Routine, &Dpc);
    Expect(0xC8, (DISPATCH_LEVEL + 1) << 16 | DISPATCH_LEVEL << 8 | 2, (ULONG_PTR)Routine,
           (ULONG_PTR)&Dpc, 0);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    return STATUS_SUCCESS;
}
