// SPDX-License-Identifier: MIT
// Events, semaphores and gates to objects' states: what drivers signal.
//
// The memory of the objects is the driver's and nonpaged. Waiting is in wait.c. Tests:
// tests/guest/threads.c.
#include "ki.h"

VOID KiInitializeHeader(PDISPATCHER_HEADER Header, UCHAR Type, SIZE_T Size, LONG SignalState)
{
    Header->Lock = 0;
    Header->Type = Type;
    Header->Size = (UCHAR)(Size / sizeof(LONG));
    Header->SignalState = SignalState;
    InitializeListHead(&Header->WaitListHead);
}

VOID KiKeepForWait(KIRQL OldIrql)
{
    PKTHREAD Thread = KiCurrentThread();

    Thread->WaitNext = TRUE;
    Thread->WaitIrql = OldIrql;
    KiDropDispatcherLock(KeGetCurrentPrcb());
}

// KeInitializeEvent: makes an event. A NotificationEvent releases all waiters until it is reset, a
// SynchronizationEvent one at a time.
// IRQL: any. Source: WDK wdm.h, KeInitializeEvent.
VOID NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State)
{
    KiInitializeHeader(&Event->Header,
                       Type == NotificationEvent ? EventNotificationObject
                                                 : EventSynchronizationObject,
                       sizeof(*Event), State);
}
EXPORT(KeInitializeEvent, EXPORT_ANY_IRQL, "WDK wdm.h KeInitializeEvent");

// KeSetEvent: signals the event. Returns its state before, 0: was not signalled.
//   Increment  added to the base priority of the threads released, IO_NO_INCREMENT and up.
//   Wait       TRUE: the caller calls a wait routine next; IRQL is DISPATCH_LEVEL until then.
// IRQL: <= DISPATCH_LEVEL; with Wait <= APC_LEVEL. Source: WDK wdm.h, KeSetEvent.
LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    KIRQL OldIrql = KiLockDispatcher();
    LONG OldState = Event->Header.SignalState;

    Event->Header.SignalState = 1;
    if (OldState == 0)
        KiSignalWaitersAtEnd(&Event->Header, Increment);
    KiEndSignal(OldIrql, Wait);
    return OldState;
}
EXPORT(KeSetEvent, DISPATCH_LEVEL, "WDK wdm.h KeSetEvent");

// KeResetEvent: the event is not signalled any more. Returns its state before.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeResetEvent.
LONG NTAPI KeResetEvent(PRKEVENT Event)
{
    KIRQL OldIrql = KiLockDispatcher();
    LONG OldState = Event->Header.SignalState;

    Event->Header.SignalState = 0;
    KiUnlockDispatcher(OldIrql);
    return OldState;
}
EXPORT(KeResetEvent, DISPATCH_LEVEL, "WDK wdm.h KeResetEvent");

// KeClearEvent: the same without the state before.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeClearEvent.
VOID NTAPI KeClearEvent(PRKEVENT Event)
{
    KIRQL OldIrql = KiLockDispatcher(); // not between a KeSetEvent and the waiters it is for

    Event->Header.SignalState = 0;
    KiUnlockDispatcher(OldIrql);
}
EXPORT(KeClearEvent, DISPATCH_LEVEL, "WDK wdm.h KeClearEvent");

// KePulseEvent: releases who waits now (a SynchronizationEvent: one of them) and leaves the event
// not signalled. Returns its state before. IRQL: as KeSetEvent. Source: WDK ntddk.h, KePulseEvent.
LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    KIRQL OldIrql = KiLockDispatcher();
    LONG OldState = Event->Header.SignalState;

    Event->Header.SignalState = 1;
    if (OldState == 0)
        KiSignalWaiters(&Event->Header, Increment);
    Event->Header.SignalState = 0;
    KiEndSignal(OldIrql, Wait);
    return OldState;
}
EXPORT(KePulseEvent, DISPATCH_LEVEL, "WDK ntddk.h KePulseEvent");

// KeReadStateEvent: whether the event is signalled just now.
// IRQL: any. Source: WDK wdm.h, KeReadStateEvent.
LONG NTAPI KeReadStateEvent(PRKEVENT Event)
{
    return *(volatile LONG *)&Event->Header.SignalState;
}
EXPORT(KeReadStateEvent, EXPORT_ANY_IRQL, "WDK wdm.h KeReadStateEvent");

// ---- semaphores ---------------------------------------------------------------------------------

// KeInitializeSemaphore: makes a semaphore with Count units free and never more than Limit.
// IRQL: any. Source: WDK wdm.h, KeInitializeSemaphore.
VOID NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit)
{
    KiInitializeHeader(&Semaphore->Header, SemaphoreObject, sizeof(*Semaphore), Count);
    Semaphore->Limit = Limit;
}
EXPORT(KeInitializeSemaphore, EXPORT_ANY_IRQL, "WDK wdm.h KeInitializeSemaphore");

static DECLSPEC_NORETURN VOID KiRaiseSemaphoreLimit(KIRQL OldIrql)
{
    KiUnlockDispatcher(OldIrql);
    for (;;)
        RtlRaiseStatus(STATUS_SEMAPHORE_LIMIT_EXCEEDED);
}

// KeReleaseSemaphore: gives Adjustment units (> 0) back. Returns the state before: the units that
// were free. IRQL: <= DISPATCH_LEVEL; with Wait <= APC_LEVEL. Fails: raises
// STATUS_SEMAPHORE_LIMIT_EXCEEDED when the limit would be passed, and changes nothing. Source: WDK
// wdm.h, KeReleaseSemaphore.
LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment,
                              BOOLEAN Wait)
{
    KIRQL OldIrql = KiLockDispatcher();
    LONG OldState = Semaphore->Header.SignalState;

    if (Adjustment <= 0 || Adjustment > Semaphore->Limit - OldState)
        KiRaiseSemaphoreLimit(OldIrql);
    Semaphore->Header.SignalState = OldState + Adjustment;
    if (OldState == 0)
        KiSignalWaitersAtEnd(&Semaphore->Header, Increment);
    KiEndSignal(OldIrql, Wait);
    return OldState;
}
EXPORT(KeReleaseSemaphore, DISPATCH_LEVEL, "WDK wdm.h KeReleaseSemaphore");

// KeReadStateSemaphore: how many units are free just now.
// IRQL: any. Source: WDK wdm.h, KeReadStateSemaphore.
LONG NTAPI KeReadStateSemaphore(PRKSEMAPHORE Semaphore)
{
    return *(volatile LONG *)&Semaphore->Header.SignalState;
}
EXPORT(KeReadStateSemaphore, EXPORT_ANY_IRQL, "WDK wdm.h KeReadStateSemaphore");
