// SPDX-License-Identifier: MIT
// i386: the spin lock routines under the names that drivers import here, from HAL.dll (Kf..., and
// the stdcall forms of old headers) and ntoskrnl.exe (Kef..., Ki...).
#include "../ki.h"

// KfAcquireSpinLock: raises to DISPATCH_LEVEL and takes the lock. Returns the IRQL before.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED, IRQL_NOT_GREATER_OR_EQUAL.
// Source: WDK wdm.h, KeAcquireSpinLock. Defined in spinlock.S.
KIRQL FASTCALL KfAcquireSpinLock(PKSPIN_LOCK SpinLock);
EXPORT(KfAcquireSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeAcquireSpinLock");

// KfReleaseSpinLock: releases the lock, back to NewIrql.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED.
// Source: WDK wdm.h, KeReleaseSpinLock. Defined in spinlock.S.
VOID FASTCALL KfReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
EXPORT(KfReleaseSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeReleaseSpinLock");

// KeAcquireSpinLock: as KfAcquireSpinLock; *OldIrql receives the IRQL before.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeAcquireSpinLock.
VOID NTAPI KeAcquireSpinLock(PKSPIN_LOCK SpinLock, PKIRQL OldIrql);
VOID NTAPI KeAcquireSpinLock(PKSPIN_LOCK SpinLock, PKIRQL OldIrql)
{
    KIRQL Irql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiTakeLock(SpinLock);
    *OldIrql = Irql;
}
EXPORT(KeAcquireSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeAcquireSpinLock");

// KeReleaseSpinLock: as KfReleaseSpinLock.
// IRQL: DISPATCH_LEVEL. Source: WDK wdm.h, KeReleaseSpinLock.
VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    KiDropLock(SpinLock);
    KiLowerIrqlChecked(NewIrql);
}
EXPORT(KeReleaseSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeReleaseSpinLock");

// KeAcquireSpinLockRaiseToSynch: takes the lock at SYNCH_LEVEL. Returns the IRQL before.
// IRQL: <= SYNCH_LEVEL. Source: WDK ntifs.h, KeAcquireSpinLockRaiseToSynch.
KIRQL FASTCALL KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock);
KIRQL FASTCALL KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(SYNCH_LEVEL);
    KiTakeLock(SpinLock);
    return OldIrql;
}
EXPORT(KeAcquireSpinLockRaiseToSynch, SYNCH_LEVEL, "WDK ntifs.h KeAcquireSpinLockRaiseToSynch");

// KefAcquireSpinLockAtDpcLevel, KiAcquireSpinLock: take the lock where the IRQL is high enough
// already.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED.
// Source: WDK wdm.h, KeAcquireSpinLockAtDpcLevel.
VOID FASTCALL KefAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
VOID FASTCALL KefAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiTakeLock(SpinLock);
}
EXPORT(KefAcquireSpinLockAtDpcLevel, EXPORT_ANY_IRQL, "WDK wdm.h KeAcquireSpinLockAtDpcLevel");
EXPORT_AS(KiAcquireSpinLock, KefAcquireSpinLockAtDpcLevel, EXPORT_ANY_IRQL, 0,
          "WDK wdm.h KeAcquireSpinLockAtDpcLevel");

// KefReleaseSpinLockFromDpcLevel, KiReleaseSpinLock: release it; the IRQL stays.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED.
// Source: WDK wdm.h, KeReleaseSpinLockFromDpcLevel.
VOID FASTCALL KefReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);
VOID FASTCALL KefReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiDropLock(SpinLock);
}
EXPORT(KefReleaseSpinLockFromDpcLevel, EXPORT_ANY_IRQL, "WDK wdm.h KeReleaseSpinLockFromDpcLevel");
EXPORT_AS(KiReleaseSpinLock, KefReleaseSpinLockFromDpcLevel, EXPORT_ANY_IRQL, 0,
          "WDK wdm.h KeReleaseSpinLockFromDpcLevel");

// KeAcquireSpinLockAtDpcLevel, KeReleaseSpinLockFromDpcLevel: the stdcall forms of the two.
// IRQL: DISPATCH_LEVEL. Source: WDK wdm.h.
VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiTakeLock(SpinLock);
}
EXPORT(KeAcquireSpinLockAtDpcLevel, EXPORT_ANY_IRQL, "WDK wdm.h KeAcquireSpinLockAtDpcLevel");

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);
VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiDropLock(SpinLock);
}
EXPORT(KeReleaseSpinLockFromDpcLevel, EXPORT_ANY_IRQL, "WDK wdm.h KeReleaseSpinLockFromDpcLevel");
