// SPDX-License-Identifier: MIT
// Timers: objects that become signalled at a time, and may queue a DPC then.
//
// A set timer waits on its processor's wheel of TIMER_HANDS lists: hand n holds the timers due in
// units n, n + TIMER_HANDS, n + 2 * TIMER_HANDS ... of 2^17 * 100 ns (13 ms), the earliest first.
// TimerSummary has a bit for each list that is not empty. TimerDue is the time before which nothing
// on the wheel is due: the clock interrupt compares one number, and queues TimerDpc when it has
// come. The DPC walks the hands from where it stopped last time up to the present.
//
// Due times are interrupt time, which advances with the clock interrupt (time.c): a timer expires
// at the first one at or after its due time, as measured by KeQueryInterruptTime. An absolute time
// is converted when the timer is set.
//
// A timer with a period is set anew when it expires, from the time it was due at, so that it does
// not drift; periods that have passed altogether are left out. One whose due time is past when it
// is set expires at once, and its periods count from then.
//
// Locking: the dispatcher lock covers timers and wheels. Header.Inserted: the timer is on the wheel
// of processor Processor. TimerDue alone is read by the clock interrupt without the lock, so its
// processor, which alone writes it, does so with interrupts off.
//
// `!timer` prints the wheels. Tests: tests/guest/threads.c.
#include "ki.h"

#define HAND_SHIFT 17
#define NEVER      (~0ull)

#define MOST_ROUNDS 1000u // of taking off what is set anew meanwhile

#define FINE_PERIOD 0x80000000u // in KTIMER.Period: the rest is in 100 ns units, else milliseconds

FORCEINLINE ULONG64 KiPeriodOf(const KTIMER *Timer)
{
    return Timer->Period & FINE_PERIOD ? Timer->Period & ~FINE_PERIOD
                                       : (ULONG64)Timer->Period * 10000;
}

FORCEINLINE PKTIMER KiTimerOf(PLIST_ENTRY Entry)
{
    return CONTAINING_RECORD(Entry, KTIMER, TimerListEntry);
}

static VOID KiSetTimerDue(PKPRCB Prcb, ULONG64 Due)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    Prcb->TimerDue = Due;
    KiRestoreInterrupts(Enabled);
}

ULONG64 KiDueTime(LARGE_INTEGER Time)
{
    if (Time.QuadPart < 0)
        return KiInterruptTime() - (ULONG64)Time.QuadPart;
    return (ULONG64)Time.QuadPart > KiBootTime ? (ULONG64)Time.QuadPart - KiBootTime : 0;
}

// ---- the wheel ----------------------------------------------------------------------------------
VOID KiInsertTimer(PKTIMER Timer, ULONG64 DueTime)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    ULONG Hand = (ULONG)(DueTime >> HAND_SHIFT) % TIMER_HANDS;
    PLIST_ENTRY Head = &Prcb->TimerListHead[Hand], Before = Head->Blink;

    while (Before != Head && KiTimerOf(Before)->DueTime.QuadPart > DueTime)
        Before = Before->Blink;
    InsertHeadList(Before, &Timer->TimerListEntry);
    Prcb->TimerSummary[Hand / 32] |= 1u << Hand % 32;
    Timer->DueTime.QuadPart = DueTime;
    Timer->Header.Hand = (UCHAR)Hand;
    Timer->Header.Inserted = TRUE;
    KeNoteObject(Timer);
    KiSetTimerProcessor(Timer, Prcb->ProcessorNumber);
    if (DueTime < Prcb->TimerDue)
        KiSetTimerDue(Prcb, DueTime);
}

VOID KiRemoveTimer(PKTIMER Timer)
{
    PKPRCB Prcb = KiProcessorBlock[KiTimerProcessor(Timer)];
    ULONG Hand = Timer->Header.Hand;

    Timer->Header.Inserted = FALSE;
    if (RemoveEntryList(&Timer->TimerListEntry))
        Prcb->TimerSummary[Hand / 32] &= ~(1u << Hand % 32);
}

// The earliest due time on the wheel, all up to hand Now having expired.
static ULONG64 KiEarliest(PKPRCB Prcb, ULONG64 Now)
{
    for (ULONG64 Hand = Now; Hand < Now + TIMER_HANDS; Hand++) {
        ULONG Index = (ULONG)Hand % TIMER_HANDS;
        if (Prcb->TimerSummary[Index / 32] >> Index % 32 == 0) {
            Hand |= 31; // none in the rest of this word
            continue;
        }
        if (IsListEmpty(&Prcb->TimerListHead[Index]))
            continue;
        ULONG64 Due = KiTimerOf(Prcb->TimerListHead[Index].Flink)->DueTime.QuadPart;
        if (Due >> HAND_SHIFT == Hand)
            return Due;
    }
    for (ULONG i = 0; i < TIMER_HANDS / 32; i++)
        if (Prcb->TimerSummary[i] != 0)
            return (Now + TIMER_HANDS) << HAND_SHIFT;
    return NEVER;
}

// ---- expiry -------------------------------------------------------------------------------------
static VOID KiSetAgain(PKTIMER Timer, ULONG64 Now)
{
    ULONG64 Period = KiPeriodOf(Timer), Due = Timer->DueTime.QuadPart + Period;

    if (Due <= Now)
        Due += (Now - Due) / Period * Period + Period;
    KiInsertTimer(Timer, Due);
}

// The timer is on no wheel and its time has come.
static VOID KiExpireTimer(PKTIMER Timer, ULONG64 Now)
{
    ULARGE_INTEGER Time = {.QuadPart = KiBootTime + Now};

    Timer->Header.SignalState = 1;
    if (!IsListEmpty(&Timer->Header.WaitListHead))
        KiSignalWaiters(&Timer->Header, 0);
    if (Timer->Period != 0)
        KiSetAgain(Timer, Now);
    if (Timer->Dpc != NULL)
        KeInsertQueueDpc(Timer->Dpc, (PVOID)(ULONG_PTR)Time.LowPart,
                         (PVOID)(ULONG_PTR)Time.HighPart);
}

static VOID KiExpireHand(PKPRCB Prcb, ULONG Hand, ULONG64 Now)
{
    PLIST_ENTRY Head = &Prcb->TimerListHead[Hand];

    while (!IsListEmpty(Head)) {
        PKTIMER Timer = KiTimerOf(Head->Flink);
        if (Timer->DueTime.QuadPart > Now)
            return;
        KiRemoveTimer(Timer);
        KiExpireTimer(Timer, Now);
    }
}

static VOID NTAPI KiTimerDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                             PVOID SystemArgument2)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    ULONG64 Now = KiInterruptTime(), Last = Now >> HAND_SHIFT, Hand = Prcb->TimerHand;

    if (Last - Hand >= TIMER_HANDS)
        Hand = Last - TIMER_HANDS + 1;
    KiTakeLock(&KiDispatcherLock);
    for (; Hand <= Last; Hand++)
        KiExpireHand(Prcb, (ULONG)Hand % TIMER_HANDS, Now);
    Prcb->TimerHand = Last;
    KiSetTimerDue(Prcb, KiEarliest(Prcb, Last));
    KiUnlockDispatcher(DISPATCH_LEVEL);
}

VOID KiCheckTimers(PKPRCB Prcb, ULONG64 Now)
{
    if (Now >= Prcb->TimerDue)
        KeInsertQueueDpc(&Prcb->TimerDpc, NULL, NULL);
}

VOID KiInitializeTimers(PKPRCB Prcb)
{
    for (ULONG i = 0; i < TIMER_HANDS; i++)
        InitializeListHead(&Prcb->TimerListHead[i]);
    Prcb->TimerDue = NEVER;
    Prcb->ClockInterval = HAL_CLOCK_INCREMENT;
    KeInitializeDpc(&Prcb->TimerDpc, KiTimerDpc, NULL);
}

// ---- routines -----------------------------------------------------------------------------------

// KeInitializeTimerEx: makes a timer, not set and not signalled. A NotificationTimer releases all
// waiters once it has expired, a SynchronizationTimer one. IRQL: any. Source: WDK wdm.h,
// KeInitializeTimerEx.
VOID NTAPI KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type)
{
    KiInitializeHeader(
        &Timer->Header,
        Type == NotificationTimer ? TimerNotificationObject : TimerSynchronizationObject, 0, 0);
    Timer->DueTime.QuadPart = 0;
    Timer->Dpc = NULL;
    Timer->Period = 0;
    KiSetTimerProcessor(Timer, 0);
}
EXPORT(KeInitializeTimerEx, EXPORT_ANY_IRQL, "WDK wdm.h KeInitializeTimerEx");

// KeInitializeTimer: makes a NotificationTimer.
// IRQL: any. Source: WDK wdm.h, KeInitializeTimer.
VOID NTAPI KeInitializeTimer(PKTIMER Timer)
{
    KeInitializeTimerEx(Timer, NotificationTimer);
}
EXPORT(KeInitializeTimer, EXPORT_ANY_IRQL, "WDK wdm.h KeInitializeTimer");

FORCEINLINE BOOLEAN KiSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, PKDPC Dpc)
{
    KIRQL OldIrql = KiLockDispatcher();
    ULONG64 Due = KiDueTime(DueTime), Now = KiInterruptTime();
    BOOLEAN Was = Timer->Header.Inserted;

    if (Was)
        KiRemoveTimer(Timer);
    Timer->Header.SignalState = 0;
    Timer->Header.Absolute = DueTime.QuadPart >= 0;
    Timer->Dpc = Dpc;
    Timer->Period = Period;
    if (__builtin_expect(Due > Now, 1)) {
        KiInsertTimer(Timer, Due);
    } else {
        Timer->DueTime.QuadPart = Now; // a period begins now, not at a time that is past
        KiExpireTimer(Timer, Now);
    }
    KiUnlockDispatcher(OldIrql);
    return Was;
}

BOOLEAN KeSetTimerByUnits(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG64 Period, PKDPC Dpc)
{
    ULONG Encoded = Period < FINE_PERIOD ? (ULONG)Period | FINE_PERIOD : (ULONG)(Period / 10000);
    return KiSetTimer(Timer, DueTime, Period != 0 ? Encoded : 0, Dpc);
}

BOOLEAN KeIsTimerSet(PKTIMER Timer)
{
    KIRQL OldIrql = KiLockDispatcher();
    BOOLEAN Set = Timer->Header.Inserted;

    KiUnlockDispatcher(OldIrql);
    return Set;
}

// KeSetTimerEx: sets the timer; if it was set, it is set anew. It is not signalled until it
// expires.
//   DueTime  100 ns units, negative: from now; positive: system time.
//   Period   milliseconds between further expiries, 0: none.
//   Dpc      is queued at each expiry; NULL: none.
// Returns whether the timer was set before.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeSetTimerEx.
BOOLEAN NTAPI KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc)
{
    return KiSetTimer(Timer, DueTime, (ULONG)Period & ~FINE_PERIOD, Dpc);
}
EXPORT(KeSetTimerEx, DISPATCH_LEVEL, "WDK wdm.h KeSetTimerEx");

// KeSetTimer: the same for one expiry.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeSetTimer.
BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc)
{
    return KiSetTimer(Timer, DueTime, 0, Dpc);
}
EXPORT(KeSetTimer, DISPATCH_LEVEL, "WDK wdm.h KeSetTimer");

// KeSetCoalescableTimer: the same as KeSetTimerEx; it may be up to TolerableDelay milliseconds
// late, and is not later than others. IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h,
// KeSetCoalescableTimer.
BOOLEAN NTAPI KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period,
                                    ULONG TolerableDelay, PKDPC Dpc)
{
    return KeSetTimerEx(Timer, DueTime, (LONG)Period, Dpc);
}
EXPORT(KeSetCoalescableTimer, DISPATCH_LEVEL, "WDK wdm.h KeSetCoalescableTimer");

// KeCancelTimer: the timer does not expire any more. A DPC that it has queued stays queued. Returns
// whether it was set. IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeCancelTimer.
BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer)
{
    KIRQL OldIrql = KiLockDispatcher();
    BOOLEAN Was = Timer->Header.Inserted;

    if (Was)
        KiRemoveTimer(Timer);
    Timer->Period = 0;
    KiUnlockDispatcher(OldIrql);
    return Was;
}
EXPORT(KeCancelTimer, DISPATCH_LEVEL, "WDK wdm.h KeCancelTimer");

// KeReadStateTimer: whether the timer is signalled: has expired since it was set.
// IRQL: any. Source: WDK wdm.h, KeReadStateTimer.
BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer)
{
    return (BOOLEAN) * (volatile LONG *)&Timer->Header.SignalState;
}
EXPORT(KeReadStateTimer, EXPORT_ANY_IRQL, "WDK wdm.h KeReadStateTimer");

#if KE_WATCHES
PVOID KiFindSetTimer(ULONG_PTR Start, ULONG_PTR End)
{
    KIRQL OldIrql = KiLockDispatcher();
    PVOID Found = NULL;

    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++) {
        for (ULONG Hand = 0; KiProcessorBlock[i] != NULL && Hand < TIMER_HANDS; Hand++) {
            PLIST_ENTRY Head = &KiProcessorBlock[i]->TimerListHead[Hand];
            for (PLIST_ENTRY Entry = Head->Flink; Entry != Head; Entry = Entry->Flink)
                if ((ULONG_PTR)KiTimerOf(Entry) - Start < End - Start)
                    Found = KiTimerOf(Entry);
        }
    }
    KiUnlockDispatcher(OldIrql);
    return Found;
}
#endif

// ---- leaks and monitor --------------------------------------------------------------------------
static BOOLEAN KiTimerBelongsTo(PKTIMER Timer, ULONG_PTR Start, ULONG_PTR End)
{
    ULONG_PTR Routine = Timer->Dpc != NULL ? (ULONG_PTR)Timer->Dpc->DeferredRoutine : 0;
    return (ULONG_PTR)Timer - Start < End - Start || Routine - Start < End - Start;
}

static VOID KiReportTimer(PKTIMER Timer)
{
    char Name[128] = "no DPC";

    if (Timer->Dpc != NULL)
        KdSymbolize((ULONG_PTR)Timer->Dpc->DeferredRoutine, Name, sizeof(Name));
    KLOG("leak", "timer 0x%p is still set, %s, period %llu us", (PVOID)Timer, Name,
         KiPeriodOf(Timer) / 10);
}

// Takes every set timer off its wheel whose object or DPC routine lies in the driver's image.
// Returns how many. Under the dispatcher lock.
static ULONG KiTakeTimers(PLIST_ENTRY Head, ULONG_PTR Start, ULONG_PTR End, BOOLEAN Report)
{
    ULONG Count = 0;

    for (PLIST_ENTRY Entry = Head->Flink, Next; Entry != Head; Entry = Next) {
        Next = Entry->Flink;
        if (!KiTimerBelongsTo(KiTimerOf(Entry), Start, End))
            continue;
        if (Report)
            KiReportTimer(KiTimerOf(Entry));
        KiRemoveTimer(KiTimerOf(Entry));
        Count++;
    }
    return Count;
}

static ULONG KiTakeAllTimers(ULONG_PTR Start, ULONG_PTR End, BOOLEAN Report)
{
    KIRQL OldIrql = KiLockDispatcher();
    ULONG Count = 0;

    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++)
        for (ULONG Hand = 0; KiProcessorBlock[i] != NULL && Hand < TIMER_HANDS; Hand++)
            Count += KiTakeTimers(&KiProcessorBlock[i]->TimerListHead[Hand], Start, End, Report);
    KiUnlockDispatcher(OldIrql);
    return Count;
}

// The objects and routines are about to go, so the timers must, too. A DPC that runs meanwhile may
// set one anew: those are taken when it has.
static ULONG KiTimerLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    ULONG Count = KiTakeAllTimers(Start, End, TRUE), Anew = 1;

    for (ULONG i = 0; i < MOST_ROUNDS && Anew != 0; i++) {
        KeFlushQueuedDpcs();
        Anew = KiTakeAllTimers(Start, End, FALSE);
    }
    return Count;
}
LEAK_SOURCE(timers, "active timers", KiTimerLeaks);

// The lists may be in the middle of a change when a bugcheck stops them: every step is read safely.
static VOID KiPrintHand(PLIST_ENTRY Head, ULONG64 Now)
{
    PLIST_ENTRY Entry = Head->Flink;
    char Name[128];
    KTIMER Timer;
    KDPC Dpc;

    for (ULONG i = 0; i < 256 && Entry != Head; i++) {
        PKTIMER Address = KiTimerOf(Entry);
        if (!KeSafeCopy(&Timer, Address, sizeof(Timer)))
            return;
        KdPrintf("    0x%p due in %lld us, period %llu us", (PVOID)Address,
                 (LONG64)(Timer.DueTime.QuadPart - Now) / 10, KiPeriodOf(&Timer) / 10);
        if (Timer.Dpc != NULL && KeSafeCopy(&Dpc, Timer.Dpc, sizeof(Dpc)) &&
            KdSymbolize((ULONG_PTR)Dpc.DeferredRoutine, Name, sizeof(Name)))
            KdPrintf(", %s", Name);
        KdPrintf("\n");
        Entry = Timer.TimerListEntry.Flink;
    }
}

static BOOLEAN KiTimerCommand(const char *Arguments)
{
    ULONG64 Now = KiInterruptTime();

    if (*Arguments != '\0')
        return FALSE;
    KdPrintf("interrupt time %llu.%07llu s\n", Now / 10000000, Now % 10000000);
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++) {
        PKPRCB Prcb = KiProcessorBlock[i];
        if (Prcb == NULL)
            continue;
        KdPrintf("processor %u:%s\n", i, Prcb->TimerDue == NEVER ? " none" : "");
        for (ULONG Hand = 0; Hand < TIMER_HANDS; Hand++)
            KiPrintHand(&Prcb->TimerListHead[Hand], Now);
    }
    return TRUE;
}
KD_COMMAND(timer, "!timer", "!timer: the timers that are set, by processor", KiTimerCommand,
           KD_SAFE_IN_BUGCHECK);
