// SPDX-License-Identifier: MIT
// The processor control block's part that both architectures share.
//
// Everything that belongs to one processor hangs here. The head of KPRCB, whose offsets drivers
// compile in, is in the architecture's pcr.h.
#pragma once

#include "nt/nt.h"
#include "thread.h"

#define TIMER_HANDS 256  // of the wheel on which timers wait

struct _KTHREAD;
struct _KTRAP_FRAME;

// One processor's request to others: Routine(Context), by each of them once.
typedef struct _KI_CALL {
    VOID (*Routine)(PVOID Context);
    PVOID Context;
    volatile KAFFINITY Waiting; // those that have not done it yet
} KI_CALL;

#define KPRCB_BODY                                                                                 \
    /* ke: what trap.S addresses; offsets asserted in the architecture's pcr.h */                  \
    PVOID DpcStack;                /* top of the stack that DPCs run on */                         \
    volatile BOOLEAN DpcActive;    /* DPC routines are being run, on DpcStack */                   \
    volatile BOOLEAN DpcRequested; /* somebody has asked for the queue to be drained */            \
    volatile BOOLEAN Reschedule;   /* NextThread or QuantumEnd is set: look at DISPATCH_LEVEL */   \
    volatile BOOLEAN QuantumEnd;   /* the running thread has used its quantum up */                \
    PVOID DpcStackLimit;           /* lowest usable byte of DpcStack */                            \
    PVOID PoolProcessor;           /* ex: its caches; addressed by poolfast.S */                   \
    /* ke: identity */                                                                             \
    ULONG ProcessorNumber;                                                                         \
    ULONG ApicId;                                                                                  \
    KAFFINITY ProcessorMask; /* 1 << ProcessorNumber */                                            \
    /* ke: DPCs; under DpcLock unless only this processor writes them */                           \
    LIST_ENTRY DpcListHead;                                                                        \
    KSPIN_LOCK DpcLock;                                                                            \
    volatile ULONG DpcQueueDepth;                                                                  \
    volatile ULONG DpcCount;     /* DPCs run since start */                                        \
    ULONG DpcLastCount;          /* DpcCount at the last clock tick */                             \
    ULONG DpcRequestRate;        /* DPCs per tick, running average */                              \
    PVOID DpcRoutine;            /* the routine that runs now, for reports; NULL: none */          \
    LIST_ENTRY ThreadedListHead; /* threaded DPCs that wait for their thread */                    \
    KEVENT ThreadedEvent;        /* there are some */                                              \
    PVOID ThreadedRoutine;       /* which of those runs now, as DpcRoutine */                      \
    volatile BOOLEAN ThreadedReady; /* the thread is there */                                      \
    ULONG DispatchTicks, DpcTicks;  /* clock ticks in a row at DISPATCH_LEVEL, in one DPC */       \
    ULONG WatchedDpc;               /* which: DpcCount then */                                     \
    KDPC HoldDpc;                   /* runs when the level falls below DISPATCH_LEVEL */           \
    ULONG TicksBelowDispatch;      /* clock ticks that interrupted code below DISPATCH_LEVEL */    \
    /* ke: reader-writer spin locks (rwlock.c) */                                                  \
    ULONG RwLockWord;              /* what one that it holds exclusively contains */               \
    PVOID RwLockWanted;            /* it waits for this one, and has not got it; NULL: none */     \
    ULONG_PTR RwLockCaller;        /* on whose behalf */                                           \
    /* ke: scheduling; under ReadyLock, as are NextThread and Reschedule */                        \
    KSPIN_LOCK ReadyLock;                                                                          \
    ULONG ReadySummary;          /* bit n: ReadyListHead[n] is not empty */                        \
    struct _KTHREAD *RunningThread; /* who runs once a switch under way is done */                 \
    LIST_ENTRY ReadyListHead[MAXIMUM_PRIORITY];                                                    \
    struct _KTHREAD *Released;   /* whose wait this one has ended, last first; dispatcher lock */  \
    ULONG ContextSwitches;                                                                         \
    KAFFINITY QueuedFor;         /* where threads may run that were queued under this hold */      \
    volatile BOOLEAN LookAgain;  /* others' queues got something since the idle loop looked */     \
    /* ke: timers set on this processor; under the dispatcher lock */                              \
    ULONG64 TimerDue;            /* none is due earlier; written with interrupts off */            \
    ULONG64 TimerHand;           /* hand up to which all have expired */                           \
    ULONG TimerSummary[TIMER_HANDS / 32];                                                          \
    LIST_ENTRY TimerListHead[TIMER_HANDS];                                                         \
    KDPC TimerDpc;                                                                                 \
    ULONG TimerCount;                                                                              \
    /* ke: interrupts and time */                                                                  \
    ULONG64 InterruptCount;                                                                        \
    ULONG64 ClockTicks;          /* clock interrupts */                                            \
    ULONG ClockInterval;         /* 100 ns units between them */                                   \
    ULONG ClockPart;             /* of HAL_CLOCK_INCREMENT, what has passed since a tick */        \
    ULONG IdleCount;             /* times the processor was put to sleep */                       \
    ULONG InterruptDepth;        /* nesting of interrupt service */                                \
    volatile ULONG VectorsHere;  /* vectors whose interrupts are sent to this processor */         \
    /* ke: calls by other processors (ipi.c) */                                                    \
    KI_CALL Call;                 /* what this one asks of others */                               \
    volatile KAFFINITY CallsFrom; /* processors whose Call it is to carry out */                   \
    ULONG IpiCount;               /* calls carried out */                                          \
    /* ke: stopping (freeze.c) */                                                                  \
    volatile LONG FreezeState;    /* KI_FREEZE_STATE */                                            \
    struct _KTRAP_FRAME *volatile FreezeFrame; /* where it stands while it is frozen */            \
    struct _KTRAP_FRAME *NmiFrame; /* an NMI or machine check is being handled; NULL: none */      \
    KIRQL BugCheckIrql;           /* the IRQL before KeBugCheckEx raised it */                     \
    /* mm: its own */                                                                              \
    PVOID MmProcessor;
