// SPDX-License-Identifier: MIT
// Leaves pool and a mapping behind: a run that is not clean.
// Status: 4
// Says: leaks.sys left 1 I/O space mapping
// Says: kaeL
#include "broken.h"

BREAK
{
    PHYSICAL_ADDRESS Bios = {.QuadPart = 0xF0000};

    MmMapIoSpace(Bios, PAGE_SIZE, MmNonCached);
    ExAllocatePoolWithTag(NonPagedPool, 1000, 'Leak');
    ExAllocatePoolWithTag(PagedPool, 5000, 'Leak');
    return STATUS_SUCCESS;
}
