// SPDX-License-Identifier: MIT
// BC-58: allocating paged special pool at DISPATCH_LEVEL
// Options: --special-pool all
#include "broken.h"

BREAK
{
    KIRQL OldIrql;

    Expect(0xC1, DISPATCH_LEVEL, PagedPool, 100, 0x30);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ExAllocatePoolWithTag(PagedPool, 100, 'korB');
    KeLowerIrql(OldIrql);
    return STATUS_SUCCESS;
}
