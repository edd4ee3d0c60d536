// SPDX-License-Identifier: MIT
// BC: KeBugCheck stops with its code and no parameters
#include "broken.h"

BREAK
{
    Expect(0xE2, 0, 0, 0, 0);
    KeBugCheck(0xE2);
    return STATUS_SUCCESS;
}
