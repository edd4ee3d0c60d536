// SPDX-License-Identifier: MIT
// ST-04: a DPC routine that recurses for ever runs into the guard page of the DPC stack.
// Says: The DPC stack overflowed
#include "broken.h"

static ULONG Recurse(volatile ULONG *Depth)
{
    volatile ULONG Deeper = *Depth + 1;
    return Deeper == 0 ? 0 : Recurse(&Deeper) + *Depth;
}

static VOID NTAPI Routine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    volatile ULONG Depth = 0;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Recurse(&Depth);
}

BREAK
{
    KDPC Dpc;

    KeInitializeDpc(&Dpc, Routine, NULL);
    Expect(0x7F, 8, ANYTHING, ANYTHING, ANYTHING);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    return STATUS_SUCCESS;
}
