// SPDX-License-Identifier: MIT
// In-stack queued spin locks: waiters are served in the order they came, and each spins on memory
// of its own.
//
// The lock word points at the last handle of a queue, 0 when there is none. A newcomer exchanges
// itself in; if there was somebody, it links itself behind and waits until its predecessor clears
// LOCK_QUEUE_WAIT in the newcomer's own handle. The handle lies on the caller's stack and remembers
// the IRQL. Bit 1 says that the handle holds the lock, so that a release without an acquisition is
// seen.
//
// One KSPIN_LOCK must not be used both ways. A predecessor on the caller's own stack is the caller,
// who would wait for itself, and so is any with one processor: SPIN_LOCK_ALREADY_OWNED.
#include "ki.h"

#define LOCK_QUEUE_WAIT  1u
#define LOCK_QUEUE_OWNER 2u

FORCEINLINE volatile ULONG_PTR *KiQueueState(PKSPIN_LOCK_QUEUE Queue)
{
    return (volatile ULONG_PTR *)&Queue->Lock;
}

static BOOLEAN KiIsOwnQueue(PKSPIN_LOCK_QUEUE Before)
{
    ULONG_PTR Limit, Base;

    KeQueryStack(&Limit, &Base);
    return KeNumberProcessors == 1 || (ULONG_PTR)Before - Limit < Base - Limit;
}

static DECLSPEC_NOINLINE VOID KiWaitInQueue(PKSPIN_LOCK_QUEUE Queue, PKSPIN_LOCK_QUEUE Before)
{
    PKPRCB Prcb = KeGetCurrentPrcb();

    __atomic_store_n(&Before->Next, Queue, __ATOMIC_RELEASE);
    if (KiIsOwnQueue(Before))
        KiSpinLockAlreadyOwned((PKSPIN_LOCK)(*KiQueueState(Queue) & ~(ULONG_PTR)3),
                               KiReturnAddress());
    while (__atomic_load_n(KiQueueState(Queue), __ATOMIC_ACQUIRE) & LOCK_QUEUE_WAIT)
        KiPauseAndServe(Prcb);
}

static VOID KiEnterQueue(PKSPIN_LOCK SpinLock, PKSPIN_LOCK_QUEUE Queue)
{
    KeNoteLockWanted(SpinLock);
    Queue->Next = NULL;
    *KiQueueState(Queue) = (ULONG_PTR)SpinLock | LOCK_QUEUE_WAIT;
    PKSPIN_LOCK_QUEUE Before =
        (PKSPIN_LOCK_QUEUE)__atomic_exchange_n(SpinLock, (ULONG_PTR)Queue, __ATOMIC_ACQ_REL);
    if (__builtin_expect(Before != NULL, 0))
        KiWaitInQueue(Queue, Before);
    *KiQueueState(Queue) = (ULONG_PTR)SpinLock | LOCK_QUEUE_OWNER;
    KeNoteSpinLock(SpinLock, KiReturnAddress());
}

static VOID KiLeaveQueue(PKSPIN_LOCK_QUEUE Queue)
{
    ULONG_PTR State = *KiQueueState(Queue), Last = (ULONG_PTR)Queue;
    PKSPIN_LOCK SpinLock = (PKSPIN_LOCK)(State & ~(ULONG_PTR)3);

    if (!(State & LOCK_QUEUE_OWNER))
        KiSpinLockNotOwned(SpinLock != NULL ? SpinLock : (PKSPIN_LOCK)&Queue->Lock,
                           KiReturnAddress());
    KeForgetSpinLock(SpinLock);
    *KiQueueState(Queue) = (ULONG_PTR)SpinLock;
    if (Queue->Next == NULL &&
        __atomic_compare_exchange_n(SpinLock, &Last, 0, FALSE, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        return;
    while (Queue->Next == NULL)  // somebody has exchanged itself in and is about to link
        KiPause();
    __atomic_and_fetch(KiQueueState(Queue->Next), ~(ULONG_PTR)LOCK_QUEUE_WAIT, __ATOMIC_RELEASE);
}

// KeAcquireInStackQueuedSpinLock: raises to DISPATCH_LEVEL and takes the lock; LockHandle lies on
// the caller's stack until the release.
// IRQL: <= DISPATCH_LEVEL; DISPATCH_LEVEL after. Fails: bugcheck SPIN_LOCK_ALREADY_OWNED.
// Source: WDK wdm.h, KeAcquireInStackQueuedSpinLock.
VOID FASTCALL KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);
VOID FASTCALL KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    LockHandle->OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiEnterQueue(SpinLock, &LockHandle->LockQueue);
}
EXPORT(KeAcquireInStackQueuedSpinLock, DISPATCH_LEVEL, "WDK wdm.h KeAcquireInStackQueuedSpinLock");

// KeAcquireInStackQueuedSpinLockRaiseToSynch: the same at SYNCH_LEVEL.
// IRQL: <= SYNCH_LEVEL. Source: WDK ntifs.h, KeAcquireInStackQueuedSpinLockRaiseToSynch.
VOID FASTCALL KeAcquireInStackQueuedSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock,
                                                         PKLOCK_QUEUE_HANDLE LockHandle);
VOID FASTCALL KeAcquireInStackQueuedSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock,
                                                         PKLOCK_QUEUE_HANDLE LockHandle)
{
    LockHandle->OldIrql = KiRaiseIrqlChecked(SYNCH_LEVEL);
    KiEnterQueue(SpinLock, &LockHandle->LockQueue);
}
EXPORT(KeAcquireInStackQueuedSpinLockRaiseToSynch, SYNCH_LEVEL,
       "WDK ntifs.h KeAcquireInStackQueuedSpinLockRaiseToSynch");

// KeReleaseInStackQueuedSpinLock: hands the lock to the next in the queue and lowers the IRQL.
// IRQL: DISPATCH_LEVEL. Fails: bugcheck SPIN_LOCK_NOT_OWNED.
// Source: WDK wdm.h, KeReleaseInStackQueuedSpinLock.
VOID FASTCALL KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle);
VOID FASTCALL KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KIRQL OldIrql = LockHandle->OldIrql;
    KiLeaveQueue(&LockHandle->LockQueue);
    KiLowerIrqlChecked(OldIrql);
}
EXPORT(KeReleaseInStackQueuedSpinLock, EXPORT_ANY_IRQL, "WDK wdm.h KeReleaseInStackQueuedSpinLock");

// KeAcquireInStackQueuedSpinLockAtDpcLevel, KeReleaseInStackQueuedSpinLockFromDpcLevel: the pair
// where the IRQL is high enough already and stays.
// IRQL: DISPATCH_LEVEL. Source: WDK wdm.h.
VOID FASTCALL KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock,
                                                       PKLOCK_QUEUE_HANDLE LockHandle);
VOID FASTCALL KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock,
                                                       PKLOCK_QUEUE_HANDLE LockHandle)
{
    ASSERT_AT_LEAST_DISPATCH();
    LockHandle->OldIrql = KiGetIrql();
    KiEnterQueue(SpinLock, &LockHandle->LockQueue);
}
EXPORT(KeAcquireInStackQueuedSpinLockAtDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h KeAcquireInStackQueuedSpinLockAtDpcLevel");

VOID FASTCALL KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle);
VOID FASTCALL KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)
{
    ASSERT_AT_LEAST_DISPATCH();
    KiLeaveQueue(&LockHandle->LockQueue);
}
EXPORT(KeReleaseInStackQueuedSpinLockFromDpcLevel, EXPORT_ANY_IRQL,
       "WDK wdm.h KeReleaseInStackQueuedSpinLockFromDpcLevel");

// KeAcquireInStackQueuedSpinLockForDpc, KeReleaseInStackQueuedSpinLockForDpc: the pair for code
// that runs in threaded and in ordinary DPCs.
// IRQL: <= DISPATCH_LEVEL; DISPATCH_LEVEL in between. Source: WDK wdm.h.
EXPORT_AS(KeAcquireInStackQueuedSpinLockForDpc, KeAcquireInStackQueuedSpinLock, DISPATCH_LEVEL, 0,
          "WDK wdm.h KeAcquireInStackQueuedSpinLockForDpc");
EXPORT_AS(KeReleaseInStackQueuedSpinLockForDpc, KeReleaseInStackQueuedSpinLock, EXPORT_ANY_IRQL, 0,
          "WDK wdm.h KeReleaseInStackQueuedSpinLockForDpc");
