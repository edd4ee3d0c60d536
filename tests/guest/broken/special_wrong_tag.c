// SPDX-License-Identifier: MIT
// BC-38: a wrong tag in special pool is what it is elsewhere
// Options: --special-pool all
#include "broken.h"

BREAK
{
    PVOID Block = ExAllocatePoolWithTag(PagedPool, 100, 'korB');

    Expect(0xC2, 0x0A, (ULONG_PTR)Block, 'korB', 'kroB');
    ExFreePoolWithTag(Block, 'kroB');
    return STATUS_SUCCESS;
}
