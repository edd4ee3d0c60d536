// SPDX-License-Identifier: MIT
// The processor control block's part that both architectures share.
//
// Everything that belongs to one processor hangs here, from the start, though only the boot processor
// runs yet. The head of KPRCB, whose offsets drivers compile in, is in the architecture's pcr.h.
#pragma once

#include "nt/nt.h"

struct _KTHREAD;
struct _KTRAP_FRAME;

#define KPRCB_BODY                                                                                 \
    /* ke: identity */                                                                             \
    ULONG ProcessorNumber;                                                                         \
    ULONG ApicId;                                                                                  \
    KAFFINITY ProcessorMask; /* 1 << ProcessorNumber */                                            \
    /* ke: DPCs */                                                                                 \
    LIST_ENTRY DpcListHead;                                                                        \
    KSPIN_LOCK DpcLock;                                                                            \
    volatile ULONG DpcQueueDepth;                                                                  \
    ULONG DpcLastCount;          /* DpcCount at the last clock tick */                             \
    ULONG DpcRequestRate;        /* DPCs per tick, running average */                              \
    volatile ULONG DpcCount;     /* DPCs run since start */                                        \
    volatile BOOLEAN DpcActive;  /* a DPC routine is running */                                    \
    volatile BOOLEAN DpcRequested; /* a DISPATCH_LEVEL interrupt has been asked for */             \
    PVOID DpcStack;              /* top of the stack DPCs run on */                                \
    /* ke: interrupts and time */                                                                  \
    ULONG64 InterruptCount;                                                                        \
    ULONG64 ClockTicks;                                                                            \
    ULONG InterruptDepth;        /* nesting of interrupt service */                                \
    struct _KTRAP_FRAME *InterruptedFrame;                                                         \
    /* bugcheck */                                                                                 \
    KIRQL BugCheckIrql;          /* the IRQL before KeBugCheckEx raised it */                      \
    struct _KTRAP_FRAME *BugCheckFrame;                                                            \
    /* mm and ex: per-processor caches, owned by them */                                           \
    PVOID MmProcessor;                                                                             \
    PVOID PoolProcessor;
