// SPDX-License-Identifier: MIT
// PL-02: calling a block of paged pool, which is executable on x86 only
// Arch: amd64
#include "broken.h"

BREAK
{
    UCHAR *Block = ExAllocatePoolWithTag(PagedPool, 16, 'korB');

    if (Block == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Block[0] = 0xC3;
    Expect(0xFC, (ULONG_PTR)Block, ANYTHING, ANYTHING, ANYTHING);
    ((VOID(*)(VOID))(ULONG_PTR)Block)();
    return STATUS_SUCCESS;
}
