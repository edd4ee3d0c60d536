// SPDX-License-Identifier: MIT
// BC-56: bytes before a block of special pool were changed
// Options: --special-pool all
#include "broken.h"

BREAK
{
    PUCHAR Block = ExAllocatePoolWithTag(PagedPool, 128, 'korB');

    Block[-16] ^= 0xFF;
    Expect(0xC1, (ULONG_PTR)Block, (ULONG_PTR)Block - 16, 0, 0x23);
    ExFreePoolWithTag(Block, 'korB');
    return STATUS_SUCCESS;
}
