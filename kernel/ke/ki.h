// SPDX-License-Identifier: MIT
// ki.h: what the files of ke share with each other alone.
//
// Lock order, outermost first:
//     KI_VECTOR.Lock (at the vector's IRQL) -> KINTERRUPT.ActualLock (at its SynchronizeIrql)
//     -> drivers' spin locks -> KiDispatcherLock -> KTHREAD.ApcLock -> KPRCB.ReadyLock (of two
//     processors: the lower number first) -> KPRCB.DpcLock (interrupts off) -> the bugcheck
//     callback lock (same)
// A KSPIN_LOCK that is held contains the address of its holder's KPRCB; an in-stack queued lock
// contains the address of the last handle in its queue.
#pragma once

#include "hal.h"
#include "ke.h"
#include "rtl.h"

// ---- spin locks, without IRQL -------------------------------------------------------------------
DECLSPEC_NORETURN VOID NTAPI KiSpinLockAlreadyOwned(PKSPIN_LOCK Lock, ULONG_PTR Caller);
DECLSPEC_NORETURN VOID NTAPI KiSpinLockNotOwned(PKSPIN_LOCK Lock, ULONG_PTR Caller);
// Takes it once it is free; Caller is who to blame when this processor holds it.
VOID FASTCALL KiWaitForSpinLock(PKSPIN_LOCK Lock, ULONG_PTR Caller);

FORCEINLINE BOOLEAN KiTryTakeLockAs(PKSPIN_LOCK Lock, PKPRCB Prcb)
{
    ULONG_PTR Free = 0;
    return __atomic_compare_exchange_n(Lock, &Free, (ULONG_PTR)Prcb, FALSE, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

FORCEINLINE BOOLEAN KiTryTakeLock(PKSPIN_LOCK Lock)
{
    return KiTryTakeLockAs(Lock, KeGetCurrentPrcb());
}

FORCEINLINE VOID KiTakeLock(PKSPIN_LOCK Lock)
{
    if (__builtin_expect(!KiTryTakeLock(Lock), 0))
        KiWaitForSpinLock(Lock, KiReturnAddress());
}

FORCEINLINE VOID KiDropLock(PKSPIN_LOCK Lock)
{
    if (__builtin_expect(
            __atomic_load_n(Lock, __ATOMIC_RELAXED) != (ULONG_PTR)KeGetCurrentPrcb(), 0))
        KiSpinLockNotOwned(Lock, KiReturnAddress());
    __atomic_store_n(Lock, 0, __ATOMIC_RELEASE);
}

// For ke's own short sections, where the processor is at hand and nobody else releases.
FORCEINLINE VOID KiTakeLockAs(PKSPIN_LOCK Lock, PKPRCB Prcb)
{
    if (__builtin_expect(!KiTryTakeLockAs(Lock, Prcb), 0))
        KiWaitForSpinLock(Lock, KiReturnAddress());
}

FORCEINLINE VOID KiGiveLock(PKSPIN_LOCK Lock)
{
    __atomic_store_n(Lock, 0, __ATOMIC_RELEASE);
}

VOID KiInitializeRwLocks(PKPRCB Prcb); // rwlock.c

// For drivers: the checked build watches what is held, and in which order.
FORCEINLINE VOID KiTakeWatched(PKSPIN_LOCK Lock)
{
    KeNoteLockWanted(Lock);
    KiTakeLock(Lock);
    KeNoteSpinLock(Lock, KiReturnAddress());
}

FORCEINLINE VOID KiDropWatched(PKSPIN_LOCK Lock)
{
    KiDropLock(Lock);
    KeForgetSpinLock(Lock);
}

// ---- IRQL ---------------------------------------------------------------------------------------
// Raise and lower with the rule checked; Caller is who to blame.
DECLSPEC_NORETURN VOID FASTCALL KiBadRaise(KIRQL Current, KIRQL Requested, ULONG_PTR Caller);
DECLSPEC_NORETURN VOID FASTCALL KiBadLower(KIRQL Current, KIRQL Requested, ULONG_PTR Caller);

FORCEINLINE KIRQL KiRaiseIrqlChecked(KIRQL NewIrql)
{
    KIRQL OldIrql = KiGetIrql();
    if (__builtin_expect(NewIrql < OldIrql || NewIrql > HIGH_LEVEL, 0))
        KiBadRaise(OldIrql, NewIrql, KiReturnAddress());
    KiSetIrql(NewIrql);
    return OldIrql;
}

FORCEINLINE VOID KiLowerIrqlChecked(KIRQL NewIrql)
{
    if (__builtin_expect(NewIrql > KiGetIrql(), 0))
        KiBadLower(KiGetIrql(), NewIrql, KiReturnAddress());
    KiLowerIrql(NewIrql);
}

// The checked build's look at routines that want the IRQL raised already.
#if DBG
#define ASSERT_AT_LEAST_DISPATCH()                                                                 \
    (KiGetIrql() >= DISPATCH_LEVEL                                                                 \
         ? (void)0                                                                                 \
         : KiBugCheck(IRQL_NOT_DISPATCH_LEVEL, KiGetIrql(), 0, 0, KiReturnAddress(), NULL,         \
                      "A routine for DISPATCH_LEVEL was called below it (checked build)."))
#else
#define ASSERT_AT_LEAST_DISPATCH() ((void)0)
#endif

// ---- vectors ------------------------------------------------------------------------------------
typedef struct _KI_VECTOR KI_VECTOR;
// Called at the vector's IRQL with interrupts on. Frame is NULL for a vector that i386 had held.
typedef VOID KI_VECTOR_ROUTINE(KI_VECTOR *Vector, PKTRAP_FRAME Frame);

struct _KI_VECTOR {
    KI_VECTOR_ROUTINE *Routine;  // KiServeChain, the clock, KiUnexpectedInterrupt
    LIST_ENTRY Chain;            // KINTERRUPTs connected here, in order of connection; under Lock
    KSPIN_LOCK Lock;
    KINTERRUPT_MODE Mode;
    ULONG Target;                // processor that the chain's interrupts go to
    BOOLEAN Moved;               // they did not always: some may be pending elsewhere
    volatile ULONG_PTR Count;     // arrivals that were served; some vectors arrive everywhere
    volatile ULONG_PTR Unclaimed; // of these, claimed by no routine
    volatile ULONG_PTR Spurious;  // arrivals that the controller disowned
    ULONG_PTR LastPc;            // level-sensitive: where the last one interrupted, and how many
    ULONG LastIdleCount;         // in a row came there without an instruction in between
    ULONG Repeats;
};

extern KI_VECTOR KiVectors[HAL_VECTOR_COUNT];

// Any processor may count at any time. On i386 the counters begin anew after 2^32.
FORCEINLINE VOID KiCountUp(volatile ULONG_PTR *Counter)
{
    __atomic_fetch_add(Counter, 1, __ATOMIC_RELAXED);
}

VOID KiInitializeVectors(VOID);
VOID KiConnectVector(ULONG Vector, KI_VECTOR_ROUTINE *Routine);

// ---- DPCs ---------------------------------------------------------------------------------------
VOID KiInitializeDpcs(PKPRCB Prcb, PVOID Stack);
VOID KiInitializeThreadedDpcs(PKPRCB Prcb); // threadeddpc.c
VOID KiUnlinkDpc(PKPRCB Prcb, PKDPC Dpc);   // takes it off a list of Prcb's; under DpcLock
VOID KiInitializeWatchdog(VOID);            // watchdog.c
VOID KiInitializeHolds(PKPRCB Prcb);
VOID KiWatchDispatchLevel(PKPRCB Prcb, PKTRAP_FRAME Frame); // once a clock tick
VOID KiRetireDpcs(VOID); // IRQL: DISPATCH_LEVEL, on the DPC stack; interrupts off in and out
VOID KiRunOnDpcStack(VOID);        // trap.S: switches to the DPC stack and calls KiRetireDpcs
VOID KiAdjustDpcRate(PKPRCB Prcb); // once a clock tick, at CLOCK_LEVEL

// ---- scheduling (sched.c) -----------------------------------------------------------------------
extern KSPIN_LOCK KiDispatcherLock;
extern LIST_ENTRY KiThreadList; // all threads that have been started; under the dispatcher lock
extern BOOLEAN KiAlone;  // no other processor has been prepared

VOID KiInitializeScheduler(PKPRCB Prcb, PKTHREAD IdleThread);
// Locked: dispatcher, for these; the caller ends with KiExitDispatcher.
VOID KiReadyThread(PKTHREAD Thread);
VOID KiSetPriority(PKTHREAD Thread, SCHAR Priority);
VOID KiSetAffinity(PKTHREAD Thread, KAFFINITY Affinity);
VOID KiChargeWait(PKTHREAD Thread, KPRIORITY Increment); // at its end; Increment: the boost
// At DISPATCH_LEVEL, interrupts off, on the thread's stack: makes the switch that is due. Drain
// runs the DPCs before that.
VOID KiDispatchSwitch(VOID);
VOID KiDrainDispatch(VOID);
VOID KiChargeQuantum(PKPRCB Prcb);         // once a clock tick, at CLOCK_LEVEL
VOID KiRequestReschedule(PKPRCB Prcb);     // this processor: look at DISPATCH_LEVEL
VOID KiRequestRemoteDispatch(PKPRCB Prcb); // another one: look at DPCs and Reschedule

#define THREAD_QUANTUM 6  // in thirds of a clock tick
#define WAIT_QUANTUM   1  // what a wait costs
#define TIME_CRITICAL  14 // a base priority from here up pays nothing for a wait

// The architecture's: swap.S, switch.c.
VOID FASTCALL KiSwapContext(PKTHREAD Old, PKTHREAD New);
VOID KiInitializeContext(PKTHREAD Thread);               // to begin in KiStartThread
DECLSPEC_NORETURN VOID KiStartThread(VOID);

VOID KiHonourReschedule(PKPRCB Prcb, KIRQL OldIrql);

// Leaves DISPATCH_LEVEL: switches first if a better thread has been chosen.
FORCEINLINE VOID KiExitDispatcherOf(PKPRCB Prcb, KIRQL OldIrql)
{
    if (__builtin_expect(Prcb->Reschedule, 0))
        KiHonourReschedule(Prcb, OldIrql);
    KiLowerIrql(OldIrql);
}

FORCEINLINE VOID KiExitDispatcher(KIRQL OldIrql)
{
    KiExitDispatcherOf(KeGetCurrentPrcb(), OldIrql);
}

FORCEINLINE KIRQL KiLockDispatcher(VOID)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(DISPATCH_LEVEL);
    KiTakeLock(&KiDispatcherLock);
    return OldIrql;
}

VOID KiReadyReleased(PKPRCB Prcb);

// Threads whose wait has been ended run from here on, and not before: what they waited for may be
// on their stacks, and whoever ended the wait is still looking at it until it releases the lock.
FORCEINLINE VOID KiDropDispatcherLock(PKPRCB Prcb)
{
    if (Prcb->Released != NULL)
        KiReadyReleased(Prcb);
    KiGiveLock(&KiDispatcherLock);
}

FORCEINLINE VOID KiUnlockDispatcher(KIRQL OldIrql)
{
    PKPRCB Prcb = KeGetCurrentPrcb();

    KiDropDispatcherLock(Prcb);
    KiExitDispatcherOf(Prcb, OldIrql);
}

extern volatile KSYSTEM_TIME KeTickCount;
FORCEINLINE ULONG KiTickCount(VOID) { return KeTickCount.LowPart; }

// ---- waiting (wait.c) ---------------------------------------------------------------------------
// All with the dispatcher lock held.
VOID KiReleaseWaiters(PDISPATCHER_HEADER Object, KPRIORITY Increment); // there are some
VOID KiReleaseWaitersAtEnd(PDISPATCHER_HEADER Object, KPRIORITY Increment);

// The object has become signalled: ends waits for it as far as SignalState goes.
FORCEINLINE VOID KiSignalWaiters(PDISPATCHER_HEADER Object, KPRIORITY Increment)
{
    if (!IsListEmpty(&Object->WaitListHead))
        KiReleaseWaiters(Object, Increment);
}

// The same for the last step before the lock is released: the caller looks at the object no more.
FORCEINLINE VOID KiSignalWaitersAtEnd(PDISPATCHER_HEADER Object, KPRIORITY Increment)
{
    if (!IsListEmpty(&Object->WaitListHead))
        KiReleaseWaitersAtEnd(Object, Increment);
}

VOID KiEndWait(PKTHREAD Thread, LONG_PTR WaitStatus, KPRIORITY Increment);
VOID KiInitializeHeader(PDISPATCHER_HEADER Header, UCHAR Type, SIZE_T Size, LONG SignalState);
VOID KiAbandonMutants(PKTHREAD Thread);
VOID KiServeQueue(PKTHREAD Thread, PKQUEUE Queue); // serves it, and does not count as running
PLIST_ENTRY KiTakeEntry(PKQUEUE Queue); // for a thread that then runs; NULL: none may be taken
VOID KiLeaveQueueForWait(PKQUEUE Queue);
VOID KiLeaveQueueForEver(PKTHREAD Thread);
// Without the lock: waits for an entry, or returns a status.
LONG_PTR KiWaitForQueue(PKQUEUE Queue, KPROCESSOR_MODE Mode, PLARGE_INTEGER Timeout,
                        ULONG_PTR Caller);
VOID KiKeepForWait(KIRQL OldIrql); // releases the lock; the caller waits next

// Releases the lock at the end of a routine that signalled. Wait: the caller is about to wait and
// stays at DISPATCH_LEVEL.
FORCEINLINE VOID KiEndSignal(KIRQL OldIrql, BOOLEAN Wait)
{
    if (__builtin_expect(Wait, 0))
        KiKeepForWait(OldIrql);
    else
        KiUnlockDispatcher(OldIrql);
}

// ---- timers (timer.c) ---------------------------------------------------------------------------
VOID KiInitializeTimers(PKPRCB Prcb);
VOID KiInsertTimer(PKTIMER Timer, ULONG64 DueTime);  // locked: dispatcher; in interrupt time
VOID KiRemoveTimer(PKTIMER Timer);                   // the same; it is inserted
VOID KiCheckTimers(PKPRCB Prcb, ULONG64 Now);        // once a clock tick, at CLOCK_LEVEL
ULONG64 KiDueTime(LARGE_INTEGER Time);  // a relative (negative) or absolute time as interrupt time

PVOID KiFindSetTimer(ULONG_PTR Start, ULONG_PTR End);  // whose object lies there; NULL: none
PVOID KiFindQueuedDpc(ULONG_PTR Start, ULONG_PTR End);
#if KE_WATCHES
VOID KiCheckWait(VOID);  // lockorder.c
#else
#define KiCheckWait() ((VOID)0)
#endif

// ---- APCs (apc.c) -------------------------------------------------------------------------------
VOID KiDeliverApcs(VOID);  // APC_LEVEL, on the thread's stack

// ---- traps --------------------------------------------------------------------------------------
#define TRAP_DIVIDE         0
#define TRAP_DEBUG          1
#define TRAP_NMI            2
#define TRAP_BREAKPOINT     3
#define TRAP_OVERFLOW       4
#define TRAP_BOUND          5
#define TRAP_INVALID_OPCODE 6
#define TRAP_NO_FPU         7
#define TRAP_DOUBLE_FAULT   8
#define TRAP_SEGMENT_NOT_PRESENT 11
#define TRAP_STACK          12
#define TRAP_PROTECTION     13
#define TRAP_PAGE_FAULT     14
#define TRAP_FPU            16
#define TRAP_ALIGNMENT      17
#define TRAP_MACHINE_CHECK  18
#define TRAP_SIMD           19
#define TRAP_FAST_FAIL      0x29
#define TRAP_ASSERTION      0x2C

// Where code that was interrupted at Pc in section .text.restart goes on.
ULONG_PTR FASTCALL KiRestartPoint(ULONG_PTR Pc);

// Called before anything else may run on this processor.
FORCEINLINE VOID KiRestartSequence(PKTRAP_FRAME Frame)
{
    if (__builtin_expect(TRAP_PC(Frame) >= (ULONG_PTR)RestartTextStart &&
                         TRAP_PC(Frame) < (ULONG_PTR)RestartTextEnd, 0))
        TRAP_PC(Frame) = KiRestartPoint(TRAP_PC(Frame));
}

VOID FASTCALL KiDispatchTrap(PKTRAP_FRAME Frame); // exceptions and software interrupts, from trap.S
VOID FASTCALL KiDispatchFatal(PKTRAP_FRAME Frame);  // NMI, double fault, machine check: own stacks
VOID FASTCALL KiInterrupt(PKTRAP_FRAME Frame);      // everything else
// #GP: TRUE and the exception to raise, or FALSE when it stops the system.
BOOLEAN KiProtectionException(PKTRAP_FRAME Frame, PEXCEPTION_RECORD Exception);
VOID KiInitializeMachineCheck(VOID);
typedef BOOLEAN NTAPI NMI_CALLBACK(PVOID Context, BOOLEAN Handled);
typedef NMI_CALLBACK *PNMI_CALLBACK;
BOOLEAN KiCallNmiCallbacks(VOID);  // whether one claimed the NMI

// ---- other processors (ipi.c, freeze.c) ---------------------------------------------------------
typedef ULONG_PTR NTAPI KIPI_BROADCAST_WORKER(ULONG_PTR Argument);
typedef KIPI_BROADCAST_WORKER *PKIPI_BROADCAST_WORKER;
ULONG_PTR NTAPI KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context);

VOID KiInitializeIpis(VOID);
VOID KiServeCalls(PKPRCB Prcb);  // what others ask of this one. IRQL: any; runs at IPI_LEVEL
BOOLEAN KiAnswerFreeze(PKPRCB Prcb, PKTRAP_FRAME Frame);  // whether the NMI was such a wish

// For a processor that waits with interrupts off, or at IPI_LEVEL or above: others may be waiting
// for it.
FORCEINLINE VOID KiPauseAndServe(PKPRCB Prcb)
{
    if (__builtin_expect(Prcb->CallsFrom != 0, 0))
        KiServeCalls(Prcb);
    KiPause();
}

// ---- processors ---------------------------------------------------------------------------------
#define CR0_TS 0x8u  // the next floating point instruction traps
VOID KiInitializeIdleThread(PKTHREAD Thread, PVOID StackBase, PVOID StackLimit);
extern const ULONG KiInitialMxCsr;
VOID KiInitializePrcb(PKPRCB Prcb, ULONG Number, PKTHREAD IdleThread, PVOID DpcStack);
VOID KiInitializeControlRegisters(VOID);

// ---- bugchecks ----------------------------------------------------------------------------------
extern volatile BOOLEAN KiBugCheckActive;  // the KPRCBs' BugCheckIrql are valid

// ---- time ---------------------------------------------------------------------------------------
extern LOADER_BLOCK KeLoaderBlockStorage;  // kernel/start.c
extern ULONG64 KiBootTime;      // system time when interrupt time was 0
ULONG64 KiInterruptTime(VOID);  // as of the last clock tick
VOID KiInitializeTime(VOID);
KI_VECTOR_ROUTINE KiClockInterrupt;

#ifdef __x86_64__
#include "amd64/kiarch.h"
#else
#include "i386/kiarch.h"
#endif
