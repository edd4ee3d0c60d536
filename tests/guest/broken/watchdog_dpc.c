// SPDX-License-Identifier: MIT
// IR-30: a DPC that does not end
// Options: --options /DPCWATCHDOG=100
// Says: A DPC has run for more than
// Says: Spin
#include "broken.h"

static VOID NTAPI Spin(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    for (;;)
        YieldProcessor();
}

BREAK
{
    static KDPC Dpc;

    KeInitializeDpc(&Dpc, Spin, NULL);
    Expect(0x133, 0, ANYTHING, ANYTHING, 0);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    return STATUS_SUCCESS;
}
