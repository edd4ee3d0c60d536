// SPDX-License-Identifier: MIT
// BC-36: allocating paged pool at DISPATCH_LEVEL.
#include "broken.h"

BREAK
{
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Expect(0xC2, 0x08, DISPATCH_LEVEL, PagedPool, 100);
    ExAllocatePoolWithTag(PagedPool, 100, 'korB');
    return STATUS_SUCCESS;
}
