// SPDX-License-Identifier: MIT
// The PFN database: one entry for each physical page that has ever been needed.
//
// Problem. A flat array costs 1.2 % of RAM (12 GiB in a 1 TiB machine) and writing it costs time at
// start in proportion to RAM, before the first page can be given out. Most of it describes pages
// nobody asked for yet.
//
// Idea. The array is only address space. It is filled by the chunk: 512 pages of RAM, 2 MiB, whose
// entries take a whole number of database pages (6 on amd64, 4 on i386). A chunk that is populated
// pays for itself: its own first free pages hold its entries and the page tables that map them.
// Until then its RAM is described by the RAM table alone (mm/ram.c) and counts as free. Whether a
// chunk is populated is not recorded anywhere: its database pages are mapped or they are not.
//
// Order. Pages are taken from the top of RAM downwards, so that the low memory that devices with
// few address lines need is the last to go. Inside the free list the page given back last goes out
// first.
//
// Lists and caches. Free and zeroed pages are on doubly linked lists threaded through their
// entries, under MiPfnLock. In front of the free list each processor keeps up to 32 free pages; the
// common allocation takes from there and touches nothing shared. Counts of pages by state are kept
// by each processor too and summed when asked for: the sum of all states is the RAM we were given
// (MmCheckIntegrity proves it).
//
// Contiguous pages (MiAllocateContiguousPages) are searched from the upper limit downwards through
// populated and untouched chunks alike. Chunks populated for that purpose borrow the pages for
// their entries elsewhere, so that the run is not cut.
//
// What can go wrong. A page freed twice or freed in use breaks the table of legal state changes:
// bugcheck 0x4E at once, with the page and its state. Observability: `!pfn N`, `!memusage`,
// `!pfncheck`; tests/host/test_mm_pfn.c.
#include "mi.h"

PMMPFN MiPfnDatabase;
KSPIN_LOCK MiPfnLock;
ULONG MiPfnPages;
MI_PAGE_LIST MiFreeList = {MI_LIST_END, 0, MiPageFree};
MI_PAGE_LIST MiZeroedList = {MI_LIST_END, 0, MiPageZeroed};
PFN_NUMBER MiUntouched[MiPageStates];
MI_PROCESSOR *MiProcessors[MAXIMUM_PROCESSORS];
MI_PROCESSOR MiBootProcessor;

static PFN_NUMBER MiGrowChunk; // chunks from here up have been tried

// ---- states -------------------------------------------------------------------------------------
#define TO(State) (1u << MiPage##State)
static const UCHAR MiLegalStates[MiPageStates] = {
    [MiPageNone] = TO(Free) | TO(Active) | TO(Bad),
    [MiPageFree] = TO(Active) | TO(Zeroed) | TO(Bad),
    [MiPageZeroed] = TO(Active) | TO(Bad),
    [MiPageActive] = TO(Free) | TO(Bad),
    [MiPageBad] = 0,
};

const char *MiPageStateName(MI_PAGE_STATE State)
{
    static const char *const Name[MiPageStates] = {"None", "Free", "Zeroed", "Active", "Bad"};
    return State < MiPageStates ? Name[State] : "?";
}

DECLSPEC_NORETURN VOID MiPfnBugCheck(ULONG_PTR P1, PFN_NUMBER Page, ULONG_PTR P3, ULONG_PTR P4,
                                     const char *Sentence)
{
    KiBugCheck(PFN_LIST_CORRUPT, P1, Page, P3, P4, NULL, Sentence);
}

static DECLSPEC_NORETURN VOID MiBadTransition(PFN_NUMBER Page, MI_PAGE_STATE From)
{
    MiPfnBugCheck(0x99, Page, From, 0,
                  From == MiPageFree || From == MiPageZeroed
                      ? "A physical page was freed that is free already."
                      : "A physical page changed to a state that its present one does not allow.");
}

// IRQL: >= DISPATCH_LEVEL. The page belongs to the caller, or MiPfnLock is held.
FORCEINLINE VOID MiChangeState(MI_PROCESSOR *Processor, PMMPFN Pfn, PFN_NUMBER Page,
                               MI_PAGE_STATE State)
{
    MI_PAGE_STATE Old = Pfn->u3.State;
    if (__builtin_expect((MiLegalStates[Old] >> State & 1) == 0, 0))
        MiBadTransition(Page, Old);
    Pfn->u3.State = (UCHAR)State;
    Processor->Count[Old]--;
    Processor->Count[State]++;
}

VOID MiSetPageState(PFN_NUMBER Page, MI_PAGE_STATE State)
{
    MiChangeState(MiCurrentProcessor(), MiPfn(Page), Page, State);
}

PFN_NUMBER MiCountPages(MI_PAGE_STATE State)
{
    LONG_PTR Count = (LONG_PTR)MiUntouched[State];
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS && MiProcessors[i] != NULL; i++)
        Count += MiProcessors[i]->Count[State];
    return (PFN_NUMBER)Count;
}

BOOLEAN MiIsInDatabase(PFN_NUMBER Page)
{
    return Page <= MiHighestPage && MiIsChunkPopulated(MI_CHUNK_OF(Page));
}

MI_PAGE_STATE MiQueryPageState(PFN_NUMBER Page)
{
    return MiIsInDatabase(Page) ? (MI_PAGE_STATE)MiPfn(Page)->u3.State : MiRamState(Page);
}

// ---- lists --------------------------------------------------------------------------------------
// Locked: MiPfnLock. The state is the caller's business.
static VOID MiPushPage(MI_PAGE_LIST *List, PFN_NUMBER Page)
{
    PMMPFN Pfn = MiPfn(Page);
    Pfn->u1.Flink = List->Head;
    Pfn->u2.Blink = MI_LIST_END;
    if (List->Head != MI_LIST_END)
        MiPfn(List->Head)->u2.Blink = Page;
    List->Head = Page;
    List->Count++;
}

static VOID MiUnlinkPage(MI_PAGE_LIST *List, PFN_NUMBER Page)
{
    PMMPFN Pfn = MiPfn(Page);
    PFN_NUMBER Next = Pfn->u1.Flink, Previous = Pfn->u2.Blink;
    if (Previous != MI_LIST_END)
        MiPfn(Previous)->u1.Flink = Next;
    else if (List->Head == Page)
        List->Head = Next;
    else
        MiPfnBugCheck(0x8F, Page, List->Head, 0,
                      "The head of a page list is not the list's first page.");
    if (Next != MI_LIST_END)
        MiPfn(Next)->u2.Blink = Previous;
    List->Count--;
}

static PFN_NUMBER MiPopPage(MI_PAGE_LIST *List)
{
    PFN_NUMBER Page = List->Head;
    if (Page == MI_LIST_END)
        return MM_NO_PAGE;
    if (MiPfn(Page)->u3.State != List->State)
        MiPfnBugCheck(0x8D, Page, MiPfn(Page)->u3.State, 0,
                      "A page list holds a page of another state.");
    MiUnlinkPage(List, Page);
    return Page;
}

// ---- populating ---------------------------------------------------------------------------------
typedef struct _MI_CHUNK_SUPPLY {
    PFN_NUMBER Next, End; // the chunk's own pages not yet looked at
    BOOLEAN Foreign;      // take from the free list instead
} MI_CHUNK_SUPPLY;

static PFN_NUMBER MiTakeForeignPage(VOID)
{
    PFN_NUMBER Page = MiPopPage(&MiFreeList);
    if (Page == MM_NO_PAGE)
        return Page;
    MiSetPageState(Page, MiPageActive);
    MiPfn(Page)->u3.ReferenceCount = 1;
    MiPfn(Page)->u2.ShareCount = 1;
    MiPfn(Page)->u3.Fixed = 1;
    return Page;
}

static PFN_NUMBER MiSupplyChunkPage(PVOID Context)
{
    MI_CHUNK_SUPPLY *Supply = Context;
    if (Supply->Foreign)
        return MiTakeForeignPage();
    while (Supply->Next < Supply->End)
        if (MiRamState(Supply->Next++) == MiPageFree)
            return Supply->Next - 1;
    return MM_NO_PAGE;
}

static BOOLEAN MiMapDatabasePage(ULONG_PTR Address, MI_CHUNK_SUPPLY *Supply)
{
    if (!MiEnsureTables(Address, MiSupplyChunkPage, Supply))
        return FALSE;
    PFN_NUMBER Page = MiSupplyChunkPage(Supply);
    if (Page == MM_NO_PAGE)
        return FALSE;
    MiMapPages((PVOID)Address, Page, 1, MM_READ | MM_WRITE, MmCached);
    memset((PVOID)Address, 0, PAGE_SIZE);
    MiPfnPages++;
    return TRUE;
}

static VOID MiEnterPage(PFN_NUMBER Page, MI_PAGE_STATE State, BOOLEAN Taken)
{
    PMMPFN Pfn = MiPfn(Page);
    if (State == MiPageNone)
        return;
    MiUntouched[State]--;
    if (State == MiPageFree && !Taken) {
        MiSetPageState(Page, MiPageFree);
        MiPushPage(&MiFreeList, Page);
        return;
    }
    MiSetPageState(Page, Taken ? MiPageActive : State);
    if (Pfn->u3.State == MiPageActive) {
        Pfn->u3.ReferenceCount = 1;
        Pfn->u2.ShareCount = 1;
        Pfn->u3.Fixed = Taken;
    }
}

// Free pages go onto the list in ascending order: the highest comes out first.
static VOID MiEnterChunk(PFN_NUMBER First, const MI_CHUNK_SUPPLY *Supply)
{
    PFN_NUMBER Taken = Supply->Foreign ? First : Supply->Next;
    PFN_NUMBER End = First + MI_CHUNK_PAGES;
    for (ULONG i = 0; i < MiRamCount && MiRam[i].First < End; i++) {
        PFN_NUMBER Page = MiRam[i].First > First ? MiRam[i].First : First;
        PFN_NUMBER Stop = MiRam[i].End < End ? MiRam[i].End : End;
        for (; Page < Stop; Page++)
            MiEnterPage(Page, MiRam[i].State, Page < Taken);
    }
}

// Locked: MiPfnLock. Fails only for Foreign, when the free list has fewer than MI_FOREIGN_PAGES,
// and for a chunk with fewer than MI_CHUNK_MINIMUM free pages of its own.
#define MI_FOREIGN_PAGES (MI_CHUNK_DATABASE_PAGES + MI_SELF_MAP_LEVELS)

static BOOLEAN MiPopulateChunk(PFN_NUMBER Chunk, BOOLEAN Foreign)
{
    PFN_NUMBER First = Chunk * MI_CHUNK_PAGES;
    MI_CHUNK_SUPPLY Supply = {First, First + MI_CHUNK_PAGES, Foreign};
    ULONG_PTR Address = (ULONG_PTR)MiPfn(First);
    ULONG Own = MiCountRam(First, First + MI_CHUNK_PAGES, MiPageFree);

    if (Foreign ? MiFreeList.Count < MI_FOREIGN_PAGES : Own < MI_CHUNK_MINIMUM)
        return FALSE;
    for (ULONG i = 0; i < MI_CHUNK_DATABASE_PAGES; i++)
        if (!MiMapDatabasePage(Address + i * PAGE_SIZE, &Supply))
            KiBugCheck(NO_PAGES_AVAILABLE, Chunk, Own, MiFreeList.Count, 0, NULL,
                       "A chunk of RAM could not hold its own page descriptions.");
    MiEnterChunk(First, &Supply);
    return TRUE;
}

// The highest chunk below Chunk that has free RAM in the RAM table; none: MM_NO_PAGE.
static PFN_NUMBER MiChunkBelow(PFN_NUMBER Chunk)
{
    for (ULONG i = MiRamCount; i-- != 0;) {
        if (MiRam[i].State != MiPageFree || MI_CHUNK_OF(MiRam[i].First) >= Chunk)
            continue;
        PFN_NUMBER Last = MI_CHUNK_OF(MiRam[i].End - 1);
        return Last < Chunk ? Last : Chunk - 1;
    }
    return MM_NO_PAGE;
}

// Locked: MiPfnLock. Puts the next untouched chunk's pages onto the free list. FALSE: there is
// none.
static BOOLEAN MiGrowFreeList(VOID)
{
    PFN_NUMBER Chunk;
    while ((Chunk = MiChunkBelow(MiGrowChunk)) != MM_NO_PAGE) {
        MiGrowChunk = Chunk;
        if (!MiIsChunkPopulated(Chunk) && MiPopulateChunk(Chunk, FALSE))
            return TRUE;
    }
    return FALSE;
}

// ---- one page -----------------------------------------------------------------------------------
#if DBG
static VOID MiCheckNowAndThen(VOID)
{
    static ULONG Turns;
    if (++Turns % 1024 == 0)
        VERIFY(MmCheckIntegrity());
}
#else
#define MiCheckNowAndThen() ((void)0)
#endif

// Half a cache is moved at a time, so that a processor that allocates and frees in turn stays off
// the lock. FALSE: not a page is left.
static BOOLEAN MiRefillCache(MI_PROCESSOR *Processor)
{
    KiAcquireLockAtDpcLevel(&MiPfnLock);
    while (Processor->CacheCount < MI_CACHE_PAGES / 2) {
        PFN_NUMBER Page = MiPopPage(&MiFreeList);
        if (Page == MM_NO_PAGE && Processor->CacheCount == 0 && MiGrowFreeList())
            continue;
        if (Page == MM_NO_PAGE)
            break;
        MiPfn(Page)->u3.Cached = 1;
        Processor->Cache[Processor->CacheCount++] = Page;
    }
    KiReleaseLockFromDpcLevel(&MiPfnLock);
    MiCheckNowAndThen();
    return Processor->CacheCount != 0;
}

static VOID MiDrainCache(MI_PROCESSOR *Processor, ULONG Keep)
{
    while (Processor->CacheCount > Keep) {
        PFN_NUMBER Page = Processor->Cache[--Processor->CacheCount];
        MiPfn(Page)->u3.Cached = 0;
        MiPushPage(&MiFreeList, Page);
    }
}

static PFN_NUMBER MiTakeZeroedPage(VOID)
{
    KiAcquireLockAtDpcLevel(&MiPfnLock);
    PFN_NUMBER Page = MiPopPage(&MiZeroedList);
    KiReleaseLockFromDpcLevel(&MiPfnLock);
    return Page;
}

static PFN_NUMBER MiTakeFreePage(MI_PROCESSOR *Processor)
{
    if (Processor->CacheCount == 0 && !MiRefillCache(Processor))
        return MM_NO_PAGE;
    return Processor->Cache[--Processor->CacheCount];
}

#define PFN_WORD_IN_USE (1u | (ULONG)MiPageActive << 16) // ReferenceCount 1, active, no flags

// IRQL: DISPATCH_LEVEL.
static VOID MiMakeActive(MI_PROCESSOR *Processor, PFN_NUMBER Page)
{
    PMMPFN Pfn = MiPfn(Page);
    MiChangeState(Processor, Pfn, Page, MiPageActive);
    Pfn->u3.Word = PFN_WORD_IN_USE;
    Pfn->u2.ShareCount = 1;
    Pfn->PteAddress = NULL;
}

PFN_NUMBER MmAllocatePage(ULONG Flags)
{
    KIRQL OldIrql = MiRaiseToDispatch();
    MI_PROCESSOR *Processor = MiCurrentProcessor();
    BOOLEAN Zero = (Flags & MM_PAGE_ZEROED) != 0;
    PFN_NUMBER Page = MM_NO_PAGE;

    if (Zero && MiZeroedList.Head != MI_LIST_END && (Page = MiTakeZeroedPage()) != MM_NO_PAGE)
        Zero = FALSE;
    if (Page == MM_NO_PAGE)
        Page = MiTakeFreePage(Processor);
    if (Page == MM_NO_PAGE && !Zero)
        Page = MiTakeZeroedPage();
    if (Page != MM_NO_PAGE) {
        MiMakeActive(Processor, Page);
        if (Zero)
            MiZeroPage(Page);
    }
    MiLowerFromDispatch(OldIrql);
    return Page;
}

static VOID MiRefuseFree(PFN_NUMBER Page)
{
    if (!MiIsInDatabase(Page))
        MiPfnBugCheck(0x99, Page, MiPageNone, 0,
                      "A physical page was freed that is not RAM in use.");
    PMMPFN Pfn = MiPfn(Page);
    if (Pfn->u3.State != MiPageActive)
        MiBadTransition(Page, Pfn->u3.State);
    if (Pfn->u3.ReferenceCount != 1)
        MiPfnBugCheck(0x9A, Page, Pfn->u3.State, Pfn->u3.ReferenceCount,
                      "A physical page was freed while it is locked for I/O.");
    if (Pfn->u3.Fixed)
        MiPfnBugCheck(0x99, Page, Pfn->u3.State, 0,
                      "A physical page was freed that holds a page table or page descriptions.");
}

VOID MmFreePage(PFN_NUMBER Page)
{
    KIRQL OldIrql = MiRaiseToDispatch();
    MI_PROCESSOR *Processor = MiCurrentProcessor();
    PMMPFN Pfn = MiPfn(Page);

    if (__builtin_expect(Page > MiHighestPage || Pfn->u3.Word != PFN_WORD_IN_USE, 0))
        MiRefuseFree(Page);
    if (__builtin_expect(Processor->CacheCount == MI_CACHE_PAGES, 0)) {
        KiAcquireLockAtDpcLevel(&MiPfnLock);
        MiDrainCache(Processor, MI_CACHE_PAGES / 2);
        KiReleaseLockFromDpcLevel(&MiPfnLock);
    }
    MiChangeState(Processor, Pfn, Page, MiPageFree);
    Pfn->u3.ReferenceCount = 0;
    Pfn->u3.Cached = 1;
    Pfn->u3.CacheType = 0;
    Pfn->PteAddress = NULL;
    Processor->Cache[Processor->CacheCount++] = Page;
    MiLowerFromDispatch(OldIrql);
}

// Zeroes up to Maximum free pages, for the idle loop: a page at a time, so that nobody waits for
// it. Returns how many. IRQL: <= DISPATCH_LEVEL.
PFN_NUMBER MmZeroFreePages(PFN_NUMBER Maximum)
{
    PFN_NUMBER Done = 0;
    for (; Done < Maximum; Done++) {
        KIRQL OldIrql = MiAcquire(&MiPfnLock);
        PFN_NUMBER Page = MiPopPage(&MiFreeList);
        if (Page != MM_NO_PAGE) {
            MiZeroPage(Page);
            MiSetPageState(Page, MiPageZeroed);
            MiPushPage(&MiZeroedList, Page);
        }
        MiRelease(&MiPfnLock, OldIrql);
        if (Page == MM_NO_PAGE)
            break;
    }
    return Done;
}

// ---- contiguous pages ---------------------------------------------------------------------------
// How many pages ending with Page, none below Low, are free. For an untouched chunk the answer
// reaches to the chunk's or the RAM entry's first page; elsewhere it is one page or none.
static PFN_NUMBER MiFreeExtent(PFN_NUMBER Page, PFN_NUMBER Low)
{
    if (MiIsChunkPopulated(MI_CHUNK_OF(Page))) {
        PMMPFN Pfn = MiPfn(Page);
        return (Pfn->u3.State == MiPageFree || Pfn->u3.State == MiPageZeroed) && !Pfn->u3.Cached;
    }
    PFN_NUMBER First = Page / MI_CHUNK_PAGES * MI_CHUNK_PAGES;
    for (ULONG i = 0; i < MiRamCount; i++)
        if (Page >= MiRam[i].First && Page < MiRam[i].End) {
            if (MiRam[i].State != MiPageFree)
                return 0;
            if (First < MiRam[i].First)
                First = MiRam[i].First;
            return Page - (First > Low ? First : Low) + 1;
        }
    return 0;
}

// The highest page below Page that can be free at all: skips holes.
static PFN_NUMBER MiRamBelow(PFN_NUMBER Page)
{
    for (ULONG i = MiRamCount; i-- != 0;)
        if (MiRam[i].First < Page)
            return MiRam[i].End < Page ? MiRam[i].End - 1 : Page - 1;
    return MM_NO_PAGE;
}

// The highest run of Count free pages in [Low, High]. Position is the first page of the run so far.
static PFN_NUMBER MiFindRun(PFN_NUMBER Count, PFN_NUMBER Low, PFN_NUMBER High, PFN_NUMBER Boundary)
{
    PFN_NUMBER Run = 0, Position = MiRamBelow(High + 1);
    if (Position == MM_NO_PAGE)
        return MM_NO_PAGE;
    for (Position++; Position > Low;) {
        PFN_NUMBER Extent = MiFreeExtent(Position - 1, Low);
        if (Extent == 0) {
            PFN_NUMBER Below = MiRamBelow(Position - 1);
            if (Below == MM_NO_PAGE)
                return MM_NO_PAGE;
            Run = 0;
            Position = Below + 1;
            continue;
        }
        if (Extent > Count - Run)
            Extent = Count - Run;
        Run += Extent;
        Position -= Extent;
        if (Run < Count)
            continue;
        PFN_NUMBER Edge = Boundary == 0 ? Position : (Position + Count - 1) / Boundary * Boundary;
        if (Edge <= Position)
            return Position;
        Run = Edge - Position; // only what lies below the boundary can be part of the answer
    }
    return MM_NO_PAGE;
}

// Gives every page of the run an entry. FALSE: no pages to hold the entries.
static BOOLEAN MiPopulateRun(PFN_NUMBER First, PFN_NUMBER Count)
{
    for (PFN_NUMBER Chunk = MI_CHUNK_OF(First); Chunk <= MI_CHUNK_OF(First + Count - 1); Chunk++) {
        while (!MiIsChunkPopulated(Chunk) && !MiPopulateChunk(Chunk, TRUE))
            if (!MiGrowFreeList())
                return FALSE;
    }
    return TRUE;
}

static BOOLEAN MiIsRunFree(PFN_NUMBER First, PFN_NUMBER Count)
{
    for (PFN_NUMBER i = 0; i < Count; i++)
        if (MiFreeExtent(First + i, First + i) == 0)
            return FALSE;
    return TRUE;
}

static VOID MiTakeRun(PFN_NUMBER First, PFN_NUMBER Count)
{
    MI_PROCESSOR *Processor = MiCurrentProcessor();
    for (PFN_NUMBER Page = First; Page < First + Count; Page++) {
        MiUnlinkPage(MiPfn(Page)->u3.State == MiPageFree ? &MiFreeList : &MiZeroedList, Page);
        MiMakeActive(Processor, Page);
    }
}

// Populating may take pages of the very run that was found; then it is searched again. Every round
// populates a chunk, so this ends.
static PFN_NUMBER MiTakeContiguous(PFN_NUMBER Count, PFN_NUMBER Low, PFN_NUMBER High,
                                   PFN_NUMBER Boundary)
{
    for (;;) {
        PFN_NUMBER First = MiFindRun(Count, Low, High, Boundary);
        if (First == MM_NO_PAGE || !MiPopulateRun(First, Count))
            return MM_NO_PAGE;
        if (!MiIsRunFree(First, Count))
            continue;
        MiTakeRun(First, Count);
        return First;
    }
}

PFN_NUMBER MiAllocateContiguousPages(PFN_NUMBER Count, PFN_NUMBER Low, PFN_NUMBER High,
                                     PFN_NUMBER Boundary)
{
    if (High > MiHighestPage)
        High = MiHighestPage;
    if (Low < MiLowestPage)
        Low = MiLowestPage;
    if (Count == 0 || High < Low || Count > High - Low + 1 || (Boundary != 0 && Count > Boundary))
        return MM_NO_PAGE;
    KIRQL OldIrql = MiAcquire(&MiPfnLock);
    PFN_NUMBER First = MiTakeContiguous(Count, Low, High, Boundary);
    if (First == MM_NO_PAGE && MiCurrentProcessor()->CacheCount != 0) {
        MiDrainCache(MiCurrentProcessor(), 0);
        First = MiTakeContiguous(Count, Low, High, Boundary);
    }
    MiRelease(&MiPfnLock, OldIrql);
    return First;
}

// ---- start --------------------------------------------------------------------------------------
static VOID MiReleaseKnownPage(PFN_NUMBER Page)
{
    MiSetPageState(Page, MiPageFree);
    MiPfn(Page)->u3.Word = (ULONG)MiPageFree << 16;
    MiPfn(Page)->PteAddress = NULL;
    MiPushPage(&MiFreeList, Page);
}

// Pages [First, End) of one chunk. A chunk without entries just has more free RAM in the RAM table,
// provided that there is enough of it to be of use.
static PFN_NUMBER MiReleasePiece(PFN_NUMBER First, PFN_NUMBER End)
{
    PFN_NUMBER Base = First / MI_CHUNK_PAGES * MI_CHUNK_PAGES, Count = End - First;
    if (MiCountRam(First, End, MiPageActive) != Count)
        return 0;
    if (MiIsChunkPopulated(MI_CHUNK_OF(First))) {
        for (PFN_NUMBER Page = First; Page < End; Page++)
            MiReleaseKnownPage(Page);
    } else {
        if (MiCountRam(Base, Base + MI_CHUNK_PAGES, MiPageFree) + Count < MI_CHUNK_MINIMUM)
            return 0;
        MiUntouched[MiPageActive] -= Count;
        MiUntouched[MiPageFree] += Count;
        if (MiGrowChunk <= MI_CHUNK_OF(First))
            MiGrowChunk = MI_CHUNK_OF(First) + 1;
    }
    MiLoadedPages -= Count;
    return MiSetRamState(First, End, MiPageFree) ? Count : 0;
}

PFN_NUMBER MiReleaseLoadedPages(PFN_NUMBER First, PFN_NUMBER Count)
{
    PFN_NUMBER Freed = 0, End = First + Count;
    KIRQL OldIrql = MiAcquire(&MiPfnLock);
    while (First < End) {
        PFN_NUMBER Stop = (MI_CHUNK_OF(First) + 1) * MI_CHUNK_PAGES;
        if (Stop > End)
            Stop = End;
        Freed += MiReleasePiece(First, Stop);
        First = Stop;
    }
    MiRelease(&MiPfnLock, OldIrql);
    return Freed;
}

VOID INIT_CODE MiInitializePfnDatabase(VOID)
{
    MiPfnDatabase = (PMMPFN)MiRegion[MmRegionPfnDatabase].Base;
    MiGrowChunk = MI_CHUNK_OF(MiHighestPage) + 1;
    KIRQL OldIrql = MiAcquire(&MiPfnLock);
    BOOLEAN Grown = MiGrowFreeList();
    MiRelease(&MiPfnLock, OldIrql);
    if (!Grown)
        KiBugCheck(NO_PAGES_AVAILABLE, MiTotalPages, MiUntouched[MiPageFree], 0, 0, NULL,
                   "There is no free RAM to start with.");
}

// ---- monitor ------------------------------------------------------------------------------------
static BOOLEAN MmPfnCommand(const char *Arguments)
{
    ULONG64 Page;
    if (!KdParseNumber(&Arguments, &Page))
        return FALSE;
    if (Page > MiHighestPage || !MiIsInDatabase((PFN_NUMBER)Page)) {
        KdPrintf("page %llX: %s, not in the PFN database yet\n", Page,
                 Page > MiHighestPage ? "None" : MiPageStateName(MiRamState((PFN_NUMBER)Page)));
        return TRUE;
    }
    PMMPFN Pfn = MiPfn((PFN_NUMBER)Page);
    KdPrintf("    PFN %llX at address %p\n", Page, Pfn);
    KdPrintf("    flink       %p  blink / share count %p  pteaddress %p\n", (PVOID)Pfn->u1.Flink,
             (PVOID)Pfn->u2.Blink, Pfn->PteAddress);
    KdPrintf("    reference count %04X    cache type %u    containing page %llX\n",
             Pfn->u3.ReferenceCount, Pfn->u3.CacheType == 0 ? MmCached : Pfn->u3.CacheType - 1u,
             (ULONG64)Pfn->PteFrame);
    KdPrintf("    restore pte %016llX    %s%s%s\n", Pfn->OriginalPte.Long,
             MiPageStateName(Pfn->u3.State), Pfn->u3.Cached ? ", in a processor's cache" : "",
             Pfn->u3.Fixed ? ", fixed" : "");
    return TRUE;
}
KD_COMMAND(pfn, "!pfn", "!pfn NUMBER: what is known of a physical page", MmPfnCommand,
           KD_SAFE_IN_BUGCHECK);

static VOID MiPrintCount(const char *Name, PFN_NUMBER Pages)
{
    KdPrintf("  %12s: %8llu (%9llu kb)\n", Name, (ULONG64)Pages, (ULONG64)Pages << 2);
}

static BOOLEAN MmMemUsageCommand(const char *Arguments)
{
    PFN_NUMBER Total = 0;
    for (ULONG State = MiPageFree; State < MiPageStates; State++) {
        MiPrintCount(MiPageStateName(State), MiCountPages(State));
        Total += MiCountPages(State);
    }
    MiPrintCount("TOTAL", Total);
    KdPrintf("  %llu of the free pages were never touched\n", (ULONG64)MiUntouched[MiPageFree]);
    return TRUE;
}
KD_COMMAND(memusage, "!memusage", "!memusage: physical pages by state", MmMemUsageCommand,
           KD_SAFE_IN_BUGCHECK);
