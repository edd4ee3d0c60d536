// SPDX-License-Identifier: MIT
// IR-71: a processor that shares a reader-writer spin lock acquires all of it, and waits for itself
// Options: --smp 4
// Says: of which its own processor has a share: it waits for itself.
#include "rw_lock.h"

BREAK
{
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ExAcquireSpinLockSharedAtDpcLevel(&Lock);
    Expect(0x0F, (ULONG_PTR)&Lock, WANTED_HERE | 1, 0, IN_DRIVER);
    ExAcquireSpinLockExclusiveAtDpcLevel(&Lock);
    return STATUS_SUCCESS;
}
