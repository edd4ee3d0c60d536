// SPDX-License-Identifier: MIT
// BC-37: freeing paged pool at DISPATCH_LEVEL.
#include "broken.h"

BREAK
{
    PVOID Block = ExAllocatePoolWithTag(PagedPool, 100, 'korB');
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Expect(0xC2, 0x09, DISPATCH_LEVEL, PagedPool, (ULONG_PTR)Block);
    ExFreePoolWithTag(Block, 'korB');
    return STATUS_SUCCESS;
}
