// SPDX-License-Identifier: MIT
// Several processors: every case holds on one as well, and says more on two, four or more.
#include "crew.h"

#define MAX_PROCESSORS 64
#define MILLISECONDS(n) (-10000LL * (n))

// In ntoskrnl.exe, but in none of these headers.
typedef VOID(NTAPI *KERNEL_ROUTINE)(PKAPC Apc, PVOID *NormalRoutine, PVOID *NormalContext,
                                    PVOID *SystemArgument1, PVOID *SystemArgument2);
NTSYSAPI VOID NTAPI KeInitializeApc(PKAPC Apc, PKTHREAD Thread, ULONG Environment,
                                    KERNEL_ROUTINE KernelRoutine, PVOID RundownRoutine,
                                    PVOID NormalRoutine, KPROCESSOR_MODE ApcMode, PVOID Context);
NTSYSAPI BOOLEAN NTAPI KeInsertQueueApc(PKAPC Apc, PVOID Argument1, PVOID Argument2,
                                        KPRIORITY Increment);
NTSYSAPI KAFFINITY NTAPI KeSetAffinityThread(PKTHREAD Thread, KAFFINITY Affinity);

static ULONG Processors(VOID)
{
    return KeQueryActiveProcessorCount(NULL);
}

static KAFFINITY Bit(ULONG Number)
{
    return (KAFFINITY)1 << Number;
}

// ---- threads, one to a processor ----------------------------------------------------------------
typedef struct _WORKER {
    VOID (*Run)(ULONG Number);
    ULONG Number;
    PVOID Thread;
} WORKER;

static WORKER Workers[MAX_PROCESSORS];

static VOID NTAPI WorkerMain(PVOID Context)
{
    WORKER *Worker = Context;

    KeSetSystemAffinityThread(Bit(Worker->Number));
    Worker->Run(Worker->Number);
}

static PVOID StartThread(PKSTART_ROUTINE Routine, PVOID Context)
{
    PVOID Thread = NULL;
    HANDLE Handle;

    if (!NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routine,
                                         Context)))
        return NULL;
    ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &Thread, NULL);
    ZwClose(Handle);
    return Thread;
}

static VOID Join(PVOID Thread)
{
    CHECK(Thread != NULL);
    if (Thread == NULL)
        return;
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread);
}

// Run(n) in a thread on processor n, for all processors at once; returns when all are done.
static VOID OnEveryProcessor(VOID (*Run)(ULONG Number))
{
    ULONG Count = Processors();

    for (ULONG i = 0; i < Count; i++) {
        Workers[i].Run = Run;
        Workers[i].Number = i;
        Workers[i].Thread = StartThread(WorkerMain, &Workers[i]);
    }
    for (ULONG i = 0; i < Count; i++)
        Join(Workers[i].Thread);
}

// ---- counting -----------------------------------------------------------------------------------
static VOID EveryCountAgrees(VOID)
{
    KAFFINITY Active = KeQueryActiveProcessors(), Reported = 0;
    ULONG Count = KeQueryActiveProcessorCount(&Reported);

    CHECK_EQUAL(Reported, Active);
    CHECK_EQUAL(Active, Count == 8 * sizeof(KAFFINITY) ? ~(KAFFINITY)0 : Bit(Count) - 1);
    CHECK_EQUAL(KeNumberProcessors, Count);
    CHECK_EQUAL(KeQueryActiveProcessorCountEx(0), Count);
    CHECK_EQUAL(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), Count);
    CHECK_EQUAL(KeQueryActiveProcessorCountEx(1), 0);
    CHECK_EQUAL(KeQueryMaximumProcessorCountEx(0), Count);
    CHECK_EQUAL(KeQueryGroupAffinity(0), Active);
    CHECK_EQUAL(KeQueryGroupAffinity(1), 0);
    CHECK_EQUAL(KeQueryActiveGroupCount(), 1);
    CHECK_EQUAL(KeQueryMaximumGroupCount(), 1);
}

static VOID IndexAndNumberAreTheSame(VOID)
{
    PROCESSOR_NUMBER Number;

    for (ULONG i = 0; i < Processors(); i++) {
        CHECK_EQUAL(KeGetProcessorNumberFromIndex(i, &Number), STATUS_SUCCESS);
        CHECK_EQUAL(Number.Group, 0);
        CHECK_EQUAL(Number.Number, i);
        CHECK_EQUAL(KeGetProcessorIndexFromNumber(&Number), i);
    }
    CHECK_EQUAL(KeGetProcessorNumberFromIndex(Processors(), &Number), STATUS_INVALID_PARAMETER);
    Number.Number = (UCHAR)Processors();
    CHECK_EQUAL(KeGetProcessorIndexFromNumber(&Number), INVALID_PROCESSOR_INDEX);
}

// ---- affinity -----------------------------------------------------------------------------------
static VOID AffinityMovesTheCaller(VOID)
{
    for (ULONG Round = 0; Round < 20; Round++) {
        for (ULONG i = 0; i < Processors(); i++) {
            PROCESSOR_NUMBER Number;
            KeSetSystemAffinityThread(Bit(i));
            CHECK_EQUAL(KeGetCurrentProcessorNumber(), i);
            CHECK_EQUAL(KeGetCurrentProcessorNumberEx(&Number), i);
            CHECK_EQUAL(Number.Number, i);
        }
    }
    KeRevertToUserAffinityThread();
}

static VOID SystemAffinitiesNest(VOID)
{
    ULONG Last = Processors() - 1;
    KAFFINITY Outer = KeSetSystemAffinityThreadEx(Bit(Last));
    KAFFINITY Inner = KeSetSystemAffinityThreadEx(Bit(0));

    CHECK_EQUAL(Outer, 0);
    CHECK_EQUAL(Inner, Bit(Last));
    CHECK_EQUAL(KeGetCurrentProcessorNumber(), 0);
    KeRevertToUserAffinityThreadEx(Inner);
    CHECK_EQUAL(KeGetCurrentProcessorNumber(), Last);
    KeRevertToUserAffinityThreadEx(Outer);
}

static VOID GroupAffinitiesDoTheSame(VOID)
{
    ULONG Last = Processors() - 1;
    GROUP_AFFINITY Affinity = {.Mask = Bit(Last)}, Previous = {.Mask = 99, .Group = 99};

    KeSetSystemGroupAffinityThread(&Affinity, &Previous);
    CHECK_EQUAL(Previous.Mask, 0);
    CHECK_EQUAL(Previous.Group, 0);
    CHECK_EQUAL(KeGetCurrentProcessorNumber(), Last);
    KeRevertToUserGroupAffinityThread(&Previous);
}

static VOID AffinityWithoutAProcessorChangesNothing(VOID)
{
    KAFFINITY Before = KeSetSystemAffinityThreadEx(Bit(0));

    if (Processors() < 8 * sizeof(KAFFINITY)) {
        CHECK_EQUAL(KeSetSystemAffinityThreadEx(Bit(Processors())), 0);
        CHECK_EQUAL(KeGetCurrentProcessorNumber(), 0);
    }
    KeRevertToUserAffinityThreadEx(Before);
}

static VOID AffinityAtDispatchHoldsWhenItIsLeft(VOID)
{
    ULONG Last = Processors() - 1;
    KIRQL OldIrql;

    KeSetSystemAffinityThread(Bit(0));
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeSetSystemAffinityThread(Bit(Last));
    CHECK_EQUAL(KeGetCurrentProcessorNumber(), 0);
    KeLowerIrql(OldIrql);
    CHECK_EQUAL(KeGetCurrentProcessorNumber(), Last);
    KeRevertToUserAffinityThread();
}

static volatile LONG SeenOn, Stop;

static VOID NTAPI RunAndTell(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (!Stop)
        SeenOn = (LONG)KeGetCurrentProcessorNumber();
}

static VOID WaitUntilSeenOn(ULONG Number)
{
    LARGE_INTEGER Tick = {.QuadPart = MILLISECONDS(1)};

    while (SeenOn != (LONG)Number)
        KeDelayExecutionThread(KernelMode, FALSE, &Tick);
}

static VOID AffinityMovesARunningThread(VOID)
{
    PKTHREAD Thread;

    Stop = FALSE;
    Thread = StartThread(RunAndTell, NULL);
    for (ULONG Round = 0; Round < 3; Round++) {
        for (ULONG i = 0; i < Processors(); i++) {
            KeSetAffinityThread(Thread, Bit(i));
            WaitUntilSeenOn(i);
        }
    }
    Stop = TRUE;
    Join(Thread);
}

// ---- DPCs ---------------------------------------------------------------------------------------
typedef struct _TARGETED {
    KDPC Dpc;
    KEVENT Done;
    ULONG RanOn;
    KIRQL RanAt;
} TARGETED;

static TARGETED Targeted[MAX_PROCESSORS];

static VOID NTAPI TargetedDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    TARGETED *This = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    This->RanOn = KeGetCurrentProcessorNumber();
    This->RanAt = KeGetCurrentIrql();
    KeSetEvent(&This->Done, 0, FALSE);
}

static VOID PrepareTargeted(KDPC_IMPORTANCE Importance)
{
    for (ULONG i = 0; i < Processors(); i++) {
        KeInitializeDpc(&Targeted[i].Dpc, TargetedDpc, &Targeted[i]);
        KeSetImportanceDpc(&Targeted[i].Dpc, Importance);
        KeSetTargetProcessorDpc(&Targeted[i].Dpc, (CCHAR)i);
        KeInitializeEvent(&Targeted[i].Done, NotificationEvent, FALSE);
        Targeted[i].RanOn = MAXULONG;
    }
}

static VOID CheckTargeted(VOID)
{
    for (ULONG i = 0; i < Processors(); i++) {
        KeWaitForSingleObject(&Targeted[i].Done, Executive, KernelMode, FALSE, NULL);
        CHECK_EQUAL(Targeted[i].RanOn, i);
        CHECK_EQUAL(Targeted[i].RanAt, DISPATCH_LEVEL);
    }
}

static VOID TargetedDpcRunsOnItsProcessor(VOID)
{
    static const KDPC_IMPORTANCE Importances[] = {HighImportance, MediumHighImportance,
                                                  MediumImportance, LowImportance};
    for (ULONG n = 0; n < RTL_NUMBER_OF(Importances); n++) {
        PrepareTargeted(Importances[n]);
        for (ULONG i = 0; i < Processors(); i++)
            CHECK(KeInsertQueueDpc(&Targeted[i].Dpc, NULL, NULL));
        CheckTargeted();
    }
}

static VOID TargetedDpcRunsWhileItsQueuerIsAtDispatch(VOID)
{
    ULONG Other = Processors() - 1;
    KIRQL OldIrql;

    PrepareTargeted(HighImportance);
    KeSetSystemAffinityThread(Bit(0));
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG i = 0; i <= Other; i++)
        KeInsertQueueDpc(&Targeted[i].Dpc, NULL, NULL);
    while (Other != 0 && *(volatile ULONG *)&Targeted[Other].RanOn == MAXULONG)
        ;
    CHECK_EQUAL(Targeted[0].RanOn, MAXULONG);
    KeLowerIrql(OldIrql);
    CheckTargeted();
    KeRevertToUserAffinityThread();
}

static VOID FlushWaitsForAllProcessors(VOID)
{
    for (ULONG Round = 0; Round < 10; Round++) {
        PrepareTargeted(LowImportance);
        for (ULONG i = 0; i < Processors(); i++)
            KeInsertQueueDpc(&Targeted[i].Dpc, NULL, NULL);
        KeFlushQueuedDpcs();
        for (ULONG i = 0; i < Processors(); i++)
            CHECK_EQUAL(Targeted[i].RanOn, i);
    }
}

static VOID DpcForNoProcessorIsRefused(VOID)
{
    PROCESSOR_NUMBER Number = {.Group = 0, .Number = (UCHAR)Processors()};
    KDPC Dpc;

    KeInitializeDpc(&Dpc, TargetedDpc, NULL);
    CHECK_EQUAL(KeSetTargetProcessorDpcEx(&Dpc, &Number), STATUS_INVALID_PARAMETER);
    Number = (PROCESSOR_NUMBER){.Group = 1};
    CHECK_EQUAL(KeSetTargetProcessorDpcEx(&Dpc, &Number), STATUS_INVALID_PARAMETER);
    Number = (PROCESSOR_NUMBER){.Group = 0};
    CHECK_EQUAL(KeSetTargetProcessorDpcEx(&Dpc, &Number), STATUS_SUCCESS);
}

// ---- generic calls ------------------------------------------------------------------------------
static volatile LONG CalledOn[MAX_PROCESSORS], Arrived, WrongIrql;

// Comes back only if all are here at the same time.
static ULONG_PTR NTAPI MeetEverybody(ULONG_PTR Argument)
{
    LONG Count = (LONG)Processors();

    InterlockedIncrement(&CalledOn[KeGetCurrentProcessorNumber()]);
    if (KeGetCurrentIrql() != IPI_LEVEL)
        InterlockedIncrement(&WrongIrql);
    InterlockedIncrement(&Arrived);
    while (Arrived < Count)
        ;
    return Argument + KeGetCurrentProcessorNumber();
}

static VOID GenericCallRunsEverywhereAtOnce(VOID)
{
    RtlZeroMemory((PVOID)CalledOn, sizeof(CalledOn));
    WrongIrql = 0;
    for (ULONG i = 0; i < Processors(); i++) {
        Arrived = 0;
        KeSetSystemAffinityThread(Bit(i));
        CHECK_EQUAL(KeIpiGenericCall(MeetEverybody, 1000), 1000 + i);
        CHECK_EQUAL(Arrived, Processors());
    }
    KeRevertToUserAffinityThread();
    for (ULONG i = 0; i < Processors(); i++)
        CHECK_EQUAL(CalledOn[i], Processors());
    CHECK_EQUAL(WrongIrql, 0);
}

static volatile LONG Calls;

static ULONG_PTR NTAPI CountCall(ULONG_PTR Argument)
{
    InterlockedIncrement(&Calls);
    return Argument;
}

#define GENERIC_CALLS 10

static VOID CallOften(ULONG Number)
{
    for (ULONG i = 0; i < GENERIC_CALLS; i++)
        CHECK_EQUAL(KeIpiGenericCall(CountCall, Number), Number);
}

static VOID GenericCallsOfAllProcessorsTakeTurns(VOID)
{
    Calls = 0;
    OnEveryProcessor(CallOften);
    CHECK_EQUAL(Calls, GENERIC_CALLS * Processors() * Processors());
}

// ---- TLB ----------------------------------------------------------------------------------------
static PULONG Pages[2];
static volatile ULONG *volatile Window;
static volatile ULONG WindowShows[MAX_PROCESSORS];

static ULONG_PTR NTAPI ReadWindow(ULONG_PTR Argument)
{
    WindowShows[KeGetCurrentProcessorNumber()] = *Window;
    return Argument;
}

static PVOID MapPage(ULONG Which)
{
    return MmMapIoSpace(MmGetPhysicalAddress(Pages[Which]), PAGE_SIZE, MmCached);
}

static VOID AllocatePages(VOID)
{
    for (ULONG i = 0; i < 2; i++) {
        PHYSICAL_ADDRESS Highest = {.QuadPart = -1};
        Pages[i] = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
        CHECK(Pages[i] != NULL);
        Pages[i][0] = 0x1000 + i;
    }
}

// The same address, another page: no processor may see the old one.
static VOID EveryProcessorForgetsAnUnmappedPage(VOID)
{
    ULONG SameAddress = 0;

    AllocatePages();
    for (ULONG Round = 0; Round < 50; Round++) {
        PVOID Before = (PVOID)Window;
        Window = MapPage(Round % 2);
        SameAddress += (PVOID)Window == Before;
        KeIpiGenericCall(ReadWindow, 0);
        for (ULONG i = 0; i < Processors(); i++)
            CHECK_EQUAL(WindowShows[i], 0x1000 + Round % 2);
        MmUnmapIoSpace((PVOID)Window, PAGE_SIZE);
    }
    CHECK(SameAddress != 0); // else this has shown nothing
    MmFreeContiguousMemory(Pages[0]);
    MmFreeContiguousMemory(Pages[1]);
}

#define MAPPINGS 40

// Each flushes all the others' TLBs while they flush its own.
static VOID MapAndUnmap(ULONG Number)
{
    for (ULONG i = 0; i < MAPPINGS; i++) {
        volatile ULONG *Mapping = MapPage(i % 2);
        CHECK(Mapping != NULL && Mapping[0] == 0x1000 + i % 2);
        MmUnmapIoSpace((PVOID)Mapping, PAGE_SIZE);
    }
    UNREFERENCED_PARAMETER(Number);
}

static VOID AllProcessorsFlushEachOther(VOID)
{
    AllocatePages();
    OnEveryProcessor(MapAndUnmap);
    MmFreeContiguousMemory(Pages[0]);
    MmFreeContiguousMemory(Pages[1]);
}

// ---- waking -------------------------------------------------------------------------------------
#define ROUNDS 100
static KEVENT Ball[MAX_PROCESSORS];
static volatile LONG Passed;

// The ball goes from processor to processor; each waits for it.
static VOID PassTheBall(ULONG Number)
{
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeWaitForSingleObject(&Ball[Number], Executive, KernelMode, FALSE, NULL);
        Passed++; // whoever has the ball is alone
        KeSetEvent(&Ball[(Number + 1) % Processors()], 0, FALSE);
    }
}

static VOID EventWakesAcrossProcessors(VOID)
{
    for (ULONG i = 0; i < Processors(); i++)
        KeInitializeEvent(&Ball[i], SynchronizationEvent, i == 0);
    Passed = 0;
    OnEveryProcessor(PassTheBall);
    CHECK_EQUAL(Passed, ROUNDS * Processors());
}

static LARGE_INTEGER LatestCounter;
static ULONGLONG LatestTime;
static volatile LONG WentBack;

static VOID CompareClocks(ULONG Number)
{
    for (ULONG i = 0; i < ROUNDS; i++) {
        LARGE_INTEGER Counter;
        ULONGLONG Time;
        KeWaitForSingleObject(&Ball[Number], Executive, KernelMode, FALSE, NULL);
        Counter = KeQueryPerformanceCounter(NULL);
        Time = KeQueryInterruptTime();
        if (Counter.QuadPart < LatestCounter.QuadPart || Time < LatestTime)
            InterlockedIncrement(&WentBack);
        LatestCounter = Counter;
        LatestTime = Time;
        KeSetEvent(&Ball[(Number + 1) % Processors()], 0, FALSE);
    }
}

static VOID TimeNeverGoesBackBetweenProcessors(VOID)
{
    for (ULONG i = 0; i < Processors(); i++)
        KeInitializeEvent(&Ball[i], SynchronizationEvent, i == 0);
    WentBack = 0;
    OnEveryProcessor(CompareClocks);
    CHECK_EQUAL(WentBack, 0);
}

static volatile LONG ApcSeenOn;

static VOID NTAPI StopByApc(PKAPC Apc, PVOID *NormalRoutine, PVOID *NormalContext,
                            PVOID *SystemArgument1, PVOID *SystemArgument2)
{
    UNREFERENCED_PARAMETER(Apc);
    UNREFERENCED_PARAMETER(NormalRoutine);
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ApcSeenOn = (LONG)KeGetCurrentProcessorNumber();
    Stop = TRUE;
}

// The thread never waits and nobody else wants its processor: only an interrupt gets the APC there.
static VOID ApcReachesAThreadThatRunsElsewhere(VOID)
{
    for (ULONG i = 0; i < Processors(); i++) {
        PKTHREAD Thread;
        KAPC Apc;
        Stop = FALSE;
        ApcSeenOn = -1;
        Thread = StartThread(RunAndTell, NULL);
        KeSetAffinityThread(Thread, Bit(i));
        WaitUntilSeenOn(i);
        KeInitializeApc(&Apc, Thread, 0, StopByApc, NULL, NULL, KernelMode, NULL);
        CHECK(KeInsertQueueApc(&Apc, NULL, NULL, 0));
        Join(Thread);
        CHECK_EQUAL(ApcSeenOn, i);
    }
}

// ---- exclusion ----------------------------------------------------------------------------------
// A queued lock goes to whoever has waited longest. Where the host runs fewer processors at a time
// than the machine has, that one may have to wait for the host at every turn, while the others
// spin. So there are so many turns for all of them together, however many they are.
#define INCREMENTS 2500 // by each processor
#define TURNS      2000
static KSPIN_LOCK Lock, QueuedLock;
static ULONG Guarded, QueuedGuarded;
static volatile LONG Arrived, Turns;
static KTIMER Timers[MAX_PROCESSORS];

static VOID IncrementUnderLock(ULONG Number)
{
    UNREFERENCED_PARAMETER(Number);
    for (ULONG i = 0; i < INCREMENTS; i++) {
        KIRQL OldIrql;
        KeAcquireSpinLock(&Lock, &OldIrql);
        Guarded++;
        KeReleaseSpinLock(&Lock, OldIrql);
    }
}

static VOID SpinLockExcludesOtherProcessors(VOID)
{
    KeInitializeSpinLock(&Lock);
    Guarded = 0;
    OnEveryProcessor(IncrementUnderLock);
    CHECK_EQUAL(Guarded, INCREMENTS * Processors());
}

static VOID TakeTurns(ULONG Number)
{
    UNREFERENCED_PARAMETER(Number);
    InterlockedIncrement(&Arrived);
    while ((ULONG)Arrived < Processors())
        YieldProcessor();
    while (Turns < TURNS) {
        KLOCK_QUEUE_HANDLE Handle;
        KeAcquireInStackQueuedSpinLock(&QueuedLock, &Handle);
        QueuedGuarded++;
        KeReleaseInStackQueuedSpinLock(&Handle);
        InterlockedIncrement(&Turns);
    }
}

static VOID QueuedSpinLockExcludesOtherProcessors(VOID)
{
    KeInitializeSpinLock(&QueuedLock);
    QueuedGuarded = 0;
    Arrived = Turns = 0;
    OnEveryProcessor(TakeTurns);
    CHECK_EQUAL(QueuedGuarded, (ULONG)Turns);
}

static VOID SetAndWait(ULONG Number)
{
    LARGE_INTEGER Due = {.QuadPart = MILLISECONDS(2)};

    KeInitializeTimer(&Timers[Number]);
    for (ULONG i = 0; i < 10; i++) {
        KeSetTimer(&Timers[Number], Due, NULL);
        CHECK_EQUAL(KeWaitForSingleObject(&Timers[Number], Executive, KernelMode, FALSE, NULL),
                    STATUS_SUCCESS);
    }
}

static VOID TimersExpireOnEveryProcessor(VOID)
{
    OnEveryProcessor(SetAndWait);
}

// ---- calls and locks ----------------------------------------------------------------------------
static KSPIN_LOCK CalledLock;
static volatile LONG CalledRwLock;
static volatile LONG Masked;

NTKERNELAPI KIRQL NTAPI ExAcquireSpinLockExclusive(volatile LONG *SpinLock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockExclusive(volatile LONG *SpinLock, KIRQL OldIrql);
NTKERNELAPI VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(volatile LONG *SpinLock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(volatile LONG *SpinLock);

static VOID NTAPI WaitWithInterruptsOff(PVOID Shared)
{
    KLOCK_QUEUE_HANDLE Handle;
    KIRQL OldIrql;

    KeSetSystemAffinityThread((KAFFINITY)1 << (KeNumberProcessors - 1));
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    __asm__ volatile("cli");
    Masked = TRUE;
    if (Shared != NULL) {
        ExAcquireSpinLockSharedAtDpcLevel(&CalledRwLock);
        ExReleaseSpinLockSharedFromDpcLevel(&CalledRwLock);
    } else {
        KeAcquireInStackQueuedSpinLockAtDpcLevel(&CalledLock, &Handle);
        KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handle);
    }
    __asm__ volatile("sti");
    KeLowerIrql(OldIrql);
}

static VOID CallWhileOthersWait(PVOID Shared)
{
    CREW Crew = {.Count = 0};
    KLOCK_QUEUE_HANDLE Handle;
    KIRQL OldIrql;

    Masked = FALSE;
    KeSetSystemAffinityThread(1);
    CrewAdd(&Crew, WaitWithInterruptsOff, Shared);
    KeAcquireInStackQueuedSpinLock(&CalledLock, &Handle);
    OldIrql = ExAcquireSpinLockExclusive(&CalledRwLock);
    while (!Masked)
        YieldProcessor();
    CHECK_EQUAL(KeIpiGenericCall(CountCall, 7), 7);
    ExReleaseSpinLockExclusive(&CalledRwLock, OldIrql);
    KeReleaseInStackQueuedSpinLock(&Handle);
    CrewJoin(&Crew);
    KeRevertToUserAffinityThread();
}

static VOID WhoWaitsForALockServesCalls(VOID)
{
    if (KeNumberProcessors == 1)
        return;
    KeInitializeSpinLock(&CalledLock);
    CallWhileOthersWait(NULL);
    CallWhileOthersWait((PVOID)&CalledRwLock);
}

static const GUEST_CASE Cases[] = {
    {"every way of counting processors agrees", EveryCountAgrees},
    {"a processor's index is its number in group 0", IndexAndNumberAreTheSame},
    {"a system affinity moves the caller at once", AffinityMovesTheCaller},
    {"system affinities nest", SystemAffinitiesNest},
    {"group affinities do the same", GroupAffinitiesDoTheSame},
    {"an affinity without a processor changes nothing", AffinityWithoutAProcessorChangesNothing},
    {"an affinity set at DISPATCH_LEVEL holds when it is left",
     AffinityAtDispatchHoldsWhenItIsLeft},
    {"an affinity moves a running thread", AffinityMovesARunningThread},
    {"IR-41 a targeted DPC runs on its processor", TargetedDpcRunsOnItsProcessor},
    {"a DPC runs elsewhere while its queuer is at DISPATCH_LEVEL",
     TargetedDpcRunsWhileItsQueuerIsAtDispatch},
    {"IR-49 a flush waits for the DPCs of all processors", FlushWaitsForAllProcessors},
    {"a DPC for no processor is refused", DpcForNoProcessorIsRefused},
    {"a generic call runs everywhere at once, at IPI_LEVEL", GenericCallRunsEverywhereAtOnce},
    {"generic calls of all processors take turns", GenericCallsOfAllProcessorsTakeTurns},
    {"every processor forgets an unmapped page", EveryProcessorForgetsAnUnmappedPage},
    {"all processors flush each other's TLBs at once", AllProcessorsFlushEachOther},
    {"an event wakes a thread on another processor", EventWakesAcrossProcessors},
    {"time never goes back from one processor to the next", TimeNeverGoesBackBetweenProcessors},
    {"an APC reaches a thread that runs elsewhere", ApcReachesAThreadThatRunsElsewhere},
    {"spin locks exclude other processors", SpinLockExcludesOtherProcessors},
    {"queued spin locks exclude other processors", QueuedSpinLockExcludesOtherProcessors},
    {"timers expire on every processor", TimersExpireOnEveryProcessor},
    {"who waits for a lock with interrupts off serves calls", WhoWaitsForALockServesCalls},
};
GUEST_DRIVER(Cases)
