// SPDX-License-Identifier: MIT
// BC-51: an allocation with the reserved tag "BIG".
#include "broken.h"

BREAK
{
    Expect(0xC2, 0x9C, NonPagedPool, 20, IN_DRIVER);
    ExAllocatePoolWithTag(NonPagedPool, 20, ' GIB');
    return STATUS_SUCCESS;
}
