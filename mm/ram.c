// SPDX-License-Identifier: MIT
// Which physical pages are RAM, and what boot had put there.
//
// A short sorted table made from the loader block, after /MAXMEM= and /BURNMEMORY=. As long as no
// page of a 2 MiB chunk has been asked for, this table is all that is known of it and all that it
// costs; once the chunk has entries in the PFN database (mm/pfn.c), those decide and the table only
// remembers that there is RAM. Firmware's RAM (ACPI tables) is left out: it is neither ours nor
// counted.
//
// Locks: written at start, and under MiPfnLock when loaded pages are given back.
#include "mi.h"
#include "pool.h"

MI_RAM MiRam[MI_RAM_MAX];
ULONG MiRamCount;
#define LEAST_FREE_PAGES 512u  // 2 MiB: the start, the monitor and a small driver

PFN_NUMBER MiTotalPages, MiLowestPage, MiHighestPage, MiLoadedPages;

static MI_PAGE_STATE MiStateOfLoaderMemory(ULONG Type)
{
    switch (Type) {
    case LoaderMemoryFree:
        return MiPageFree;
    case LoaderMemoryLoaded:
        return MiPageActive;
    case LoaderMemoryBad:
        return MiPageBad;
    default:
        return MiPageNone;
    }
}

static VOID INIT_CODE MiAppendRam(PFN_NUMBER First, PFN_NUMBER End, MI_PAGE_STATE State)
{
    MI_RAM *Last = MiRamCount == 0 ? NULL : &MiRam[MiRamCount - 1];
    if (First >= End || State == MiPageNone)
        return;
    if (Last != NULL && Last->End == First && Last->State == State)
        Last->End = End;
    else if (MiRamCount < LOADER_MAX_MEMORY)
        MiRam[MiRamCount++] = (MI_RAM){First, End, State};
}

// Page 0 stays out: firmware's interrupt vectors are there, and a null physical address is a
// mistake.
static VOID INIT_CODE MiCollectRam(PLOADER_BLOCK Block, PFN_NUMBER Limit, PFN_NUMBER FreeLimit)
{
    MiRamCount = 0;
    for (ULONG i = 0; i < Block->MemoryCount; i++) {
        const LOADER_MEMORY *Memory = &Block->Memory[i];
        ULONG64 First = Memory->Base >> PAGE_SHIFT,
                End = (Memory->Base + Memory->Length) >> PAGE_SHIFT;
        MI_PAGE_STATE State = MiStateOfLoaderMemory(Memory->Type);
        ULONG64 Most = State == MiPageFree ? FreeLimit : Limit;
        if (First == 0)
            First = 1;
        if (End > Most)
            End = Most;
        if (First < End)
            MiAppendRam((PFN_NUMBER)First, (PFN_NUMBER)End, State);
    }
}

static VOID MiDeleteRam(ULONG Index)
{
    memmove(&MiRam[Index], &MiRam[Index + 1], (MiRamCount - Index - 1) * sizeof(MI_RAM));
    MiRamCount--;
}

// /BURNMEMORY=n: n MiB of free RAM are not used, the highest first.
static VOID INIT_CODE MiBurnRam(PFN_NUMBER Burn)
{
    for (ULONG i = MiRamCount; i-- != 0 && Burn != 0;) {
        PFN_NUMBER Pages = MiRam[i].End - MiRam[i].First;
        if (MiRam[i].State != MiPageFree)
            continue;
        PFN_NUMBER Take = Pages < Burn ? Pages : Burn;
        MiRam[i].End -= Take;
        Burn -= Take;
        if (Take == Pages)
            MiDeleteRam(i);
    }
}

ULONG MiCountRam(PFN_NUMBER First, PFN_NUMBER End, MI_PAGE_STATE State)
{
    PFN_NUMBER Count = 0;
    for (ULONG i = 0; i < MiRamCount && MiRam[i].First < End; i++) {
        PFN_NUMBER From = MiRam[i].First > First ? MiRam[i].First : First;
        PFN_NUMBER To = MiRam[i].End < End ? MiRam[i].End : End;
        if (MiRam[i].State == State && From < To)
            Count += To - From;
    }
    return (ULONG)Count;
}

static ULONG INIT_CODE MiFreeInChunk(PFN_NUMBER Chunk)
{
    return MiCountRam(Chunk * MI_CHUNK_PAGES, (Chunk + 1) * MI_CHUNK_PAGES, MiPageFree);
}

// A chunk with so few free pages that its database entries would take them is not worth having.
static VOID INIT_CODE MiDropSlivers(VOID)
{
    for (ULONG i = 0; i < MiRamCount;) {
        MI_RAM *Ram = &MiRam[i];
        if (Ram->State == MiPageFree) {
            PFN_NUMBER First = MI_CHUNK_OF(Ram->First), Last = MI_CHUNK_OF(Ram->End - 1);
            if (MiFreeInChunk(Last) < MI_CHUNK_MINIMUM)
                Ram->End = Last * MI_CHUNK_PAGES > Ram->First ? Last * MI_CHUNK_PAGES : Ram->First;
            if (First != Last && MiFreeInChunk(First) < MI_CHUNK_MINIMUM)
                Ram->First = (First + 1) * MI_CHUNK_PAGES;
            if (Ram->First >= Ram->End) {
                MiDeleteRam(i);
                continue;
            }
        }
        i++;
    }
}

static VOID INIT_CODE MiSummarizeRam(VOID)
{
    MiTotalPages = MiLoadedPages = 0;
    for (ULONG i = 0; i < MiRamCount; i++) {
        PFN_NUMBER Pages = MiRam[i].End - MiRam[i].First;
        MiTotalPages += Pages;
        MiUntouched[MiRam[i].State] += Pages;
        if (MiRam[i].State == MiPageActive)
            MiLoadedPages += Pages;
    }
    VERIFY(MiRamCount != 0);
    MiLowestPage = MiRam[0].First;
    MiHighestPage = MiRam[MiRamCount - 1].End - 1;
}

// boot.ini counts these in MiB; a value of a million or more can only be meant in bytes ("64M").
static PFN_NUMBER INIT_CODE MiMemoryOption(const char *Name)
{
    ULONG64 Value = KdQueryOptionNumber(Name, 0);
    return (PFN_NUMBER)(Value < 0x100000 ? Value << 8 : Value >> PAGE_SHIFT);
}

// Whether taking Pages away leaves enough to start with; says so if not.
static BOOLEAN INIT_CODE MiLeavesEnough(const char *Option, PFN_NUMBER Pages)
{
    if (MiCountRam(0, ~(PFN_NUMBER)0, MiPageFree) >= Pages + LEAST_FREE_PAGES)
        return TRUE;
    KLOG("mm", "/%s leaves too little memory to start with: ignored", Option);
    return FALSE;
}

VOID INIT_CODE MiInitializeRam(PLOADER_BLOCK Block, PFN_NUMBER Limit)
{
    PFN_NUMBER Most = MiMemoryOption("MAXMEM"), Burn = MiMemoryOption("BURNMEMORY");

    MiCollectRam(Block, Limit, Most != 0 && Most < Limit ? Most : Limit);
    if (Most != 0 && !MiLeavesEnough("MAXMEM", 0))
        MiCollectRam(Block, Limit, Limit);
    if (Burn != 0 && MiLeavesEnough("BURNMEMORY", Burn))
        MiBurnRam(Burn);
    MiDropSlivers();
    MiSummarizeRam();
}

MI_PAGE_STATE MiRamState(PFN_NUMBER Page)
{
    for (ULONG i = 0; i < MiRamCount && MiRam[i].First <= Page; i++)
        if (Page < MiRam[i].End)
            return MiRam[i].State;
    return MiPageNone;
}

BOOLEAN MiIsRam(PFN_NUMBER First, PFN_NUMBER Count)
{
    for (ULONG i = 0; i < MiRamCount && First <= MiHighestPage; i++)
        if (First < MiRam[i].End && MiRam[i].First < First + Count)
            return TRUE;
    return FALSE;
}

static VOID MiInsertRam(ULONG Index, PFN_NUMBER First, PFN_NUMBER End, MI_PAGE_STATE State)
{
    memmove(&MiRam[Index + 1], &MiRam[Index], (MiRamCount - Index) * sizeof(MI_RAM));
    MiRam[Index] = (MI_RAM){First, End, State};
    MiRamCount++;
}

static VOID MiMergeRam(VOID)
{
    for (ULONG i = 0; i + 1 < MiRamCount;) {
        if (MiRam[i].End != MiRam[i + 1].First || MiRam[i].State != MiRam[i + 1].State) {
            i++;
            continue;
        }
        MiRam[i].End = MiRam[i + 1].End;
        MiDeleteRam(i + 1);
    }
}

// Pages that lie within one entry change their state: the entry is cut in up to three.
// Fails: the pages lie in no single entry, or the table is full.
BOOLEAN MiSetRamState(PFN_NUMBER First, PFN_NUMBER End, MI_PAGE_STATE State)
{
    for (ULONG i = 0; i < MiRamCount; i++) {
        MI_RAM Old = MiRam[i];
        if (First < Old.First || End > Old.End)
            continue;
        if (MiRamCount + 2 > MI_RAM_MAX)
            return FALSE;
        MiRam[i] = (MI_RAM){First, End, State};
        if (End < Old.End)
            MiInsertRam(i + 1, End, Old.End, Old.State);
        if (Old.First < First)
            MiInsertRam(i, Old.First, First, Old.State);
        MiMergeRam();
        return TRUE;
    }
    return FALSE;
}

// ---- exported -----------------------------------------------------------------------------------
// Runs of RAM, whatever their states: entries that touch are one.
static ULONG MiCollectRuns(PPHYSICAL_MEMORY_RANGE Run, ULONG Limit)
{
    ULONG Count = 0;
    PFN_NUMBER End = 0;
    for (ULONG i = 0; i < MiRamCount; i++) {
        LONGLONG Bytes = (LONGLONG)PAGE_BYTES(MiRam[i].End - MiRam[i].First);
        if (MiRam[i].State == MiPageBad)
            continue;
        if (Count != 0 && End == MiRam[i].First) {
            Run[Count - 1].NumberOfBytes.QuadPart += Bytes;
        } else if (Count < Limit) {
            Run[Count].BaseAddress.QuadPart = (LONGLONG)PAGE_BYTES(MiRam[i].First);
            Run[Count++].NumberOfBytes.QuadPart = Bytes;
        }
        End = MiRam[i].End;
    }
    return Count;
}

#define RANGES_TAG 0x68506D4Du // "MmPh"

/// MmGetPhysicalMemoryRanges: where RAM is that the system uses.
/// Returns an array from nonpaged pool that ends with an entry of zeros; the caller frees it with
/// ExFreePool.
/// IRQL: PASSIVE_LEVEL. Fails: NULL when there is no pool.
/// Source: WDK documentation, "MmGetPhysicalMemoryRanges".
PPHYSICAL_MEMORY_RANGE NTAPI MmGetPhysicalMemoryRanges(VOID)
{
    ULONG Limit = MiRamCount;
    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    PPHYSICAL_MEMORY_RANGE Run =
        ExAllocatePoolFor(NonPagedPool, (Limit + 1) * sizeof(*Run), RANGES_TAG, KiReturnAddress());
    if (Run == NULL)
        return NULL;
    KIRQL OldIrql = MiAcquire(&MiPfnLock);
    ULONG Count = MiCollectRuns(Run, Limit);
    MiRelease(&MiPfnLock, OldIrql);
    memset(&Run[Count], 0, sizeof(*Run));
    return Run;
}
EXPORT(MmGetPhysicalMemoryRanges, PASSIVE_LEVEL, "WDK: MmGetPhysicalMemoryRanges");
