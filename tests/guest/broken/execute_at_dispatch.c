// SPDX-License-Identifier: MIT
// BC-02: calling through a null pointer at DISPATCH_LEVEL. The instruction that faults is the
// target.
#include "broken.h"

BREAK
{
    VOID (*volatile Routine)(VOID) = NULL;
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Expect(0xD1, 0, DISPATCH_LEVEL, 8, 0);
    Routine();
    return STATUS_SUCCESS;
}
