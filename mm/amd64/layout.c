// SPDX-License-Identifier: MIT
// The address space on amd64: a constant. Every region begins in its own 512 GiB (but system PTEs
// and paged pool, which share one), so that page tables never serve two regions with different
// locks.
#include "../mi.h"

#define GIGABYTE 0x40000000ull

PFN_NUMBER INIT_CODE MiDatabaseLimit(VOID)
{
    return 512 * GIGABYTE / sizeof(MMPFN);
}

VOID INIT_CODE MiComputeLayout(PFN_NUMBER HighestPage, ULONG_PTR ImageEnd, BOOLEAN ThreeGigabytes)
{
    if (ThreeGigabytes)
        KLOG("mm", "/3GB has no meaning on amd64");
    MmSystemRangeStart = (PVOID)SYSTEM_RANGE_START;
    MmUserProbeAddress = 0x7FFFFFF0000ull;
    MmHighestUserAddress = (PVOID)(MmUserProbeAddress - 1);
    MiSetRegion(MmRegionUser, 0x10000, MmUserProbeAddress - 0x10000);
    MiSetRegion(MmRegionPageTables, PTE_BASE, 512 * GIGABYTE);
    MiSetRegion(MmRegionHyperspace, 0xFFFFF70000000000ull, 512 * GIGABYTE);
    MiSetRegion(MmRegionSharedData, SHARED_USER_DATA_ADDRESS, PAGE_SIZE);
    MiSetRegion(MmRegionSystemImages, 0xFFFFF80000000000ull, 128 * GIGABYTE);
    MiSetRegion(MmRegionSystemPtes, 0xFFFFF88000000000ull, 128 * GIGABYTE);
    MiSetRegion(MmRegionPagedPool, 0xFFFFF8A000000000ull, 128 * GIGABYTE);
    MiSetRegion(MmRegionNonPagedPoolExecute, 0xFFFFFA0000000000ull, 128 * GIGABYTE);
    MiSetRegion(MmRegionPfnDatabase, 0xFFFFFA8000000000ull, 512 * GIGABYTE);
    MiSetRegion(MmRegionNonPagedPool, 0xFFFFFB0000000000ull, 128 * GIGABYTE);
    MiSetRegion(MmRegionBookkeeping, 0xFFFFFC0000000000ull, 128 * GIGABYTE);
    MiSetRegion(MmRegionKernelImage, KERNEL_BASE + LARGE_PAGE_SIZE,
                ALIGN_UP_BY(ImageEnd, LARGE_PAGE_SIZE) - KERNEL_BASE - LARGE_PAGE_SIZE);
    MiSetRegion(MmRegionHal, HAL_REGION_BASE, HAL_REGION_SIZE);
}
