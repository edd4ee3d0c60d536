// SPDX-License-Identifier: MIT
// mm: physical pages, page tables, system address space, faults, I/O space, contiguous memory.
#pragma once

#include "ke.h"
#include "loader.h"
#include "nt/nt.h"

// ---- start --------------------------------------------------------------------------------------
// Needs: the loader block, boot's page tables, ke's traps. Gives: pages, system PTEs, protections;
// the identity map is gone when it returns.
VOID MmInitialize(PLOADER_BLOCK Block);
// Frees INIT sections and boot/'s memory. Returns bytes given back.
SIZE_T MmFreeInitialMemory(VOID);
// A new processor's page caches, made by another.
VOID MmInitializeProcessor(PKPRCB Prcb);
// Starting processors: Prepare on the first one, Load on the new one, with interrupts off, before
// anything else that touches memory which is not cached as usual.
VOID MmPrepareProcessors(VOID);
VOID MmLoadProcessor(VOID);
VOID MmEnterSystemSpace(VOID);  // forgets what the TLB holds: the others flush it from now on
// One page mapped at its own physical address, in user space. Fails: no pages.
BOOLEAN MmMapIdentity(ULONG64 Address);
VOID MmUnmapIdentity(ULONG64 Address);

// ---- physical pages -----------------------------------------------------------------------------
#define MM_PAGE_ANY    0u
#define MM_PAGE_ZEROED 1u
#define MM_NO_PAGE     ((PFN_NUMBER)-1)

// One page, active with one reference. Fails: MM_NO_PAGE when RAM is used up. IRQL: <=
// DISPATCH_LEVEL.
PFN_NUMBER MmAllocatePage(ULONG Flags);
VOID MmFreePage(PFN_NUMBER Page);
// Zeroes up to Maximum free pages, for the idle loop. Returns how many. IRQL: <= DISPATCH_LEVEL.
PFN_NUMBER MmZeroFreePages(PFN_NUMBER Maximum);

// ---- system address space -----------------------------------------------------------------------
typedef enum _MM_REGION_TYPE {
    MmRegionUser, MmRegionPageTables, MmRegionHyperspace, MmRegionSharedData, MmRegionSystemImages,
    MmRegionSystemPtes, MmRegionPagedPool, MmRegionNonPagedPool, MmRegionNonPagedPoolExecute,
    MmRegionPfnDatabase, MmRegionBookkeeping, MmRegionKernelImage, MmRegionHal, MmRegionSpecialPool,
    MmRegionMaximum
} MM_REGION_TYPE;

typedef struct _MM_REGION {
    MM_REGION_TYPE Type;
    const char *Name;
    ULONG_PTR Base;
    ULONG_PTR Size;     // bytes
} MM_REGION;

const MM_REGION *MmFindRegion(const VOID *Address);        // NULL: in none
const MM_REGION *MmGetRegion(MM_REGION_TYPE Type);

// A run of Pages pages of address space in a region (system PTEs, system images, the pools), with
// no memory behind it. Fails: NULL. IRQL: <= DISPATCH_LEVEL.
PVOID MmReserveSystemRange(MM_REGION_TYPE Region, SIZE_T Pages);
VOID MmReleaseSystemRange(PVOID Base, SIZE_T Pages);

// Protections for the kernel's own use.
#define MM_READ    1u
#define MM_WRITE   2u
#define MM_EXECUTE 4u

// Memory behind a reserved range: all pages or none. IRQL: <= DISPATCH_LEVEL.
BOOLEAN MmCommitSystemRange(PVOID Base, SIZE_T Pages, ULONG Protection, ULONG PageFlags);
VOID MmDecommitSystemRange(PVOID Base, SIZE_T Pages);      // the pages go back, the range stays

// A flush of all processors' TLBs that is due: for entries that change under a lock, or one after
// the other, and one interrupt of the others for all of them when the lock is let go. Pages that
// were behind the entries are free only then.
#define MM_FLUSH_RANGES 32u
typedef struct _MM_FLUSH {
    ULONG Count;           // of Range; more than it has room for: everything is flushed
    SIZE_T Pages;          // in all ranges
    SIZE_T HeldPages;      // to be freed,
    PFN_NUMBER Held;       // a chain
    struct {
        PVOID Base;
        SIZE_T Pages;
    } Range[MM_FLUSH_RANGES];
} MM_FLUSH;

FORCEINLINE VOID MmBeginFlush(MM_FLUSH *Flush)
{
    Flush->Count = 0;
    Flush->Pages = Flush->HeldPages = 0;
}

VOID MmFlushLater(MM_FLUSH *Flush, PVOID Base, SIZE_T Pages);
VOID MmDecommitLater(MM_FLUSH *Flush, PVOID Base, SIZE_T Pages);
// Once, and the pages are free; Flush is as after MmBeginFlush. Hold no spin lock: whoever wants it
// would wait for all processors.
VOID MmFinishFlush(MM_FLUSH *Flush);

// A committed page goes back, and its address reads as zeroes without a moment when it faults,
// until it is restored: writable, and zero. Of one address, one call at a time. Until the flush,
// other processors may see what was there before, so that a reader who finds it looks again after
// MmRefreshSystemPage, which makes this processor read the entry anew. Fails: FALSE.
VOID MmReplaceSystemPage(MM_FLUSH *Flush, PVOID Base);
BOOLEAN MmRestoreSystemPage(MM_FLUSH *Flush, PVOID Base);
VOID MmRefreshSystemPage(const VOID *Base);
VOID MmProtectSystemRange(PVOID Base, SIZE_T Pages, ULONG Protection);

// Maps physical memory (RAM or device) into system PTEs; Address and Length need no alignment.
PVOID MmMapPhysical(ULONG64 Address, SIZE_T Length, ULONG Protection, MEMORY_CACHING_TYPE Cache);
VOID MmUnmapPhysical(PVOID Mapping, SIZE_T Length);

// Whole pages for the pools: reserved and committed. Fails: NULL. IRQL: <= DISPATCH_LEVEL.
PVOID MmAllocatePoolPages(MM_REGION_TYPE Pool, SIZE_T Pages);
VOID MmFreePoolPages(PVOID Base, SIZE_T Pages);
// What this processor holds back: pool pages, to flush all processors for many of them at once, and
// if All its cache of free pages. IRQL: DISPATCH_LEVEL, no spin lock held.
VOID MmTrimProcessor(BOOLEAN All);
// Page tables of the pools' regions in which nothing is reserved go back, all or some at each call.
VOID MmTrimPoolTables(BOOLEAN All);

// Their protection, for whoever commits pages of the same kind elsewhere.
ULONG MmPoolProtection(MM_REGION_TYPE Pool);
// Address space for special pool, cut from the system PTEs; once. Fails: NULL.
PVOID MmReserveSpecialPool(SIZE_T Pages);

// A kernel stack of Pages with a guard page below. Returns the base (first byte above it), NULL:
// none.
PVOID MmCreateKernelStack(SIZE_T Pages);
VOID MmDeleteKernelStack(PVOID StackBase, SIZE_T Pages);

// Is this page mapped and usable for such an access without a fault? IRQL: any.
BOOLEAN MmIsMapped(const VOID *Address, ULONG Protection);
BOOLEAN NTAPI MmIsAddressValid(PVOID VirtualAddress);
PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress);

// Is this address in a driver's image (not the kernel's)? Decides 0xA or 0xD1. IRQL: any.
BOOLEAN MmIsDriverAddress(ULONG_PTR Address);

typedef struct _MM_STATISTICS {
    ULONG64 TotalPages;       // RAM we may use, in pages
    ULONG64 FreePages;        // free list, and RAM not touched yet
    ULONG64 UntouchedPages;   // of these, not in the PFN database yet
    ULONG64 ZeroedPages;
    ULONG64 ActivePages;
    ULONG64 BadPages;
    ULONG64 TablePages;       // page tables
    ULONG64 PfnPages;         // PFN database
    ULONG64 ImagePages;       // kernel image and boot modules
    ULONG64 PoolPages[3];     // nonpaged, nonpaged execute, paged
    ULONG64 PoolBookkeeping;  // what the pools know of them
    ULONG64 SystemPtePages;   // address space in use there
    ULONG64 Shootdowns;       // times that a processor made the others flush their TLBs
    PFN_NUMBER LowestPage, HighestPage;
} MM_STATISTICS;
VOID MmQueryStatistics(MM_STATISTICS *Statistics);

// Pages that nobody uses, and of how many. IRQL: any.
ULONG64 MmQueryAvailablePages(ULONG64 *Total);

// For the monitor's whatis: region, mapping, page and mapping's owner, by KdPrintf. IRQL: any; no
// lock.
VOID MmDescribeAddress(const VOID *Address);

// ---- unloaded drivers (unloaded.c) --------------------------------------------------------------
// The driver's image has gone; another image has come.
VOID MmNoteUnloadedDriver(const char *Name, ULONG_PTR Base, SIZE_T Bytes);
VOID MmForgetUnloadedDrivers(ULONG_PTR Base, SIZE_T Bytes);
// The name of the unloaded driver that was at Address; NULL: none. IRQL: any.
const char *MmUnloadedDriverOf(ULONG_PTR Address, ULONG_PTR *Base);
VOID MmPrintUnloadedDrivers(VOID);

// ---- faults -------------------------------------------------------------------------------------
// A general protection fault whose cause is a pointer that is not canonical: bugcheck 0x50, P4 = 4.
// What a page fault of the instruction at Pc means, for the report; one, from ex.
VOID MmExplainFault(ULONG_PTR Pc, const char *Explanation);
DECLSPEC_NORETURN VOID MmBugCheckNonCanonical(PKTRAP_FRAME Frame, ULONG_PTR Address, ULONG Access);
const char *MmDescribeViolation(PKTRAP_FRAME Frame, const EXCEPTION_RECORD *Exception);

// ---- exported to drivers ------------------------------------------------------------------------
extern PVOID MmSystemRangeStart, MmHighestUserAddress;
extern ULONG_PTR MmUserProbeAddress;
PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes,
                         MEMORY_CACHING_TYPE CacheType);
VOID NTAPI MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes);
PVOID NTAPI MmMapIoSpaceEx(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, ULONG Protect);
PVOID NTAPI MmAllocateContiguousMemory(SIZE_T NumberOfBytes,
                                       PHYSICAL_ADDRESS HighestAcceptableAddress);
PVOID NTAPI MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes,
                                                   PHYSICAL_ADDRESS LowestAcceptableAddress,
                                                   PHYSICAL_ADDRESS HighestAcceptableAddress,
                                                   PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                                   MEMORY_CACHING_TYPE CacheType);
PVOID NTAPI MmAllocateContiguousNodeMemory(SIZE_T NumberOfBytes,
                                           PHYSICAL_ADDRESS LowestAcceptableAddress,
                                           PHYSICAL_ADDRESS HighestAcceptableAddress,
                                           PHYSICAL_ADDRESS BoundaryAddressMultiple, ULONG Protect,
                                           ULONG PreferredNode);
VOID NTAPI MmFreeContiguousMemory(PVOID BaseAddress);
VOID NTAPI MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes,
                                              MEMORY_CACHING_TYPE CacheType);
PVOID NTAPI MmAllocateNonCachedMemory(SIZE_T NumberOfBytes);
VOID NTAPI MmFreeNonCachedMemory(PVOID BaseAddress, SIZE_T NumberOfBytes);
MM_SYSTEMSIZE NTAPI MmQuerySystemSize(VOID);
PPHYSICAL_MEMORY_RANGE NTAPI MmGetPhysicalMemoryRanges(VOID);
