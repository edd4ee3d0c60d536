// SPDX-License-Identifier: MIT
// A floating point state is restored at another IRQL than it was saved at
// Arch: i386
#include "broken.h"

NTKERNELAPI NTSTATUS NTAPI KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave);
NTKERNELAPI NTSTATUS NTAPI KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave);

BREAK
{
    KFLOATING_SAVE Save;
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeSaveFloatingPointState(&Save);
    KeLowerIrql(OldIrql);
    Expect(0xE7, 1, DISPATCH_LEVEL, PASSIVE_LEVEL, 0);
    KeRestoreFloatingPointState(&Save);
    return STATUS_SUCCESS;
}
