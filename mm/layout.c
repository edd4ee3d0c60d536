// SPDX-License-Identifier: MIT
// The regions of the address space: one table, filled at start, asked by everyone, printed by
// `!vm`.
//
// On amd64 the table is a constant (mm/amd64/layout.c). On i386 the space is scarce, so it depends
// on how much RAM there is to describe and on /3GB (mm/i386/layout.c). Nothing else in the kernel
// knows a base.
#include "mi.h"

#define REGION(Type, Text) [MmRegion##Type] = {MmRegion##Type, Text, 0, 0}

// Shared data lies inside HAL's region on i386 and stands before it, so that a search finds it
// first.
MM_REGION MiRegion[MmRegionMaximum] = {
    REGION(User, "user space"),
    REGION(PageTables, "page tables"),
    REGION(Hyperspace, "hyperspace"),
    REGION(SharedData, "shared user data"),
    REGION(SystemImages, "driver images"),
    REGION(SystemPtes, "system PTEs"),
    REGION(PagedPool, "paged pool"),
    REGION(NonPagedPool, "nonpaged pool"),
    REGION(NonPagedPoolExecute, "executable nonpaged pool"),
    REGION(PfnDatabase, "PFN database"),
    REGION(Bookkeeping, "bookkeeping"),
    REGION(KernelImage, "kernel image"),
    REGION(Hal, "HAL"),
    REGION(SpecialPool, "special pool"),
};

PVOID MmSystemRangeStart;
PVOID MmHighestUserAddress;
ULONG_PTR MmUserProbeAddress;

VOID MiSetRegion(MM_REGION_TYPE Type, ULONG_PTR Base, ULONG_PTR Size)
{
    MiRegion[Type].Base = Base;
    MiRegion[Type].Size = Size;
}

const MM_REGION *MmGetRegion(MM_REGION_TYPE Type)
{
    return &MiRegion[Type];
}

// Special pool lies among the system PTEs, so that it is asked first.
const MM_REGION *MmFindRegion(const VOID *Address)
{
    const MM_REGION *Special = &MiRegion[MmRegionSpecialPool];
    if ((ULONG_PTR)Address - Special->Base < Special->Size)
        return Special;
    for (ULONG i = 0; i < MmRegionMaximum; i++)
        if ((ULONG_PTR)Address - MiRegion[i].Base < MiRegion[i].Size)
            return &MiRegion[i];
    return NULL;
}

BOOLEAN MmIsDriverAddress(ULONG_PTR Address)
{
    return Address - MiRegion[MmRegionSystemImages].Base < MiRegion[MmRegionSystemImages].Size;
}

/// Lowest address of system space. Data. Source: WDK documentation, "MmSystemRangeStart".
EXPORT_VARIABLE(MmSystemRangeStart, "WDK: MmSystemRangeStart");
/// Highest address that user mode may use. Data. Source: WDK documentation, "MmHighestUserAddress".
EXPORT_VARIABLE(MmHighestUserAddress, "WDK: MmHighestUserAddress");
/// Addresses that user mode passes must lie below. Data. Source: WDK documentation, "ProbeForRead".
EXPORT_VARIABLE(MmUserProbeAddress, "WDK: ProbeForRead");

// ---- monitor ------------------------------------------------------------------------------------
// A size in the largest unit of which it is a whole number.
static VOID MiPrintSize(ULONG64 Bytes)
{
    static const char *const Unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    ULONG i = 0;
    for (; i + 1 < RTL_NUMBER_OF(Unit) && Bytes != 0 && Bytes % 1024 == 0; i++)
        Bytes /= 1024;
    KdPrintf(" %6llu %-3s", Bytes, Unit[i]);
}

static VOID MiPrintRegion(const MM_REGION *Region)
{
    MI_RANGE *Range = MiRangeOf(Region->Type);
    KdPrintf("  %p-%p", (PVOID)Region->Base, (PVOID)(Region->Base + Region->Size - 1));
    MiPrintSize(Region->Size);
    KdPrintf("  %s", Region->Name);
    if (Range != NULL && Range->Used != 0)
        KdPrintf(", %llu KiB in use", (ULONG64)Range->Used << 2);
    KdPrintf("\n");
}

// In ascending order.
VOID MmPrintLayout(VOID)
{
    for (ULONG_PTR From = 0;;) {
        const MM_REGION *Next = NULL;
        for (ULONG i = 0; i < MmRegionMaximum; i++)
            if (MiRegion[i].Size != 0 && MiRegion[i].Base >= From &&
                (Next == NULL || MiRegion[i].Base < Next->Base))
                Next = &MiRegion[i];
        if (Next == NULL)
            return;
        MiPrintRegion(Next);
        From = Next->Base + 1;
    }
}
