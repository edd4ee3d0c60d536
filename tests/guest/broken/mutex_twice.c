// SPDX-License-Identifier: MIT
// BC-191: acquiring a fast mutex that the thread owns
#include "broken.h"

BREAK
{
    static FAST_MUTEX Mutex;

    ExInitializeFastMutex(&Mutex);
    ExAcquireFastMutex(&Mutex);
    Expect(0xC4, 0x1000, (ULONG_PTR)&Mutex, 0, 0);
    ExAcquireFastMutex(&Mutex);
    return STATUS_SUCCESS;
}
