// SPDX-License-Identifier: MIT
// The pool's large blocks: requests that take whole pages.
//
// Problem. A buffer of a page or a few is allocated and freed as often as a small one, and drivers
// expect it to cost no more. Address space, page tables and bookkeeping for each would cost
// thousands of instructions.
//
// Idea. What is known of a large block is in the descriptor of its first page; those of the further
// pages name that one. Each processor keeps a few free blocks of every length up to 16 pages, runs:
// mapped, described, the first descriptor marked as freed. A run is used again by writing that
// descriptor, whatever its length, without a lock.
//
//   fast      ExpAllocateRun and ExpFreeRun serve what passed all checks once: a cell exists for
//             the combination of tag and type, it is not trapped (no process is charged and nobody
//             watches, see mm/pool.c), a run is there, or room for one. Everything else takes
//   slow      ExpAllocateLarge and ExpFreeLarge, which know pools' pages (poolpage.c) as well.
//
// A length that was not used for a second goes back in ExTrimPool, all go in ExpReclaim, those of
// other processors by a DPC there.
//
// Invariants. A page in a run belongs to the pool: the sum of pages in blocks, runs, classes and
// spare ones is the pool's count (poolcheck.c). A tail's Head is right whether its block is free or
// not: who asks for the middle of a freed block hears of that block.
//
// Observability: as mm/pool.c. bench: pool-4096, pool-8192, pool-65536.
#include "poolp.h"

#if defined(__x86_64__) && !defined(__clang__)
#define POOL_HOT __attribute__((optimize("omit-frame-pointer", "optimize-sibling-calls"), hot))
#else
#define POOL_HOT __attribute__((hot))
#endif

FORCEINLINE BOOLEAN ExpIsGuardIntact(PVOID P, SIZE_T Bytes)
{
    return !ExpIsLargeGuarded(Bytes) || *ExpGuardOf(P, Bytes) == ExpGuardFor(P);
}

// ---- runs, at DISPATCH_LEVEL -------------------------------------------------------------------
FORCEINLINE POOL_RUNS *ExpRunsOf(POOL_PROCESSOR *Processor, ULONG Pool, SIZE_T Pages)
{
    return &Processor->Runs[Pool][Pages - 1];
}

// How many of a length are kept: of the short ones more.
static const UCHAR ExpRunLimit[POOL_RUN_PAGES] = {7, 7, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};

C_ASSERT(POOL_RUN_DEPTH >= 7);

FORCEINLINE POOL_PAGE *ExpPopRun(POOL_RUNS *Runs)
{
    if (Runs->Count == 0)
        return NULL;
    return Runs->First[--Runs->Count];
}

FORCEINLINE BOOLEAN ExpPushRun(POOL_RUNS *Runs, POOL_PAGE *Page, SIZE_T Pages)
{
    if (Runs->Count >= ExpRunLimit[Pages - 1])
        return FALSE;
    Runs->First[Runs->Count++] = Page;
    Runs->Used = TRUE;
    return TRUE;
}

// Pages that were a block lose that mark and leave.
static VOID ExpReleaseRun(POOL *Pool, POOL_PAGE *Page, SIZE_T Pages)
{
    for (SIZE_T Tail = 1; Tail < Pages; Tail++)
        Page[Tail].State = PoolPageNone;
    ExpPutPages(Pool, Page, Pages);
}

VOID ExpReleaseRuns(POOL_PROCESSOR *Processor, POOL *Pool, BOOLEAN All)
{
    for (ULONG Pages = 1; Pages <= POOL_RUN_PAGES; Pages++) {
        POOL_RUNS *Runs = &Processor->Runs[Pool - ExpPool][Pages - 1];
        while (Runs->Count != 0 && (All || !Runs->Used))
            ExpReleaseRun(Pool, ExpPopRun(Runs), Pages);
        Runs->Used = FALSE;
    }
}

// ---- allocation --------------------------------------------------------------------------------
FORCEINLINE PVOID ExpStartLarge(POOL_PROCESSOR *Processor, POOL_OWNER *Owner, POOL_PAGE *Page,
                                SIZE_T Pages, SIZE_T Bytes, ULONG_PTR Caller)
{
    USHORT Cell = Owner->Place;
    POOL_CELL_REST *Rest = ExpRestOf(Processor, Cell);
    Page->Caller = Caller;
    Page->Cell = Cell;
    Page->Bytes = Bytes;
    Page->State = PoolPageLarge;
    ULONG Now = Rest->LargePages + (ULONG)Pages;
    ExpStore(Rest->LargePages, Now);
    if (__builtin_expect((LONG)(Now - ExpLoad(Owner->LargeHigh)) > 0, 0))
        ExpNoteLargePeak(Cell, Now);
    return (PVOID)ExpPageAddress(&ExpPool[Owner->Pool], Page);
}

// The cell on this processor, if it exists and is not trapped; its place. Or NULL.
FORCEINLINE POOL_CELL *ExpLargeCell(POOL_TYPE Type, ULONG Tag, USHORT *Place)
{
    ULONG64 Identity = ExpIdentity(Tag, (ULONG)Type | ExpClassKey[POOL_CLASS_LARGE]);
    *Place = ExpLoad(ExpBucket[ExpBucketOf(Identity)]);
    POOL_CELL *Cell = ExpCellHere(*Place);
    return Cell->Identity == Identity && Cell->Cache == NULL ? Cell : NULL;
}

FORCEINLINE PVOID ExpAllocateCachedRun(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag, ULONG_PTR Caller)
{
    USHORT Place;
    POOL_CELL *Cell = ExpLargeCell(Type, Tag, &Place);
    if (Cell == NULL)
        return NULL;
    POOL_OWNER *Owner = ExpOwnerOf(Place);
    POOL_PROCESSOR *Processor = ExpCurrentProcessor();
    SIZE_T Pages = (Bytes + POOL_PAGE_SIZE - 1) >> POOL_PAGE_SHIFT;
    POOL_RUNS *Runs = ExpRunsOf(Processor, Owner->Pool, Pages);
    if (Runs->Count == 0)
        return NULL;
    if (ExpCountDown(&Cell->Left)) {
        ExpCountUp(&Cell->Left);  // the slow path looks at this one, and counts it
        return NULL;
    }
    return ExpStartLarge(Processor, Owner, ExpPopRun(Runs), Pages, Bytes, Caller);
}

POOL_HOT PVOID ExpAllocateRun(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag, ULONG_PTR Caller)
{
    KIRQL OldIrql = KiGetIrql();
    if (Bytes > POOL_RUN_PAGES << POOL_PAGE_SHIFT ||
        OldIrql > (Type & PagedPool ? APC_LEVEL : DISPATCH_LEVEL))
        return ExpAllocateSlow(Type, Bytes, Tag, Caller);
    KiSetIrql(DISPATCH_LEVEL);
    PVOID Block = ExpAllocateCachedRun(Type, Bytes, Tag, Caller);
    KiLowerIrql(OldIrql);
    if (Block == NULL)
        return ExpAllocateSlow(Type, Bytes, Tag, Caller);
    if (ExpIsLargeGuarded(Bytes))
        *ExpGuardOf(Block, Bytes) = ExpGuardFor(Block);
    return Block;
}

// Pages that become a block, with descriptors that say so except for the first's State.
static POOL_PAGE *ExpMakeRun(POOL *Pool, SIZE_T Pages)
{
    POOL_PAGE *Page = ExpGetPages(Pool, Pages);
    for (SIZE_T Tail = 1; Page != NULL && Tail < Pages; Tail++) {
        Page[Tail].State = PoolPageLargeTail;
        Page[Tail].Head = ExpPageNumber(Pool, Page);
    }
    if (Page != NULL)
        Page->Pages = Pages;
    return Page;
}

PVOID ExpAllocateLarge(USHORT Cell, SIZE_T Bytes, ULONG_PTR Caller)
{
    POOL_PROCESSOR *Processor = ExpCurrentProcessor();
    POOL_OWNER *Owner = ExpOwnerOf(Cell);
    POOL *Pool = &ExpPool[Owner->Pool];
    SIZE_T Pages = POOL_PAGES_OF(Bytes);
    POOL_PAGE *Page =
        Pages <= POOL_RUN_PAGES ? ExpPopRun(ExpRunsOf(Processor, Owner->Pool, Pages)) : NULL;
    if (Page == NULL && Bytes <= Pool->Size)
        Page = ExpMakeRun(Pool, Pages);
    if (Page == NULL)
        return NULL;
    ExpCountDown(&ExpCellHere(Cell)->Left);
    return ExpStartLarge(Processor, Owner, Page, Pages, Bytes, Caller);
}

// ---- free --------------------------------------------------------------------------------------
FORCEINLINE VOID ExpEndLarge(POOL_PROCESSOR *Processor, POOL_PAGE *Page, ULONG_PTR Caller)
{
    USHORT Cell = Page->Cell;
    POOL_CELL_REST *Rest = ExpRestOf(Processor, Cell);
    ExpCountUp(&ExpCellAt(Processor->Cells, Cell)->Frees);
    ExpStore(Rest->LargePages, Rest->LargePages - (ULONG)Page->Pages);
    Page->Caller = Caller;
    Page->State = PoolPageLargeFreed;
}

FORCEINLINE BOOLEAN ExpFreeToRuns(ULONG Pool, POOL_PAGE *Page, ULONG_PTR Caller)
{
    POOL_PROCESSOR *Processor = ExpCurrentProcessor();
    SIZE_T Pages = Page->Pages;
    if (!ExpPushRun(ExpRunsOf(Processor, Pool, Pages), Page, Pages))
        return FALSE;
    ExpEndLarge(Processor, Page, Caller);
    return TRUE;
}

// A large block whose free is in order and of interest to nobody. FALSE: look closer. Whether a
// cell is trapped is the same on all processors.
FORCEINLINE BOOLEAN ExpIsPlainFree(const POOL_PAGE *Page, PVOID P, ULONG Tag)
{
    return Page->State == PoolPageLarge && POOL_OFFSET(P) == 0 && Page->Pages <= POOL_RUN_PAGES &&
           ExpCellHere(Page->Cell)->Cache == NULL && ExpTagMatches(ExpOwnerOf(Page->Cell), Tag) &&
           ExpIsGuardIntact(P, Page->Bytes);
}

FORCEINLINE BOOLEAN ExpFreeIfPlain(ULONG Index, PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    const POOL *Pool = &ExpPool[Index];
    POOL_PAGE *Page = ExpPageOfOffset(Pool, (ULONG_PTR)P - Pool->Base);
    KIRQL OldIrql = KiGetIrql();
    if (OldIrql > ExpTrap[Index].Irql || !ExpIsPlainFree(Page, P, Tag))
        return FALSE;
    KeCheckFreedMemory(P, Page->Bytes);
    KiSetIrql(DISPATCH_LEVEL);
    BOOLEAN Done = ExpFreeToRuns(Index, Page, Caller);
    KiLowerIrql(OldIrql);
    return Done;
}

POOL_HOT VOID ExpFreeRun(PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    for (ULONG Index = 0; Index < PoolCount; Index++)
        if ((ULONG_PTR)P - ExpPool[Index].Base < ExpLoad(ExpPool[Index].Limit)) {
            if (ExpFreeIfPlain(Index, P, Tag, Caller))
                return;
            break;
        }
    ExpFreeSlow(P, Tag, Caller);
}

VOID ExpFreeLarge(POOL *Pool, POOL_PAGE *Page, PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    const POOL_OWNER *Owner = ExpOwnerOf(Page->Cell);
    if (!ExpTagMatches(Owner, Tag))
        ExpReportTag(P, Owner, Tag, Page->Caller, Caller);
    if (!ExpIsGuardIntact(P, Page->Bytes))
        ExpReportOverrun(P, Page->Bytes, Owner, Page->Caller, Caller);
    KeCheckFreedMemory(P, Page->Bytes);
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    if (ExpTracking)
        ExpUntrack(P, Caller);
    ExpReturnCharge(Owner, Page->Pages << POOL_PAGE_SHIFT);
    if (Page->Pages > POOL_RUN_PAGES || !ExpFreeToRuns(Owner->Pool, Page, Caller)) {
        ExpEndLarge(ExpCurrentProcessor(), Page, Caller);
        ExpReleaseRun(Pool, Page, Page->Pages);
    }
    KiLowerIrql(OldIrql);
}
