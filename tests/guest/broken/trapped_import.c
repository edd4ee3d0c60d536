// SPDX-License-Identifier: MIT
// The same, bound to a trap: the first call stops and names routine, driver and call site.
// Options: --imports=trap
// Says: NoSuchRoutine
// Says: trapped_import.sys
#include "broken.h"

DECLSPEC_IMPORT VOID NTAPI NoSuchRoutine(VOID);

BREAK
{
    DbgPrint("before the call\n");
    NoSuchRoutine();
    return STATUS_SUCCESS;
}
