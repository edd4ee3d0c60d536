// SPDX-License-Identifier: MIT
// Things that end while others are at them: threads that are waited for, timers cancelled from
// elsewhere, DPCs that change processors, waits with one object several times.
#include "crew.h"

NTKERNELAPI KAFFINITY NTAPI KeQueryActiveProcessors(VOID);
NTSYSAPI NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable,
                                              PLARGE_INTEGER Timeout);
NTKERNELAPI VOID NTAPI KeFlushQueuedDpcs(VOID);

static volatile LONG Count;

// ---- threads ------------------------------------------------------------------------------------
static VOID NTAPI EndAtOnce(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&Count);
}

// A wait for all of them, one wait for any in between.
static VOID NTAPI MakeAndAwait(PVOID Context)
{
    static KWAIT_BLOCK Blocks[CREW_MAXIMUM][CREW_MAXIMUM];
    ULONG Which = (ULONG)(ULONG_PTR)Context;

    for (ULONG Round = 0; Round < 20; Round++) {
        CREW Crew = {.Count = 0};
        NTSTATUS Status;
        for (ULONG i = 0; i < CREW_MAXIMUM; i++)
            CrewAdd(&Crew, EndAtOnce, NULL);
        Status = KeWaitForMultipleObjects(Crew.Count, Crew.Thread, WaitAny, Executive, KernelMode,
                                          FALSE, NULL, Blocks[Which]);
        CHECK((ULONG)Status < Crew.Count);
        CHECK_EQUAL(KeWaitForMultipleObjects(Crew.Count, Crew.Thread, WaitAll, Executive,
                                             KernelMode, FALSE, NULL, Blocks[Which]),
                    STATUS_SUCCESS);
        CrewJoin(&Crew);
    }
}

static VOID ManyThreadsEndWhileTheyAreAwaited(VOID)
{
    CREW Crew = {.Count = 0};

    Count = 0;
    for (ULONG i = 0; i < 3; i++)
        CrewAdd(&Crew, MakeAndAwait, (PVOID)(ULONG_PTR)i);
    CrewJoin(&Crew);
    CHECK_EQUAL(Count, 3 * 20 * CREW_MAXIMUM);
}

// The handles go while others wait by pointer and by handle, and the thread ends.
static KEVENT MayEnd;

static VOID NTAPI EndWhenTold(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeWaitForSingleObject(&MayEnd, Executive, KernelMode, FALSE, NULL);
}

static VOID NTAPI AwaitHandle(PVOID Handle)
{
    CHECK_EQUAL(ZwWaitForSingleObject(Handle, FALSE, NULL), STATUS_SUCCESS);
    InterlockedIncrement(&Count);
}

static VOID HandlesGoWhileTheirThreadIsAwaited(VOID)
{
    for (ULONG Round = 0; Round < 20; Round++) {
        CREW Crew = {.Count = 0};
        PKTHREAD Thread;
        HANDLE Handle;
        KeInitializeEvent(&MayEnd, NotificationEvent, FALSE);
        Count = 0;
        CHECK_EQUAL(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, EndWhenTold,
                                         NULL),
                    STATUS_SUCCESS);
        ObReferenceObjectByHandle(Handle, 0, *PsThreadType, KernelMode, (PVOID *)&Thread, NULL);
        CrewAdd(&Crew, AwaitHandle, Handle);
        CrewAdd(&Crew, AwaitHandle, Handle);
        CREW_UNTIL(CrewWaiters((DISPATCHER_HEADER *)Thread) == 2);
        ObDereferenceObject(Thread);
        CHECK_EQUAL(ZwClose(Handle), STATUS_SUCCESS);
        CHECK_EQUAL(ZwWaitForSingleObject(Handle, FALSE, NULL), STATUS_INVALID_HANDLE);
        KeSetEvent(&MayEnd, 0, FALSE); // the waits alone hold the thread
        CrewJoin(&Crew);
        CHECK_EQUAL(Count, 2);
    }
}

// ---- timers -------------------------------------------------------------------------------------
static struct {
    KTIMER Timer;
    KDPC Dpc;
    KEVENT Cancelled;
    volatile LONG Calls;
} Clock;

static VOID NTAPI CancelOwnTimer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (InterlockedIncrement(&Clock.Calls) == 1) {
        CHECK(KeCancelTimer(&Clock.Timer)); // it has a period: it is set
        CHECK(!KeCancelTimer(&Clock.Timer));
        KeSetEvent(&Clock.Cancelled, 0, FALSE);
    }
}

static VOID TimersAreCancelledFromTheirDpcElsewhere(VOID)
{
    LARGE_INTEGER Due = {.QuadPart = -10000};

    for (LONG Processor = 0; Processor < KeNumberProcessors; Processor++) {
        KeInitializeTimerEx(&Clock.Timer, SynchronizationTimer);
        KeInitializeDpc(&Clock.Dpc, CancelOwnTimer, NULL);
        KeSetTargetProcessorDpc(&Clock.Dpc, (CCHAR)Processor);
        KeInitializeEvent(&Clock.Cancelled, NotificationEvent, FALSE);
        Clock.Calls = 0;
        CHECK(!KeSetTimerEx(&Clock.Timer, Due, 1, &Clock.Dpc));
        KeWaitForSingleObject(&Clock.Cancelled, Executive, KernelMode, FALSE, NULL);
        KeFlushQueuedDpcs();
        CHECK(Clock.Calls <= 2); // it may have been queued once more before it was cancelled
        CHECK(!KeCancelTimer(&Clock.Timer));
        CHECK(!KeRemoveQueueDpc(&Clock.Dpc));
    }
}

static VOID NTAPI SetOwnTimer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LARGE_INTEGER Due = {.QuadPart = Clock.Calls % 2 ? -1 : 0}; // soon, or past already

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (InterlockedIncrement(&Clock.Calls) < 50)
        CHECK(!KeSetTimer(&Clock.Timer, Due, Dpc)); // it has expired: it is not set
    else
        KeSetEvent(&Clock.Cancelled, 0, FALSE);
}

static VOID TimersAreSetFromTheirDpc(VOID)
{
    LARGE_INTEGER Due = {.QuadPart = -1};

    for (LONG Processor = 0; Processor < KeNumberProcessors; Processor++) {
        KeInitializeTimer(&Clock.Timer);
        KeInitializeDpc(&Clock.Dpc, SetOwnTimer, NULL);
        KeSetTargetProcessorDpc(&Clock.Dpc, (CCHAR)Processor);
        KeInitializeEvent(&Clock.Cancelled, NotificationEvent, FALSE);
        Clock.Calls = 0;
        CHECK(!KeSetTimer(&Clock.Timer, Due, &Clock.Dpc));
        KeWaitForSingleObject(&Clock.Cancelled, Executive, KernelMode, FALSE, NULL);
        KeFlushQueuedDpcs();
        CHECK_EQUAL(Clock.Calls, 50);
        CHECK(!KeCancelTimer(&Clock.Timer));
    }
}

// All set and cancel one timer. What was set anew or cancelled did not expire; the rest did.
static volatile LONG Settings, Taken;

static VOID NTAPI CountExpiry(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&Clock.Calls);
}

static VOID NTAPI SetAndCancel(PVOID Context)
{
    LARGE_INTEGER Due = {.QuadPart = -1};

    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < 2000; i++) {
        if (KeSetTimer(&Clock.Timer, Due, &Clock.Dpc))
            InterlockedIncrement(&Taken);
        InterlockedIncrement(&Settings);
        if (i % 64 == 0)
            CrewYield();
        if (i % 3 != 0 && KeCancelTimer(&Clock.Timer))
            InterlockedIncrement(&Taken);
    }
}

static VOID TimersExpireOrAreCancelled(VOID)
{
    CREW Crew = {.Count = 0};
    LONG Left;

    KeInitializeTimer(&Clock.Timer);
    KeInitializeDpc(&Clock.Dpc, CountExpiry, NULL);
    Settings = Taken = Clock.Calls = 0;
    CrewFill(&Crew, SetAndCancel, NULL);
    CrewJoin(&Crew);
    Left = KeCancelTimer(&Clock.Timer);
    KeFlushQueuedDpcs();
    // A DPC that is queued still is not queued again, so several expiries may be one call.
    CHECK(Clock.Calls <= Settings - Taken - Left);
    CHECK(Taken + Left <= Settings);
    CHECK(!KeRemoveQueueDpc(&Clock.Dpc));
    CHECK(IsListEmpty(&Clock.Timer.Header.WaitListHead));
}

// ---- DPCs ---------------------------------------------------------------------------------------
static KDPC Shared;
static volatile LONG Inserted, Ran, Removed;

static VOID NTAPI CountDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    CHECK(Argument1 == Argument2);
    InterlockedIncrement(&Ran);
}

static VOID NTAPI InsertAndRemove(PVOID Context)
{
    for (ULONG_PTR i = 0; i < 3000; i++) {
        PVOID Argument = (PVOID)(i << 4 | (ULONG_PTR)Context);
        if (KeInsertQueueDpc(&Shared, Argument, Argument))
            InterlockedIncrement(&Inserted);
        if (i % 3 == 0 && KeRemoveQueueDpc(&Shared))
            InterlockedIncrement(&Removed);
        if (i % 64 == 0)
            KeSetTargetProcessorDpc(&Shared, (CCHAR)((i / 64) % (ULONG)KeNumberProcessors));
    }
}

static VOID DpcsRunOrAreRemovedOnce(VOID)
{
    CREW Crew = {.Count = 0};

    Inserted = Ran = Removed = 0;
    KeInitializeDpc(&Shared, CountDpc, NULL);
    KeSetImportanceDpc(&Shared, LowImportance);
    CrewFill(&Crew, InsertAndRemove, (PVOID)1);
    CrewJoin(&Crew);
    KeFlushQueuedDpcs();
    CHECK_EQUAL(Inserted, Ran + Removed);
}

// Each flush ends with its own thread's DPC having run, whoever else flushes and queues meanwhile.
static VOID NTAPI Increment(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    ++*(volatile ULONG *)Context;
}

static VOID NTAPI QueueAndFlush(PVOID Context)
{
    volatile ULONG Calls = 0;
    KDPC Dpc;

    UNREFERENCED_PARAMETER(Context);
    KeInitializeDpc(&Dpc, Increment, (PVOID)&Calls);
    KeSetImportanceDpc(&Dpc, LowImportance);
    for (ULONG i = 0; i < 60; i++) {
        KeSetTargetProcessorDpc(&Dpc, (CCHAR)(i % (ULONG)KeNumberProcessors));
        CHECK(KeInsertQueueDpc(&Dpc, NULL, NULL));
        KeFlushQueuedDpcs();
        CHECK_EQUAL(Calls, i + 1);
    }
}

static VOID AllFlushAtOnce(VOID)
{
    CREW Crew = {.Count = 0};

    CrewFill(&Crew, QueueAndFlush, NULL);
    CrewJoin(&Crew);
}

// ---- waits --------------------------------------------------------------------------------------
static VOID OneObjectSeveralTimes(VOID)
{
    static KWAIT_BLOCK Blocks[MAXIMUM_WAIT_OBJECTS];
    PVOID Objects[MAXIMUM_WAIT_OBJECTS];
    LARGE_INTEGER Soon = {.QuadPart = -100000};
    KEVENT Event;

    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < MAXIMUM_WAIT_OBJECTS; i++)
        Objects[i] = &Event;
    CHECK_EQUAL(KeWaitForMultipleObjects(MAXIMUM_WAIT_OBJECTS, Objects, WaitAny, Executive,
                                         KernelMode, FALSE, &Soon, Blocks),
                STATUS_TIMEOUT);
    CHECK_EQUAL(KeWaitForMultipleObjects(MAXIMUM_WAIT_OBJECTS, Objects, WaitAll, Executive,
                                         KernelMode, FALSE, &Soon, Blocks),
                STATUS_TIMEOUT);
    CHECK(IsListEmpty(&Event.Header.WaitListHead));
    KeSetEvent(&Event, 0, FALSE);
    CHECK_EQUAL(KeWaitForMultipleObjects(MAXIMUM_WAIT_OBJECTS, Objects, WaitAny, Executive,
                                         KernelMode, FALSE, &Soon, Blocks),
                STATUS_WAIT_0);
    CHECK_EQUAL(KeReadStateEvent(&Event), 0);
    KeSetEvent(&Event, 0, FALSE);
    CHECK_EQUAL(KeWaitForMultipleObjects(MAXIMUM_WAIT_OBJECTS, Objects, WaitAll, Executive,
                                         KernelMode, FALSE, &Soon, Blocks),
                STATUS_WAIT_0);
    CHECK_EQUAL(KeReadStateEvent(&Event), 0);
}

static VOID NTAPI SetIt(PVOID Event) { KeSetEvent(Event, 0, FALSE); }

// Whoever sets the event has to be done with it when the waiter returns.
static VOID EventsOnTheStackMayGoAtOnce(VOID)
{
    for (ULONG i = 0; i < 300; i++) {
        CREW Crew = {.Count = 0};
        KEVENT Event;
        KeInitializeEvent(&Event, i % 2 ? NotificationEvent : SynchronizationEvent, FALSE);
        CrewAdd(&Crew, SetIt, &Event);
        KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
        memset(&Event, 0xA5, sizeof(Event));
        CrewJoin(&Crew);
    }
}

// 64 objects of every kind. A wait for all that fails takes nothing of any.
static VOID NTAPI EndNow(PVOID Context) { UNREFERENCED_PARAMETER(Context); }

static VOID AllKindsAtOnce(VOID)
{
    static KWAIT_BLOCK Blocks[MAXIMUM_WAIT_OBJECTS];
    static KSEMAPHORE Semaphores[12];
    static KEVENT Events[24];
    static KMUTEX Mutexes[12];
    static KTIMER Timers[12];
    PVOID Objects[MAXIMUM_WAIT_OBJECTS];
    LARGE_INTEGER Zero = {.QuadPart = 0}, Soon = {.QuadPart = -20000};
    CREW Crew = {.Count = 0};
    ULONG n = 0;

    for (ULONG i = 0; i < 4; i++)
        CrewAdd(&Crew, EndNow, NULL);
    for (ULONG i = 0; i < 4; i++)
        KeWaitForSingleObject(Objects[n++] = Crew.Thread[i], Executive, KernelMode, FALSE, NULL);
    for (ULONG i = 0; i < 12; i++) {
        KeInitializeSemaphore(Objects[n++] = &Semaphores[i], 1, 2);
        KeInitializeMutex(Objects[n++] = &Mutexes[i], 0);
        KeInitializeTimerEx(Objects[n++] = &Timers[i], SynchronizationTimer);
        KeSetTimer(&Timers[i], Zero, NULL);
        KeInitializeEvent(Objects[n++] = &Events[i], SynchronizationEvent, TRUE);
        KeInitializeEvent(Objects[n++] = &Events[12 + i], NotificationEvent, TRUE);
    }
    CHECK_EQUAL(n, MAXIMUM_WAIT_OBJECTS);
    KeResetEvent(&Events[11]);
    CHECK_EQUAL(KeWaitForMultipleObjects(n, Objects, WaitAll, Executive, KernelMode, FALSE, &Soon,
                                         Blocks),
                STATUS_TIMEOUT);
    for (ULONG i = 0; i < 12; i++) {
        CHECK_EQUAL(KeReadStateSemaphore(&Semaphores[i]), 1);
        CHECK_EQUAL(KeReadStateMutex(&Mutexes[i]), 1);
        CHECK(KeReadStateTimer(&Timers[i]));
        CHECK(IsListEmpty(&Events[i].Header.WaitListHead));
    }
    KeSetEvent(&Events[11], 0, FALSE);
    CHECK_EQUAL(KeWaitForMultipleObjects(n, Objects, WaitAll, Executive, KernelMode, FALSE, NULL,
                                         Blocks),
                STATUS_SUCCESS);
    for (ULONG i = 0; i < 12; i++) {
        CHECK_EQUAL(KeReadStateSemaphore(&Semaphores[i]), 0);
        CHECK_EQUAL(KeReleaseMutex(&Mutexes[i], FALSE), 0);
        CHECK(!KeReadStateTimer(&Timers[i]));
        CHECK_EQUAL(KeReadStateEvent(&Events[i]), 0);
        CHECK_EQUAL(KeReadStateEvent(&Events[12 + i]), 1);
    }
    CHECK(!KeAreApcsDisabled());
    CrewJoin(&Crew);
}

// The affinity of a thread changes while it waits, on and on; it wakes where it may run.
static struct {
    KEVENT Go;
    volatile KAFFINITY Allowed;
    volatile LONG Woken, Elsewhere;
} Moved;

static VOID NTAPI WakeWhereAllowed(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < 40; i++) {
        KeWaitForSingleObject(&Moved.Go, Executive, KernelMode, FALSE, NULL);
        if (!(Moved.Allowed >> KeGetCurrentProcessorNumber() & 1))
            Moved.Elsewhere++;
        InterlockedIncrement(&Moved.Woken);
    }
}

NTKERNELAPI KAFFINITY NTAPI KeSetAffinityThread(PKTHREAD Thread, KAFFINITY Affinity);

static VOID AffinitiesChangeDuringWaits(VOID)
{
    CREW Crew = {.Count = 0};

    KeInitializeEvent(&Moved.Go, SynchronizationEvent, FALSE);
    Moved.Woken = Moved.Elsewhere = 0;
    CrewAdd(&Crew, WakeWhereAllowed, NULL);
    for (LONG i = 0; i < 40; i++) {
        CREW_UNTIL(CrewWaiters(&Moved.Go.Header) == 1);
        Moved.Allowed = (KAFFINITY)1 << i % KeNumberProcessors;
        KeSetAffinityThread(Crew.Thread[0], (KAFFINITY)1 << (i + 1) % KeNumberProcessors);
        KeSetAffinityThread(Crew.Thread[0], Moved.Allowed);
        KeSetEvent(&Moved.Go, 0, FALSE);
        CREW_UNTIL(Moved.Woken == i + 1);
    }
    CrewJoin(&Crew);
    CHECK_EQUAL(Moved.Elsewhere, 0);
}

static const GUEST_CASE Cases[] = {
    {"many threads end while they are waited for, any and all", ManyThreadsEndWhileTheyAreAwaited},
    {"a timer is cancelled from its DPC on another processor",
     TimersAreCancelledFromTheirDpcElsewhere},
    {"a DPC that many insert and remove runs or is removed, once each", DpcsRunOrAreRemovedOnce},
    {"handles go while their thread is waited for", HandlesGoWhileTheirThreadIsAwaited},
    {"a timer is set from its own DPC", TimersAreSetFromTheirDpc},
    {"a timer that all set and cancel expires or is cancelled", TimersExpireOrAreCancelled},
    {"all flush DPCs at once, and each waits for its own", AllFlushAtOnce},
    {"64 objects of every kind, all or nothing", AllKindsAtOnce},
    {"a thread whose affinity changes while it waits wakes where it may run",
     AffinitiesChangeDuringWaits},
    {"one object 64 times, any and all", OneObjectSeveralTimes},
    {"an event on the stack may go as soon as the wait is over", EventsOnTheStackMayGoAtOnce},
};
GUEST_DRIVER(Cases)
