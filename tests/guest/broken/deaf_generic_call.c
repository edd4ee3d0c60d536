// SPDX-License-Identifier: MIT
// A processor at HIGH_LEVEL without end, while another calls all of them together
// Options: --smp 2 --options "/CLOCKWATCHDOG=2"
// Says: Processor 1 has not answered
// Says: Processor 1, IRQL
#include "deaf.h"

static ULONG_PTR NTAPI Nothing(ULONG_PTR Argument)
{
    return Argument;
}

static VOID NTAPI RaiseForEver(VOID)
{
    KIRQL OldIrql;

    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
}

BREAK
{
    MakeProcessorDeaf(RaiseForEver);
    for (;;)
        KeIpiGenericCall(Nothing, 0);
    return STATUS_SUCCESS;
}
