// SPDX-License-Identifier: MIT
// BC-192: two resources in opposite orders, one of them shared, with a recursion in between
// Options: --checked
// Says: but 0x
// Says: order_resources.sys
#include "broken.h"

static ERESOURCE First, Second;

BREAK
{
    ExInitializeResourceLite(&First);
    ExInitializeResourceLite(&Second);
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&First, TRUE);
    ExAcquireResourceSharedLite(&Second, TRUE);
    ExAcquireResourceExclusiveLite(&First, TRUE); // once more: no order
    ExReleaseResourceLite(&First);
    ExReleaseResourceLite(&Second);
    ExReleaseResourceLite(&First);
    ExAcquireResourceExclusiveLite(&Second, TRUE);
    Expect(0xC4, 0x1001, (ULONG_PTR)&First, (ULONG_PTR)&Second, 0);
    ExAcquireResourceExclusiveLite(&First, TRUE);
    return STATUS_SUCCESS;
}
