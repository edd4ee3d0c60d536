// SPDX-License-Identifier: MIT
// BC-170: freeing pool memory that holds a lookaside list
// Options: --checked
#include "broken.h"

BREAK
{
    // Two lists, the second of which is left: in a block of pages.
    PNPAGED_LOOKASIDE_LIST List = ExAllocatePoolWithTag(NonPagedPool, 3 * PAGE_SIZE, 'korB');

    ExInitializeNPagedLookasideList(&List[0], NULL, NULL, 0, 32, 'korB', 0);
    ExInitializeNPagedLookasideList(&List[1], NULL, NULL, 0, 32, 'korB', 0);
    ExDeleteNPagedLookasideList(&List[0]);
    Expect(0xC4, 0xCC, (ULONG_PTR)&List[1], (ULONG_PTR)List, 3 * PAGE_SIZE);
    ExFreePoolWithTag(List, 'korB');
    return STATUS_SUCCESS;
}
