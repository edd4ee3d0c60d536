// SPDX-License-Identifier: MIT
// The pool's pages: where caches get blocks from and where blocks go back to.
//
// Problem. Turn pages into blocks of one size and back, quickly in batches, on any processor,
// without a word of bookkeeping in the pages themselves, and without keeping a burst's pages for
// ever.
//
// Idea. Every page of a pool's region has a descriptor at a computed place. A small page's
// descriptor holds a bit for each block that is neither allocated nor in a cache. A class links the
// pages that have such blocks by page number. A batch is taken or given under the class's lock:
// up to 128 blocks for one lock.
//
// Empty pages stay in the list, behind all others, so that a batch freed and allocated again does
// not go through the memory manager; more of a pool than a 64th of RAM are returned at once, and
// half of the rest every second (ExTrimPool), caches that nobody used included, those of other
// processors by a DPC there. Single pages come
// from mm in batches and wait as spare ones, of which the same holds. ExpReclaim
// returns all when memory is short.
//
// Descriptors and records go back too: mm/poolbook.c.
#include "poolp.h"

POOL ExpPool[PoolCount] = {
    [PoolNonPagedNx] = {.Region = MmRegionNonPagedPool, .Type = NonPagedPoolNx},
    [PoolPaged] = {.Region = MmRegionPagedPool, .Type = PagedPool},
    [PoolNonPagedExecute] = {.Region = MmRegionNonPagedPoolExecute, .Type = NonPagedPool},
};

const USHORT ExpClassSize[POOL_CLASSES + 1] = {POOL_CLASS_SIZES, 0};

static ULONG_PTR ExpIdlePages;  // empty pages that a pool may keep

// ---- pages from mm -----------------------------------------------------------------------------
static POOL_PAGE *ExpTakePages(POOL *Pool, SIZE_T Pages)
{
    PVOID Address = MmAllocatePoolPages(Pool->Region, Pages);
    if (Address == NULL)
        return NULL;
    ULONG_PTR Offset = (ULONG_PTR)Address - Pool->Base;
    if (!ExpDescribePages(Pool, Offset, Pages)) {
        MmFreePoolPages(Address, Pages);
        return NULL;
    }
    __atomic_fetch_add(&Pool->PageCount, Pages, __ATOMIC_RELAXED);
    return ExpPageOfOffset(Pool, Offset);
}

static VOID ExpReturnPages(POOL *Pool, POOL_PAGE *Page, SIZE_T Pages)
{
    PVOID Address = (PVOID)ExpPageAddress(Pool, Page);
    __atomic_fetch_sub(&Pool->PageCount, Pages, __ATOMIC_RELAXED);
    ExpForgetPages(Pool, (ULONG_PTR)Address - Pool->Base, Pages);
    MmFreePoolPages(Address, Pages);
}

// ---- single pages ------------------------------------------------------------------------------
static POOL_PAGE *ExpPopSpare(POOL *Pool)
{
    POOL_PAGE *Page = NULL;
    KiAcquireLockAtDpcLevel(&Pool->SpareLock);
    if (Pool->SpareCount != 0) {
        ExpStore(Pool->SpareCount, Pool->SpareCount - 1);
        Page = ExpPageOfNumber(Pool, Pool->Spare[Pool->SpareCount]);
    }
    KiReleaseLockFromDpcLevel(&Pool->SpareLock);
    return Page;
}

static BOOLEAN ExpPushSpare(POOL *Pool, POOL_PAGE *Page)
{
    KiAcquireLockAtDpcLevel(&Pool->SpareLock);
    BOOLEAN Room = Pool->SpareCount < POOL_SPARE_PAGES;
    if (Room) {
        Pool->Spare[Pool->SpareCount] = ExpPageNumber(Pool, Page);
        ExpStore(Pool->SpareCount, Pool->SpareCount + 1);
    }
    KiReleaseLockFromDpcLevel(&Pool->SpareLock);
    return Room;
}

// Returns spare pages to mm until Keep are left; how many went.
static ULONG ExpReleaseSpare(POOL *Pool, ULONG Keep)
{
    POOL_PAGE *Page;
    ULONG Released = 0;
    for (; ExpLoad(Pool->SpareCount) > Keep && (Page = ExpPopSpare(Pool)) != NULL; Released++)
        ExpReturnPages(Pool, Page, 1);
    return Released;
}

static VOID ExpPutPage(POOL *Pool, POOL_PAGE *Page)
{
    if (ExpPushSpare(Pool, Page))
        return;
    ExpReleaseSpare(Pool, POOL_SPARE_PAGES / 2);
    if (!ExpPushSpare(Pool, Page))
        ExpReturnPages(Pool, Page, 1);
}

// Half as many as the pool has already: a small system does not pay for what it may never use.
static ULONG ExpBatchSize(const POOL *Pool)
{
    ULONG_PTR Half = ExpLoad(Pool->PageCount) / 2;
    return Half < POOL_SPARE_BATCH ? (ULONG)Half : POOL_SPARE_BATCH;
}

// A page, a batch of them from mm when there is no spare one. The lowest is used first.
static POOL_PAGE *ExpGetPage(POOL *Pool)
{
    POOL_PAGE *Page = ExpPopSpare(Pool);
    if (Page != NULL)
        return Page;
    ULONG Batch = ExpBatchSize(Pool);
    Page = Batch > 1 ? ExpTakePages(Pool, Batch) : NULL;
    if (Page == NULL)
        return ExpTakePages(Pool, 1);
    while (--Batch != 0)
        ExpPutPage(Pool, &Page[Batch]);
    return Page;
}

// ---- runs of pages -----------------------------------------------------------------------------
POOL_PAGE *ExpGetPages(POOL *Pool, SIZE_T Pages)
{
    return Pages == 1 ? ExpGetPage(Pool) : ExpTakePages(Pool, Pages);
}

VOID ExpPutPages(POOL *Pool, POOL_PAGE *Page, SIZE_T Pages)
{
    if (Pages == 1)
        ExpPutPage(Pool, Page);
    else
        ExpReturnPages(Pool, Page, Pages);
}

// ---- a class's list, under its lock ------------------------------------------------------------
static VOID ExpUnlinkPage(POOL *Pool, POOL_CLASS *Class, POOL_PAGE *Page)
{
    if (Page->Previous != 0)
        ExpPageOfNumber(Pool, Page->Previous)->Next = Page->Next;
    else
        Class->First = Page->Next;
    if (Page->Next != 0)
        ExpPageOfNumber(Pool, Page->Next)->Previous = Page->Previous;
    else
        Class->Last = Page->Previous;
    Page->Listed = FALSE;
}

static VOID ExpLinkFirst(POOL *Pool, POOL_CLASS *Class, POOL_PAGE *Page)
{
    ULONG Number = ExpPageNumber(Pool, Page);
    Page->Previous = 0;
    Page->Next = Class->First;
    if (Class->First != 0)
        ExpPageOfNumber(Pool, Class->First)->Previous = Number;
    else
        Class->Last = Number;
    Class->First = Number;
    Page->Listed = TRUE;
}

static VOID ExpLinkLast(POOL *Pool, POOL_CLASS *Class, POOL_PAGE *Page)
{
    ULONG Number = ExpPageNumber(Pool, Page);
    Page->Next = 0;
    Page->Previous = Class->Last;
    if (Class->Last != 0)
        ExpPageOfNumber(Pool, Class->Last)->Next = Number;
    else
        Class->First = Number;
    Class->Last = Number;
    Page->Listed = TRUE;
}

static VOID ExpCountEmpty(POOL *Pool, POOL_CLASS *Class, LONG Change)
{
    ExpStore(Class->EmptyPages, Class->EmptyPages + (ULONG)Change);
    __atomic_fetch_add(&Pool->EmptyPages, (LONG_PTR)Change, __ATOMIC_RELAXED);
}

// ---- blocks ------------------------------------------------------------------------------------
// Called with the class's lock held.
static ULONG ExpNextRandom(POOL_CLASS *Class)
{
    Class->Random = Class->Random * 1664525u + 1013904223u;
    return Class->Random ^ (ULONG)ExpGuard;
}

// As many as its map has bits for.
static ULONG ExpBlocksOfPage(ULONG BlockSize)
{
    ULONG Blocks = POOL_PAGE_SIZE / BlockSize;
    return Blocks < 64 * POOL_MAP_WORDS ? Blocks : 64 * POOL_MAP_WORDS;
}

// Cuts a new page into blocks, all of them free, and puts it into its class's list.
static BOOLEAN ExpAddPage(POOL *Pool, ULONG ClassIndex)
{
    ULONG BlockSize = ExpClassSize[ClassIndex];
    ULONG Blocks = ExpBlocksOfPage(BlockSize);
    POOL_PAGE *Page = ExpGetPage(Pool);
    if (Page == NULL)
        return FALSE;
    POOL_RECORD *Records = ExpAllocateRecords(Blocks);
    if (Records == NULL) {
        ExpPutPage(Pool, Page);
        return FALSE;
    }
    ExpFillFreed((PVOID)ExpPageAddress(Pool, Page), POOL_PAGE_SIZE);
    Page->Records = Records;
    Page->BlockSize = (USHORT)BlockSize;
    Page->Class = (UCHAR)ClassIndex;
    Page->BlockCount = Page->FreeCount = (USHORT)Blocks;
    for (ULONG Word = 0; Word < POOL_MAP_WORDS; Word++)
        Page->FreeMap[Word] = Blocks >= 64 * (Word + 1) ? ~0ull
                            : Blocks > 64 * Word ? (1ull << (Blocks - 64 * Word)) - 1 : 0;
    Page->Reciprocal = (ULONG)((0x100000000ull + BlockSize - 1) / BlockSize);
    Page->State = PoolPageSmall;
    ExpNotePage(Pool, Page);
    POOL_CLASS *Class = &Pool->Class[ClassIndex];
    KiAcquireLockAtDpcLevel(&Class->Lock);
    ExpLinkLast(Pool, Class, Page);  // another processor may have given blocks back meanwhile
    ExpCountEmpty(Pool, Class, 1);
    KiReleaseLockFromDpcLevel(&Class->Lock);
    return TRUE;
}

// Takes blocks whose bits are set in *Free until there are none or the slots are at their end.
FORCEINLINE POOL_SLOT *ExpTakeBits(ULONG64 *Free, ULONG_PTR Base, SIZE_T BlockSize,
                                   POOL_RECORD *Records, POOL_SLOT *Slot, const POOL_SLOT *End)
{
    ULONG64 Rest = *Free;
    while (Rest != 0 && Slot != End) {
        ULONG Index = (ULONG)__builtin_ctzll(Rest);
        Slot->Block = (PVOID)(Base + Index * BlockSize);
        Slot->Record = Records + Index;
        Slot++;
        Rest &= Rest - 1;
    }
    *Free = Rest;
    return Slot;
}

// Takes at most Wanted free blocks of one word of a page's map: first half of them, chosen at
// random, then the others; returns how many. Which block follows which in a page is not for a
// driver, or an attacker, to know.
static ULONG ExpTakeWord(ULONG64 *Map, ULONG_PTR Base, SIZE_T BlockSize, POOL_RECORD *Records,
                         POOL_SLOT *Slot, ULONG Wanted, ULONG Random)
{
    ULONG64 Chosen = (Random + 1ull) * 0x9E3779B97F4A7C15ull;
    Chosen ^= Chosen >> 29;
    ULONG64 First = *Map & Chosen, Second = *Map & ~Chosen;
    POOL_SLOT *End = Slot + Wanted;
    POOL_SLOT *Next = ExpTakeBits(&First, Base, BlockSize, Records, Slot, End);
    Next = ExpTakeBits(&Second, Base, BlockSize, Records, Next, End);
    *Map = First | Second;
    return (ULONG)(Next - Slot);
}

// Takes at most Wanted free blocks of one page into the cache; returns how many.
static ULONG ExpTakeBlocks(POOL *Pool, POOL_PAGE *Page, POOL_CACHE *Cache, ULONG Wanted)
{
    ULONG_PTR Base = ExpPageAddress(Pool, Page);
    ULONG BlockSize = Page->BlockSize, Taken = 0;
    ULONG Random = ExpNextRandom(&Pool->Class[Page->Class]);
    for (ULONG Word = 0; Word < POOL_MAP_WORDS && Taken < Wanted; Word++)
        if (Page->FreeMap[Word] != 0)
            Taken += ExpTakeWord(&Page->FreeMap[Word], Base + 64 * Word * BlockSize, BlockSize,
                                 &Page->Records[64 * Word], ExpSlot(Cache, Cache->Top) + Taken,
                                 Wanted - Taken, Random);
    Cache->Top += (LONG_PTR)(Taken * sizeof(POOL_SLOT));
    Page->FreeCount -= (USHORT)Taken;
    return Taken;
}

// The same for a page with one free block, which is what pages have when what lives is scattered.
FORCEINLINE VOID ExpTakeLastBlock(POOL *Pool, POOL_CLASS *Class, POOL_PAGE *Page, POOL_CACHE *Cache)
{
    ULONG Word = 0;
    while (Page->FreeMap[Word] == 0)
        Word++;
    ULONG Index = 64 * Word + (ULONG)__builtin_ctzll(Page->FreeMap[Word]);
    *ExpSlot(Cache, Cache->Top) =
        (POOL_SLOT){(PVOID)(ExpPageAddress(Pool, Page) + Index * Page->BlockSize),
                    Page->Records + Index};
    Cache->Top += (LONG_PTR)sizeof(POOL_SLOT);
    Page->FreeMap[Word] = 0;
    Page->FreeCount = 0;
    ExpUnlinkPage(Pool, Class, Page);
}

static ULONG ExpTakeBatch(POOL *Pool, POOL_CLASS *Class, POOL_CACHE *Cache, ULONG Wanted)
{
    ULONG Taken = 0;
    KiAcquireLockAtDpcLevel(&Class->Lock);
    while (Taken < Wanted && Class->First != 0) {
        POOL_PAGE *Page = ExpPageOfNumber(Pool, Class->First);
        if (Page->FreeCount == 1) {
            ExpTakeLastBlock(Pool, Class, Page, Cache);
            Taken++;
            continue;
        }
        if (Page->FreeCount == Page->BlockCount)
            ExpCountEmpty(Pool, Class, -1);
        Taken += ExpTakeBlocks(Pool, Page, Cache, Wanted - Taken);
        if (Page->FreeCount == 0)
            ExpUnlinkPage(Pool, Class, Page);
    }
    KiReleaseLockFromDpcLevel(&Class->Lock);
    return Taken;
}

// Larger blocks that lie idle, rather than a page for a few more of the right size. They go back to
// the class of their page.
static BOOLEAN ExpBorrow(POOL *Pool, ULONG ClassIndex, POOL_CACHE *Cache)
{
    for (ULONG Up = 1; Up <= POOL_BORROW && ClassIndex + Up < POOL_CLASSES; Up++) {
        POOL_CLASS *Class = &Pool->Class[ClassIndex + Up];
        if (ExpLoad(Class->First) != 0 && ExpTakeBatch(Pool, Class, Cache, POOL_BORROW) != 0)
            return TRUE;
    }
    return FALSE;
}

BOOLEAN ExpRefill(POOL *Pool, ULONG ClassIndex, POOL_CACHE *Cache)
{
    POOL_CLASS *Class = &Pool->Class[ClassIndex];
    ULONG Half = (ULONG)((ULONG_PTR)Cache->Limit / sizeof(POOL_SLOT) / 2);
    ULONG Batch = Half < POOL_CACHE_BATCH ? Half : POOL_CACHE_BATCH;
    Cache->Used = TRUE;
    while (ExpTakeBatch(Pool, Class, Cache, Batch) == 0) {
        if (ExpBorrow(Pool, ClassIndex, Cache))
            break;
        if (!ExpAddPage(Pool, ClassIndex))
            return FALSE;
    }
    return TRUE;
}

// A page in which nothing is allocated any more: to the end of the list.
static VOID ExpPlaceEmptyPage(POOL *Pool, POOL_CLASS *Class, POOL_PAGE *Page)
{
    if (Page->Listed)
        ExpUnlinkPage(Pool, Class, Page);
    ExpLinkLast(Pool, Class, Page);
    ExpCountEmpty(Pool, Class, 1);
}

static VOID ExpReturnBlock(POOL *Pool, POOL_CLASS *Class, POOL_PAGE *Page, const POOL_SLOT *Slot)
{
    ULONG_PTR Index = (ULONG_PTR)(Slot->Record - Page->Records);
    Page->FreeMap[Index / 64] |= 1ull << (Index % 64);
    USHORT Free = ++Page->FreeCount;
    if (__builtin_expect(Free == Page->BlockCount, 0))
        ExpPlaceEmptyPage(Pool, Class, Page);
    else if (Free == 1)
        ExpLinkFirst(Pool, Class, Page);
}

// Takes an empty page out of the list for good; NULL when there is none.
static POOL_PAGE *ExpTakeEmptyPage(POOL *Pool, POOL_CLASS *Class)
{
    POOL_PAGE *Page = NULL;
    KiAcquireLockAtDpcLevel(&Class->Lock);
    if (Class->EmptyPages != 0) {
        Page = ExpPageOfNumber(Pool, Class->Last);
        ExpUnlinkPage(Pool, Class, Page);
        ExpCountEmpty(Pool, Class, -1);
        Page->Reciprocal = 0;
        Page->State = PoolPageNone;
        ExpNotePage(Pool, Page);
    }
    KiReleaseLockFromDpcLevel(&Class->Lock);
    return Page;
}

// Returns empty pages of a class to mm until Keep are left; how many went.
static ULONG ExpReleasePages(POOL *Pool, POOL_CLASS *Class, ULONG Keep)
{
    ULONG Released = 0;
    while (ExpLoad(Class->EmptyPages) > Keep) {
        POOL_PAGE *Page = ExpTakeEmptyPage(Pool, Class);
        if (Page == NULL)
            break;
        ExpFreeRecords(Page->Records);
        ExpPutPage(Pool, Page);
        Released++;
    }
    return Released;
}

// Puts blocks back into their pages. Each page's class has its own lock; nearly always it is one.
static VOID ExpReturnBlocks(POOL *Pool, POOL_CLASS *Class, const POOL_SLOT *Slot,
                            const POOL_SLOT *End)
{
    KiAcquireLockAtDpcLevel(&Class->Lock);
    for (; Slot != End; Slot++) {
        POOL_PAGE *Page = ExpPageOfOffset(Pool, (ULONG_PTR)Slot->Block - Pool->Base);
        POOL_CLASS *Owner = &Pool->Class[Page->Class];
        if (POOL_BORROW != 0 && Owner != Class) {
            KiReleaseLockFromDpcLevel(&Class->Lock);
            Class = Owner;
            KiAcquireLockAtDpcLevel(&Class->Lock);
        }
        ExpReturnBlock(Pool, Class, Page, Slot);
    }
    KiReleaseLockFromDpcLevel(&Class->Lock);
}

// The Count blocks on top of the cache go back to their pages.
VOID ExpFlush(POOL *Pool, ULONG ClassIndex, POOL_CACHE *Cache, ULONG Count)
{
    POOL_CLASS *Class = &Pool->Class[ClassIndex];
    POOL_SLOT *End = ExpSlot(Cache, Cache->Top);
    Cache->Used = TRUE;
    ExpReturnBlocks(Pool, Class, End - Count, End);
    Cache->Top -= (LONG_PTR)(Count * sizeof(POOL_SLOT));
    if (ExpLoad(Class->EmptyPages) > POOL_CLASS_IDLE)
        ExpReleasePages(Pool, Class, POOL_CLASS_IDLE);
    if (__builtin_expect(ExpLoad(Pool->EmptyPages) > ExpIdlePages, 0))
        ExpReleasePages(Pool, Class, ExpLoad(Class->EmptyPages) / 2);
}

POOL_CACHE *ExpCreateCache(ULONG Pool, ULONG Class)
{
    ULONG Depth = POOL_CACHE_DEPTH(ExpClassSize[Class]);
    Depth = Depth < POOL_CACHE_LEAST  ? POOL_CACHE_LEAST
            : Depth > POOL_CACHE_MOST ? POOL_CACHE_MOST
                                      : Depth;
    POOL_CACHE *Cache = ExpAllocateBookkeeping(sizeof(POOL_CACHE) + Depth * sizeof(POOL_SLOT));
    if (Cache != NULL) {
        Cache->Limit = (LONG_PTR)(Depth * sizeof(POOL_SLOT));
        Cache->Irql = ExpTrap[Pool].Irql;
    }
    return Cache;
}

// ---- giving back -------------------------------------------------------------------------------
static VOID ExpFlushCaches(POOL_PROCESSOR *Processor, POOL *Pool)
{
    for (ULONG Class = 0; Class < POOL_CLASSES; Class++) {
        POOL_CACHE *Cache = ExpLoad(Processor->Cache[Pool - ExpPool][Class]);
        if (Cache != NULL)
            ExpFlush(Pool, Class, Cache, ExpCached(Cache));
    }
    ExpReleaseRuns(Processor, Pool, TRUE);
}

// Caches that were not used since the last time lose half of what they hold.
static VOID ExpTrimCaches(POOL_PROCESSOR *Processor, POOL *Pool)
{
    for (ULONG Class = 0; Class < POOL_CLASSES; Class++) {
        POOL_CACHE *Cache = ExpLoad(Processor->Cache[Pool - ExpPool][Class]);
        if (Cache == NULL)
            continue;
        if (!Cache->Used && Cache->Top != 0)
            ExpFlush(Pool, Class, Cache, (ExpCached(Cache) + 1) / 2);
        Cache->Used = FALSE;
    }
    ExpReleaseRuns(Processor, Pool, FALSE);
}

// A cache is touched on its own processor alone: this is how the others are reached.
VOID NTAPI ExpTrimDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    POOL_PROCESSOR *Processor = Context;
    BOOLEAN All = Processor->TrimAll;
    Processor->TrimAll = FALSE;
    for (ULONG Index = 0; Index < PoolCount; Index++)
        if (All)
            ExpFlushCaches(Processor, &ExpPool[Index]);
        else
            ExpTrimCaches(Processor, &ExpPool[Index]);
    MmTrimProcessor(All);
}

static VOID ExpTrimOthers(BOOLEAN All)
{
    for (ULONG Number = 0; Number < POOL_PROCESSORS; Number++) {
        POOL_PROCESSOR *Processor = ExpLoad(ExpPoolProcessor[Number]);
        // A processor has caches before it runs; a DPC could not be queued there yet.
        if (Processor == NULL || Processor == ExpCurrentProcessor() ||
            !(KeActiveProcessors & (KAFFINITY)1 << Number))
            continue;
        if (All)
            Processor->TrimAll = TRUE;
        KeInsertQueueDpc(&Processor->TrimDpc, NULL, NULL);
    }
}

// While the system starts, the only thread is the one that must not wait.
VOID ExpAwaitTrims(VOID)
{
    const KPRCB *Prcb = KeGetCurrentPrcb();
    if (Prcb->CurrentThread == Prcb->IdleThread)
        return;
    for (ULONG Number = 0; Number < POOL_PROCESSORS; Number++)
        if (ExpLoad(ExpPoolProcessor[Number]) != NULL && Number != Prcb->ProcessorNumber &&
            (KeActiveProcessors & (KAFFINITY)1 << Number))
            KeFlushDpcsOf(Number);
}

ULONG ExpReclaim(POOL *Pool)
{
    ULONG Released = 0;
    MM_FLUSH Flush;
    MmBeginFlush(&Flush);
    ExpTrimOthers(TRUE);
    ExpFlushCaches(ExpCurrentProcessor(), Pool);
    for (ULONG Class = 0; Class < POOL_CLASSES; Class++)
        ExpReleasePages(Pool, &Pool->Class[Class], 0);
    Released += ExpReleaseSpare(Pool, 0);
    ExpReleaseGroups(Pool, 0, &Flush);
    MmFinishFlush(&Flush);
    ExpReleaseRecordPages(0);
    MmTrimProcessor(TRUE);
    return Released;
}

VOID ExTrimPool(VOID)
{
    MM_FLUSH Flush;
    MmBeginFlush(&Flush);
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    ExpTrimOthers(FALSE);
    ExpNotePeaks();
    for (ULONG Index = 0; Index < PoolCount; Index++) {
        POOL *Pool = &ExpPool[Index];
        ExpTrimCaches(ExpCurrentProcessor(), Pool);
        for (ULONG Class = 0; Class < POOL_CLASSES; Class++)
            ExpReleasePages(Pool, &Pool->Class[Class], ExpLoad(Pool->Class[Class].EmptyPages) / 2);
        ExpReleaseSpare(Pool, ExpLoad(Pool->SpareCount) / 2);
        ExpReleaseGroups(Pool, ExpLoad(Pool->EmptyGroups) / 2, &Flush);
    }
    MmFinishFlush(&Flush);
    ExpReleaseRecordPages(ExpLoad(ExpEmptyRecordPages) / 2);
    MmTrimProcessor(FALSE);
    MmTrimPoolTables(FALSE);
    KiLowerIrql(OldIrql);
}

// Of Whole, what has to be left for a request of this priority: a sixteenth for a low one, a 64th
// for a normal one, nothing for a high one. The documents order the three and name no figures.
static ULONG64 ExpReserveFor(EX_POOL_PRIORITY Priority, ULONG64 Whole)
{
    return Priority >= HighPoolPriority     ? 0
           : Priority >= NormalPoolPriority ? Whole / POOL_NORMAL_SHARE
                                            : Whole / POOL_LOW_SHARE;
}

BOOLEAN ExpIsPlentyFor(const POOL *Pool, const POOL_REQUEST *Request)
{
    if (Request->Priority >= HighPoolPriority)
        return TRUE;
    ULONG64 Total, Available = MmQueryAvailablePages(&Total);
    ULONG64 Pages = Request->Bytes >> POOL_PAGE_SHIFT;
    ULONG64 Space = Pool->Size >> POOL_PAGE_SHIFT, Left = Space - ExpLoad(Pool->PageCount);
    return Available >= Pages + ExpReserveFor(Request->Priority, Total) &&
           Left >= Pages + ExpReserveFor(Request->Priority, Space);
}

VOID ExQueryPoolStatistics(POOL_TYPE PoolType, EX_POOL_STATISTICS *Statistics)
{
    POOL_INDEX Index = ExpPoolOfType(PoolType);
    Statistics->Pages = ExpLoad(ExpPool[Index].PageCount);
    Statistics->BookkeepingPages = ExpLoad(ExpBookkeepingPages);
    Statistics->ZeroByteRequests = ExpLoad(ExpZeroByteRequests);
    Statistics->Failures = ExpLoad(ExpPoolFailures);
}

// ---- start -------------------------------------------------------------------------------------
static BOOLEAN ExpInitializeRegion(POOL *Pool)
{
    const MM_REGION *Region = MmGetRegion(Pool->Region);
    Pool->Base = Region->Base;
    Pool->Size = Region->Size;
    SIZE_T Described = ALIGN_UP_BY(Region->Size, POOL_GROUP_PAGES << POOL_PAGE_SHIFT);
    SIZE_T Bytes = (Described >> POOL_PAGE_SHIFT) * sizeof(POOL_PAGE);
    Pool->Pages = MmReserveSystemRange(MmRegionBookkeeping, BYTES_TO_PAGES(Bytes));
    return Pool->Pages != NULL;
}

BOOLEAN ExpInitializePages(VOID)
{
    ULONG64 Total;
    MmQueryAvailablePages(&Total);
    ExpIdlePages = (ULONG_PTR)(Total / POOL_IDLE_SHARE);
    for (ULONG Index = 0; Index < PoolCount; Index++)
        if (!ExpInitializeRegion(&ExpPool[Index]))
            return FALSE;
    return ExpInitializeRecords();
}
