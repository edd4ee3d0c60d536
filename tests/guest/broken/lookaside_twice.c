// SPDX-License-Identifier: MIT
// LA-31: a lookaside list is initialised twice.
#include "broken.h"

static NPAGED_LOOKASIDE_LIST List;

BREAK
{
    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 64, 'korB', 0);
    Expect(0xC4, 0xCA, (ULONG_PTR)&List, 0, 0);
    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 64, 'korB', 0);
    return STATUS_SUCCESS;
}
