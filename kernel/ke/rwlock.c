// SPDX-License-Identifier: MIT
// Reader-writer spin locks (EX_SPIN_LOCK): many shared holders, or one exclusive.
//
// The lock is 32 bits; zero is free. The top bit is set by the exclusive holder, whose processor's
// number is in the six bits below (KPRCB.RwLockWord has both); the lowest 24 bits count the shared
// holders. Whoever wants the lock exclusively sets its bits first and then waits for the count to
// fall to zero, so newcomers cannot keep it out for ever. Acquisition is not recursive: a shared
// holder that asks for a share again deadlocks when an exclusive one asks in between.
//
// A processor that would wait for itself is stopped, SPIN_LOCK_ALREADY_OWNED (the lock, its
// contents, 0, the caller), at no cost to a lock that is free:
//   - Who holds the lock exclusively is read from it.
//   - Who shares it is not recorded. But while the exclusive holder-to-be waits there are no new
//     shares, and who has one stays at DISPATCH_LEVEL. So a processor that a clock tick has
//     interrupted below that since (TicksBelowDispatch) has none; and one that waits for this very
//     lock (RwLockWanted) does not give one back. When that leaves no processor the shares are the
//     waiter's own, or those of others that ask again. No time limit is involved: however slow a
//     holder is, it is not taken for one of these.
//
// A release of what nobody holds, or another processor exclusively, is SPIN_LOCK_NOT_OWNED. Tests:
// tests/guest/broken/rw_lock_*.c, tests/host/test_race_locks.c.
#include "ki.h"

#define RW_EXCLUSIVE   0x80000000u
#define RW_OWNER_SHIFT 24
#define RW_SHARES      0x00FFFFFFu
#define ROUNDS_A_LOOK  1024u

C_ASSERT(MAXIMUM_PROCESSORS <= (1 << 6)); // a number fits beside the top bit

typedef volatile LONG EX_SPIN_LOCK, *PEX_SPIN_LOCK;

VOID KiInitializeRwLocks(PKPRCB Prcb)
{
    Prcb->RwLockWord = RW_EXCLUSIVE | Prcb->ProcessorNumber << RW_OWNER_SHIFT;
}

FORCEINLINE ULONG KiReadRwLock(PEX_SPIN_LOCK SpinLock)
{
    return (ULONG)__atomic_load_n(SpinLock, __ATOMIC_ACQUIRE);
}

FORCEINLINE BOOLEAN KiChangeRwLock(PEX_SPIN_LOCK SpinLock, ULONG From, ULONG To)
{
    LONG Expected = (LONG)From;
    return __atomic_compare_exchange_n(SpinLock, &Expected, (LONG)To, FALSE, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

// ---- mistakes -----------------------------------------------------------------------------------
static DECLSPEC_NORETURN VOID KiRwLockNotOwned(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    KiBugCheck(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)SpinLock, (ULONG)*SpinLock, 0, Caller, NULL, NULL);
}

// Format is given the caller's name and the lock.
static DECLSPEC_NORETURN VOID KiRwLockAlreadyOwned(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller,
                                                   const char *Format)
{
    char Name[128], Sentence[320];

    KdSymbolize(Caller, Name, sizeof(Name));
    RtlFormat(Sentence, sizeof(Sentence), Format, Name, (PVOID)SpinLock);
    KiBugCheck(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)SpinLock, (ULONG)*SpinLock, 0, Caller, NULL,
               Sentence);
}

FORCEINLINE BOOLEAN KiWantsRwLock(PKPRCB Prcb, PEX_SPIN_LOCK SpinLock)
{
    return __atomic_load_n(&Prcb->RwLockWanted, __ATOMIC_ACQUIRE) == SpinLock;
}

static DECLSPEC_NORETURN VOID KiSharesStay(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    BOOLEAN Others = FALSE;
    char Name[128];

    for (KAFFINITY Left = KeActiveProcessors; Left != 0; Left &= Left - 1) {
        PKPRCB Prcb = KiProcessorBlock[__builtin_ctzll(Left)];
        if (!KiWantsRwLock(Prcb, SpinLock))
            continue;
        KdSymbolize(Prcb->RwLockCaller, Name, sizeof(Name));
        KLOG("lock", "processor %u waits for 0x%p in %s", Prcb->ProcessorNumber, (PVOID)SpinLock,
             Name);
        Others = TRUE;
    }
    KiRwLockAlreadyOwned(SpinLock, Caller,
                         Others ? "%s wants the reader-writer lock 0x%p exclusively, and waits for "
                                  "shares that stay: they are its own, or those of processors that "
                                  "wait for the same lock again (above)."
                                : "%s wants the reader-writer lock 0x%p exclusively, of which its "
                                  "own processor has a share: it waits for itself.");
}

// ---- waiting ------------------------------------------------------------------------------------
// Until nobody has or wants the lock exclusively. Returns what was in it then. RwLockWanted is
// taken back before the next attempt, which may succeed. (It may have been set by whom this is an
// interrupt on top of.)
static DECLSPEC_NOINLINE ULONG KiAwaitOwner(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    PVOID BeforeLock = Prcb->RwLockWanted;
    ULONG_PTR BeforeCaller = Prcb->RwLockCaller;
    ULONG Value;

    Prcb->RwLockCaller = Caller;
    __atomic_store_n(&Prcb->RwLockWanted, (PVOID)SpinLock, __ATOMIC_RELEASE);
    while ((Value = KiReadRwLock(SpinLock)) & RW_EXCLUSIVE) {
        if ((Value & ~RW_SHARES) == Prcb->RwLockWord)
            KiRwLockAlreadyOwned(SpinLock, Caller,
                                 "%s wants the reader-writer lock 0x%p, which its own processor "
                                 "holds exclusively: it waits for itself.");
        KiPauseAndServe(Prcb);
    }
    Prcb->RwLockCaller = BeforeCaller;
    __atomic_store_n(&Prcb->RwLockWanted, BeforeLock, __ATOMIC_SEQ_CST);
    return Value;
}

FORCEINLINE ULONG KiTicksBelowDispatch(PKPRCB Prcb)
{
    return __atomic_load_n(&Prcb->TicksBelowDispatch, __ATOMIC_ACQUIRE);
}

// Whether one of Others may give a share back; Ticks is of when there were no new ones any more.
static BOOLEAN KiSharesMayGo(PEX_SPIN_LOCK SpinLock, KAFFINITY Others, const ULONG *Ticks)
{
    for (; Others != 0; Others &= Others - 1) {
        ULONG Number = (ULONG)__builtin_ctzll(Others);
        PKPRCB Prcb = KiProcessorBlock[Number];
        if (KiTicksBelowDispatch(Prcb) == Ticks[Number] && !KiWantsRwLock(Prcb, SpinLock))
            return TRUE;
    }
    return FALSE;
}

// The caller's bits are in the lock. A processor that is started meanwhile comes without shares.
static VOID KiAwaitShares(PKPRCB Prcb, PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    KAFFINITY Others = KeActiveProcessors & ~Prcb->ProcessorMask;
    ULONG Ticks[MAXIMUM_PROCESSORS];

    for (KAFFINITY Left = Others; Left != 0; Left &= Left - 1)
        Ticks[__builtin_ctzll(Left)] =
            KiTicksBelowDispatch(KiProcessorBlock[__builtin_ctzll(Left)]);
    for (ULONG Rounds = 0; KiReadRwLock(SpinLock) != Prcb->RwLockWord; Rounds++) {
        if (Rounds % ROUNDS_A_LOOK == 0 && !KiSharesMayGo(SpinLock, Others, Ticks) &&
            KiReadRwLock(SpinLock) != Prcb->RwLockWord)
            KiSharesStay(SpinLock, Caller);
        KiPauseAndServe(Prcb);
    }
}

static DECLSPEC_NOINLINE VOID KiWaitForExclusive(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    ULONG Value;

    do {
        Value = KiAwaitOwner(SpinLock, Caller);
    } while (!KiChangeRwLock(SpinLock, Value, Value | Prcb->RwLockWord));
    KiAwaitShares(Prcb, SpinLock, Caller);
}

// ---- taking and giving back ---------------------------------------------------------------------
FORCEINLINE BOOLEAN KiTryTakeExclusive(PEX_SPIN_LOCK SpinLock, ULONG Shares)
{
    return KiChangeRwLock(SpinLock, Shares, KeGetCurrentPrcb()->RwLockWord);
}

static VOID KiTakeShared(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    ULONG Value;

    KeNoteLockWanted((PVOID)SpinLock);
    do {
        Value = KiReadRwLock(SpinLock);
        if (__builtin_expect(Value & RW_EXCLUSIVE, 0))
            Value = KiAwaitOwner(SpinLock, Caller);
    } while (!KiChangeRwLock(SpinLock, Value, Value + 1));
    KeNoteSpinLock((PVOID)SpinLock, Caller);
}

static VOID KiTakeExclusive(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    KeNoteLockWanted((PVOID)SpinLock);
    if (__builtin_expect(!KiTryTakeExclusive(SpinLock, 0), 0))
        KiWaitForExclusive(SpinLock, Caller);
    KeNoteSpinLock((PVOID)SpinLock, Caller);
}

static VOID KiDropShared(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    if ((KiReadRwLock(SpinLock) & RW_SHARES) == 0)
        KiRwLockNotOwned(SpinLock, Caller);
    __atomic_fetch_sub(SpinLock, 1, __ATOMIC_RELEASE);
    KeForgetSpinLock((PVOID)SpinLock);
}

static VOID KiDropExclusive(PEX_SPIN_LOCK SpinLock, ULONG_PTR Caller)
{
    if (KiReadRwLock(SpinLock) != KeGetCurrentPrcb()->RwLockWord)
        KiRwLockNotOwned(SpinLock, Caller);
    __atomic_store_n(SpinLock, 0, __ATOMIC_RELEASE);
    KeForgetSpinLock((PVOID)SpinLock);
}

// ExAcquireSpinLockShared: raises to DISPATCH_LEVEL and takes a share. Returns the IRQL before.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED.
// Source: WDK wdm.h, ExAcquireSpinLockShared.
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
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED.
// Source: WDK wdm.h, ExAcquireSpinLockExclusive.
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
    return KiTryTakeExclusive(SpinLock, 1);
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
    if (!KiTryTakeExclusive(SpinLock, 0))
        return FALSE;
    KeNoteSpinLock((PVOID)SpinLock, KiReturnAddress());
    return TRUE;
}
EXPORT(ExTryAcquireSpinLockExclusiveAtDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h ExTryAcquireSpinLockExclusiveAtDpcLevel");
