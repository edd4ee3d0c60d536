// SPDX-License-Identifier: MIT
// BC-46: freeing an address of paged pool beyond all that was ever allocated.
#include "broken.h"

BREAK
{
    UCHAR *Block = ExAllocatePoolWithTag(PagedPool, PAGE_SIZE, 'korB');

    Expect(0xC2, 0x50, (ULONG_PTR)Block + (16 << 20), ANYTHING, ANYTHING);
    ExFreePool(Block + (16 << 20));
    return STATUS_SUCCESS;
}
