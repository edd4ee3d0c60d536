// SPDX-License-Identifier: MIT
// BC-36: allocating nonpaged pool above DISPATCH_LEVEL.
#include "broken.h"

BREAK
{
    KIRQL OldIrql;

    Expect(0xC2, 0x08, DISPATCH_LEVEL + 1, NonPagedPool, 100);
    KeRaiseIrql(DISPATCH_LEVEL + 1, &OldIrql);
    ExAllocatePoolWithTag(NonPagedPool, 100, 'korB');
    return STATUS_SUCCESS;
}
