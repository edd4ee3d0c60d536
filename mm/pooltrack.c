// SPDX-License-Identifier: MIT
// Pool tracking: the call stack of every live block, for leak reports and !pool.
//
// Problem. A record keeps the code that called the pool. In a driver whose allocations all go
// through one helper, that says nothing.
//
// Idea. With /VERIFIER=0x8 all cells are trapped, so that every allocation and every free of a
// driver passes by here. A hash table by block address holds a trace for each block: the stack,
// beginning with the caller. Traces are cut from bookkeeping pages and reused. When memory for one
// runs out, the block has no trace: nothing else depends on it.
//
// Locking: ExpTraceLock, at DISPATCH_LEVEL. Reports take no lock: they run when the driver is done.
// Observability: the lines below each leak, !pool; tests/system/test_pool.py.
#include "poolp.h"

#define BUCKETS      4096u
#define FRAMES       8u
#define OWN_FRAMES   8u  // at most of ours are above the caller's

typedef struct _POOL_TRACE {
    struct _POOL_TRACE *Next;
    ULONG_PTR Block;
    ULONG Count;
    ULONG_PTR Frame[FRAMES];
} POOL_TRACE;

BOOLEAN ExpTracking;
static POOL_TRACE **ExpTraces;  // BUCKETS of them; NULL until the first is kept
static POOL_TRACE *ExpFreeTraces;
static KSPIN_LOCK ExpTraceLock;

static POOL_TRACE **ExpTraceBucket(ULONG_PTR Block)
{
    return &ExpTraces[(ULONG)(Block >> 4) * 0x9E3779B1u >> 20];
}

C_ASSERT(BUCKETS == 1u << (32 - 20));

// Called with the lock held.
static POOL_TRACE *ExpNewTrace(VOID)
{
    POOL_TRACE *Trace = ExpFreeTraces;
    if (ExpTraces == NULL)
        ExpTraces = ExpAllocateBookkeeping(BUCKETS * sizeof(*ExpTraces));
    if (ExpTraces == NULL)
        return NULL;
    if (Trace == NULL)
        return ExpAllocateBookkeeping(sizeof(POOL_TRACE));
    ExpFreeTraces = Trace->Next;
    return Trace;
}

// The stack from the caller on: the pool's own frames above it are left out.
static VOID ExpFillTrace(POOL_TRACE *Trace, PVOID Block, ULONG_PTR Caller)
{
    ULONG_PTR Frames[FRAMES + OWN_FRAMES];
    ULONG Count = KdCaptureBacktrace(NULL, 0, Frames, RTL_NUMBER_OF(Frames)), First = 0;
    while (First < Count && Frames[First] != Caller)
        First++;
    Trace->Block = (ULONG_PTR)Block;
    Trace->Count = 0;
    if (First == Count)
        Trace->Frame[Trace->Count++] = Caller;
    for (; First < Count && Trace->Count < FRAMES; First++)
        Trace->Frame[Trace->Count++] = Frames[First];
}

VOID ExpTrack(PVOID Block, ULONG_PTR Caller)
{
    KIRQL OldIrql = KiAcquireLock(&ExpTraceLock);
    POOL_TRACE *Trace = ExpNewTrace();
    if (Trace != NULL) {
        ExpFillTrace(Trace, Block, Caller);
        Trace->Next = *ExpTraceBucket((ULONG_PTR)Block);
        *ExpTraceBucket((ULONG_PTR)Block) = Trace;
    }
    KiReleaseLock(&ExpTraceLock, OldIrql);
}

VOID ExpUntrack(PVOID Block)
{
    KIRQL OldIrql = KiAcquireLock(&ExpTraceLock);
    POOL_TRACE **Link = ExpTraces != NULL ? ExpTraceBucket((ULONG_PTR)Block) : &ExpFreeTraces;
    while (ExpTraces != NULL && *Link != NULL && (*Link)->Block != (ULONG_PTR)Block)
        Link = &(*Link)->Next;
    POOL_TRACE *Trace = ExpTraces != NULL ? *Link : NULL;
    if (Trace != NULL) {
        *Link = Trace->Next;
        Trace->Next = ExpFreeTraces;
        ExpFreeTraces = Trace;
    }
    KiReleaseLock(&ExpTraceLock, OldIrql);
}

// A line for each frame below the first, which everybody knows without tracking.
VOID ExpSayTrace(PVOID Block, POOL_SAY *Say)
{
    char Place[96];
    if (ExpTraces == NULL)
        return;
    POOL_TRACE *Trace = *ExpTraceBucket((ULONG_PTR)Block);
    while (Trace != NULL && Trace->Block != (ULONG_PTR)Block)
        Trace = Trace->Next;
    for (ULONG Index = 1; Trace != NULL && Index < Trace->Count; Index++) {
        if (!KdSymbolize(Trace->Frame[Index], Place, sizeof(Place)))
            RtlFormat(Place, sizeof(Place), "%p", (PVOID)Trace->Frame[Index]);
        Say(Place);
    }
}
