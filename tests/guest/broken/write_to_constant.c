// SPDX-License-Identifier: MIT
// BC-08: writing to a constant.
#include "broken.h"

static const ULONG Constant[4] = {1, 2, 3, 4};

BREAK
{
    Expect(0xBE, (ULONG_PTR)&Constant[1], ANYTHING, ANYTHING, ANYTHING);
    *(volatile ULONG *)&Constant[1] = 5;
    return STATUS_SUCCESS;
}
