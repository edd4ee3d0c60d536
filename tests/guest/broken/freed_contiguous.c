// SPDX-License-Identifier: MIT
// PL-115: freeing contiguous memory that holds a resource
// Options: --checked
#include "broken.h"

BREAK
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = -1};
    PERESOURCE Resource = MmAllocateContiguousMemory(2 * PAGE_SIZE, Highest);

    ExInitializeResourceLite(Resource);
    Expect(0xC4, 0xD2, (ULONG_PTR)Resource, ANYTHING, ANYTHING);
    MmFreeContiguousMemory(Resource);
    return STATUS_SUCCESS;
}
