// SPDX-License-Identifier: MIT
// BC-130: acquiring a fast mutex at DISPATCH_LEVEL
#include "broken.h"

BREAK
{
    static FAST_MUTEX Mutex;
    KIRQL OldIrql;

    ExInitializeFastMutex(&Mutex);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Expect(0xC4, 0x33, DISPATCH_LEVEL, (ULONG_PTR)&Mutex, 0);
    ExAcquireFastMutex(&Mutex);
    return STATUS_SUCCESS;
}
