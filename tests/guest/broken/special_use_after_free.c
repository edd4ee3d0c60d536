// SPDX-License-Identifier: MIT
// BC-07: reading a block of special pool that was freed
// Options: --special-pool size:20-30
#include "broken.h"

BREAK
{
    volatile UCHAR *Block = ExAllocatePoolWithTag(PagedPool, 24, 'korB');
    UCHAR Seen;

    ExFreePoolWithTag((PVOID)Block, 'korB');
    Expect(0xD5, (ULONG_PTR)Block + 3, 0, IN_DRIVER, 0);
    Seen = Block[3];
    DbgPrint("%u\n", Seen);
    return STATUS_SUCCESS;
}
