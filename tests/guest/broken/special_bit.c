// SPDX-License-Identifier: MIT
// BC-59b: one bit near a block of special pool was changed
// Options: --special-pool all
#include "broken.h"

BREAK
{
    PUCHAR Block = ExAllocatePoolWithTag(PagedPool, 128, 'korB');

    Block[-5] ^= 0x10;
    Expect(0xC1, (ULONG_PTR)Block, (ULONG_PTR)Block - 5, 0, 0x32);
    ExFreePoolWithTag(Block, 'korB');
    return STATUS_SUCCESS;
}
