// SPDX-License-Identifier: MIT
// BC-53: freeing an address inside a paged block of several pages.
#include "broken.h"

BREAK
{
    UCHAR *Block = ExAllocatePoolWithTag(PagedPool, 3 * PAGE_SIZE, 'korB');

    Expect(0xC2, 0x41286, 0, 0, ANYTHING);
    ExFreePoolWithTag(Block + PAGE_SIZE, 'korB');
    return STATUS_SUCCESS;
}
