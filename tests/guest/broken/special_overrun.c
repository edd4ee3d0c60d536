// SPDX-License-Identifier: MIT
// BC-05: writing behind the end of a block in special pool
// Options: --special-pool all
#include "broken.h"

BREAK
{
    volatile UCHAR *Block = ExAllocatePoolWithTag(NonPagedPool, 64, 'korB');

    Expect(0xD6, (ULONG_PTR)Block + 64, 1, IN_DRIVER, 0);
    Block[64] = 1;
    return STATUS_SUCCESS;
}
