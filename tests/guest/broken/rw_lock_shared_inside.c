// SPDX-License-Identifier: MIT
// IR-71: a processor that holds a reader-writer spin lock exclusively asks for a share of it
// Options: --smp 2
// Says: which its own processor holds exclusively: it waits for itself.
#include "rw_lock.h"

BREAK
{
    ExAcquireSpinLockExclusive(&Lock);
    Expect(0x0F, (ULONG_PTR)&Lock, WANTED_HERE, 0, IN_DRIVER);
    ExAcquireSpinLockShared(&Lock);
    return STATUS_SUCCESS;
}
