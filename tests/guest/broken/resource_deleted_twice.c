// SPDX-License-Identifier: MIT
// BC-172: deleting a resource twice
#include "broken.h"

BREAK
{
    static ERESOURCE Resource;

    ExInitializeResourceLite(&Resource);
    ExDeleteResourceLite(&Resource);
    Expect(0xC4, 0xD1, (ULONG_PTR)&Resource, 0, 0);
    ExDeleteResourceLite(&Resource);
    return STATUS_SUCCESS;
}
