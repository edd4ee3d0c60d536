// SPDX-License-Identifier: MIT
// Threads: their making and ending, priority, affinity.
//
// The executive (kernel/ps) allocates the object and the stack; this file makes a thread of them. A
// thread begins in KiStartThread, which lowers to PASSIVE_LEVEL and calls its system routine. It
// ends in KeTerminateThread, which signals the object and gives the processor up for the last time;
// from then on, and once InContext is clear, its stack may be freed. It may own no mutex then:
// those are abandoned.
//
// `!threads` prints them all. Test: tests/guest/threads.c.
#include "ready.h"

LIST_ENTRY KiThreadList = {&KiThreadList, &KiThreadList};
static ULONG KiNextIdeal;                                 // where the next thread likes to run

static VOID KiInitializeWaiting(PKTHREAD Thread)
{
    for (ULONG i = 0; i < RTL_NUMBER_OF(Thread->WaitBlock); i++)
        Thread->WaitBlock[i].Thread = Thread;
    KeInitializeTimerEx(&Thread->Timer, NotificationTimer);
    Thread->WaitBlock[TIMER_WAIT_BLOCK].Object = &Thread->Timer;
    Thread->WaitBlock[TIMER_WAIT_BLOCK].WaitKey = (USHORT)STATUS_TIMEOUT;
    Thread->WaitBlock[TIMER_WAIT_BLOCK].WaitType = WaitAny;
    InitializeListHead(&Thread->MutantListHead);
}

static VOID KiInitializeThreadObject(PKTHREAD Thread, PVOID StackBase, PVOID StackLimit)
{
    memset(Thread, 0, sizeof(*Thread));
    KiInitializeHeader(&Thread->Header, ThreadObject, 0, 0);
    Thread->StackBase = StackBase;
    Thread->StackLimit = StackLimit;
    KiInitializeWaiting(Thread);
    InitializeListHead(&Thread->ApcListHead[KernelMode]);
    InitializeListHead(&Thread->ApcListHead[UserMode]);
    Thread->Quantum = Thread->QuantumReset = THREAD_QUANTUM;
    Thread->ApcQueueable = TRUE;
}

VOID KiInitializeIdleThread(PKTHREAD Thread, PVOID StackBase, PVOID StackLimit)
{
    KiInitializeThreadObject(Thread, StackBase, StackLimit);
    Thread->Name = "idle";
}

VOID KeInitializeThread(PKTHREAD Thread, const KE_THREAD *What)
{
    KiInitializeThreadObject(Thread, What->StackBase, What->StackLimit);
    Thread->State = ThreadInitialized;
    Thread->Priority = Thread->BasePriority = (SCHAR)What->Priority;
    Thread->Affinity = Thread->UserAffinity = ~(KAFFINITY)0;
    Thread->SystemRoutine = What->SystemRoutine;
    Thread->StartRoutine = What->StartRoutine;
    Thread->StartContext = What->StartContext;
    Thread->Name = What->Name;
    KiInitializeContext(Thread);
}

VOID KeStartThread(PKTHREAD Thread)
{
    KIRQL OldIrql = KiLockDispatcher();

    Thread->IdealProcessor = (UCHAR)(KiNextIdeal++ % (ULONG)KeNumberProcessors);
    Thread->Processor = Thread->IdealProcessor;
    InsertTailList(&KiThreadList, &Thread->ThreadListEntry);
    KiReadyThread(Thread);
    KiUnlockDispatcher(OldIrql);
}

// From KiThreadEntry, with interrupts off, at DISPATCH_LEVEL.
DECLSPEC_NORETURN VOID KiStartThread(VOID)
{
    PKTHREAD Thread = KiCurrentThread();

    if (Thread->KernelApcPending)
        KiRequestApc();
    KiSti();
    KiLowerIrql(PASSIVE_LEVEL);
    Thread->SystemRoutine(Thread->StartRoutine, Thread->StartContext);
    KdAssertionFailed("a system routine does not return", __FILE__, __LINE__);
}

DECLSPEC_NORETURN VOID KeTerminateThread(KPRIORITY Increment)
{
    PKTHREAD Thread = KiCurrentThread();

    KiLockDispatcher();
    KiAbandonMutants(Thread);
    if (Thread->Queue != NULL)
        KiLeaveQueueForEver(Thread);
    RemoveEntryList(&Thread->ThreadListEntry);
    Thread->Header.SignalState = 1;
    KiSignalWaiters(&Thread->Header, Increment);
    Thread->State = ThreadTerminated;
    KiSwapThread(Thread);
    KdAssertionFailed("a thread that has ended does not run", __FILE__, __LINE__);
}

BOOLEAN KeThreadHasLeft(const KTHREAD *Thread)
{
    return Thread->State == ThreadTerminated && !Thread->InContext;
}

// ---- stacks -------------------------------------------------------------------------------------
VOID KeQueryStack(ULONG_PTR *Limit, ULONG_PTR *Base)
{
    KIRQL OldIrql = KiGetIrql();
    ULONG_PTR Here = (ULONG_PTR)__builtin_frame_address(0);
    PKPRCB Prcb;

    if (OldIrql < DISPATCH_LEVEL)
        KiSetIrql(DISPATCH_LEVEL);
    Prcb = KeGetCurrentPrcb();
    if (Here >= (ULONG_PTR)Prcb->DpcStackLimit && Here <= (ULONG_PTR)Prcb->DpcStack) {
        *Limit = (ULONG_PTR)Prcb->DpcStackLimit;
        *Base = (ULONG_PTR)Prcb->DpcStack;
    } else {
        *Limit = (ULONG_PTR)Prcb->CurrentThread->StackLimit;
        *Base = (ULONG_PTR)Prcb->CurrentThread->StackBase;
    }
    if (OldIrql < DISPATCH_LEVEL)
        KiLowerIrql(OldIrql);
}

VOID KeSetStack(PVOID StackBase, PVOID StackLimit)
{
    PKTHREAD Thread = KiCurrentThread();

    ASSERT_AT_LEAST_DISPATCH();
    Thread->StackBase = StackBase;
    Thread->StackLimit = StackLimit;
    KiStackChanged(Thread);
}

// ---- priority -----------------------------------------------------------------------------------

// KeSetPriorityThread: the thread's priority and base priority become Priority, 1 to HIGH_PRIORITY.
// Returns the priority before. IRQL: <= DISPATCH_LEVEL. Fails: assertion for a priority outside.
// Source: WDK wdm.h, KeSetPriorityThread.
KPRIORITY NTAPI KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority)
{
    KIRQL OldIrql;
    KPRIORITY Old;

    VERIFY(Priority > LOW_PRIORITY && Priority <= HIGH_PRIORITY);
    OldIrql = KiLockDispatcher();
    Old = Thread->Priority;
    Thread->BasePriority = (SCHAR)Priority;
    Thread->Starved = 0;
    Thread->Quantum = Thread->QuantumReset;
    KiSetPriority(Thread, (SCHAR)Priority);
    KiUnlockDispatcher(OldIrql);
    return Old;
}
EXPORT(KeSetPriorityThread, DISPATCH_LEVEL, "WDK wdm.h KeSetPriorityThread");

// KeQueryPriorityThread: the thread's priority just now.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeQueryPriorityThread.
KPRIORITY NTAPI KeQueryPriorityThread(PKTHREAD Thread)
{
    return Thread->Priority;
}
EXPORT(KeQueryPriorityThread, DISPATCH_LEVEL, "WDK wdm.h KeQueryPriorityThread");

#define PROCESS_PRIORITY 8 // the base priority of the system process

// KeSetBasePriorityThread: the thread's base priority becomes its process's plus Increment, within
// its class (below or from LOW_REALTIME_PRIORITY up). Returns the increment before. IRQL: <=
// DISPATCH_LEVEL. Source: WDK ntifs.h, KeSetBasePriorityThread.
LONG NTAPI KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment)
{
    KIRQL OldIrql = KiLockDispatcher();
    LONG Old = Thread->BasePriority - PROCESS_PRIORITY, New = PROCESS_PRIORITY + Increment;

    if (New < LOW_PRIORITY + 1)
        New = LOW_PRIORITY + 1;
    if (New >= LOW_REALTIME_PRIORITY)
        New = LOW_REALTIME_PRIORITY - 1;
    Thread->BasePriority = (SCHAR)New;
    Thread->Starved = 0;
    KiSetPriority(Thread, (SCHAR)New);
    KiUnlockDispatcher(OldIrql);
    return Old;
}
EXPORT(KeSetBasePriorityThread, DISPATCH_LEVEL, "WDK ntifs.h KeSetBasePriorityThread");

VOID KeLendPriority(PKTHREAD Thread, KPRIORITY Priority)
{
    KIRQL OldIrql = KiLockDispatcher();
    PLIST_ENTRY Entry = KiThreadList.Flink;

    while (Entry != &KiThreadList && Entry != &Thread->ThreadListEntry)
        Entry = Entry->Flink;
    if (Priority >= LOW_REALTIME_PRIORITY)
        Priority = LOW_REALTIME_PRIORITY - 1;
    if (Entry != &KiThreadList && Thread->Priority < Priority)
        KiSetPriority(Thread, (SCHAR)Priority);
    KiUnlockDispatcher(OldIrql);
}

// ---- what a driver left, and the monitor --------------------------------------------------------

// A thread belongs to the image that its start routine lies in: there it would go on running.
static ULONG KiReportThreads(ULONG_PTR Start, ULONG_PTR End)
{
    KIRQL OldIrql = KiLockDispatcher(); // other drivers' threads end meanwhile
    char Name[160];
    ULONG Count = 0;

    for (PLIST_ENTRY Entry = KiThreadList.Flink; Entry != &KiThreadList; Entry = Entry->Flink) {
        const KTHREAD *Thread = CONTAINING_RECORD(Entry, KTHREAD, ThreadListEntry);
        ULONG_PTR Routine = (ULONG_PTR)Thread->StartRoutine;
        if (Routine < Start || Routine >= End || Thread->State == ThreadTerminated)
            continue;
        KdSymbolize(Routine, Name, sizeof(Name));
        KLOG("leak", "thread 0x%p still runs %s", (PVOID)Thread, Name);
        Count++;
    }
    KiUnlockDispatcher(OldIrql);
    return Count;
}
LEAK_SOURCE(threads, "threads", KiReportThreads);

static BOOLEAN KiThreadsCommand(const char *Arguments)
{
    static const char *const States[ThreadStates] = {"initialized", "ready",      "running",
                                                     "standby",     "terminated", "waiting"};
    char Name[160];

    if (*Arguments != 0)
        return FALSE;
    for (PLIST_ENTRY Entry = KiThreadList.Flink; Entry != &KiThreadList; Entry = Entry->Flink) {
        const KTHREAD *Thread = CONTAINING_RECORD(Entry, KTHREAD, ThreadListEntry);
        if (Thread->Name == NULL)
            KdSymbolize((ULONG_PTR)Thread->StartRoutine, Name, sizeof(Name));
        KdPrintf("%p  %-11s priority %2d (base %2d), processor %u, %u switches, %s\n",
                 (PVOID)Thread, States[Thread->State], Thread->Priority, Thread->BasePriority,
                 Thread->Processor, Thread->ContextSwitches,
                 Thread->Name != NULL ? Thread->Name : Name);
    }
    return TRUE;
}
KD_COMMAND(threads, "!threads", "!threads: all threads, what they are and where they come from",
           KiThreadsCommand, KD_SAFE_IN_BUGCHECK);
