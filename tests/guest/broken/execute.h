// SPDX-License-Identifier: MIT
// Calling a block of a pool that is not executable; the drivers differ by the pool alone.
#pragma once

#include "broken.h"

static NTSTATUS CallBlockOf(POOL_TYPE Type)
{
    UCHAR *Block = ExAllocatePoolWithTag(Type, 16, 'korB');

    if (Block == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Block[0] = 0xC3;
    Expect(0xFC, (ULONG_PTR)Block, ANYTHING, ANYTHING, ANYTHING);
    ((VOID(*)(VOID))(ULONG_PTR)Block)();
    return STATUS_SUCCESS;
}
