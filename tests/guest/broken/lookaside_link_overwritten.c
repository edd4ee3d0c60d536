// SPDX-License-Identifier: MIT
// A block is written to after it was given back to its lookaside list: the list leads nowhere
// Says: PopEntrySList
// Says: The link in an entry of a sequenced list was overwritten
// Says: lookaside_link_overwritten.sys
#include "broken.h"

static NPAGED_LOOKASIDE_LIST List;

BREAK
{
    // Two pages further there is nothing, and the address looks like any other of system space.
    PUCHAR Nowhere = MmAllocateNonCachedMemory(3 * PAGE_SIZE);
    PVOID *Block;

    MmFreeNonCachedMemory(Nowhere, 3 * PAGE_SIZE);
    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 64, 'korB', 0);
    Block = ExAllocateFromNPagedLookasideList(&List);
    ExFreeToNPagedLookasideList(&List, Block);
    *Block = Nowhere + 2 * PAGE_SIZE;
    ExAllocateFromNPagedLookasideList(&List);
    Expect(0x50, (ULONG_PTR)Nowhere + 2 * PAGE_SIZE, 0, ANYTHING, ANYTHING);
    ExAllocateFromNPagedLookasideList(&List);
    return STATUS_SUCCESS;
}
