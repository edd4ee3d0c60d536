// SPDX-License-Identifier: MIT
// BC-49: must-succeed pool.
#include "broken.h"

BREAK
{
    Expect(0xC2, 0x9A, NonPagedPoolMustSucceed, 20, 'korB');
    ExAllocatePoolWithTag(NonPagedPoolMustSucceed, 20, 'korB');
    return STATUS_SUCCESS;
}
