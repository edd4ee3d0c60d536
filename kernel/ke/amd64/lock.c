// SPDX-License-Identifier: MIT
// amd64: the spin lock routines under the names that drivers import here.
#include "../ki.h"

// KeAcquireSpinLockRaiseToDpc: raises to DISPATCH_LEVEL and takes the lock. Returns the IRQL
// before.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED, IRQL_NOT_GREATER_OR_EQUAL.
// Source: WDK wdm.h, KeAcquireSpinLock. Defined in spinlock.S.
KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock);
EXPORT(KeAcquireSpinLockRaiseToDpc, DISPATCH_LEVEL, "WDK wdm.h KeAcquireSpinLock");

// KeReleaseSpinLock: releases the lock, back to NewIrql.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED.
// Source: WDK wdm.h, KeReleaseSpinLock. Defined in spinlock.S.
VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
EXPORT(KeReleaseSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeReleaseSpinLock");

// KeAcquireSpinLockRaiseToSynch: the same at SYNCH_LEVEL.
// IRQL: <= SYNCH_LEVEL. Source: WDK ntifs.h, KeAcquireSpinLockRaiseToSynch.
KIRQL NTAPI KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock);
KIRQL NTAPI KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(SYNCH_LEVEL);
    KiTakeLock(SpinLock);
    return OldIrql;
}
EXPORT(KeAcquireSpinLockRaiseToSynch, SYNCH_LEVEL, "WDK ntifs.h KeAcquireSpinLockRaiseToSynch");

// KeAcquireSpinLockAtDpcLevel: takes the lock where the IRQL is high enough already.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED.
// Source: WDK wdm.h, KeAcquireSpinLockAtDpcLevel.
VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiTakeLock(SpinLock);
}
EXPORT(KeAcquireSpinLockAtDpcLevel, EXPORT_ANY_IRQL, "WDK wdm.h KeAcquireSpinLockAtDpcLevel");

// KeReleaseSpinLockFromDpcLevel: releases it; the IRQL stays.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED.
// Source: WDK wdm.h, KeReleaseSpinLockFromDpcLevel.
VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);
VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiDropLock(SpinLock);
}
EXPORT(KeReleaseSpinLockFromDpcLevel, EXPORT_ANY_IRQL, "WDK wdm.h KeReleaseSpinLockFromDpcLevel");
