// SPDX-License-Identifier: MIT
// The address space on i386, computed from the highest page of RAM and /3GB.
//
//   80000000  PFN database, then system PTEs and paged pool          (not with /3GB)
//   C0000000  page tables, 8 MiB
//   C0800000  hyperspace, 4 MiB
//   C1000000  kernel image
//   then      driver images, the two nonpaged pools, and whatever did not fit below
//   FFC00000  HAL, shared user data
//
// Everything is a multiple of 4 MiB, so that no page table serves two regions with different locks
// and every region is a whole number of allocation groups.
#include "../mi.h"

#define UNIT                 0x400000u
#define PAGE_TABLES          0x800000u
#define LOWER_BASE           0x80000000u
#define LOWER_LEAST          0x10000000u // with less left below C0000000 the pools move above
#define BOOKKEEPING          (24 * UNIT) // page descriptors; tag counters of 32 processors
#define THREE_GIGABYTE_LIMIT 0x400000u   // pages: at 16 GiB the database leaves too little of 1 GiB

typedef struct _SHARE {
    MM_REGION_TYPE Type;
    ULONG Parts;
} SHARE;

static const SHARE MiLowerShares[] = {{MmRegionSystemPtes, 1}, {MmRegionPagedPool, 1}};
static const SHARE MiUpperShares[] = {
    {MmRegionNonPagedPool, 2}, {MmRegionNonPagedPoolExecute, 1}, {MmRegionSystemImages, 1}};
static const SHARE MiAllShares[] = {{MmRegionNonPagedPool, 2},
                                    {MmRegionNonPagedPoolExecute, 1},
                                    {MmRegionSystemImages, 1},
                                    {MmRegionSystemPtes, 2},
                                    {MmRegionPagedPool, 2}};

PFN_NUMBER INIT_CODE MiDatabaseLimit(VOID)
{
    return (PTE_BASE - LOWER_BASE) / sizeof(MMPFN);
}

static VOID INIT_CODE MiDivide(ULONG_PTR Base, ULONG_PTR End, const SHARE *Share, ULONG Count)
{
    ULONG Parts = 0;
    for (ULONG i = 0; i < Count; i++)
        Parts += Share[i].Parts;
    ULONG_PTR Part = (End - Base) / Parts;
    for (ULONG i = 0; i < Count; i++) {
        ULONG_PTR Size = ALIGN_DOWN_BY(Part * Share[i].Parts, UNIT);
        MiSetRegion(Share[i].Type, Base, Size);
        Base += Size;
    }
}

static VOID INIT_CODE MiSetUserRange(ULONG_PTR End)
{
    MmSystemRangeStart = (PVOID)End;
    MmUserProbeAddress = End - 0x10000;
    MmHighestUserAddress = (PVOID)(MmUserProbeAddress - 1);
    MiSetRegion(MmRegionUser, 0x10000, MmUserProbeAddress - 0x10000);
}

VOID INIT_CODE MiComputeLayout(PFN_NUMBER HighestPage, ULONG_PTR ImageEnd, BOOLEAN ThreeGigabytes)
{
    ULONG_PTR Database = ALIGN_UP_BY((HighestPage + 1) * sizeof(MMPFN), UNIT);
    ULONG_PTR Upper = ALIGN_UP_BY(ImageEnd, UNIT);

    if (ThreeGigabytes && HighestPage >= THREE_GIGABYTE_LIMIT) {
        KLOG("mm", "/3GB ignored: with 16 GiB of RAM or more the PFN database would not fit");
        ThreeGigabytes = FALSE;
    }
    MiSetUserRange(ThreeGigabytes ? PTE_BASE : LOWER_BASE);
    MiSetRegion(MmRegionPageTables, PTE_BASE, PAGE_TABLES);
    MiSetRegion(MmRegionHyperspace, PTE_BASE + PAGE_TABLES, UNIT);
    MiSetRegion(MmRegionSharedData, SHARED_USER_DATA_ADDRESS, PAGE_SIZE);
    MiSetRegion(MmRegionKernelImage, KERNEL_BASE + LARGE_PAGE_SIZE,
                Upper - KERNEL_BASE - LARGE_PAGE_SIZE);
    MiSetRegion(MmRegionBookkeeping, Upper, BOOKKEEPING);
    MiSetRegion(MmRegionHal, HAL_REGION_BASE, HAL_REGION_SIZE);
    Upper += BOOKKEEPING;

    if (ThreeGigabytes) {
        MiSetRegion(MmRegionPfnDatabase, Upper, Database);
        MiDivide(Upper + Database, HAL_REGION_BASE, MiAllShares, RTL_NUMBER_OF(MiAllShares));
        return;
    }
    MiSetRegion(MmRegionPfnDatabase, LOWER_BASE, Database);
    if (PTE_BASE - LOWER_BASE - Database < LOWER_LEAST) {
        MiDivide(Upper, HAL_REGION_BASE, MiAllShares, RTL_NUMBER_OF(MiAllShares));
        return;
    }
    MiDivide(LOWER_BASE + Database, PTE_BASE, MiLowerShares, RTL_NUMBER_OF(MiLowerShares));
    MiDivide(Upper, HAL_REGION_BASE, MiUpperShares, RTL_NUMBER_OF(MiUpperShares));
}
