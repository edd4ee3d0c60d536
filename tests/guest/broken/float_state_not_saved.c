// SPDX-License-Identifier: MIT
// A floating point state is restored twice
// Arch: i386
#include "broken.h"

NTKERNELAPI NTSTATUS NTAPI KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave);
NTKERNELAPI NTSTATUS NTAPI KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave);

BREAK
{
    KFLOATING_SAVE Save;

    KeSaveFloatingPointState(&Save);
    KeRestoreFloatingPointState(&Save);
    Expect(0xE7, 0, (ULONG_PTR)&Save, (ULONG_PTR)KeGetCurrentThread(), 0);
    KeRestoreFloatingPointState(&Save);
    return STATUS_SUCCESS;
}
