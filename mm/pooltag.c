// SPDX-License-Identifier: MIT
// The pool's cells: who uses how much of what, and the start of the pools.
//
// A cell is a combination of tag, pool and size class (mm/pool.c says what the fast path does with
// it). Cells are numbered in the order of their creation and never go away, so that a block's
// record can name its owner in 16 bits, by the cell's place. Whom a cell stands for is written once
// (POOL_OWNER). Each processor has an array of all cells: same identities, own counters, own cache.
// A new cell is written into every processor's array before its place is put into the bucket where
// the fast path looks, under ExpCellLock; readers take no lock.
//
// Tags are numbered in the order of their first use, in an array of their own, and are hashed.
// A tag's figures are the sums over its cells and all processors. They are exact when the pools are
// at rest, and at most a few operations behind when not.
//
// Observability: !poolused [FLAGS [TAG]]; ExQueryPoolTag.
#include "poolp.h"

POOL_PROCESSOR *ExpPoolProcessor[POOL_PROCESSORS];
UCHAR ExpClassOfSize[POOL_SIZE_UNITS];
ULONG ExpSizeKey[POOL_SMALL_LIMIT + 1];
ULONG ExpClassKey[POOL_CLASSES + 1];
USHORT ExpBucket[POOL_BUCKETS];
POOL_OWNER *ExpOwners;
ULONG ExpCellEnd;
ULONG64 ExpGuard;
ULONG_PTR ExpZeroByteRequests, ExpPoolFailures, ExpBookkeepingPages;

static KSPIN_LOCK ExpCellLock;
static ULONG ExpProcessors;  // one more than the highest number that has started
static ULONG ExpOwnersCommitted;  // bytes
static POOL_PROCESSOR ExpBootProcessor;

POOL_CACHE ExpTrap[PoolCount] = {
    [PoolNonPagedExecute] = {.Irql = DISPATCH_LEVEL},
    [PoolNonPagedNx] = {.Irql = DISPATCH_LEVEL},
    [PoolPaged] = {.Irql = APC_LEVEL},
};

// ---- cells -------------------------------------------------------------------------------------
static BOOLEAN ExpIsOwner(const POOL_OWNER *Owner, const POOL_OWNER *Wanted)
{
    return Owner->Tag == Wanted->Tag && Owner->Key == Wanted->Key &&
           Owner->Process == Wanted->Process;
}

static USHORT *ExpBucketOfOwner(const POOL_OWNER *Owner)
{
    return &ExpBucket[ExpBucketOf(ExpIdentity(Owner->Tag, Owner->Key))];
}

static USHORT ExpLookUpCell(const POOL_OWNER *Wanted)
{
    USHORT Place = ExpLoad(*ExpBucketOfOwner(Wanted));
    while (Place != 0 && !ExpIsOwner(ExpOwnerOf(Place), Wanted))
        Place = ExpOwnerOf(Place)->Next;
    return Place;
}

static BOOLEAN ExpPrepareCache(POOL_PROCESSOR *Processor, ULONG Pool, ULONG Class)
{
    if (Class != POOL_CLASS_LARGE && Processor->Cache[Pool][Class] == NULL)
        ExpStore(Processor->Cache[Pool][Class], ExpCreateCache(Pool, Class));
    return Class == POOL_CLASS_LARGE || Processor->Cache[Pool][Class] != NULL;
}

// Makes bytes of a reserved array usable up to End; *Committed are.
static BOOLEAN ExpCommitUpTo(PVOID Array, ULONG *Committed, SIZE_T End)
{
    while (*Committed < End) {
        if (!ExpCommitBookkeeping((PUCHAR)Array + *Committed, PAGE_SIZE))
            return FALSE;
        *Committed += PAGE_SIZE;
    }
    return TRUE;
}

// Room for the cell at this place, and the cache it will name.
static BOOLEAN ExpPrepareCell(POOL_PROCESSOR *Processor, ULONG Place, ULONG Pool, ULONG Class)
{
    return ExpCommitUpTo(Processor->Cells - POOL_CELLS_SKIP, &Processor->CellsCommitted,
                         (Place + POOL_CELL_STEP * 2) * POOL_CELL_UNIT) &&
           ExpCommitUpTo(Processor->Rest, &Processor->RestCommitted,
                         (Place / POOL_CELL_STEP + 1) * sizeof(POOL_CELL_REST)) &&
           ExpPrepareCache(Processor, Pool, Class);
}

static BOOLEAN ExpPrepareOwner(ULONG Place)
{
    return ExpCommitUpTo(ExpOwners, &ExpOwnersCommitted,
                         (Place / POOL_CELL_STEP + 1) * sizeof(POOL_OWNER));
}

static BOOLEAN ExpMustTrap(const POOL_OWNER *Owner)
{
    return Owner->Process != NULL || ExpIsWatched(Owner->Tag);
}

// Cells do not all begin their periods at once, so that rare combinations are sampled too.
static ULONG_PTR ExpFirstPeriod(ULONG Place)
{
    ULONG_PTR Period = ExpSamplePeriod();
    return ExpIsSampling() ? 2 + (Place * 0x9E3779B1u + (ULONG)ExpGuard) % Period : Period;
}

static VOID ExpWriteCell(POOL_PROCESSOR *Processor, const POOL_OWNER *Owner)
{
    POOL_CELL *Cell = ExpCellAt(Processor->Cells, Owner->Place);
    POOL_CELL_REST *Rest = ExpRestOf(Processor, Owner->Place);
    Cell->Cache = ExpMustTrap(Owner)                 ? &ExpTrap[Owner->Pool]
                  : Owner->Class == POOL_CLASS_LARGE ? NULL
                                                     : Processor->Cache[Owner->Pool][Owner->Class];
    Rest->Granted = Cell->Left = ExpFirstPeriod(Owner->Place);
    Cell->Identity = ExpIdentity(Owner->Tag, Owner->Key);
}

// ---- tags --------------------------------------------------------------------------------------
typedef struct _POOL_TAG_ENTRY {
    USHORT First;  // cell of the tag
    USHORT Next;   // in the bucket: number of a tag, plus 1; 0 ends
} POOL_TAG_ENTRY;

#define TAGS_PER_PAGE (PAGE_SIZE / sizeof(POOL_TAG_ENTRY))
#define TAG_BUCKETS   1024u

static POOL_TAG_ENTRY *ExpTags;  // POOL_CELL_LIMIT reserved
static ULONG ExpTagCount, ExpTagsCommitted;
static USHORT ExpTagBucket[TAG_BUCKETS];

static USHORT *ExpTagBucketOf(ULONG Tag)
{
    return &ExpTagBucket[Tag * 0x9E3779B1u >> 22];
}

C_ASSERT(TAG_BUCKETS == 1u << (32 - 22));

// Room for one more.
static BOOLEAN ExpPrepareTag(VOID)
{
    if (ExpTagCount < ExpTagsCommitted)
        return TRUE;
    if (!ExpCommitBookkeeping(&ExpTags[ExpTagsCommitted], PAGE_SIZE))
        return FALSE;
    ExpTagsCommitted += TAGS_PER_PAGE;
    return TRUE;
}

// The first cell of a tag; 0: it is new.
static USHORT ExpFirstCell(ULONG Tag)
{
    USHORT Number = *ExpTagBucketOf(Tag);
    while (Number != 0 && ExpOwnerOf(ExpTags[Number - 1].First)->Tag != Tag)
        Number = ExpTags[Number - 1].Next;
    return Number != 0 ? ExpTags[Number - 1].First : 0;
}

static VOID ExpAddTag(ULONG Tag, USHORT First)
{
    USHORT *Bucket = ExpTagBucketOf(Tag);
    ExpTags[ExpTagCount] = (POOL_TAG_ENTRY){.First = First, .Next = *Bucket};
    *Bucket = (USHORT)(ExpTagCount + 1);
    ExpStore(ExpTagCount, ExpTagCount + 1);
}

// Puts the cell into its tag's chain, as the first of a new tag if need be.
static VOID ExpLinkTag(USHORT Place)
{
    POOL_OWNER *Owner = ExpOwnerOf(Place);
    USHORT First = ExpFirstCell(Owner->Tag);
    Owner->FirstOfTag = First != 0 ? First : Place;
    if (First == 0) {
        ExpAddTag(Owner->Tag, Place);
        return;
    }
    Owner->NextOfTag = ExpOwnerOf(First)->NextOfTag;
    ExpStore(ExpOwnerOf(First)->NextOfTag, Place);
}

// ---- making cells ------------------------------------------------------------------------------
// Called with ExpCellLock held.
static USHORT ExpCreateCell(const POOL_OWNER *Wanted)
{
    USHORT Place = (USHORT)ExpCellEnd, *Bucket = ExpBucketOfOwner(Wanted);
    if (!ExpPrepareOwner(Place) || !ExpPrepareTag())
        return 0;
    for (ULONG Number = 0; Number < POOL_PROCESSORS; Number++)
        if (ExpPoolProcessor[Number] != NULL
            && !ExpPrepareCell(ExpPoolProcessor[Number], Place, Wanted->Pool, Wanted->Class))
            return 0;
    POOL_OWNER *Owner = ExpOwnerOf(Place);
    *Owner = *Wanted;
    Owner->Place = Place;
    Owner->Next = *Bucket;
    for (ULONG Number = 0; Number < POOL_PROCESSORS; Number++)
        if (ExpPoolProcessor[Number] != NULL)
            ExpWriteCell(ExpPoolProcessor[Number], Owner);
    ExpLinkTag(Place);
    ExpCellEnd += POOL_CELL_STEP;
    __atomic_store_n(Bucket, Place, __ATOMIC_RELEASE);
    return Place;
}

// Is there a place for another cell when Spare are kept?
static BOOLEAN ExpIsPlace(ULONG Spare)
{
    return ExpCellEnd < (POOL_CELL_LIMIT - Spare) * POOL_CELL_STEP;
}

static USHORT ExpFindOrCreateCell(const POOL_OWNER *Wanted, ULONG Spare)
{
    USHORT Place = ExpLookUpCell(Wanted);
    if (Place != 0)
        return Place;
    KIRQL OldIrql = KiAcquireLock(&ExpCellLock);
    Place = ExpLookUpCell(Wanted);
    if (Place == 0 && ExpIsPlace(Spare))
        Place = ExpCreateCell(Wanted);
    KiReleaseLock(&ExpCellLock, OldIrql);
    return Place;
}

USHORT ExpFindCell(ULONG Tag, POOL_INDEX Pool, ULONG Class, PVOID Process)
{
    POOL_OWNER Wanted = {.Tag = Tag, .Size = ExpClassSize[Class], .Pool = (UCHAR)Pool,
                         .Class = (UCHAR)Class, .Process = Process};
    Wanted.Key = (ULONG)ExpPool[Pool].Type | ExpClassKey[Class];
    if (Process != NULL)
        Wanted.Key |= POOL_KEY_CHARGED;
    USHORT Place = ExpFindOrCreateCell(&Wanted, POOL_CELL_SPARE);
    if (Place == 0 && !ExpIsPlace(POOL_CELL_SPARE)) {
        Wanted.Tag = POOL_TAG_OVERFLOW;
        Place = ExpFindOrCreateCell(&Wanted, 0);
    }
    return Place;
}

// ---- sums --------------------------------------------------------------------------------------
// Frees are counted in words that may wrap: what is in use is exact, and allocations are 64 bits.
static VOID ExpAddCell(USHORT Place, EX_POOL_TAG *Use)
{
    ULONG64 Allocs = 0;
    ULONG LargePages = 0;
    ULONG_PTR InUse = 0;
    for (ULONG Number = 0; Number < ExpLoad(ExpProcessors); Number++) {
        const POOL_PROCESSOR *Processor = ExpLoad(ExpPoolProcessor[Number]);
        if (Processor == NULL)
            continue;
        ULONG64 Here = ExpAllocsOf(Processor, Place);
        Allocs += Here;
        InUse += (ULONG_PTR)Here - ExpLoad(ExpCellAt(Processor->Cells, Place)->Frees);
        LargePages += ExpLoad(ExpRestOf(Processor, Place)->LargePages);
    }
    const POOL_OWNER *Owner = ExpOwnerOf(Place);
    ULONG64 Bytes = ((ULONG64)LargePages << POOL_PAGE_SHIFT) + (ULONG64)InUse * Owner->Size;
    if (Owner->Pool == PoolPaged) {
        Use->PagedAllocs += Allocs;
        Use->PagedFrees += Allocs - InUse;
        Use->PagedBytes += Bytes;
    } else {
        Use->NonPagedAllocs += Allocs;
        Use->NonPagedFrees += Allocs - InUse;
        Use->NonPagedBytes += Bytes;
    }
}

static VOID ExpSumTag(USHORT First, EX_POOL_TAG *Use)
{
    *Use = (EX_POOL_TAG){.Tag = ExpOwnerOf(First)->Tag};
    for (USHORT Place = First; Place != 0; Place = ExpLoad(ExpOwnerOf(Place)->NextOfTag))
        ExpAddCell(Place, Use);
}

// Several processors may find a new peak at a time: the highest stays.
static VOID ExpRaise(ULONG_PTR *Peak, ULONG64 Value)
{
    ULONG_PTR Seen = ExpLoad(*Peak);
    while (Value > Seen && !__atomic_compare_exchange_n(Peak, &Seen, (ULONG_PTR)Value, FALSE,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static VOID ExpNotePeakOf(USHORT First, EX_POOL_TAG *Use)
{
    POOL_OWNER *Owner = ExpOwnerOf(First);
    ExpSumTag(First, Use);
    ExpRaise(&Owner->NonPagedPeak, Use->NonPagedBytes);
    ExpRaise(&Owner->PagedPeak, Use->PagedBytes);
    Use->NonPagedPeak = ExpLoad(Owner->NonPagedPeak);
    Use->PagedPeak = ExpLoad(Owner->PagedPeak);
}

VOID ExpNotePeak(USHORT Cell)
{
    EX_POOL_TAG Use;
    ExpNotePeakOf(ExpOwnerOf(Cell)->FirstOfTag, &Use);
}

VOID ExpNoteLargePeak(USHORT Cell, ULONG Pages)
{
    ExpStore(ExpOwnerOf(Cell)->LargeHigh, Pages);
    ExpNotePeak(Cell);
}

VOID ExpNotePeaks(VOID)
{
    EX_POOL_TAG Use;
    for (ULONG Number = 0; ExQueryPoolTag(Number, &Use);)
        Number++;
}

BOOLEAN ExQueryPoolTag(ULONG Number, EX_POOL_TAG *Use)
{
    if (Number >= ExpLoad(ExpTagCount))
        return FALSE;
    ExpNotePeakOf(ExpTags[Number].First, Use);
    return TRUE;
}

// ---- tags as text ------------------------------------------------------------------------------
// Does a tag's text match a pattern with ? and *? Without a wildcard all four characters have to be
// equal.
static BOOLEAN ExpTagLike(const char *Text, SIZE_T Length, const char *Pattern)
{
    if (*Pattern == '\0' || *Pattern == ' ' || *Pattern == ',')
        return Length == 0 || (*Text == ' ' && ExpTagLike(Text + 1, Length - 1, Pattern));
    if (*Pattern == '*')
        return ExpTagLike(Text, Length, Pattern + 1)
            || (Length != 0 && ExpTagLike(Text + 1, Length - 1, Pattern));
    return Length != 0 && (*Pattern == '?' || *Pattern == *Text)
        && ExpTagLike(Text + 1, Length - 1, Pattern + 1);
}

BOOLEAN ExpIsTagLike(ULONG Tag, const char *Pattern)
{
    Tag &= ~POOL_TAG_PROTECTED;
    return ExpTagLike((const char *)&Tag, sizeof(Tag), Pattern);
}

// The highest bit, which drivers set to have their tag protected, is no part of its text.
POOL_TAG_TEXT ExpTagText(ULONG Tag)
{
    POOL_TAG_TEXT Result = {{0}};
    Tag &= ~POOL_TAG_PROTECTED;
    for (ULONG Index = 0; Index < 4; Index++, Tag >>= 8)
        Result.Text[Index] = (Tag & 0xFF) >= 0x20 && (Tag & 0xFF) < 0x7F ? (char)Tag : '.';
    return Result;
}

// ---- start -------------------------------------------------------------------------------------
static BOOLEAN ExpFillProcessor(POOL_PROCESSOR *Processor)
{
    for (ULONG Place = POOL_CELL_FIRST; Place < ExpCellEnd; Place += POOL_CELL_STEP) {
        const POOL_OWNER *Owner = ExpOwnerOf(Place);
        if (!ExpPrepareCell(Processor, Place, Owner->Pool, Owner->Class))
            return FALSE;
        ExpWriteCell(Processor, Owner);
    }
    return TRUE;
}

// With room for what comes before the first cell.
static PVOID ExpReserveArray(SIZE_T Size)
{
    return MmReserveSystemRange(MmRegionBookkeeping, BYTES_TO_PAGES((POOL_CELL_LIMIT + 1) * Size));
}

static BOOLEAN ExpPrepareProcessor(POOL_PROCESSOR *Processor, ULONG Number)
{
    Processor->Cells = ExpReserveArray(sizeof(POOL_CELL));
    Processor->Rest = ExpReserveArray(sizeof(POOL_CELL_REST));
    if (Processor->Cells == NULL || Processor->Rest == NULL)
        return FALSE;
    Processor->Cells += POOL_CELLS_SKIP;
    KeInitializeDpc(&Processor->TrimDpc, ExpTrimDpc, Processor);
    KeSetTargetProcessorDpc(&Processor->TrimDpc, (CCHAR)Number);
    return TRUE;
}

BOOLEAN ExInitializePoolProcessor(PKPRCB Prcb)
{
    POOL_PROCESSOR *Processor = ExpAllocateBookkeeping(sizeof(POOL_PROCESSOR));
    if (Processor == NULL || !ExpPrepareProcessor(Processor, Prcb->ProcessorNumber))
        return FALSE;
    KIRQL OldIrql = KiAcquireLock(&ExpCellLock);
    BOOLEAN Filled = ExpFillProcessor(Processor);
    if (Filled) {
        Prcb->PoolProcessor = Processor->Cells;
        ExpStore(ExpPoolProcessor[Prcb->ProcessorNumber], Processor);
        if (Prcb->ProcessorNumber >= ExpProcessors)
            ExpStore(ExpProcessors, Prcb->ProcessorNumber + 1u);
    }
    KiReleaseLock(&ExpCellLock, OldIrql);
    return Filled;
}

// The first cell stands for "none": its key is no one's.
static BOOLEAN ExpInitializeBootProcessor(PKPRCB Prcb)
{
    static const POOL_OWNER Nobody = {.Key = MAXULONG, .Place = POOL_CELL_FIRST,
                                      .Class = POOL_CLASS_LARGE};
    POOL_PROCESSOR *Processor = &ExpBootProcessor;
    ExpOwners = ExpReserveArray(sizeof(POOL_OWNER));
    ExpTags = ExpReserveArray(sizeof(POOL_TAG_ENTRY));
    if (ExpOwners == NULL || ExpTags == NULL ||
        !ExpPrepareProcessor(Processor, Prcb->ProcessorNumber) ||
        !ExpPrepareOwner(POOL_CELL_FIRST) ||
        !ExpPrepareCell(Processor, POOL_CELL_FIRST, PoolPaged, POOL_CLASS_LARGE))
        return FALSE;
    ExpProcessors = 1;
    *ExpOwnerOf(POOL_CELL_FIRST) = Nobody;
    ExpWriteCell(Processor, &Nobody);
    ExpPoolProcessor[Prcb->ProcessorNumber] = Processor;
    Prcb->PoolProcessor = Processor->Cells;
    ExpCellEnd = POOL_CELL_FIRST + POOL_CELL_STEP;
    return TRUE;
}

static ULONG ExpCountBits(ULONG Word)
{
    ULONG Count = 0;
    for (; Word != 0; Word &= Word - 1)
        Count++;
    return Count;
}

// The next code word: ten of the bits above the type's, the rest clear.
static ULONG ExpNextCodeWord(ULONG *State)
{
    ULONG Word;
    do {
        *State = *State * 1664525u + 1013904223u;
        Word = *State & (~0u << POOL_KEY_TYPE_BITS);
    } while (ExpCountBits(Word) != 10);
    return Word;
}

static BOOLEAN ExpKeyTaken(ULONG Class)
{
    for (ULONG Other = 0; Other < Class; Other++)
        if (ExpClassKey[Other] == ExpClassKey[Class])
            return TRUE;
    return FALSE;
}

// No class serves a request of 0 bytes, and no code word has so many bits.
static VOID ExpInitializeSizes(VOID)
{
    ULONG State = 1;
    for (ULONG Class = 0; Class <= POOL_CLASSES; Class++)
        do
            ExpClassKey[Class] = ExpNextCodeWord(&State);
        while (ExpKeyTaken(Class));
    ULONG Class = 0;
    for (ULONG Unit = 0; Unit < POOL_SIZE_UNITS; Unit++) {
        if ((Unit + 1) * POOL_SIZE_UNIT + POOL_GUARD > ExpClassSize[Class])
            Class++;
        ExpClassOfSize[Unit] = (UCHAR)Class;
    }
    ExpSizeKey[0] = ~0u << POOL_KEY_TYPE_BITS;
    for (ULONG Bytes = 1; Bytes <= POOL_SMALL_LIMIT; Bytes++)
        ExpSizeKey[Bytes] = ExpClassKey[ExpClassOfSize[(Bytes - 1) / POOL_SIZE_UNIT]];
}

// Not a secret worth much, but never what a driver writes by accident: no byte of it is zero.
static ULONG64 ExpMakeGuard(VOID)
{
    return (KiReadTsc() * 0x9E3779B97F4A7C15ull) | 0x8181818181818181ull;
}

VOID ExInitializePool(VOID)
{
    ExpGuard = ExpMakeGuard();
    ExpInitializeVerifier();
    ExpInitializeSizes();
    if (!ExpInitializePages() || !ExpInitializeBootProcessor(KeGetCurrentPrcb()))
        KiBugCheck(INSTALL_MORE_MEMORY, 0, 0, 0, 0, NULL,
                   "There is not enough memory for the pools.");
    ExpStartVerifier();
}

// ---- !poolused ---------------------------------------------------------------------------------
#define POOLUSED_SORT_NONPAGED 2u
#define POOLUSED_SORT_PAGED    4u
#define POOLUSED_SESSION       8u

static ULONG64 ExpSortKey(const EX_POOL_TAG *Use, ULONG Flags)
{
    if (Flags & POOLUSED_SORT_NONPAGED)
        return Use->NonPagedBytes;
    return Flags & POOLUSED_SORT_PAGED ? Use->PagedBytes : 0;
}

typedef struct _POOLUSED_ROW {
    ULONG Number;  // of the tag
    EX_POOL_TAG Use;
} POOLUSED_ROW;

// Does A come before B? By the sorted column downwards, then in order of first use.
static BOOLEAN ExpBefore(const POOLUSED_ROW *A, const POOLUSED_ROW *B, ULONG Flags)
{
    ULONG64 KeyA = ExpSortKey(&A->Use, Flags), KeyB = ExpSortKey(&B->Use, Flags);
    return KeyA != KeyB ? KeyA > KeyB : A->Number < B->Number;
}

// So many rows at a time are looked for among the tags that were not shown yet: nothing is
// allocated, with thousands of tags it still ends, and each is shown once, though what they use
// changes meanwhile.
#define ROWS_AT_A_TIME 64u
static POOLUSED_ROW ExpRows[ROWS_AT_A_TIME];
static ULONG ExpShown[POOL_CELL_LIMIT / 32];  // a bit for each tag

// Puts a row in its place among the Count that are there, and drops the last when there is no room.
static ULONG ExpInsertRow(const POOLUSED_ROW *Row, ULONG Count, ULONG Flags)
{
    ULONG At = Count;
    if (Count == ROWS_AT_A_TIME && !ExpBefore(Row, &ExpRows[--At], Flags))
        return Count;
    for (; At != 0 && ExpBefore(Row, &ExpRows[At - 1], Flags); At--)
        ExpRows[At] = ExpRows[At - 1];
    ExpRows[At] = *Row;
    return Count < ROWS_AT_A_TIME ? Count + 1 : Count;
}

static BOOLEAN ExpIsShown(ULONG Number)
{
    return (ExpShown[Number / 32] >> Number % 32 & 1) != 0;
}

// The rows that come next; returns how many.
static ULONG ExpNextRows(const char *Pattern, ULONG Flags)
{
    ULONG Count = 0;
    POOLUSED_ROW Row = {0};
    for (; ExQueryPoolTag(Row.Number, &Row.Use); Row.Number++)
        if (!ExpIsShown(Row.Number) && ExpIsTagLike(Row.Use.Tag, Pattern))
            Count = ExpInsertRow(&Row, Count, Flags);
    return Count;
}

static VOID ExpPrintTag(const char *Name, const EX_POOL_TAG *Use, ULONG Flags)
{
    KdPrintf(" %-5s %10llu %12llu %10llu %12llu", Name, Use->NonPagedAllocs - Use->NonPagedFrees,
             Use->NonPagedBytes, Use->PagedAllocs - Use->PagedFrees, Use->PagedBytes);
    if ((Flags & 1) && Use->Tag != 0)
        KdPrintf("   %llu/%llu %llu/%llu  %llu/%llu", Use->NonPagedAllocs, Use->NonPagedFrees,
                 Use->PagedAllocs, Use->PagedFrees, Use->NonPagedPeak, Use->PagedPeak);
    if (Use->Tag != 0 && ExpHasTagNames()) {
        char Words[96];
        ExpDescribeTag(Use->Tag, Words, sizeof(Words));
        KdPrintf("   %s", Words);
    }
    KdPrintf("\n");
}

static VOID ExpAddTotal(EX_POOL_TAG *Total, const EX_POOL_TAG *Use)
{
    Total->NonPagedAllocs += Use->NonPagedAllocs;
    Total->NonPagedFrees += Use->NonPagedFrees;
    Total->NonPagedBytes += Use->NonPagedBytes;
    Total->PagedAllocs += Use->PagedAllocs;
    Total->PagedFrees += Use->PagedFrees;
    Total->PagedBytes += Use->PagedBytes;
}

static BOOLEAN ExpPoolUsedCommand(const char *Arguments)
{
    ULONG64 Flags = 0;
    if (*Arguments != '\0' && !KdParseNumber(&Arguments, &Flags))
        return FALSE;
    if (Flags > 15 || (Flags & 6) == 6)
        return FALSE;
    if (Flags & POOLUSED_SESSION) {
        KdPrintf("There is no session, so that there is no session pool.\n");
        return TRUE;
    }
    const char *Pattern = *Arguments != '\0' ? Arguments : "*";
    EX_POOL_TAG Total = {0};
    RtlZeroMemory(ExpShown, sizeof(ExpShown));
    KdPrintf(" Tag     NonPaged         Used      Paged         Used%s\n",
             Flags & 1 ? "   allocated/freed nonpaged paged, peaks" : "");
    for (ULONG Count; (Count = ExpNextRows(Pattern, (ULONG)Flags)) != 0;)
        for (ULONG Index = 0; Index < Count; Index++) {
            const POOLUSED_ROW *Row = &ExpRows[Index];
            ExpPrintTag(ExpTagText(Row->Use.Tag).Text, &Row->Use, (ULONG)Flags);
            ExpAddTotal(&Total, &Row->Use);
            ExpShown[Row->Number / 32] |= 1u << Row->Number % 32;
        }
    ExpPrintTag("TOTAL", &Total, (ULONG)Flags);
    KdPrintf(" Used is in bytes; NonPaged and Paged are blocks in use.\n");
    return TRUE;
}
KD_COMMAND(poolused, "!poolused",
           "!poolused [FLAGS [TAG]]: pool by tag; 1 counts, peaks; 2 sort by nonpaged, 4 paged; "
           "TAG with ? and *",
           ExpPoolUsedCommand, KD_SAFE_IN_BUGCHECK);
