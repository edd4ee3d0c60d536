// SPDX-License-Identifier: MIT
// ready.h: ready queues, and from one thread to the next: what every switch goes through, inline
// for sched.c, which explains it all, and for wait.c. What is rarely needed is a call into sched.c.
#pragma once

#include "ki.h"

VOID KiChoose(PKPRCB Prcb, PKTHREAD Thread); // to run next; who was to goes back
PKTHREAD KiTakeBetter(PKPRCB Prcb, PKTHREAD Chosen);
VOID KiBecomeIdle(PKPRCB Prcb);
PKPRCB KiChooseProcessor(const KTHREAD *Thread);
VOID KiWakeIdleFor(KAFFINITY Affinity);
VOID KiMakeSeveralReady(PKPRCB Prcb, PKTHREAD Last);

// ---- the lock -----------------------------------------------------------------------------------
FORCEINLINE BOOLEAN KiLockReady(PKPRCB Prcb)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    KiTakeLock(&Prcb->ReadyLock);
    return Enabled;
}

// Where the threads may run that were put into a queue since the lock was taken. Under ReadyLock.
FORCEINLINE KAFFINITY KiTakeQueuedFor(PKPRCB Prcb)
{
    KAFFINITY Queued = Prcb->QueuedFor & KeActiveProcessors;
    Prcb->QueuedFor = 0;
    return Queued;
}

// Was: whether Reschedule was set when the lock was taken. If it is now and was not, the processor
// is to look.
FORCEINLINE VOID KiUnlockReady(PKPRCB Prcb, BOOLEAN Was, BOOLEAN Enabled)
{
    BOOLEAN Notify = Prcb != KeGetCurrentPrcb() && Prcb->Reschedule && !Was;
    KAFFINITY Queued = KiTakeQueuedFor(Prcb);

    KiGiveLock(&Prcb->ReadyLock);
    KiRestoreInterrupts(Enabled);
    if (__builtin_expect(Notify, 0))
        KiRequestRemoteDispatch(Prcb);
    KiWakeIdleFor(Queued);
}

// ---- queues: under ReadyLock --------------------------------------------------------------------
FORCEINLINE VOID KiEnqueue(PKPRCB Prcb, PKTHREAD Thread, BOOLEAN AtHead)
{
    PLIST_ENTRY Queue = &Prcb->ReadyListHead[Thread->Priority];

    Thread->State = ThreadReady;
    if (AtHead)
        InsertHeadList(Queue, &Thread->ReadyEntry);
    else
        InsertTailList(Queue, &Thread->ReadyEntry);
    Prcb->ReadySummary |= 1u << Thread->Priority;
    Prcb->QueuedFor |= Thread->Affinity;
}

FORCEINLINE VOID KiDequeue(PKPRCB Prcb, PKTHREAD Thread)
{
    if (RemoveEntryList(&Thread->ReadyEntry))
        Prcb->ReadySummary &= ~(1u << Thread->Priority);
}

// The first thread of the highest queue. There is one.
FORCEINLINE PKTHREAD KiBestReady(PKPRCB Prcb)
{
    ULONG Priority = 31 - (ULONG)__builtin_clz(Prcb->ReadySummary);
    return CONTAINING_RECORD(Prcb->ReadyListHead[Priority].Flink, KTHREAD, ReadyEntry);
}

FORCEINLINE PKTHREAD KiFrontRunner(const KPRCB *Prcb)
{
    return Prcb->NextThread != NULL ? Prcb->NextThread : Prcb->RunningThread;
}

FORCEINLINE VOID KiPlace(PKPRCB Prcb, PKTHREAD Thread)
{
    Thread->Processor = Prcb->ProcessorNumber;
    Thread->ReadyTime = KiTickCount();
    if (Thread->Priority > KiFrontRunner(Prcb)->Priority)
        KiChoose(Prcb, Thread);
    else
        KiEnqueue(Prcb, Thread, FALSE);
}

// Takes what is to run now.
FORCEINLINE PKTHREAD KiTakeNext(PKPRCB Prcb)
{
    PKTHREAD Thread = Prcb->NextThread;

    if (Thread != NULL) {
        Prcb->NextThread = NULL;
        if (__builtin_expect(Prcb->ReadySummary >> Thread->Priority > 1, 0))
            Thread = KiTakeBetter(Prcb, Thread);
    } else if (Prcb->ReadySummary != 0) {
        Thread = KiBestReady(Prcb);
        KiDequeue(Prcb, Thread);
    } else {
        Thread = Prcb->IdleThread;
        KiBecomeIdle(Prcb);
    }
    Thread->State = ThreadRunning;
    Prcb->RunningThread = Thread;
    Prcb->Reschedule = Prcb->QuantumEnd = FALSE;
    return Thread;
}

// ---- threads whose wait has ended: under the dispatcher lock, until its release -----------------
FORCEINLINE VOID KiNoteReleased(PKPRCB Prcb, PKTHREAD Thread)
{
    Thread->NextReleased = Prcb->Released;
    Prcb->Released = Thread;
}

FORCEINLINE VOID KiMakeReady(PKPRCB Self, PKTHREAD Thread)
{
    PKPRCB Prcb;
    BOOLEAN Enabled, Was;

    if (KiAlone) { // nobody to choose, to tell, or to keep out
        KiPlace(Self, Thread);
        return;
    }
    Prcb = KiChooseProcessor(Thread);
    Enabled = KiLockReady(Prcb);
    Was = Prcb->Reschedule;
    KiPlace(Prcb, Thread);
    KiUnlockReady(Prcb, Was, Enabled);
}

// The lock is about to be released. There are some, most often one.
FORCEINLINE VOID KiMakeReleasedReady(PKPRCB Prcb)
{
    PKTHREAD Thread = Prcb->Released;

    Prcb->Released = NULL;
    if (__builtin_expect(Thread->NextReleased == NULL, 1))
        KiMakeReady(Prcb, Thread);
    else
        KiMakeSeveralReady(Prcb, Thread);
}

// ---- switching ----------------------------------------------------------------------------------
// Interrupts are off.
FORCEINLINE VOID KiSwap(PKPRCB Prcb, PKTHREAD Old, PKTHREAD New)
{
    Prcb->ContextSwitches++;
    New->ContextSwitches++;
    KiSaveFloat(Old);
    KiSwapContext(Old, New);
    KiRestoreFloat(Old);
    if (Old->KernelApcPending)
        KiRequestApc();
}

// Thread, which runs here, no longer does. Locked: dispatcher, and released inside.
FORCEINLINE VOID KiSwapThread(PKTHREAD Thread)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    PKTHREAD New;

    KiCli(); // before others may end the wait
    KiDropDispatcherLock(Prcb);
    KiTakeLockAs(&Prcb->ReadyLock, Prcb);
    New = KiTakeNext(Prcb);
    KiGiveLock(&Prcb->ReadyLock);
    if (New != Thread)
        KiSwap(Prcb, Thread, New);
    else if (Thread->KernelApcPending) // made ready again already
        KiRequestApc();
    KiSti();
}
