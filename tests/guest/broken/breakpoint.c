// SPDX-License-Identifier: MIT
// BC-10: a breakpoint without a debugger.
#include "broken.h"

BREAK
{
    Expect(0x1E, (ULONG_PTR)(LONG)STATUS_BREAKPOINT, IN_DRIVER, ANYTHING, ANYTHING);
    __asm__ volatile("int3");
    return STATUS_SUCCESS;
}
