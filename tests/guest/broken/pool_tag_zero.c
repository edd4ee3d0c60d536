// SPDX-License-Identifier: MIT
// BC-50: an allocation with tag 0.
#include "broken.h"

BREAK
{
    Expect(0xC2, 0x9B, PagedPool, 20, IN_DRIVER);
    ExAllocatePoolWithTag(PagedPool, 20, 0);
    return STATUS_SUCCESS;
}
