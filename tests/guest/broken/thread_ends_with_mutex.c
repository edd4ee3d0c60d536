// SPDX-License-Identifier: MIT
// IR: a thread ends while it owns a mutex, which keeps its APCs disabled
#include "broken.h"

static KMUTEX Mutex;

static VOID NTAPI Own(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL);
    Expect(0x20, 0, 0xFFFF, PASSIVE_LEVEL, (ULONG_PTR)KeGetCurrentThread());
}

BREAK
{
    HANDLE Handle;
    PVOID Thread;

    KeInitializeMutex(&Mutex, 0);
    PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Own, NULL);
    ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &Thread, NULL);
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    return STATUS_SUCCESS;
}
