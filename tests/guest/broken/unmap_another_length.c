// SPDX-License-Identifier: MIT
// MD-83: unmapping another number of bytes than was mapped.
// Says: another length
#include "broken.h"

BREAK
{
    PHYSICAL_ADDRESS Bios = {.QuadPart = 0xF0000};
    PVOID Mapping = MmMapIoSpace(Bios, 2 * PAGE_SIZE, MmNonCached);

    if (Mapping == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Expect(0xDA, 0x400, (ULONG_PTR)Mapping, 1, 0);
    MmUnmapIoSpace(Mapping, PAGE_SIZE);
    return STATUS_SUCCESS;
}
