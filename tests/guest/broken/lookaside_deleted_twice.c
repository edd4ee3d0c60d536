// SPDX-License-Identifier: MIT
// LA-31: a lookaside list is deleted twice
#include "broken.h"

static LOOKASIDE_LIST_EX List;

BREAK
{
    ExInitializeLookasideListEx(&List, NULL, NULL, PagedPool, 0, 64, 'korB', 0);
    ExDeleteLookasideListEx(&List);
    Expect(0xC4, 0xCB, (ULONG_PTR)&List, 0, 0);
    ExDeleteLookasideListEx(&List);
    return STATUS_SUCCESS;
}
