// SPDX-License-Identifier: MIT
// The validator: is the PFN database consistent with itself?
//
// White-box and read-only. It proves that the page lists are well linked, hold pages of their state
// alone and are as long as they say; that every processor's cache holds free pages; that the pages
// found by walking the database are as many as are counted by state; and that all states together
// are the RAM we were given (PH-28). It checks the bitmaps of address space too. It cannot prove
// that a page in use is used by the one who thinks so.
//
// Counts that other processors change without a lock are compared only while one processor runs.
#include "mi.h"

static const char *MiWrong; // what was found, for the report
static PFN_NUMBER MiWrongPage;

static BOOLEAN MiFail(const char *What, PFN_NUMBER Page)
{
    MiWrong = What;
    MiWrongPage = Page;
    return FALSE;
}

static BOOLEAN MiCheckList(const MI_PAGE_LIST *List)
{
    PFN_NUMBER Count = 0, Previous = MI_LIST_END;
    for (PFN_NUMBER Page = List->Head; Page != MI_LIST_END; Page = MiPfn(Page)->u1.Flink) {
        if (!MiIsInDatabase(Page))
            return MiFail("a list names a page that is not in the database", Page);
        PMMPFN Pfn = MiPfn(Page);
        if (Pfn->u2.Blink != Previous)
            return MiFail("a page's back link is wrong", Page);
        if (Pfn->u3.State != List->State || Pfn->u3.Cached || Pfn->u3.ReferenceCount != 0)
            return MiFail("a page on a list is not in the list's state", Page);
        if (++Count > List->Count)
            return MiFail("a list is longer than it says", Page);
        Previous = Page;
    }
    return Count == List->Count || MiFail("a list is shorter than it says", List->Head);
}

static BOOLEAN MiCheckCache(const MI_PROCESSOR *Processor)
{
    if (Processor->CacheCount > MI_CACHE_PAGES)
        return MiFail("a page cache is overfull", Processor->CacheCount);
    for (ULONG i = 0; i < Processor->CacheCount; i++) {
        PMMPFN Pfn = MiPfn(Processor->Cache[i]);
        if (Pfn->u3.State != MiPageFree || !Pfn->u3.Cached)
            return MiFail("a cached page is not free", Processor->Cache[i]);
    }
    return TRUE;
}

static BOOLEAN MiCheckChunk(PFN_NUMBER Chunk, PFN_NUMBER Count[MiPageStates])
{
    for (PFN_NUMBER Page = Chunk * MI_CHUNK_PAGES; Page < (Chunk + 1) * MI_CHUNK_PAGES; Page++) {
        PMMPFN Pfn = MiPfn(Page);
        if (Pfn->u3.State >= MiPageStates)
            return MiFail("a page is in a state that does not exist", Page);
        if (Pfn->u3.State == MiPageActive && Pfn->u3.ReferenceCount == 0)
            return MiFail("a page in use has no reference", Page);
        if ((Pfn->u3.State == MiPageNone) != (MiRamState(Page) == MiPageNone))
            return MiFail("the database and the RAM table disagree", Page);
        Count[Pfn->u3.State]++;
    }
    return TRUE;
}

// Chunks are visited through the RAM table, each once: holes of a large machine cost nothing.
static BOOLEAN MiCheckChunks(PFN_NUMBER Count[MiPageStates])
{
    PFN_NUMBER Next = 0;
    for (ULONG i = 0; i < MiRamCount; i++) {
        PFN_NUMBER Chunk = MI_CHUNK_OF(MiRam[i].First);
        for (Chunk = Chunk > Next ? Chunk : Next; Chunk <= MI_CHUNK_OF(MiRam[i].End - 1); Chunk++) {
            if (MiIsChunkPopulated(Chunk) && !MiCheckChunk(Chunk, Count))
                return FALSE;
            Next = Chunk + 1;
        }
    }
    return TRUE;
}

static BOOLEAN MiCheckCounts(VOID)
{
    PFN_NUMBER Count[MiPageStates] = {0}, Total = 0, Cached = 0;
    if (!MiCheckChunks(Count))
        return FALSE;
    if (MiProcessors[1] != NULL)
        return TRUE;
    for (ULONG State = MiPageFree; State < MiPageStates; State++) {
        if (MiCountPages(State) != Count[State] + MiUntouched[State])
            return MiFail("pages of a state are not as many as counted", State);
        Total += MiCountPages(State);
    }
    if (Total != MiTotalPages)
        return MiFail("all states together are not all of RAM", Total);
    Cached = MiProcessors[0]->CacheCount;
    if (Count[MiPageFree] != MiFreeList.Count + Cached || Count[MiPageZeroed] != MiZeroedList.Count)
        return MiFail("free pages are missing from their list", Count[MiPageFree]);
    return TRUE;
}

static BOOLEAN MiCheckRanges(VOID)
{
    for (ULONG i = 0; i < MmRegionMaximum; i++) {
        MI_RANGE *Range = MiRangeOf(i);
        const char *What;
        if (Range != NULL && !MiCheckRange(Range, &What))
            return MiFail(What, i);
    }
    return TRUE;
}

static BOOLEAN MiCheckPages(VOID)
{
    if (!MiCheckList(&MiFreeList) || !MiCheckList(&MiZeroedList))
        return FALSE;
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS && MiProcessors[i] != NULL; i++)
        if (!MiCheckCache(MiProcessors[i]))
            return FALSE;
    return MiCheckCounts();
}

// IRQL: <= DISPATCH_LEVEL. FALSE: damaged, and the log says where.
BOOLEAN MmCheckIntegrity(VOID)
{
    KIRQL OldIrql = MiAcquire(&MiPfnLock);
    BOOLEAN Good = MiCheckPages();
    MiRelease(&MiPfnLock, OldIrql);
    if (!Good)
        KLOG("mm", "PFN database: %s (%llX)", MiWrong, (ULONG64)MiWrongPage);
    return Good;
}

static BOOLEAN MmPfnCheckCommand(const char *Arguments)
{
    KIRQL OldIrql = MiRaiseToDispatch(); // the pools are trimmed in a DPC
    BOOLEAN Good = MiCheckPages() && MiCheckRanges();
    MiLowerFromDispatch(OldIrql);
    if (Good)
        KdPrintf("PFN database, page lists and address space are consistent\n");
    else
        KdPrintf("damaged: %s (%llX)\n", MiWrong, (ULONG64)MiWrongPage);
    return TRUE;
}
KD_COMMAND(pfncheck, "!pfncheck", "!pfncheck: validates the PFN database and address ranges",
           MmPfnCheckCommand, KD_SAFE_IN_BUGCHECK);
