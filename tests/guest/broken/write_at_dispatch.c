// SPDX-License-Identifier: MIT
// BC-02: writing to an invalid address at DISPATCH_LEVEL.
#include "broken.h"

BREAK
{
    volatile ULONG *volatile Invalid = (volatile ULONG *)0x18;
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Expect(0xD1, (ULONG_PTR)Invalid, DISPATCH_LEVEL, 1, IN_DRIVER);
    *Invalid = 1;
    return STATUS_SUCCESS;
}
