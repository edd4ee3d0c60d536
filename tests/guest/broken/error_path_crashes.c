// SPDX-License-Identifier: MIT
// A driver whose second allocation must not fail: --fail-each-allocation finds it
// Options: --fail-each-allocation
// Status: 3
// Says: allocation 1 (48 bytes, tag Brok, asked for by error_path_crashes.sys
// Says: allocation 2 (64 bytes, tag Brok, asked for by error_path_crashes.sys
// Says: allocation 3 (80 bytes, tag Brok, asked for by error_path_crashes.sys
// Says: verdict: 3 1 of 3 allocations, made to fail, ended in a crash, a hang or a leak
#include "broken.h"

BREAK
{
    PVOID First = ExAllocatePoolWithTag(NonPagedPool, 48, 'korB');
    if (First == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    volatile UCHAR *Second = ExAllocatePoolWithTag(NonPagedPool, 64, 'korB');
    Second[0] = 1;
    PVOID Third = ExAllocatePoolWithTag(PagedPool, 80, 'korB');
    if (Third != NULL)
        ExFreePoolWithTag(Third, 'korB');
    ExFreePoolWithTag((PVOID)Second, 'korB');
    ExFreePoolWithTag(First, 'korB');
    return STATUS_SUCCESS;
}
