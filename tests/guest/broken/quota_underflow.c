// SPDX-License-Identifier: MIT
// BC: returning more pool quota than was charged
#include "broken.h"

NTKERNELAPI VOID NTAPI PsReturnPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, ULONG_PTR Amount);

BREAK
{
    Expect(0x21, (ULONG_PTR)PsInitialSystemProcess, PagedPool, ANYTHING, MAXLONG);
    PsReturnPoolQuota(PsInitialSystemProcess, PagedPool, MAXLONG);
    return STATUS_SUCCESS;
}
