// SPDX-License-Identifier: MIT
// The pool's bookkeeping: memory for descriptors and records, which goes back when a burst is over.
//
// Problem. A pool that grew to all of RAM has a descriptor for each page and a record for each
// block, a 64th of it and more, in pages that came from wherever RAM was free. Kept, they leave no
// long run of free pages for those who need contiguous memory. Freeing must neither fail nor wait.
//
// Descriptors are an array, and whoever has a pool address reads its descriptor without a lock, to
// learn that it is no block. So the array has no holes. The descriptors of 64 pages fill a page, a
// group; the first counts in Taken how many of the 64 the pool has, plus 1. A group without any
// goes back by having its page replaced, in one store, by mm's page of zeroes: descriptors of pages
// that the pool does not have. Taken is 0 then, and the group gets a page again when one of its 64
// pages is used.
//
// Other processors' TLBs are flushed after the lock is let go, once for all groups: until then a
// processor may see the page that a group had before. Taken is 0 in each such page, in the old one
// from before it is replaced, so that whoever finds 0 under the lock makes its own processor look
// again (ExpTakenOf). A group that got a page again is FRESH until all processors know; who takes
// from it meanwhile flushes too, before its pages are used.
//
// Records are in arrays of 16 to 4096 bytes. A record page is cut into arrays of one size, by
// powers of two; free ones are linked by their offsets, and the pages of a size that have free ones
// are in a list. What is known of a record page lies apart from it, at a computed place. A page
// without an array in use waits in the list of empty ones, for any size; released, its address
// waits for the next burst.
//
// Groups and record pages that are empty go back in ExTrimPool, half of them every second, and in
// ExpReclaim, all. Who looks at blocks of others without a lock (leak reports, whatis) holds
// records meanwhile: none is released between a page's being found in use and its records' being
// read. This costs a counter, and the free path nothing: a pointer that is freed twice at the
// moment when its page is released may be a page fault instead of the bugcheck that names the
// mistake.
//
// Locks: growth lock of a pool -> ExpRecordLock -> mm. Observability: !vm; ExQueryPoolStatistics;
// tests/host/test_pool.c.
#include "poolp.h"

#define GROUP_BYTES    (POOL_GROUP_PAGES << POOL_PAGE_SHIFT)
#define RECORD_SIZES   9u  // of arrays: 16 to 4096 bytes
#define RECORD_SHARE   4u  // of the bookkeeping region may be record pages
#define NO_RECORD_PAGE 0u  // page numbers begin with 1, as do offsets of arrays
#define FRESH          0x80u  // in Taken

typedef struct _RECORD_PAGE {
    ULONG Next, Previous;  // in its list; of a released page, the next released one
    USHORT FirstFree;      // array, in units of 16 bytes, plus 1; 0: none
    USHORT Live;           // arrays in use
    ULONG Size;            // index of its arrays' size
} RECORD_PAGE;

#define DETAILS_PER_PAGE (PAGE_SIZE / sizeof(RECORD_PAGE))
#define ARRAY_UNIT       16u

C_ASSERT(POOL_GROUP_PAGES + 1 < FRESH);
C_ASSERT(sizeof(RECORD_PAGE) == 16 && ARRAY_UNIT >= sizeof(POOL_RECORD));

ULONG_PTR ExpRecordPages, ExpEmptyRecordPages;

static KSPIN_LOCK ExpRecordLock;         // guards all below, and the two above
static UCHAR *ExpRecordBase;             // the record pages, ExpRecordLimit of them reserved
static RECORD_PAGE *ExpRecordPage;       // what is known of them, by number; [0] is none
static ULONG ExpRecordLimit, ExpRecordsUsed;  // highest number that may be, that ever was
static ULONG ExpDetailsCommitted;        // numbers below this have a place in ExpRecordPage
static ULONG ExpWithFree[RECORD_SIZES];  // first page with a free array and one in use
static ULONG ExpEmptyPage, ExpReleasedPage;
static UCHAR *ExpBump, *ExpBumpEnd;      // rest of the page that is cut for good
static volatile LONG ExpHolders;

// ---- memory ------------------------------------------------------------------------------------
static VOID ExpCountBookkeeping(LONG_PTR Pages)
{
    __atomic_fetch_add(&ExpBookkeepingPages, (ULONG_PTR)Pages, __ATOMIC_RELAXED);
}

BOOLEAN ExpCommitBookkeeping(PVOID Start, SIZE_T Bytes)
{
    SIZE_T Pages = BYTES_TO_PAGES(Bytes);
    if (!MmCommitSystemRange(Start, Pages, MM_READ | MM_WRITE, MM_PAGE_ZEROED))
        return FALSE;
    ExpCountBookkeeping((LONG_PTR)Pages);
    return TRUE;
}

static PVOID ExpAllocateBookkeepingPages(SIZE_T Bytes)
{
    PVOID Range = MmReserveSystemRange(MmRegionBookkeeping, BYTES_TO_PAGES(Bytes));
    if (Range == NULL)
        return NULL;
    if (ExpCommitBookkeeping(Range, Bytes))
        return Range;
    MmReleaseSystemRange(Range, BYTES_TO_PAGES(Bytes));
    return NULL;
}

// Called with ExpRecordLock held.
static PVOID ExpCutBookkeeping(SIZE_T Bytes)
{
    if ((SIZE_T)(ExpBumpEnd - ExpBump) < Bytes) {
        UCHAR *Page = ExpAllocateBookkeepingPages(PAGE_SIZE);
        if (Page == NULL)
            return NULL;
        ExpBump = Page;
        ExpBumpEnd = Page + PAGE_SIZE;
    }
    PVOID Result = ExpBump;
    ExpBump += Bytes;
    return Result;
}

PVOID ExpAllocateBookkeeping(SIZE_T Bytes)
{
    Bytes = ALIGN_UP_BY(Bytes, 64);
    if (Bytes > PAGE_SIZE / 2)
        return ExpAllocateBookkeepingPages(Bytes);
    KIRQL OldIrql = KiAcquireLock(&ExpRecordLock);
    PVOID Result = ExpCutBookkeeping(Bytes);
    KiReleaseLock(&ExpRecordLock, OldIrql);
    return Result;
}

// ---- readers without a lock --------------------------------------------------------------------
VOID ExpHoldBookkeeping(VOID)
{
    __atomic_fetch_add(&ExpHolders, 1, __ATOMIC_SEQ_CST);
}

VOID ExpLetGoOfBookkeeping(VOID)
{
    __atomic_fetch_sub(&ExpHolders, 1, __ATOMIC_RELEASE);
}

// A page's state said that it is not in use before this looks: who holds later sees that.
static BOOLEAN ExpIsHeld(VOID)
{
    return __atomic_fetch_add(&ExpHolders, 0, __ATOMIC_SEQ_CST) != 0;
}

// ---- descriptors, under the pool's growth lock -------------------------------------------------
static POOL_PAGE *ExpGroupOf(POOL *Pool, ULONG_PTR Offset)
{
    return ExpPageOfOffset(Pool, ALIGN_DOWN_BY(Offset, GROUP_BYTES));
}

// Pages from Offset on that are in the same group as it, and below End.
static ULONG ExpPagesInGroup(ULONG_PTR Offset, ULONG_PTR End)
{
    ULONG_PTR Next = ALIGN_DOWN_BY(Offset, GROUP_BYTES) + GROUP_BYTES;
    return (ULONG)(((Next < End ? Next : End) - Offset) >> POOL_PAGE_SHIFT);
}

// Commits the groups up to End. They are empty.
static BOOLEAN ExpGrowGroups(POOL *Pool, ULONG_PTR End)
{
    while (Pool->Limit < End) {
        POOL_PAGE *Group = ExpGroupOf(Pool, Pool->Limit);
        if (!ExpCommitBookkeeping(Group, PAGE_SIZE))
            return FALSE;
        Group->Taken = 1;
        ExpStore(Pool->EmptyGroups, Pool->EmptyGroups + 1);
        __atomic_store_n(&Pool->Limit, Pool->Limit + GROUP_BYTES, __ATOMIC_RELEASE);
    }
    return TRUE;
}

// As it is, whatever this processor's TLB says.
static UCHAR ExpTakenOf(const POOL_PAGE *Group)
{
    if (ExpLoad(Group->Taken) == 0)
        MmRefreshSystemPage(Group);
    return ExpLoad(Group->Taken);
}

static BOOLEAN ExpIsGroupEmpty(const POOL_PAGE *Group)
{
    return (Group->Taken & ~FRESH) == 1;
}

static BOOLEAN ExpTakeFromGroup(POOL *Pool, POOL_PAGE *Group, ULONG Pages, MM_FLUSH *Flush)
{
    UCHAR Taken = ExpTakenOf(Group);
    if (Taken == 0) {
        if (!MmRestoreSystemPage(Flush, Group))
            return FALSE;
        ExpCountBookkeeping(1);
        ExpStore(Group->Taken, FRESH | 1);
        ExpStore(Pool->EmptyGroups, Pool->EmptyGroups + 1);
    } else if (Taken & FRESH) {
        MmFlushLater(Flush, Group, 1);
    }
    ExpStore(Pool->EmptyGroups, Pool->EmptyGroups - ExpIsGroupEmpty(Group));
    ExpStore(Group->Taken, (UCHAR)(Group->Taken + Pages));
    return TRUE;
}

static VOID ExpForgetUpTo(POOL *Pool, ULONG_PTR Offset, ULONG_PTR End)
{
    while (Offset < End) {
        POOL_PAGE *Group = ExpGroupOf(Pool, Offset);
        ULONG Pages = ExpPagesInGroup(Offset, End);
        ExpStore(Group->Taken, (UCHAR)(Group->Taken - Pages));
        ExpStore(Pool->EmptyGroups, Pool->EmptyGroups + ExpIsGroupEmpty(Group));
        Offset += (ULONG_PTR)Pages << POOL_PAGE_SHIFT;
    }
}

// After the flush.
static VOID ExpSettleUpTo(POOL *Pool, ULONG_PTR Offset, ULONG_PTR End)
{
    for (; Offset < End; Offset = ALIGN_DOWN_BY(Offset, GROUP_BYTES) + GROUP_BYTES) {
        POOL_PAGE *Group = ExpGroupOf(Pool, Offset);
        ExpStore(Group->Taken, (UCHAR)(Group->Taken & ~FRESH));
    }
}

// Up to where it came: all or, when memory ended, the first group that has none.
static ULONG_PTR ExpDescribeUpTo(POOL *Pool, ULONG_PTR Offset, ULONG_PTR End, MM_FLUSH *Flush)
{
    while (Offset < End) {
        ULONG Pages = ExpPagesInGroup(Offset, End);
        if (!ExpTakeFromGroup(Pool, ExpGroupOf(Pool, Offset), Pages, Flush))
            break;
        Offset += (ULONG_PTR)Pages << POOL_PAGE_SHIFT;
    }
    return Offset;
}

BOOLEAN ExpDescribePages(POOL *Pool, ULONG_PTR Offset, SIZE_T Pages)
{
    ULONG_PTR End = Offset + (Pages << POOL_PAGE_SHIFT), Reached = Offset;
    MM_FLUSH Flush;
    MmBeginFlush(&Flush);
    KiAcquireLockAtDpcLevel(&Pool->GrowthLock);
    if (ExpGrowGroups(Pool, End))
        Reached = ExpDescribeUpTo(Pool, Offset, End, &Flush);
    KiReleaseLockFromDpcLevel(&Pool->GrowthLock);
    if (Flush.Count != 0) {
        MmFinishFlush(&Flush);
        KiAcquireLockAtDpcLevel(&Pool->GrowthLock);
        ExpSettleUpTo(Pool, Offset, Reached);
        KiReleaseLockFromDpcLevel(&Pool->GrowthLock);
    }
    if (Reached != End)
        ExpForgetPages(Pool, Offset, (Reached - Offset) >> POOL_PAGE_SHIFT);
    return Reached == End;
}

VOID ExpForgetPages(POOL *Pool, ULONG_PTR Offset, SIZE_T Pages)
{
    KiAcquireLockAtDpcLevel(&Pool->GrowthLock);
    ExpForgetUpTo(Pool, Offset, Offset + (Pages << POOL_PAGE_SHIFT));
    KiReleaseLockFromDpcLevel(&Pool->GrowthLock);
}

// From the highest on. The lock is taken for one group at a time: others are not kept waiting.
VOID ExpReleaseGroups(POOL *Pool, ULONG_PTR Keep, MM_FLUSH *Flush)
{
    ULONG_PTR Offset = ExpLoad(Pool->Limit);
    while (Offset != 0 && ExpLoad(Pool->EmptyGroups) > Keep) {
        POOL_PAGE *Group = ExpGroupOf(Pool, Offset -= GROUP_BYTES);
        if (ExpLoad(Group->Taken) != 1)
            continue;
        KiAcquireLockAtDpcLevel(&Pool->GrowthLock);
        if (ExpTakenOf(Group) == 1) {
            ExpStore(Group->Taken, 0);
            MmReplaceSystemPage(Flush, Group);
            ExpCountBookkeeping(-1);
            ExpStore(Pool->EmptyGroups, Pool->EmptyGroups - 1);
        }
        KiReleaseLockFromDpcLevel(&Pool->GrowthLock);
    }
}

// ---- records, under ExpRecordLock --------------------------------------------------------------
static UCHAR *ExpRecordAddress(ULONG Number)
{
    return ExpRecordBase + ((SIZE_T)(Number - 1) << PAGE_SHIFT);
}

static VOID ExpLinkRecordPage(ULONG *List, ULONG Number)
{
    ExpRecordPage[Number].Previous = NO_RECORD_PAGE;
    ExpRecordPage[Number].Next = *List;
    if (*List != NO_RECORD_PAGE)
        ExpRecordPage[*List].Previous = Number;
    *List = Number;
}

static VOID ExpUnlinkRecordPage(ULONG *List, ULONG Number)
{
    const RECORD_PAGE *Page = &ExpRecordPage[Number];
    if (Page->Previous != NO_RECORD_PAGE)
        ExpRecordPage[Page->Previous].Next = Page->Next;
    else
        *List = Page->Next;
    if (Page->Next != NO_RECORD_PAGE)
        ExpRecordPage[Page->Next].Previous = Page->Previous;
}

// A number without a page: a released one's or one that never had any.
static ULONG ExpNextRecordNumber(VOID)
{
    if (ExpReleasedPage != NO_RECORD_PAGE)
        return ExpReleasedPage;
    ULONG Number = ExpRecordsUsed + 1;
    if (Number > ExpRecordLimit)
        return NO_RECORD_PAGE;
    if (Number == ExpDetailsCommitted) {
        if (!ExpCommitBookkeeping(&ExpRecordPage[Number], PAGE_SIZE))
            return NO_RECORD_PAGE;
        ExpDetailsCommitted += DETAILS_PER_PAGE;
    }
    return Number;
}

static ULONG ExpCommitRecordPage(VOID)
{
    ULONG Number = ExpNextRecordNumber();
    if (Number == NO_RECORD_PAGE || !ExpCommitBookkeeping(ExpRecordAddress(Number), PAGE_SIZE))
        return NO_RECORD_PAGE;
    if (Number == ExpReleasedPage)
        ExpReleasedPage = ExpRecordPage[Number].Next;
    else
        ExpRecordsUsed = Number;
    ExpRecordPages++;
    return Number;
}

// Cuts the page into arrays, the lowest first in line.
static VOID ExpCutRecordPage(ULONG Number, ULONG Size)
{
    RECORD_PAGE *Page = &ExpRecordPage[Number];
    ULONG Bytes = ARRAY_UNIT << Size;
    Page->Size = Size;
    Page->Live = 0;
    Page->FirstFree = 0;
    for (ULONG Offset = PAGE_SIZE; Offset != 0;) {
        Offset -= Bytes;
        *(USHORT *)(ExpRecordAddress(Number) + Offset) = Page->FirstFree;
        Page->FirstFree = (USHORT)(Offset / ARRAY_UNIT + 1);
    }
}

// A page with a free array of this size, first in its list. Fails: FALSE.
static BOOLEAN ExpFindRecordPage(ULONG Size)
{
    if (ExpWithFree[Size] != NO_RECORD_PAGE)
        return TRUE;
    ULONG Number = ExpEmptyPage;
    if (Number != NO_RECORD_PAGE) {
        ExpUnlinkRecordPage(&ExpEmptyPage, Number);
        ExpStore(ExpEmptyRecordPages, ExpEmptyRecordPages - 1);
    } else {
        Number = ExpCommitRecordPage();
    }
    if (Number == NO_RECORD_PAGE)
        return FALSE;
    ExpCutRecordPage(Number, Size);
    ExpLinkRecordPage(&ExpWithFree[Size], Number);
    return TRUE;
}

static PVOID ExpTakeRecords(ULONG Size)
{
    if (!ExpFindRecordPage(Size))
        return NULL;
    ULONG Number = ExpWithFree[Size];
    RECORD_PAGE *Page = &ExpRecordPage[Number];
    USHORT *Array = (USHORT *)(ExpRecordAddress(Number) + (Page->FirstFree - 1u) * ARRAY_UNIT);
    Page->FirstFree = *Array;
    Page->Live++;
    if (Page->FirstFree == 0)
        ExpUnlinkRecordPage(&ExpWithFree[Size], Number);
    return Array;
}

static VOID ExpGiveRecords(ULONG Number, ULONG Offset)
{
    RECORD_PAGE *Page = &ExpRecordPage[Number];
    if (Page->FirstFree == 0)
        ExpLinkRecordPage(&ExpWithFree[Page->Size], Number);
    *(USHORT *)(ExpRecordAddress(Number) + Offset) = Page->FirstFree;
    Page->FirstFree = (USHORT)(Offset / ARRAY_UNIT + 1);
    if (--Page->Live != 0)
        return;
    ExpUnlinkRecordPage(&ExpWithFree[Page->Size], Number);
    ExpLinkRecordPage(&ExpEmptyPage, Number);
    ExpStore(ExpEmptyRecordPages, ExpEmptyRecordPages + 1);
}

POOL_RECORD *ExpAllocateRecords(ULONG Blocks)
{
    ULONG Size = 0;
    while (ARRAY_UNIT << Size < Blocks * sizeof(POOL_RECORD))
        Size++;
    KiAcquireLockAtDpcLevel(&ExpRecordLock);
    POOL_RECORD *Records = ExpTakeRecords(Size);
    KiReleaseLockFromDpcLevel(&ExpRecordLock);
    if (Records != NULL)
        RtlZeroMemory(Records, ARRAY_UNIT << Size);
    return Records;
}

VOID ExpFreeRecords(POOL_RECORD *Records)
{
    SIZE_T Distance = (SIZE_T)((UCHAR *)Records - ExpRecordBase);
    KiAcquireLockAtDpcLevel(&ExpRecordLock);
    ExpGiveRecords((ULONG)(Distance >> PAGE_SHIFT) + 1, (ULONG)(Distance & (PAGE_SIZE - 1)));
    KiReleaseLockFromDpcLevel(&ExpRecordLock);
}

// Unmaps the empty pages beyond Keep. They stay linked, from *First to the one returned.
static ULONG ExpUnmapRecordPages(ULONG_PTR Keep, ULONG *First, MM_FLUSH *Flush)
{
    ULONG Last = NO_RECORD_PAGE;
    KiAcquireLockAtDpcLevel(&ExpRecordLock);
    *First = ExpEmptyPage;
    while (ExpEmptyRecordPages > Keep && !ExpIsHeld()) {
        Last = ExpEmptyPage;
        ExpUnlinkRecordPage(&ExpEmptyPage, Last);
        ExpStore(ExpEmptyRecordPages, ExpEmptyRecordPages - 1);
        ExpRecordPages--;
        ExpCountBookkeeping(-1);
        MmDecommitLater(Flush, ExpRecordAddress(Last), 1);
    }
    KiReleaseLockFromDpcLevel(&ExpRecordLock);
    return Last;
}

// Their addresses are used again only when every processor has forgotten what was there.
VOID ExpReleaseRecordPages(ULONG_PTR Keep)
{
    MM_FLUSH Flush;
    ULONG First;
    MmBeginFlush(&Flush);
    ULONG Last = ExpUnmapRecordPages(Keep, &First, &Flush);
    if (Last == NO_RECORD_PAGE)
        return;
    MmFinishFlush(&Flush);
    KiAcquireLockAtDpcLevel(&ExpRecordLock);
    ExpRecordPage[Last].Next = ExpReleasedPage;
    ExpReleasedPage = First;
    KiReleaseLockFromDpcLevel(&ExpRecordLock);
}

// ---- start -------------------------------------------------------------------------------------
// No more pages than RAM has.
BOOLEAN ExpInitializeRecords(VOID)
{
    ULONG64 Limit;
    MmQueryAvailablePages(&Limit);
    ULONG64 Share = (MmGetRegion(MmRegionBookkeeping)->Size >> PAGE_SHIFT) / RECORD_SHARE;
    ExpRecordLimit = (ULONG)(Limit < Share ? Limit : Share);
    ExpRecordBase = MmReserveSystemRange(MmRegionBookkeeping, ExpRecordLimit);
    SIZE_T Bytes = ((SIZE_T)ExpRecordLimit + 1) * sizeof(RECORD_PAGE);
    ExpRecordPage = MmReserveSystemRange(MmRegionBookkeeping, BYTES_TO_PAGES(Bytes));
    ExpDetailsCommitted = DETAILS_PER_PAGE;
    return ExpRecordBase != NULL && ExpRecordPage != NULL &&
           ExpCommitBookkeeping(ExpRecordPage, PAGE_SIZE);
}
