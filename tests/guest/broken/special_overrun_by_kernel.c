// SPDX-License-Identifier: MIT
// BC-04: having the kernel read behind the end of a block in special pool
// Options: --special-pool tag:Br*
#include "broken.h"

BREAK
{
    PUCHAR Block = ExAllocatePoolWithTag(PagedPool, 128, 'korB');
    UCHAR Other[256];

    RtlZeroMemory(Other, sizeof(Other));
    RtlZeroMemory(Block, 128);
    Expect(0xCD, (ULONG_PTR)Block + 128, 0, ANYTHING, 0);
    RtlCompareMemory(Block, Other, sizeof(Other));
    return STATUS_SUCCESS;
}
