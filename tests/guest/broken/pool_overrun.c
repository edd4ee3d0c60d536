// SPDX-License-Identifier: MIT
// BC-30: writing past the end of a block is found when it is freed.
#include "broken.h"

BREAK
{
    UCHAR *Block = ExAllocatePoolWithTag(NonPagedPool, 64, 'korB');

    Expect(0x19, 0x21, (ULONG_PTR)Block, 64, ~(ULONG_PTR)0);
    for (int i = 0; i < 96; i++)
        ((volatile UCHAR *)Block)[i] = 0xFF;
    ExFreePoolWithTag(Block, 'korB');
    return STATUS_SUCCESS;
}
