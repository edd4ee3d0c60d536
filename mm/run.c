// SPDX-License-Identifier: MIT
// Physically contiguous pages.
//
// The run is searched from the upper limit downwards, through chunks that have entries and chunks
// that have not alike: of the latter the RAM table says what is free, a whole chunk at a time. Then
// its pages are taken in two steps: those that have entries come off their lists, and the chunks
// that have none are populated with the run's pages already taken (mm/chunk.c).
//
// So that a driver that takes many blocks does not have the same pages in use looked at for each, a
// hint is kept for each size class: no run of that many pages ends above it. Taking the highest run
// lowers the hint to it; a page that becomes free raises it as far as a run through that page can
// reach.
//
// Populating needs pages for entries from elsewhere. When there are none left, a chunk is populated
// the ordinary way, at the cost of its own pages, and the search starts again; every such round
// leaves one chunk less, so this ends.
//
// Locks: MiPfnLock. The search is linear in the pages looked at; it is held all the while.
#include "mi.h"

// ---- hints --------------------------------------------------------------------------------------
// No run of Pages free pages or more ends above Top. Pages 0: nothing is known.
typedef struct _MI_RUN_HINT {
    PFN_NUMBER Pages, Top;
} MI_RUN_HINT;

#define HINT_CLASSES 24u // by powers of two: up to 64 GiB

static MI_RUN_HINT MiRunHint[HINT_CLASSES];
PFN_NUMBER MiRunAlert = MM_NO_PAGE;

static MI_RUN_HINT *MiHintOf(PFN_NUMBER Count)
{
    ULONG Class = 0;
    while (Class + 1 < HINT_CLASSES && Count >> (Class + 1) != 0)
        Class++;
    return &MiRunHint[Class];
}

static PFN_NUMBER MiRunTop(PFN_NUMBER Count)
{
    const MI_RUN_HINT *Hint = MiHintOf(Count);
    return Hint->Pages != 0 && Hint->Pages <= Count ? Hint->Top : MiHighestPage + 1;
}

// A page that becomes free there or above may be part of a run that ends above the hint's top.
static VOID MiAlertFor(const MI_RUN_HINT *Hint)
{
    PFN_NUMBER Alert = Hint->Top > Hint->Pages ? Hint->Top - Hint->Pages : 0;
    if (Alert < MiRunAlert)
        MiRunAlert = Alert;
}

static VOID MiLearnRunTop(PFN_NUMBER Count, PFN_NUMBER Top)
{
    MI_RUN_HINT *Hint = MiHintOf(Count);
    *Hint = (MI_RUN_HINT){Count, Top};
    MiAlertFor(Hint);
}

// What lies free just above Page is shorter than the hint's run, so a run through Page ends at most
// that far above it.
VOID MiRaiseRunTops(PFN_NUMBER Page)
{
    MiRunAlert = MM_NO_PAGE;
    for (ULONG i = 0; i < HINT_CLASSES; i++) {
        MI_RUN_HINT *Hint = &MiRunHint[i];
        if (Hint->Pages == 0)
            continue;
        if (Page + Hint->Pages > Hint->Top)
            Hint->Top = Page + Hint->Pages;
        if (Hint->Top > MiHighestPage)
            Hint->Pages = 0;
        else
            MiAlertFor(Hint);
    }
}

// ---- search -------------------------------------------------------------------------------------
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

// Free, and in no processor's cache. Read at once: others free pages without the lock.
static BOOLEAN MiIsListed(const MMPFN *Pfn)
{
    MMPFN Seen;
    Seen.u3.Word = __atomic_load_n(&Pfn->u3.Word, __ATOMIC_RELAXED);
    return (Seen.u3.State == MiPageFree || Seen.u3.State == MiPageZeroed) && !Seen.u3.Cached;
}

// The same for any chunk. Where there are entries it is one page or none.
static PFN_NUMBER MiFreeExtent(MI_SCAN *Scan, PFN_NUMBER Page, PFN_NUMBER Low)
{
    if (!MiHasEntry(Scan, Page))
        return MiUntouchedExtent(Page, Low);
    return MiIsListed(MiPfn(Page));
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

// ---- take ---------------------------------------------------------------------------------------
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
        PFN_NUMBER Top = MiRunTop(Count);
        PFN_NUMBER First = MiFindRun(Count, Low, High < Top ? High : Top - 1, Boundary);
        if (First == MM_NO_PAGE)
            return MM_NO_PAGE;
        MiTakeRun(First, Count);
        if (MiPopulateRun(First, Count)) {
            if (High >= Top - 1 && Boundary == 0)
                MiLearnRunTop(Count, First);
            return First;
        }
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
