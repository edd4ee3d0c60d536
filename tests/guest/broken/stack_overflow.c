// SPDX-License-Identifier: MIT
// BC-11: a kernel stack that overflows: the guard page makes it a double fault.
// Says: #5  stack_overflow.sys
#include "broken.h"

static ULONG Deeper(volatile ULONG *Above)
{
    volatile ULONG Frame[64];

    if (*Above == MAXULONG)
        return 0;
    Frame[0] = *Above + 1;
    return Deeper(Frame) + Frame[0];
}

BREAK
{
    volatile ULONG Start = 0;

    Expect(0x7F, 8, ANYTHING, ANYTHING, ANYTHING);
    return (NTSTATUS)Deeper(&Start);
}
