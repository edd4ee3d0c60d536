// SPDX-License-Identifier: MIT
// BC-195: releasing a fast mutex that another thread owns
#include "broken.h"

static FAST_MUTEX Mutex;
static KEVENT Owned, Never;

static VOID NTAPI Own(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Mutex);
    KeSetEvent(&Owned, 0, FALSE);
    KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
}

BREAK
{
    HANDLE Handle;
    PVOID Thread;

    ExInitializeFastMutex(&Mutex);
    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    KeInitializeEvent(&Owned, SynchronizationEvent, FALSE);
    if (!NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Own, NULL)))
        return STATUS_UNSUCCESSFUL;
    ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &Thread, NULL);
    KeWaitForSingleObject(&Owned, Executive, KernelMode, FALSE, NULL);
    Expect(0xC4, 0x1004, (ULONG_PTR)&Mutex, (ULONG_PTR)Thread, (ULONG_PTR)KeGetCurrentThread());
    KeEnterCriticalRegion();
    ExReleaseFastMutexUnsafe(&Mutex);
    return STATUS_SUCCESS;
}
