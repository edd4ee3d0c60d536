// SPDX-License-Identifier: MIT
// BC-38: freeing with another tag than the block was allocated with.
#include "broken.h"

BREAK
{
    PVOID Block = ExAllocatePoolWithTag(NonPagedPool, 100, 'thgR');

    Expect(0xC2, 0x0A, (ULONG_PTR)Block, 'thgR', 'gnrW');
    ExFreePoolWithTag(Block, 'gnrW');
    return STATUS_SUCCESS;
}
