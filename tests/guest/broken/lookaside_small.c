// SPDX-License-Identifier: MIT
// BC-171: a lookaside list of blocks that have no room for a link
// Options: --verifier=8
#include "broken.h"

static PAGED_LOOKASIDE_LIST List;

BREAK
{
    Expect(0xC4, 0xCD, (ULONG_PTR)&List, sizeof(PVOID) - 1, sizeof(PVOID));
    ExInitializePagedLookasideList(&List, NULL, NULL, 0, sizeof(PVOID) - 1, 'korB', 0);
    return STATUS_SUCCESS;
}
