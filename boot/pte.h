// SPDX-License-Identifier: MIT
// Page-table entries as boot code makes them; PAE and long mode share the format.
#pragma once

#include "boot.h"

#define PTE_PRESENT       0x001ull
#define PTE_WRITE         0x002ull
#define PTE_WRITE_THROUGH 0x008ull
#define PTE_CACHE_DISABLE 0x010ull
#define PTE_ACCESSED      0x020ull
#define PTE_DIRTY         0x040ull
#define PTE_LARGE         0x080ull
#define PTE_NO_EXECUTE    (1ull << 63)

#define BOOT_PAGE_TABLES  6  // as in entry.inc
#define VGA_TEXT_PHYSICAL 0xB8000u
#define VGA_TEXT_PAGES    8u

// Maps [Physical, End), rounded up, by 2 MiB pages from entry First of a page directory on.
static inline void BootFillLarge(ULONG64 *Directory, ULONG First, ULONG Physical, ULONG End)
{
    for (; Physical < End; First++, Physical += BOOT_LARGE_PAGE)
        Directory[First] =
            Physical | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY | PTE_LARGE;
}

// Maps VGA text memory, uncached, at the head of the HAL region.
static inline void BootFillVgaText(ULONG64 *Table, ULONG64 NoExecute)
{
    for (ULONG i = 0; i < VGA_TEXT_PAGES; i++)
        Table[i] = (VGA_TEXT_PHYSICAL + i * BOOT_PAGE) | NoExecute | PTE_PRESENT | PTE_WRITE |
                   PTE_ACCESSED | PTE_DIRTY | PTE_CACHE_DISABLE | PTE_WRITE_THROUGH;
}
