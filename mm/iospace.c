// SPDX-License-Identifier: MIT
// MmMapIoSpace and its kin: device memory in system space, for drivers.
//
// Rules held here. A physical page has one cache type at a time: a second mapping of another type
// gets NULL. RAM is mapped cached, unless the ledger knows it in another type, as it does memory
// got from MmAllocateContiguousMemorySpecifyCache; and only RAM that is in use: a free page could
// become anybody's (bugcheck 0x1A, 0x1233). Every mapping has a guard page behind it and is in the
// ledger with its caller, so that an unmap of what was never mapped (bugcheck 0xDA, 0x400) and a
// mapping left behind are both found.
//
// Some drivers map and unmap the same few registers all the time. So the addresses of the last
// mapping of each short length stay reserved for the next one, page tables, guard page and all;
// they are released when system space is short (mm/system.c).
//
// Locks: as in mm/ledger.c. Observability: `!maps`, leak report at unload.
#include "mi.h"
#include "pool.h"

#define GUARD_PAGES   1u
#define MI_KEPT_PAGES 16u // the longest mapping whose addresses are kept

// The cache type of memory that the ledger does not know: RAM has one. RAM that nobody has in use
// may not be mapped: its contents are about to be someone else's.
static MEMORY_CACHING_TYPE MiPresentCacheType(PFN_NUMBER First, SIZE_T Pages)
{
    PFN_NUMBER Page;
    MI_PAGE_STATE State = MiQueryPages(First, Pages, &Page);
    if (State == MiPageFree)
        KiBugCheck(MEMORY_MANAGEMENT, 0x1233, Page, 0, 0, NULL,
                   "A driver mapped RAM as I/O space that is free: it may become anyone's at any "
                   "time.");
    return State == MiPageNone ? MmNotMapped : MmCached;
}

// ---- addresses ----------------------------------------------------------------------------------
// By length. No processor knows what was mapped there; a range is whose who swaps it out.
static PVOID MiKept[MI_KEPT_PAGES + 1];

static PVOID MiReserveWithGuard(SIZE_T Pages)
{
    PUCHAR Base = MmReserveSystemRange(MmRegionSystemPtes, Pages + GUARD_PAGES);
    if (Base != NULL && !MiMakeTables(Base, Pages + GUARD_PAGES)) {
        MmReleaseSystemRange(Base, Pages + GUARD_PAGES);
        return NULL;
    }
    if (Base != NULL)
        MiMarkGuard(Base + Pages * PAGE_SIZE);
    return Base;
}

static PVOID MiTakeAddresses(SIZE_T Pages)
{
    PVOID Base = NULL;
    if (Pages <= MI_KEPT_PAGES)
        Base = __atomic_exchange_n(&MiKept[Pages], NULL, __ATOMIC_ACQUIRE);
    return Base != NULL ? Base : MiReserveWithGuard(Pages);
}

static VOID MiGiveAddresses(PVOID Base, SIZE_T Pages)
{
    if (Pages <= MI_KEPT_PAGES)
        Base = __atomic_exchange_n(&MiKept[Pages], Base, __ATOMIC_ACQ_REL);
    if (Base != NULL)
        MmReleaseSystemRange(Base, Pages + GUARD_PAGES);
}

BOOLEAN MiReleaseKept(VOID)
{
    BOOLEAN Any = FALSE;
    for (SIZE_T Pages = 1; Pages <= MI_KEPT_PAGES; Pages++) {
        PVOID Base = __atomic_exchange_n(&MiKept[Pages], NULL, __ATOMIC_ACQUIRE);
        if (Base != NULL)
            MmReleaseSystemRange(Base, Pages + GUARD_PAGES);
        Any = Any || Base != NULL;
    }
    return Any;
}

// ---- mappings -----------------------------------------------------------------------------------
static PVOID MiMapIoSpace(ULONG64 Physical, SIZE_T Bytes, ULONG Protection,
                          MEMORY_CACHING_TYPE Cache, ULONG_PTR Caller)
{
    ULONG Offset = (ULONG)Physical & (PAGE_SIZE - 1);
    SIZE_T Pages = (Bytes >> PAGE_SHIFT) +
                   (((Bytes & (PAGE_SIZE - 1)) + Offset + PAGE_SIZE - 1) >> PAGE_SHIFT);
    ULONG64 First = Physical >> PAGE_SHIFT;
    if (Bytes == 0 || First >= MiPhysicalLimit || Pages > MiPhysicalLimit - First)
        return NULL;
    MEMORY_CACHING_TYPE Present = MiPresentCacheType((PFN_NUMBER)First, Pages);
    PUCHAR Base = ExFailsOnPurpose(Caller, Bytes, 'oImM') ? NULL : MiTakeAddresses(Pages);
    if (Base == NULL)
        return NULL;
    MI_RECORD Record = {.Base = (ULONG_PTR)Base + Offset,
                        .Caller = Caller,
                        .Page = (PFN_NUMBER)First,
                        .Bytes = Bytes,
                        .Kind = MiLedgerIoSpace,
                        .Cache = (UCHAR)Cache};
    if (!MiLedgerInsertIfFits(&Record, Present)) {
        MiGiveAddresses(Base, Pages);
        return NULL;
    }
    MiMapPages(Base, (PFN_NUMBER)First, Pages, Protection, Cache);
    return Base + Offset;
}

/// MmMapIoSpace: maps a device's memory into system space.
/// PhysicalAddress: translated address of the first byte, of any alignment. NumberOfBytes: > 0.
/// CacheType: MmNonCached, MmCached or MmWriteCombined. Returns the virtual address of that byte,
/// readable and writable, never executable. IRQL: <= DISPATCH_LEVEL. Fails: NULL when address space
/// or memory is short, the range is beyond the processor's physical addresses, or the memory is in
/// use with another cache type. Source: WDK documentation, "MmMapIoSpace".
PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes,
                         MEMORY_CACHING_TYPE CacheType)
{
    ASSERT_IRQL_AT_MOST(DISPATCH_LEVEL);
    if ((ULONG)CacheType >= MmMaximumCacheType)
        return NULL;
    return MiMapIoSpace((ULONG64)PhysicalAddress.QuadPart, NumberOfBytes, MM_READ | MM_WRITE,
                        CacheType, KiReturnAddress());
}
EXPORT(MmMapIoSpace, DISPATCH_LEVEL, "WDK: MmMapIoSpace");

// PAGE_* as MmMapIoSpaceEx takes them: exactly one protection, at most one cache modifier.
static BOOLEAN MiDecodeProtect(ULONG Protect, ULONG *Protection, MEMORY_CACHING_TYPE *Cache)
{
    switch (Protect & ~(ULONG)(PAGE_NOCACHE | PAGE_WRITECOMBINE)) {
    case PAGE_READONLY:
        *Protection = MM_READ;
        break;
    case PAGE_READWRITE:
        *Protection = MM_READ | MM_WRITE;
        break;
    case PAGE_EXECUTE:
    case PAGE_EXECUTE_READ:
        *Protection = MM_READ | MM_EXECUTE;
        break;
    case PAGE_EXECUTE_READWRITE:
        *Protection = MM_READ | MM_WRITE | MM_EXECUTE;
        break;
    default:
        return FALSE;
    }
    *Cache = Protect & PAGE_NOCACHE        ? MmNonCached
             : Protect & PAGE_WRITECOMBINE ? MmWriteCombined
                                           : MmCached;
    return (Protect & (PAGE_NOCACHE | PAGE_WRITECOMBINE)) != (PAGE_NOCACHE | PAGE_WRITECOMBINE);
}

/// MmMapIoSpaceEx: the same with a page protection.
/// PhysicalAddress, NumberOfBytes: as for MmMapIoSpace. Protect: one of PAGE_READONLY,
/// PAGE_READWRITE, PAGE_EXECUTE, PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE, with PAGE_NOCACHE or
/// PAGE_WRITECOMBINE or neither (cached). IRQL: <= DISPATCH_LEVEL. Fails: NULL as MmMapIoSpace, or
/// for any other Protect. Source: WDK documentation, "MmMapIoSpaceEx".
PVOID NTAPI MmMapIoSpaceEx(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, ULONG Protect)
{
    ULONG Protection;
    MEMORY_CACHING_TYPE Cache;
    ASSERT_IRQL_AT_MOST(DISPATCH_LEVEL);
    if (!MiDecodeProtect(Protect, &Protection, &Cache))
        return NULL;
    return MiMapIoSpace((ULONG64)PhysicalAddress.QuadPart, NumberOfBytes, Protection, Cache,
                        KiReturnAddress());
}
EXPORT(MmMapIoSpaceEx, DISPATCH_LEVEL, "WDK: MmMapIoSpaceEx");

/// MmUnmapIoSpace: undoes MmMapIoSpace or MmMapIoSpaceEx.
/// BaseAddress: as returned. NumberOfBytes: as mapped.
/// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck 0xDA (0x400, base, pages) for what is not such a
/// mapping. Source: WDK documentation, "MmUnmapIoSpace" and "Bug Check 0xDA".
VOID NTAPI MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    SIZE_T Pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(BaseAddress, NumberOfBytes);
    MI_RECORD Record;
    ASSERT_IRQL_AT_MOST(DISPATCH_LEVEL);
    if (!MiLedgerRemove(MiLedgerIoSpace, (ULONG_PTR)BaseAddress, &Record))
        KiBugCheck(
            SYSTEM_PTE_MISUSE, 0x400, (ULONG_PTR)BaseAddress, Pages, 0, NULL,
            "MmUnmapIoSpace was called for an address that MmMapIoSpace did not return, or twice.");
    if (Pages != ADDRESS_AND_SIZE_TO_SPAN_PAGES(BaseAddress, Record.Bytes))
        KiBugCheck(SYSTEM_PTE_MISUSE, 0x400, (ULONG_PTR)BaseAddress, Pages, 0, NULL,
                   "MmUnmapIoSpace was called with another length than MmMapIoSpace.");
    MiUnmapPages(PAGE_ALIGN(BaseAddress), Pages);
    MiGiveAddresses(PAGE_ALIGN(BaseAddress), Pages);
}
EXPORT(MmUnmapIoSpace, DISPATCH_LEVEL, "WDK: MmUnmapIoSpace");
