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

#define PFN_WORD_IN_USE (1u | (ULONG)MiPageActive << 16) // ReferenceCount 1, active, no flags

// IRQL: DISPATCH_LEVEL.
VOID MiMakeActive(MI_PROCESSOR *Processor, PFN_NUMBER Page)
{
    PMMPFN Pfn = MiPfn(Page);
    MiChangeState(Processor, Pfn, Page, MiPageActive);
    Pfn->u3.Word = PFN_WORD_IN_USE;
    Pfn->u2.ShareCount = 1;
    Pfn->PteAddress = NULL;
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

// Another processor may be entering the chunk's pages.
MI_PAGE_STATE MiQueryPageState(PFN_NUMBER Page)
{
    MI_PAGE_STATE State = MiIsInDatabase(Page) ? (MI_PAGE_STATE)MiPfn(Page)->u3.State : MiPageNone;
    return State != MiPageNone ? State : MiRamState(Page);
}

#define STATE_BIT(State) (1u << (State))
#define FREE_STATES      (STATE_BIT(MiPageFree) | STATE_BIT(MiPageZeroed))

// A set of the states that pages of one chunk are in.
static ULONG MiStatesInChunk(PFN_NUMBER First, PFN_NUMBER End)
{
    ULONG States = 0;
    if (!MiIsInDatabase(First)) {
        for (MI_PAGE_STATE State = MiPageFree; State < MiPageStates; State++)
            if (MiCountRam(First, End, State) != 0)
                States |= STATE_BIT(State);
        return States;
    }
    for (; First != End; First++)
        States |= STATE_BIT(MiQueryPageState(First));
    return States & ~STATE_BIT(MiPageNone);
}

static NOINLINE MI_PAGE_STATE MiSearchPages(PFN_NUMBER First, PFN_NUMBER Count, PFN_NUMBER *Found)
{
    BOOLEAN Ram = FALSE;
    PFN_NUMBER Last = First + Count, End;
    for (; First < Last && First <= MiHighestPage; First = End) {
        End = ALIGN_DOWN_BY(First, MI_CHUNK_PAGES) + MI_CHUNK_PAGES;
        End = End < Last ? End : Last;
        ULONG States = MiStatesInChunk(First, End);
        Ram = Ram || States != 0;
        // Another processor may have taken it since.
        for (PFN_NUMBER Page = First; (States & FREE_STATES) != 0 && Page < End; Page++)
            if (STATE_BIT(MiQueryPageState(Page)) & FREE_STATES) {
                *Found = Page;
                return MiPageFree;
            }
    }
    return Ram ? MiPageActive : MiPageNone;
}

// Are all of these, of one chunk, in use? That state's number has bits that no other has together,
// so a page costs one instruction.
C_ASSERT((MiPageActive & MiPageFree) != MiPageActive);
C_ASSERT((MiPageActive & MiPageZeroed) != MiPageActive);
C_ASSERT((MiPageActive & MiPageBad) != MiPageActive);

static BOOLEAN MiAreActive(PFN_NUMBER First, PFN_NUMBER Count)
{
    ULONG All = ~0u;
    const MMPFN *Pfn = MiPfn(First);
    if (!MiIsInDatabase(First))
        return FALSE;
    for (; Count >= PAGES_A_TURN; Count -= PAGES_A_TURN, Pfn += PAGES_A_TURN)
#pragma GCC unroll 8
        for (ULONG i = 0; i < PAGES_A_TURN; i++)
            All &= Pfn[i].u3.Word;
    for (; Count != 0; Count--, Pfn++)
        All &= Pfn->u3.Word;
    return ((MMPFN){.u3.Word = All}).u3.State == MiPageActive;
}

MI_PAGE_STATE MiQueryPages(PFN_NUMBER First, PFN_NUMBER Count, PFN_NUMBER *Found)
{
    if (Count <= MI_CHUNK_PAGES - First % MI_CHUNK_PAGES && MiAreActive(First, Count))
        return MiPageActive;
    return MiSearchPages(First, Count, Found);
}

// ---- lists --------------------------------------------------------------------------------------
// Locked: MiPfnLock. The state is the caller's business.
VOID MiPushPage(MI_PAGE_LIST *List, PFN_NUMBER Page)
{
    PMMPFN Pfn = MiPfn(Page);
    Pfn->u1.Flink = List->Head;
    Pfn->u2.Blink = MI_LIST_END;
    if (List->Head != MI_LIST_END)
        MiPfn(List->Head)->u2.Blink = Page;
    List->Head = Page;
    List->Count++;
    MiNoteFreePage(Page);
}

VOID MiUnlinkPage(MI_PAGE_LIST *List, PFN_NUMBER Page)
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

PFN_NUMBER MiPopPage(MI_PAGE_LIST *List)
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

VOID MiReturnPage(PFN_NUMBER Page)
{
    MiSetPageState(Page, MiPageFree);
    MiPfn(Page)->u3.Word = (ULONG)MiPageFree << 16;
    MiPfn(Page)->PteAddress = NULL;
    MiPushPage(&MiFreeList, Page);
}

// ---- one page -----------------------------------------------------------------------------------
#if DBG
// A check walks all of RAM: the more there is, the rarer, so that it costs every refill the same.
static VOID MiCheckNowAndThen(VOID)
{
    static ULONG Turns;
    if (++Turns % (1024 + MiTotalPages / 16) == 0)
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

VOID MiDrainCache(MI_PROCESSOR *Processor, ULONG Keep)
{
    while (Processor->CacheCount > Keep) {
        PFN_NUMBER Page = Processor->Cache[--Processor->CacheCount];
        MiPfn(Page)->u3.Cached = 0;
        MiPushPage(&MiFreeList, Page);
    }
}

// Off the list and not active yet, it is as good as cached (see MmFreePage).
static PFN_NUMBER MiTakeZeroedPage(VOID)
{
    KiAcquireLockAtDpcLevel(&MiPfnLock);
    PFN_NUMBER Page = MiPopPage(&MiZeroedList);
    if (Page != MM_NO_PAGE)
        MiPfn(Page)->u3.Cached = 1;
    KiReleaseLockFromDpcLevel(&MiPfnLock);
    return Page;
}

static PFN_NUMBER MiTakeFreePage(MI_PROCESSOR *Processor)
{
    if (Processor->CacheCount == 0 && !MiRefillCache(Processor))
        return MM_NO_PAGE;
    return Processor->Cache[--Processor->CacheCount];
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
    // Cached before it is free: who looks for a run, under the lock that is not held here, would
    // take it for a page on the list.
    Pfn->u3.Cached = 1;
    __asm__ volatile("" ::: "memory");
    MiChangeState(Processor, Pfn, Page, MiPageFree);
    Pfn->u3.ReferenceCount = 0;
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

// ---- monitor ------------------------------------------------------------------------------------
// The frame of the page table that maps the page; system space does not keep it in the entry.
static PFN_NUMBER MiContainingPage(const MMPFN *Pfn)
{
    MI_MAPPING Mapping;
    if (Pfn->PteAddress == NULL || !MiQueryMapping((ULONG_PTR)Pfn->PteAddress, &Mapping))
        return Pfn->PteFrame;
    return Mapping.Valid ? Mapping.Page : 0;
}

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
             (ULONG64)MiContainingPage(Pfn));
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
