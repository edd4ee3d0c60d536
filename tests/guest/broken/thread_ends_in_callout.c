// SPDX-License-Identifier: MIT
// BC: a thread ends inside a routine that runs on an expanded stack
#include "broken.h"

typedef VOID(NTAPI *CALLOUT)(PVOID Parameter);
NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCallout(CALLOUT Callout, PVOID Parameter,
                                                         SIZE_T Size);

static VOID NTAPI EndInside(PVOID Parameter)
{
    UNREFERENCED_PARAMETER(Parameter);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI Ending(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    Expect(0x20, 1, ANYTHING, 0, (ULONG_PTR)KeGetCurrentThread());
    KeExpandKernelStackAndCallout(EndInside, NULL, 56 * 1024);
}

BREAK
{
    HANDLE Handle;
    LARGE_INTEGER Long = {.QuadPart = -100000000};

    PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Ending, NULL);
    KeDelayExecutionThread(KernelMode, FALSE, &Long);
    return STATUS_SUCCESS;
}
