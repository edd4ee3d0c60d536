// SPDX-License-Identifier: MIT
// Waiting: threads stop until objects are signalled.
//
// A waiting thread has a wait block on the list of every object it waits for, and one on its own
// timer when the wait has a limit; the blocks form a ring, and WaitBlockList is the first. The
// blocks are the thread's own four, or an array that the caller brought. Whoever signals an object
// walks its list in order:
//     WaitAny  the object is consumed for that thread and its wait ends with the block's WaitKey
//     WaitAll  the wait ends when every object of the ring can be consumed at this instant; then
//     all are
// What consuming means is the object's kind: a synchronization event or timer falls back, a
// semaphore counts down, a mutant gets an owner, the others stay. A wait ends exactly once: all its
// blocks leave their lists under the same hold of the dispatcher lock. The thread is made ready at
// the end of that hold: it may run on another processor at once, return, and use the memory of what
// it waited for again (an event on its stack), which the one who signals still reads until then.
//
// A wait also ends by its limit (STATUS_TIMEOUT), by an alert or a user APC when it is alertable,
// and is interrupted by kernel APCs: the thread runs them and waits anew, with the same limit.
//
// Who may wait: threads below DISPATCH_LEVEL. At DISPATCH_LEVEL a limit of zero, which only looks,
// is fine. Anything else would take away the processor from somebody who holds a spin lock, or from
// a DPC, and stops the system: ATTEMPTED_SWITCH_FROM_DPC (the thread, 0, 0, 0) from a DPC,
// IRQL_NOT_LESS_OR_EQUAL (the object, the IRQL, 0, the caller) elsewhere.
//
// A routine called with Wait = TRUE returns at DISPATCH_LEVEL, so that nothing comes between it and
// the wait that follows; the thread's WaitIrql remembers the level before.
//
// Tests: tests/guest/threads.c.
#include "ready.h"

// One wait. It is passed by value, so that the usual one needs no memory.
typedef struct _KI_WAIT {
    PKTHREAD Thread;
    PLARGE_INTEGER Timeout; // NULL: for ever
    PULONG64 DueTime;       // of a Timeout that is not 0; *DueTime is 0: not known yet
    ULONG_PTR Caller;
    KPROCESSOR_MODE Mode;
    UCHAR Reason; // KWAIT_REASON
    BOOLEAN Alertable;
} KI_WAIT;

// ---- objects' kinds -----------------------------------------------------------------------------
FORCEINLINE BOOLEAN KiIsSynchronization(const DISPATCHER_HEADER *Object)
{
    return (Object->Type & 7) == EventSynchronizationObject; // events and timers are numbered alike
}

FORCEINLINE BOOLEAN KiCanConsume(const DISPATCHER_HEADER *Object, const KTHREAD *Thread)
{
    return Object->SignalState > 0 ||
           (Object->Type == MutantObject && ((const KMUTANT *)Object)->OwnerThread == Thread);
}

// Its owner has acquired it as often as it can count.
FORCEINLINE BOOLEAN KiMutantIsFull(const DISPATCHER_HEADER *Object)
{
    return Object->Type == MutantObject && Object->SignalState == (LONG)MINLONG;
}

static DECLSPEC_NORETURN DECLSPEC_NOINLINE VOID KiRaiseMutantLimit(PKTHREAD Thread)
{
    KiUnlockDispatcher(Thread->WaitIrql);
    for (;;)
        RtlRaiseStatus(STATUS_MUTANT_LIMIT_EXCEEDED);
}

static DECLSPEC_NOINLINE LONG_PTR KiConsumeMutant(PKMUTANT Mutant, PKTHREAD Thread)
{
    if (KiMutantIsFull(&Mutant->Header))
        KiRaiseMutantLimit(Thread);
    if (--Mutant->Header.SignalState != 0)
        return 0;
    Mutant->OwnerThread = Thread;
    Thread->KernelApcDisable -= Mutant->ApcDisable;
    KeNoteMutex(Thread, Mutant, Thread->WaitCaller);
    InsertHeadList(&Thread->MutantListHead, &Mutant->MutantListEntry);
    if (!Mutant->Abandoned)
        return 0;
    Mutant->Abandoned = FALSE;
    return STATUS_ABANDONED_WAIT_0;
}

// Returns what the wait's status is to be raised by.
FORCEINLINE LONG_PTR KiConsume(PDISPATCHER_HEADER Object, PKTHREAD Thread)
{
    if (KiIsSynchronization(Object))
        Object->SignalState = 0;
    else if (Object->Type == SemaphoreObject)
        Object->SignalState--;
    else if (Object->Type == MutantObject)
        return KiConsumeMutant((PKMUTANT)Object, Thread);
    return 0;
}

// ---- ending waits -------------------------------------------------------------------------------
FORCEINLINE VOID KiFinishWait(PKTHREAD Thread, LONG_PTR WaitStatus, KPRIORITY Increment)
{
    PKWAIT_BLOCK Block = Thread->WaitBlockList;

    do {
        RemoveEntryList(&Block->WaitListEntry);
        Block = Block->NextWaitBlock;
    } while (Block != Thread->WaitBlockList);
    if (Thread->Timer.Header.Inserted)
        KiRemoveTimer(&Thread->Timer);
    if (Thread->Queue != NULL)
        Thread->Queue->CurrentCount++;
    Thread->WaitStatus = WaitStatus;
    if (Increment == 0 && Thread->BasePriority < TIME_CRITICAL && Thread->Quantum > WAIT_QUANTUM)
        Thread->Quantum -= WAIT_QUANTUM; // most often that is all
    else
        KiChargeWait(Thread, Increment);
    KiNoteReleased(KeGetCurrentPrcb(), Thread);
}

VOID KiEndWait(PKTHREAD Thread, LONG_PTR WaitStatus, KPRIORITY Increment)
{
    KiFinishWait(Thread, WaitStatus, Increment);
}

static BOOLEAN KiCanConsumeAll(const KWAIT_BLOCK *First)
{
    const KWAIT_BLOCK *Block = First;

    do {
        if (Block->WaitType == WaitAll && !KiCanConsume(Block->Object, Block->Thread))
            return FALSE;
        Block = Block->NextWaitBlock;
    } while (Block != First);
    return TRUE;
}

static LONG_PTR KiConsumeAll(PKWAIT_BLOCK First)
{
    PKWAIT_BLOCK Block = First;
    LONG_PTR Status = STATUS_WAIT_0;

    do {
        if (Block->WaitType == WaitAll) // the timer's block is no object to be had
            Status |= KiConsume(Block->Object, Block->Thread);
        Block = Block->NextWaitBlock;
    } while (Block != First);
    return Status;
}

// The object is signalled and somebody waits.
FORCEINLINE VOID KiReleaseAll(PDISPATCHER_HEADER Object, KPRIORITY Increment)
{
    PLIST_ENTRY Entry = Object->WaitListHead.Flink;

    do {
        PKWAIT_BLOCK Block = CONTAINING_RECORD(Entry, KWAIT_BLOCK, WaitListEntry);
        LONG_PTR Status;
        if (Block->WaitType == WaitAny) {
            Status = Block->WaitKey + KiConsume(Object, Block->Thread);
        } else if (KiCanConsumeAll(Block)) {
            Status = KiConsumeAll(Block);
        } else {
            Entry = Entry->Flink;
            continue;
        }
        KiFinishWait(Block->Thread, Status, Increment);
        Entry = Object->WaitListHead.Flink; // several blocks may have gone
    } while (Object->SignalState > 0 && Entry != &Object->WaitListHead);
}

VOID KiReleaseWaiters(PDISPATCHER_HEADER Object, KPRIORITY Increment)
{
    KiReleaseAll(Object, Increment);
}

VOID KiReleaseWaitersAtEnd(PDISPATCHER_HEADER Object, KPRIORITY Increment)
{
    PKPRCB Prcb = KeGetCurrentPrcb();

    KiReleaseAll(Object, Increment);
    if (Prcb->Released != NULL)
        KiMakeReleasedReady(Prcb);
}

// ---- beginning waits ----------------------------------------------------------------------------
static DECLSPEC_NORETURN DECLSPEC_NOINLINE VOID KiBadWait(PKTHREAD Thread, PVOID Object, KIRQL Irql,
                                                          ULONG_PTR Caller)
{
    if (KeGetCurrentPrcb()->DpcActive)
        KiBugCheck(ATTEMPTED_SWITCH_FROM_DPC, (ULONG_PTR)Thread, 0, 0, 0, NULL,
                   "A DPC routine waited: it runs in no thread of its own.");
    KiBugCheck(IRQL_NOT_LESS_OR_EQUAL, (ULONG_PTR)Object, Irql, 0, Caller, NULL,
               "A wait began at DISPATCH_LEVEL or above, where a spin lock may be held.");
}

FORCEINLINE BOOLEAN KiMayTakeTime(KI_WAIT Wait)
{
    return Wait.Timeout == NULL || Wait.Timeout->QuadPart != 0;
}

// Takes the dispatcher lock for a wait.
FORCEINLINE VOID KiBeginWait(KI_WAIT Wait, PVOID Object)
{
    PKTHREAD Thread = Wait.Thread;
    KIRQL Irql = KiGetIrql();

    if (__builtin_expect(Thread->WaitNext, 0)) {
        Thread->WaitNext = FALSE;
        if (Thread->WaitIrql >= DISPATCH_LEVEL && KiMayTakeTime(Wait))
            KiBadWait(Thread, Object, Thread->WaitIrql, Wait.Caller);
    } else {
        if (__builtin_expect(Irql >= DISPATCH_LEVEL, 0)) {
            if (Irql > DISPATCH_LEVEL || KiMayTakeTime(Wait))
                KiBadWait(Thread, Object, Irql, Wait.Caller);
        } else {
            KiCheckWait();
        }
        KiSetIrql(DISPATCH_LEVEL);
        Thread->WaitIrql = Irql; // not earlier: a DPC that looks at an object writes it too
    }
    Thread->WaitMode = Wait.Mode;
    Thread->Alertable = Wait.Alertable;
    KiTakeLock(&KiDispatcherLock);
}

// The checked build notes who waits, and that a mutant is wanted.
FORCEINLINE VOID KiWatchWait(KI_WAIT Wait, PVOID Object)
{
#if KE_WATCHES
    const KMUTANT *Mutant = Object;

    Wait.Thread->WaitCaller = Wait.Caller;
    if (Mutant->Header.Type == MutantObject && Mutant->OwnerThread != Wait.Thread &&
        KiMayTakeTime(Wait))
        KeNoteLockWanted(Mutant);
#endif
}

// A kernel APC that can be delivered now is, before the thread waits.
FORCEINLINE BOOLEAN KiApcComesFirst(const KTHREAD *Thread)
{
    return Thread->KernelApcPending && Thread->SpecialApcDisable == 0 &&
           Thread->WaitIrql < APC_LEVEL;
}

static DECLSPEC_NOINLINE VOID KiRunApcsFirst(PKTHREAD Thread)
{
    KiDropDispatcherLock(KeGetCurrentPrcb());
    KiRequestApc();
    KiExitDispatcher(Thread->WaitIrql);
}

// Whether an alert or a user APC keeps the thread from waiting.
static NTSTATUS KiTestAlert(PKTHREAD Thread, KPROCESSOR_MODE Mode, BOOLEAN Alertable)
{
    if (Alertable) {
        if (Thread->Alerted[(UCHAR)Mode]) {
            Thread->Alerted[(UCHAR)Mode] = FALSE;
            return STATUS_ALERTED;
        }
        if (Mode != KernelMode && !IsListEmpty(&Thread->ApcListHead[UserMode])) {
            Thread->UserApcPending = TRUE;
            return STATUS_USER_APC;
        }
        if (Thread->Alerted[KernelMode]) {
            Thread->Alerted[KernelMode] = FALSE;
            return STATUS_ALERTED;
        }
    } else if (Mode != KernelMode && Thread->UserApcPending) {
        return STATUS_USER_APC;
    }
    return STATUS_SUCCESS;
}

static DECLSPEC_NOINLINE VOID KiAddTimerBlock(PKTHREAD Thread, ULONG64 DueTime)
{
    PKWAIT_BLOCK Block = &Thread->WaitBlock[TIMER_WAIT_BLOCK];

    Block->NextWaitBlock = Thread->WaitBlockList->NextWaitBlock;
    Thread->WaitBlockList->NextWaitBlock = Block;
    Thread->Timer.Header.SignalState = 0;
    InsertTailList(&Thread->Timer.Header.WaitListHead, &Block->WaitListEntry);
    KiInsertTimer(&Thread->Timer, DueTime);
}

// Whether the wait ends here: STATUS_SUCCESS: no.
static DECLSPEC_NOINLINE NTSTATUS KiTestLimits(KI_WAIT Wait)
{
    NTSTATUS Status = KiTestAlert(Wait.Thread, Wait.Mode, Wait.Alertable);

    if (Status != STATUS_SUCCESS || Wait.Timeout == NULL)
        return Status;
    if (Wait.Timeout->QuadPart == 0)
        return STATUS_TIMEOUT;
    if (*Wait.DueTime == 0)
        *Wait.DueTime = KiDueTime(*Wait.Timeout);
    return *Wait.DueTime <= KiInterruptTime() ? STATUS_TIMEOUT : STATUS_SUCCESS;
}

// The objects are not to be had. FALSE: the wait ends here, with *Status. TRUE: the wait blocks may
// be linked.
FORCEINLINE BOOLEAN KiMayBlock(KI_WAIT Wait, LONG_PTR *Status)
{
    if (Wait.Timeout == NULL && !(Wait.Alertable | Wait.Mode))
        return TRUE; // nothing but the objects can end it
    *Status = KiTestLimits(Wait);
    return *Status == STATUS_SUCCESS;
}

// The thread waits for one object.
FORCEINLINE VOID KiLinkBlock(PDISPATCHER_HEADER Object, PKTHREAD Thread)
{
    PKWAIT_BLOCK Block = &Thread->WaitBlock[0];

    Block->Object = Object;
    Block->WaitKey = STATUS_WAIT_0;
    Block->WaitType = WaitAny;
    Block->NextWaitBlock = Block;
    Thread->WaitBlockList = Block;
    InsertTailList(&Object->WaitListHead, &Block->WaitListEntry);
}

// The blocks are linked: gives the processor up. Returns what ended the wait.
FORCEINLINE LONG_PTR KiBlock(KI_WAIT Wait)
{
    PKTHREAD Thread = Wait.Thread;
    LONG_PTR Status;

    if (Wait.Timeout != NULL)
        KiAddTimerBlock(Thread, *Wait.DueTime);
    if (Thread->Queue != NULL && Wait.Reason != WrQueue)
        KiLeaveQueueForWait(Thread->Queue);
    Thread->WaitReason = Wait.Reason;
    Thread->WaitTime = KiTickCount();
    Thread->State = ThreadWaiting;
    KiSwapThread(Thread);
    Status = Thread->WaitStatus; // APCs that run as the IRQL falls may wait too
    KiLowerIrql(Thread->WaitIrql);
    return Status;
}

// Waits once: it may end with STATUS_KERNEL_APC, after which the thread waits anew.
FORCEINLINE LONG_PTR KiWaitForObject(PDISPATCHER_HEADER Object, KI_WAIT Wait)
{
    PKTHREAD Thread = Wait.Thread;
    LONG_PTR Status;

    KiBeginWait(Wait, Object);
    if (__builtin_expect(KiApcComesFirst(Thread), 0)) {
        KiRunApcsFirst(Thread);
        return STATUS_KERNEL_APC;
    }
    if (KiCanConsume(Object, Thread)) {
        Status = KiConsume(Object, Thread);
    } else if (KiMayBlock(Wait, &Status)) {
        KiLinkBlock(Object, Thread);
        return KiBlock(Wait);
    }
    KiUnlockDispatcher(Thread->WaitIrql);
    return Status;
}

static DECLSPEC_NOINLINE LONG_PTR KiWaitAnew(PDISPATCHER_HEADER Object, KI_WAIT Wait)
{
    LONG_PTR Status;

    do
        Status = KiWaitForObject(Object, Wait);
    while (Status == STATUS_KERNEL_APC);
    return Status;
}

// KeWaitForSingleObject: waits until Object is signalled and consumes the signal.
//   Object      event, semaphore, mutant, timer or thread (their KTHREAD).
//   WaitReason  Executive for drivers; shown by `!threads`.
//   WaitMode    UserMode: the wait may end with STATUS_USER_APC.
//   Alertable   whether alerts, and in UserMode user APCs, end the wait.
//   Timeout     100 ns units, negative: from now; positive: absolute system time; 0: only looks;
//   NULL: for
//               ever.
// IRQL: <= APC_LEVEL; DISPATCH_LEVEL with a Timeout of 0. Fails: STATUS_TIMEOUT, STATUS_ALERTED,
// STATUS_USER_APC; STATUS_ABANDONED_WAIT_0 when it is a mutant whose owner ended; raises
// STATUS_MUTANT_LIMIT_EXCEEDED.
// Source: WDK wdm.h, KeWaitForSingleObject.
NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason,
                                     KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                     PLARGE_INTEGER Timeout)
{
    PKTHREAD Thread = KiCurrentThread();
    ULONG64 DueTime = 0;
    KI_WAIT Wait = {.Thread = Thread,
                    .Timeout = Timeout,
                    .DueTime = &DueTime,
                    .Caller = KiReturnAddress(),
                    .Mode = WaitMode,
                    .Reason = (UCHAR)WaitReason,
                    .Alertable = Alertable};
    LONG_PTR Status;

    KiWatchWait(Wait, Object);
    Status = KiWaitForObject(Object, Wait);
    if (__builtin_expect(Status == STATUS_KERNEL_APC, 0))
        Status = KiWaitAnew(Object, Wait);
    return (NTSTATUS)Status;
}
EXPORT(KeWaitForSingleObject, DISPATCH_LEVEL, "WDK wdm.h KeWaitForSingleObject");

// ---- several objects ----------------------------------------------------------------------------
typedef struct _KI_WAIT_SET {
    ULONG Count;
    PVOID *Object;
    WAIT_TYPE Type;
    PKWAIT_BLOCK Block;
} KI_WAIT_SET;

// Consumes what can be had now. FALSE: nothing.
static BOOLEAN KiTryConsumeAny(const KI_WAIT_SET *Set, PKTHREAD Thread, LONG_PTR *Status)
{
    for (ULONG i = 0; i < Set->Count; i++) {
        PDISPATCHER_HEADER Object = Set->Object[i];
        if (!KiCanConsume(Object, Thread))
            continue;
        *Status = STATUS_WAIT_0 + i + KiConsume(Object, Thread);
        return TRUE;
    }
    return FALSE;
}

static BOOLEAN KiTryConsumeEvery(const KI_WAIT_SET *Set, PKTHREAD Thread, LONG_PTR *Status)
{
    for (ULONG i = 0; i < Set->Count; i++)
        if (!KiCanConsume(Set->Object[i], Thread))
            return FALSE;
    for (ULONG i = 0; i < Set->Count; i++)
        if (KiMutantIsFull(Set->Object[i]))
            KiRaiseMutantLimit(Thread);
    *Status = STATUS_WAIT_0;
    for (ULONG i = 0; i < Set->Count; i++)
        *Status |= KiConsume(Set->Object[i], Thread);
    return TRUE;
}

static VOID KiLinkBlocks(const KI_WAIT_SET *Set, PKTHREAD Thread)
{
    for (ULONG i = 0; i < Set->Count; i++) {
        PKWAIT_BLOCK Block = &Set->Block[i];
        Block->Object = Set->Object[i];
        Block->Thread = Thread;
        Block->WaitKey = (USHORT)(STATUS_WAIT_0 + i);
        Block->WaitType = (UCHAR)Set->Type;
        Block->NextWaitBlock = &Set->Block[(i + 1) % Set->Count];
        InsertTailList(&((PDISPATCHER_HEADER)Block->Object)->WaitListHead, &Block->WaitListEntry);
    }
    // The timer's block is put behind the first; a walk that starts at any block meets them all.
    Thread->WaitBlockList = Set->Block;
}

static DECLSPEC_NORETURN VOID KiTooManyObjects(ULONG Count)
{
    KiBugCheck(MAXIMUM_WAIT_OBJECTS_EXCEEDED, Count, 0, 0, KiReturnAddress(), NULL,
               "KeWaitForMultipleObjects was given more objects than it takes: 3, or 64 with wait "
               "blocks.");
}

// KeWaitForMultipleObjects: waits for any of several objects, or for all of them at one instant.
//   Count           1 to THREAD_WAIT_OBJECTS, with WaitBlockArray to MAXIMUM_WAIT_OBJECTS.
//   WaitBlockArray  Count blocks in nonpaged memory, the routine's until it returns; NULL: the
//   thread's. others          as for KeWaitForSingleObject.
// Returns STATUS_WAIT_0 + n for object n of WaitAny, STATUS_WAIT_0 for WaitAll;
// STATUS_ABANDONED_WAIT_0 likewise. IRQL: as KeWaitForSingleObject. Fails: as that; bugcheck
// MAXIMUM_WAIT_OBJECTS_EXCEEDED (the count, 0, 0, the caller). Source: WDK wdm.h,
// KeWaitForMultipleObjects.
NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType,
                                        KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                        BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                        PKWAIT_BLOCK WaitBlockArray)
{
    PKTHREAD Thread = KiCurrentThread();
    ULONG64 DueTime = 0;
    KI_WAIT Wait = {.Thread = Thread,
                    .Timeout = Timeout,
                    .DueTime = &DueTime,
                    .Caller = KiReturnAddress(),
                    .Mode = WaitMode,
                    .Reason = (UCHAR)WaitReason,
                    .Alertable = Alertable};
    KI_WAIT_SET Set = {Count, Object, WaitType,
                       WaitBlockArray != NULL ? WaitBlockArray : Thread->WaitBlock};
    LONG_PTR Status;
    BOOLEAN Had;

    if (Count == 0 || Count > (WaitBlockArray != NULL ? MAXIMUM_WAIT_OBJECTS : THREAD_WAIT_OBJECTS))
        KiTooManyObjects(Count);
    KiWatchWait(Wait, Object[0]);
    do {
        KiBeginWait(Wait, Object[0]);
        if (KiApcComesFirst(Thread)) {
            KiRunApcsFirst(Thread);
            Status = STATUS_KERNEL_APC;
            continue;
        }
        Had = WaitType == WaitAny ? KiTryConsumeAny(&Set, Thread, &Status)
                                  : KiTryConsumeEvery(&Set, Thread, &Status);
        if (!Had && KiMayBlock(Wait, &Status)) {
            KiLinkBlocks(&Set, Thread);
            Status = KiBlock(Wait);
            continue;
        }
        KiUnlockDispatcher(Thread->WaitIrql);
    } while (Status == STATUS_KERNEL_APC);
    return (NTSTATUS)Status;
}
EXPORT(KeWaitForMultipleObjects, DISPATCH_LEVEL, "WDK wdm.h KeWaitForMultipleObjects");

// KeDelayExecutionThread: does nothing until *Interval has passed (negative, 100 ns units) or is
// reached (positive, system time). 0 gives the rest of the quantum away. IRQL: <= APC_LEVEL. Fails:
// STATUS_ALERTED, STATUS_USER_APC. Source: WDK wdm.h, KeDelayExecutionThread.
NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                      PLARGE_INTEGER Interval)
{
    PKTHREAD Thread = KiCurrentThread();
    ULONG64 DueTime = 0;
    KI_WAIT Wait = {.Thread = Thread,
                    .Timeout = Interval,
                    .DueTime = &DueTime,
                    .Caller = KiReturnAddress(),
                    .Mode = WaitMode,
                    .Reason = DelayExecution,
                    .Alertable = Alertable};
    LONG_PTR Status;

    if (Interval->QuadPart == 0 && !Alertable) {
        ASSERT_IRQL_AT_MOST(APC_LEVEL);
        KeYieldExecution();
        return STATUS_SUCCESS;
    }
    do {
        KiBeginWait(Wait, NULL);
        if (KiApcComesFirst(Thread)) {
            KiRunApcsFirst(Thread);
            Status = STATUS_KERNEL_APC;
        } else if (KiMayBlock(Wait, &Status)) {
            PKWAIT_BLOCK Block = &Thread->WaitBlock[TIMER_WAIT_BLOCK];
            Thread->WaitBlockList = Block;
            Status = KiBlock(Wait);
        } else {
            KiUnlockDispatcher(Thread->WaitIrql);
        }
    } while (Status == STATUS_KERNEL_APC);
    return Status == STATUS_TIMEOUT ? STATUS_SUCCESS : (NTSTATUS)Status;
}
EXPORT(KeDelayExecutionThread, APC_LEVEL, "WDK wdm.h KeDelayExecutionThread");

// ---- queues (queue.c) ---------------------------------------------------------------------------
LONG_PTR KiWaitForQueue(PKQUEUE Queue, KPROCESSOR_MODE Mode, PLARGE_INTEGER Timeout,
                        ULONG_PTR Caller)
{
    PKTHREAD Thread = KiCurrentThread();
    ULONG64 DueTime = 0;
    KI_WAIT Wait = {.Thread = Thread,
                    .Timeout = Timeout,
                    .DueTime = &DueTime,
                    .Caller = Caller,
                    .Mode = Mode,
                    .Reason = WrQueue};
    LONG_PTR Status;

    do {
        KiBeginWait(Wait, Queue);
        if (KiApcComesFirst(Thread)) {
            KiRunApcsFirst(Thread);
            Status = STATUS_KERNEL_APC;
            continue;
        }
        KiServeQueue(Thread, Queue);
        Status = (LONG_PTR)KiTakeEntry(Queue);
        if (Status == 0 && KiMayBlock(Wait, &Status)) {
            KiLinkBlock(&Queue->Header, Thread);
            Status = KiBlock(Wait);
            continue;
        }
        Queue->CurrentCount++;
        KiUnlockDispatcher(Thread->WaitIrql);
    } while (Status == STATUS_KERNEL_APC);
    return Status;
}
