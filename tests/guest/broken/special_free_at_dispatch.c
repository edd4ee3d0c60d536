// SPDX-License-Identifier: MIT
// BC-59: freeing paged special pool at DISPATCH_LEVEL
// Options: --special-pool all
#include "broken.h"

BREAK
{
    PVOID Block = ExAllocatePoolWithTag(PagedPool, 100, 'korB');
    KIRQL OldIrql;

    Expect(0xC1, DISPATCH_LEVEL, PagedPool, (ULONG_PTR)Block, 0x31);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ExFreePoolWithTag(Block, 'korB');
    KeLowerIrql(OldIrql);
    return STATUS_SUCCESS;
}
