// SPDX-License-Identifier: MIT
// The same with text where the link was: on amd64 no address at all, on i386 one of user space
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
    if (sizeof(PVOID) == 8)
        Expect(0x50, (ULONG_PTR)0x4141414141414141, 0, ANYTHING, 4);
    else
        Expect(0x1E, (ULONG_PTR)(LONG)STATUS_ACCESS_VIOLATION, ANYTHING, 0, 0x41414141);
    ExAllocateFromNPagedLookasideList(&List);
    return STATUS_SUCCESS;
}
