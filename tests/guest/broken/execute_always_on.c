// SPDX-License-Identifier: MIT
// PL-105: where no pool is executable, NonPagedPool by its old name is not either
// Options: --options /NOEXECUTE=ALWAYSON
#include "broken.h"

BREAK
{
    UCHAR *Block = ExAllocatePoolWithTag(NonPagedPool, 16, 'korB');

    if (Block == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Block[0] = 0xC3;
    Expect(0xFC, (ULONG_PTR)Block, ANYTHING, ANYTHING, ANYTHING);
    ((VOID(*)(VOID))(ULONG_PTR)Block)();
    return STATUS_SUCCESS;
}
