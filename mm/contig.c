// SPDX-License-Identifier: MIT
// Physically contiguous memory and noncached memory, for drivers that do DMA by hand.
//
// The pages come from MiAllocateContiguousPages (mm/run.c), the highest that satisfy the caller's
// limits, so that low memory is kept for those who can use no other. By contract the memory of the
// old routines is executable; it is mapped in the one region where that is allowed.
// MmAllocateContiguousNodeMemory with PAGE_READWRITE gets no-execute memory among the system PTEs.
//
// When there is no such run, the pools give back what they keep for later, once: the pages that a
// burst left with them lie everywhere, and so do its page tables.
//
// RAM that becomes uncached or write-combined has no other mapping, since the kernel keeps none of
// RAM at large; the caches are written back once so that no dirty line lands in it later.
//
// Locks: as in mm/ledger.c. Observability: `!maps`, leak report at unload.
#include "mi.h"
#include "pool.h"

#define MM_ANY_NODE_OK 0x80000000u

static VOID MiOwnPages(PVOID Base, PFN_NUMBER First, SIZE_T Pages, MEMORY_CACHING_TYPE Cache)
{
    PMMPTE Pte = MiPteOf((ULONG_PTR)Base);
    for (SIZE_T i = 0; i < Pages; i++) {
        MiPfn(First + i)->PteAddress = Pte + i;
        MiPfn(First + i)->u3.CacheType = Cache == MmCached ? 0 : Cache + 1;
    }
}

static VOID MiFreeRun(PFN_NUMBER First, SIZE_T Pages)
{
    for (SIZE_T i = 0; i < Pages; i++) {
        MiPfn(First + i)->u3.CacheType = 0;
        MmFreePage(First + i);
    }
}

// Only these three are a driver's; the others mean one of them.
static MEMORY_CACHING_TYPE MiPlainCacheType(MEMORY_CACHING_TYPE Cache)
{
    switch (Cache) {
    case MmNonCached:
    case MmNonCachedUnordered:
        return MmNonCached;
    case MmWriteCombined:
    case MmUSWCCached:
        return MmWriteCombined;
    default:
        return MmCached;
    }
}

static PVOID MiMapRun(PFN_NUMBER First, SIZE_T Pages, ULONG Protection, MEMORY_CACHING_TYPE Cache)
{
    BOOLEAN Executes = (Protection & MM_EXECUTE) != 0;
    PVOID Base =
        MmReserveSystemRange(Executes ? MmRegionNonPagedPoolExecute : MmRegionSystemPtes, Pages);
    if (Base == NULL)
        return NULL;
    if (!MiMakeTables(Base, Pages)) {
        MmReleaseSystemRange(Base, Pages);
        return NULL;
    }
    if (Executes && MiPoolNeverExecutes)
        Protection &= ~MM_EXECUTE;
    if (MiCacheBits[Cache] != 0)
        MiFlushCaches();
    MiOwnPages(Base, First, Pages, Cache);
    MiMapPages(Base, First, Pages, Protection, Cache);
    return Base;
}

static VOID MiUnmapRun(const MI_RECORD *Record)
{
    SIZE_T Pages = BYTES_TO_PAGES(Record->Bytes);
    MiUnmapPages((PVOID)Record->Base, Pages);
    MiFreeRun(Record->Page, Pages);
    MmReleaseSystemRange((PVOID)Record->Base, Pages);
}

// Limits in pages: the first that begins at or above Low, the last that ends at or below High.
static PFN_NUMBER MiTakeRunWithin(SIZE_T Bytes, ULONG64 Low, ULONG64 High, ULONG64 Boundary)
{
    ULONG64 First = (Low >> PAGE_SHIFT) + ((Low & (PAGE_SIZE - 1)) != 0);
    ULONG64 End = High == ~0ull ? High >> PAGE_SHIFT : (High + 1) >> PAGE_SHIFT;
    if (End == 0 || First >= End || First > MiHighestPage || (Boundary != 0 && Bytes > Boundary))
        return MM_NO_PAGE;
    if (Boundary != 0 && Boundary < PAGE_SIZE)
        Boundary = PAGE_SIZE;
    if (End > MiHighestPage + 1ull)
        End = MiHighestPage + 1ull;
    if (Boundary >> PAGE_SHIFT > MiHighestPage)
        Boundary = 0;
    return MiAllocateContiguousPages(BYTES_TO_PAGES(Bytes), (PFN_NUMBER)First, (PFN_NUMBER)End - 1,
                                     (PFN_NUMBER)(Boundary >> PAGE_SHIFT));
}

static PVOID MiAllocateContiguous(SIZE_T Bytes, ULONG64 Low, ULONG64 High, ULONG64 Boundary,
                                  ULONG Protection, MEMORY_CACHING_TYPE Cache, ULONG_PTR Caller)
{
    if (Bytes == 0 || (Boundary & (Boundary - 1)) != 0 || ExFailsOnPurpose(Caller, Bytes, 'mCmM'))
        return NULL;
    SIZE_T Pages = BYTES_TO_PAGES(Bytes);
    PFN_NUMBER First = MiTakeRunWithin(Bytes, Low, High, Boundary);
    if (First == MM_NO_PAGE) {
        ExReclaimPool();
        MmTrimPoolTables(TRUE);
        First = MiTakeRunWithin(Bytes, Low, High, Boundary);
    }
    if (First == MM_NO_PAGE)
        return NULL;
    Cache = MiPlainCacheType(Cache);
    PVOID Base = MiMapRun(First, Pages, Protection, Cache);
    if (Base == NULL) {
        MiFreeRun(First, Pages);
        return NULL;
    }
    MI_RECORD Record = {.Base = (ULONG_PTR)Base,
                        .Caller = Caller,
                        .Page = First,
                        .Bytes = Bytes,
                        .Kind = MiLedgerContiguous,
                        .Cache = (UCHAR)Cache};
    if (!MiLedgerInsert(&Record)) {
        MiUnmapRun(&Record);
        return NULL;
    }
    return Base;
}

#define MM_ALL (MM_READ | MM_WRITE | MM_EXECUTE)

/// MmAllocateContiguousMemory: physically contiguous, cached, nonpaged memory; contents
/// unspecified. NumberOfBytes: > 0. HighestAcceptableAddress: no byte lies above it. Returns a
/// page-aligned address. IRQL: <= DISPATCH_LEVEL. Fails: NULL. Source: WDK documentation,
/// "MmAllocateContiguousMemory".
PVOID NTAPI MmAllocateContiguousMemory(SIZE_T NumberOfBytes,
                                       PHYSICAL_ADDRESS HighestAcceptableAddress)
{
    ASSERT_IRQL_AT_MOST(DISPATCH_LEVEL);
    return MiAllocateContiguous(NumberOfBytes, 0, (ULONG64)HighestAcceptableAddress.QuadPart, 0,
                                MM_ALL, MmCached, KiReturnAddress());
}
EXPORT(MmAllocateContiguousMemory, DISPATCH_LEVEL, "WDK: MmAllocateContiguousMemory");

/// MmAllocateContiguousMemorySpecifyCache: the same with all limits and a cache type.
/// Every byte lies in [LowestAcceptableAddress, HighestAcceptableAddress], and the block crosses no
/// multiple of BoundaryAddressMultiple (a power of two, or 0 for none). CacheType: how it is
/// mapped. IRQL: <= DISPATCH_LEVEL. Fails: NULL. Source: WDK documentation,
/// "MmAllocateContiguousMemorySpecifyCache".
PVOID NTAPI MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes,
                                                   PHYSICAL_ADDRESS LowestAcceptableAddress,
                                                   PHYSICAL_ADDRESS HighestAcceptableAddress,
                                                   PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                                   MEMORY_CACHING_TYPE CacheType)
{
    ASSERT_IRQL_AT_MOST(DISPATCH_LEVEL);
    if ((ULONG)CacheType >= MmMaximumCacheType)
        return NULL;
    return MiAllocateContiguous(NumberOfBytes, (ULONG64)LowestAcceptableAddress.QuadPart,
                                (ULONG64)HighestAcceptableAddress.QuadPart,
                                (ULONG64)BoundaryAddressMultiple.QuadPart, MM_ALL, CacheType,
                                KiReturnAddress());
}
EXPORT(MmAllocateContiguousMemorySpecifyCache, DISPATCH_LEVEL,
       "WDK: MmAllocateContiguousMemorySpecifyCache");

/// MmAllocateContiguousNodeMemory: the same with a protection instead of a cache type.
/// Protect: PAGE_READWRITE (no-execute) or PAGE_EXECUTE_READWRITE, with PAGE_NOCACHE or
/// PAGE_WRITECOMBINE or neither (cached). PreferredNode: MM_ANY_NODE_OK or a node; there is one,
/// node 0. IRQL: <= DISPATCH_LEVEL. Fails: NULL, also for another Protect or a node that does not
/// exist. Source: WDK documentation, "MmAllocateContiguousNodeMemory".
PVOID NTAPI MmAllocateContiguousNodeMemory(SIZE_T NumberOfBytes,
                                           PHYSICAL_ADDRESS LowestAcceptableAddress,
                                           PHYSICAL_ADDRESS HighestAcceptableAddress,
                                           PHYSICAL_ADDRESS BoundaryAddressMultiple, ULONG Protect,
                                           ULONG PreferredNode)
{
    ULONG Kind = Protect & ~(ULONG)(PAGE_NOCACHE | PAGE_WRITECOMBINE);
    ULONG Modifier = Protect & (PAGE_NOCACHE | PAGE_WRITECOMBINE);
    ASSERT_IRQL_AT_MOST(DISPATCH_LEVEL);
    if ((Kind != PAGE_READWRITE && Kind != PAGE_EXECUTE_READWRITE) ||
        Modifier == (PAGE_NOCACHE | PAGE_WRITECOMBINE) ||
        (PreferredNode != MM_ANY_NODE_OK && PreferredNode != 0))
        return NULL;
    return MiAllocateContiguous(NumberOfBytes, (ULONG64)LowestAcceptableAddress.QuadPart,
                                (ULONG64)HighestAcceptableAddress.QuadPart,
                                (ULONG64)BoundaryAddressMultiple.QuadPart,
                                Kind == PAGE_READWRITE ? MM_READ | MM_WRITE : MM_ALL,
                                Modifier == PAGE_NOCACHE        ? MmNonCached
                                : Modifier == PAGE_WRITECOMBINE ? MmWriteCombined
                                                                : MmCached,
                                KiReturnAddress());
}
EXPORT(MmAllocateContiguousNodeMemory, DISPATCH_LEVEL, "WDK: MmAllocateContiguousNodeMemory");

static VOID MiFreeContiguous(PVOID BaseAddress)
{
    MI_RECORD Record;
    if (!MiLedgerRemove(MiLedgerContiguous, (ULONG_PTR)BaseAddress, &Record))
        KiBugCheck(BAD_POOL_CALLER, 0x60, (ULONG_PTR)BaseAddress, 0, 0, NULL,
                   "Contiguous memory was freed that was never allocated so, or was freed before.");
    KeCheckFreedMemory(BaseAddress, (SIZE_T)Record.Bytes);
    MiUnmapRun(&Record);
}

/// MmFreeContiguousMemory: frees memory of the MmAllocateContiguous routines.
/// BaseAddress: exactly as returned.
/// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck 0xC2 (0x60, address).
/// Source: WDK documentation, "MmFreeContiguousMemory" and "Bug Check 0xC2".
VOID NTAPI MmFreeContiguousMemory(PVOID BaseAddress)
{
    ASSERT_IRQL_AT_MOST(DISPATCH_LEVEL);
    MiFreeContiguous(BaseAddress);
}
EXPORT(MmFreeContiguousMemory, DISPATCH_LEVEL, "WDK: MmFreeContiguousMemory");

/// MmFreeContiguousMemorySpecifyCache: the same; size and cache type are known from the allocation.
/// BaseAddress, NumberOfBytes, CacheType: as allocated.
/// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck 0xC2 (0x60, address).
/// Source: WDK documentation, "MmFreeContiguousMemorySpecifyCache".
VOID NTAPI MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes,
                                              MEMORY_CACHING_TYPE CacheType)
{
    ASSERT_IRQL_AT_MOST(DISPATCH_LEVEL);
    MiFreeContiguous(BaseAddress);
}
EXPORT(MmFreeContiguousMemorySpecifyCache, DISPATCH_LEVEL,
       "WDK: MmFreeContiguousMemorySpecifyCache");

static VOID MiMakeNonCached(PVOID Base, SIZE_T Pages)
{
    PMMPTE Pte = MiPteOf((ULONG_PTR)Base);
    for (SIZE_T i = 0; i < Pages; i++) {
        MiPfn(PTE_FRAME(MiReadPte(Pte + i)))->u3.CacheType = MmNonCached + 1;
        MiReplacePte(Pte + i, MiReadPte(Pte + i) | MiCacheBits[MmNonCached]);
    }
    MiFlushTlb(Base, Pages);
    MiFlushCaches();
}

/// MmAllocateNonCachedMemory: whole pages of uncached, page-aligned, nonpaged memory.
/// NumberOfBytes: > 0. The pages need not be physically contiguous.
/// IRQL: <= APC_LEVEL. Fails: NULL.
/// Source: WDK documentation, "MmAllocateNonCachedMemory".
PVOID NTAPI MmAllocateNonCachedMemory(SIZE_T NumberOfBytes)
{
    SIZE_T Pages = BYTES_TO_PAGES(NumberOfBytes);
    ASSERT_IRQL_AT_MOST(APC_LEVEL);
    if (Pages == 0 || ExFailsOnPurpose(KiReturnAddress(), NumberOfBytes, 'cNmM'))
        return NULL;
    PVOID Base = MmReserveSystemRange(MmRegionSystemPtes, Pages);
    if (Base == NULL)
        return NULL;
    MI_RECORD Record = {.Base = (ULONG_PTR)Base,
                        .Caller = KiReturnAddress(),
                        .Bytes = NumberOfBytes,
                        .Kind = MiLedgerNonCached,
                        .Cache = MmNonCached};
    if (MmCommitSystemRange(Base, Pages, MM_READ | MM_WRITE, MM_PAGE_ANY)) {
        if (MiLedgerInsert(&Record)) {
            MiMakeNonCached(Base, Pages);
            return Base;
        }
        MmDecommitSystemRange(Base, Pages);
    }
    MmReleaseSystemRange(Base, Pages);
    return NULL;
}
EXPORT(MmAllocateNonCachedMemory, APC_LEVEL, "WDK: MmAllocateNonCachedMemory");

/// MmFreeNonCachedMemory: frees memory of MmAllocateNonCachedMemory.
/// BaseAddress, NumberOfBytes: as allocated.
/// IRQL: <= APC_LEVEL. Fails: bugcheck 0xC2 (0x60, address).
/// Source: WDK documentation, "MmFreeNonCachedMemory".
VOID NTAPI MmFreeNonCachedMemory(PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    MI_RECORD Record;
    ASSERT_IRQL_AT_MOST(APC_LEVEL);
    if (!MiLedgerRemove(MiLedgerNonCached, (ULONG_PTR)BaseAddress, &Record) ||
        BYTES_TO_PAGES(Record.Bytes) != BYTES_TO_PAGES(NumberOfBytes))
        KiBugCheck(BAD_POOL_CALLER, 0x60, (ULONG_PTR)BaseAddress, 0, 0, NULL,
                   "Noncached memory was freed that was not allocated so, or not with this size.");
    KeCheckFreedMemory(BaseAddress, (SIZE_T)Record.Bytes);
    MmDecommitSystemRange(BaseAddress, BYTES_TO_PAGES(Record.Bytes));
    MmReleaseSystemRange(BaseAddress, BYTES_TO_PAGES(Record.Bytes));
}
EXPORT(MmFreeNonCachedMemory, APC_LEVEL, "WDK: MmFreeNonCachedMemory");
