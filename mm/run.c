// SPDX-License-Identifier: MIT
// Physically contiguous pages.
//
// The run is searched from the upper limit downwards, through chunks that have entries and chunks
// that have not alike: of the latter the RAM table says what is free, a whole chunk at a time. Then
// its pages are taken in two steps: those that have entries come off their lists, and the chunks
// that have none are populated with the run's pages already taken (mm/chunk.c).
//
// Populating needs pages for entries from elsewhere. When there are none left, a chunk is populated
// the ordinary way, at the cost of its own pages, and the search starts again; every such round
// leaves one chunk less, so this ends.
//
// Locks: MiPfnLock. The search is linear in the pages looked at; it is held all the while.
#include "mi.h"

// Whether a page has an entry is asked page by page but answered once for each chunk.
typedef struct _MI_SCAN {
    PFN_NUMBER Chunk;
    BOOLEAN Populated;
} MI_SCAN;

#define SCAN_BEGIN                                                                                 \
    {                                                                                              \
        MM_NO_PAGE, FALSE                                                                          \
    }

static BOOLEAN MiHasEntry(MI_SCAN *Scan, PFN_NUMBER Page)
{
    if (MI_CHUNK_OF(Page) != Scan->Chunk) {
        Scan->Chunk = MI_CHUNK_OF(Page);
        Scan->Populated = MiIsChunkPopulated(Scan->Chunk);
    }
    return Scan->Populated;
}

// How many pages ending with Page, none below Low, are free in an untouched chunk: the answer
// reaches to the chunk's or the RAM entry's first page.
static PFN_NUMBER MiUntouchedExtent(PFN_NUMBER Page, PFN_NUMBER Low)
{
    PFN_NUMBER First = Page / MI_CHUNK_PAGES * MI_CHUNK_PAGES;
    for (ULONG i = 0; i < MiRamCount && MiRam[i].First <= Page; i++)
        if (Page < MiRam[i].End) {
            if (MiRam[i].State != MiPageFree)
                return 0;
            if (First < MiRam[i].First)
                First = MiRam[i].First;
            return Page - (First > Low ? First : Low) + 1;
        }
    return 0;
}

// The same for any chunk. Where there are entries it is one page or none.
static PFN_NUMBER MiFreeExtent(MI_SCAN *Scan, PFN_NUMBER Page, PFN_NUMBER Low)
{
    if (!MiHasEntry(Scan, Page))
        return MiUntouchedExtent(Page, Low);
    PMMPFN Pfn = MiPfn(Page);
    return (Pfn->u3.State == MiPageFree || Pfn->u3.State == MiPageZeroed) && !Pfn->u3.Cached;
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
    MI_SCAN Scan = SCAN_BEGIN;
    PFN_NUMBER Run = 0, Position = MiRamBelow(High + 1);
    if (Position == MM_NO_PAGE)
        return MM_NO_PAGE;
    for (Position++; Position > Low;) {
        PFN_NUMBER Extent = MiFreeExtent(&Scan, Position - 1, Low);
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

// Takes what has entries. The rest is taken as it gets them.
static VOID MiTakeRun(PFN_NUMBER First, PFN_NUMBER Count)
{
    MI_PROCESSOR *Processor = MiCurrentProcessor();
    MI_SCAN Scan = SCAN_BEGIN;
    for (PFN_NUMBER Page = First; Page < First + Count; Page++) {
        if (!MiHasEntry(&Scan, Page))
            continue;
        MiUnlinkPage(MiPfn(Page)->u3.State == MiPageFree ? &MiFreeList : &MiZeroedList, Page);
        MiMakeActive(Processor, Page);
    }
}

static VOID MiGiveRunBack(PFN_NUMBER First, PFN_NUMBER Count)
{
    MI_SCAN Scan = SCAN_BEGIN;
    for (PFN_NUMBER Page = First; Page < First + Count; Page++)
        if (MiHasEntry(&Scan, Page))
            MiReturnPage(Page);
}

static PFN_NUMBER MiTakeContiguous(PFN_NUMBER Count, PFN_NUMBER Low, PFN_NUMBER High,
                                   PFN_NUMBER Boundary)
{
    for (;;) {
        PFN_NUMBER First = MiFindRun(Count, Low, High, Boundary);
        if (First == MM_NO_PAGE)
            return MM_NO_PAGE;
        MiTakeRun(First, Count);
        if (MiPopulateRun(First, Count))
            return First;
        MiGiveRunBack(First, Count);
        if (!MiGrowFreeList())
            return MM_NO_PAGE;
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
