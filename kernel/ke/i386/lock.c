// SPDX-License-Identifier: MIT
// i386: the spin lock routines under the names that drivers import here, from HAL.dll (Kf..., and
// the stdcall forms of old headers) and ntoskrnl.exe (Kef..., Ki...).
#include "../ki.h"

// KfAcquireSpinLock: raises to DISPATCH_LEVEL and takes the lock. Returns the IRQL before.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED, IRQL_NOT_GREATER_OR_EQUAL.
// Source: WDK wdm.h, KeAcquireSpinLock. In spinlock.S, free build.
KIRQL FASTCALL KfAcquireSpinLock(PKSPIN_LOCK SpinLock);
EXPORT(KfAcquireSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeAcquireSpinLock");

// KfReleaseSpinLock: releases the lock, back to NewIrql.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED.
// Source: WDK wdm.h, KeReleaseSpinLock. In spinlock.S, free build.
VOID FASTCALL KfReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
EXPORT(KfReleaseSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeReleaseSpinLock");

// KeAcquireSpinLock: as KfAcquireSpinLock; *OldIrql receives the IRQL before.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeAcquireSpinLock.
VOID NTAPI KeAcquireSpinLock(PKSPIN_LOCK SpinLock, PKIRQL OldIrql);
VOID NTAPI KeAcquireSpinLock(PKSPIN_LOCK SpinLock, PKIRQL OldIrql)
{
    KIRQL Irql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiTakeWatched(SpinLock);
    *OldIrql = Irql;
}
EXPORT(KeAcquireSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeAcquireSpinLock");

// KeReleaseSpinLock: as KfReleaseSpinLock.
// IRQL: DISPATCH_LEVEL. Source: WDK wdm.h, KeReleaseSpinLock.
VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    KiDropWatched(SpinLock);
    KiLowerIrqlChecked(NewIrql);
}
EXPORT(KeReleaseSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeReleaseSpinLock");

// KefAcquireSpinLockAtDpcLevel, KiAcquireSpinLock: take the lock where the IRQL is high enough
// already.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED.
// Source: WDK wdm.h, KeAcquireSpinLockAtDpcLevel.
VOID FASTCALL KefAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
VOID FASTCALL KefAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiTakeWatched(SpinLock);
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
    KiDropWatched(SpinLock);
}
EXPORT(KefReleaseSpinLockFromDpcLevel, EXPORT_ANY_IRQL, "WDK wdm.h KeReleaseSpinLockFromDpcLevel");
EXPORT_AS(KiReleaseSpinLock, KefReleaseSpinLockFromDpcLevel, EXPORT_ANY_IRQL, 0,
          "WDK wdm.h KeReleaseSpinLockFromDpcLevel");

#if KE_WATCHES
KIRQL FASTCALL KfAcquireSpinLock(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiTakeWatched(SpinLock);
    return OldIrql;
}

VOID FASTCALL KfReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    KiDropWatched(SpinLock);
    KiLowerIrqlChecked(NewIrql);
}
#endif
