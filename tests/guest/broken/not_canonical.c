// SPDX-License-Identifier: MIT
// BC-03: an address that is none on this processor.
// Arch: amd64
#include "broken.h"

BREAK
{
    volatile ULONG *Invalid = (volatile ULONG *)0xFFFF000000000000ull;

    Expect(0x50, (ULONG_PTR)Invalid, 0, IN_DRIVER, 4);
    return (NTSTATUS)*Invalid;
}
