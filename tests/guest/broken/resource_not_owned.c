// SPDX-License-Identifier: MIT
// BC: releasing a resource that the thread does not own
#include "broken.h"

BREAK
{
    static ERESOURCE Resource;

    ExInitializeResourceLite(&Resource);
    KeEnterCriticalRegion();
    Expect(0xE3, (ULONG_PTR)&Resource, (ULONG_PTR)KeGetCurrentThread(), 0, IN_DRIVER);
    ExReleaseResourceLite(&Resource);
    return STATUS_SUCCESS;
}
