// SPDX-License-Identifier: MIT
// A lookaside list is deleted while one of its blocks is still out
// Status: 4
// Says: deleted by lookaside_blocks_out.sys
// Says: with 1 block still out
// Says: tag Brok, allocated by lookaside_blocks_out.sys
#include "broken.h"

static NPAGED_LOOKASIDE_LIST List;

BREAK
{
    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 64, 'korB', 0);
    ExAllocateFromNPagedLookasideList(&List);
    ExFreeToNPagedLookasideList(&List, ExAllocateFromNPagedLookasideList(&List));
    ExDeleteNPagedLookasideList(&List);
    return STATUS_SUCCESS;
}
