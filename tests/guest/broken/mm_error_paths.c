// SPDX-License-Identifier: MIT
// A driver that takes for granted what the memory manager gives: --fail-each-allocation finds it
// Options: --fail-each-allocation
// Status: 3
// Says: allocation 1 (4112 bytes, tag MmIo, asked for by mm_error_paths.sys
// Says: allocation 2 (16384 bytes, tag MmCm, asked for by mm_error_paths.sys
// Says: allocation 3 (8192 bytes, tag MmNc, asked for by mm_error_paths.sys
// Says: verdict: 3 2 of 3 allocations, made to fail, ended in a crash, a hang or a leak
#include "broken.h"

BREAK
{
    PHYSICAL_ADDRESS Bios = {.QuadPart = 0xF0000}, Highest = {.QuadPart = -1};
    volatile UCHAR *Mapping = MmMapIoSpace(Bios, PAGE_SIZE + 16, MmNonCached);

    if (Mapping == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    volatile UCHAR *Contiguous = MmAllocateContiguousMemory(4 * PAGE_SIZE, Highest);
    volatile UCHAR *NonCached = MmAllocateNonCachedMemory(2 * PAGE_SIZE);
    Contiguous[0] = Mapping[0];
    NonCached[0] = Mapping[0];
    MmFreeNonCachedMemory((PVOID)NonCached, 2 * PAGE_SIZE);
    MmFreeContiguousMemory((PVOID)Contiguous);
    MmUnmapIoSpace((PVOID)Mapping, PAGE_SIZE + 16);
    return STATUS_SUCCESS;
}
