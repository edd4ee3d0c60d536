// SPDX-License-Identifier: MIT
// BC-48: freeing an address inside a block.
#include "broken.h"

BREAK
{
    UCHAR *Block = ExAllocatePoolWithTag(NonPagedPool, 100, 'korB');

    Expect(0xC2, 0x99, (ULONG_PTR)Block + 16, 0, 0);
    ExFreePoolWithTag(Block + 16, 'korB');
    return STATUS_SUCCESS;
}
