// SPDX-License-Identifier: MIT
// mm's start: from boot's page tables to the address space as it stays.
//
// boot/ leaves the image in 2 MiB pages that may be written and run, and an identity map of the
// first gigabyte. When MmInitialize returns, the identity map is gone, the image's text is
// read-execute, its constants read-only, its data no-execute, and the pages below the boot and
// the DPC stack are guards. 2 MiB pages stay where one section fills one; elsewhere the image gets
// a page table.
//
// Order matters and is written down in MmInitialize: each line needs what the lines above it gave.
#include "mi.h"

extern UCHAR KernelTextStart[], KernelInitStart[], KernelInitEnd[], KernelRodataStart[],
    KernelDataStart[], KernelDataEnd[], KiBootStack[];

#define PHYSICAL_OF(Symbol) ((PFN_NUMBER)(((ULONG_PTR)(Symbol)-KERNEL_BASE) >> PAGE_SHIFT))

static PFN_NUMBER MiImageFirst; // boot's pages, then the kernel's

// ---- kernel image -------------------------------------------------------------------------------
// The page below a stack that lies in the image: the boot stack's, the DPC stack's.
static BOOLEAN INIT_CODE MiIsGuardPage(ULONG_PTR Address)
{
    return Address == (ULONG_PTR)KiBootStack || Address == (ULONG_PTR)KeGuardPage();
}

// MM_* for one page of the image; 0: nothing belongs there.
static ULONG INIT_CODE MiImageProtection(ULONG_PTR Address)
{
    if (Address < (ULONG_PTR)KernelTextStart || Address >= (ULONG_PTR)KernelDataEnd ||
        MiIsGuardPage(Address))
        return 0;
    if (Address < (ULONG_PTR)KernelRodataStart)
        return MM_READ | MM_EXECUTE;
    return Address < (ULONG_PTR)KernelDataStart ? MM_READ : MM_READ | MM_WRITE;
}

static BOOLEAN INIT_CODE MiIsUniform(ULONG_PTR Base)
{
    for (ULONG i = 1; i < LARGE_PAGE_PAGES; i++)
        if (MiImageProtection(Base + i * PAGE_SIZE) != MiImageProtection(Base))
            return FALSE;
    return TRUE;
}

static ULONG64 INIT_CODE MiImagePte(ULONG_PTR Address)
{
    ULONG Protection = MiImageProtection(Address);
    if (Protection == 0)
        return MiIsGuardPage(Address) ? PTE_SOFT_GUARD : 0;
    return MiMakePte(PHYSICAL_OF(Address), Protection, MmCached);
}

// The new table is written before it is linked in: this code runs through it.
static VOID INIT_CODE MiSplitImage(ULONG_PTR Base)
{
    PFN_NUMBER Table = MmAllocatePage(MM_PAGE_ANY);
    VERIFY(Table != MM_NO_PAGE);
    MiPfn(Table)->u3.Fixed = 1;
    KIRQL OldIrql = MiRaiseToDispatch();
    PMMPTE Pte = MiMapTransient(Table);
    for (ULONG i = 0; i < LARGE_PAGE_PAGES; i++)
        Pte[i].Long = MiImagePte(Base + i * PAGE_SIZE);
    MiReplacePte(MiEntryOf(Base, 2), PAGE_BYTES(Table) | PTE_VALID | PTE_WRITE | PTE_ACCESSED);
    MiLowerFromDispatch(OldIrql);
    MiTablePages++;
}

static VOID INIT_CODE MiProtectImage(VOID)
{
    ULONG_PTR Base = ALIGN_DOWN_BY(KernelTextStart, LARGE_PAGE_SIZE);
    for (; Base < (ULONG_PTR)KernelDataEnd; Base += LARGE_PAGE_SIZE) {
        if (MiIsUniform(Base))
            MiReplacePte(MiEntryOf(Base, 2), MiImagePte(Base) | PTE_LARGE);
        else
            MiSplitImage(Base);
    }
    MiFlushTlb(NULL, ~(SIZE_T)0);
}

// The lower half belongs to processes, and there is none. On i386 the directory stays, being in the
// four that the processor holds; on amd64 one entry is all there is to remove.
static VOID INIT_CODE MiRemoveIdentityMap(VOID)
{
    PMMPTE Entry = MiEntryOf(0, MI_SELF_MAP_LEVELS);
    for (ULONG i = 0; i < (MI_SELF_MAP_LEVELS == 2 ? LARGE_PAGE_PAGES : 1); i++)
        MiWriteInvalidPte(Entry + i, 0);
    MiFlushTlb(NULL, ~(SIZE_T)0);
}

// ---- shared user data ---------------------------------------------------------------------------
// One page, twice: read-only where drivers and users know it, writable for ke.
static VOID INIT_CODE MiMapSharedUserData(VOID)
{
    PFN_NUMBER Page = MmAllocatePage(MM_PAGE_ZEROED);
    PVOID Base = (PVOID)SHARED_USER_DATA_ADDRESS;
    VERIFY(Page != MM_NO_PAGE && MiMakeTables(Base, 1));
    MiMapPages(Base, Page, 1, MM_READ, MmCached);
    KeSharedUserData = MmMapPhysical(PAGE_BYTES(Page), PAGE_SIZE, MM_READ | MM_WRITE, MmCached);
    VERIFY(KeSharedUserData != NULL);
}

// ---- start --------------------------------------------------------------------------------------
static BOOLEAN INIT_CODE MiNoExecuteAlwaysOn(VOID)
{
    char Value[16];
    return KdQueryOption("NOEXECUTE", Value, sizeof(Value)) && _stricmp(Value, "ALWAYSON") == 0;
}

static PFN_NUMBER INIT_CODE MiPageLimit(VOID)
{
    PFN_NUMBER Limit = MiDatabaseLimit();
    return Limit < MiPhysicalLimit ? Limit : MiPhysicalLimit;
}

static VOID INIT_CODE MiReport(VOID)
{
    KLOG("mm", "%llu MiB of RAM up to %llX, %s", (ULONG64)MiTotalPages >> 8,
         PAGE_BYTES(MiHighestPage + 1ull),
         MiNoExecute ? "no-execute on" : "the processor has no no-execute");
}

VOID INIT_CODE MmInitialize(PLOADER_BLOCK Block)
{
    KeGetCurrentPrcb()->MmProcessor = MiProcessors[0] = &MiBootProcessor;
    MiPoolNeverExecutes = MiNoExecuteAlwaysOn();
    MiImageFirst = (PFN_NUMBER)(Block->KernelBase >> PAGE_SHIFT);
    // clang-format off
    //                                        needs -> gives
    MiInitializePageTables();              // boot's tables -> entries, the transient window
    MiInitializeRam(Block, MiPageLimit()); // memory map -> RAM table
    MiComputeLayout(MiHighestPage, (ULONG_PTR)KernelDataEnd, KdQueryOption("3GB", NULL, 0));
    MiInitializePfnDatabase();             // RAM table, layout -> pages
    MiShareTopLevel();                     // pages -> page tables for every region
    MiInitializeSystemSpace();             // page tables -> address ranges
    MiInitializeLedger();                  // address ranges -> I/O space, contiguous memory
    MiProtectImage();                      // pages -> the image as it stays
    MiRemoveIdentityMap();                 // nothing -> user space is empty
    MiMapSharedUserData();                 // pages, address ranges -> the page everyone reads
    KePageFaultRoutine = MiPageFault;      // all of this -> faults are told apart
    KeNonCanonicalRoutine = MmBugCheckNonCanonical;
    KeViolationRoutine = MmDescribeViolation;
    // clang-format on
    MiReport();
}

VOID MmInitializeProcessor(PKPRCB Prcb)
{
    MI_PROCESSOR *Processor = (MI_PROCESSOR *)Prcb->MmProcessor;
    if (Processor != NULL)
        return;
    SIZE_T Pages = BYTES_TO_PAGES(sizeof(MI_PROCESSOR));
    PUCHAR Base = MmReserveSystemRange(MmRegionSystemPtes, Pages + 1);
    if (Base == NULL || !MmCommitSystemRange(Base, Pages, MM_READ | MM_WRITE, MM_PAGE_ZEROED) ||
        !MiMakeTables(Base + Pages * PAGE_SIZE, 1))
        KiBugCheck(NO_PAGES_AVAILABLE, 0, 0, 0, 0, NULL,
                   "No memory for another processor's page cache.");
    Processor = (MI_PROCESSOR *)Base;
    Processor->Transient = Base + Pages * PAGE_SIZE;
    Prcb->MmProcessor = MiProcessors[Prcb->ProcessorNumber] = Processor;
}

// Not in INIT: it frees that. boot's pages hold no live table, since boot/ keeps those in the
// kernel.
SIZE_T MmFreeInitialMemory(VOID)
{
    PFN_NUMBER Freed = 0;
    MiUnmapPages(KernelInitStart, BYTES_TO_PAGES(KernelInitEnd - KernelInitStart));
    Freed += MiReleaseLoadedPages(MiImageFirst, PHYSICAL_OF(KernelTextStart) - MiImageFirst);
    Freed += MiReleaseLoadedPages(PHYSICAL_OF(KernelInitStart),
                                  BYTES_TO_PAGES(KernelInitEnd - KernelInitStart));
    Freed += MiReleaseLoadedPages(PHYSICAL_OF(KiBootStack), 1);
    Freed += MiReleaseLoadedPages(PHYSICAL_OF(KeGuardPage()), 1);
    KLOG("mm", "%llu KiB of start-up code and data freed", (ULONG64)Freed << 2);
    return Freed << PAGE_SHIFT;
}
