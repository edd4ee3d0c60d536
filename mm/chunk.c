// SPDX-License-Identifier: MIT
// Filling the PFN database, chunk by chunk, and giving loaded pages back.
//
// A chunk is populated in three steps: the database pages for its 512 entries are mapped, with page
// tables where they are missing; the pages for both are the chunk's own first free ones, or come
// from the free list when the chunk is to stay whole (Foreign); then every page of the chunk that
// is RAM gets its state from the RAM table, and the free ones go onto the free list.
//
// Entries stay, whatever becomes of the memory that made them necessary. Were each chunk's in the
// chunk, no free run could ever be longer than a chunk once all of RAM had been in use. So a chunk
// that is populated sets aside pages for the entries of the next few below it, which stay whole:
// there are runs of about 16 MiB then.
//
// Who asks for a page's state takes no lock. So a chunk's database pages are zeroes before they are
// mapped, and the first, which says that the chunk is populated, is mapped last; an entry of zeroes
// is that of no RAM, or of a page that the RAM table still knows about (MiQueryPageState).
//
// While a contiguous run is being taken (mm/run.c) its pages go to the taker instead: no page for
// entries can come out of the run itself.
//
// Locks: MiPfnLock for everything here. The database's page tables are guarded by it too.
#include "mi.h"

// Chunks from here up have been tried by MiGrowFreeList.
static PFN_NUMBER MiGrowChunk;

// The run that is being taken, if any.
static PFN_NUMBER MiRunFirst, MiRunEnd;

// ---- populate -----------------------------------------------------------------------------------
#define MI_SPARE_CHUNKS 7u // for so many chunks pages are set aside by one

static PFN_NUMBER MiSpare[MI_SPARE_CHUNKS * MI_CHUNK_DATABASE_PAGES]; // in use, fixed
static ULONG MiSpareCount;

typedef struct _MI_CHUNK_SUPPLY {
    PFN_NUMBER Next, End; // the chunk's own pages not yet looked at
    BOOLEAN Foreign;      // take from the free list instead
} MI_CHUNK_SUPPLY;

static PFN_NUMBER MiTakeForeignPage(VOID)
{
    PFN_NUMBER Page = MiPopPage(&MiFreeList);
    if (Page == MM_NO_PAGE)
        return Page;
    MiMakeActive(MiCurrentProcessor(), Page);
    MiPfn(Page)->u3.Fixed = 1;
    return Page;
}

static PFN_NUMBER MiTakeOwnPage(MI_CHUNK_SUPPLY *Supply)
{
    while (Supply->Next < Supply->End)
        if (MiRamState(Supply->Next++) == MiPageFree)
            return Supply->Next - 1;
    return MM_NO_PAGE;
}

static PFN_NUMBER MiSupplyChunkPage(PVOID Context)
{
    MI_CHUNK_SUPPLY *Supply = Context;
    if (MiSpareCount != 0)
        return MiSpare[--MiSpareCount];
    return Supply->Foreign ? MiTakeForeignPage() : MiTakeOwnPage(Supply);
}

static BOOLEAN MiMapDatabasePage(ULONG_PTR Address, MI_CHUNK_SUPPLY *Supply)
{
    if (!MiEnsureTables(Address, MiSupplyChunkPage, Supply))
        return FALSE;
    PFN_NUMBER Page = MiSupplyChunkPage(Supply);
    if (Page == MM_NO_PAGE)
        return FALSE;
    MiZeroPage(Page);
    MiMapPages((PVOID)Address, Page, 1, MM_READ | MM_WRITE, MmCached);
    MiPfnPages++;
    return TRUE;
}

static VOID MiEnterPage(PFN_NUMBER Page, MI_PAGE_STATE State, BOOLEAN Taken)
{
    BOOLEAN InRun = Page >= MiRunFirst && Page < MiRunEnd;
    MiUntouched[State]--;
    if (State == MiPageFree && !Taken && !InRun) {
        MiSetPageState(Page, MiPageFree);
        MiPushPage(&MiFreeList, Page);
    } else if (State == MiPageBad) {
        MiSetPageState(Page, MiPageBad);
    } else {
        MiMakeActive(MiCurrentProcessor(), Page);
        MiPfn(Page)->u3.Fixed = Taken;
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

// What populating a chunk may need: its entries and a page table of each level.
#define MI_FOREIGN_PAGES (MI_CHUNK_DATABASE_PAGES + MI_SELF_MAP_LEVELS)

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

// For the entries of the chunks below this one, as far as there are any.
static VOID MiSetPagesAside(PFN_NUMBER Chunk, MI_CHUNK_SUPPLY *Supply)
{
    for (ULONG Ahead = 0; Ahead < MI_SPARE_CHUNKS; Ahead++) {
        Chunk = MiChunkBelow(Chunk);
        if (Chunk == MM_NO_PAGE)
            return;
        for (ULONG i = 0; i < MI_CHUNK_DATABASE_PAGES; i++) {
            PFN_NUMBER Page = MiTakeOwnPage(Supply);
            if (Page == MM_NO_PAGE)
                return;
            MiSpare[MiSpareCount++] = Page;
        }
    }
}

// Fails when there are too few pages to take: of its own, or on the free list for Foreign.
static BOOLEAN MiPopulateChunk(PFN_NUMBER Chunk, BOOLEAN Foreign)
{
    PFN_NUMBER First = Chunk * MI_CHUNK_PAGES;
    MI_CHUNK_SUPPLY Supply = {First, First + MI_CHUNK_PAGES, Foreign};
    ULONG_PTR Address = (ULONG_PTR)MiPfn(First);
    ULONG Own = MiCountRam(First, First + MI_CHUNK_PAGES, MiPageFree);
    BOOLEAN SetsAside = !Foreign && MiSpareCount == 0 && Own >= MI_CHUNK_PAGES / 2;

    if (Foreign ? MiFreeList.Count < MI_FOREIGN_PAGES : Own < MI_CHUNK_MINIMUM)
        return FALSE;
    for (ULONG i = MI_CHUNK_DATABASE_PAGES; i-- != 0;)
        if (!MiMapDatabasePage(Address + i * PAGE_SIZE, &Supply))
            KiBugCheck(NO_PAGES_AVAILABLE, Chunk, Own, MiFreeList.Count, 0, NULL,
                       "A chunk of RAM could not hold its own page descriptions.");
    if (SetsAside)
        MiSetPagesAside(Chunk, &Supply);
    MiEnterChunk(First, &Supply);
    return TRUE;
}

static BOOLEAN MiIsRunChunk(PFN_NUMBER Chunk)
{
    return MiRunEnd != 0 && Chunk >= MI_CHUNK_OF(MiRunFirst) && Chunk <= MI_CHUNK_OF(MiRunEnd - 1);
}

BOOLEAN MiGrowFreeList(VOID)
{
    PFN_NUMBER Chunk;
    while ((Chunk = MiChunkBelow(MiGrowChunk)) != MM_NO_PAGE) {
        MiGrowChunk = Chunk;
        if (!MiIsChunkPopulated(Chunk) && !MiIsRunChunk(Chunk) && MiPopulateChunk(Chunk, FALSE))
            return TRUE;
    }
    return FALSE;
}

BOOLEAN MiPopulateRun(PFN_NUMBER First, PFN_NUMBER Count)
{
    PFN_NUMBER Grow = MiGrowChunk, Chunk = MI_CHUNK_OF(First);
    BOOLEAN Able = TRUE;
    MiRunFirst = First;
    MiRunEnd = First + Count;
    for (; Able && Chunk <= MI_CHUNK_OF(First + Count - 1); Chunk++)
        while (Able && !MiIsChunkPopulated(Chunk) && !MiPopulateChunk(Chunk, TRUE))
            Able = MiGrowFreeList();
    MiRunFirst = MiRunEnd = 0;
    if (!Able)
        MiGrowChunk = Grow; // the run's own chunks were passed over
    return Able;
}

// ---- loaded pages -------------------------------------------------------------------------------
// Pages [First, End) of one chunk. A chunk without entries just has more free RAM in the RAM table,
// provided that there is enough of it to be of use.
static PFN_NUMBER MiReleasePiece(PFN_NUMBER First, PFN_NUMBER End)
{
    PFN_NUMBER Base = First / MI_CHUNK_PAGES * MI_CHUNK_PAGES, Count = End - First;
    if (MiCountRam(First, End, MiPageActive) != Count)
        return 0;
    if (MiIsChunkPopulated(MI_CHUNK_OF(First))) {
        for (PFN_NUMBER Page = First; Page < End; Page++)
            MiReturnPage(Page);
    } else {
        if (MiCountRam(Base, Base + MI_CHUNK_PAGES, MiPageFree) + Count < MI_CHUNK_MINIMUM)
            return 0;
        MiUntouched[MiPageActive] -= Count;
        MiUntouched[MiPageFree] += Count;
        MiNoteFreePage(End - 1);
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

// ---- start --------------------------------------------------------------------------------------
VOID INIT_CODE MiInitializePfnDatabase(VOID)
{
    MiPfnDatabase = (PMMPFN)MiRegion[MmRegionPfnDatabase].Base;
    MiGrowChunk = MI_CHUNK_OF(MiHighestPage) + 1;
    MiSpareCount = 0;
    MiRaiseRunTops(MiHighestPage);
    KIRQL OldIrql = MiAcquire(&MiPfnLock);
    BOOLEAN Grown = MiGrowFreeList();
    MiRelease(&MiPfnLock, OldIrql);
    if (!Grown)
        KiBugCheck(NO_PAGES_AVAILABLE, MiTotalPages, MiUntouched[MiPageFree], 0, 0, NULL,
                   "There is no free RAM to start with.");
}
