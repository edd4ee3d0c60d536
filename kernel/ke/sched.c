// SPDX-License-Identifier: MIT
// The scheduler: which thread runs on which processor.
//
// Every processor has 32 ready queues, one for each priority, and a bitmap of those that are not
// empty. The highest priority runs; equals take turns by quantum. What is to run next on a
// processor is decided by whoever causes the change, at once: it is put into the processor's
// NextThread, and Reschedule is set. The switch itself happens on that processor when it leaves
// DISPATCH_LEVEL:
//     by KiExitDispatcher        at the end of a routine that made a thread ready
//     by the dispatch interrupt  after the DPCs, if it interrupted code below DISPATCH_LEVEL
//     by a wait                  which gives the processor up (KiSwapThread)
//
// A thread's states:
//
//     Initialized -> Ready <-> Standby -> Running -> Terminated
//                     ^  ^----------------   |
//                     |                      v
//                     +------------------ Waiting
//
// Priorities 1 to 15 vary: the end of a wait may raise a thread above its base (by what the caller
// of KeSetEvent and its like grants), and each quantum used up takes one level back. 16 to 31 stay.
// A thread that has been ready for STARVED_TICKS without running is raised to 15 for one quantum
// (KeRelieveStarvation). A quantum is six units, two clock ticks of three; a wait costs one unit,
// so that a thread that waits just before each tick pays too.
//
// Where a ready thread goes: to an idle processor if its affinity allows one (its ideal one, the
// one it ran on, this one, any, in that order), else into the queue of its ideal processor. A
// processor that would be idle looks into the others' queues (KiIdleLoop).
//
// Locking. What changes a thread from or to Waiting, Initialized and Terminated holds the
// dispatcher lock; what goes on between Ready, Standby and Running holds the ReadyLock of the
// thread's processor. So a thread whose state may be anything is held still by both, the dispatcher
// lock first. There is one dispatcher lock for all that can be waited for: a wait for all of
// several objects, a pulse, an abandoned mutex change many objects and threads at one instant, and
// the sections are some tens of instructions long.
//
// ReadyLock is taken with interrupts off, since a switch waits for it so: see ipi.c for why these
// go together. While there is one processor, DISPATCH_LEVEL is enough, since interrupts touch no
// queue: whoever only makes a thread ready does not take it then (KiAlone). Reschedule goes from
// FALSE to TRUE under ReadyLock; whoever makes that change sees to it that the processor looks (for
// another one: a dispatch interrupt), and later ones need not.
//
// A thread that gives its processor up is Waiting or Ready, and may be chosen elsewhere, before its
// registers are saved. InContext says so, and whoever switches to it waits (swap.S). From the
// moment when others may choose it until then interrupts are off, so the wait is short.
//
// Nothing is left lying. Whoever puts a thread into a queue (QueuedFor) looks at KiIdleProcessors
// afterwards, and a processor that becomes idle sets its bit there and looks into the queues
// afterwards: one of the two sees the other. In the first case LookAgain is set in the idle
// processor's KPRCB, and an interrupt sent: it does not halt if it is set, which it asks with
// interrupts off until the hlt has begun, and if it has halted the interrupt ends that
// (KeIdleLoop). One that gets a thread of its own before it has looked asks the others to.
//
// A thread's affinity may change at any time. While it is ready or chosen it is moved at once;
// while it runs where it no longer may, its processor is told to switch, and gives it away then
// (KiMoveAway).
//
// `!threads` prints all threads, `!ready` who runs and who is to run. Tests: tests/guest/threads.c.
#include "ready.h"

#define TICK_QUANTUM  3    // what a clock tick costs
#define STARVED_TICKS 256u // four seconds
#define STARVED_SCAN  16u  // at most so many are raised at a time

KSPIN_LOCK KiDispatcherLock;
BOOLEAN KiAlone;
volatile KAFFINITY KiIdleProcessors; // that run their idle thread and have nothing chosen

VOID KiInitializeScheduler(PKPRCB Prcb, PKTHREAD IdleThread)
{
    for (ULONG i = 0; i < MAXIMUM_PRIORITY; i++)
        InitializeListHead(&Prcb->ReadyListHead[i]);
    Prcb->Released = NULL;
    KiAlone = Prcb->ProcessorNumber == 0;
    IdleThread->State = ThreadRunning;
    IdleThread->Priority = IdleThread->BasePriority = -1; // below all others
    IdleThread->Processor = Prcb->ProcessorNumber;
    IdleThread->Affinity = IdleThread->UserAffinity = Prcb->ProcessorMask;
    IdleThread->InContext = TRUE;
    Prcb->CurrentThread = Prcb->RunningThread = Prcb->IdleThread = IdleThread;
}

// ---- the lock -----------------------------------------------------------------------------------
#define EVERYWHERE (~(KAFFINITY)0) // who knows where: all processors that are idle look

// Threads were put into a queue. A processor that has become idle meanwhile may not have seen it.
DECLSPEC_NOINLINE VOID KiWakeIdleFor(KAFFINITY Affinity)
{
    PKPRCB Self = KeGetCurrentPrcb();
    KAFFINITY Idle;

    if (Affinity == 0 || KeNumberProcessors == 1)
        return;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    Idle = KiIdleProcessors & Affinity;
    if (Idle & Self->ProcessorMask) { // in a DPC, say: it looks when it is done
        Self->LookAgain = TRUE;
        Idle = Affinity == EVERYWHERE ? Idle & ~Self->ProcessorMask : 0;
    }
    for (; Idle != 0; Idle &= Idle - 1) {
        PKPRCB Prcb = KiProcessorBlock[__builtin_ctzll(Idle)];
        if (!__atomic_exchange_n(&Prcb->LookAgain, TRUE, __ATOMIC_SEQ_CST)) {
            KiRequestRemoteDispatch(Prcb);
            if (Affinity != EVERYWHERE)
                return;
        }
    }
}

// ---- ready queues: under ReadyLock --------------------------------------------------------------
// Thread is to run next; who was to goes back.
DECLSPEC_NOINLINE VOID KiChoose(PKPRCB Prcb, PKTHREAD Thread)
{
    PKTHREAD Displaced = Prcb->NextThread;

    Thread->State = ThreadStandby;
    Prcb->NextThread = Thread;
    Prcb->Reschedule = TRUE;
    if (Displaced != NULL)
        KiEnqueue(Prcb, Displaced, TRUE);
    else if (Prcb->RunningThread == Prcb->IdleThread)
        __atomic_fetch_and(&KiIdleProcessors, ~Prcb->ProcessorMask, __ATOMIC_SEQ_CST);
}

// Priorities have changed: sees to it again that the best is the front runner.
static VOID KiReconsider(PKPRCB Prcb)
{
    PKTHREAD Next = Prcb->NextThread;

    if (Next != NULL && Next->Priority <= Prcb->RunningThread->Priority) {
        Prcb->NextThread = NULL;
        KiEnqueue(Prcb, Next, TRUE);
    }
    if (Prcb->ReadySummary != 0) {
        PKTHREAD Best = KiBestReady(Prcb);
        if (Best->Priority > KiFrontRunner(Prcb)->Priority) {
            KiDequeue(Prcb, Best);
            KiChoose(Prcb, Best);
        }
    }
}

// The thread that ran was better than those in the queue, so they were put there; then, while it
// was on its way out, it was given a lower priority, and Chosen was better than that.
DECLSPEC_NOINLINE PKTHREAD KiTakeBetter(PKPRCB Prcb, PKTHREAD Chosen)
{
    PKTHREAD Thread = KiBestReady(Prcb);

    KiDequeue(Prcb, Thread);
    KiEnqueue(Prcb, Chosen, TRUE);
    KiWakeIdleFor(KiTakeQueuedFor(Prcb));
    return Thread;
}

// From now on threads that are queued elsewhere are offered to this processor. It has not seen
// those that are queued already, wherever in its loop the idle thread was interrupted.
DECLSPEC_NOINLINE VOID KiBecomeIdle(PKPRCB Prcb)
{
    Prcb->LookAgain = TRUE;
    __atomic_fetch_or(&KiIdleProcessors, Prcb->ProcessorMask, __ATOMIC_SEQ_CST);
}

// ---- making ready -------------------------------------------------------------------------------
DECLSPEC_NOINLINE PKPRCB KiChooseProcessor(const KTHREAD *Thread)
{
    KAFFINITY Allowed = Thread->Affinity & KeActiveProcessors, Idle = Allowed & KiIdleProcessors;
    KAFFINITY Candidates = Idle != 0 ? Idle : Allowed;

    if (Candidates >> Thread->IdealProcessor & 1)
        return KiProcessorBlock[Thread->IdealProcessor];
    if (Candidates >> Thread->Processor & 1)
        return KiProcessorBlock[Thread->Processor];
    if (Candidates & KeGetCurrentPrcb()->ProcessorMask)
        return KeGetCurrentPrcb();
    return KiProcessorBlock[__builtin_ctzll(Candidates)];
}

DECLSPEC_NOINLINE VOID KiReadyThread(PKTHREAD Thread)
{
    KiMakeReady(KeGetCurrentPrcb(), Thread);
}

VOID KiReadyReleased(PKPRCB Prcb)
{
    KiMakeReleasedReady(Prcb);
}

// Several: in the order in which their waits ended.
VOID KiMakeSeveralReady(PKPRCB Prcb, PKTHREAD Last)
{
    PKTHREAD First = NULL, Next;

    for (PKTHREAD Thread = Last; Thread != NULL; Thread = Next) {
        Next = Thread->NextReleased;
        Thread->NextReleased = First;
        First = Thread;
    }
    for (; First != NULL; First = Next) {
        Next = First->NextReleased; // once it is ready it may run, and end
        KiMakeReady(Prcb, First);
    }
}

// Locks the processor that a thread is ready on or runs on.
static PKPRCB KiLockProcessorOf(PKTHREAD Thread, BOOLEAN *Enabled)
{
    for (;;) {
        PKPRCB Prcb = KiProcessorBlock[*(volatile ULONG *)&Thread->Processor];
        *Enabled = KiLockReady(Prcb);
        if (Prcb->ProcessorNumber == Thread->Processor)
            return Prcb;
        KiUnlockReady(Prcb, Prcb->Reschedule, *Enabled);
    }
}

VOID KiSetPriority(PKTHREAD Thread, SCHAR Priority)
{
    BOOLEAN Enabled;
    PKPRCB Prcb = KiLockProcessorOf(Thread, &Enabled);
    BOOLEAN Was = Prcb->Reschedule;

    if (Thread->State == ThreadReady) {
        KiDequeue(Prcb, Thread);
        Thread->Priority = Priority;
        KiPlace(Prcb, Thread);
    } else {
        Thread->Priority = Priority;
        if (Thread->State == ThreadRunning || Thread->State == ThreadStandby)
            KiReconsider(Prcb);
    }
    KiUnlockReady(Prcb, Was, Enabled);
}

// Takes a thread that is ready or chosen off its processor again. Under ReadyLock.
static VOID KiWithdraw(PKPRCB Prcb, PKTHREAD Thread)
{
    if (Thread->State == ThreadReady) {
        KiDequeue(Prcb, Thread);
        return;
    }
    Prcb->NextThread = NULL;
    if (Prcb->ReadySummary != 0) {
        PKTHREAD Best = KiBestReady(Prcb);
        if (Best->Priority > Prcb->RunningThread->Priority) {
            KiDequeue(Prcb, Best);
            KiChoose(Prcb, Best);
        }
    }
    if (Prcb->NextThread == NULL && Prcb->RunningThread == Prcb->IdleThread)
        KiBecomeIdle(Prcb);
}

VOID KiSetAffinity(PKTHREAD Thread, KAFFINITY Affinity)
{
    BOOLEAN Enabled;
    PKPRCB Prcb = KiLockProcessorOf(Thread, &Enabled);
    BOOLEAN Was = Prcb->Reschedule, Leaves = (Affinity & Prcb->ProcessorMask) == 0, Moved = FALSE;

    Thread->Affinity = Affinity;
    if (Leaves && (Thread->State == ThreadReady || Thread->State == ThreadStandby)) {
        KiWithdraw(Prcb, Thread);
        Moved = TRUE;
    } else if (Leaves && Thread->State == ThreadRunning) {
        Prcb->Reschedule = TRUE;
    } else if (Thread->State == ThreadReady) {
        Prcb->QueuedFor |= Affinity; // others may take it now
    }
    KiUnlockReady(Prcb, Was, Enabled);
    if (Moved)
        KiReadyThread(Thread);
}

// ---- quantum and boosts -------------------------------------------------------------------------
// A quantum has been used: one level of what was granted above the base goes, and all that relief
// gave.
static SCHAR KiDecayedPriority(PKTHREAD Thread)
{
    LONG Priority = Thread->Priority;

    if (Priority >= LOW_REALTIME_PRIORITY)
        return (SCHAR)Priority;
    Priority -= Thread->Starved + 1;
    Thread->Starved = 0;
    return (SCHAR)(Priority > Thread->BasePriority ? Priority : Thread->BasePriority);
}

VOID KiChargeWait(PKTHREAD Thread, KPRIORITY Increment)
{
    LONG Boosted = Thread->BasePriority + Increment;

    if (Thread->Priority >= LOW_REALTIME_PRIORITY) {
        Thread->Quantum = Thread->QuantumReset;
        return;
    }
    if (Boosted >= LOW_REALTIME_PRIORITY)
        Boosted = LOW_REALTIME_PRIORITY - 1;
    if (Increment != 0 && Thread->Starved == 0 && Boosted > Thread->Priority)
        Thread->Priority = (SCHAR)Boosted;
    if (Thread->BasePriority >= TIME_CRITICAL) {
        Thread->Quantum = Thread->QuantumReset;
    } else {
        Thread->Quantum -= WAIT_QUANTUM;
        if (Thread->Quantum <= 0) {
            Thread->Quantum = Thread->QuantumReset;
            Thread->Priority = KiDecayedPriority(Thread);
        }
    }
}

VOID KiChargeQuantum(PKPRCB Prcb)
{
    PKTHREAD Thread = Prcb->CurrentThread;

    Thread->KernelTime++;
    if (Thread == Prcb->IdleThread)
        return;
    Thread->Quantum -= TICK_QUANTUM;
    if (Thread->Quantum > 0 || Prcb->QuantumEnd)
        return;
    Prcb->QuantumEnd = Prcb->Reschedule = TRUE;
    KiRequestReschedule(Prcb);
}

// The running thread's quantum is over: an equal or better one, if there is any, is next. Under
// ReadyLock. Returns whether it is over.
static BOOLEAN KiEndQuantum(PKPRCB Prcb, PKTHREAD Thread)
{
    if (Thread == Prcb->IdleThread || Thread->Quantum > 0)
        return FALSE;
    Thread->Quantum = Thread->QuantumReset;
    Thread->Priority = KiDecayedPriority(Thread);
    if (Prcb->NextThread == NULL && Prcb->ReadySummary >> Thread->Priority != 0) {
        PKTHREAD Best = KiBestReady(Prcb);
        KiDequeue(Prcb, Best);
        KiChoose(Prcb, Best);
    }
    return TRUE;
}

// Up to Left threads that have been ready for too long get priority 15 for a quantum. Under
// ReadyLock.
static ULONG KiRelieveQueue(PKPRCB Prcb, ULONG Priority, ULONG Left)
{
    PLIST_ENTRY Head = &Prcb->ReadyListHead[Priority], Entry = Head->Flink;
    ULONG Now = KiTickCount(), Raised = 0;

    while (Raised < Left && Entry != Head) {
        PKTHREAD Thread = CONTAINING_RECORD(Entry, KTHREAD, ReadyEntry);
        Entry = Entry->Flink;
        if (Now - Thread->ReadyTime < STARVED_TICKS)
            continue; // preempted, and so at the head: those behind may have waited longer
        KiDequeue(Prcb, Thread);
        Thread->Starved = (SCHAR)(LOW_REALTIME_PRIORITY - 1 - Thread->Priority);
        Thread->Priority = LOW_REALTIME_PRIORITY - 1;
        Thread->Quantum = Thread->QuantumReset;
        KiPlace(Prcb, Thread);
        Raised++;
    }
    return Raised;
}

VOID KeRelieveStarvation(VOID)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);

    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++) {
        PKPRCB Prcb = KiProcessorBlock[i];
        ULONG Left = STARVED_SCAN;
        if (Prcb == NULL || Prcb->ReadySummary == 0)
            continue;
        BOOLEAN Enabled = KiLockReady(Prcb), Was = Prcb->Reschedule;
        for (ULONG Priority = 1; Priority < LOW_REALTIME_PRIORITY - 1 && Left != 0; Priority++)
            Left -= KiRelieveQueue(Prcb, Priority, Left);
        KiUnlockReady(Prcb, Was, Enabled);
    }
    KiExitDispatcher(OldIrql);
}

// ---- switching ----------------------------------------------------------------------------------
// The running thread goes back to a queue of this processor.
static VOID KiPutBack(PKPRCB Prcb, PKTHREAD Thread, BOOLEAN AtHead)
{
    if (Thread == Prcb->IdleThread)
        return;
    Thread->ReadyTime = KiTickCount();
    KiEnqueue(Prcb, Thread, AtHead);
}

static VOID KiLockBoth(PKPRCB One, PKPRCB Other)
{
    PKPRCB First = One->ProcessorNumber < Other->ProcessorNumber ? One : Other;

    KiTakeLock(&First->ReadyLock);
    if (One != Other)
        KiTakeLock(First == One ? &Other->ReadyLock : &One->ReadyLock);
}

static VOID KiUnlockBoth(PKPRCB One, PKPRCB Other)
{
    KiGiveLock(&One->ReadyLock);
    if (One != Other)
        KiGiveLock(&Other->ReadyLock);
}

// The running thread may not run here any more: it becomes ready where it may. Its state and place
// change under both processors' locks, so whoever looks for it finds it at one of them.
static DECLSPEC_NOINLINE VOID KiMoveAway(PKPRCB Prcb, PKTHREAD Thread)
{
    PKPRCB Target = KiChooseProcessor(Thread);
    PKTHREAD New = NULL;
    KAFFINITY Queued;
    BOOLEAN Was, Notify;

    KiLockBoth(Prcb, Target);
    Was = Target->Reschedule;
    if (Target != Prcb && (Thread->Affinity & Target->ProcessorMask)) {
        New = KiTakeNext(Prcb);
        KiPlace(Target, Thread);
    } else {
        Prcb->Reschedule = TRUE; // its affinity has changed again: look again
        KiRequestReschedule(Prcb);
    }
    Notify = New != NULL && Target->Reschedule && !Was;
    Queued = KiTakeQueuedFor(Target);
    KiUnlockBoth(Prcb, Target);
    if (Notify)
        KiRequestRemoteDispatch(Target);
    KiWakeIdleFor(Queued);
    if (New != NULL)
        KiSwap(Prcb, Thread, New);
}

VOID KiDispatchSwitch(VOID)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    PKTHREAD Old = Prcb->CurrentThread, New = NULL;
    KAFFINITY Queued;
    BOOLEAN Preempted;

    KiTakeLock(&Prcb->ReadyLock);
    if (__builtin_expect((Old->Affinity & Prcb->ProcessorMask) == 0, 0)) {
        KiGiveLock(&Prcb->ReadyLock);
        KiMoveAway(Prcb, Old);
        return;
    }
    Preempted = !Prcb->QuantumEnd || !KiEndQuantum(Prcb, Old);
    if (Prcb->NextThread != NULL) {
        New = KiTakeNext(Prcb);
        KiPutBack(Prcb, Old, Preempted);
    }
    Prcb->Reschedule = Prcb->QuantumEnd = FALSE;
    Queued = KiTakeQueuedFor(Prcb);
    if (New != NULL && Old == Prcb->IdleThread && Prcb->LookAgain)
        Queued = EVERYWHERE; // it was to look, and has got something else
    KiGiveLock(&Prcb->ReadyLock);
    KiWakeIdleFor(Queued);
    if (New != NULL)
        KiSwap(Prcb, Old, New);
}

VOID KiDrainDispatch(VOID)
{
    KiRunOnDpcStack();
    if (KeGetCurrentPrcb()->Reschedule)
        KiDispatchSwitch();
}

VOID KiRequestReschedule(PKPRCB Prcb)
{
    if (Prcb->DpcActive || Prcb->DpcRequested)
        return;
    Prcb->DpcRequested = TRUE;
    KiRequestDispatch(Prcb);
}

// On the way out of DISPATCH_LEVEL, to OldIrql.
VOID KiHonourReschedule(PKPRCB Prcb, KIRQL OldIrql)
{
    BOOLEAN Enabled;

    if (OldIrql >= DISPATCH_LEVEL) {
        KiRequestReschedule(Prcb);
        return;
    }
    Enabled = KiDisableInterrupts();
    KiDispatchSwitch();
    KiRestoreInterrupts(Enabled);
}

VOID KeYieldExecution(VOID)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    PKPRCB Prcb = KeGetCurrentPrcb();
    PKTHREAD Thread = Prcb->CurrentThread;

    if (Prcb->ReadySummary != 0) {
        BOOLEAN Enabled = KiLockReady(Prcb);
        Thread->Quantum = 0;
        Prcb->QuantumEnd = Prcb->Reschedule = TRUE;
        KiUnlockReady(Prcb, TRUE, Enabled);
    }
    KiExitDispatcher(OldIrql);
}

BOOLEAN KeOthersIdle(VOID)
{
    if (!KeDpcsIdle())
        return FALSE;
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++) {
        PKPRCB Prcb = KiProcessorBlock[i];
        if (Prcb == NULL)
            continue;
        if (Prcb->ReadySummary != 0 || Prcb->NextThread != NULL)
            return FALSE;
        if (Prcb->RunningThread != Prcb->IdleThread && Prcb->RunningThread != KiCurrentThread())
            return FALSE;
    }
    return TRUE;
}

// Asks another processor to look at its DPCs and its NextThread.
VOID KiRequestRemoteDispatch(PKPRCB Prcb)
{
    HalRequestRemoteInterrupt(Prcb->ProcessorNumber, DISPATCH_LEVEL);
}

// ---- idling -------------------------------------------------------------------------------------
// Takes a thread that is ready on another processor and may run here. TRUE: this one has something
// to do.
static BOOLEAN KiPull(PKPRCB Prcb, PKPRCB Other)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    PKTHREAD Found = NULL;
    KAFFINITY Queued;

    KiLockBoth(Prcb, Other);
    for (LONG Priority = HIGH_PRIORITY; Priority > 0 && Found == NULL; Priority--) {
        PLIST_ENTRY Head = &Other->ReadyListHead[Priority], Entry = Head->Flink;
        while (Entry != Head &&
               !(CONTAINING_RECORD(Entry, KTHREAD, ReadyEntry)->Affinity & Prcb->ProcessorMask))
            Entry = Entry->Flink;
        if (Entry != Head)
            Found = CONTAINING_RECORD(Entry, KTHREAD, ReadyEntry);
    }
    if (Found != NULL) {
        KiDequeue(Other, Found);
        KiPlace(Prcb, Found);
    }
    Queued = KiTakeQueuedFor(Prcb);
    KiUnlockBoth(Prcb, Other);
    KiRestoreInterrupts(Enabled);
    KiWakeIdleFor(Queued);
    return Found != NULL;
}

// Other processors may have more than they can run.
static VOID KiBalance(VOID)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    PKPRCB Prcb = KeGetCurrentPrcb();
    BOOLEAN Pulled = FALSE;

    for (ULONG i = 0; i < MAXIMUM_PROCESSORS && !Pulled && Prcb->NextThread == NULL; i++) {
        PKPRCB Other = KiProcessorBlock[i];
        Pulled = Other != NULL && Other != Prcb && Other->ReadySummary != 0 && KiPull(Prcb, Other);
    }
    if (!Pulled && Prcb->NextThread != NULL)
        Prcb->LookAgain = TRUE; // given one meanwhile: it has not looked everywhere
    KiExitDispatcher(OldIrql);
}

// The first time; from then on KiTakeNext says so.
static VOID KiEnterIdle(PKPRCB Prcb)
{
    BOOLEAN Enabled = KiLockReady(Prcb);

    if (Prcb->RunningThread == Prcb->IdleThread && Prcb->NextThread == NULL)
        KiBecomeIdle(Prcb);
    KiUnlockReady(Prcb, TRUE, Enabled);
}

DECLSPEC_NORETURN VOID KeIdleLoop(VOID)
{
    PKPRCB Prcb = KeGetCurrentPrcb();

    KiEnterIdle(Prcb);
    for (;;) {
        Prcb->LookAgain = FALSE;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (KeNumberProcessors > 1)
            KiBalance();
        KiCli();
        Prcb->IdleCount++;
        if (!Prcb->LookAgain)
            KiEnableAndHalt();
        KiSti();
    }
}

// ---- monitor ------------------------------------------------------------------------------------
static VOID KiPrintRunnable(const char *What, const KTHREAD *Address)
{
    char Name[128] = "?";
    KTHREAD Thread;

    if (Address == NULL || !KeSafeCopy(&Thread, Address, sizeof(Thread)))
        return;
    if (Thread.Name == NULL)
        KdSymbolize((ULONG_PTR)Thread.StartRoutine, Name, sizeof(Name));
    KdPrintf("    %-8s %p priority %2d (base %2d) %s\n", What, (const VOID *)Address,
             Thread.Priority, Thread.BasePriority, Thread.Name != NULL ? Thread.Name : Name);
}

// The queues may be in the middle of a change: every step is read safely, and bounded.
static VOID KiPrintReady(const KPRCB *Prcb)
{
    for (LONG Priority = HIGH_PRIORITY; Priority >= 0; Priority--) {
        const LIST_ENTRY *Head = &Prcb->ReadyListHead[Priority];
        const LIST_ENTRY *Entry = Head->Flink;
        LIST_ENTRY Copy;
        for (ULONG i = 0; i < 256 && Entry != Head; i++) {
            KiPrintRunnable("ready", CONTAINING_RECORD(Entry, KTHREAD, ReadyEntry));
            if (!KeSafeCopy(&Copy, Entry, sizeof(Copy)))
                break;
            Entry = Copy.Flink;
        }
    }
}

static BOOLEAN KiReadyCommand(const char *Arguments)
{
    if (*Arguments != '\0')
        return FALSE;
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++) {
        const KPRCB *Prcb = KiProcessorBlock[i];
        if (Prcb == NULL)
            continue;
        KdPrintf("processor %u: %u switches\n", i, Prcb->ContextSwitches);
        KiPrintRunnable("running", Prcb->CurrentThread);
        KiPrintRunnable("next", Prcb->NextThread);
        KiPrintReady(Prcb);
    }
    return TRUE;
}
KD_COMMAND(ready, "!ready", "!ready: who runs on each processor, and who is ready to",
           KiReadyCommand, KD_SAFE_IN_BUGCHECK);
