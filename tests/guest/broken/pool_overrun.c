// SPDX-License-Identifier: MIT
// BC-22 and neighbours: writing past the end of a block is found when a block is freed.
#include "broken.h"

BREAK
{
    UCHAR *Block = ExAllocatePoolWithTag(NonPagedPool, 64, 'korB');

    Expect(0x19, ANYTHING, ANYTHING, ANYTHING, ANYTHING);
    for (int i = 0; i < 96; i++)
        ((volatile UCHAR *)Block)[i] = 0xFF;
    ExFreePoolWithTag(Block, 'korB');
    return STATUS_SUCCESS;
}
