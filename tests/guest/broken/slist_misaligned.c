// SPDX-License-Identifier: MIT
// LA-67: an entry of a sequenced list that is not aligned as 64-bit systems want it
// Arch: amd64
// Options: --checked
// Says: STATUS_DATATYPE_MISALIGNMENT
#include "broken.h"

static SLIST_HEADER List;
static DECLSPEC_ALIGN(16) UCHAR Memory[64];

BREAK
{
    InitializeSListHead(&List);
    Expect(0x1E, (ULONG_PTR)(LONG)STATUS_DATATYPE_MISALIGNMENT, ANYTHING, ANYTHING, ANYTHING);
    InterlockedPushEntrySList(&List, (PSLIST_ENTRY)(Memory + 8));
    return STATUS_SUCCESS;
}
