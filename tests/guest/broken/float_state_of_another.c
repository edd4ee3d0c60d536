// SPDX-License-Identifier: MIT
// A floating point state is restored by another thread than the one that saved it
// Arch: i386
#include "broken.h"

NTKERNELAPI NTSTATUS NTAPI KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave);
NTKERNELAPI NTSTATUS NTAPI KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave);

static KFLOATING_SAVE Save;

static VOID NTAPI RestoreIt(PVOID Context)
{
    Expect(0xE7, 2, (ULONG_PTR)Context, (ULONG_PTR)KeGetCurrentThread(), 0);
    KeRestoreFloatingPointState(&Save);
}

BREAK
{
    LARGE_INTEGER Second = {.QuadPart = -10000000};
    HANDLE Thread;

    KeSaveFloatingPointState(&Save);
    PsCreateSystemThread(&Thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, RestoreIt,
                         KeGetCurrentThread());
    for (;;)
        KeDelayExecutionThread(KernelMode, FALSE, &Second);
    return STATUS_SUCCESS;
}
