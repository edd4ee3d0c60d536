// SPDX-License-Identifier: MIT
// IR-71: acquiring an in-stack queued spin lock that this processor holds.
// Options: --smp 2
#include "broken.h"

BREAK
{
    KLOCK_QUEUE_HANDLE First, Second;
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    KeAcquireInStackQueuedSpinLock(&Lock, &First);
    Expect(0x0F, (ULONG_PTR)&Lock, ANYTHING, 0, ANYTHING);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Lock, &Second);
    return STATUS_SUCCESS;
}
