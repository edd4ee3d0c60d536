// SPDX-License-Identifier: MIT
// Address ranges: which pages of a region are reserved.
//
// Problem. Five regions of up to 128 GiB each hand out runs of pages, mostly short ones, at
// DISPATCH_LEVEL, and must not pay at start for address space that nobody uses yet.
//
// Idea. One bit for each page, in groups of 1024 pages (4 MiB of address space). Groups beyond the
// frontier have no bits at all: everything there is free. The frontier moves up when nothing below
// it fits, and only then is memory for bits committed. Each group knows how many of its bits are
// clear and an upper bound of its longest clear run, so a search passes over groups that cannot
// serve it.
//
// A run of up to half a group never crosses groups: it is first fit, from the first group that has
// a clear bit. Up to 32 pages the search is a few shifts on a 64-bit window of two words. Longer
// runs are rare and are found by counting clear bits from group to group.
//
// The bound is made exact for the size asked whenever a search in the group fails, and is reset by
// a release; so a group is searched in vain at most once for each release in it.
//
// Whoever reserved a run says how long it is when releasing it; a run that was not wholly reserved
// is refused. Locks: MI_RANGE.Lock. Observability: `!vm`, `!pfncheck`; tests/host/test_mm_range.c.
#include "mi.h"

#define SMALL_PAGES (MI_GROUP_PAGES / 2)
#define NOT_FOUND   ((SIZE_T)-1)

FORCEINLINE MI_GROUP *MiGroup(const MI_RANGE *Range, ULONG Index)
{
    return (MI_GROUP *)Range->Array.Base + Index;
}

VOID INIT_CODE MiInitializeRange(MI_RANGE *Range, ULONG_PTR Base, ULONG_PTR Size)
{
    KeInitializeSpinLock(&Range->Lock);
    Range->Base = Base;
    Range->Groups = (ULONG)(Size / (MI_GROUP_PAGES * PAGE_SIZE));
    Range->Frontier = Range->Hint = 0;
    Range->Used = 0;
    MiCreateArray(&Range->Array, Range->Groups * sizeof(MI_GROUP));
}

// ---- bits ---------------------------------------------------------------------------------------
// The bits of Free at which Pages set bits in a row begin. Each step joins two runs end to end.
FORCEINLINE ULONG64 MiRunStarts(ULONG64 Free, ULONG Pages)
{
    for (ULONG Have = 1; Have < Pages;) {
        ULONG Step = Have < Pages - Have ? Have : Pages - Have;
        Free &= Free >> Step;
        Have += Step;
    }
    return Free;
}

static SIZE_T MiFindShortRun(MI_GROUP *Group, ULONG Pages)
{
    while (Group->Bits[Group->FirstWord] == ~0u && Group->FirstWord + 1u < MI_GROUP_WORDS)
        Group->FirstWord++;
    for (ULONG i = Group->FirstWord; i < MI_GROUP_WORDS; i++) {
        ULONG64 Free = (ULONG)~Group->Bits[i];
        if (Free == 0)
            continue;
        if (i + 1 < MI_GROUP_WORDS)
            Free |= (ULONG64)(ULONG)~Group->Bits[i + 1] << 32;
        ULONG Starts = (ULONG)MiRunStarts(Free, Pages);
        if (Starts != 0)
            return i * 32 + (ULONG)__builtin_ctz(Starts);
    }
    return NOT_FOUND;
}

// Continues a count of clear bits over one group. Run: clear bits just before it on entry, at its
// end on return. Finds a run that is complete within the group, by the number of its first page
// counted from the group's (negative when it began earlier).
static BOOLEAN MiFindLongRun(const MI_GROUP *Group, SIZE_T Pages, SIZE_T *Run, LONG_PTR *First)
{
    for (ULONG i = 0; i < MI_GROUP_WORDS; i++) {
        ULONG Used = Group->Bits[i];
        SIZE_T Clear = Used == 0 ? 32 : (SIZE_T)__builtin_ctz(Used);
        if (*Run + Clear >= Pages) {
            *First = (LONG_PTR)(i * 32) - (LONG_PTR)*Run;
            return TRUE;
        }
        *Run = Used == 0 ? *Run + 32 : (SIZE_T)__builtin_clz(Used);
    }
    return FALSE;
}

static NOINLINE SIZE_T MiFindInGroup(MI_GROUP *Group, ULONG Pages)
{
    SIZE_T Run = 0, Found = NOT_FOUND;
    LONG_PTR First;
    if (Pages <= 32)
        Found = MiFindShortRun(Group, Pages);
    else if (MiFindLongRun(Group, Pages, &Run, &First))
        Found = (SIZE_T)First;
    if (Found == NOT_FOUND)
        Group->LongestRun = (USHORT)(Pages - 1);
    return Found;
}

// Sets or clears bits of one word; Flip FALSE only asks. FALSE: a bit was so already.
FORCEINLINE BOOLEAN MiChangeWord(ULONG *Word, ULONG Shift, ULONG Count, BOOLEAN Set, BOOLEAN Flip)
{
    ULONG Mask = ~0u >> (32 - Count) << Shift;
    if ((*Word & Mask) != (Set ? 0 : Mask))
        return FALSE;
    if (Flip)
        *Word ^= Mask;
    return TRUE;
}

static NOINLINE BOOLEAN MiChangeWords(ULONG *Bits, ULONG First, ULONG Pages, BOOLEAN Set,
                                      BOOLEAN Flip)
{
    while (Pages != 0) {
        ULONG Shift = First % 32, Count = 32 - Shift < Pages ? 32 - Shift : Pages;
        if (!MiChangeWord(&Bits[First / 32], Shift, Count, Set, Flip))
            return FALSE;
        First += Count;
        Pages -= Count;
    }
    return TRUE;
}

// A run of up to 32 bits lies in the 64 that begin with its first word. Those of the group's last
// word reach into the counts behind it; the run does not.
typedef ULONG64 DECLSPEC_ALIGN(4) MI_WINDOW;
C_ASSERT(sizeof(MI_GROUP) >= (MI_GROUP_WORDS + 1) * sizeof(ULONG));

FORCEINLINE BOOLEAN MiChangeWindow(ULONG *Word, ULONG Shift, ULONG Count, BOOLEAN Set)
{
    MI_WINDOW *Window = (MI_WINDOW *)Word;
    ULONG64 Mask = (ULONG64)(~0u >> (32 - Count)) << Shift;
    if ((*Window & Mask) != (Set ? 0 : Mask))
        return FALSE;
    *Window ^= Mask;
    return TRUE;
}

FORCEINLINE BOOLEAN MiChangeBits(ULONG *Bits, ULONG First, ULONG Pages, BOOLEAN Set)
{
    if (Pages <= 32)
        return MiChangeWindow(&Bits[First / 32], First % 32, Pages, Set);
    return MiChangeWords(Bits, First, Pages, Set, FALSE) &&
           MiChangeWords(Bits, First, Pages, Set, TRUE);
}

// Sets or clears a run inside one group. FALSE: a bit was so already; nothing is changed then.
FORCEINLINE BOOLEAN MiChangeGroup(MI_GROUP *Group, ULONG First, ULONG Pages, BOOLEAN Set)
{
    if (!MiChangeBits(Group->Bits, First, Pages, Set))
        return FALSE;
    Group->Free = (USHORT)(Set ? Group->Free - Pages : Group->Free + Pages);
    if (!Set || Group->LongestRun > Group->Free)
        Group->LongestRun = Group->Free;
    if (!Set && First / 32 < Group->FirstWord)
        Group->FirstWord = (USHORT)(First / 32);
    return TRUE;
}

// ---- frontier -----------------------------------------------------------------------------------
// Locked: Range->Lock. Fails: the region ends, or no memory for the bits.
static NOINLINE BOOLEAN MiMoveFrontier(MI_RANGE *Range, SIZE_T Groups)
{
    if (Groups > Range->Groups || !MiGrowArray(&Range->Array, Groups * sizeof(MI_GROUP)))
        return FALSE;
    for (; Range->Frontier < Groups; Range->Frontier++)
        MiGroup(Range, Range->Frontier)->Free = MiGroup(Range, Range->Frontier)->LongestRun =
            MI_GROUP_PAGES;
    return TRUE;
}

static SIZE_T MiFindSmall(MI_RANGE *Range, ULONG Pages)
{
    for (ULONG i = Range->Hint; i < Range->Frontier; i++) {
        MI_GROUP *Group = MiGroup(Range, i);
        if (Group->LongestRun < Pages)
            continue;
        SIZE_T Found = MiFindInGroup(Group, Pages);
        if (Found != NOT_FOUND)
            return (SIZE_T)i * MI_GROUP_PAGES + Found;
    }
    ULONG New = Range->Frontier;
    return MiMoveFrontier(Range, New + 1) ? (SIZE_T)New * MI_GROUP_PAGES : NOT_FOUND;
}

// A run that reaches the frontier goes on beyond it.
static NOINLINE SIZE_T MiFindLarge(MI_RANGE *Range, SIZE_T Pages)
{
    SIZE_T Run = 0;
    for (ULONG i = Range->Hint; i < Range->Frontier; i++) {
        MI_GROUP *Group = MiGroup(Range, i);
        LONG_PTR First;
        if (Group->Free == 0)
            Run = 0;
        else if (Group->Free == MI_GROUP_PAGES && Run + MI_GROUP_PAGES < Pages)
            Run += MI_GROUP_PAGES;
        else if (MiFindLongRun(Group, Pages, &Run, &First))
            return (SIZE_T)((LONG_PTR)i * MI_GROUP_PAGES + First);
    }
    SIZE_T First = (SIZE_T)Range->Frontier * MI_GROUP_PAGES - Run;
    SIZE_T Groups = (First + Pages + MI_GROUP_PAGES - 1) / MI_GROUP_PAGES;
    return MiMoveFrontier(Range, Groups) ? First : NOT_FOUND;
}

static NOINLINE BOOLEAN MiChangeLongRun(MI_RANGE *Range, SIZE_T First, SIZE_T Pages, BOOLEAN Set)
{
    for (SIZE_T Done = 0; Done < Pages;) {
        ULONG Bit = (ULONG)((First + Done) % MI_GROUP_PAGES);
        ULONG Count =
            MI_GROUP_PAGES - Bit < Pages - Done ? MI_GROUP_PAGES - Bit : (ULONG)(Pages - Done);
        MI_GROUP *Group = MiGroup(Range, (ULONG)((First + Done) / MI_GROUP_PAGES));
        if (!MiChangeGroup(Group, Bit, Count, Set)) {
            MiChangeLongRun(Range, First, Done, !Set);
            return FALSE;
        }
        Done += Count;
    }
    return TRUE;
}

// Locked: Range->Lock. The run lies below the frontier. FALSE: nothing is changed. Used is the
// caller's.
FORCEINLINE BOOLEAN MiChangeRun(MI_RANGE *Range, SIZE_T First, SIZE_T Pages, BOOLEAN Set)
{
    ULONG Bit = (ULONG)(First % MI_GROUP_PAGES);
    if (Bit + Pages > MI_GROUP_PAGES)
        return MiChangeLongRun(Range, First, Pages, Set);
    return MiChangeGroup(MiGroup(Range, (ULONG)(First / MI_GROUP_PAGES)), Bit, (ULONG)Pages, Set);
}

PVOID MiReserveRange(MI_RANGE *Range, SIZE_T Pages)
{
    if (Pages == 0 || Pages > (SIZE_T)Range->Groups * MI_GROUP_PAGES)
        return NULL;
    KIRQL OldIrql = MiAcquire(&Range->Lock);
    SIZE_T First =
        Pages <= SMALL_PAGES ? MiFindSmall(Range, (ULONG)Pages) : MiFindLarge(Range, Pages);
    if (First != NOT_FOUND) {
        if (!MiChangeRun(Range, First, Pages, TRUE))
            KiBugCheck(MEMORY_MANAGEMENT, 0x5100, Range->Base + First * PAGE_SIZE, Pages, 0, NULL,
                       "A bitmap of address space is damaged: a free range is in use.");
        Range->Used += Pages;
        while (Range->Hint < Range->Frontier && MiGroup(Range, Range->Hint)->Free == 0)
            Range->Hint++;
    }
    MiRelease(&Range->Lock, OldIrql);
    return First == NOT_FOUND ? NULL : (PVOID)(Range->Base + First * PAGE_SIZE);
}

BOOLEAN MiReserveExactly(MI_RANGE *Range, PVOID Base, SIZE_T Pages)
{
    SIZE_T First = ((ULONG_PTR)Base - Range->Base) >> PAGE_SHIFT;
    KIRQL OldIrql = MiAcquire(&Range->Lock);
    SIZE_T End = (SIZE_T)Range->Frontier * MI_GROUP_PAGES;
    BOOLEAN Free =
        First < End && Pages <= End - First && MiChangeRun(Range, First, Pages, TRUE);
    if (Free)
        Range->Used += Pages;
    MiRelease(&Range->Lock, OldIrql);
    return Free;
}

BOOLEAN MiReleaseRange(MI_RANGE *Range, PVOID Base, SIZE_T Pages)
{
    SIZE_T First = ((ULONG_PTR)Base - Range->Base) >> PAGE_SHIFT;
    KIRQL OldIrql = MiAcquire(&Range->Lock);
    SIZE_T End = (SIZE_T)Range->Frontier * MI_GROUP_PAGES;
    BOOLEAN Known = Pages != 0 && First < End && Pages <= End - First &&
                    MiChangeRun(Range, First, Pages, FALSE);
    if (Known) {
        Range->Used -= Pages;
        if (First / MI_GROUP_PAGES < Range->Hint)
            Range->Hint = (ULONG)(First / MI_GROUP_PAGES);
    }
    MiRelease(&Range->Lock, OldIrql);
    return Known;
}

// ---- check --------------------------------------------------------------------------------------
// What a group's numbers should be, counted bit by bit.
static VOID MiCountGroup(const MI_GROUP *Group, ULONG *Free, ULONG *Longest)
{
    ULONG Run = 0;
    *Free = *Longest = 0;
    for (ULONG Bit = 0; Bit < MI_GROUP_PAGES; Bit++) {
        BOOLEAN Clear = (Group->Bits[Bit / 32] >> Bit % 32 & 1) == 0;
        *Free += Clear;
        Run = Clear ? Run + 1 : 0;
        *Longest = Run > *Longest ? Run : *Longest;
    }
}

static BOOLEAN MiHasClearBitBelow(const MI_GROUP *Group)
{
    for (ULONG i = 0; i < Group->FirstWord; i++)
        if (Group->Bits[i] != ~0u)
            return TRUE;
    return FALSE;
}

// IRQL: any, takes no lock: nothing may run beside it. *What names the first thing found wrong.
BOOLEAN MiCheckRange(const MI_RANGE *Range, const char **What)
{
    SIZE_T Used = 0;
    for (ULONG i = 0; i < Range->Frontier; i++) {
        const MI_GROUP *Group = MiGroup(Range, i);
        ULONG Free, Longest;
        MiCountGroup(Group, &Free, &Longest);
        Used += MI_GROUP_PAGES - Free;
        *What = Free != Group->Free            ? "a group's count of free pages"
                : Longest > Group->LongestRun  ? "a group's longest run"
                : MiHasClearBitBelow(Group)    ? "a group's first word"
                : Free != 0 && i < Range->Hint ? "the hint"
                                               : NULL;
        if (*What != NULL)
            return FALSE;
    }
    *What = Used != Range->Used ? "the count of pages in use" : NULL;
    return *What == NULL;
}
