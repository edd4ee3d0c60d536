// SPDX-License-Identifier: MIT
// The first page tables, PAE. They stay: the kernel refines them through the self map.
//
//   0                1 GiB, itself (2 MiB pages), for the jump; the kernel clears the directory
//   0xC0000000       the tables themselves (entries 0 to 3 of the last directory)
//   KERNEL_BASE + x  the image at physical x, 2 MiB pages; protection is mm's work
//   0xFFC00000       HAL region: two empty page tables, VGA text in its first pages

#include "boot.h"
#include "../pte.h"

enum { Pd0, Pd1, Pd2, Pd3, HalPt0, HalPt1, TableCount };

_Static_assert(TableCount == BOOT_PAGE_TABLES, "entry.S makes room for them");

// Made by entry.S, in the kernel's .bss.
extern ULONG64 BootPageTablesPhysical[TableCount][512];
extern ULONG64 BootPdptPhysical[4];

static ULONG64 Link(const ULONG64 *Table)
{
    return (ULONG)Table | PTE_PRESENT | PTE_WRITE;
}

void BootBuildPageTables(ULONG ImageEnd)
{
    ULONG64 (*Table)[512] = BootPageTablesPhysical;
    ULONG64 NoExecute = BootNoExecute ? PTE_NO_EXECUTE : 0;

    for (ULONG i = 0; i < 4; i++) {
        BootPdptPhysical[i] = (ULONG)Table[Pd0 + i] | PTE_PRESENT;
        Table[Pd3][i] = Link(Table[Pd0 + i]) | NoExecute;
    }
    BootFillLarge(Table[Pd0], 0, 0, 512 * BOOT_LARGE_PAGE);
    BootFillLarge(Table[Pd3], 8, BOOT_LARGE_PAGE, ImageEnd);
    Table[Pd3][510] = Link(Table[HalPt0]);
    Table[Pd3][511] = Link(Table[HalPt1]);
    BootFillVgaText(Table[HalPt0], NoExecute);
}
