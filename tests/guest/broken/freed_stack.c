// SPDX-License-Identifier: MIT
// PL-115: a thread ends while a timer on its stack is set
// Options: --checked
#include "broken.h"

static VOID NTAPI SetAndEnd(PVOID Context)
{
    LARGE_INTEGER Due = {.QuadPart = -600000000};
    KTIMER Timer;

    UNREFERENCED_PARAMETER(Context);
    KeInitializeTimer(&Timer);
    KeSetTimer(&Timer, Due, NULL);
    Expect(0xC7, 0, (ULONG_PTR)&Timer, ANYTHING, ANYTHING);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

BREAK
{
    LARGE_INTEGER Second = {.QuadPart = -10000000};
    HANDLE Thread;

    PsCreateSystemThread(&Thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, SetAndEnd, NULL);
    KeDelayExecutionThread(KernelMode, FALSE, &Second);
    return STATUS_SUCCESS;
}
