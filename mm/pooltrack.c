// SPDX-License-Identifier: MIT
// Pool tracking: who allocated a block and who freed it, with their call stacks, for leak reports,
// !pool and bugchecks.
//
// Problem. A record keeps the code that called the pool, and loses it when the block is freed. In a
// driver whose allocations all go through one helper it says nothing, and of a block that is freed
// twice it is the other half that one wants to know.
//
// Idea. With /VERIFIER=0x8 all cells are trapped, so that every allocation and every free of a
// driver passes by here. A hash table by block address holds a trace for each block: the stacks of
// its allocation and of its free, beginning with the callers. A freed block keeps its trace until
// its address is handed out again, or until it is the oldest of so many; traces are cut from
// bookkeeping pages and reused. When memory for one runs out, the block has no trace: nothing else
// depends on it.
//
// Locking: ExpTraceLock, at DISPATCH_LEVEL. Reports take no lock: they run when the driver is done,
// or nothing else runs any more. Observability: the lines below each leak, !pool, the log before a
// bugcheck; tests/system/test_pool.py, tests/system/test_pool_misuse.py.
#include "poolp.h"

#define BUCKETS      4096u
#define FRAMES       8u
#define OWN_FRAMES   8u     // at most of ours are above the caller's
#define FREED_LEAST  8192u  // so many freed blocks are remembered before a trace is reused

typedef struct _POOL_STACK {
    ULONG Count;  // 0: nothing is known
    ULONG_PTR Frame[FRAMES];
} POOL_STACK;

typedef struct _POOL_TRACE {
    struct _POOL_TRACE *Next;   // in the bucket
    LIST_ENTRY FreedLink;       // while Freed.Count is not 0
    ULONG_PTR Block;
    POOL_STACK Allocated, Freed;
} POOL_TRACE;

BOOLEAN ExpTracking;
static POOL_TRACE **ExpTraces;  // BUCKETS of them; NULL until the first is kept
static LIST_ENTRY ExpFreedTraces = {&ExpFreedTraces, &ExpFreedTraces};  // the oldest first
static ULONG ExpFreedCount;
static KSPIN_LOCK ExpTraceLock;

static POOL_TRACE **ExpTraceBucket(ULONG_PTR Block)
{
    return &ExpTraces[(ULONG)(Block >> 4) * 0x9E3779B1u >> 20];
}

C_ASSERT(BUCKETS == 1u << (32 - 20));

// NULL: there is none.
static POOL_TRACE *ExpFindTrace(PVOID Block)
{
    POOL_TRACE *Trace = ExpTraces != NULL ? *ExpTraceBucket((ULONG_PTR)Block) : NULL;
    while (Trace != NULL && Trace->Block != (ULONG_PTR)Block)
        Trace = Trace->Next;
    return Trace;
}

// ---- under the lock ----------------------------------------------------------------------------
static VOID ExpUnlinkTrace(POOL_TRACE *Trace)
{
    POOL_TRACE **Link = ExpTraceBucket(Trace->Block);
    while (*Link != Trace)
        Link = &(*Link)->Next;
    *Link = Trace->Next;
}

static VOID ExpForgetFree(POOL_TRACE *Trace)
{
    RemoveEntryList(&Trace->FreedLink);
    ExpFreedCount--;
}

static POOL_TRACE *ExpOldestTrace(VOID)
{
    if (IsListEmpty(&ExpFreedTraces))
        return NULL;
    POOL_TRACE *Trace = CONTAINING_RECORD(ExpFreedTraces.Flink, POOL_TRACE, FreedLink);
    ExpForgetFree(Trace);
    ExpUnlinkTrace(Trace);
    return Trace;
}

static POOL_TRACE *ExpNewTrace(VOID)
{
    POOL_TRACE *Trace = NULL;
    if (ExpTraces == NULL)
        ExpTraces = ExpAllocateBookkeeping(BUCKETS * sizeof(*ExpTraces));
    if (ExpTraces == NULL)
        return NULL;
    if (ExpFreedCount < FREED_LEAST)
        Trace = ExpAllocateBookkeeping(sizeof(POOL_TRACE));
    return Trace != NULL ? Trace : ExpOldestTrace();
}

// A trace for a block that is handed out: that of the block which was there before, or a new one.
static POOL_TRACE *ExpTraceFor(PVOID Block)
{
    POOL_TRACE *Trace = ExpFindTrace(Block);
    if (Trace != NULL) {
        if (Trace->Freed.Count != 0)
            ExpForgetFree(Trace);
        return Trace;
    }
    Trace = ExpNewTrace();
    if (Trace != NULL) {
        Trace->Block = (ULONG_PTR)Block;
        Trace->Next = *ExpTraceBucket((ULONG_PTR)Block);
        *ExpTraceBucket((ULONG_PTR)Block) = Trace;
    }
    return Trace;
}

// ---- what the pool calls -----------------------------------------------------------------------
// The stack from the caller on: the pool's own frames above it are left out.
static VOID ExpCaptureStack(POOL_STACK *Stack, ULONG_PTR Caller)
{
    ULONG_PTR Frames[FRAMES + OWN_FRAMES];
    ULONG Count = KdCaptureBacktrace(NULL, 0, Frames, RTL_NUMBER_OF(Frames)), First = 0;
    while (First < Count && Frames[First] != Caller)
        First++;
    Stack->Count = 0;
    if (First == Count)
        Stack->Frame[Stack->Count++] = Caller;
    for (; First < Count && Stack->Count < FRAMES; First++)
        Stack->Frame[Stack->Count++] = Frames[First];
}

VOID ExpTrack(PVOID Block, ULONG_PTR Caller)
{
    POOL_STACK Stack;
    ExpCaptureStack(&Stack, Caller);
    KIRQL OldIrql = KiAcquireLock(&ExpTraceLock);
    POOL_TRACE *Trace = ExpTraceFor(Block);
    if (Trace != NULL) {
        Trace->Allocated = Stack;
        Trace->Freed.Count = 0;
    }
    KiReleaseLock(&ExpTraceLock, OldIrql);
}

VOID ExpUntrack(PVOID Block, ULONG_PTR Caller)
{
    POOL_STACK Stack;
    ExpCaptureStack(&Stack, Caller);
    KIRQL OldIrql = KiAcquireLock(&ExpTraceLock);
    POOL_TRACE *Trace = ExpFindTrace(Block);
    if (Trace != NULL && Trace->Freed.Count == 0) {
        Trace->Freed = Stack;
        InsertTailList(&ExpFreedTraces, &Trace->FreedLink);
        ExpFreedCount++;
    }
    KiReleaseLock(&ExpTraceLock, OldIrql);
}

// ---- what is known -----------------------------------------------------------------------------
static VOID ExpSayStack(const POOL_STACK *Stack, ULONG First, POOL_SAY *Say)
{
    char Place[96];
    for (ULONG Index = First; Index < Stack->Count; Index++) {
        if (!KdSymbolize(Stack->Frame[Index], Place, sizeof(Place)))
            RtlFormat(Place, sizeof(Place), "%p", (PVOID)Stack->Frame[Index]);
        Say(Place);
    }
}

// A line for each frame below the first, which everybody knows without tracking.
VOID ExpSayTrace(PVOID Block, POOL_SAY *Say)
{
    const POOL_TRACE *Trace = ExpFindTrace(Block);
    if (Trace != NULL && Trace->Freed.Count == 0)
        ExpSayStack(&Trace->Allocated, 1, Say);
}

ULONG_PTR ExpAllocatorOf(PVOID Block)
{
    const POOL_TRACE *Trace = ExpFindTrace(Block);
    return Trace != NULL ? Trace->Allocated.Frame[0] : 0;
}

static VOID ExpLogFrame(const char *Place)
{
    KLOG("pool", "    %s", Place);
}

VOID ExpLogHistory(PVOID Block)
{
    const POOL_TRACE *Trace = ExpFindTrace(Block);
    if (Trace == NULL)
        return;
    KLOG("pool", "block %p was allocated by", Block);
    ExpSayStack(&Trace->Allocated, 0, ExpLogFrame);
    if (Trace->Freed.Count == 0)
        return;
    KLOG("pool", "and freed by");
    ExpSayStack(&Trace->Freed, 0, ExpLogFrame);
}
