// SPDX-License-Identifier: MIT
// A thread is to run on processors that there are not
#include "broken.h"

NTKERNELAPI KAFFINITY NTAPI KeSetAffinityThread(PKTHREAD Thread, KAFFINITY Affinity);

#define NOWHERE ((KAFFINITY)1 << 31)

BREAK
{
    Expect(0x03, (ULONG_PTR)KeGetCurrentThread(), (ULONG_PTR)NOWHERE, 1, 0);
    KeSetAffinityThread(KeGetCurrentThread(), NOWHERE);
    return STATUS_SUCCESS;
}
