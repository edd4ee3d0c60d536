// SPDX-License-Identifier: MIT
// int 29h: a structure that guards itself was found damaged.
#include "broken.h"

BREAK
{
    Expect(0x139, 3, ANYTHING, ANYTHING, 0);
    __asm__ volatile("int $0x29" ::"c"(3));
    return STATUS_SUCCESS;
}
