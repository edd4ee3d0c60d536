// SPDX-License-Identifier: MIT
// MD-73: freeing contiguous memory twice.
#include "broken.h"

BREAK
{
    PHYSICAL_ADDRESS Anywhere = {.QuadPart = -1};
    PVOID Block = MmAllocateContiguousMemory(3 * PAGE_SIZE, Anywhere);

    if (Block == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    MmFreeContiguousMemory(Block);
    Expect(0xC2, 0x60, (ULONG_PTR)Block, 0, 0);
    MmFreeContiguousMemory(Block);
    return STATUS_SUCCESS;
}
