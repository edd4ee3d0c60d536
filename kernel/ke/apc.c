// SPDX-License-Identifier: MIT
// Asynchronous procedure calls: routines that run in a certain thread, wherever it is.
//
// A special kernel APC (no NormalRoutine) runs its KernelRoutine at APC_LEVEL as soon as the thread
// is below that level and in no guarded region. A normal kernel APC also waits until the thread is
// in no critical region and no other normal APC of its runs; after KernelRoutine its NormalRoutine
// runs at PASSIVE_LEVEL. Special ones come before normal ones, otherwise in the order they were
// queued. A user APC runs in user mode: here it is queued, and ends an alertable UserMode wait.
// From then on it is pending (UserApcPending) and ends any wait in that mode, until it is removed.
//
// KernelApcPending says that there may be something to deliver; it is set by whoever queues or
// leaves a region, and cleared by the delivery, which then takes what the rules allow. While it is
// set, the APC_LEVEL software interrupt is on its way whenever the thread is on a processor: it is
// asked for when the flag is set in a running thread, on whichever processor, and at each switch to
// the thread; where a thread that runs nothing of the kind is interrupted, nothing happens. A
// waiting thread is woken for a deliverable APC and waits again afterwards.
//
// Locking: KTHREAD.ApcLock covers lists and Inserted; it is taken under the dispatcher lock, or
// alone at DISPATCH_LEVEL to deliver and to run down. The disable counts are written by the thread
// itself alone, or by whoever ends its wait.
//
// Tests: tests/guest/threads.c, tests/guest/apcs.c.
#include "ki.h"

// A routine that leaves at another IRQL or with the regions unbalanced has lost track.
static VOID KiCheckAfterApc(PKTHREAD Thread, ULONG Regions, ULONG_PTR Routine, KIRQL Irql)
{
    if (KiGetIrql() != Irql)
        KiBugCheck(IRQL_UNEXPECTED_VALUE, (ULONG_PTR)KiGetIrql() << 16 | (ULONG_PTR)Irql << 8 | 1,
                   Routine, 0, 0, NULL, "An APC routine changed the IRQL and did not restore it.");
    if (Thread->CombinedApcDisable != Regions)
        KiBugCheck(
            APC_INDEX_MISMATCH, Routine, Thread->CombinedApcDisable, Regions, 0, NULL,
            "An APC routine entered a critical or guarded region and did not leave it, or left one "
            "that it had not entered.");
}

// Takes the next kernel APC that may be delivered now. FALSE: there is none.
static BOOLEAN KiTakeApc(PKTHREAD Thread, PKAPC *Apc, KAPC *Copy)
{
    KIRQL OldIrql = KiAcquireLock(&Thread->ApcLock);
    PLIST_ENTRY Head = &Thread->ApcListHead[KernelMode];
    BOOLEAN Taken = FALSE;

    if (!IsListEmpty(Head)) {
        *Apc = CONTAINING_RECORD(Head->Flink, KAPC, ApcListEntry);
        Taken = (*Apc)->NormalRoutine == NULL ||
                (!Thread->KernelApcInProgress && Thread->KernelApcDisable == 0);
        if (Taken) {
            RemoveEntryList(Head->Flink);
            (*Apc)->Inserted = FALSE;
            *Copy = **Apc;
        }
    }
    KiReleaseLock(&Thread->ApcLock, OldIrql);
    return Taken;
}

static VOID KiDeliverApc(PKTHREAD Thread, PKAPC Apc, KAPC *Copy)
{
    ULONG Regions = Thread->CombinedApcDisable;

    Copy->KernelRoutine(Apc, &Copy->NormalRoutine, &Copy->NormalContext, &Copy->SystemArgument1,
                        &Copy->SystemArgument2);
    KiCheckAfterApc(Thread, Regions, (ULONG_PTR)Copy->KernelRoutine, APC_LEVEL);
    if (Copy->NormalRoutine == NULL)
        return;
    Thread->KernelApcInProgress = TRUE;
    KiLowerIrql(PASSIVE_LEVEL);
    Copy->NormalRoutine(Copy->NormalContext, Copy->SystemArgument1, Copy->SystemArgument2);
    KiCheckAfterApc(Thread, Regions, (ULONG_PTR)Copy->NormalRoutine, PASSIVE_LEVEL);
    KiSetIrql(APC_LEVEL);
    Thread->KernelApcInProgress = FALSE;
}

VOID KiDeliverApcs(VOID)
{
    PKTHREAD Thread = KiCurrentThread();
    PKAPC Apc;
    KAPC Copy;

    Thread->KernelApcPending = FALSE;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (Thread->SpecialApcDisable != 0)
        return;
    while (KiTakeApc(Thread, &Apc, &Copy))
        KiDeliverApc(Thread, Apc, &Copy);
}

// What the leaving of a region may have made deliverable is.
static VOID KiReconsiderApcs(PKTHREAD Thread)
{
    if (IsListEmpty(&Thread->ApcListHead[KernelMode]))
        return;
    Thread->KernelApcPending = TRUE;
    KiRequestApc();
    KiLowerIrql(KiGetIrql()); // i386 looks for what was asked for when the IRQL is lowered
}

// ---- queueing -----------------------------------------------------------------------------------

// KeInitializeApc: makes an APC for Thread.
//   KernelRoutine   runs first, at APC_LEVEL; it may free the APC, and change what NormalRoutine
//   gets. RundownRoutine  called instead when the thread ends first; NULL: the APC is freed to the
//   pool. NormalRoutine   NULL: a special kernel APC. ApcMode         UserMode: NormalRoutine is
//   user code.
// IRQL: any. Source: Oney, Programming the Microsoft Windows Driver Model; ntifs.h prototypes.
VOID NTAPI KeInitializeApc(PRKAPC Apc, PRKTHREAD Thread, KAPC_ENVIRONMENT Environment,
                           PKKERNEL_ROUTINE KernelRoutine, PKRUNDOWN_ROUTINE RundownRoutine,
                           PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode,
                           PVOID NormalContext)
{
    memset(Apc, 0, sizeof(*Apc));
    Apc->Type = ApcObject;
    Apc->Size = sizeof(*Apc);
    Apc->Thread = Thread;
    Apc->ApcStateIndex = (CCHAR)Environment;
    Apc->KernelRoutine = KernelRoutine;
    Apc->RundownRoutine = RundownRoutine;
    Apc->NormalRoutine = NormalRoutine;
    if (NormalRoutine != NULL) {
        Apc->ApcMode = ApcMode;
        Apc->NormalContext = NormalContext;
    }
}
EXPORT(KeInitializeApc, EXPORT_ANY_IRQL, "ntifs.h KeInitializeApc");

static VOID KiLinkApc(PKTHREAD Thread, PKAPC Apc)
{
    PLIST_ENTRY Head = &Thread->ApcListHead[(UCHAR)Apc->ApcMode], Before = Head->Blink;

    if (Apc->NormalRoutine == NULL) // behind the special ones
        while (Before != Head &&
               CONTAINING_RECORD(Before, KAPC, ApcListEntry)->NormalRoutine != NULL)
            Before = Before->Blink;
    InsertHeadList(Before, &Apc->ApcListEntry);
    Apc->Inserted = TRUE;
}

static BOOLEAN KiApcEndsWait(const KTHREAD *Thread, const KAPC *Apc)
{
    if (Thread->State != ThreadWaiting)
        return FALSE;
    if (Apc->ApcMode == KernelMode)
        return Thread->WaitIrql < APC_LEVEL && Thread->SpecialApcDisable == 0 &&
               (Apc->NormalRoutine == NULL ||
                (Thread->KernelApcDisable == 0 && !Thread->KernelApcInProgress));
    return Thread->WaitMode == UserMode && (Thread->Alertable || Thread->UserApcPending);
}

// The APC is linked: sees to it that the thread takes notice. Locked: dispatcher.
static VOID KiNotifyApc(PKTHREAD Thread, PKAPC Apc, KPRIORITY Increment)
{
    BOOLEAN Wake = KiApcEndsWait(Thread, Apc);

    if (Apc->ApcMode == KernelMode) {
        Thread->KernelApcPending = TRUE;
        // Either this sees it run, or the switch to it (KiSwap) sees that there is an APC.
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (Thread == KiCurrentThread())
            KiRequestApc();
        else if (Thread->State == ThreadRunning)
            HalRequestRemoteInterrupt(Thread->Processor, APC_LEVEL);
    } else if (Wake) {
        Thread->UserApcPending = TRUE;
    }
    if (Wake)
        KiEndWait(Thread, Apc->ApcMode == KernelMode ? STATUS_KERNEL_APC : STATUS_USER_APC,
                  Increment);
}

// KeInsertQueueApc: queues the APC. Increment is added to the thread's base priority when it is
// waiting and the APC wakes it. IRQL: <= DISPATCH_LEVEL. Fails: FALSE when it is queued already or
// the thread is ending. Source: ntifs.h prototypes.
BOOLEAN NTAPI KeInsertQueueApc(PRKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2,
                               KPRIORITY Increment)
{
    KIRQL OldIrql = KiLockDispatcher();
    PKTHREAD Thread = Apc->Thread;
    BOOLEAN Inserted;

    KiTakeLock(&Thread->ApcLock);
    Inserted = Thread->ApcQueueable && !Apc->Inserted;
    if (Inserted) {
        Apc->SystemArgument1 = SystemArgument1;
        Apc->SystemArgument2 = SystemArgument2;
        KiLinkApc(Thread, Apc);
    }
    KiDropLock(&Thread->ApcLock);
    if (Inserted)
        KiNotifyApc(Thread, Apc, Increment);
    KiUnlockDispatcher(OldIrql);
    return Inserted;
}
EXPORT(KeInsertQueueApc, DISPATCH_LEVEL, "ntifs.h KeInsertQueueApc");

// KeRemoveQueueApc: takes the APC back. Returns whether it was queued.
// IRQL: <= DISPATCH_LEVEL. Source: ntifs.h prototypes.
BOOLEAN NTAPI KeRemoveQueueApc(PRKAPC Apc)
{
    KIRQL OldIrql = KiLockDispatcher(); // a wait looks at the list of user APCs
    PKTHREAD Thread = Apc->Thread;
    BOOLEAN Removed;

    KiTakeLock(&Thread->ApcLock);
    Removed = Apc->Inserted;
    if (Removed) {
        RemoveEntryList(&Apc->ApcListEntry);
        Apc->Inserted = FALSE;
        if (Apc->ApcMode != KernelMode && IsListEmpty(&Thread->ApcListHead[UserMode]))
            Thread->UserApcPending = FALSE;
    }
    KiDropLock(&Thread->ApcLock);
    KiUnlockDispatcher(OldIrql);
    return Removed;
}
EXPORT(KeRemoveQueueApc, DISPATCH_LEVEL, "ntifs.h KeRemoveQueueApc");

// Takes an APC off a list of an ending thread; NULL: none is left.
PKAPC KeFlushApc(PKTHREAD Thread, KPROCESSOR_MODE Mode)
{
    KIRQL OldIrql = KiAcquireLock(&Thread->ApcLock);
    PKAPC Apc = NULL;

    Thread->ApcQueueable = FALSE;
    if (!IsListEmpty(&Thread->ApcListHead[(UCHAR)Mode])) {
        Apc = CONTAINING_RECORD(RemoveHeadList(&Thread->ApcListHead[(UCHAR)Mode]), KAPC,
                                ApcListEntry);
        Apc->Inserted = FALSE;
    }
    KiReleaseLock(&Thread->ApcLock, OldIrql);
    return Apc;
}

// ---- alerts -------------------------------------------------------------------------------------

// KeAlertThread: ends an alertable wait of the thread with STATUS_ALERTED, or its next one. Returns
// whether an alert of this mode was pending already. IRQL: <= DISPATCH_LEVEL. Source: ntifs.h
// prototypes.
BOOLEAN NTAPI KeAlertThread(PKTHREAD Thread, KPROCESSOR_MODE AlertMode)
{
    KIRQL OldIrql = KiLockDispatcher();
    BOOLEAN Was = Thread->Alerted[(UCHAR)AlertMode];

    if (!Was) {
        if (Thread->State == ThreadWaiting && Thread->Alertable && AlertMode <= Thread->WaitMode)
            KiEndWait(Thread, STATUS_ALERTED, 2);
        else
            Thread->Alerted[(UCHAR)AlertMode] = TRUE;
    }
    KiUnlockDispatcher(OldIrql);
    return Was;
}
EXPORT(KeAlertThread, DISPATCH_LEVEL, "ntifs.h KeAlertThread");

// KeTestAlertThread: takes a pending alert of this mode. Returns whether there was one.
// IRQL: <= DISPATCH_LEVEL. Source: ntifs.h prototypes.
BOOLEAN NTAPI KeTestAlertThread(KPROCESSOR_MODE AlertMode)
{
    KIRQL OldIrql = KiLockDispatcher();
    PKTHREAD Thread = KiCurrentThread();
    BOOLEAN Was = Thread->Alerted[(UCHAR)AlertMode];

    Thread->Alerted[(UCHAR)AlertMode] = FALSE;
    if (!Was && AlertMode == UserMode && !IsListEmpty(&Thread->ApcListHead[UserMode]))
        Thread->UserApcPending = TRUE;
    KiUnlockDispatcher(OldIrql);
    return Was;
}
EXPORT(KeTestAlertThread, DISPATCH_LEVEL, "ntifs.h KeTestAlertThread");

// ---- regions ------------------------------------------------------------------------------------
static DECLSPEC_NORETURN DECLSPEC_NOINLINE VOID KiRegionNotEntered(PKTHREAD Thread,
                                                                   ULONG_PTR Caller)
{
    KiBugCheck(APC_INDEX_MISMATCH, Caller, Thread->CombinedApcDisable, 0, 0, NULL,
               "A critical or guarded region was left that had not been entered.");
}

// KeEnterCriticalRegion: no normal kernel APC runs in this thread until KeLeaveCriticalRegion.
// Nests. IRQL: <= APC_LEVEL. Source: WDK ntddk.h, KeEnterCriticalRegion.
VOID NTAPI KeEnterCriticalRegion(VOID)
{
    KiCurrentThread()->KernelApcDisable--;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
EXPORT(KeEnterCriticalRegion, DISPATCH_LEVEL, "WDK ntddk.h KeEnterCriticalRegion");

// KeLeaveCriticalRegion: undoes KeEnterCriticalRegion; APCs that waited for it run before it
// returns. IRQL: <= APC_LEVEL. Fails: bugcheck APC_INDEX_MISMATCH (the caller, the counts, 0, 0)
// when no region is entered. Source: WDK ntddk.h, KeLeaveCriticalRegion.
VOID NTAPI KeLeaveCriticalRegion(VOID)
{
    PKTHREAD Thread = KiCurrentThread();

    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (__builtin_expect(Thread->KernelApcDisable >= 0, 0))
        KiRegionNotEntered(Thread, KiReturnAddress());
    if (++Thread->KernelApcDisable == 0)
        KiReconsiderApcs(Thread);
}
EXPORT(KeLeaveCriticalRegion, DISPATCH_LEVEL, "WDK ntddk.h KeLeaveCriticalRegion");

// KeEnterGuardedRegion: no kernel APC at all runs in this thread until KeLeaveGuardedRegion. Nests.
// IRQL: <= APC_LEVEL. Source: WDK ntddk.h, KeEnterGuardedRegion.
VOID NTAPI KeEnterGuardedRegion(VOID)
{
    KiCurrentThread()->SpecialApcDisable--;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
EXPORT(KeEnterGuardedRegion, DISPATCH_LEVEL, "WDK ntddk.h KeEnterGuardedRegion");

// KeLeaveGuardedRegion: undoes KeEnterGuardedRegion.
// IRQL: <= APC_LEVEL. Fails: as KeLeaveCriticalRegion. Source: WDK ntddk.h, KeLeaveGuardedRegion.
VOID NTAPI KeLeaveGuardedRegion(VOID)
{
    PKTHREAD Thread = KiCurrentThread();

    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (__builtin_expect(Thread->SpecialApcDisable >= 0, 0))
        KiRegionNotEntered(Thread, KiReturnAddress());
    if (++Thread->SpecialApcDisable == 0)
        KiReconsiderApcs(Thread);
}
EXPORT(KeLeaveGuardedRegion, DISPATCH_LEVEL, "WDK ntddk.h KeLeaveGuardedRegion");

// KeAreApcsDisabled: whether the thread is in a critical or guarded region.
// IRQL: any. Source: WDK wdm.h, KeAreApcsDisabled.
BOOLEAN NTAPI KeAreApcsDisabled(VOID)
{
    return KiCurrentThread()->CombinedApcDisable != 0;
}
EXPORT(KeAreApcsDisabled, EXPORT_ANY_IRQL, "WDK wdm.h KeAreApcsDisabled");

// KeAreAllApcsDisabled: whether it is in a guarded region, or at APC_LEVEL or above.
// IRQL: any. Source: WDK wdm.h, KeAreAllApcsDisabled.
BOOLEAN NTAPI KeAreAllApcsDisabled(VOID)
{
    return KiCurrentThread()->SpecialApcDisable != 0 || KiGetIrql() >= APC_LEVEL;
}
EXPORT(KeAreAllApcsDisabled, EXPORT_ANY_IRQL, "WDK wdm.h KeAreAllApcsDisabled");
