// SPDX-License-Identifier: MIT
// PL-61: an allocation that is to raise when it fails, with nobody to handle the exception.
#include "broken.h"

#ifndef POOL_RAISE_IF_ALLOCATION_FAILURE
#define POOL_RAISE_IF_ALLOCATION_FAILURE 16
#endif

BREAK
{
    Expect(0x1E, (ULONG_PTR)(LONG)STATUS_INSUFFICIENT_RESOURCES, ANYTHING, ANYTHING, ANYTHING);
    ExAllocatePoolWithTag((POOL_TYPE)(PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE),
                          ~(SIZE_T)0 / 2, 'korB');
    return STATUS_SUCCESS;
}
