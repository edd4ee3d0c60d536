// SPDX-License-Identifier: MIT
// BC-09: calling a block of NonPagedPoolNx.
#include "broken.h"

#ifndef NonPagedPoolNx
#define NonPagedPoolNx ((POOL_TYPE)512)
#endif

BREAK
{
    UCHAR *Block = ExAllocatePoolWithTag(NonPagedPoolNx, 16, 'korB');

    if (Block == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Block[0] = 0xC3;
    Expect(0xFC, (ULONG_PTR)Block, ANYTHING, ANYTHING, ANYTHING);
    ((VOID(*)(VOID))(ULONG_PTR)Block)();
    return STATUS_SUCCESS;
}
