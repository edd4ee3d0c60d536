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
//             pops, free pushes, and neither touches a line that another processor writes.
//             A block may be freed on any processor: it goes into that processor's cache.
//             A cell whose requests have to be looked at one by one, because a process is charged
//             for its blocks or its tag is watched, is trapped: instead of the cache it names a
//             stack without slots, always empty for whoever pops and full for whoever pushes. So
//             both end in the slow path, and the fast path asks nothing.
//   sequence  Pop and push take no lock and leave the IRQL alone: each ends in one instruction that
//             commits it, and whoever is interrupted before that starts again (amd64/poolfast.c,
//             i386/poolfast.S, kernel/ke/restart.c). So the fast path is the same at every IRQL up
//             to DISPATCH_LEVEL, and its check of the IRQL is a comparison with what the cache
//             says. The slow path and everything else that touches a cache runs at DISPATCH_LEVEL
//             on the cache's own processor, as a DPC if need be.
//   pages     Caches exchange up to 128 blocks at a time with the pages (poolpage.c), under the
//             class's lock. A page whose blocks are all back is kept for a while, then returned to
//             mm.
//   special   Requests that are watched, or one in so many, get a page of their own between
//             inaccessible ones (poolspecial.c, poolverify.c).
//   large     Requests over 2040 bytes take whole pages; the record is in the first page's
//             descriptor (poollarge.c).
//
// Sizes. Blocks are multiples of 16 bytes, chosen so that a page holds 1/n of itself n times with
// little left: none crosses a page (PL-21). As malloc on a host, where nobody is promised that, the
// same source has pages of 16 KiB and closer sizes (POOL_PAGE_SHIFT and what follows it). Behind a
// block's last byte lie eight guard bytes, which are compared at free (BC-30). A request of a page
// or more starts on a page (PL-22); its guard is in the rest of its last page, if there is one.
//
// Invariants. A record's Size is zero exactly while its block is free. A block is in one place:
// allocated, in one cache, or set in its page's FreeMap. Allocs - Frees, summed over all
// processors' cells, is the number of live blocks of the combination. ExValidatePool (poolcheck.c)
// proves these on a pool at rest.
//
// A free block's record names its last owner in a way that no tag matches (POOL_CELL_LIVE in
// poolp.h): the comparison that finds a wrong tag finds a double free.
//
// What can go wrong. Memory is used up: all processors' caches and all empty pages are given back
// (at DISPATCH_LEVEL nobody can wait for other processors': they follow a little later), then the
// request is tried once more, then answered with NULL (or raised where asked). More than 16 K
// combinations: the rest is counted under the tag "Ovfl", and their tags are not compared at free.
//
// Paged pool. No block is touched in a sequence or while the IRQL is raised here, so its pages may
// be anywhere: guards are written and compared outside.
//
// A write to a freed block is not found by the free build: it does not look at freed memory, and
// keeps nothing there that could be damaged. The checked build fills and compares; special pool and
// the pool guard stop at the touch.
//
// Observability. !pool, !poolused, !poolval, whatis; leak reports at unload;
// tests/host/test_pool.c, tests/guest/pool.c, tests/guest/poolrestart.c.
// docs/DRIVERS.md says which mistake is found by whom.
#include "poolp.h"

#define ALLOCATE_SOURCE "WDK, wdm.h: ExAllocatePoolWithTag"
#define FREE_SOURCE     "WDK, wdm.h: ExFreePoolWithTag"

// ---- a cache and what is behind it, at DISPATCH_LEVEL ------------------------------------------
// The cache behind a cell, trapped or not: the class's on this processor.
static POOL_CACHE *ExpCacheOf(USHORT Cell)
{
    const POOL_OWNER *Owner = ExpOwnerOf(Cell);
    return ExpCurrentProcessor()->Cache[Owner->Pool][Owner->Class];
}

static VOID ExpFillRecord(POOL_RECORD *Record, USHORT Cell, SIZE_T Bytes, ULONG_PTR Caller)
{
    ExpNoteCaller(Record, Caller);
    Record->Cell = Cell;
    Record->Size = (USHORT)Bytes;
}

// NULL: there is no memory.
static PVOID ExpPopOrRefill(USHORT Cell, SIZE_T Bytes, ULONG_PTR Caller)
{
    const POOL_OWNER *Owner = ExpOwnerOf(Cell);
    POOL_CACHE *Cache = ExpCacheOf(Cell);
    if (Cache->Top == 0) {
        if (!ExpRefill(&ExpPool[Owner->Pool], Owner->Class, Cache))
            return NULL;
        if (POOL_PEAKS)
            ExpNotePeak(Cell);
    }
    Cache->Top -= (LONG_PTR)sizeof(POOL_SLOT);
    const POOL_SLOT *Slot = ExpSlot(Cache, Cache->Top);
    ExpFillRecord(Slot->Record, Cell, Bytes, Caller);
    ExpCountDown(&ExpCellHere(Cell)->Left);
    return Slot->Block;
}

static VOID ExpPushSlot(USHORT Cell, PVOID Block, POOL_RECORD *Record)
{
    const POOL_OWNER *Owner = ExpOwnerOf(Cell);
    POOL_CACHE *Cache = ExpCacheOf(Cell);
    ULONG Half = ExpCached(Cache) / 2;
    if (Cache->Top == Cache->Limit)
        ExpFlush(&ExpPool[Owner->Pool], Owner->Class, Cache,
                 Half < POOL_CACHE_BATCH ? Half : POOL_CACHE_BATCH);
    *ExpSlot(Cache, Cache->Top) = (POOL_SLOT){Block, Record};
    Cache->Top += (LONG_PTR)sizeof(POOL_SLOT);
}

VOID ExpPushOrFlush(PVOID Block, POOL_RECORD *Record, ULONG_PTR Caller)
{
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    USHORT Cell = Record->Cell | POOL_CELL_LIVE;  // the fast path may have marked it free
    ExpNoteCaller(Record, Caller);
    ExpMarkFree(Record);
    if (ExpTracking)
        ExpUntrack(Block, Caller);
    ExpCountUp(&ExpCellHere(Cell)->Frees);
    ExpReturnCharge(ExpOwnerOf(Cell), ExpOwnerOf(Cell)->Size);
    ExpPushSlot(Cell, Block, Record);
    KiLowerIrql(OldIrql);
}

VOID ExpPutBack(USHORT Cell, PVOID Block, POOL_RECORD *Record)
{
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    ExpPushSlot(Cell, Block, Record);
    ExpCountUp(&ExpCellHere(Cell)->Left);
    KiLowerIrql(OldIrql);
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
    if (OldIrql < DISPATCH_LEVEL)
        ExpAwaitTrims();
}

// A cell whose period ends gets the next one. TRUE: the allocation at hand is a sample.
static BOOLEAN ExpRenewPeriod(USHORT Place)
{
    POOL_CELL *Cell = ExpCellHere(Place);
    POOL_CELL_REST *Rest = ExpRestOf(ExpCurrentProcessor(), Place);
    if ((LONG_PTR)Cell->Left > 1)
        return FALSE;
    ULONG_PTR Period = ExpSamplePeriod();
    ExpWriteShared(Rest->Granted, Rest->Granted + Period);
    ExpStore(Cell->Left, Cell->Left + Period);
    return ExpIsSampling();
}

static PVOID ExpAllocateFromCell(const POOL_REQUEST *Request, USHORT Place)
{
    BOOLEAN Sample = ExpRenewPeriod(Place);
    if (__builtin_expect((Sample || ExpWantsSpecial(Request)) && Request->Bytes < PAGE_SIZE, 0)) {
        PVOID Special = ExpAllocateSpecial(Request, Place);
        if (Special != NULL)
            return Special;
    }
    return ExpOwnerOf(Place)->Class == POOL_CLASS_LARGE
               ? ExpAllocateLarge(Place, Request->Bytes, Request->Caller)
               : ExpPopOrRefill(Place, Request->Bytes, Request->Caller);
}

static PVOID ExpTryAllocate(const POOL_REQUEST *Request, ULONG Class)
{
    USHORT Cell = ExpFindCell(Request->Tag, ExpPoolOfType(Request->Type), Class, Request->Process);
    if (Cell == 0)
        return NULL;
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    PVOID Block = ExpAllocateFromCell(Request, Cell);
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
        *ExpGuardOf(Block, Request->Bytes) = ExpGuardFor(Block);
    return Block;
}

// Session pool is refused: there is no session space, as in any process outside a session.
static BOOLEAN ExpIsRefused(const POOL_REQUEST *Request)
{
    return (Request->Type & POOL_SESSION) ||
           ExFailsOnPurpose(Request->Caller, Request->Bytes, Request->Tag) ||
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
        ExpTrack(Block, Request);
    if (Block != NULL && (Request->Type & POOL_ZERO_ALLOCATION))
        RtlZeroMemory(Block, Request->Bytes);
    return Block;
}

PVOID ExpAllocateSlow(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag, ULONG_PTR Caller)
{
    POOL_REQUEST Request = {.Type = Type, .Bytes = Bytes, .Tag = Tag, .Priority = HighPoolPriority,
                            .Caller = Caller};
    PVOID Block = ExpAllocate(&Request);
    if (Block == NULL && (Type & POOL_RAISE_IF_ALLOCATION_FAILURE))
        RtlRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
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
EXPORT(ExAllocatePoolWithTag, DISPATCH_LEVEL, ALLOCATE_SOURCE);

// ---- free --------------------------------------------------------------------------------------
static VOID ExpCheckFreeIrql(PVOID P, const POOL *Pool, ULONG_PTR Caller)
{
    KIRQL Irql = KiGetIrql();
    if (Irql > DISPATCH_LEVEL || (Irql == DISPATCH_LEVEL && Pool->Type == PagedPool))
        ExpReportFreeIrql(P, Pool->Type, Irql, Caller);
}

static VOID ExpFreeSmall(POOL_PAGE *Page, PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    ULONG Index = POOL_OFFSET(P) / Page->BlockSize;
    POOL_RECORD *Record = &Page->Records[Index];
    if (Index >= Page->BlockCount || POOL_OFFSET(P) % Page->BlockSize != 0 || Record->Size == 0)
        ExpReportBadPointer(P, Caller);
    const POOL_OWNER *Owner = ExpOwnerOf(Record->Cell);
    ULONG_PTR AllocatedBy = ExpExpandCaller(ExpNotedCaller(Record));
    if (!ExpTagMatches(Owner, Tag))
        ExpReportTag(P, Owner, Tag, AllocatedBy, Caller);
    if (*ExpGuardOf(P, Record->Size) != ExpGuardFor(P))
        ExpReportOverrun(P, Record->Size, Owner, AllocatedBy, Caller);
    KeCheckFreedMemory(P, Page->BlockSize);
    ExpFillFreed(P, Page->BlockSize);
    ExpPushOrFlush(P, Record, Caller);
}

// Everything that the fast path does not: large blocks, and naming what is wrong.
VOID ExpFreeSlow(PVOID P, ULONG Tag, ULONG_PTR Caller)
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
    if (Page->State == PoolPageLarge && POOL_OFFSET(P) == 0)
        ExpFreeLarge(Pool, Page, P, Tag, Caller);
    else if (Page->State == PoolPageSmall)
        ExpFreeSmall(Page, P, Tag, Caller);
    else
        ExpReportBadPointer(P, Caller);
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
EXPORT(ExFreePoolWithTag, DISPATCH_LEVEL, FREE_SOURCE);

/*
 * ExFreePool: gives a block back, whatever its tag.
 *
 * IRQL, Fails: as ExFreePoolWithTag.
 * Source: WDK, wdm.h: ExFreePool.
 */
EXPORT(ExFreePool, DISPATCH_LEVEL, "WDK, wdm.h: ExFreePool");

/*
 * ExFreePool2: as ExFreePoolWithTag. The extended parameters serve secure pool only, which nobody
 * can have got here; none is looked at.
 *
 * IRQL, Fails: as ExFreePoolWithTag.
 * Source: WDK, wdm.h: ExFreePool2.
 */
EXPORT(ExFreePool2, DISPATCH_LEVEL, "WDK, wdm.h: ExFreePool2");
