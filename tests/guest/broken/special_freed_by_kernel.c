// SPDX-License-Identifier: MIT
// BC-06: having the kernel read a block of special pool that was freed
// Options: --special-pool driver:special_freed_by_kernel
#include "broken.h"

BREAK
{
    PUCHAR Block = ExAllocatePoolWithTag(NonPagedPool, 256, 'korB');
    UCHAR Other[256];

    RtlZeroMemory(Other, sizeof(Other));
    ExFreePoolWithTag(Block, 'korB');
    Expect(0xCC, (ULONG_PTR)Block, 0, ANYTHING, 0);
    RtlCompareMemory(Block, Other, sizeof(Other));
    return STATUS_SUCCESS;
}
