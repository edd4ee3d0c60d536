// SPDX-License-Identifier: MIT
// IR-71: acquiring a reader-writer spin lock that this processor holds
// Options: --smp 2
// Says: which its own processor holds exclusively: it waits for itself.
#include "rw_lock.h"

BREAK
{
    ExAcquireSpinLockExclusive(&Lock);
    Expect(0x0F, (ULONG_PTR)&Lock, WANTED_HERE, 0, IN_DRIVER);
    ExAcquireSpinLockExclusive(&Lock);
    return STATUS_SUCCESS;
}
