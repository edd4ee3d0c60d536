// SPDX-License-Identifier: MIT
// amd64: the spin lock routines under the names that drivers import here.
#include "../ki.h"

// KeAcquireSpinLockRaiseToDpc: raises to DISPATCH_LEVEL and takes the lock. Returns the IRQL
// before.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED, IRQL_NOT_GREATER_OR_EQUAL.
// Source: WDK wdm.h, KeAcquireSpinLock. In spinlock.S, free build.
KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock);
EXPORT(KeAcquireSpinLockRaiseToDpc, DISPATCH_LEVEL, "WDK wdm.h KeAcquireSpinLock");

// KeReleaseSpinLock: releases the lock, back to NewIrql.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED.
// Source: WDK wdm.h, KeReleaseSpinLock. In spinlock.S, free build.
VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
EXPORT(KeReleaseSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeReleaseSpinLock");

#if KE_WATCHES
KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiTakeWatched(SpinLock);
    return OldIrql;
}

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    KiDropWatched(SpinLock);
    KiLowerIrqlChecked(NewIrql);
}
#endif
