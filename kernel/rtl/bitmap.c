// SPDX-License-Identifier: MIT
// Bitmaps: bits in a caller's buffer, and searches for runs of them.
//
// Nothing is locked: the owner serializes, at whatever IRQL the bitmap and its buffer are
// resident for. Bit 0 is the lowest of the first ULONG; bits of the last ULONG beyond the size
// are never looked at. Searches step by whole words of 32 equal bits, so that a large and mostly
// equal map goes fast.
#include "rtl.h"
#include "rtlp.h"

#define NOT_FOUND MAXULONG

// ---- runs -------------------------------------------------------------------------------------

// The first bit from From on that has the wanted value, or Limit.
static ULONG RtlpNextBit(const RTL_BITMAP *Map, ULONG From, ULONG Limit, BOOLEAN Wanted)
{
    while (From < Limit) {
        ULONG Word = Map->Buffer[From / 32];
        ULONG Candidates = (Wanted ? Word : ~Word) >> (From % 32);
        if (Candidates != 0) {
            From += (ULONG)__builtin_ctz(Candidates);
            return From < Limit ? From : Limit;
        }
        if ((From | 31) >= Limit - 1)
            break;
        From = (From | 31) + 1;
    }
    return Limit;
}

// The first run of Count bits of the wanted value in [From, Limit).
static ULONG RtlpFindRun(const RTL_BITMAP *Map, ULONG From, ULONG Limit, ULONG Count,
                         BOOLEAN Wanted)
{
    for (;;) {
        ULONG Start = RtlpNextBit(Map, From, Limit, Wanted);
        if (Limit - Start < Count)
            return NOT_FOUND;
        From = RtlpNextBit(Map, Start, Start + Count, !Wanted);
        if (From - Start >= Count)
            return Start;
    }
}

// The same from Hint to the end, then from the start up to where a run would reach past Hint.
static ULONG RtlpFindBits(const RTL_BITMAP *Map, ULONG Count, ULONG Hint, BOOLEAN Wanted)
{
    ULONG Size = Map->SizeOfBitMap, Found;

    if (Hint >= Size)
        Hint = 0;
    if (Count == 0)
        return Hint;
    Found = RtlpFindRun(Map, Hint, Size, Count, Wanted);
    if (Found != NOT_FOUND || Hint == 0)
        return Found;
    return RtlpFindRun(Map, 0, Size - Hint > Count ? Hint + Count : Size, Count, Wanted);
}

static VOID RtlpWriteBits(PRTL_BITMAP Map, ULONG Start, ULONG Count, BOOLEAN Value)
{
    while (Count != 0) {
        ULONG Offset = Start % 32, Piece = 32 - Offset < Count ? 32 - Offset : Count;
        ULONG Mask = (Piece == 32 ? ~0u : (1u << Piece) - 1) << Offset;
        if (Value)
            Map->Buffer[Start / 32] |= Mask;
        else
            Map->Buffer[Start / 32] &= ~Mask;
        Start += Piece;
        Count -= Piece;
    }
}

static BOOLEAN RtlpIsRange(const RTL_BITMAP *Map, ULONG Start, ULONG Count)
{
    return Count != 0 && Start < Map->SizeOfBitMap && Count <= Map->SizeOfBitMap - Start;
}

// ---- setting up and writing -------------------------------------------------------------------

// Describes the SizeOfBitMap bits at Buffer (ULONG aligned), which keep their values. IRQL: any.
// Source: Windows driver documentation.
VOID NTAPI RtlInitializeBitMap(PRTL_BITMAP Map, PULONG Buffer, ULONG SizeOfBitMap)
{
    Map->SizeOfBitMap = SizeOfBitMap;
    Map->Buffer = Buffer;
}
EXPORT(RtlInitializeBitMap, EXPORT_ANY_IRQL, ON_WDM);

// Clears all bits, and the rest of the last ULONG. IRQL: any. Source: Windows driver documentation.
VOID NTAPI RtlClearAllBits(PRTL_BITMAP Map)
{
    memset(Map->Buffer, 0, (SIZE_T)(Map->SizeOfBitMap / 32 + (Map->SizeOfBitMap % 32 != 0)) * 4);
}
EXPORT(RtlClearAllBits, EXPORT_ANY_IRQL, ON_WDM);

// Sets all bits, and the rest of the last ULONG. IRQL: any. Source: Windows driver documentation.
VOID NTAPI RtlSetAllBits(PRTL_BITMAP Map)
{
    memset(Map->Buffer, 0xFF, (SIZE_T)(Map->SizeOfBitMap / 32 + (Map->SizeOfBitMap % 32 != 0)) * 4);
}
EXPORT(RtlSetAllBits, EXPORT_ANY_IRQL, ON_WDM);

// Clears Count bits from Start on; what lies beyond the map is left out. IRQL: any.
// Source: Windows driver documentation.
VOID NTAPI RtlClearBits(PRTL_BITMAP Map, ULONG Start, ULONG Count)
{
    if (RtlpIsRange(Map, Start, Count))
        RtlpWriteBits(Map, Start, Count, FALSE);
}
EXPORT(RtlClearBits, EXPORT_ANY_IRQL, ON_WDM);

// Sets Count bits from Start on; what lies beyond the map is left out. IRQL: any.
// Source: Windows driver documentation.
VOID NTAPI RtlSetBits(PRTL_BITMAP Map, ULONG Start, ULONG Count)
{
    if (RtlpIsRange(Map, Start, Count))
        RtlpWriteBits(Map, Start, Count, TRUE);
}
EXPORT(RtlSetBits, EXPORT_ANY_IRQL, ON_WDM);

// Clears one bit of the map. IRQL: any. Source: Windows driver documentation.
VOID NTAPI RtlClearBit(PRTL_BITMAP Map, ULONG Bit)
{
    RtlClearBits(Map, Bit, 1);
}
EXPORT(RtlClearBit, EXPORT_ANY_IRQL, ON_WDM);

// Sets one bit of the map. IRQL: any. Source: Windows driver documentation.
VOID NTAPI RtlSetBit(PRTL_BITMAP Map, ULONG Bit)
{
    RtlSetBits(Map, Bit, 1);
}
EXPORT(RtlSetBit, EXPORT_ANY_IRQL, ON_WDM);

// ---- asking -----------------------------------------------------------------------------------

// Whether a bit is set; one beyond the map is not. IRQL: any. Source: Windows driver documentation.
BOOLEAN NTAPI RtlTestBit(PRTL_BITMAP Map, ULONG Bit)
{
    return RtlpIsRange(Map, Bit, 1) && (Map->Buffer[Bit / 32] >> (Bit % 32) & 1) != 0;
}
EXPORT(RtlTestBit, EXPORT_ANY_IRQL, ON_WDM);

// Whether the Count bits from Start on are all in the map and clear. IRQL: any.
// Source: Windows driver documentation.
BOOLEAN NTAPI RtlAreBitsClear(PRTL_BITMAP Map, ULONG Start, ULONG Count)
{
    return RtlpIsRange(Map, Start, Count) &&
           RtlpNextBit(Map, Start, Start + Count, TRUE) == Start + Count;
}
EXPORT(RtlAreBitsClear, EXPORT_ANY_IRQL, ON_WDM);

// Whether the Count bits from Start on are all in the map and set. IRQL: any.
// Source: Windows driver documentation.
BOOLEAN NTAPI RtlAreBitsSet(PRTL_BITMAP Map, ULONG Start, ULONG Count)
{
    return RtlpIsRange(Map, Start, Count) &&
           RtlpNextBit(Map, Start, Start + Count, FALSE) == Start + Count;
}
EXPORT(RtlAreBitsSet, EXPORT_ANY_IRQL, ON_WDM);

// How many bits of a word are set: in pairs, in nibbles, in bytes, then all bytes at once.
static ULONG RtlpCountBits(ULONG Word)
{
    Word -= Word >> 1 & 0x55555555;
    Word = (Word & 0x33333333) + (Word >> 2 & 0x33333333);
    return ((Word + (Word >> 4)) & 0x0F0F0F0F) * 0x01010101u >> 24;
}

// How many bits of the map are set. IRQL: any. Source: Windows driver documentation.
ULONG NTAPI RtlNumberOfSetBits(PRTL_BITMAP Map)
{
    ULONG Whole = Map->SizeOfBitMap / 32, Rest = Map->SizeOfBitMap % 32, Count = 0;

    for (ULONG i = 0; i < Whole; i++)
        Count += RtlpCountBits(Map->Buffer[i]);
    if (Rest != 0)
        Count += RtlpCountBits(Map->Buffer[Whole] & ((1u << Rest) - 1));
    return Count;
}
EXPORT(RtlNumberOfSetBits, EXPORT_ANY_IRQL, ON_WDM);

// How many bits of the map are clear. IRQL: any. Source: Windows driver documentation.
ULONG NTAPI RtlNumberOfClearBits(PRTL_BITMAP Map)
{
    return Map->SizeOfBitMap - RtlNumberOfSetBits(Map);
}
EXPORT(RtlNumberOfClearBits, EXPORT_ANY_IRQL, ON_WDM);

// ---- finding ----------------------------------------------------------------------------------

// The start of a run of Count clear bits, looked for from Hint on and then from the start. IRQL:
// any. Fails: 0xFFFFFFFF. Source: Windows driver documentation.
ULONG NTAPI RtlFindClearBits(PRTL_BITMAP Map, ULONG Count, ULONG Hint)
{
    return RtlpFindBits(Map, Count, Hint, FALSE);
}
EXPORT(RtlFindClearBits, EXPORT_ANY_IRQL, ON_WDM);

// The same for set bits. IRQL: any. Fails: 0xFFFFFFFF. Source: Windows driver documentation.
ULONG NTAPI RtlFindSetBits(PRTL_BITMAP Map, ULONG Count, ULONG Hint)
{
    return RtlpFindBits(Map, Count, Hint, TRUE);
}
EXPORT(RtlFindSetBits, EXPORT_ANY_IRQL, ON_WDM);

// Finds a run of Count clear bits as RtlFindClearBits does, and sets it. IRQL: any.
// Fails: 0xFFFFFFFF. Source: Windows driver documentation.
ULONG NTAPI RtlFindClearBitsAndSet(PRTL_BITMAP Map, ULONG Count, ULONG Hint)
{
    ULONG Start = RtlpFindBits(Map, Count, Hint, FALSE);

    if (Start != NOT_FOUND)
        RtlSetBits(Map, Start, Count);
    return Start;
}
EXPORT(RtlFindClearBitsAndSet, EXPORT_ANY_IRQL, ON_WDM);

// Finds a run of Count set bits as RtlFindSetBits does, and clears it. IRQL: any.
// Fails: 0xFFFFFFFF. Source: Windows driver documentation.
ULONG NTAPI RtlFindSetBitsAndClear(PRTL_BITMAP Map, ULONG Count, ULONG Hint)
{
    ULONG Start = RtlpFindBits(Map, Count, Hint, TRUE);

    if (Start != NOT_FOUND)
        RtlClearBits(Map, Start, Count);
    return Start;
}
EXPORT(RtlFindSetBitsAndClear, EXPORT_ANY_IRQL, ON_WDM);

// The length of the first run of clear bits from From on, its start in *Start; 0 when there is
// none. IRQL: any. Source: Windows driver documentation.
ULONG NTAPI RtlFindNextForwardRunClear(PRTL_BITMAP Map, ULONG From, PULONG Start)
{
    ULONG Size = Map->SizeOfBitMap;

    *Start = RtlpNextBit(Map, From < Size ? From : Size, Size, FALSE);
    return RtlpNextBit(Map, *Start, Size, TRUE) - *Start;
}
EXPORT(RtlFindNextForwardRunClear, EXPORT_ANY_IRQL, ON_WDM);

// The same from the start of the map. IRQL: any. Source: Windows driver documentation.
ULONG NTAPI RtlFindFirstRunClear(PRTL_BITMAP Map, PULONG Start)
{
    return RtlFindNextForwardRunClear(Map, 0, Start);
}
EXPORT(RtlFindFirstRunClear, EXPORT_ANY_IRQL, ON_WDM);

// The length of the last run of clear bits that begins at or below From, as far as it reaches no
// higher than From; its start in *Start; 0 when there is none. IRQL: any.
// Source: Windows driver documentation.
ULONG NTAPI RtlFindLastBackwardRunClear(PRTL_BITMAP Map, ULONG From, PULONG Start)
{
    ULONG Bit = From < Map->SizeOfBitMap ? From + 1 : Map->SizeOfBitMap, End;

    while (Bit != 0 && RtlTestBit(Map, Bit - 1))
        Bit--;
    End = Bit;
    while (Bit != 0 && !RtlTestBit(Map, Bit - 1))
        Bit--;
    *Start = Bit;
    return End - Bit;
}
EXPORT(RtlFindLastBackwardRunClear, EXPORT_ANY_IRQL, ON_WDM);

// The length of the longest run of clear bits, its start in *Start; 0 when there is none. IRQL:
// any. Source: Windows driver documentation.
ULONG NTAPI RtlFindLongestRunClear(PRTL_BITMAP Map, PULONG Start)
{
    ULONG Longest = 0, From = 0, At, Length;

    *Start = 0;
    while ((Length = RtlFindNextForwardRunClear(Map, From, &At)) != 0) {
        if (Length > Longest) {
            Longest = Length;
            *Start = At;
        }
        From = At + Length;
    }
    return Longest;
}
EXPORT(RtlFindLongestRunClear, EXPORT_ANY_IRQL, ON_WDM);

// Where in Runs a run of this length belongs when the longest come first.
static ULONG RtlpRankOfRun(const RTL_BITMAP_RUN *Runs, ULONG Count, ULONG Length)
{
    ULONG Rank = Count;

    while (Rank != 0 && Runs[Rank - 1].NumberOfBits < Length)
        Rank--;
    return Rank;
}

// Fills Runs with at most Room runs of clear bits: the first ones of the map, or,
// LocateLongestRuns, the longest ones, longest first. Returns how many. IRQL: any. Source:
// Windows driver documentation.
ULONG NTAPI RtlFindClearRuns(PRTL_BITMAP Map, PRTL_BITMAP_RUN Runs, ULONG Room,
                             BOOLEAN LocateLongestRuns)
{
    ULONG Count = 0, From = 0, Start, Length;

    while ((LocateLongestRuns || Count < Room) &&
           (Length = RtlFindNextForwardRunClear(Map, From, &Start)) != 0) {
        ULONG Rank = LocateLongestRuns ? RtlpRankOfRun(Runs, Count, Length) : Count;
        From = Start + Length;
        if (Rank >= Room)
            continue;
        if (Count < Room)
            Count++;
        memmove(&Runs[Rank + 1], &Runs[Rank], (Count - 1 - Rank) * sizeof(*Runs));
        Runs[Rank] = (RTL_BITMAP_RUN){Start, Length};
    }
    return Count;
}
EXPORT(RtlFindClearRuns, EXPORT_ANY_IRQL, ON_WDM);

// ---- bits of one number -----------------------------------------------------------------------

// The number of the highest set bit. IRQL: any. Fails: -1 for 0. Source: Windows driver
// documentation.
CCHAR NTAPI RtlFindMostSignificantBit(ULONGLONG Set)
{
    return Set == 0 ? -1 : (CCHAR)(63 - __builtin_clzll(Set));
}
EXPORT(RtlFindMostSignificantBit, EXPORT_ANY_IRQL, ON_WDM);

// The number of the lowest set bit. IRQL: any. Fails: -1 for 0. Source: Windows driver
// documentation.
CCHAR NTAPI RtlFindLeastSignificantBit(ULONGLONG Set)
{
    return Set == 0 ? -1 : (CCHAR)__builtin_ctzll(Set);
}
EXPORT(RtlFindLeastSignificantBit, EXPORT_ANY_IRQL, ON_WDM);
