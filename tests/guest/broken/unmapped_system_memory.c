// SPDX-License-Identifier: MIT
// BC-03: reading system memory after it was unmapped.
#include "broken.h"

BREAK
{
    PHYSICAL_ADDRESS Bios = {.QuadPart = 0xF0000};
    volatile UCHAR *Mapping = MmMapIoSpace(Bios, PAGE_SIZE, MmNonCached);

    if (Mapping == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    MmUnmapIoSpace((PVOID)Mapping, PAGE_SIZE);
    Expect(0x50, (ULONG_PTR)Mapping, 0, IN_DRIVER, ANYTHING);
    return (NTSTATUS)*Mapping;
}
