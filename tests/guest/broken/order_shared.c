// SPDX-License-Identifier: MIT
// BC-192: two resources in opposite orders, only ever shared: a writer that waits stops both
// Options: --checked
// Says: but 0x
// Says: order_shared.sys
#include "broken.h"

static ERESOURCE First, Second;

BREAK
{
    ExInitializeResourceLite(&First);
    ExInitializeResourceLite(&Second);
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&First, TRUE);
    ExAcquireResourceSharedLite(&Second, TRUE);
    ExReleaseResourceLite(&Second);
    ExReleaseResourceLite(&First);
    ExAcquireResourceSharedLite(&Second, TRUE);
    Expect(0xC4, 0x1001, (ULONG_PTR)&First, (ULONG_PTR)&Second, 0);
    ExAcquireResourceSharedLite(&First, TRUE);
    return STATUS_SUCCESS;
}
