// SPDX-License-Identifier: MIT
// ExTimers: set, waited for, cancelled, deleted.
#define NTDDI_VERSION 0x06030000
#include "crew.h"

#define MILLISECONDS(n) (-10000LL * (n))

static volatile LONG Fired;
static volatile KIRQL FiredAt;
static KEVENT Enough;
static LONG Wanted;

static VOID NTAPI Fire(PEX_TIMER Timer, PVOID Context)
{
    UNREFERENCED_PARAMETER(Timer);
    FiredAt = KeGetCurrentIrql();
    if (InterlockedIncrement(&Fired) == Wanted)
        KeSetEvent(Context, 0, FALSE);
}

static VOID Begin(LONG Count)
{
    Fired = 0;
    Wanted = Count;
    KeInitializeEvent(&Enough, NotificationEvent, FALSE);
}

static VOID UntilEnough(VOID)
{
    KeWaitForSingleObject(&Enough, Executive, KernelMode, FALSE, NULL);
}

static VOID OneShotCallsOnce(VOID)
{
    PEX_TIMER Timer = ExAllocateTimer(Fire, &Enough, 0);

    Begin(1);
    CHECK(!ExSetTimer(Timer, MILLISECONDS(1), 0, NULL));
    UntilEnough();
    CHECK_EQUAL(FiredAt, DISPATCH_LEVEL);
    CHECK(!ExCancelTimer(Timer, NULL));
    CHECK(!ExDeleteTimer(Timer, TRUE, TRUE, NULL));
    CHECK_EQUAL(Fired, 1);
}

static VOID PeriodsRepeat(VOID)
{
    PEX_TIMER Timer = ExAllocateTimer(Fire, &Enough, 0);
    ULONGLONG Start = KeQueryInterruptTime();

    Begin(5);
    ExSetTimer(Timer, MILLISECONDS(1), 200000, NULL); // then every 20 ms
    UntilEnough();
    CHECK(KeQueryInterruptTime() - Start >= 4 * 200000);
    CHECK(ExDeleteTimer(Timer, TRUE, TRUE, NULL));
}

static VOID CancelledTimersDoNotCall(VOID)
{
    PEX_TIMER Timer = ExAllocateTimer(Fire, &Enough, EX_TIMER_HIGH_RESOLUTION);

    Begin(1);
    CHECK(!ExSetTimer(Timer, MILLISECONDS(60000), 0, NULL));
    CHECK(ExSetTimer(Timer, MILLISECONDS(30000), 0, NULL));
    CHECK(ExCancelTimer(Timer, NULL));
    CHECK(!ExCancelTimer(Timer, NULL));
    CHECK(!ExDeleteTimer(Timer, TRUE, TRUE, NULL));
    CHECK_EQUAL(Fired, 0);
}

static VOID TimersAreWaitedFor(VOID)
{
    PEX_TIMER Timer = ExAllocateTimer(NULL, NULL, EX_TIMER_NOTIFICATION);
    PEX_TIMER Other = ExAllocateTimer(NULL, NULL, 0);
    LARGE_INTEGER Zero = {.QuadPart = 0};

    ExSetTimer(Timer, MILLISECONDS(1), 0, NULL);
    ExSetTimer(Other, MILLISECONDS(1), 0, NULL);
    CHECK_EQUAL(KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    CHECK_EQUAL(KeWaitForSingleObject(Other, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    CHECK_EQUAL(KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS);
    CHECK_EQUAL(KeWaitForSingleObject(Other, Executive, KernelMode, FALSE, &Zero), STATUS_TIMEOUT);
    ExDeleteTimer(Timer, TRUE, FALSE, NULL);
    ExDeleteTimer(Other, TRUE, FALSE, NULL);
}

static VOID NTAPI Gone(PVOID Context)
{
    KeSetEvent(Context, 0, FALSE);
}

static VOID DeletingTellsWhenItIsDone(VOID)
{
    EXT_DELETE_PARAMETERS Parameters = {0};
    PEX_TIMER Timer = ExAllocateTimer(Fire, &Enough, 0);
    KEVENT Deleted;

    KeInitializeEvent(&Deleted, NotificationEvent, FALSE);
    Parameters.DeleteCallback = Gone;
    Parameters.DeleteContext = &Deleted;
    Begin(1);
    ExSetTimer(Timer, MILLISECONDS(40), 0, NULL);
    CHECK(!ExDeleteTimer(Timer, FALSE, FALSE, &Parameters)); // it expires first
    KeWaitForSingleObject(&Deleted, Executive, KernelMode, FALSE, NULL);
    CHECK_EQUAL(Fired, 1);
}

// The callback of the first expiry runs when the timer is set again, and deleted.
static VOID DeletingWaitsForTheSecondExpiry(VOID)
{
    EXT_DELETE_PARAMETERS Parameters = {0};
    PEX_TIMER Timer = ExAllocateTimer(Fire, &Enough, 0);
    KEVENT Deleted;
    KIRQL OldIrql;

    KeInitializeEvent(&Deleted, NotificationEvent, FALSE);
    Parameters.DeleteCallback = Gone;
    Parameters.DeleteContext = &Deleted;
    Begin(2);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ExSetTimer(Timer, 0, 0, NULL); // expires at once, its DPC has to wait
    CHECK(!ExSetTimer(Timer, MILLISECONDS(40), 0, NULL));
    CHECK(!ExDeleteTimer(Timer, FALSE, FALSE, &Parameters));
    KeLowerIrql(OldIrql);
    KeWaitForSingleObject(&Deleted, Executive, KernelMode, FALSE, NULL);
    CHECK_EQUAL(Fired, 2);
}

static EXT_DELETE_PARAMETERS SelfParameters;

static VOID NTAPI DeleteSelf(PEX_TIMER Timer, PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    CHECK(ExDeleteTimer(Timer, TRUE, FALSE, &SelfParameters)); // it has a period: it is set again
}

static VOID ATimerDeletesItself(VOID)
{
    KEVENT Deleted;
    PEX_TIMER Timer = ExAllocateTimer(DeleteSelf, NULL, 0);

    KeInitializeEvent(&Deleted, NotificationEvent, FALSE);
    SelfParameters.DeleteCallback = Gone;
    SelfParameters.DeleteContext = &Deleted;
    ExSetTimer(Timer, MILLISECONDS(1), 10000000, NULL);
    KeWaitForSingleObject(&Deleted, Executive, KernelMode, FALSE, NULL);
}

static VOID AttributesThatExcludeEachOther(VOID)
{
    CHECK(ExAllocateTimer(NULL, NULL, EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE) == NULL);
}

// Deleting with Wait: no call is under way afterwards, on any processor, and none comes.
static volatile LONG InCallback, AfterDeletion, Deleted;

static VOID NTAPI FireAtLength(PEX_TIMER Timer, PVOID Context)
{
    UNREFERENCED_PARAMETER(Timer);
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&InCallback);
    if (Deleted)
        AfterDeletion++;
    InterlockedIncrement(&Fired);
    KeStallExecutionProcessor(50);
    InterlockedDecrement(&InCallback);
}

static VOID DeletionWaitsForCallbacks(VOID)
{
    AfterDeletion = 0;
    for (ULONG i = 0; i < 60; i++) {
        PEX_TIMER Timer = ExAllocateTimer(FireAtLength, NULL, EX_TIMER_HIGH_RESOLUTION);
        Deleted = Fired = 0;
        CHECK(Timer != NULL);
        if (Timer == NULL)
            return;
        ExSetTimer(Timer, -1, i % 2 ? 10000 : 0, NULL);
        while (Fired == 0)
            CrewYield();
        ExDeleteTimer(Timer, TRUE, TRUE, NULL);
        CHECK_EQUAL(InCallback, 0);
        Deleted = 1;
    }
    CrewPause();
    CrewPause();
    CHECK_EQUAL(AfterDeletion, 0);
}

static const GUEST_CASE Cases[] = {
    {"a timer without a period calls once, at DISPATCH_LEVEL", OneShotCallsOnce},
    {"a timer with a period calls again", PeriodsRepeat},
    {"a cancelled timer does not call", CancelledTimersDoNotCall},
    {"threads wait for both kinds", TimersAreWaitedFor},
    {"a timer deleted without being cancelled expires first", DeletingTellsWhenItIsDone},
    {"a timer deleted while the DPC of an earlier expiry is queued expires first",
     DeletingWaitsForTheSecondExpiry},
    {"deleting a timer waits for its callback", DeletionWaitsForCallbacks},
    {"a timer deletes itself in its callback", ATimerDeletesItself},
    {"high resolution and no wake exclude each other", AttributesThatExcludeEachOther},
};
GUEST_DRIVER(Cases)
