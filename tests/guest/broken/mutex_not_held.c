// SPDX-License-Identifier: MIT
// BC-197: releasing a guarded mutex that nobody owns
#include "broken.h"

BREAK
{
    static KGUARDED_MUTEX Mutex;

    KeInitializeGuardedMutex(&Mutex);
    Expect(0xC4, 0x1007, (ULONG_PTR)&Mutex, 0, 0);
    KeReleaseGuardedMutex(&Mutex);
    return STATUS_SUCCESS;
}
