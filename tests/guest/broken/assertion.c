// SPDX-License-Identifier: MIT
// int 2Ch, what NT_ASSERT compiles to: STATUS_ASSERTION_FAILURE that nobody handles.
#include "broken.h"

BREAK
{
    Expect(0x1E, (ULONG_PTR)(LONG)0xC0000420, IN_DRIVER, 0, 0);
    __asm__ volatile("int $0x2c");
    return STATUS_SUCCESS;
}
