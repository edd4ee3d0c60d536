// SPDX-License-Identifier: MIT
// A driver that forgets its first block when the second cannot be had: --fail-each-allocation
// Options: --fail-each-allocation
// Status: 4
// Says: verdict: 4 1 of 2 allocations, made to fail, ended in a crash, a hang or a leak
#include "broken.h"

BREAK
{
    PVOID First = ExAllocatePoolWithTag(NonPagedPool, 48, 'korB');
    PVOID Second = First != NULL ? ExAllocatePoolWithTag(PagedPool, 64, 'korB') : NULL;

    if (First != NULL && Second == NULL)
        return STATUS_SUCCESS;
    if (Second != NULL) {
        ExFreePoolWithTag(Second, 'korB');
        ExFreePoolWithTag(First, 'korB');
    }
    return STATUS_SUCCESS;
}
