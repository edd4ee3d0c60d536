// SPDX-License-Identifier: MIT
// BC-08: writing to code.
#include "broken.h"

BREAK
{
    Expect(0xBE, (ULONG_PTR)DriverEntry, ANYTHING, ANYTHING, ANYTHING);
    *(volatile UCHAR *)(ULONG_PTR)DriverEntry = 0xC3;
    return STATUS_SUCCESS;
}
