// SPDX-License-Identifier: MIT
// BC-03: the processor is sent to an address that is none: an execution, not an access by code
// there.
// Arch: amd64
// Says: sent the processor to 0x4141414141414141
// Says: *** driver: call_not_canonical.sys+0x
#include "broken.h"

#define NOWHERE ((ULONG_PTR)0x4141414141414141ull)

BREAK
{
    VOID (*volatile Routine)(VOID) = (PVOID)NOWHERE;

    Expect(0x50, NOWHERE, 8, NOWHERE, 4);
    Routine();
    return STATUS_SUCCESS;
}
