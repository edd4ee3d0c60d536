// SPDX-License-Identifier: MIT
// map.c: physical memory mapped into the HAL region.
//
// Interrupt controllers and firmware tables are needed before mm's address space is of use, and by
// a layer below mm. They get a region of their own: 4 MiB at the top of the address space, whose
// page tables boot/ provides, so that mapping is one store into the self map and needs no memory. A
// bitmap says which of its 1024 pages are taken.
//
// Transient mappings (firmware tables) are undone on the processor that made them, while it is the
// only one.
#include "cpuid.h"
#include "halp.h"

#define REGION_PAGES (HAL_REGION_SIZE / PAGE_SIZE)
#define VGA_PAGES    8u  // boot/ maps VGA's text memory there

#define PTE_VALID         0x001ull
#define PTE_WRITE         0x002ull
#define PTE_WRITE_THROUGH 0x008ull
#define PTE_CACHE_DISABLE 0x010ull
#define PTE_ACCESSED      0x020ull
#define PTE_DIRTY         0x040ull
#define PTE_GLOBAL        0x100ull
#define PTE_NO_EXECUTE    (1ull << 63)

static ULONG HalpRegionBitmap[REGION_PAGES / 32];
static HALP_LOCK HalpRegionLock;
static BOOLEAN HalpRegionReady;
static ULONG64 HalpPteBits;        // set in every PTE
static ULONG64 HalpPhysicalLimit;  // first address that the processor cannot form

static BOOLEAN HalpPageTaken(ULONG Page)
{
    return (HalpRegionBitmap[Page / 32] >> (Page % 32)) & 1;
}

static VOID HalpMarkPages(ULONG First, ULONG Count, BOOLEAN Taken)
{
    for (ULONG Page = First; Page < First + Count; Page++) {
        if (Taken)
            HalpRegionBitmap[Page / 32] |= 1u << (Page % 32);
        else
            HalpRegionBitmap[Page / 32] &= ~(1u << (Page % 32));
    }
}

static ULONG64 HalpQueryPhysicalLimit(VOID)
{
    ULONG Bits = KiCpuidRegister(0x80000008, CpuidEax) & 0xFF;
    return 1ull << (Bits != 0 ? Bits : 36);
}

// What is never handed out: VGA's text, the shared user data page, mm's own page, and the last one,
// so that no mapping ends at address 0.
static VOID HalpPrepareRegion(VOID)
{
    ULONG_PTR Shared = (ULONG_PTR)SHARED_USER_DATA_ADDRESS - (ULONG_PTR)HAL_REGION_BASE;
    ULONG_PTR Transient = (ULONG_PTR)MM_TRANSIENT_ADDRESS - (ULONG_PTR)HAL_REGION_BASE;
    if (HalpRegionReady)
        return;
    HalpMarkPages(0, VGA_PAGES, TRUE);
    HalpMarkPages((ULONG)(Transient / PAGE_SIZE), 1, TRUE);
    HalpMarkPages(REGION_PAGES - 1, 1, TRUE);
    if (Shared < HAL_REGION_SIZE)
        HalpMarkPages((ULONG)(Shared / PAGE_SIZE), 1, TRUE);
    HalpPhysicalLimit = HalpQueryPhysicalLimit();
    HalpPteBits = PTE_VALID | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL;
    if (KiNoExecuteIsOn())
        HalpPteBits |= PTE_NO_EXECUTE;
    HalpRegionReady = TRUE;
}

// The first of Count free pages in a row, REGION_PAGES: none.
static ULONG HalpFindPages(ULONG Count)
{
    ULONG Run = 0;
    for (ULONG Page = 0; Page < REGION_PAGES; Page++) {
        Run = HalpPageTaken(Page) ? 0 : Run + 1;
        if (Run == Count)
            return Page + 1 - Count;
    }
    return REGION_PAGES;
}

// Takes Count pages for what lies at Address; REGION_PAGES: none left, or no processor can reach
// it.
static ULONG HalpTakePages(ULONG64 Address, ULONG Count)
{
    BOOLEAN Enabled = HalpAcquireLock(&HalpRegionLock);
    HalpPrepareRegion();
    ULONG First = REGION_PAGES;
    if (Address < HalpPhysicalLimit && (HalpPhysicalLimit - Address) / PAGE_SIZE >= Count)
        First = HalpFindPages(Count);
    if (First < REGION_PAGES)
        HalpMarkPages(First, Count, TRUE);
    HalpReleaseLock(&HalpRegionLock, Enabled);
    return First;
}

static volatile ULONG64 *HalpPteOf(ULONG_PTR Address)
{
    ULONG64 Page = ((ULONG64)Address & 0x0000FFFFFFFFFFFFull) >> PAGE_SHIFT;
    return (volatile ULONG64 *)((ULONG_PTR)PTE_BASE + (ULONG_PTR)(Page * sizeof(ULONG64)));
}

PVOID HalMapPhysical(ULONG64 Address, SIZE_T Length, BOOLEAN Cached)
{
    if (Length == 0 || Length > HAL_REGION_SIZE)
        return NULL;
    ULONG Offset = (ULONG)(Address & (PAGE_SIZE - 1));
    ULONG Count = (ULONG)((Offset + Length + PAGE_SIZE - 1) / PAGE_SIZE);
    ULONG First = HalpTakePages(Address - Offset, Count);
    if (First == REGION_PAGES)
        return NULL;
    ULONG_PTR Base = (ULONG_PTR)HAL_REGION_BASE + First * PAGE_SIZE;
    ULONG64 Bits = HalpPteBits | (Cached ? 0 : PTE_WRITE_THROUGH | PTE_CACHE_DISABLE);
    for (ULONG i = 0; i < Count; i++)
        *HalpPteOf(Base + i * PAGE_SIZE) = (Address - Offset + i * PAGE_SIZE) | Bits;
    return (PVOID)(Base + Offset);
}

VOID HalUnmapPhysical(PVOID Mapping, SIZE_T Length)
{
    ULONG_PTR Base = (ULONG_PTR)PAGE_ALIGN(Mapping);
    ULONG Count = (ULONG)ADDRESS_AND_SIZE_TO_SPAN_PAGES(Mapping, Length);
    for (ULONG i = 0; i < Count; i++) {
        *HalpPteOf(Base + i * PAGE_SIZE) = 0;
        KiInvalidatePage((PVOID)(Base + i * PAGE_SIZE));
    }
    BOOLEAN Enabled = HalpAcquireLock(&HalpRegionLock);
    HalpMarkPages((ULONG)((Base - (ULONG_PTR)HAL_REGION_BASE) / PAGE_SIZE), Count, FALSE);
    HalpReleaseLock(&HalpRegionLock, Enabled);
}
