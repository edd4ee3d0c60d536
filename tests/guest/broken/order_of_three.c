// SPDX-License-Identifier: MIT
// BC-192: three mutexes of three kinds, each acquired before the next: a circle
// Options: --checked
// Says: but 0x
#include "broken.h"

static FAST_MUTEX Fast;
static KGUARDED_MUTEX Guarded;
static KMUTEX Mutex;

static VOID Wait(VOID)
{
    KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL);
}

BREAK
{
    ExInitializeFastMutex(&Fast);
    KeInitializeGuardedMutex(&Guarded);
    KeInitializeMutex(&Mutex, 0);
    KeAcquireGuardedMutex(&Guarded);
    Wait();
    KeReleaseMutex(&Mutex, FALSE);
    KeReleaseGuardedMutex(&Guarded);
    Wait();
    ExAcquireFastMutex(&Fast);
    ExReleaseFastMutex(&Fast);
    KeReleaseMutex(&Mutex, FALSE);
    Expect(0xC4, 0x1001, (ULONG_PTR)&Guarded, (ULONG_PTR)&Fast, 0);
    ExAcquireFastMutex(&Fast);
    KeAcquireGuardedMutex(&Guarded);
    return STATUS_SUCCESS;
}
