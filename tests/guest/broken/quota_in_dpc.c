// SPDX-License-Identifier: MIT
// BC-183: quota charged in a DPC, to whose process ever was interrupted
// Options: --verifier=8
#include "broken.h"

static VOID NTAPI Charge(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    ExFreePool(ExAllocatePoolWithQuotaTag(NonPagedPool, 100, 'korB'));
}

BREAK
{
    static KDPC Dpc;

    KeInitializeDpc(&Dpc, Charge, NULL);
    Expect(0xC4, 0x10B, 0, 0, 0);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    return STATUS_SUCCESS;
}
