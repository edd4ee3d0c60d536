// SPDX-License-Identifier: MIT
// BC-57: the bytes between a block of special pool and the end of its page were changed
// Options: --special-pool all
#include "broken.h"

BREAK
{
    PUCHAR Block = ExAllocatePoolWithTag(PagedPool, 121, 'korB');

    Block[121] ^= 0xFF;
    Expect(0xC1, (ULONG_PTR)Block, (ULONG_PTR)Block + 121, 0, 0x24);
    ExFreePoolWithTag(Block, 'korB');
    return STATUS_SUCCESS;
}
