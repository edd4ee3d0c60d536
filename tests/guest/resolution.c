// SPDX-License-Identifier: MIT
// Timer resolution: the clock interrupts oftener while a driver asks for it, on every processor.
//
// Without a request interrupt time is a multiple of the tick after every clock interrupt, and a
// delay takes at least a tick: neither can look like the finer clock by accident. With one, a slow
// host may lose interrupts, so that the tests go on until they have seen what they look for, for as
// many rounds as only a clock that does not do it needs.
#define NTDDI_VERSION 0x06030000
#include "crew.h"

NTKERNELAPI VOID NTAPI ExQueryTimerResolution(PULONG MaximumTime, PULONG MinimumTime,
                                              PULONG CurrentTime);

#define MILLISECOND 10000
#define ROUNDS      200u
#define DELAYS      4u

static ULONG Current(VOID)
{
    ULONG Maximum, Minimum, Now;

    ExQueryTimerResolution(&Maximum, &Minimum, &Now);
    CHECK_EQUAL(Maximum, KeQueryTimeIncrement());
    CHECK(Minimum <= MILLISECOND);
    CHECK(Minimum <= Now);
    CHECK(Now <= Maximum);
    return Now;
}

static VOID Delay(VOID)
{
    LARGE_INTEGER Time = {.QuadPart = -MILLISECOND};
    KeDelayExecutionThread(KernelMode, FALSE, &Time);
}

static LONGLONG Ticks(VOID)
{
    LARGE_INTEGER Count;
    KeQueryTickCount(&Count);
    return Count.QuadPart;
}

// Whether delays on this processor end within a tick of each other, which only a finer clock there
// can make them.
static BOOLEAN DelaysAreShort(ULONG Rounds)
{
    for (ULONG i = 0; i < Rounds; i++) {
        LONGLONG Start = Ticks();
        for (ULONG j = 0; j < DELAYS; j++)
            Delay();
        if (Ticks() - Start < DELAYS - 1)
            return TRUE;
    }
    return FALSE;
}

static BOOLEAN InterruptTimeIsFine(ULONG Rounds)
{
    for (ULONG i = 0; i < Rounds; i++) {
        Delay();
        if (KeQueryInterruptTime() % KeQueryTimeIncrement() != 0)
            return TRUE;
    }
    return FALSE;
}

static VOID NobodyAsks(VOID)
{
    CHECK_EQUAL(Current(), KeQueryTimeIncrement());
    CHECK(!DelaysAreShort(4));
}

static VOID TheShortestRequestHolds(VOID)
{
    ULONG Maximum = KeQueryTimeIncrement();

    CHECK_EQUAL(ExSetTimerResolution(5 * MILLISECOND, TRUE), 5 * MILLISECOND);
    CHECK_EQUAL(ExSetTimerResolution(2 * MILLISECOND, TRUE), 2 * MILLISECOND);
    CHECK_EQUAL(ExSetTimerResolution(9 * MILLISECOND, TRUE), 2 * MILLISECOND);
    CHECK_EQUAL(Current(), 2 * MILLISECOND);
    CHECK_EQUAL(ExSetTimerResolution(0, FALSE), 2 * MILLISECOND);
    CHECK_EQUAL(ExSetTimerResolution(0, FALSE), 5 * MILLISECOND);
    CHECK_EQUAL(ExSetTimerResolution(0, FALSE), Maximum);
    CHECK_EQUAL(ExSetTimerResolution(0, FALSE), Maximum); // one too many
    CHECK_EQUAL(ExSetTimerResolution(2 * Maximum, TRUE), Maximum);
    CHECK_EQUAL(ExSetTimerResolution(0, FALSE), Maximum);
    CHECK_EQUAL(ExSetTimerResolution(0, TRUE), MILLISECOND);
    CHECK_EQUAL(ExSetTimerResolution(0, FALSE), Maximum);
}

static VOID EveryProcessorFollows(VOID)
{
    CHECK_EQUAL(ExSetTimerResolution(MILLISECOND, TRUE), MILLISECOND);
    CHECK(InterruptTimeIsFine(ROUNDS));
    for (ULONG i = 0; i < (ULONG)KeNumberProcessors; i++) {
        KeSetSystemAffinityThread((KAFFINITY)1 << i);
        CHECK(DelaysAreShort(ROUNDS));
        KeRevertToUserAffinityThread();
    }
    ExSetTimerResolution(0, FALSE);
    // Each processor goes back at its next interrupt.
    for (ULONG i = 0; i < (ULONG)KeNumberProcessors; i++) {
        KeSetSystemAffinityThread((KAFFINITY)1 << i);
        Delay();
        Delay();
        CHECK(!DelaysAreShort(2));
        KeRevertToUserAffinityThread();
    }
}

static VOID TicksKeepTheirUnit(VOID)
{
    ULONG Increment = KeQueryTimeIncrement();
    ULONGLONG Last = KeQueryInterruptTime(), Now;

    ExSetTimerResolution(MILLISECOND, TRUE);
    for (ULONG i = 0; i < 64; i++) {
        ULONGLONG Before = KeQueryInterruptTime(), Time = (ULONGLONG)Ticks() * Increment;
        Now = KeQueryInterruptTime();
        CHECK(Now >= Last);
        CHECK(Time <= Now);
        CHECK(Time + Increment > Before);
        Last = Now;
        Delay();
    }
    CHECK_EQUAL(KeQueryTimeIncrement(), Increment);
    ExSetTimerResolution(0, FALSE);
    for (ULONG i = 0; i < 4; i++) {
        Now = KeQueryInterruptTime();
        CHECK(Now >= Last); // the finer time was ahead of the tick
        Last = Now;
        Delay();
    }
}

static VOID NTAPI Fire(PEX_TIMER Timer, PVOID Context)
{
    UNREFERENCED_PARAMETER(Timer);
    KeSetEvent(Context, 0, FALSE);
}

static VOID ExTimersAskWhileTheyAreSet(VOID)
{
    PEX_TIMER Timer, Plain;
    KEVENT Fired;

    KeInitializeEvent(&Fired, NotificationEvent, FALSE);
    Timer = ExAllocateTimer(Fire, &Fired, EX_TIMER_HIGH_RESOLUTION);
    Plain = ExAllocateTimer(NULL, NULL, 0);
    ExSetTimer(Plain, -600000000LL, 0, NULL);
    CHECK_EQUAL(Current(), KeQueryTimeIncrement());
    ExSetTimer(Timer, -600000000LL, 0, NULL);
    CHECK_EQUAL(Current(), MILLISECOND);
    ExSetTimer(Timer, -500000000LL, 0, NULL);
    CHECK(ExCancelTimer(Timer, NULL));
    CHECK_EQUAL(Current(), KeQueryTimeIncrement());
    ExSetTimer(Timer, -MILLISECOND, 0, NULL);
    KeWaitForSingleObject(&Fired, Executive, KernelMode, FALSE, NULL);
    KeFlushQueuedDpcs();
    CHECK_EQUAL(Current(), KeQueryTimeIncrement());
    ExSetTimer(Timer, -MILLISECOND, MILLISECOND, NULL);
    CHECK_EQUAL(Current(), MILLISECOND);
    CHECK(ExDeleteTimer(Timer, TRUE, TRUE, NULL));
    CHECK_EQUAL(Current(), KeQueryTimeIncrement());
    CHECK(ExDeleteTimer(Plain, TRUE, TRUE, NULL));
}

static const GUEST_CASE Cases[] = {
    {"nobody asks: a delay takes a tick", NobodyAsks},
    {"the shortest interval asked for holds, and is reported", TheShortestRequestHolds},
    {"interrupt time and delays of every processor follow", EveryProcessorFollows},
    {"a tick keeps its unit, and no time goes back", TicksKeepTheirUnit},
    {"a high-resolution timer asks while it is set", ExTimersAskWhileTheyAreSet},
};
GUEST_DRIVER(Cases)
