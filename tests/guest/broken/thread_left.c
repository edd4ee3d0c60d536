// SPDX-License-Identifier: MIT
// A driver leaves a thread behind. (With another driver, that thread runs again: test_drivers.py.)
// Status: 4
// Says: still runs thread_left.sys
// Says: thread_left.sys left 1 thread
#include "broken.h"

static VOID NTAPI RunForEver(PVOID Context)
{
    LARGE_INTEGER Moment = {.QuadPart = -500000};

    UNREFERENCED_PARAMETER(Context);
    for (;;)
        KeDelayExecutionThread(KernelMode, FALSE, &Moment);
}

BREAK
{
    HANDLE Thread;
    NTSTATUS Status =
        PsCreateSystemThread(&Thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, RunForEver, NULL);

    if (NT_SUCCESS(Status))
        ZwClose(Thread);
    return Status;
}
