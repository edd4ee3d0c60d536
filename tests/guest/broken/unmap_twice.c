// SPDX-License-Identifier: MIT
// BC-112: unmapping what is not mapped.
// Says: MmMapIoSpace did not return
#include "broken.h"

BREAK
{
    PHYSICAL_ADDRESS Bios = {.QuadPart = 0xF0010};
    PVOID Mapping = MmMapIoSpace(Bios, 2 * PAGE_SIZE, MmNonCached);

    if (Mapping == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    MmUnmapIoSpace(Mapping, 2 * PAGE_SIZE);
    Expect(0xDA, 0x400, (ULONG_PTR)Mapping, 3, 0);
    MmUnmapIoSpace(Mapping, 2 * PAGE_SIZE);
    return STATUS_SUCCESS;
}
