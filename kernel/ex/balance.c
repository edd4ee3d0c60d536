// SPDX-License-Identifier: MIT
// What is done once a second: starved threads get a turn, worker threads are added, lookaside lists
// get their depths, pool pages that a burst left empty go back.
#include "exp.h"
#include "rtl.h"

#define PERIOD_MS 1000

VOID NTAPI ExpBalanceThread(PVOID Context)
{
    LARGE_INTEGER First = {.QuadPart = -10000LL * PERIOD_MS};
    KTIMER Timer;

    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    KeSetTimerEx(&Timer, First, PERIOD_MS, NULL);
    for (;;) {
        KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, NULL);
        KeRelieveStarvation();
        ExpAdjustWorkers();
        ExAdjustLookasideDepth();
        ExTrimPool();
    }
}
