// SPDX-License-Identifier: MIT
// Spin locks: mutual exclusion between processors, at DISPATCH_LEVEL or above.
//
// A KSPIN_LOCK that is held contains the address of its holder's KPRCB; 0 is free. A processor that
// holds a lock cannot leave it to anyone else, since its IRQL keeps the scheduler away. So two
// mistakes that would hang or corrupt are seen for the price of a compare: acquiring what this
// processor holds already (SPIN_LOCK_ALREADY_OWNED) and releasing what it does not hold
// (SPIN_LOCK_NOT_OWNED); parameters: the lock, its contents, 0, the caller.
//
// Waiting is test-and-test-and-set: a waiter reads its own cached copy until the holder's store
// takes that away. The pair that drivers call most is assembly: amd64/spinlock.S, i386/spinlock.S.
// What only one architecture exports is in its own folder's lock.c. In the checked build the pair
// is in C, too: lockorder.c watches what drivers hold. Locks that hand over
// in order are in queuedlock.c, those with shared owners in rwlock.c.
#include "ki.h"

DECLSPEC_NORETURN VOID NTAPI KiSpinLockAlreadyOwned(PKSPIN_LOCK Lock, ULONG_PTR Caller)
{
    KiBugCheck(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)Lock, *Lock, 0, Caller, NULL, NULL);
}

DECLSPEC_NORETURN VOID NTAPI KiSpinLockNotOwned(PKSPIN_LOCK Lock, ULONG_PTR Caller)
{
    KiBugCheck(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)Lock, *Lock, 0, Caller, NULL, NULL);
}

VOID FASTCALL KiWaitForSpinLock(PKSPIN_LOCK Lock, ULONG_PTR Caller)
{
    PKPRCB Prcb = KeGetCurrentPrcb();

    if (__atomic_load_n(Lock, __ATOMIC_RELAXED) == (ULONG_PTR)Prcb)
        KiSpinLockAlreadyOwned(Lock, Caller);
    do {
        while (__atomic_load_n(Lock, __ATOMIC_RELAXED) != 0)
            KiPauseAndServe(Prcb);
    } while (!KiTryTakeLock(Lock));
}

KIRQL KiAcquireLock(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiTakeLock(SpinLock);
    return OldIrql;
}

VOID KiReleaseLock(PKSPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KiDropLock(SpinLock);
    KiLowerIrql(OldIrql);
}

VOID KiAcquireLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    KiTakeLock(SpinLock);
}

VOID KiReleaseLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    KiDropLock(SpinLock);
}

// KeInitializeSpinLock: makes a lock free. Its memory is nonpaged.
// IRQL: any. Source: WDK wdm.h, KeInitializeSpinLock.
VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    KeForgetLock(SpinLock);
    *SpinLock = 0;
}
EXPORT(KeInitializeSpinLock, EXPORT_ANY_IRQL, "WDK wdm.h KeInitializeSpinLock");

// KeTryToAcquireSpinLockAtDpcLevel: takes the lock if it is free. Returns whether it did.
// IRQL: >= DISPATCH_LEVEL. Source: WDK wdm.h, KeTryToAcquireSpinLockAtDpcLevel.
BOOLEAN FASTCALL KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
BOOLEAN FASTCALL KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    if (!KiTryTakeLock(SpinLock))
        return FALSE;
    KeNoteSpinLock(SpinLock, KiReturnAddress());
    return TRUE;
}
EXPORT(KeTryToAcquireSpinLockAtDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h KeTryToAcquireSpinLockAtDpcLevel");

// KeTestSpinLock: whether the lock is free just now. Takes nothing.
// IRQL: any. Source: WDK wdm.h, KeTestSpinLock.
BOOLEAN FASTCALL KeTestSpinLock(PKSPIN_LOCK SpinLock);
BOOLEAN FASTCALL KeTestSpinLock(PKSPIN_LOCK SpinLock)
{
    return *(volatile KSPIN_LOCK *)SpinLock == 0;
}
EXPORT(KeTestSpinLock, EXPORT_ANY_IRQL, "WDK wdm.h KeTestSpinLock");

// KeAcquireSpinLockForDpc: acquires a lock that both threaded and ordinary DPCs use. Returns the
// IRQL before, for KeReleaseSpinLockForDpc.
// IRQL: <= DISPATCH_LEVEL; DISPATCH_LEVEL after. Source: WDK wdm.h, KeAcquireSpinLockForDpc.
KIRQL FASTCALL KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock);
KIRQL FASTCALL KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiTakeWatched(SpinLock);
    return OldIrql;
}
EXPORT(KeAcquireSpinLockForDpc, DISPATCH_LEVEL, "WDK wdm.h KeAcquireSpinLockForDpc");

// KeReleaseSpinLockForDpc: releases it, back to OldIrql.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck when it is not held. Source: WDK wdm.h,
// KeReleaseSpinLockForDpc.
VOID FASTCALL KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql);
VOID FASTCALL KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KiDropWatched(SpinLock);
    KiLowerIrqlChecked(OldIrql);
}
EXPORT(KeReleaseSpinLockForDpc, DISPATCH_LEVEL, "WDK wdm.h KeReleaseSpinLockForDpc");

// KeAcquireSpinLockRaiseToSynch: raises to SYNCH_LEVEL and takes the lock. Returns the IRQL before.
// IRQL: <= SYNCH_LEVEL. Source: WDK ntifs.h, KeAcquireSpinLockRaiseToSynch.
KIRQL FASTCALL KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock);
KIRQL FASTCALL KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(SYNCH_LEVEL);
    KiTakeWatched(SpinLock);
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
    KiTakeWatched(SpinLock);
}
EXPORT(KeAcquireSpinLockAtDpcLevel, EXPORT_ANY_IRQL, "WDK wdm.h KeAcquireSpinLockAtDpcLevel");

// KeReleaseSpinLockFromDpcLevel: releases it; the IRQL stays.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED.
// Source: WDK wdm.h, KeReleaseSpinLockFromDpcLevel.
VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);
VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiDropWatched(SpinLock);
}
EXPORT(KeReleaseSpinLockFromDpcLevel, EXPORT_ANY_IRQL, "WDK wdm.h KeReleaseSpinLockFromDpcLevel");
