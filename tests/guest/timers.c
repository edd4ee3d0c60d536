// SPDX-License-Identifier: MIT
// Timers, and the clocks that they and everyone go by.
#include "crew.h"

#define MILLISECONDS(n) (-10000LL * (n))

static LARGE_INTEGER In(LONGLONG Milliseconds)
{
    return (LARGE_INTEGER){.QuadPart = MILLISECONDS(Milliseconds)};
}

static NTSTATUS Wait(PKTIMER Timer)
{
    return KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, NULL);
}

static NTSTATUS Look(PKTIMER Timer)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    return KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, &Zero);
}

static VOID TimersExpireNotBeforeTheirTime(VOID)
{
    ULONGLONG Start = KeQueryInterruptTime();
    LARGE_INTEGER Time;
    KTIMER Timer;

    KeInitializeTimer(&Timer);
    CHECK(!KeReadStateTimer(&Timer));
    CHECK(!KeSetTimer(&Timer, In(30), NULL));
    CHECK_EQUAL(Wait(&Timer), STATUS_SUCCESS);
    CHECK(KeQueryInterruptTime() - Start >= 300000);
    CHECK(KeReadStateTimer(&Timer));
    CHECK_EQUAL(Look(&Timer), STATUS_SUCCESS); // a notification timer stays signalled
    KeQuerySystemTime(&Time);
    Start = KeQueryInterruptTime();
    Time.QuadPart += 300000;
    KeSetTimer(&Timer, Time, NULL);
    CHECK(!KeReadStateTimer(&Timer));
    CHECK_EQUAL(Wait(&Timer), STATUS_SUCCESS);
    CHECK(KeQueryInterruptTime() - Start >= 300000);
}

static VOID SynchronizationTimersReleaseOnce(VOID)
{
    KTIMER Timer;

    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    KeSetTimer(&Timer, In(1), NULL);
    CHECK_EQUAL(Wait(&Timer), STATUS_SUCCESS);
    CHECK_EQUAL(Look(&Timer), STATUS_TIMEOUT);
}

static VOID CancellingTellsWhetherItWasSet(VOID)
{
    KTIMER Timer;

    KeInitializeTimer(&Timer);
    CHECK(!KeCancelTimer(&Timer));
    CHECK(!KeSetTimer(&Timer, In(60000), NULL));
    CHECK(KeSetTimer(&Timer, In(30000), NULL));
    CHECK(KeCancelTimer(&Timer));
    CHECK(!KeCancelTimer(&Timer));
    CHECK_EQUAL(Look(&Timer), STATUS_TIMEOUT);
    KeSetTimer(&Timer, In(60000), NULL);
    KeSetTimer(&Timer, In(1), NULL); // moved to the front
    CHECK_EQUAL(Wait(&Timer), STATUS_SUCCESS);
    CHECK(!KeCancelTimer(&Timer));
}

static VOID PeriodsDoNotDrift(VOID)
{
    ULONGLONG Start = KeQueryInterruptTime();
    KTIMER Timer;

    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    KeSetTimerEx(&Timer, In(20), 20, NULL);
    for (ULONG i = 0; i < 5; i++)
        CHECK_EQUAL(Wait(&Timer), STATUS_SUCCESS);
    CHECK(KeQueryInterruptTime() - Start >= 5 * 200000);
    CHECK(KeCancelTimer(&Timer));
    KeSetCoalescableTimer(&Timer, In(1), 0, 50, NULL);
    CHECK_EQUAL(Wait(&Timer), STATUS_SUCCESS);
}

static VOID PeriodsOfATimeThatIsPastCountFromNow(VOID)
{
    ULONGLONG Start;
    LARGE_INTEGER Past;
    KTIMER Timer;

    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    KeQuerySystemTime(&Past);
    Past.QuadPart -= 1500000; // 150 ms
    Start = KeQueryInterruptTime();
    CHECK(!KeSetTimerEx(&Timer, Past, 200, NULL));
    CHECK_EQUAL(Look(&Timer), STATUS_SUCCESS); // at once
    CHECK_EQUAL(Wait(&Timer), STATUS_SUCCESS);
    CHECK(KeQueryInterruptTime() - Start >= 2000000);
    CHECK(KeCancelTimer(&Timer));
}

// ---- DPCs ---------------------------------------------------------------------------------------
static KEVENT Called;
static KIRQL CalledAt;
static LARGE_INTEGER CalledTime;

static VOID NTAPI Note(PKDPC Dpc, PVOID Context, PVOID Low, PVOID High)
{
    UNREFERENCED_PARAMETER(Dpc);
    CalledAt = KeGetCurrentIrql();
    CalledTime.LowPart = (ULONG)(ULONG_PTR)Low;
    CalledTime.HighPart = (LONG)(LONG_PTR)High;
    KeSetEvent(Context, 0, FALSE);
}

static VOID TimersQueueTheirDpc(VOID)
{
    LARGE_INTEGER Before, After;
    KTIMER Timer;
    KDPC Dpc;

    KeInitializeEvent(&Called, SynchronizationEvent, FALSE);
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, Note, &Called);
    KeQuerySystemTime(&Before);
    KeSetTimer(&Timer, In(10), &Dpc);
    KeWaitForSingleObject(&Called, Executive, KernelMode, FALSE, NULL);
    KeQuerySystemTime(&After);
    CHECK_EQUAL(CalledAt, DISPATCH_LEVEL);
    CHECK(CalledTime.QuadPart >= Before.QuadPart && CalledTime.QuadPart <= After.QuadPart);
    KeSetTimer(&Timer, (LARGE_INTEGER){.QuadPart = 0}, &Dpc); // due already
    KeWaitForSingleObject(&Called, Executive, KernelMode, FALSE, NULL);
    KeFlushQueuedDpcs();
}

#define MANY 300u

typedef struct _ONE_OF_MANY {
    KTIMER Timer;
    KDPC Dpc;
    ULONGLONG Due, Ran;
    volatile LONG Times;
} ONE_OF_MANY;

static volatile LONG ManyLeft;

static VOID NTAPI NoteOne(PKDPC Dpc, PVOID Context, PVOID Low, PVOID High)
{
    ONE_OF_MANY *One = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Low);
    UNREFERENCED_PARAMETER(High);
    One->Ran = KeQueryInterruptTime();
    InterlockedIncrement(&One->Times);
    if (InterlockedDecrement(&ManyLeft) == 0)
        KeSetEvent(&Called, 0, FALSE);
}

static VOID ManyTimersExpireEachOnce(VOID)
{
    ONE_OF_MANY *Many = ExAllocatePoolWithTag(NonPagedPool, MANY * sizeof(*Many), 'rmiT');
    ULONG Seed = 1;

    CHECK(Many != NULL);
    if (Many == NULL)
        return;
    RtlZeroMemory(Many, MANY * sizeof(*Many));
    KeInitializeEvent(&Called, SynchronizationEvent, FALSE);
    ManyLeft = MANY;
    for (ULONG i = 0; i < MANY; i++) {
        LARGE_INTEGER Due;
        Seed = Seed * 1664525u + 1013904223u;
        Due.QuadPart = -(LONGLONG)(Seed >> 10); // up to 0.4 s
        KeInitializeTimer(&Many[i].Timer);
        KeInitializeDpc(&Many[i].Dpc, NoteOne, &Many[i]);
        Many[i].Due = KeQueryInterruptTime() - Due.QuadPart;
        KeSetTimer(&Many[i].Timer, Due, &Many[i].Dpc);
    }
    KeWaitForSingleObject(&Called, Executive, KernelMode, FALSE, NULL);
    KeFlushQueuedDpcs();
    for (ULONG i = 0; i < MANY; i++) {
        CHECK_EQUAL(Many[i].Times, 1);
        CHECK(Many[i].Ran >= Many[i].Due);
    }
    ExFreePoolWithTag(Many, 'rmiT');
}

// ---- clocks -------------------------------------------------------------------------------------
NTKERNELAPI ULONGLONG NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp);
NTKERNELAPI VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime);
NTKERNELAPI ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(VOID);

static VOID ClocksAgree(VOID)
{
    LARGE_INTEGER System, Precise, Ticks, Frequency, Counter;
    ULONGLONG Interrupt = KeQueryInterruptTime(), Exact;
    ULONG64 Stamp;

    KeQueryTickCount(&Ticks);
    CHECK(KeQueryInterruptTime() >= Interrupt);
    // Both count from the start: the tick count in whole increments.
    CHECK((ULONGLONG)(Ticks.QuadPart + 1) * KeQueryTimeIncrement() >= Interrupt);
    CHECK((ULONGLONG)Ticks.QuadPart * KeQueryTimeIncrement() <= KeQueryInterruptTime());
    KeQuerySystemTime(&System);
    KeQuerySystemTimePrecise(&Precise);
    CHECK(Precise.QuadPart >= System.QuadPart);
    Counter = KeQueryPerformanceCounter(&Frequency);
    CHECK(Frequency.QuadPart >= 1000000); // a microsecond or better
    Exact = KeQueryInterruptTimePrecise(&Stamp);
    CHECK(Exact >= Interrupt);
    CHECK(Stamp >= (ULONG64)Counter.QuadPart);
    CHECK(KeQueryUnbiasedInterruptTime() >= Interrupt);
}

static VOID SharedDataShowsTheSameTime(VOID)
{
    LARGE_INTEGER Time, Ticks;

    for (ULONG i = 0; i < 100; i++) {
        KeQuerySystemTime(&Time);
        LONGLONG Shared = (LONGLONG)((ULONGLONG)(ULONG)SharedUserData->SystemTime.High1Time << 32 |
                                     SharedUserData->SystemTime.LowPart);
        LARGE_INTEGER Later;
        KeQuerySystemTime(&Later);
        CHECK(Shared >= Time.QuadPart && Shared <= Later.QuadPart);
    }
    KeQueryTickCount(&Ticks);
    CHECK(SharedUserData->TickCount.LowPart >= Ticks.LowPart);
}

static VOID TimeNeverGoesBack(VOID)
{
    LARGE_INTEGER Last = {.QuadPart = 0}, Counter, LastCounter = {.QuadPart = 0};

    for (ULONG i = 0; i < 10000; i++) {
        LARGE_INTEGER Now;
        KeQuerySystemTime(&Now);
        Counter = KeQueryPerformanceCounter(NULL);
        if (Now.QuadPart < Last.QuadPart || Counter.QuadPart < LastCounter.QuadPart) {
            CHECK(!"time went back");
            break;
        }
        Last = Now;
        LastCounter = Counter;
    }
}

static const GUEST_CASE Cases[] = {
    {"a timer expires not before its time, relative or absolute", TimersExpireNotBeforeTheirTime},
    {"a synchronization timer releases once", SynchronizationTimersReleaseOnce},
    {"cancelling tells whether it was set", CancellingTellsWhetherItWasSet},
    {"a period does not drift", PeriodsDoNotDrift},
    {"periods count from now when the first due time is past",
     PeriodsOfATimeThatIsPastCountFromNow},
    {"a timer queues its DPC with the time", TimersQueueTheirDpc},
    {"300 timers expire, each once, none early", ManyTimersExpireEachOnce},
    {"the clocks agree", ClocksAgree},
    {"KUSER_SHARED_DATA shows the same time", SharedDataShowsTheSameTime},
    {"time never goes back", TimeNeverGoesBack},
};
GUEST_DRIVER(Cases)
