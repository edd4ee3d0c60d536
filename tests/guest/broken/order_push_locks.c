// SPDX-License-Identifier: MIT
// BC-192: a push lock, a resource and a fast mutex, each acquired before the next: a circle
// Options: --checked
// Says: but 0x
// Says: order_push_locks.sys
#include "broken.h"

// In ntoskrnl.exe, but not in these headers.
typedef ULONG_PTR PUSH_LOCK;
NTSYSAPI VOID NTAPI ExInitializePushLock(PUSH_LOCK *PushLock);
NTSYSAPI VOID FASTCALL ExAcquirePushLockExclusiveEx(PUSH_LOCK *PushLock, ULONG Flags);
NTSYSAPI VOID FASTCALL ExAcquirePushLockSharedEx(PUSH_LOCK *PushLock, ULONG Flags);
NTSYSAPI VOID FASTCALL ExReleasePushLockSharedEx(PUSH_LOCK *PushLock, ULONG Flags);

static PUSH_LOCK Push;
static ERESOURCE Resource;
static FAST_MUTEX Fast;

BREAK
{
    ExInitializePushLock(&Push);
    ExInitializeResourceLite(&Resource);
    ExInitializeFastMutex(&Fast);
    KeEnterCriticalRegion();
    ExAcquirePushLockSharedEx(&Push, 0);
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    ExReleaseResourceLite(&Resource);
    ExReleasePushLockSharedEx(&Push, 0);
    ExAcquireResourceSharedLite(&Resource, TRUE);
    ExAcquireFastMutex(&Fast);
    ExReleaseFastMutex(&Fast);
    ExReleaseResourceLite(&Resource);
    ExAcquireFastMutex(&Fast);
    Expect(0xC4, 0x1001, (ULONG_PTR)&Push, (ULONG_PTR)&Fast, 0);
    ExAcquirePushLockExclusiveEx(&Push, 0);
    return STATUS_SUCCESS;
}
