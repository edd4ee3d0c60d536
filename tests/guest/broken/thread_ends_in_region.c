// SPDX-License-Identifier: MIT
// IR: a thread ends in a guarded region
#include "broken.h"

static VOID NTAPI Enter(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeEnterGuardedRegion();
    Expect(0x20, 0, 0xFFFF0000, PASSIVE_LEVEL, (ULONG_PTR)KeGetCurrentThread());
}

BREAK
{
    HANDLE Handle;
    PVOID Thread;

    PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Enter, NULL);
    ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &Thread, NULL);
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    return STATUS_SUCCESS;
}
