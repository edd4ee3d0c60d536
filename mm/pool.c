// SPDX-License-Identifier: MIT
// The pools: ExAllocatePoolWithTag, ExFreePoolWithTag and their kin.
//
// Problem. Drivers allocate and free small blocks all day, at IRQLs up to DISPATCH_LEVEL, on every
// processor, and name the owner of each block by a tag. They also make mistakes: they write past
// the end, free twice, free with another's tag, free what never was a block. The first must cost
// next to nothing; each of the second must end in a bugcheck that says who did it.
//
// Idea. Nothing of the allocator's own lies in or beside a block. What is known of a block is an
// 8-byte record (call site, owner, size) in the bookkeeping region, and a page of small blocks
// holds blocks of one class only. So the way from an address to its record is arithmetic: page
// number -> descriptor -> reciprocal of the block size -> record. An overrun meets other blocks or
// an unmapped page, never the allocator's state.
//
//   cell      The fast path needs three things of a request: which blocks serve it, whom to count
//             it for, and whether it is legal at all. A cell answers all three. It stands for one
//             combination of tag, pool type and size class, is found by hashing the arguments as
//             they come, and exists only if the combination passed every check once. It holds the
//             two counters of that combination (bytes in use follow: every block of a class has the
//             same size) and the way to the cache. Every processor has its own array of cells with
//             the same identities in them.
//   cache     A stack of up to 508 free blocks of a pool and class, one a processor. Allocation
//             pops, free pushes; both run at DISPATCH_LEVEL and touch no line that another
//             processor writes.
//             A block may be freed on any processor: it goes into that processor's cache.
//             A cell whose frees have to be looked at one by one, because a process is charged for
//             its blocks, is trapped: instead of the cache it names a stack of one slot, which is
//             always empty for whoever pops and full as soon as something is pushed. So both end in
//             the slow path, and the fast path asks nothing.
//   pages     Caches exchange 64 blocks at a time with the pages (poolpage.c), under the class's
//             lock. A page whose blocks are all back is kept for a while, then returned to mm.
//   special   Requests that are watched, or one in so many, get a page of their own between
//             inaccessible ones (poolspecial.c, poolverify.c).
//   large     Requests over 2048 bytes take whole pages; the record is in the first page's
//             descriptor.
//
// Sizes. Blocks are multiples of 16 bytes, chosen so that a page holds 1/n of itself n times with
// little left: none crosses a page (PL-21). Behind a block's last byte lie eight guard bytes, which
// are compared at free (BC-30). A request of a page or more starts on a page (PL-22); its guard is
// in the rest of its last page, if there is one.
//
// Invariants. A record's Size is zero exactly while its block is free. A block is in one place:
// allocated, in one cache, or set in its page's FreeMap. Allocs - Frees, summed over all
// processors' cells, is the number of live blocks of the combination. ExValidatePool (poolcheck.c)
// proves these on a pool at rest.
//
// What can go wrong. Memory is used up: the caller's caches and all empty pages are given back and
// the request is tried once more, then answered with NULL (or raised where asked). More than 64 K
// combinations: the rest is counted under the tag "Ovfl", and their tags are not compared at free.
//
// Paged pool. No block is touched while the IRQL is raised here, so its pages may be anywhere:
// guards are written after lowering and compared before raising.
//
// Observability. !pool, !poolused, whatis; leak reports at unload; tests/host/test_pool.c,
// tests/guest/pool.c. Checked build: freed blocks are filled, and looked at when they are used
// again.
#include "poolp.h"

// Leaf routines that must stay short do without a frame where every call they make is a jump: with
// arguments in registers. A backtrace misses nothing then.
#if defined(__x86_64__) && !defined(__clang__)
#define POOL_HOT __attribute__((optimize("omit-frame-pointer", "optimize-sibling-calls"), hot))
#else
#define POOL_HOT __attribute__((hot))
#endif

#define ALLOCATE_SOURCE "WDK, wdm.h: ExAllocatePoolWithTag"
#define FREE_SOURCE     "WDK, wdm.h: ExFreePoolWithTag"

FORCEINLINE POOL_CELL *ExpCells(VOID)
{
    return KiReadPoolProcessor();
}

POOL *ExpPoolOfAddress(ULONG_PTR Address)
{
    for (ULONG Index = 0; Index < PoolCount; Index++)
        if (Address - ExpPool[Index].Base < ExpLoad(ExpPool[Index].Limit))
            return &ExpPool[Index];
    return NULL;
}

// ---- guards ------------------------------------------------------------------------------------
typedef ULONG64 __attribute__((aligned(1), may_alias)) POOL_GUARD_WORD;

FORCEINLINE POOL_GUARD_WORD *ExpGuardOf(PVOID Block, SIZE_T Bytes)
{
    return (POOL_GUARD_WORD *)((ULONG_PTR)Block + Bytes);
}

C_ASSERT(sizeof(POOL_GUARD_WORD) == POOL_GUARD);

// A block of whole pages has a guard when its last page has room for it.
static BOOLEAN ExpIsLargeGuarded(SIZE_T Bytes)
{
    return BYTE_OFFSET(Bytes + POOL_GUARD - 1) >= POOL_GUARD;
}

// ---- cache operations, at DISPATCH_LEVEL -------------------------------------------------------
// A block from the cell's cache, counted and recorded. NULL: the cache is empty, or this is the
// allocation that the slow path is to look at.
FORCEINLINE PVOID ExpPop(POOL_CELL *Cell, POOL_CACHE *Cache, SIZE_T Bytes, ULONG_PTR Caller)
{
    LONG_PTR Top = Cache->Top - (LONG_PTR)sizeof(POOL_SLOT);
    if (__builtin_expect(Top < 0, 0))
        return NULL;
    if (__builtin_expect(ExpCountDown(&Cell->Left), 0))
        return NULL;
    Cache->Top = Top;
    POOL_RECORD *Record = ExpSlot(Cache, Top)->Record;
    Record->Caller = (ULONG)Caller;
    *(volatile USHORT *)&Record->Cell = Cell->Index;   // volatile: two stores cost less than
    *(volatile USHORT *)&Record->Size = (USHORT)Bytes; // putting them together for one
    PVOID Block = ExpSlot(Cache, Top)->Block;
    if (Block == NULL)
        __builtin_unreachable();
    return Block;
}

// TRUE: the cache is full now and has to be flushed before its next use.
FORCEINLINE BOOLEAN ExpPush(POOL_CELL *Cell, PVOID Block, POOL_RECORD *Record, ULONG_PTR Caller)
{
    POOL_CACHE *Cache = Cell->Cache;
    LONG_PTR Top = Cache->Top;
    ExpCountUp(&Cell->Frees);
    Record->Caller = (ULONG)Caller;
    *(volatile USHORT *)&Record->Size = 0;
    ExpSlot(Cache, Top)->Block = Block;
    ExpSlot(Cache, Top)->Record = Record;
    Top += sizeof(POOL_SLOT);
    Cache->Top = Top;
    return Top == Cache->Limit;
}

// The cache behind a cell, trapped or not: the class's on this processor.
FORCEINLINE POOL_CACHE *ExpCacheOf(const POOL_CELL *Cell)
{
    return ExpPoolProcessor[KeGetCurrentPrcb()->ProcessorNumber]->Cache[Cell->Pool][Cell->Class];
}

static VOID ExpFlushHalf(POOL_CELL *Cell, POOL_CACHE *Cache)
{
    ULONG Half = ExpCached(Cache) / 2;
    ExpFlush(&ExpPool[Cell->Pool], Cell->Class, Cache,
             Half < POOL_CACHE_BATCH ? Half : POOL_CACHE_BATCH);
}

// A block of a trapped cell was freed: it lies in the trap and belongs into the class's cache.
static VOID ExpEmptyTrap(POOL_CELL *Cell, POOL_CACHE *Trap)
{
    POOL_CACHE *Cache = ExpCacheOf(Cell);
    Trap->Top = 0;
    if (ExpTracking)
        ExpUntrack(Trap->Slot[0].Block);
    *ExpSlot(Cache, Cache->Top) = Trap->Slot[0];
    Cache->Top += sizeof(POOL_SLOT);
    if (Cache->Top == Cache->Limit)
        ExpFlushHalf(Cell, Cache);
    ExpReturnCharge(Cell, Cell->Size);
}

static VOID ExpFlushFull(POOL_CELL *Cell)
{
    if (ExpIsTrapped(Cell))
        ExpEmptyTrap(Cell, Cell->Cache);
    else
        ExpFlushHalf(Cell, Cell->Cache);
}

// ---- allocation --------------------------------------------------------------------------------
POOL_INDEX ExpPoolOfType(POOL_TYPE Type)
{
    if (Type & PagedPool)
        return PoolPaged;
    return Type & POOL_NX_ALLOCATION ? PoolNonPagedNx : PoolNonPagedExecute;
}

// The class of a legal request. Cache-aligned blocks take a class of whole cache lines: its blocks
// start on a line and share none.
ULONG ExpClassOfRequest(POOL_TYPE Type, SIZE_T Bytes)
{
    if (Bytes > POOL_SMALL_LIMIT)
        return POOL_CLASS_LARGE;
    ULONG Class = ExpClassOfSize[(Bytes - 1) / POOL_SIZE_UNIT];
    if (Type & NonPagedPoolCacheAligned)
        while (ExpClassSize[Class] % 64 != 0)
            Class++;
    return Class;
}

static VOID (*ExpReclaimHolder)(VOID);

VOID ExRegisterPoolReclaim(VOID (*Routine)(VOID))
{
    ExpReclaimHolder = Routine;
}

VOID ExReclaimPool(VOID)
{
    if (ExpReclaimHolder != NULL)
        ExpReclaimHolder();
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    for (ULONG Index = 0; Index < PoolCount; Index++)
        ExpReclaim(&ExpPool[Index]);
    KiLowerIrql(OldIrql);
}

static PVOID ExpPopOrRefill(POOL_CELL *Cell, SIZE_T Bytes, ULONG_PTR Caller)
{
    POOL *Pool = &ExpPool[Cell->Pool];
    POOL_CACHE *Cache = ExpCacheOf(Cell);
    PVOID Block = ExpPop(Cell, Cache, Bytes, Caller);
    if (Block == NULL && ExpRefill(Pool, Cell->Class, Cache)) {
        Block = ExpPop(Cell, Cache, Bytes, Caller);
        ExpNotePeak(Cell->Index);
    }
    return Block;
}

// A cell whose period ends gets the next one, in which the allocation at hand is counted again.
// TRUE: it is a sample.
static BOOLEAN ExpRenewPeriod(POOL_CELL *Cell)
{
    if (Cell->Left > 1)
        return FALSE;
    ULONG_PTR Period = ExpSamplePeriod();
    Cell->Granted += Period;
    ExpStore(Cell->Left, Period + 1);
    return ExpIsSampling();
}

static PVOID ExpAllocateFromCell(const POOL_REQUEST *Request, USHORT Index)
{
    POOL_CELL *Cell = ExpCells() + Index;
    SIZE_T Bytes = Request->Bytes;
    ULONG_PTR Caller = Request->Caller;
    BOOLEAN Sample = ExpRenewPeriod(Cell);
    if (__builtin_expect((Sample || ExpWantsSpecial(Request)) && Bytes < PAGE_SIZE, 0)) {
        PVOID Special = ExpAllocateSpecial(Request, Cell);
        if (Special != NULL)
            return Special;
    }
    if (Cell->Class != POOL_CLASS_LARGE)
        return ExpPopOrRefill(Cell, Bytes, Caller);
    PVOID Block = ExpAllocatePages(&ExpPool[Cell->Pool], Bytes, Index, Caller);
    if (Block != NULL) {
        ExpStore(Cell->Left, Cell->Left - 1);
        ExpStore(Cell->LargePages, Cell->LargePages + (ULONG)BYTES_TO_PAGES(Bytes));
        ExpNoteLargePeak(Cell);
    }
    return Block;
}

static PVOID ExpTryAllocate(const POOL_REQUEST *Request, ULONG Class)
{
    USHORT Index = ExpFindCell(Request->Tag, ExpPoolOfType(Request->Type), Class, Request->Process);
    if (Index == 0)
        return NULL;
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    PVOID Block = ExpAllocateFromCell(Request, Index);
    KiLowerIrql(OldIrql);
    return Block;
}

// A block as new: counted and guarded, its contents unspecified. Fails: NULL.
static PVOID ExpAllocateBlock(const POOL_REQUEST *Request)
{
    ULONG Class = ExpClassOfRequest(Request->Type, Request->Bytes);
    PVOID Block = ExpTryAllocate(Request, Class);
    if (Block == NULL) {
        ExReclaimPool();
        Block = ExpTryAllocate(Request, Class);
    }
    if (Block == NULL || ExpIsSpecial(Block))
        return Block;
    if (Class != POOL_CLASS_LARGE)
        ExpCheckFreed(Block, ExpClassSize[Class]);
    if (Class != POOL_CLASS_LARGE || ExpIsLargeGuarded(Request->Bytes))
        *ExpGuardOf(Block, Request->Bytes) = ExpGuard;
    return Block;
}

// Session pool is refused: there is no session space, as in any process outside a session.
static BOOLEAN ExpIsRefused(const POOL_REQUEST *Request)
{
    return (Request->Type & POOL_SESSION) || ExpFailsOnPurpose(Request) ||
           !ExpIsPlentyFor(&ExpPool[ExpPoolOfType(Request->Type)], Request);
}

// Everything that the fast path does not: all checks, all types, new cells, empty caches, large
// blocks.
PVOID ExpAllocate(POOL_REQUEST *Request)
{
    ExpCheckRequest(Request);
    if (Request->Bytes == 0) {
        __atomic_fetch_add(&ExpZeroByteRequests, 1, __ATOMIC_RELAXED);
        Request->Bytes = 1;
    }
    PVOID Block = ExpIsRefused(Request) ? NULL : ExpAllocateBlock(Request);
    if (Block == NULL)
        __atomic_fetch_add(&ExpPoolFailures, 1, __ATOMIC_RELAXED);
    if (Block != NULL && ExpTracking)
        ExpTrack(Block, Request->Caller);
    if (Block != NULL && (Request->Type & POOL_ZERO_ALLOCATION))
        RtlZeroMemory(Block, Request->Bytes);
    return Block;
}

static DECLSPEC_NOINLINE PVOID ExpAllocateSlow(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag,
                                               ULONG_PTR Caller)
{
    POOL_REQUEST Request = {.Type = Type, .Bytes = Bytes, .Tag = Tag, .Priority = HighPoolPriority,
                            .Caller = Caller};
    PVOID Block = ExpAllocate(&Request);
    if (Block == NULL && (Type & POOL_RAISE_IF_ALLOCATION_FAILURE))
        RtlRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
    return Block;
}

// The fast path at DISPATCH_LEVEL. NULL: the slow path is to see the request.
FORCEINLINE PVOID ExpAllocateFast(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag, ULONG_PTR Caller)
{
    ULONG Key = (ULONG)Type | ExpSizeKey[(Bytes - 1) / POOL_SIZE_UNIT];
    POOL_CELL *Cell = ExpCells() + ExpReadShared(ExpBucket[ExpBucketOf(Tag, Key)]);
    if (__builtin_expect(Cell->Tag != Tag || Cell->Key != Key, 0))
        return NULL;
    return ExpPop(Cell, Cell->Cache, Bytes, Caller);
}

// Small blocks above PASSIVE_LEVEL, and the way to the slow path.
static POOL_HOT DECLSPEC_NOINLINE PVOID ExpAllocateRaised(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag,
                                                          ULONG_PTR Caller)
{
    KIRQL OldIrql = KiGetIrql();
    PVOID Block = NULL;
    if (Bytes - 1 < POOL_SMALL_LIMIT &&
        OldIrql <= (Type & PagedPool ? APC_LEVEL : DISPATCH_LEVEL)) {
        KiSetIrql(DISPATCH_LEVEL);
        Block = ExpAllocateFast(Type, Bytes, Tag, Caller);
        KiLowerIrql(OldIrql);
    }
    if (__builtin_expect(Block == NULL, 0))
        return ExpAllocateSlow(Type, Bytes, Tag, Caller);
    ExpCheckFreed(Block, ExpClassSize[ExpClassOfSize[(Bytes - 1) / POOL_SIZE_UNIT]]);
    *ExpGuardOf(Block, Bytes) = ExpGuard;
    return Block;
}

/*
 * ExAllocatePoolWithTag: a block of NumberOfBytes bytes, contents unspecified, counted for Tag.
 *
 * PoolType: NonPagedPool (executable), PagedPool, NonPagedPoolNx or a cache-aligned form of these;
 *     with POOL_RAISE_IF_ALLOCATION_FAILURE, POOL_ZERO_ALLOCATION, POOL_COLD_ALLOCATION as wanted.
 * NumberOfBytes: a block under a page is 16-byte aligned and crosses no page, a larger one starts
 * on
 *     a page.
 * Tag: up to four characters, the first in the low byte.
 * IRQL: <= DISPATCH_LEVEL, paged pool <= APC_LEVEL.
 * Fails: NULL, or STATUS_INSUFFICIENT_RESOURCES raised where PoolType asks for it. Misuse is a
 *     bugcheck, 0xC2 (0x08 IRQL, 0x9A must succeed, 0x9B to 0x9D tag).
 * Source: WDK, wdm.h: ExAllocatePoolWithTag.
 */
POOL_HOT PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    if (__builtin_expect(NumberOfBytes - 1 >= POOL_SMALL_LIMIT || KiGetIrql() != PASSIVE_LEVEL, 0))
        return ExpAllocateRaised(PoolType, NumberOfBytes, Tag, KiReturnAddress());
    KiSetIrql(DISPATCH_LEVEL);
    PVOID Block = ExpAllocateFast(PoolType, NumberOfBytes, Tag, KiReturnAddress());
    KiLowerIrql(PASSIVE_LEVEL);
    if (__builtin_expect(Block == NULL, 0))
        return ExpAllocateSlow(PoolType, NumberOfBytes, Tag, KiReturnAddress());
    ExpCheckFreed(Block, ExpClassSize[ExpClassOfSize[(NumberOfBytes - 1) / POOL_SIZE_UNIT]]);
    *ExpGuardOf(Block, NumberOfBytes) = ExpGuard;
    return Block;
}
EXPORT(ExAllocatePoolWithTag, DISPATCH_LEVEL, ALLOCATE_SOURCE);

// ---- free --------------------------------------------------------------------------------------
static VOID ExpCheckFreeIrql(PVOID P, const POOL *Pool, ULONG_PTR Caller)
{
    KIRQL Irql = KiGetIrql();
    if (Irql > DISPATCH_LEVEL || (Irql == DISPATCH_LEVEL && Pool->Type == PagedPool))
        ExpReportFreeIrql(P, Pool->Type, Irql, Caller);
}

static VOID ExpFreeLarge(POOL *Pool, POOL_PAGE *Page, PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    const POOL_CELL *Owner = ExpPoolProcessor[0]->Cells + Page->Cell;
    if (!ExpTagMatches(Owner, Tag))
        ExpReportTag(P, Owner, Tag, Page->Caller, Caller);
    if (ExpIsLargeGuarded(Page->Bytes) && *ExpGuardOf(P, Page->Bytes) != ExpGuard)
        ExpReportOverrun(P, Page->Bytes, Owner, Page->Caller, Caller);
    KeCheckFreedMemory(P, Page->Bytes);
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    POOL_CELL *Cell = ExpCells() + Page->Cell;
    if (ExpTracking)
        ExpUntrack(P);
    ExpCountUp(&Cell->Frees);
    ExpStore(Cell->LargePages, Cell->LargePages - (ULONG)BYTES_TO_PAGES(Page->Bytes));
    ExpReturnCharge(Cell, ROUND_TO_PAGES(Page->Bytes));
    ExpFreePages(Pool, Page, Caller);
    KiLowerIrql(OldIrql);
}

static VOID ExpFreeSmall(POOL_PAGE *Page, PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    ULONG Index = BYTE_OFFSET(P) / Page->BlockSize;
    POOL_RECORD *Record = &Page->Records[Index];
    if (Index >= Page->BlockCount || BYTE_OFFSET(P) % Page->BlockSize != 0 || Record->Size == 0)
        ExpReportBadPointer(P, Caller);
    const POOL_CELL *Owner = ExpPoolProcessor[0]->Cells + Record->Cell;
    ULONG_PTR AllocatedBy = ExpExpandCaller(Record->Caller);
    if (!ExpTagMatches(Owner, Tag))
        ExpReportTag(P, Owner, Tag, AllocatedBy, Caller);
    if (*ExpGuardOf(P, Record->Size) != ExpGuard)
        ExpReportOverrun(P, Record->Size, Owner, AllocatedBy, Caller);
    KeCheckFreedMemory(P, Page->BlockSize);
    ExpFillFreed(P, Page->BlockSize);
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    POOL_CELL *Cell = ExpCells() + Record->Cell;
    if (ExpPush(Cell, P, Record, Caller))
        ExpFlushFull(Cell);
    KiLowerIrql(OldIrql);
}

// Everything that the fast path does not: large blocks, and naming what is wrong.
static DECLSPEC_NOINLINE VOID ExpFreeSlow(PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    if (ExpIsSpecial(P)) {
        ExpFreeSpecial(P, Tag, Caller);
        return;
    }
    POOL *Pool = ExpPoolOfAddress((ULONG_PTR)P);
    if (Pool == NULL)
        ExpReportBadPointer(P, Caller);
    POOL_PAGE *Page = ExpPageOfOffset(Pool, (ULONG_PTR)P - Pool->Base);
    ExpCheckFreeIrql(P, Pool, Caller);
    if (Page->State == PoolPageLarge && BYTE_OFFSET(P) == 0)
        ExpFreeLarge(Pool, Page, P, Tag, Caller);
    else if (Page->State == PoolPageSmall)
        ExpFreeSmall(Page, P, Tag, Caller);
    else
        ExpReportBadPointer(P, Caller);
}

// The record of a small block whose address, state and guard are in order; NULL: look closer.
FORCEINLINE POOL_RECORD *ExpRecordToFree(PVOID P)
{
    const POOL *Pool = &ExpPool[0];
    ULONG_PTR Offset = (ULONG_PTR)P - ExpPool[0].Base;
    if (Offset >= ExpReadShared(ExpPool[0].Limit)) {
        Pool = &ExpPool[1];
        Offset = (ULONG_PTR)P - ExpPool[1].Base;
        if (Offset >= ExpReadShared(ExpPool[1].Limit)) {
            Pool = &ExpPool[2];
            Offset = (ULONG_PTR)P - ExpPool[2].Base;
            if (__builtin_expect(Offset >= ExpReadShared(ExpPool[2].Limit), 0))
                return NULL;
        }
    }
    POOL_PAGE *Page = ExpPageOfOffset(Pool, Offset);
    ULONG Reciprocal = Page->Reciprocal;
    ULONG64 Product = (ULONG64)Reciprocal * (ULONG)(Offset & (PAGE_SIZE - 1));
    if (__builtin_expect((ULONG)Product >= Reciprocal, 0))  // not the start of a small block
        return NULL;
    POOL_RECORD *Record = &Page->Records[Product >> 32];
    ULONG Size = Record->Size;
    if (__builtin_expect(Size == 0 || *ExpGuardOf(P, Size) != ExpGuard, 0))
        return NULL;
    if (Record == NULL)
        __builtin_unreachable();
    return Record;
}

C_ASSERT(PoolCount == 3);

// The fast path's end: the cache was full. Its blocks make room, still at DISPATCH_LEVEL.
static DECLSPEC_NOINLINE VOID ExpFlushAndLower(POOL_CELL *Cell, KIRQL OldIrql)
{
    ExpFlushFull(Cell);
    KiLowerIrql(OldIrql);
}

// The checked build fills the block: once its tag has proved right, and before the IRQL is raised.
FORCEINLINE BOOLEAN ExpFillIfOwned(PVOID P, const POOL_RECORD *Record, ULONG Tag)
{
#if DBG
    const POOL_CELL *Owner = ExpPoolProcessor[0]->Cells + Record->Cell;
    if (!ExpTagMatches(Owner, Tag))
        return FALSE;
    KeCheckFreedMemory(P, Owner->Size);
    ExpFillFreed(P, Owner->Size);
#endif
    return TRUE;
}

// Above PASSIVE_LEVEL.
static POOL_HOT DECLSPEC_NOINLINE VOID ExpFreeRaised(PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    KIRQL OldIrql = KiGetIrql();
    POOL *Pool = ExpPoolOfAddress((ULONG_PTR)P);
    if (Pool == NULL || OldIrql > (Pool->Type == PagedPool ? APC_LEVEL : DISPATCH_LEVEL))
        return ExpFreeSlow(P, Tag, Caller);
    POOL_RECORD *Record = ExpRecordToFree(P);
    if (Record == NULL || !ExpTagMatches(ExpPoolProcessor[0]->Cells + Record->Cell, Tag) ||
        !ExpFillIfOwned(P, Record, Tag))
        return ExpFreeSlow(P, Tag, Caller);
    KiSetIrql(DISPATCH_LEVEL);
    POOL_CELL *Cell = ExpCells() + Record->Cell;
    if (ExpPush(Cell, P, Record, Caller))
        ExpFlushFull(Cell);
    KiLowerIrql(OldIrql);
}

FORCEINLINE VOID ExpFree(PVOID P, ULONG Tag, BOOLEAN AnyTag, ULONG_PTR Caller)
{
    if (__builtin_expect(KiGetIrql() != PASSIVE_LEVEL, 0))
        return ExpFreeRaised(P, Tag, Caller);
    POOL_RECORD *Record = ExpRecordToFree(P);
    if (__builtin_expect(Record == NULL || !ExpFillIfOwned(P, Record, Tag), 0))
        return ExpFreeSlow(P, Tag, Caller);
    KiSetIrql(DISPATCH_LEVEL);
    POOL_CELL *Cell = ExpCells() + Record->Cell;
    if (__builtin_expect(!DBG && !AnyTag && Cell->Tag != Tag, 0)) {
        KiLowerIrql(PASSIVE_LEVEL);
        return ExpFreeSlow(P, Tag, Caller);
    }
    if (__builtin_expect(ExpPush(Cell, P, Record, Caller), 0))
        return ExpFlushAndLower(Cell, PASSIVE_LEVEL);
    KiLowerIrql(PASSIVE_LEVEL);
}

/*
 * ExFreePoolWithTag: gives a block back. Tag has to be the one it was allocated with; 0 frees any.
 *
 * IRQL: <= DISPATCH_LEVEL, paged pool <= APC_LEVEL.
 * Fails: misuse is a bugcheck: 0xC2 (0x07 double free, 0x09 IRQL, 0x0A tag, 0x40 to 0x50 no pool
 * address,
 *     0x99 not the start of a block), 0x19 (0x21 bytes behind the block were changed).
 * Source: WDK, wdm.h: ExFreePoolWithTag.
 */
POOL_HOT VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    ExpFree(P, Tag, FALSE, KiReturnAddress());
}
EXPORT(ExFreePoolWithTag, DISPATCH_LEVEL, FREE_SOURCE);

/*
 * ExFreePool: gives a block back, whatever its tag.
 *
 * IRQL, Fails: as ExFreePoolWithTag.
 * Source: WDK, wdm.h: ExFreePool.
 */
POOL_HOT VOID NTAPI ExFreePool(PVOID P)
{
    ExpFree(P, 0, TRUE, KiReturnAddress());
}
EXPORT(ExFreePool, DISPATCH_LEVEL, "WDK, wdm.h: ExFreePool");

/*
 * ExFreePool2: as ExFreePoolWithTag. The extended parameters serve secure pool only, which nobody
 * can have got here; none is looked at.
 *
 * IRQL, Fails: as ExFreePoolWithTag.
 * Source: WDK, wdm.h: ExFreePool2.
 */
VOID NTAPI ExFreePool2(PVOID P, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                       ULONG ExtendedParametersCount)
{
    ExpFree(P, Tag, FALSE, KiReturnAddress());
}
EXPORT(ExFreePool2, DISPATCH_LEVEL, "WDK, wdm.h: ExFreePool2");
