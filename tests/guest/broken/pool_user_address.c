// SPDX-License-Identifier: MIT
// BC-40: freeing a user-mode address.
#include "broken.h"

BREAK
{
    Expect(0xC2, 0x40, 0x10000, (ULONG_PTR)MmSystemRangeStart, 0);
    ExFreePool((PVOID)0x10000);
    return STATUS_SUCCESS;
}
