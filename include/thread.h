// SPDX-License-Identifier: MIT
// The thread object: ke's part, which the executive's ETHREAD begins with.
//
// Which lock covers what (kernel/ke/sched.c tells why):
//     scheduling   Ready to Running: the ReadyLock of processor Processor; else the dispatcher lock
//     waiting      the dispatcher lock
//     APCs         ApcLock; the disable counts and KernelApcInProgress are the thread's own
#pragma once

#include "nt/nt.h"

typedef enum _KTHREAD_STATE {
    ThreadInitialized, // made, not started
    ThreadReady,       // in a processor's ready queue
    ThreadRunning,     // on a processor
    ThreadStandby,     // chosen to run next on a processor
    ThreadTerminated,
    ThreadWaiting,
    ThreadStates
} KTHREAD_STATE;

#define LOW_PRIORITY          0
#define LOW_REALTIME_PRIORITY 16 // from here up nothing boosts and nothing decays
#define HIGH_PRIORITY         31
#define MAXIMUM_PRIORITY      32

// A lock and who acquired it. Checked build.
typedef struct _KE_HELD_LOCK {
    ULONG_PTR Lock, Caller;
} KE_HELD_LOCK;

// The first routine of a thread, which ends it when StartRoutine returns.
typedef VOID KE_SYSTEM_ROUTINE(PKSTART_ROUTINE StartRoutine, PVOID StartContext);

typedef struct _KTHREAD {
    DISPATCHER_HEADER Header; // signalled when the thread has ended
    // switching: addressed by swap.S, offsets asserted in the architecture's switch.c
    PVOID KernelStack;          // stack pointer while not running
    volatile BOOLEAN InContext; // a processor holds its registers: it runs, or is just being saved
    UCHAR FloatSaved;           // i386: states saved by KeSaveFloatingPointState
    PVOID StackBase;            // first byte above the stack
    PVOID StackLimit;           // lowest usable byte; the guard page lies below
    // scheduling
    UCHAR State;        // KTHREAD_STATE
    SCHAR Priority;     // now
    SCHAR BasePriority; // without boosts
    SCHAR Starved;      // levels that starvation relief gave, to be taken back at quantum end
    SCHAR Quantum, QuantumReset; // in thirds of a clock tick
    UCHAR IdealProcessor;
    ULONG Processor; // whose queue it is in or runs from
    KAFFINITY Affinity;
    KAFFINITY UserAffinity; // what KeRevertToUserAffinityThread returns to
    BOOLEAN SystemAffinityActive;
    LIST_ENTRY ReadyEntry;
    struct _KTHREAD *NextReleased; // after the end of its wait, until it is made ready
    ULONG ReadyTime; // tick count when it became ready
    ULONG ContextSwitches;
    ULONG64 KernelTime; // clock ticks it was found running at
    // waiting
    LONG_PTR WaitStatus; // what ended the wait; for a queue the entry's address
    PKWAIT_BLOCK WaitBlockList;
    KIRQL WaitIrql;
    KPROCESSOR_MODE WaitMode;
    UCHAR WaitReason;
    BOOLEAN WaitNext; // a routine with Wait = TRUE left it at DISPATCH_LEVEL
    BOOLEAN Alertable;
    BOOLEAN Alerted[2];                             // by processor mode
    ULONG WaitTime;                                 // tick count when the wait began
    KWAIT_BLOCK WaitBlock[THREAD_WAIT_OBJECTS + 1]; // the last is the timer's
    KTIMER Timer;                                   // of the wait's timeout
    LIST_ENTRY MutantListHead;                      // mutants it owns
    PKQUEUE Queue;                                  // the queue it serves
    LIST_ENTRY QueueListEntry;
    // APCs
    KSPIN_LOCK ApcLock;
    LIST_ENTRY ApcListHead[2]; // by processor mode; special kernel APCs come first in theirs
    volatile BOOLEAN KernelApcPending;
    BOOLEAN KernelApcInProgress;
    BOOLEAN UserApcPending;
    BOOLEAN ApcQueueable; // FALSE once it is ending
    union {
        struct {
            SHORT KernelApcDisable;  // critical regions entered, counted down from 0
            SHORT SpecialApcDisable; // guarded regions
        };
        ULONG CombinedApcDisable;
    };
    // its life
    KE_SYSTEM_ROUTINE *SystemRoutine;
    PKSTART_ROUTINE StartRoutine;
    PVOID StartContext;
    PVOID CalloutFrame;         // innermost KeExpandKernelStackAndCallout, NULL: none
    LIST_ENTRY ThreadListEntry; // all threads
    BOOLEAN StackSwapDisabled;  // what KeSetKernelStackSwapEnable was told
    const char *Name;           // for reports; NULL: known by its start routine
    PVOID FloatState;           // i386: FXSAVE area, at the top of its stack
#if DBG
    KE_HELD_LOCK Held[16]; // mutexes of all kinds that it owns (kernel/ke/lockorder.c)
    ULONG HeldCount;
    ULONG_PTR WaitCaller; // who waits
#endif
} KTHREAD;

#define TIMER_WAIT_BLOCK THREAD_WAIT_OBJECTS
