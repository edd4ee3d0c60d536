// SPDX-License-Identifier: MIT
// BC-197: releasing a push lock that nobody owns
#include "broken.h"

#include <lkddk.h>

BREAK
{
    static EX_PUSH_LOCK Lock;

    ExInitializePushLock(&Lock);
    KeEnterCriticalRegion();
    Expect(0xC4, 0x1007, (ULONG_PTR)&Lock, 0, 0);
    ExReleasePushLockExclusive(&Lock);
    return STATUS_SUCCESS;
}
