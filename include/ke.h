// SPDX-License-Identifier: MIT
// ke: processors, IRQL, interrupts, traps, DPCs, spin locks, bugchecks.
#pragma once

#include "arch.h"
#include "export.h"
#include "kd.h"
#include "nt/nt.h"
#include "thread.h"

// ---- threads ------------------------------------------------------------------------------------
extern PKPRCB KiProcessorBlock[MAXIMUM_PROCESSORS];  // NULL: no such processor
extern volatile CCHAR KeNumberProcessors;             // exported data
extern volatile KAFFINITY KeActiveProcessors;         // a bit for each processor that runs

// Calls Routine(Context) at IPI_LEVEL on every processor of Targets that runs, but not on this one,
// and returns when all are done. Routine is short, takes no lock and calls no others. IRQL: any,
// with a processor that stays the same: >= DISPATCH_LEVEL.
VOID KeCallOthers(KAFFINITY Targets, VOID (*Routine)(PVOID Context), PVOID Context);

// Stops all other processors where they are, by NMI, and returns with them stopped and interrupts
// off; FreezeFrame in their KPRCBs says where. Then any state may be read, and none is guarded by a
// lock any more. Freezes nest. Returns those that did not stop. IRQL: any.
KAFFINITY KiFreezeProcessors(VOID);
VOID KiThawProcessors(VOID);
VOID KiHandOverFreeze(PKPRCB To, PKTRAP_FRAME Frame);
// Has a processor that this one has stopped call Routine(Context) where it stands; returns when
// that is done. FALSE: it is not stopped.
BOOLEAN KiAskFrozen(PKPRCB Prcb, VOID (*Routine)(PVOID Context), PVOID Context);
// Where a thread that does not run stands, with the registers that a switch keeps.
VOID KiThreadFrame(PKTHREAD Thread, PKTRAP_FRAME Frame);
extern LIST_ENTRY KiThreadList; // all threads, by KTHREAD.ThreadListEntry
extern volatile BOOLEAN KiHaltFrozen;  // the machine stays as it is: those that are frozen halt

typedef struct _KE_THREAD {
    PVOID StackBase, StackLimit;
    KPRIORITY Priority;
    KE_SYSTEM_ROUTINE *SystemRoutine;
    PKSTART_ROUTINE StartRoutine;
    PVOID StartContext;
    const char *Name;  // NULL: a driver's
} KE_THREAD;

VOID KeInitializeThread(PKTHREAD Thread, const KE_THREAD *What);
VOID KeStartThread(PKTHREAD Thread);
// Ends the current thread, releasing its waiters. IRQL: PASSIVE_LEVEL.
DECLSPEC_NORETURN VOID KeTerminateThread(KPRIORITY Increment);
BOOLEAN KeThreadHasLeft(const KTHREAD *Thread);  // has ended, and its stack is no longer used
// Takes an APC off an ending thread's list; NULL: none is left. From then on none can be queued.
PKAPC KeFlushApc(PKTHREAD Thread, KPROCESSOR_MODE Mode);
KPRIORITY NTAPI KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority);
KPRIORITY NTAPI KeQueryPriorityThread(PKTHREAD Thread);
LONG NTAPI KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment);
// Raises a thread that holds up one of this priority, until its quantum wears it off. Thread may
// have ended. IRQL: <= DISPATCH_LEVEL.
VOID KeLendPriority(PKTHREAD Thread, KPRIORITY Priority);
KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity);
VOID KeYieldExecution(VOID);
VOID KeRelieveStarvation(VOID);  // once a second. IRQL: <= DISPATCH_LEVEL
// Whether, just now, no DPC is queued or running and no thread but the caller is ready or running.
BOOLEAN KeOthersIdle(VOID);
PKTHREAD NTAPI KeGetCurrentThread(VOID);

// Calls Routine(Parameter) on another stack. swap.S
typedef VOID NTAPI KE_STACK_ROUTINE(PVOID Parameter);
VOID KeCallOnStack(KE_STACK_ROUTINE *Routine, PVOID Parameter, PVOID StackBase);
// The stack that is used just now, a DPC's included. IRQL: any.
VOID KeQueryStack(ULONG_PTR *Limit, ULONG_PTR *Base);
// The thread's stack is another one from now on. IRQL: DISPATCH_LEVEL, until it is: in that thread.
VOID KeSetStack(PVOID StackBase, PVOID StackLimit);

// ---- APCs ---------------------------------------------------------------------------------------
VOID NTAPI KeInitializeApc(PRKAPC Apc, PRKTHREAD Thread, KAPC_ENVIRONMENT Environment,
                           PKKERNEL_ROUTINE KernelRoutine, PKRUNDOWN_ROUTINE RundownRoutine,
                           PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode,
                           PVOID NormalContext);
BOOLEAN NTAPI KeInsertQueueApc(PRKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2,
                               KPRIORITY Increment);
BOOLEAN NTAPI KeRemoveQueueApc(PRKAPC Apc);
BOOLEAN NTAPI KeAlertThread(PKTHREAD Thread, KPROCESSOR_MODE AlertMode);
BOOLEAN NTAPI KeTestAlertThread(KPROCESSOR_MODE AlertMode);
VOID NTAPI KeEnterCriticalRegion(VOID);
VOID NTAPI KeLeaveCriticalRegion(VOID);
VOID NTAPI KeEnterGuardedRegion(VOID);
VOID NTAPI KeLeaveGuardedRegion(VOID);
BOOLEAN NTAPI KeAreApcsDisabled(VOID);
BOOLEAN NTAPI KeAreAllApcsDisabled(VOID);

// ---- dispatcher objects -------------------------------------------------------------------------
NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason,
                                     KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                     PLARGE_INTEGER Timeout);
NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType,
                                        KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                        BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                        PKWAIT_BLOCK WaitBlockArray);
NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                      PLARGE_INTEGER Interval);
VOID NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State);
LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);
LONG NTAPI KeResetEvent(PRKEVENT Event);
VOID NTAPI KeClearEvent(PRKEVENT Event);
LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);
LONG NTAPI KeReadStateEvent(PRKEVENT Event);
VOID NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit);
LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment,
                              BOOLEAN Wait);
LONG NTAPI KeReadStateSemaphore(PRKSEMAPHORE Semaphore);
VOID NTAPI KeInitializeMutex(PRKMUTEX Mutex, ULONG Level);
VOID NTAPI KeInitializeMutant(PRKMUTANT Mutant, BOOLEAN InitialOwner);
LONG NTAPI KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait);
LONG NTAPI KeReleaseMutant(PRKMUTANT Mutant, KPRIORITY Increment, BOOLEAN Abandoned, BOOLEAN Wait);
LONG NTAPI KeReadStateMutex(PRKMUTEX Mutex);
VOID NTAPI KeInitializeTimer(PKTIMER Timer);
VOID NTAPI KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type);
BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc);
BOOLEAN NTAPI KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc);
BOOLEAN NTAPI KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period,
                                    ULONG TolerableDelay, PKDPC Dpc);
// KeSetTimerEx with a period in 100 ns units, 0: none.
// The time between clock interrupts, on every processor; 100 ns units, between HAL_CLOCK_MINIMUM
// and HAL_CLOCK_INCREMENT. IRQL: DISPATCH_LEVEL, one caller at a time.
VOID KeSetClockInterval(ULONG Interval);
ULONG KeClockInterval(VOID);
BOOLEAN KeSetTimerByUnits(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG64 Period, PKDPC Dpc);
// Whether it is set. FALSE: what it queues at expiry has been queued. IRQL: <= DISPATCH_LEVEL.
BOOLEAN KeIsTimerSet(PKTIMER Timer);
BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer);
BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer);
VOID NTAPI KeInitializeQueue(PRKQUEUE Queue, ULONG Count);
LONG NTAPI KeInsertQueue(PRKQUEUE Queue, PLIST_ENTRY Entry);
LONG NTAPI KeInsertHeadQueue(PRKQUEUE Queue, PLIST_ENTRY Entry);
PLIST_ENTRY NTAPI KeRemoveQueue(PRKQUEUE Queue, KPROCESSOR_MODE WaitMode, PLARGE_INTEGER Timeout);
PLIST_ENTRY NTAPI KeRundownQueue(PRKQUEUE Queue);
// The first entry that waits and passes the test, which is called under the dispatcher lock. NULL:
// none does.
typedef BOOLEAN KE_QUEUE_TEST(PLIST_ENTRY Entry, PVOID Context);
PLIST_ENTRY KeFindQueueEntry(PKQUEUE Queue, KE_QUEUE_TEST *Test, PVOID Context);
LONG NTAPI KeReadStateQueue(PRKQUEUE Queue);

// ---- start --------------------------------------------------------------------------------------
// A processor's block: descriptor tables, KPCR, stacks. Its first page is to be left unmapped, the
// rest is zeroed memory. Prepare is called on another processor, Load and Activate on its own, with
// interrupts off: Load gives traps that are reported; after Activate the others know it.
SIZE_T KeProcessorSize(VOID);
PKPRCB KePrepareProcessor(PVOID Block, ULONG Number, PKTHREAD IdleThread, PVOID StackLimit,
                          PVOID StackBase);
VOID KeLoadProcessor(PKPRCB Prcb);
VOID KeActivateProcessor(PKPRCB Prcb);
// The boot processor's KPCR, descriptor tables and stacks; after it traps are reported. IF stays
// off.
// The code that runs is the idle thread's from here on; it ends in KeIdleLoop.
VOID KeInitializeProcessor(PKTHREAD IdleThread, PVOID BootStackLimit, PVOID BootStackBase);
// What a processor does while no thread is ready. IRQL: PASSIVE_LEVEL, in the idle thread.
DECLSPEC_NORETURN VOID KeIdleLoop(VOID);
// The page below the boot processor's DPC stack, for mm to unmap.
PVOID KeGuardPage(VOID);
// Opens interrupts and starts the clock. Needs the HAL. Gives IRQLs that really mask.
VOID KeStartInterrupts(VOID);

// ---- traps --------------------------------------------------------------------------------------
// What was done to an address, as bugchecks and access violations number it.
#define KE_ACCESS_READ    0u
#define KE_ACCESS_WRITE   1u
#define KE_ACCESS_EXECUTE 8u

// mm registers its page-fault routine. It returns TRUE when the access can be retried; FALSE when
// an exception (STATUS_ACCESS_VIOLATION, filled in) is to be raised at the fault. Illegal system
// accesses do not return. Called with the interrupted code's IRQL in effect.
typedef BOOLEAN KE_PAGE_FAULT_ROUTINE(PKTRAP_FRAME Frame, ULONG_PTR Address, ULONG ErrorCode,
                                      PEXCEPTION_RECORD Exception);
extern KE_PAGE_FAULT_ROUTINE *KePageFaultRoutine;
// amd64, registered by mm too: an address that is not canonical was touched. Does not return.
typedef VOID KE_NON_CANONICAL_ROUTINE(PKTRAP_FRAME Frame, ULONG_PTR Address, ULONG Access);
extern KE_NON_CANONICAL_ROUTINE *KeNonCanonicalRoutine;
// mm's as well: an access violation that nobody handled, in one sentence.
typedef const char *KE_VIOLATION_ROUTINE(PKTRAP_FRAME Frame, const EXCEPTION_RECORD *Exception);
extern KE_VIOLATION_ROUTINE *KeViolationRoutine;

#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_USER    4u
#define PF_RESERVED 8u
#define PF_FETCH   16u

// rtl's exception dispatcher, registered at start: searches the handlers of the interrupted code
// and continues there. Returns only when nobody took it.
typedef VOID KE_EXCEPTION_ROUTINE(PEXCEPTION_RECORD Exception, PKTRAP_FRAME Frame);
extern KE_EXCEPTION_ROUTINE *KeExceptionRoutine;
// The bugcheck for an exception that nobody took, raised by the code at Frame.
DECLSPEC_NORETURN VOID KeExceptionNotHandled(PEXCEPTION_RECORD Exception, PKTRAP_FRAME Frame);

// Context <-> trap frame. The frame passed to KeContinue is loaded into the processor; no return.
VOID KeContextFromTrapFrame(const KTRAP_FRAME *Frame, PCONTEXT Context);
VOID KeContextToTrapFrame(const CONTEXT *Context, PKTRAP_FRAME Frame);  // general registers
DECLSPEC_NORETURN VOID KeContinue(const CONTEXT *Context);  // resumes there, at the current IRQL

// A debugger chosen at boot registers itself here; without one each of these costs a test of the
// pointer, off the fast paths. TRUE: the frame is to be resumed as it now is, as if nothing had
// happened. FALSE: what happened takes its course.
typedef enum _KE_DEBUG_EVENT {
    KeDebugTrap,       // debug trap or breakpoint; interrupts still off, nobody has looked at it
    KeDebugException,  // Detail: the EXCEPTION_RECORD, before any handler is looked for
    KeDebugBugCheck,   // Detail: the KE_BUGCHECK; nothing has changed yet. Frame may be NULL
    KeDebugNmi,
    KeDebugClock,      // every clock tick; Frame may be NULL
    KeDebugThaw,       // this processor was frozen and goes on
} KE_DEBUG_EVENT;
typedef BOOLEAN KE_DEBUG_ROUTINE(KE_DEBUG_EVENT Event, PKTRAP_FRAME Frame, const VOID *Detail);
extern KE_DEBUG_ROUTINE *KeDebugRoutine;

FORCEINLINE BOOLEAN KiDebugEvent(KE_DEBUG_EVENT Event, PKTRAP_FRAME Frame, const VOID *Detail)
{
    return __builtin_expect(KeDebugRoutine != NULL, 0) && KeDebugRoutine(Event, Frame, Detail);
}

// Kernel code that may fault on a driver's or user's memory lists itself in the fix-up table: when
// the instruction at Fault faults, execution goes on at Fixup.
typedef struct _KE_FIXUP { ULONG_PTR Fault; ULONG_PTR Fixup; } KE_FIXUP;
extern const KE_FIXUP FixupTableStart[], FixupTableEnd[];
// Sequences that start again (kernel/ke/restart.c). Who is interrupted at an address from Start up
// to End goes on at Restart. They lie in section .text.restart.
typedef struct _KE_RESTART { ULONG_PTR Start, End, Restart; } KE_RESTART;
extern const KE_RESTART RestartTableStart[], RestartTableEnd[];
extern const UCHAR RestartTextStart[], RestartTextEnd[];
// Copies, or returns FALSE when any byte is not accessible. IRQL: any; never bugchecks. For
// debuggers.
BOOLEAN KeSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length);

// ---- bugchecks ----------------------------------------------------------------------------------
DECLSPEC_NORETURN VOID NTAPI KeBugCheck(ULONG Code);
DECLSPEC_NORETURN VOID NTAPI KeBugCheckEx(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                          ULONG_PTR P4);
// The same with the frame of the code at fault and the words that say what rule it broke
// (printf-like text made by the caller; NULL: the code's own sentence).
DECLSPEC_NORETURN VOID KiBugCheck(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                  ULONG_PTR P4, PKTRAP_FRAME Frame, const char *Sentence);
const char *KeBugCheckName(ULONG Code);
// Runs what drivers registered by KeRegisterBugCheckCallback. kd calls it once the report is out,
// so that a callback that hangs costs nothing but itself.
VOID KeRunBugCheckCallbacks(VOID);
// kd registers the screen; it does not return.
typedef struct _KE_BUGCHECK {
    ULONG Code;
    ULONG_PTR Parameter[4];
    PKTRAP_FRAME Frame;      // NULL when the caller of KeBugCheckEx is itself the place
    const char *Sentence;    // may be NULL
    KIRQL Irql;              // before the bugcheck raised it
    ULONG_PTR Caller;        // return address into the code that called KeBugCheckEx
    const char *Name;        // of the code
} KE_BUGCHECK;
typedef VOID KE_BUGCHECK_ROUTINE(const KE_BUGCHECK *BugCheck);
extern KE_BUGCHECK_ROUTINE *KeBugCheckRoutine;
extern const KE_BUGCHECK *KeLastBugCheck;  // for debuggers: the one that goes on; NULL: none

// ---- IRQL ---------------------------------------------------------------------------------------
const char *KeIrqlName(KIRQL Irql);
KIRQL NTAPI KeGetCurrentIrql(VOID);
KIRQL FASTCALL KfRaiseIrql(KIRQL NewIrql);
VOID FASTCALL KfLowerIrql(KIRQL NewIrql);
KIRQL NTAPI KeRaiseIrqlToDpcLevel(VOID);
#if DBG
// The checked build's entry check of exported routines.
#define ASSERT_IRQL_AT_MOST(Limit)                                                                 \
    (KiGetIrql() <= (Limit)                                                                        \
         ? (void)0                                                                                 \
         : KiBugCheck(IRQL_NOT_LESS_OR_EQUAL, KiReturnAddress(), KiGetIrql(), 0,                   \
                      KiReturnAddress(), NULL,                                                     \
                      "A routine was called above its highest IRQL (checked build)."))
#else
#define ASSERT_IRQL_AT_MOST(Limit) ((void)0)
#endif

// ---- spin locks ---------------------------------------------------------------------------------
VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock);
KIRQL KiAcquireLock(PKSPIN_LOCK SpinLock);              // to DISPATCH_LEVEL, returns the old IRQL
VOID KiReleaseLock(PKSPIN_LOCK SpinLock, KIRQL OldIrql);
VOID KiAcquireLockAtDpcLevel(PKSPIN_LOCK SpinLock);     // IRQL >= DISPATCH_LEVEL already
VOID KiReleaseLockFromDpcLevel(PKSPIN_LOCK SpinLock);

// ---- the checked build's watch over locks and freed memory (lockorder.c, freed.c) ---------------
#if DBG && !defined(LOOKASIDE_HOST)
#define KE_WATCHES 1
VOID KeNoteLockWanted(const VOID *Lock); // about to be acquired: may be a bugcheck
VOID KeNoteSpinLock(const VOID *Lock, ULONG_PTR Caller); // this processor holds it, or no longer
VOID KeForgetSpinLock(const VOID *Lock);
VOID KeNoteMutex(PKTHREAD Owner, const VOID *Lock, ULONG_PTR Caller);
VOID KeForgetMutex(PKTHREAD Owner, const VOID *Lock);
VOID KeForgetOwned(const KTHREAD *Owner, const VOID *Lock); // perhaps by another thread
VOID KeForgetLock(const VOID *Lock);                  // made anew
VOID KeForgetLocks(const VOID *Start, SIZE_T Bytes);  // their memory goes
VOID KeNoteObject(const VOID *Object);                // the memory of which must not be freed
VOID KeCheckFreedMemory(const VOID *Memory, SIZE_T Bytes);
typedef VOID KE_FREED_ROUTINE(ULONG_PTR Start, ULONG_PTR End);
extern KE_FREED_ROUTINE *KeFreedRoutine; // ex registers what it knows
#else
#define KE_WATCHES                        0
#define KeNoteLockWanted(Lock)            ((VOID)0)
#define KeNoteSpinLock(Lock, Caller)      ((VOID)0)
#define KeForgetSpinLock(Lock)            ((VOID)0)
#define KeNoteMutex(Owner, Lock, Caller)  ((VOID)0)
#define KeForgetMutex(Owner, Lock)        ((VOID)0)
#define KeForgetOwned(Owner, Lock)        ((VOID)0)
#define KeForgetLock(Lock)                ((VOID)0)
#define KeForgetLocks(Start, Bytes)       ((VOID)0)
#define KeNoteObject(Object)              ((VOID)0)
#define KeCheckFreedMemory(Memory, Bytes) ((VOID)0)
#endif
VOID KePrintHeldSpinLocks(VOID);

// ---- DPCs ---------------------------------------------------------------------------------------
VOID NTAPI KeInitializeDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext);
BOOLEAN NTAPI KeInsertQueueDpc(PKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2);
BOOLEAN NTAPI KeRemoveQueueDpc(PKDPC Dpc);
VOID NTAPI KeSetImportanceDpc(PKDPC Dpc, KDPC_IMPORTANCE Importance);
VOID NTAPI KeSetTargetProcessorDpc(PKDPC Dpc, CCHAR Number);
VOID NTAPI KeFlushQueuedDpcs(VOID);
VOID KeFlushDpcsOf(ULONG Number);  // waits for what is queued on a processor; IRQL: <= APC_LEVEL
KSTART_ROUTINE KeServeThreadedDpcs;  // the thread of a processor (its KPRCB) for threaded DPCs
BOOLEAN KeHasDpcsOf(ULONG_PTR Start, ULONG_PTR End); // queued or running, of an image; < IPI_LEVEL
BOOLEAN KeDpcsIdle(VOID);  // nothing queued and nothing running

// ---- interrupts ---------------------------------------------------------------------------------
typedef struct _KINTERRUPT {
    SHORT Type;
    SHORT Size;
    LIST_ENTRY ListEntry;                 // in the vector's chain
    PKSERVICE_ROUTINE ServiceRoutine;
    PKMESSAGE_SERVICE_ROUTINE MessageServiceRoutine;  // instead, for messages
    ULONG MessageId;
    PVOID ServiceContext;
    KSPIN_LOCK SpinLock;
    PKSPIN_LOCK ActualLock;
    ULONG Vector;
    KIRQL Irql, SynchronizeIrql;
    BOOLEAN Connected, ShareVector;
    KAFFINITY Processors;                 // may be interrupted by it
    KINTERRUPT_MODE Mode;
    ULONG64 Count;                        // times the routine claimed the interrupt
    ULONG_PTR Caller;                     // who connected it, for the leak report
} KINTERRUPT;

VOID KeInitializeInterrupt(PKINTERRUPT Interrupt, PKSERVICE_ROUTINE ServiceRoutine,
                           PVOID ServiceContext, PKSPIN_LOCK SpinLock, ULONG Vector, KIRQL Irql,
                           KIRQL SynchronizeIrql, KINTERRUPT_MODE Mode, BOOLEAN ShareVector,
                           KAFFINITY Processors);
// FALSE: the vector is in use and not shareable, or has no processor that all who share it allow.
BOOLEAN KeConnectInterrupt(PKINTERRUPT Interrupt);
ULONG KeInterruptTarget(const KINTERRUPT *Interrupt);  // the processor that it goes to
BOOLEAN KeDisconnectInterrupt(PKINTERRUPT Interrupt);
ULONG_PTR KeServiceRoutineOf(ULONG Vector);  // the first one connected to it, 0: none
BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE Routine,
                                     PVOID Context);

// ---- time ---------------------------------------------------------------------------------------
VOID NTAPI KeStallExecutionProcessor(ULONG Microseconds);
// 100 ns units since the kernel's first instruction; 0 before the HAL knows its counter. IRQL: any.
ULONG64 KeSystemUptime(VOID);
// Where ke writes the page that everyone reads at SHARED_USER_DATA_ADDRESS. MmInitialize sets it.
extern PKUSER_SHARED_DATA KeSharedUserData;
