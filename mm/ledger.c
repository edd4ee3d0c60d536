// SPDX-License-Identifier: MIT
// Who holds what: I/O space mappings, contiguous and noncached memory, each with the caller's
// address.
//
// Drivers give these back by address, so something has to know how large they were and that they
// exist at all; and what a driver still holds when it is unloaded is named to it. One table of
// records serves the three kinds, found by a hash of the base address; free records form a chain.
//
// Records never move, and a record is cleared (Base = 0) before it is reused, so the monitor and
// the fault routine may read the table without the lock.
//
// Lock: MiLedgerLock, outermost of mm's. Observability: `!maps`.
#include "mi.h"

#define LEDGER_LIMIT 0x100000u // bytes
#define BUCKETS      64u

static KSPIN_LOCK MiLedgerLock;
static MI_ARRAY MiLedgerArray;
static ULONG MiLedgerCount;     // records ever used
static MI_RECORD *MiLedgerFree; // chain of unused ones
static MI_RECORD *MiLedgerBucket[BUCKETS];

static const char *const MiLedgerName[MiLedgerKinds] = {
    [MiLedgerIoSpace] = "I/O space mapping",
    [MiLedgerContiguous] = "contiguous memory",
    [MiLedgerNonCached] = "noncached memory",
};

static MI_RECORD *MiRecord(ULONG Index)
{
    return (MI_RECORD *)MiLedgerArray.Base + Index;
}

static MI_RECORD **MiBucketOf(ULONG_PTR Base)
{
    return &MiLedgerBucket[(Base >> PAGE_SHIFT) % BUCKETS];
}

VOID INIT_CODE MiInitializeLedger(VOID)
{
    KeInitializeSpinLock(&MiLedgerLock);
    MiCreateArray(&MiLedgerArray, LEDGER_LIMIT);
}

static MI_RECORD *MiNewRecord(VOID)
{
    MI_RECORD *Record = MiLedgerFree;
    if (Record != NULL)
        MiLedgerFree = Record->Next;
    else if (MiGrowArray(&MiLedgerArray, (MiLedgerCount + 1) * sizeof(MI_RECORD)))
        Record = MiRecord(MiLedgerCount++);
    return Record;
}

// ---- physical memory and cache types ------------------------------------------------------------
// A page has one cache type at a time. Which pages have records of a type is bounded by a span of
// page numbers, exact when the last such record goes: devices are far from RAM and from each other,
// so that hardly a mapping makes anyone look through the records.
enum { WriteBack, WriteCombining, Uncached, Types };

static const UCHAR MiTypeOf[MmMaximumCacheType] = {
    [MmNonCached] = Uncached,
    [MmCached] = WriteBack,
    [MmWriteCombined] = WriteCombining,
    [MmHardwareCoherentCached] = WriteBack,
    [MmNonCachedUnordered] = Uncached,
    [MmUSWCCached] = WriteCombining,
};

typedef struct _MI_SPAN {
    PFN_NUMBER First, Last; // none: ends before it begins
    ULONG Count;            // of the records
} MI_SPAN;

static MI_SPAN MiLedgerSpan[Types] = {
    {.First = MM_NO_PAGE}, {.First = MM_NO_PAGE}, {.First = MM_NO_PAGE}};

FORCEINLINE PFN_NUMBER MiLastPage(const MI_RECORD *Record)
{
    return Record->Page + ((BYTE_OFFSET(Record->Base) + Record->Bytes - 1) >> PAGE_SHIFT);
}

FORCEINLINE BOOLEAN MiIsContiguous(const MI_RECORD *Record)
{
    return Record->Kind != MiLedgerNonCached;
}

static VOID MiExtendSpan(const MI_RECORD *Record)
{
    MI_SPAN *Span = &MiLedgerSpan[MiTypeOf[Record->Cache]];
    PFN_NUMBER Last = MiLastPage(Record);
    if (Record->Page < Span->First)
        Span->First = Record->Page;
    if (Last > Span->Last)
        Span->Last = Last;
    Span->Count++;
}

static VOID MiShrinkSpan(const MI_RECORD *Record)
{
    MI_SPAN *Span = &MiLedgerSpan[MiTypeOf[Record->Cache]];
    if (--Span->Count == 0)
        *Span = (MI_SPAN){.First = MM_NO_PAGE};
}

static BOOLEAN MiFindOverlap(PFN_NUMBER First, PFN_NUMBER Last, ULONG Type)
{
    for (ULONG i = 0; i < MiLedgerCount; i++) {
        const MI_RECORD *Other = MiRecord(i);
        if (Other->Base != 0 && MiIsContiguous(Other) && MiTypeOf[Other->Cache] == Type &&
            Other->Page <= Last && First <= MiLastPage(Other))
            return TRUE;
    }
    return FALSE;
}

// Is there a record of this type for any of the pages?
FORCEINLINE BOOLEAN MiOverlaps(PFN_NUMBER First, PFN_NUMBER Last, ULONG Type)
{
    return MiLedgerSpan[Type].First <= Last && First <= MiLedgerSpan[Type].Last &&
           MiFindOverlap(First, Last, Type);
}

// Otherwise: the type of memory that no record speaks of; MmNotMapped: it has none yet.
FORCEINLINE BOOLEAN MiFits(const MI_RECORD *Record, MEMORY_CACHING_TYPE Otherwise)
{
    ULONG Mine = MiTypeOf[Record->Cache];
    PFN_NUMBER First = Record->Page, Last = MiLastPage(Record);
#pragma GCC unroll 3
    for (ULONG Type = 0; Type < Types; Type++)
        if (Type != Mine && MiOverlaps(First, Last, Type))
            return FALSE;
    return Otherwise == MmNotMapped || MiTypeOf[Otherwise] == Mine ||
           MiOverlaps(First, Last, Mine);
}

// ---- records ------------------------------------------------------------------------------------
// The base last: it is what makes the record one for those who read without the lock. Field by
// field, also because the compiler makes a loop of the whole on i386.
FORCEINLINE VOID MiCopyRecord(MI_RECORD *To, const MI_RECORD *From)
{
    To->Caller = From->Caller;
    To->Page = From->Page;
    To->Bytes = From->Bytes;
    To->Kind = From->Kind;
    To->Cache = From->Cache;
    __atomic_store_n(&To->Base, From->Base, __ATOMIC_RELEASE);
}

// Locked: MiLedgerLock.
static BOOLEAN MiInsertRecord(const MI_RECORD *Record)
{
    MI_RECORD *New = MiNewRecord();
    if (New == NULL)
        return FALSE;
    MI_RECORD **Bucket = MiBucketOf(Record->Base);
    MiCopyRecord(New, Record);
    New->Next = *Bucket;
    *Bucket = New;
    if (MiIsContiguous(Record))
        MiExtendSpan(Record);
    return TRUE;
}

BOOLEAN MiLedgerInsert(const MI_RECORD *Record)
{
    KIRQL OldIrql = MiAcquire(&MiLedgerLock);
    BOOLEAN Done = MiInsertRecord(Record);
    MiRelease(&MiLedgerLock, OldIrql);
    return Done;
}

BOOLEAN MiLedgerInsertIfFits(const MI_RECORD *Record, MEMORY_CACHING_TYPE Otherwise)
{
    KIRQL OldIrql = MiAcquire(&MiLedgerLock);
    BOOLEAN Done = MiFits(Record, Otherwise) && MiInsertRecord(Record);
    MiRelease(&MiLedgerLock, OldIrql);
    return Done;
}

BOOLEAN MiLedgerRemove(MI_LEDGER_KIND Kind, ULONG_PTR Base, MI_RECORD *Record)
{
    BOOLEAN Found = FALSE;
    KIRQL OldIrql = MiAcquire(&MiLedgerLock);
    for (MI_RECORD **Link = MiBucketOf(Base), *This; (This = *Link) != NULL; Link = &This->Next) {
        if (This->Base != Base || This->Kind != Kind)
            continue;
        MiCopyRecord(Record, This);
        *Link = This->Next;
        This->Base = 0;
        This->Next = MiLedgerFree;
        MiLedgerFree = This;
        if (MiIsContiguous(Record))
            MiShrinkSpan(Record);
        Found = TRUE;
        break;
    }
    MiRelease(&MiLedgerLock, OldIrql);
    return Found;
}

BOOLEAN MiLedgerFind(ULONG_PTR Address, MI_RECORD *Record)
{
    for (ULONG i = 0; i < MiLedgerCount; i++) {
        *Record = *MiRecord(i);
        if (Record->Base != 0 && Address - Record->Base < Record->Bytes)
            return TRUE;
    }
    return FALSE;
}

// ---- leaks and monitor --------------------------------------------------------------------------
static VOID MiReportLeak(const MI_RECORD *Record)
{
    char Caller[96];
    KdSymbolize(Record->Caller, Caller, sizeof(Caller));
    KLOG("leak", "%s at %p, %llu bytes, made by %s, was not given back", MiLedgerName[Record->Kind],
         (PVOID)Record->Base, (ULONG64)Record->Bytes, Caller);
}

static ULONG MiReportLeaks(MI_LEDGER_KIND Kind, ULONG_PTR Start, ULONG_PTR End)
{
    ULONG Count = 0;
    for (ULONG i = 0; i < MiLedgerCount; i++) {
        MI_RECORD *Record = MiRecord(i);
        if (Record->Base == 0 || Record->Kind != Kind || Record->Caller < Start ||
            Record->Caller >= End)
            continue;
        MiReportLeak(Record);
        Count++;
    }
    return Count;
}

static ULONG MiIoSpaceLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    return MiReportLeaks(MiLedgerIoSpace, Start, End);
}

static ULONG MiContiguousLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    return MiReportLeaks(MiLedgerContiguous, Start, End);
}

static ULONG MiNonCachedLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    return MiReportLeaks(MiLedgerNonCached, Start, End);
}

LEAK_SOURCE(MmIoSpace, "I/O space mappings", MiIoSpaceLeaks);
LEAK_SOURCE(MmContiguous, "contiguous memory blocks", MiContiguousLeaks);
LEAK_SOURCE(MmNonCached, "noncached memory blocks", MiNonCachedLeaks);

VOID MiDescribeRecord(const MI_RECORD *Record)
{
    static const char *const CacheName[MmMaximumCacheType] = {
        "uncached", "cached", "write-combined", "coherent", "unordered", "USWC"};
    char Caller[96];
    KdSymbolize(Record->Caller, Caller, sizeof(Caller));
    KdPrintf("  %p %8llX bytes  physical %010llX  %-14s %-18s %s\n", (PVOID)Record->Base,
             (ULONG64)Record->Bytes, PAGE_BYTES(Record->Page) + BYTE_OFFSET(Record->Base),
             CacheName[Record->Cache], MiLedgerName[Record->Kind], Caller);
}

static BOOLEAN MmMapsCommand(const char *Arguments)
{
    for (ULONG i = 0; i < MiLedgerCount; i++)
        if (MiRecord(i)->Base != 0)
            MiDescribeRecord(MiRecord(i));
    return TRUE;
}
KD_COMMAND(maps, "!maps", "!maps: I/O space mappings, contiguous and noncached memory",
           MmMapsCommand, KD_SAFE_IN_BUGCHECK);
