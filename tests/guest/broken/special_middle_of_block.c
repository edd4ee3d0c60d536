// SPDX-License-Identifier: MIT
// BC-55: freeing an address inside a block of special pool
// Options: --special-pool all
#include "broken.h"

BREAK
{
    PUCHAR Block = ExAllocatePoolWithTag(NonPagedPool, 128, 'korB');

    Expect(0xC1, (ULONG_PTR)Block + 32, 128, 96, 0x21);
    ExFreePoolWithTag(Block + 32, 'korB');
    return STATUS_SUCCESS;
}
