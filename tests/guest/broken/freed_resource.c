// SPDX-License-Identifier: MIT
// BC-172: freeing pool memory that holds a resource
// Options: --checked
#include "broken.h"

BREAK
{
    PERESOURCE Resource = ExAllocatePoolWithTag(NonPagedPool, sizeof(*Resource), 'korB');

    ExInitializeResourceLite(Resource);
    Expect(0xC4, 0xD2, (ULONG_PTR)Resource, ANYTHING, ANYTHING);
    ExFreePoolWithTag(Resource, 'korB');
    return STATUS_SUCCESS;
}
