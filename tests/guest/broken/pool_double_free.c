// SPDX-License-Identifier: MIT
// BC-35: freeing a block twice.
#include "broken.h"

BREAK
{
    PVOID Block = ExAllocatePoolWithTag(NonPagedPool, 100, 'korB');

    ExFreePoolWithTag(Block, 'korB');
    Expect(0xC2, 0x07, ANYTHING, ANYTHING, (ULONG_PTR)Block);
    ExFreePoolWithTag(Block, 'korB');
    return STATUS_SUCCESS;
}
