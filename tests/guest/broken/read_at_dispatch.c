// SPDX-License-Identifier: MIT
// BC-02: reading an invalid address at DISPATCH_LEVEL.
#include "broken.h"

BREAK
{
    volatile ULONG *volatile Invalid = (volatile ULONG *)0x18;
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Expect(0xD1, (ULONG_PTR)Invalid, DISPATCH_LEVEL, 0, IN_DRIVER);
    return (NTSTATUS)*Invalid;
}
