// SPDX-License-Identifier: MIT
// BC-45: freeing an address of paged pool where nothing is allocated any more.
#include "broken.h"

BREAK
{
    UCHAR *Block = ExAllocatePoolWithTag(PagedPool, 3 * PAGE_SIZE, 'korB');

    ExFreePoolWithTag(Block, 'korB');
    Expect(0xC2, 0x48, (ULONG_PTR)Block + PAGE_SIZE, 0, 0);
    ExFreePoolWithTag(Block + PAGE_SIZE, 'korB');
    return STATUS_SUCCESS;
}
