// SPDX-License-Identifier: MIT
// IR-71: acquiring a spin lock that this processor holds.
#include "broken.h"

BREAK
{
    KSPIN_LOCK Lock;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &OldIrql);
    Expect(0x0F, (ULONG_PTR)&Lock, ANYTHING, 0, IN_DRIVER);
    KeAcquireSpinLockAtDpcLevel(&Lock);
    return STATUS_SUCCESS;
}
