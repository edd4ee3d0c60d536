// SPDX-License-Identifier: MIT
// BC-69: mapping RAM that is nobody's.
// Says: at any time
#include "broken.h"

BREAK
{
    PHYSICAL_ADDRESS Anywhere = {.QuadPart = -1};
    PVOID Block = MmAllocateContiguousMemory(PAGE_SIZE, Anywhere);

    if (Block == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    PHYSICAL_ADDRESS Physical = MmGetPhysicalAddress(Block);
    MmFreeContiguousMemory(Block);
    Expect(0x1A, 0x1233, (ULONG_PTR)(Physical.QuadPart >> PAGE_SHIFT), 0, 0);
    MmMapIoSpace(Physical, PAGE_SIZE, MmCached);
    return STATUS_SUCCESS;
}
