// SPDX-License-Identifier: MIT
// BC-52: an allocation with a tag that has neither letter nor digit.
#include "broken.h"

BREAK
{
    Expect(0xC2, 0x9D, '!?!?', PagedPool, IN_DRIVER);
    ExAllocatePoolWithTag(PagedPool, 20, '!?!?');
    return STATUS_SUCCESS;
}
