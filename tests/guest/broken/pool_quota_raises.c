// SPDX-License-Identifier: MIT
// PL-53: quota that is exceeded is raised, with nobody to handle the exception.
// Options: --options /POOLQUOTA=64K
#include "broken.h"

BREAK
{
    Expect(0x1E, (ULONG_PTR)(LONG)STATUS_QUOTA_EXCEEDED, ANYTHING, ANYTHING, ANYTHING);
    for (int i = 0; i < 17; i++)
        ExAllocatePoolWithQuotaTag(PagedPool, PAGE_SIZE, 'korB');
    return STATUS_SUCCESS;
}
