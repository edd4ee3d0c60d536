// SPDX-License-Identifier: MIT
// The first page tables, long mode. They stay: the kernel refines them through the self map.
//
//   0                    1 GiB, itself (2 MiB pages), for the jump; the kernel clears PML4[0]
//   0xFFFFF680_00000000  the tables themselves (PML4[0x1ED])
//   KERNEL_BASE + x      the image at physical x, 2 MiB pages; protection is mm's work
//   0xFFFFFFFF_FFC00000  HAL region: two empty page tables, VGA text in its first pages

#include "boot.h"
#include "../pte.h"

enum { Pml4, SystemPdpt, KernelPd, HalPd, HalPt0, HalPt1, TableCount };

#define SELF_MAP_SLOT 0x1EDu

_Static_assert(TableCount == BOOT_PAGE_TABLES, "entry.S makes room for them");

// Made by entry.S, in the kernel's .bss.
extern ULONG64 BootPageTablesPhysical[TableCount][512];

// These go when boot/ does.
static ULONG64 LowPdpt[512] __attribute__((aligned(4096)));
static ULONG64 LowPd[512] __attribute__((aligned(4096)));

static ULONG64 Link(const ULONG64 *Table)
{
    return (ULONG)Table | PTE_PRESENT | PTE_WRITE;
}

void BootBuildPageTables(ULONG ImageEnd)
{
    ULONG64 (*Table)[512] = BootPageTablesPhysical;

    Table[Pml4][0] = Link(LowPdpt);
    LowPdpt[0] = Link(LowPd);
    BootFillLarge(LowPd, 0, 0, 512 * BOOT_LARGE_PAGE);

    Table[Pml4][SELF_MAP_SLOT] = Link(Table[Pml4]) | PTE_NO_EXECUTE;
    Table[Pml4][511] = Link(Table[SystemPdpt]);
    Table[SystemPdpt][510] = Link(Table[KernelPd]);
    Table[SystemPdpt][511] = Link(Table[HalPd]);
    BootFillLarge(Table[KernelPd], 1, BOOT_LARGE_PAGE, ImageEnd);
    Table[HalPd][510] = Link(Table[HalPt0]);
    Table[HalPd][511] = Link(Table[HalPt1]);
    BootFillVgaText(Table[HalPt0], PTE_NO_EXECUTE);
}
