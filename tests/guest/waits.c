// SPDX-License-Identifier: MIT
// Waiting: events, semaphores, mutexes and mutants, threads; for one, any, all; limits and alerts.
#include "crew.h"

NTKERNELAPI VOID NTAPI KeInitializeMutant(PRKMUTEX Mutant, BOOLEAN InitialOwner);
NTKERNELAPI LONG NTAPI KeReleaseMutant(PRKMUTEX Mutant, KPRIORITY Increment, BOOLEAN Abandoned,
                                       BOOLEAN Wait);
NTKERNELAPI BOOLEAN NTAPI KeAlertThread(PKTHREAD Thread, KPROCESSOR_MODE Mode);
NTKERNELAPI BOOLEAN NTAPI KeTestAlertThread(KPROCESSOR_MODE Mode);

static LARGE_INTEGER Zero;

static NTSTATUS Look(PVOID Object)
{
    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &Zero);
}

// Threads that wait for Object and count in Released.
static volatile LONG Waiting, Released;

static VOID NTAPI WaitOnce(PVOID Object)
{
    InterlockedIncrement(&Waiting);
    KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, NULL);
    InterlockedIncrement(&Released);
}

static BOOLEAN HasWaiters(PVOID Object, ULONG Count)
{
    return CrewWaiters(Object) == Count;
}

static VOID StartWaiters(CREW *Crew, PVOID Object, ULONG Count)
{
    Waiting = Released = 0;
    for (ULONG i = 0; i < Count; i++)
        CrewAdd(Crew, WaitOnce, Object);
    CREW_UNTIL(HasWaiters(Object, Count));
}

// ---- events -------------------------------------------------------------------------------------
static VOID NotificationEventsReleaseAll(VOID)
{
    CREW Crew = {.Count = 0};
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    StartWaiters(&Crew, &Event, 3);
    CHECK_EQUAL(KeSetEvent(&Event, 0, FALSE), 0);
    CrewJoin(&Crew);
    CHECK_EQUAL(Released, 3);
    CHECK_EQUAL(Look(&Event), STATUS_SUCCESS);
    CHECK_EQUAL(Look(&Event), STATUS_SUCCESS);
    CHECK(KeReadStateEvent(&Event) != 0);
    CHECK(KeSetEvent(&Event, 0, FALSE) != 0);
    CHECK(KeResetEvent(&Event) != 0);
    CHECK_EQUAL(KeResetEvent(&Event), 0);
    CHECK_EQUAL(Look(&Event), STATUS_TIMEOUT);
}

static VOID SynchronizationEventsReleaseOne(VOID)
{
    CREW Crew = {.Count = 0};
    KEVENT Event;

    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    StartWaiters(&Crew, &Event, 3);
    for (LONG i = 1; i <= 3; i++) {
        KeSetEvent(&Event, 0, FALSE);
        CREW_UNTIL(Released == i);
        CHECK_EQUAL(KeReadStateEvent(&Event), 0);
    }
    CrewJoin(&Crew);
    KeSetEvent(&Event, 0, FALSE);
    CHECK_EQUAL(Look(&Event), STATUS_SUCCESS);
    CHECK_EQUAL(Look(&Event), STATUS_TIMEOUT);
    KeSetEvent(&Event, 0, FALSE);
    KeClearEvent(&Event);
    CHECK_EQUAL(Look(&Event), STATUS_TIMEOUT);
}

static VOID PulsesReleaseWhoWaitsNow(VOID)
{
    CREW Crew = {.Count = 0};
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KePulseEvent(&Event, 0, FALSE);
    CHECK_EQUAL(Look(&Event), STATUS_TIMEOUT);
    StartWaiters(&Crew, &Event, 2);
    CHECK_EQUAL(KePulseEvent(&Event, 0, FALSE), 0);
    CrewJoin(&Crew);
    CHECK_EQUAL(KeReadStateEvent(&Event), 0);
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    StartWaiters(&Crew, &Event, 2);
    KePulseEvent(&Event, 0, FALSE);
    CREW_UNTIL(Released == 1);
    CHECK(HasWaiters(&Event, 1));
    KePulseEvent(&Event, 0, FALSE);
    CrewJoin(&Crew);
}

static VOID WaitTrueStaysAtDispatchLevel(VOID)
{
    KEVENT First, Second;

    KeInitializeEvent(&First, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Second, SynchronizationEvent, TRUE);
    KeSetEvent(&First, 0, TRUE);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    CHECK_EQUAL(KeWaitForSingleObject(&Second, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    CHECK_EQUAL(Look(&First), STATUS_SUCCESS);
}

// ---- semaphores ---------------------------------------------------------------------------------
static VOID SemaphoresCount(VOID)
{
    CREW Crew = {.Count = 0};
    KSEMAPHORE Semaphore;

    KeInitializeSemaphore(&Semaphore, 2, 10);
    CHECK_EQUAL(KeReadStateSemaphore(&Semaphore), 2);
    CHECK_EQUAL(Look(&Semaphore), STATUS_SUCCESS);
    CHECK_EQUAL(Look(&Semaphore), STATUS_SUCCESS);
    CHECK_EQUAL(Look(&Semaphore), STATUS_TIMEOUT);
    StartWaiters(&Crew, &Semaphore, 3);
    CHECK_EQUAL(KeReleaseSemaphore(&Semaphore, 0, 2, FALSE), 0);
    CREW_UNTIL(Released == 2);
    CHECK(HasWaiters(&Semaphore, 1));
    CHECK_EQUAL(KeReleaseSemaphore(&Semaphore, 0, 5, FALSE), 0);
    CrewJoin(&Crew);
    CHECK_EQUAL(KeReadStateSemaphore(&Semaphore), 4);
    CHECK_EQUAL(KeReleaseSemaphore(&Semaphore, 0, 1, FALSE), 4);
}

// ---- mutexes ------------------------------------------------------------------------------------
static VOID NTAPI LookAt(PVOID Context)
{
    PVOID *Pair = Context; // the object; its status

    Pair[1] = (PVOID)(LONG_PTR)Look(Pair[0]);
    if (Pair[1] == (PVOID)STATUS_SUCCESS)
        KeReleaseMutex(Pair[0], FALSE);
}

static NTSTATUS OthersLook(PVOID Object)
{
    CREW Crew = {.Count = 0};
    PVOID Pair[2] = {Object, NULL};

    CrewAdd(&Crew, LookAt, Pair);
    CrewJoin(&Crew);
    return (NTSTATUS)(LONG_PTR)Pair[1];
}

static VOID MutexesAreRecursive(VOID)
{
    KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    CHECK_EQUAL(KeReadStateMutex(&Mutex), 1);
    CHECK_EQUAL(KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    CHECK(KeAreApcsDisabled());
    CHECK_EQUAL(Look(&Mutex), STATUS_SUCCESS);
    CHECK_EQUAL(OthersLook(&Mutex), STATUS_TIMEOUT);
    CHECK_EQUAL(KeReleaseMutex(&Mutex, FALSE), -1);
    CHECK_EQUAL(OthersLook(&Mutex), STATUS_TIMEOUT);
    CHECK_EQUAL(KeReleaseMutex(&Mutex, FALSE), 0);
    CHECK(!KeAreApcsDisabled());
    CHECK_EQUAL(OthersLook(&Mutex), STATUS_SUCCESS);
}

static VOID NTAPI OwnAndEnd(PVOID Mutant)
{
    CHECK_EQUAL(Look(Mutant), STATUS_SUCCESS);
}

static VOID MutantsOfEndedThreadsAreAbandoned(VOID)
{
    CREW Crew = {.Count = 0};
    KMUTEX Mutant;

    KeInitializeMutant(&Mutant, FALSE);
    CrewAdd(&Crew, OwnAndEnd, &Mutant);
    CrewJoin(&Crew);
    CHECK_EQUAL(KeWaitForSingleObject(&Mutant, Executive, KernelMode, FALSE, NULL),
                STATUS_ABANDONED_WAIT_0);
    CHECK(!KeAreApcsDisabled());
    CHECK_EQUAL(KeReleaseMutant(&Mutant, 0, FALSE, FALSE), 0);
    CHECK_EQUAL(Look(&Mutant), STATUS_SUCCESS);
    KeReleaseMutant(&Mutant, 0, FALSE, FALSE);
    KeInitializeMutant(&Mutant, TRUE);
    CHECK_EQUAL(OthersLook(&Mutant), STATUS_TIMEOUT);
    KeReleaseMutant(&Mutant, 0, FALSE, FALSE);
}

// Several wait when the owner ends: the first is told, the others get it as usual.
static volatile LONG ToldAbandoned, ToldOwned;

static VOID NTAPI OwnUntilAwaited(PVOID Mutant)
{
    CHECK_EQUAL(Look(Mutant), STATUS_SUCCESS);
    CREW_UNTIL(CrewWaiters(Mutant) == 4);
}

static VOID NTAPI OwnInTurn(PVOID Mutant)
{
    NTSTATUS Status = KeWaitForSingleObject(Mutant, Executive, KernelMode, FALSE, NULL);

    InterlockedIncrement(Status == STATUS_ABANDONED_WAIT_0 ? &ToldAbandoned : &ToldOwned);
    CHECK(Status == STATUS_ABANDONED_WAIT_0 || Status == STATUS_SUCCESS);
    KeReleaseMutant(Mutant, 0, FALSE, FALSE);
}

static VOID OneOfSeveralWaitersIsTold(VOID)
{
    KMUTEX Mutant;

    for (ULONG Round = 0; Round < 10; Round++) {
        CREW Crew = {.Count = 0};
        ToldAbandoned = ToldOwned = 0;
        KeInitializeMutant(&Mutant, FALSE);
        CrewAdd(&Crew, OwnUntilAwaited, &Mutant);
        CREW_UNTIL(KeReadStateMutex(&Mutant) == 0);
        for (ULONG i = 0; i < 4; i++)
            CrewAdd(&Crew, OwnInTurn, &Mutant);
        CrewJoin(&Crew);
        CHECK_EQUAL(ToldAbandoned, 1);
        CHECK_EQUAL(ToldOwned, 3);
        CHECK_EQUAL(KeReadStateMutex(&Mutant), 1);
    }
}

static KMUTEX PairMutex;
static CREW_PAIR Pair;
#define ROUNDS 200u

static VOID NTAPI CountUnderMutex(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeWaitForSingleObject(&PairMutex, Executive, KernelMode, FALSE, NULL);
        CrewCount(&Pair, i);
        KeReleaseMutex(&PairMutex, FALSE);
    }
}

static VOID MutexesExclude(VOID)
{
    CREW Crew = {.Count = 0};
    ULONG Threads;

    RtlZeroMemory(&Pair, sizeof(Pair));
    KeInitializeMutex(&PairMutex, 0);
    CrewFill(&Crew, CountUnderMutex, NULL);
    Threads = Crew.Count;
    CrewJoin(&Crew);
    CHECK_EQUAL(Pair.First, Threads * ROUNDS);
    CHECK_EQUAL(Pair.Torn, 0);
}

// ---- several objects ----------------------------------------------------------------------------
static VOID AnyTellsWhich(VOID)
{
    PVOID Objects[3];
    KEVENT Event[3];

    for (ULONG i = 0; i < 3; i++) {
        KeInitializeEvent(&Event[i], SynchronizationEvent, i != 0);
        Objects[i] = &Event[i];
    }
    CHECK_EQUAL(KeWaitForMultipleObjects(3, Objects, WaitAny, Executive, KernelMode, FALSE, NULL,
                                         NULL),
                STATUS_WAIT_1);
    CHECK_EQUAL(KeWaitForMultipleObjects(3, Objects, WaitAny, Executive, KernelMode, FALSE, NULL,
                                         NULL),
                STATUS_WAIT_2);
    CHECK_EQUAL(KeWaitForMultipleObjects(3, Objects, WaitAny, Executive, KernelMode, FALSE, &Zero,
                                         NULL),
                STATUS_TIMEOUT);
}

static VOID AllTakesAllOrNothing(VOID)
{
    PVOID Objects[3];
    KEVENT Event[2];
    KSEMAPHORE Semaphore;
    LARGE_INTEGER Short = {.QuadPart = -100000};

    KeInitializeEvent(&Event[0], SynchronizationEvent, TRUE);
    KeInitializeEvent(&Event[1], SynchronizationEvent, FALSE);
    KeInitializeSemaphore(&Semaphore, 1, 1);
    Objects[0] = &Event[0];
    Objects[1] = &Semaphore;
    Objects[2] = &Event[1];
    CHECK_EQUAL(KeWaitForMultipleObjects(3, Objects, WaitAll, Executive, KernelMode, FALSE, &Short,
                                         NULL),
                STATUS_TIMEOUT);
    CHECK(KeReadStateEvent(&Event[0]) != 0);
    CHECK_EQUAL(KeReadStateSemaphore(&Semaphore), 1);
    KeSetEvent(&Event[1], 0, FALSE);
    CHECK_EQUAL(KeWaitForMultipleObjects(3, Objects, WaitAll, Executive, KernelMode, FALSE, NULL,
                                         NULL),
                STATUS_SUCCESS);
    CHECK_EQUAL(KeReadStateEvent(&Event[0]), 0);
    CHECK_EQUAL(KeReadStateSemaphore(&Semaphore), 0);
}

static KEVENT Many[MAXIMUM_WAIT_OBJECTS];
static KWAIT_BLOCK Blocks[MAXIMUM_WAIT_OBJECTS];
static volatile NTSTATUS ManyStatus;

static VOID NTAPI WaitForMany(PVOID Type)
{
    PVOID Objects[MAXIMUM_WAIT_OBJECTS];

    for (ULONG i = 0; i < MAXIMUM_WAIT_OBJECTS; i++)
        Objects[i] = &Many[i];
    ManyStatus = KeWaitForMultipleObjects(MAXIMUM_WAIT_OBJECTS, Objects,
                                          (WAIT_TYPE)(ULONG_PTR)Type, Executive, KernelMode, FALSE,
                                          NULL, Blocks);
}

static VOID SixtyFourObjectsAtOnce(VOID)
{
    CREW Crew = {.Count = 0};

    for (ULONG i = 0; i < MAXIMUM_WAIT_OBJECTS; i++)
        KeInitializeEvent(&Many[i], SynchronizationEvent, FALSE);
    CrewAdd(&Crew, WaitForMany, (PVOID)(ULONG_PTR)WaitAny);
    CREW_UNTIL(HasWaiters(&Many[63], 1));
    KeSetEvent(&Many[41], 0, FALSE);
    CrewJoin(&Crew);
    CHECK_EQUAL(ManyStatus, STATUS_WAIT_0 + 41);
    CHECK(HasWaiters(&Many[0], 0) && HasWaiters(&Many[63], 0));
    CrewAdd(&Crew, WaitForMany, (PVOID)(ULONG_PTR)WaitAll);
    for (ULONG i = 0; i < MAXIMUM_WAIT_OBJECTS; i++)
        KeSetEvent(&Many[(i * 29) % 64], 0, FALSE);
    CrewJoin(&Crew);
    CHECK_EQUAL(ManyStatus, STATUS_SUCCESS);
    for (ULONG i = 0; i < MAXIMUM_WAIT_OBJECTS; i++)
        CHECK_EQUAL(KeReadStateEvent(&Many[i]), 0);
}

// ---- limits and alerts --------------------------------------------------------------------------
static VOID LimitsAreKept(VOID)
{
    ULONGLONG Start = KeQueryInterruptTime();
    LARGE_INTEGER Limit = {.QuadPart = -300000};
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    CHECK_EQUAL(KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Limit),
                STATUS_TIMEOUT);
    CHECK(KeQueryInterruptTime() - Start >= 300000);
    KeQuerySystemTime(&Limit);
    Limit.QuadPart += 300000;
    Start = KeQueryInterruptTime();
    CHECK_EQUAL(KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Limit),
                STATUS_TIMEOUT);
    CHECK(KeQueryInterruptTime() - Start >= 300000);
    Limit.QuadPart = 1; // long ago
    CHECK_EQUAL(KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Limit),
                STATUS_TIMEOUT);
    Start = KeQueryInterruptTime();
    Limit.QuadPart = -300000;
    CHECK_EQUAL(KeDelayExecutionThread(KernelMode, FALSE, &Limit), STATUS_SUCCESS);
    CHECK(KeQueryInterruptTime() - Start >= 300000);
}

static VOID ZeroLimitsLookAtDispatchLevel(VOID)
{
    KEVENT Event;
    KIRQL OldIrql;

    KeInitializeEvent(&Event, SynchronizationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK_EQUAL(Look(&Event), STATUS_SUCCESS);
    CHECK_EQUAL(Look(&Event), STATUS_TIMEOUT);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(OldIrql);
}

static KEVENT Never;
static volatile NTSTATUS AlertStatus;

static VOID NTAPI WaitAlertable(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    AlertStatus = KeWaitForSingleObject(&Never, Executive, KernelMode, TRUE, NULL);
}

static VOID AlertsEndAlertableWaits(VOID)
{
    LARGE_INTEGER Long = {.QuadPart = -600000000};
    CREW Crew = {.Count = 0};

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    CrewAdd(&Crew, WaitAlertable, NULL);
    CREW_UNTIL(HasWaiters(&Never, 1));
    CHECK(!KeAlertThread(Crew.Thread[0], KernelMode));
    CrewJoin(&Crew);
    CHECK_EQUAL(AlertStatus, STATUS_ALERTED);
    // One that comes too early is kept.
    CHECK(!KeAlertThread(KeGetCurrentThread(), KernelMode));
    CHECK(KeAlertThread(KeGetCurrentThread(), KernelMode));
    CHECK_EQUAL(KeDelayExecutionThread(KernelMode, TRUE, &Long), STATUS_ALERTED);
    CHECK(!KeTestAlertThread(KernelMode));
    KeAlertThread(KeGetCurrentThread(), KernelMode);
    CHECK(KeTestAlertThread(KernelMode));
    CHECK(!KeTestAlertThread(KernelMode));
}

static const GUEST_CASE Cases[] = {
    {"a notification event releases all and stays set", NotificationEventsReleaseAll},
    {"a synchronization event releases one and falls back", SynchronizationEventsReleaseOne},
    {"a pulse releases who waits now", PulsesReleaseWhoWaitsNow},
    {"IR-28 Wait TRUE stays at DISPATCH_LEVEL until the wait", WaitTrueStaysAtDispatchLevel},
    {"a semaphore counts", SemaphoresCount},
    {"a mutex is recursive and disables APCs", MutexesAreRecursive},
    {"a mutant whose owner ended is abandoned", MutantsOfEndedThreadsAreAbandoned},
    {"one of several waiters is told that it was abandoned", OneOfSeveralWaitersIsTold},
    {"one thread at a time owns a mutex", MutexesExclude},
    {"a wait for any tells which", AnyTellsWhich},
    {"a wait for all takes all or nothing", AllTakesAllOrNothing},
    {"64 objects at once, any and all", SixtyFourObjectsAtOnce},
    {"limits, relative and absolute, are kept", LimitsAreKept},
    {"IR-22 a limit of zero only looks, at DISPATCH_LEVEL too", ZeroLimitsLookAtDispatchLevel},
    {"alerts end alertable waits", AlertsEndAlertableWaits},
};
GUEST_DRIVER(Cases)
