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
// depends on it but the figures of its driver.
//
// A driver's figures (blocks and bytes now and at most, by pool; PL-110) are kept under its image's
// name, whoever else's code is on the stack, and outlive it.
//
// Locking: ExpTraceLock, at DISPATCH_LEVEL. Reports take no lock: they run when the driver is done,
// or nothing else runs any more. Observability: the lines below each leak, !pool, the log before a
// bugcheck; tests/system/test_pool.py, tests/system/test_pool_misuse.py.
#include "poolp.h"

#define BUCKETS      4096u
#define FRAMES       8u
#define OWN_FRAMES   8u     // at most of ours are above the caller's
#define FREED_LEAST  8192u  // so many freed blocks are remembered before a trace is reused
#define DRIVERS      32u    // of more than these the figures are not kept

typedef struct _POOL_STACK {
    ULONG Count;  // 0: nothing is known
    ULONG_PTR Frame[FRAMES];
} POOL_STACK;

typedef struct _POOL_TRACE {
    struct _POOL_TRACE *Next;   // in the bucket
    LIST_ENTRY FreedLink;       // while Freed.Count is not 0
    ULONG_PTR Block;
    SIZE_T Bytes;
    struct _POOL_DRIVER_USE *Use;  // of whom allocated it; NULL: no driver, or one too many
    POOL_STACK Allocated, Freed;
} POOL_TRACE;

// Of one pool.
typedef struct _POOL_DRIVER_USE {
    ULONG Blocks, MostBlocks;
    SIZE_T Bytes, MostBytes;
} POOL_DRIVER_USE;

typedef struct _POOL_DRIVER {
    char Name[32];  // of the image, as KdSymbolize has it
    POOL_DRIVER_USE NonPaged, Paged;
} POOL_DRIVER;

BOOLEAN ExpTracking;
static POOL_TRACE **ExpTraces;  // BUCKETS of them; NULL until the first is kept
static LIST_ENTRY ExpFreedTraces = {&ExpFreedTraces, &ExpFreedTraces};  // the oldest first
static ULONG ExpFreedCount;
static POOL_DRIVER ExpDrivers[DRIVERS];
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

static POOL_DRIVER *ExpDriverNamed(const char *Name, SIZE_T Length)
{
    for (ULONG Index = 0; Index < DRIVERS; Index++) {
        POOL_DRIVER *Driver = &ExpDrivers[Index];
        if (Driver->Name[0] == '\0')
            RtlFormat(Driver->Name, sizeof(Driver->Name), "%.*s", (int)Length, Name);
        if (strncmp(Driver->Name, Name, Length) == 0 && Driver->Name[Length] == '\0')
            return Driver;
    }
    return NULL;
}

// Place: "edu.sys+0x1234 EduStart+0x10".
static POOL_DRIVER_USE *ExpUseOf(const char *Place, POOL_TYPE Type)
{
    const char *End = strchr(Place, '+');
    SIZE_T Length = End != NULL ? (SIZE_T)(End - Place) : 0;
    POOL_DRIVER *Driver =
        Length != 0 && Length < sizeof(Driver->Name) ? ExpDriverNamed(Place, Length) : NULL;
    return Driver == NULL ? NULL : Type & PagedPool ? &Driver->Paged : &Driver->NonPaged;
}

static VOID ExpCharge(POOL_DRIVER_USE *Use, SIZE_T Bytes)
{
    if (Use == NULL)
        return;
    Use->Bytes += Bytes;
    if (++Use->Blocks > Use->MostBlocks)
        Use->MostBlocks = Use->Blocks;
    if (Use->Bytes > Use->MostBytes)
        Use->MostBytes = Use->Bytes;
}

static VOID ExpDischarge(POOL_TRACE *Trace)
{
    if (Trace->Use == NULL)
        return;
    Trace->Use->Blocks--;
    Trace->Use->Bytes -= Trace->Bytes;
    Trace->Use = NULL;
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

VOID ExpTrack(PVOID Block, const POOL_REQUEST *Request)
{
    POOL_STACK Stack;
    char Place[96] = "";
    ExpCaptureStack(&Stack, Request->Caller);
    if (MmIsDriverAddress(Request->Caller))
        KdSymbolize(Request->Caller, Place, sizeof(Place));
    KIRQL OldIrql = KiAcquireLock(&ExpTraceLock);
    POOL_TRACE *Trace = ExpTraceFor(Block);
    if (Trace != NULL) {
        Trace->Allocated = Stack;
        Trace->Freed.Count = 0;
        ExpDischarge(Trace);
        Trace->Bytes = Request->Bytes;
        Trace->Use = ExpUseOf(Place, Request->Type);
        ExpCharge(Trace->Use, Trace->Bytes);
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
        ExpDischarge(Trace);
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

VOID ExpPrintDrivers(VOID)
{
    KdPrintf("  Driver                Nonpaged (most)           bytes (most)"
             "     Paged (most)           bytes (most)\n");
    for (ULONG Index = 0; Index < DRIVERS && ExpDrivers[Index].Name[0] != '\0'; Index++) {
        const POOL_DRIVER *Driver = &ExpDrivers[Index];
        const POOL_DRIVER_USE *NonPaged = &Driver->NonPaged, *Paged = &Driver->Paged;
        KdPrintf("  %-20s %9u %6u %12llu %9llu %9u %6u %12llu %9llu\n", Driver->Name,
                 NonPaged->Blocks, NonPaged->MostBlocks, (ULONG64)NonPaged->Bytes,
                 (ULONG64)NonPaged->MostBytes, Paged->Blocks, Paged->MostBlocks,
                 (ULONG64)Paged->Bytes, (ULONG64)Paged->MostBytes);
    }
}
