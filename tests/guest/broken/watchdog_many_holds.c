// SPDX-License-Identifier: MIT
// IR-30: DISPATCH_LEVEL held again and again, each time for less than the limit, is no mistake
// Status: 0
// Options: --options /DPCWATCHDOG=100
// Says: held it again and again
#include "broken.h"

#define TICK 156250u // 100 ns units

// Every clock tick but few finds DISPATCH_LEVEL: what is between two holds is some instructions.
BREAK
{
    ULONG64 End = KeQueryInterruptTime() + 64 * TICK, Until;
    KIRQL OldIrql;

    while (KeQueryInterruptTime() < End) {
        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        Until = KeQueryInterruptTime() + 2 * TICK;
        while (KeQueryInterruptTime() < Until)
            YieldProcessor();
        KeLowerIrql(OldIrql);
    }
    DbgPrint("held it again and again\n");
    return STATUS_SUCCESS;
}
