// SPDX-License-Identifier: MIT
// Reader-writer spin locks (EX_SPIN_LOCK): many shared holders, or one exclusive.
//
// The lock is 32 bits: the top bit is set by the exclusive holder, the others count the shared
// ones; zero is free. Whoever wants it exclusively sets the top bit first and then waits for the
// count to fall to zero, so newcomers cannot keep it out for ever. Acquisition is not recursive: a
// shared holder that asks for a share again deadlocks when an exclusive one asks in between.
//
// Holders are not recorded, since there may be many. With one processor a lock that cannot be had
// is held by the very caller: SPIN_LOCK_ALREADY_OWNED instead of a hang; with more the checked
// build knows it. A release of what nobody holds is SPIN_LOCK_NOT_OWNED.
#include "ki.h"

#define RW_EXCLUSIVE 0x80000000u

typedef volatile LONG EX_SPIN_LOCK, *PEX_SPIN_LOCK;

FORCEINLINE ULONG KiReadRwLock(PEX_SPIN_LOCK SpinLock)
{
    return (ULONG)__atomic_load_n(SpinLock, __ATOMIC_ACQUIRE);
}

static VOID KiPauseForRwLock(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    if (KeNumberProcessors == 1 || KeHoldsSpinLock((PVOID)SpinLock))
        KiBugCheck(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)SpinLock, (ULONG)*SpinLock, 0, Caller, NULL,
                   NULL);
    KiPauseAndServe(KeGetCurrentPrcb());
}

static DECLSPEC_NORETURN VOID KiRwLockNotOwned(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    KiBugCheck(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)SpinLock, (ULONG)*SpinLock, 0, Caller, NULL, NULL);
}

FORCEINLINE BOOLEAN KiChangeRwLock(PEX_SPIN_LOCK SpinLock, ULONG From, ULONG To)
{
    LONG Expected = (LONG)From;
    return __atomic_compare_exchange_n(SpinLock, &Expected, (LONG)To, FALSE, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static VOID KiTakeShared(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    ULONG Value;

    KeNoteLockWanted((PVOID)SpinLock);
    do {
        while ((Value = KiReadRwLock(SpinLock)) & RW_EXCLUSIVE)
            KiPauseForRwLock(SpinLock, Caller);
    } while (!KiChangeRwLock(SpinLock, Value, Value + 1));
    KeNoteSpinLock((PVOID)SpinLock, Caller);
}

static VOID KiTakeExclusive(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    KeNoteLockWanted((PVOID)SpinLock);
    while ((ULONG)__atomic_fetch_or(SpinLock, (LONG)RW_EXCLUSIVE, __ATOMIC_ACQUIRE) & RW_EXCLUSIVE)
        while (KiReadRwLock(SpinLock) & RW_EXCLUSIVE)
            KiPauseForRwLock(SpinLock, Caller);
    while (KiReadRwLock(SpinLock) != RW_EXCLUSIVE)
        KiPauseForRwLock(SpinLock, Caller);
    KeNoteSpinLock((PVOID)SpinLock, Caller);
}

static VOID KiDropShared(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    if ((KiReadRwLock(SpinLock) & ~RW_EXCLUSIVE) == 0)
        KiRwLockNotOwned(SpinLock, Caller);
    __atomic_fetch_sub(SpinLock, 1, __ATOMIC_RELEASE);
    KeForgetSpinLock((PVOID)SpinLock);
}

static VOID KiDropExclusive(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    if (KiReadRwLock(SpinLock) != RW_EXCLUSIVE)
        KiRwLockNotOwned(SpinLock, Caller);
    __atomic_store_n(SpinLock, 0, __ATOMIC_RELEASE);
    KeForgetSpinLock((PVOID)SpinLock);
}

// ExAcquireSpinLockShared: raises to DISPATCH_LEVEL and takes a share. Returns the IRQL before.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExAcquireSpinLockShared.
KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock);
KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiTakeShared(SpinLock, KiReturnAddress());
    return OldIrql;
}
EXPORT(ExAcquireSpinLockShared, DISPATCH_LEVEL, "WDK wdm.h ExAcquireSpinLockShared");

// ExReleaseSpinLockShared: gives the share back and lowers to OldIrql.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED. Source: WDK wdm.h.
VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);
VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KiDropShared(SpinLock, KiReturnAddress());
    KiLowerIrqlChecked(OldIrql);
}
EXPORT(ExReleaseSpinLockShared, DISPATCH_LEVEL, "WDK wdm.h ExReleaseSpinLockShared");

// ExAcquireSpinLockExclusive: raises to DISPATCH_LEVEL and takes the lock for itself alone. Returns
// the IRQL before.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExAcquireSpinLockExclusive.
KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock);
KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiTakeExclusive(SpinLock, KiReturnAddress());
    return OldIrql;
}
EXPORT(ExAcquireSpinLockExclusive, DISPATCH_LEVEL, "WDK wdm.h ExAcquireSpinLockExclusive");

// ExReleaseSpinLockExclusive: gives the lock back and lowers to OldIrql.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED. Source: WDK wdm.h.
VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);
VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KiDropExclusive(SpinLock, KiReturnAddress());
    KiLowerIrqlChecked(OldIrql);
}
EXPORT(ExReleaseSpinLockExclusive, DISPATCH_LEVEL, "WDK wdm.h ExReleaseSpinLockExclusive");

// The same four where the IRQL is high enough already and stays.
// IRQL: DISPATCH_LEVEL. Source: WDK wdm.h.
VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock);
VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiTakeShared(SpinLock, KiReturnAddress());
}
EXPORT(ExAcquireSpinLockSharedAtDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h ExAcquireSpinLockSharedAtDpcLevel");

VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock);
VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiDropShared(SpinLock, KiReturnAddress());
}
EXPORT(ExReleaseSpinLockSharedFromDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h ExReleaseSpinLockSharedFromDpcLevel");

VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock);
VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiTakeExclusive(SpinLock, KiReturnAddress());
}
EXPORT(ExAcquireSpinLockExclusiveAtDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h ExAcquireSpinLockExclusiveAtDpcLevel");

VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock);
VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiDropExclusive(SpinLock, KiReturnAddress());
}
EXPORT(ExReleaseSpinLockExclusiveFromDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h ExReleaseSpinLockExclusiveFromDpcLevel");

// ExTryConvertSharedSpinLockExclusive: makes the caller's share the whole lock, when it is the only
// share and nobody waits. Returns whether it did; the share is kept when not.
// IRQL: DISPATCH_LEVEL. Source: WDK wdm.h, ExTryConvertSharedSpinLockExclusive.
LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock);
LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    return KiChangeRwLock(SpinLock, 1, RW_EXCLUSIVE);
}
EXPORT(ExTryConvertSharedSpinLockExclusive, EXPORT_ANY_IRQL,
       "WDK wdm.h ExTryConvertSharedSpinLockExclusive");

// ExTryAcquireSpinLockSharedAtDpcLevel, ExTryAcquireSpinLockExclusiveAtDpcLevel: take the lock if
// that needs no waiting. Return whether they did.
// IRQL: DISPATCH_LEVEL. Source: WDK wdm.h.
LOGICAL NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock);
LOGICAL NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    ULONG Value;

    while (!((Value = KiReadRwLock(SpinLock)) & RW_EXCLUSIVE))
        if (KiChangeRwLock(SpinLock, Value, Value + 1)) {
            KeNoteSpinLock((PVOID)SpinLock, KiReturnAddress());
            return TRUE;
        }
    return FALSE;
}
EXPORT(ExTryAcquireSpinLockSharedAtDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h ExTryAcquireSpinLockSharedAtDpcLevel");

LOGICAL NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock);
LOGICAL NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ASSERT_AT_LEAST_DISPATCH();
    if (!KiChangeRwLock(SpinLock, 0, RW_EXCLUSIVE))
        return FALSE;
    KeNoteSpinLock((PVOID)SpinLock, KiReturnAddress());
    return TRUE;
}
EXPORT(ExTryAcquireSpinLockExclusiveAtDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h ExTryAcquireSpinLockExclusiveAtDpcLevel");
