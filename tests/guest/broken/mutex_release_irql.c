// SPDX-License-Identifier: MIT
// BC-130: releasing a fast mutex at PASSIVE_LEVEL
#include "broken.h"

BREAK
{
    static FAST_MUTEX Mutex;

    ExInitializeFastMutex(&Mutex);
    ExAcquireFastMutex(&Mutex);
    KeLowerIrql(PASSIVE_LEVEL);
    Expect(0xC4, 0x34, PASSIVE_LEVEL, (ULONG_PTR)&Mutex, 0);
    ExReleaseFastMutex(&Mutex);
    return STATUS_SUCCESS;
}
