// SPDX-License-Identifier: MIT
// LA-30: a driver leaves a lookaside list behind.
// Status: 4
// Says: lookaside list at
// Says: tag Left
#include "broken.h"

static NPAGED_LOOKASIDE_LIST List;

BREAK
{
    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 64, 'tfeL', 0);
    return STATUS_SUCCESS;
}
