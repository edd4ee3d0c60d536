// SPDX-License-Identifier: MIT
// The same with text where the link was, which is no address at all
// Arch: amd64
// Says: The link in an entry of a sequenced list was overwritten
#include "broken.h"

static NPAGED_LOOKASIDE_LIST List;

BREAK
{
    PUCHAR Block;

    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 64, 'korB', 0);
    Block = ExAllocateFromNPagedLookasideList(&List);
    ExFreeToNPagedLookasideList(&List, Block);
    RtlFillMemory(Block, 64, 'A');
    ExAllocateFromNPagedLookasideList(&List);
    Expect(0x50, (ULONG_PTR)0x4141414141414141, 0, ANYTHING, 4);
    ExAllocateFromNPagedLookasideList(&List);
    return STATUS_SUCCESS;
}
