// SPDX-License-Identifier: MIT
// IR-72: releasing a spin lock that nobody holds.
#include "broken.h"

BREAK
{
    KSPIN_LOCK Lock;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &OldIrql);
    KeReleaseSpinLock(&Lock, DISPATCH_LEVEL);
    Expect(0x10, (ULONG_PTR)&Lock, 0, 0, IN_DRIVER);
    KeReleaseSpinLock(&Lock, OldIrql);
    return STATUS_SUCCESS;
}
