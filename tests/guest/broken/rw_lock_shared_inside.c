// SPDX-License-Identifier: MIT
// IR-71: a processor that holds a reader-writer spin lock exclusively asks for a share of it
// Options: --smp 2
// Says: which its own processor holds exclusively: it waits for itself.
#include "broken.h"

NTKERNELAPI KIRQL NTAPI ExAcquireSpinLockExclusive(volatile LONG *SpinLock);
NTKERNELAPI KIRQL NTAPI ExAcquireSpinLockShared(volatile LONG *SpinLock);

static volatile LONG Lock;

BREAK
{
    ExAcquireSpinLockExclusive(&Lock);
    Expect(0x0F, (ULONG_PTR)&Lock, 0x80000000u | KeGetCurrentProcessorNumber() << 24, 0, IN_DRIVER);
    ExAcquireSpinLockShared(&Lock);
    return STATUS_SUCCESS;
}
