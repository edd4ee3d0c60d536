// SPDX-License-Identifier: MIT
// BC-42: freeing an address that was never in any pool.
#include "broken.h"

static ULONG Variable[8];

BREAK
{
    Expect(0xC2, 0x42, (ULONG_PTR)&Variable[4], 0, 0);
    ExFreePool(&Variable[4]);
    return STATUS_SUCCESS;
}
