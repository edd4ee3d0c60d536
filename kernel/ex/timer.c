// SPDX-License-Identifier: MIT
// ExTimers: timers that the system allocates, with a callback and a period in 100 ns units.
//
// An EX_TIMER begins with a KTIMER, so that it can be waited for, and has a DPC that calls the
// driver's routine. The rest is its end: ExDeleteTimer may be called while the DPC is queued or
// runs, so the memory goes by way of a work item, which flushes the DPCs first, calls the driver's
// delete routine and then frees. A timer deleted without being cancelled expires once more before
// that. State changes under Lock.
//
// A timer expires with the first clock interrupt at or after its time. One with
// EX_TIMER_HIGH_RESOLUTION has the clock interrupt at its finest rate as long as it is set (Fine,
// resolution.c): from ExSetTimer to its cancellation, or to the DPC that finds it no longer set.
// EX_TIMER_NO_WAKE changes nothing, since nothing ever sleeps.
//
// Tests: tests/guest/extimers.c.
#include "exp.h"
#include "rtl.h"

#define EX_TIMER_TAG          'mTxE'
#define EX_TIMER_HIGH_RESOLUTION 4u
#define EX_TIMER_NO_WAKE         8u
#define EX_TIMER_NOTIFICATION    0x80000000u

typedef enum _EXP_TIMER_STATE { TimerUsable, TimerDeleted, TimerGoing } EXP_TIMER_STATE;

typedef struct _EX_TIMER EX_TIMER, *PEX_TIMER;
typedef VOID NTAPI EXT_CALLBACK(PEX_TIMER Timer, PVOID Context);
typedef EXT_CALLBACK *PEXT_CALLBACK;
typedef VOID NTAPI EXT_DELETE_CALLBACK(PVOID Context);
typedef EXT_DELETE_CALLBACK *PEXT_DELETE_CALLBACK;
typedef PVOID PEXT_CANCEL_PARAMETERS;

typedef struct _EXT_DELETE_PARAMETERS {
    ULONG Version;
    ULONG Reserved;
    PEXT_DELETE_CALLBACK DeleteCallback;
    PVOID DeleteContext;
} EXT_DELETE_PARAMETERS, *PEXT_DELETE_PARAMETERS;

typedef struct _EXT_SET_PARAMETERS {
    ULONG Version;
    ULONG Reserved;
    LONGLONG NoWakeTolerance;
} EXT_SET_PARAMETERS, *PEXT_SET_PARAMETERS;

struct _EX_TIMER {
    KTIMER Timer; // first: the object that is waited for
    KDPC Dpc;
    PEXT_CALLBACK Callback; // may be NULL
    PVOID Context;
    KSPIN_LOCK Lock;
    EXP_TIMER_STATE State;
    BOOLEAN HighResolution; // as allocated
    BOOLEAN Fine;           // the clock runs at its finest rate for this timer; under Lock
    EXT_DELETE_PARAMETERS Delete;
    PKEVENT Deleted; // set when it has gone; NULL: nobody waits
    WORK_QUEUE_ITEM Item;
    LIST_ENTRY Entry; // on ExpTimers
    ULONG_PTR Caller;
};

static KSPIN_LOCK ExpTimerLock;
static LIST_ENTRY ExpTimers = {&ExpTimers, &ExpTimers};

// ---- resolution ---------------------------------------------------------------------------------
// The clock's rate follows whether the timer is set. Locked: the timer.
static VOID ExpFollowTimer(PEX_TIMER Timer)
{
    BOOLEAN Fine = Timer->HighResolution && KeIsTimerSet(&Timer->Timer);

    if (Fine == Timer->Fine)
        return;
    Timer->Fine = Fine;
    ExpNeedFineClock(Fine ? 1 : -1);
}

// ---- the end ------------------------------------------------------------------------------------
static VOID NTAPI ExpFreeTimer(PVOID Parameter)
{
    PEX_TIMER Timer = Parameter;
    PKEVENT Deleted = Timer->Deleted;
    KIRQL OldIrql;

    KeFlushQueuedDpcs();
    OldIrql = KiAcquireLock(&ExpTimerLock);
    RemoveEntryList(&Timer->Entry);
    KiReleaseLock(&ExpTimerLock, OldIrql);
    if (Timer->Delete.DeleteCallback != NULL)
        Timer->Delete.DeleteCallback(Timer->Delete.DeleteContext);
    ExFreePoolWithTag(Timer, EX_TIMER_TAG);
    if (Deleted != NULL)
        KeSetEvent(Deleted, IO_NO_INCREMENT, FALSE);
}

// The timer has been deleted and will not expire any more. Locked: the timer.
static VOID ExpBeginEnd(PEX_TIMER Timer)
{
    Timer->State = TimerGoing;
    ExInitializeWorkItem(&Timer->Item, ExpFreeTimer, Timer);
    ExQueueWorkItem(&Timer->Item, HyperCriticalWorkQueue);
}

static VOID NTAPI ExpTimerDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                              PVOID SystemArgument2)
{
    PEX_TIMER Timer = DeferredContext;

    if (Timer->Callback != NULL)
        Timer->Callback(Timer, Timer->Context);
    KiAcquireLockAtDpcLevel(&Timer->Lock);
    ExpFollowTimer(Timer);
    // Set again since this expiry: the next one ends it.
    if (Timer->State == TimerDeleted && !KeIsTimerSet(&Timer->Timer))
        ExpBeginEnd(Timer);
    KiReleaseLockFromDpcLevel(&Timer->Lock);
}

// ---- routines -----------------------------------------------------------------------------------
PEX_TIMER NTAPI ExAllocateTimer(PEXT_CALLBACK Callback, PVOID CallbackContext, ULONG Attributes);
BOOLEAN NTAPI ExSetTimer(PEX_TIMER Timer, LONGLONG DueTime, LONGLONG Period,
                         PEXT_SET_PARAMETERS Parameters);
BOOLEAN NTAPI ExCancelTimer(PEX_TIMER Timer, PEXT_CANCEL_PARAMETERS Parameters);
BOOLEAN NTAPI ExDeleteTimer(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait,
                            PEXT_DELETE_PARAMETERS Parameters);

// ExAllocateTimer: a new timer, not set.
//   Callback    called at DISPATCH_LEVEL at every expiry, with CallbackContext; NULL: none.
//   Attributes  EX_TIMER_NOTIFICATION: a notification timer, else a synchronization timer;
//               EX_TIMER_HIGH_RESOLUTION or EX_TIMER_NO_WAKE, see above.
// IRQL: <= DISPATCH_LEVEL. Fails: NULL, no memory or both of the last two.
// Source: WDK wdm.h, ExAllocateTimer.
PEX_TIMER NTAPI ExAllocateTimer(PEXT_CALLBACK Callback, PVOID CallbackContext, ULONG Attributes)
{
    const ULONG Exclusive = EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE;
    PEX_TIMER Timer;
    KIRQL OldIrql;

    if ((Attributes & Exclusive) == Exclusive)
        return NULL;
    Timer = ExAllocatePoolOnBehalf(NonPagedPoolNx, sizeof(*Timer), EX_TIMER_TAG,
                                   KiReturnAddress());
    if (Timer == NULL)
        return NULL;
    memset(Timer, 0, sizeof(*Timer));
    KeInitializeTimerEx(&Timer->Timer, Attributes & EX_TIMER_NOTIFICATION ? NotificationTimer
                                                                         : SynchronizationTimer);
    KeInitializeDpc(&Timer->Dpc, ExpTimerDpc, Timer);
    Timer->Callback = Callback;
    Timer->Context = CallbackContext;
    Timer->HighResolution = (Attributes & EX_TIMER_HIGH_RESOLUTION) != 0;
    Timer->Caller = KiReturnAddress();
    OldIrql = KiAcquireLock(&ExpTimerLock);
    InsertTailList(&ExpTimers, &Timer->Entry);
    KiReleaseLock(&ExpTimerLock, OldIrql);
    return Timer;
}
EXPORT(ExAllocateTimer, DISPATCH_LEVEL, "WDK wdm.h ExAllocateTimer");

// ExSetTimer: sets the timer, anew if it is set.
//   DueTime     100 ns units, negative: from now; else system time.
//   Period      100 ns units between further expiries, 0: none.
//   Parameters  NULL, or a tolerance that only a sleeping system would use.
// Returns whether it was set before.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExSetTimer.
BOOLEAN NTAPI ExSetTimer(PEX_TIMER Timer, LONGLONG DueTime, LONGLONG Period,
                         PEXT_SET_PARAMETERS Parameters)
{
    LARGE_INTEGER Due = {.QuadPart = DueTime};
    BOOLEAN Was;
    KIRQL OldIrql;

    ASSERT(Timer->State == TimerUsable);
    if (!Timer->HighResolution)
        return KeSetTimerByUnits(&Timer->Timer, Due, (ULONG64)Period, &Timer->Dpc);
    // Its callback may delete it at once: not before the lock is released.
    OldIrql = KiAcquireLock(&Timer->Lock);
    Was = KeSetTimerByUnits(&Timer->Timer, Due, (ULONG64)Period, &Timer->Dpc);
    ExpFollowTimer(Timer);
    KiReleaseLock(&Timer->Lock, OldIrql);
    return Was;
}
EXPORT(ExSetTimer, DISPATCH_LEVEL, "WDK wdm.h ExSetTimer");

// ExCancelTimer: the timer does not expire any more. Its callback may still be about to run.
// Parameters: NULL. Returns whether it was set.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExCancelTimer.
BOOLEAN NTAPI ExCancelTimer(PEX_TIMER Timer, PEXT_CANCEL_PARAMETERS Parameters)
{
    KIRQL OldIrql = KiAcquireLock(&Timer->Lock);
    BOOLEAN Was = KeCancelTimer(&Timer->Timer);

    ExpFollowTimer(Timer);
    KiReleaseLock(&Timer->Lock, OldIrql);
    return Was;
}
EXPORT(ExCancelTimer, DISPATCH_LEVEL, "WDK wdm.h ExCancelTimer");

// ExDeleteTimer: frees the timer once its callback runs no more.
//   Cancel      FALSE: a timer that is set, and has no period, expires first.
//   Wait        returns when it has gone; IRQL <= APC_LEVEL and Cancel TRUE then, and not in the
//               callback.
//   Parameters  a routine to call when the callback runs no more; NULL: none.
// Returns whether it was set and has been cancelled.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExDeleteTimer.
BOOLEAN NTAPI ExDeleteTimer(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait,
                            PEXT_DELETE_PARAMETERS Parameters)
{
    BOOLEAN Cancelled = FALSE;
    KEVENT Deleted;
    KIRQL OldIrql;

    VERIFY(!Wait || (Cancel && KiGetIrql() <= APC_LEVEL));
    VERIFY(Timer->State == TimerUsable);
    KeInitializeEvent(&Deleted, NotificationEvent, FALSE);
    OldIrql = KiAcquireLock(&Timer->Lock);
    if (Parameters != NULL)
        Timer->Delete = *Parameters;
    Timer->Deleted = Wait ? &Deleted : NULL;
    Timer->State = TimerDeleted;
    if (Cancel || Timer->Timer.Period != 0)
        Cancelled = KeCancelTimer(&Timer->Timer);
    ExpFollowTimer(Timer);
    // What is still set, or queued, ends it by its DPC; what the DPC has seen already, here.
    if (!KeIsTimerSet(&Timer->Timer))
        ExpBeginEnd(Timer);
    KiReleaseLock(&Timer->Lock, OldIrql);
    if (Wait)
        KeWaitForSingleObject(&Deleted, Executive, KernelMode, FALSE, NULL);
    return Cancelled;
}
EXPORT(ExDeleteTimer, DISPATCH_LEVEL, "WDK wdm.h ExDeleteTimer");

// Timers that the driver's code allocated.
static ULONG ExpTimerLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    KIRQL OldIrql = KiAcquireLock(&ExpTimerLock);
    ULONG Count = 0;
    char Name[128];

    for (PLIST_ENTRY Entry = ExpTimers.Flink; Entry != &ExpTimers; Entry = Entry->Flink) {
        PEX_TIMER Timer = CONTAINING_RECORD(Entry, EX_TIMER, Entry);
        if (Timer->Caller - Start >= End - Start)
            continue;
        KdSymbolize(Timer->Caller, Name, sizeof(Name));
        KLOG("leak", "ExTimer 0x%p, allocated by %s, not deleted", (PVOID)Timer, Name);
        Count++;
    }
    KiReleaseLock(&ExpTimerLock, OldIrql);
    return Count;
}
LEAK_SOURCE(extimers, "ExTimers", ExpTimerLeaks);
