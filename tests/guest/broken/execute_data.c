// SPDX-License-Identifier: MIT
// BC-09: calling data.
#include "broken.h"

static volatile UCHAR Data[16] = {0xC3};

BREAK
{
    Expect(0xFC, (ULONG_PTR)Data, ANYTHING, ANYTHING, ANYTHING);
    ((VOID(*)(VOID))(ULONG_PTR)Data)();
    return STATUS_SUCCESS;
}
