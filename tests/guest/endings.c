// SPDX-License-Identifier: MIT
// Things that end while others are at them: threads that are waited for, timers cancelled from
// elsewhere, DPCs that change processors, waits with one object several times.
#include "crew.h"

NTKERNELAPI KAFFINITY NTAPI KeQueryActiveProcessors(VOID);
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

static const GUEST_CASE Cases[] = {
    {"many threads end while they are waited for, any and all", ManyThreadsEndWhileTheyAreAwaited},
    {"a timer is cancelled from its DPC on another processor",
     TimersAreCancelledFromTheirDpcElsewhere},
    {"a DPC that many insert and remove runs or is removed, once each", DpcsRunOrAreRemovedOnce},
    {"one object 64 times, any and all", OneObjectSeveralTimes},
    {"an event on the stack may go as soon as the wait is over", EventsOnTheStackMayGoAtOnce},
};
GUEST_DRIVER(Cases)
