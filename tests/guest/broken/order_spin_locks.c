// SPDX-License-Identifier: MIT
// BC-192: two spin locks acquired in one order and then in the other
// Options: --checked
// Says: is acquired while
// Says: which had it since
#include "broken.h"

static KSPIN_LOCK First, Second;

static VOID Both(PKSPIN_LOCK One, PKSPIN_LOCK Other)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(One, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(Other);
    KeReleaseSpinLockFromDpcLevel(Other);
    KeReleaseSpinLock(One, OldIrql);
}

BREAK
{
    KeInitializeSpinLock(&First);
    KeInitializeSpinLock(&Second);
    Both(&First, &Second);
    Both(&First, &Second);
    Expect(0xC4, 0x1001, (ULONG_PTR)&First, (ULONG_PTR)&Second, 0);
    Both(&Second, &First);
    return STATUS_SUCCESS;
}
