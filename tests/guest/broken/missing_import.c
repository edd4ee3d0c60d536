// SPDX-License-Identifier: MIT
// Imports what nobody exports: refused with all the names.
// Status: 1
// Says: NoSuchRoutine
// Says: NorThisOne
#include "broken.h"

DECLSPEC_IMPORT VOID NTAPI NoSuchRoutine(VOID);
DECLSPEC_IMPORT VOID NTAPI NorThisOne(VOID);

BREAK
{
    NoSuchRoutine();
    NorThisOne();
    return STATUS_SUCCESS;
}
