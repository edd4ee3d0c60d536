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
static ULONG MiLedgerCount;           // records ever used
static ULONG MiLedgerFree;            // chain of unused ones: index + 1
static ULONG MiLedgerBucket[BUCKETS]; // chains: index + 1

static const char *const MiLedgerName[MiLedgerKinds] = {
    [MiLedgerIoSpace] = "I/O space mapping",
    [MiLedgerContiguous] = "contiguous memory",
    [MiLedgerNonCached] = "noncached memory",
};

static MI_RECORD *MiRecord(ULONG Number)
{
    return (MI_RECORD *)MiLedgerArray.Base + (Number - 1);
}

static ULONG *MiBucketOf(ULONG_PTR Base)
{
    return &MiLedgerBucket[(Base >> PAGE_SHIFT) % BUCKETS];
}

VOID INIT_CODE MiInitializeLedger(VOID)
{
    KeInitializeSpinLock(&MiLedgerLock);
    MiCreateArray(&MiLedgerArray, LEDGER_LIMIT);
}

static ULONG MiNewRecord(VOID)
{
    ULONG Number = MiLedgerFree;
    if (Number != 0) {
        MiLedgerFree = MiRecord(Number)->Next;
        return Number;
    }
    if (!MiGrowArray(&MiLedgerArray, (MiLedgerCount + 1) * sizeof(MI_RECORD)))
        return 0;
    return ++MiLedgerCount;
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

static struct {
    ULONG64 First, Last;
    ULONG Count;
} MiLedgerSpan[Types];

#define FIRST_PAGE(Record) ((Record)->Physical >> PAGE_SHIFT)
#define LAST_PAGE(Record)  (((Record)->Physical + (Record)->Bytes - 1) >> PAGE_SHIFT)

FORCEINLINE BOOLEAN MiIsContiguous(const MI_RECORD *Record)
{
    return Record->Kind != MiLedgerNonCached;
}

static VOID MiExtendSpan(const MI_RECORD *Record)
{
    ULONG64 First = FIRST_PAGE(Record), Last = LAST_PAGE(Record);
    ULONG Type = MiTypeOf[Record->Cache];
    BOOLEAN New = MiLedgerSpan[Type].Count++ == 0;
    if (New || First < MiLedgerSpan[Type].First)
        MiLedgerSpan[Type].First = First;
    if (New || Last > MiLedgerSpan[Type].Last)
        MiLedgerSpan[Type].Last = Last;
}

static BOOLEAN MiFindOverlap(const MI_RECORD *Record, ULONG Type)
{
    for (ULONG i = 1; i <= MiLedgerCount; i++) {
        const MI_RECORD *Other = MiRecord(i);
        if (Other->Base != 0 && MiIsContiguous(Other) && MiTypeOf[Other->Cache] == Type &&
            FIRST_PAGE(Other) <= LAST_PAGE(Record) && FIRST_PAGE(Record) <= LAST_PAGE(Other))
            return TRUE;
    }
    return FALSE;
}

// Is there a record of this type for any of the pages?
FORCEINLINE BOOLEAN MiOverlaps(const MI_RECORD *Record, ULONG Type)
{
    return MiLedgerSpan[Type].Count != 0 && MiLedgerSpan[Type].First <= LAST_PAGE(Record) &&
           FIRST_PAGE(Record) <= MiLedgerSpan[Type].Last && MiFindOverlap(Record, Type);
}

// Otherwise: the type of memory that no record speaks of; MmNotMapped: it has none yet.
static BOOLEAN MiFits(const MI_RECORD *Record, MEMORY_CACHING_TYPE Otherwise)
{
    ULONG Mine = MiTypeOf[Record->Cache];
    for (ULONG Type = 0; Type < Types; Type++)
        if (Type != Mine && MiOverlaps(Record, Type))
            return FALSE;
    return Otherwise == MmNotMapped || MiTypeOf[Otherwise] == Mine || MiOverlaps(Record, Mine);
}

// ---- records ------------------------------------------------------------------------------------
// Locked: MiLedgerLock.
static BOOLEAN MiInsertRecord(const MI_RECORD *Record)
{
    ULONG Number = MiNewRecord();
    if (Number == 0)
        return FALSE;
    ULONG *Bucket = MiBucketOf(Record->Base);
    *MiRecord(Number) = *Record;
    MiRecord(Number)->Next = *Bucket;
    *Bucket = Number;
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
    for (ULONG *Link = MiBucketOf(Base); *Link != 0; Link = &MiRecord(*Link)->Next) {
        ULONG Number = *Link;
        MI_RECORD *This = MiRecord(Number);
        if (This->Base != Base || This->Kind != Kind)
            continue;
        *Record = *This;
        *Link = This->Next;
        This->Base = 0;
        This->Next = MiLedgerFree;
        MiLedgerFree = Number;
        if (MiIsContiguous(Record))
            MiLedgerSpan[MiTypeOf[Record->Cache]].Count--;
        Found = TRUE;
        break;
    }
    MiRelease(&MiLedgerLock, OldIrql);
    return Found;
}

BOOLEAN MiLedgerFind(ULONG_PTR Address, MI_RECORD *Record)
{
    for (ULONG i = 1; i <= MiLedgerCount; i++) {
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
    for (ULONG i = 1; i <= MiLedgerCount; i++) {
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
             (ULONG64)Record->Bytes, Record->Physical, CacheName[Record->Cache],
             MiLedgerName[Record->Kind], Caller);
}

static BOOLEAN MmMapsCommand(const char *Arguments)
{
    for (ULONG i = 1; i <= MiLedgerCount; i++)
        if (MiRecord(i)->Base != 0)
            MiDescribeRecord(MiRecord(i));
    return TRUE;
}
KD_COMMAND(maps, "!maps", "!maps: I/O space mappings, contiguous and noncached memory",
           MmMapsCommand, KD_SAFE_IN_BUGCHECK);
