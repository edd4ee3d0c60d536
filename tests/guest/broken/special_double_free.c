// SPDX-License-Identifier: MIT
// BC-54: freeing a block of special pool twice
// Options: --special-pool all
#include "broken.h"

BREAK
{
    PVOID Block = ExAllocatePoolWithTag(NonPagedPool, 100, 'korB');

    ExFreePoolWithTag(Block, 'korB');
    Expect(0xC1, (ULONG_PTR)Block, 0, 0, 0x20);
    ExFreePoolWithTag(Block, 'korB');
    return STATUS_SUCCESS;
}
