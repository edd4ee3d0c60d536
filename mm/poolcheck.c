// SPDX-License-Identifier: MIT
// The pool's validator: proves the invariants of mm/pool.c on a pool at rest.
//
// It sees that descriptors, records, caches and counters agree with each other. It cannot see that
// the driver to which a block belongs still wants it, or that a block's content is what its owner
// wrote.
//
// Observability: !poolval.
#include "poolp.h"

static ULONG ExpBitCount(const ULONG64 *Map)
{
    ULONG Count = 0;
    for (ULONG Word = 0; Word < POOL_MAP_WORDS; Word++)
        for (ULONG64 Rest = Map[Word]; Rest != 0; Rest &= Rest - 1)
            Count++;
    return Count;
}

static const char *ExpCheckSmallPage(const POOL *Pool, const POOL_PAGE *Page, SIZE_T *Live,
                                     SIZE_T *Loose)
{
    if (Page->Class >= POOL_CLASSES || Page->BlockSize != ExpClassSize[Page->Class])
        return "a page's class and block size disagree";
    if (ExpBitCount(Page->FreeMap) != Page->FreeCount)
        return "a page's free count and free map disagree";
    if (Page->Listed != (Page->FreeCount != 0))
        return "a page with free blocks is not in its class's list, or one without is";
    for (ULONG Index = 0; Index < Page->BlockCount; Index++) {
        BOOLEAN Free = (Page->FreeMap[Index / 64] >> (Index % 64)) & 1;
        if (Free && Page->Records[Index].Size != 0)
            return "an allocated block is in its page's free map";
        if (Page->Records[Index].Size > Page->BlockSize)
            return "a block is larger than its class";
        if (Page->Records[Index].Cell >= ExpCellEnd)
            return "a block belongs to a cell that does not exist";
        if ((Page->Records[Index].Size != 0) != (Page->Records[Index].Cell & POOL_CELL_LIVE))
            return "a block's owner does not say whether it is free";
        *Live += Page->Records[Index].Size != 0;
        *Loose += !Free && Page->Records[Index].Size == 0;
    }
    return NULL;
}

static const char *ExpCheckList(const POOL *Pool, const POOL_CLASS *Class)
{
    ULONG Previous = 0, Empty = 0;
    for (ULONG Number = Class->First; Number != 0; Number = ExpPageOfNumber(Pool, Number)->Next) {
        const POOL_PAGE *Page = ExpPageOfNumber(Pool, Number);
        if (Page->Previous != Previous || Page->Class != Class - Pool->Class)
            return "a class's list of pages is damaged";
        Empty += Page->FreeCount == Page->BlockCount;
        Previous = Number;
    }
    if (Class->Last != Previous || Class->EmptyPages != Empty)
        return "a class's counts disagree with its list";
    return NULL;
}

// Blocks in all processors' caches of a pool; each has to be free.
static const char *ExpCheckCaches(const POOL *Pool, SIZE_T *Cached)
{
    for (ULONG Number = 0; Number < POOL_PROCESSORS; Number++)
        for (ULONG Class = 0; ExpPoolProcessor[Number] != NULL && Class < POOL_CLASSES; Class++) {
            POOL_CACHE *Cache = ExpPoolProcessor[Number]->Cache[Pool - ExpPool][Class];
            for (ULONG Index = 0; Cache != NULL && Index < ExpCached(Cache); Index++)
                if (Cache->Slot[Index].Record->Size != 0)
                    return "an allocated block is in a cache";
            *Cached += Cache != NULL ? ExpCached(Cache) : 0;
        }
    return NULL;
}

static SIZE_T ExpLiveOfCell(ULONG Place)
{
    SIZE_T Live = 0;
    for (ULONG Number = 0; Number < POOL_PROCESSORS; Number++)
        if (ExpPoolProcessor[Number] != NULL)
            Live += (SIZE_T)ExpAllocsOf(ExpPoolProcessor[Number], Place)
                  - ExpCellAt(ExpPoolProcessor[Number]->Cells, Place)->Frees;
    return Live;
}

static SIZE_T ExpPagesInRuns(const POOL *Pool)
{
    SIZE_T Pages = 0;
    for (ULONG Number = 0; Number < POOL_PROCESSORS; Number++)
        for (ULONG Run = 0; ExpPoolProcessor[Number] != NULL && Run < POOL_RUN_PAGES; Run++)
            Pages += (Run + 1) * ExpPoolProcessor[Number]->Runs[Pool - ExpPool][Run].Count;
    return Pages;
}

static SIZE_T ExpLiveByCells(const POOL *Pool)
{
    SIZE_T Live = 0;
    for (ULONG Place = POOL_CELL_FIRST; Place < ExpCellEnd; Place += POOL_CELL_STEP)
        if (ExpOwnerOf(Place)->Pool == Pool - ExpPool)
            Live += ExpLiveOfCell(Place);
    return Live;
}

static const char *ExpCheckPool(const POOL *Pool)
{
    SIZE_T Live = 0, Loose = 0, Cached = 0, Pages = 0;
    const char *Wrong = NULL;
    for (ULONG_PTR Offset = 0; Offset < Pool->Limit && Wrong == NULL; Offset += POOL_PAGE_SIZE) {
        const POOL_PAGE *Page = ExpPageOfOffset(Pool, Offset);
        Pages += Page->State == PoolPageSmall ? 1 : Page->State == PoolPageLarge ? Page->Pages : 0;
        Live += Page->State == PoolPageLarge;
        if ((Page->Reciprocal != 0) != (Page->State == PoolPageSmall))
            return "a page's state and reciprocal disagree";
        if (Page->State == PoolPageSmall)
            Wrong = ExpCheckSmallPage(Pool, Page, &Live, &Loose);
    }
    for (ULONG Class = 0; Class < POOL_CLASSES && Wrong == NULL; Class++)
        Wrong = ExpCheckList(Pool, &Pool->Class[Class]);
    if (Wrong == NULL)
        Wrong = ExpCheckCaches(Pool, &Cached);
    if (Wrong == NULL && Loose != Cached)
        Wrong = "free blocks are lost, or in two places";
    if (Wrong == NULL && Pages + Pool->SpareCount + ExpPagesInRuns(Pool) != Pool->PageCount)
        Wrong = "the page count is wrong";
    if (Wrong == NULL && Live + ExpSpecialLive[Pool - ExpPool] != ExpLiveByCells(Pool))
        Wrong = "the tags' counters do not add up to the live blocks";
    return Wrong;
}

const char *ExValidatePool(VOID)
{
    const char *Wrong = NULL;
    for (ULONG Index = 0; Index < PoolCount && Wrong == NULL; Index++)
        Wrong = ExpCheckPool(&ExpPool[Index]);
    return Wrong;
}

// Allocations and frees since start.
static ULONG64 ExpCountCalls(VOID)
{
    EX_POOL_TAG Use;
    ULONG64 Calls = 0;
    for (ULONG Number = 0; ExQueryPoolTag(Number, &Use); Number++)
        Calls += Use.NonPagedAllocs + Use.NonPagedFrees + Use.PagedAllocs + Use.PagedFrees;
    return Calls;
}

// What looks wrong may be a call on another processor that is half done: whether there are calls is
// seen a little later.
static BOOLEAN ExpValidateCommand(const char *Arguments)
{
    LARGE_INTEGER While = {.QuadPart = -500000};  // 50 ms
    ULONG64 Before = ExpCountCalls();
    const char *Wrong = ExValidatePool();
    if (Wrong != NULL) {
        KeDelayExecutionThread(KernelMode, FALSE, &While);
        Wrong = ExValidatePool();
    }
    if (Wrong == NULL)
        KdPrintf("The pools are in order.\n");
    else if (ExpCountCalls() != Before)
        KdPrintf("The pools are in use; this can be said of pools at rest only.\n");
    else
        KdPrintf("not in order: %s\n", Wrong);
    return TRUE;
}
KD_COMMAND(poolval, "!poolval",
           "!poolval: compares the pools' pages, caches and counters; of use when they are at rest",
           ExpValidateCommand, 0);

// ---- freed memory, checked build ---------------------------------------------------------------
// A free block holds this byte until it is used again; a difference is a write after the free.
#if DBG
#define POOL_FREED 0xFE

VOID ExpFillFreed(PVOID P, SIZE_T Bytes)
{
    memset(P, POOL_FREED, Bytes);
}

VOID ExpCheckFreed(PVOID P, SIZE_T Bytes)
{
    UCHAR *Byte = P;
    for (SIZE_T Index = 0; Index < Bytes; Index++)
        if (Byte[Index] != POOL_FREED)
            ExpReportFreedWrite(P, &Byte[Index]);
}
#endif
