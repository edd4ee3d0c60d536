// SPDX-License-Identifier: MIT
// IR-34: waiting with a spin lock held, the IRQL lowered by hand
// Options: --checked
// Says: holds spin lock
#include "broken.h"

BREAK
{
    static KSPIN_LOCK Lock;
    static KEVENT Event;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    KeAcquireSpinLock(&Lock, &OldIrql);
    KeLowerIrql(OldIrql);
    Expect(0xC4, 0x40009, ANYTHING, (ULONG_PTR)&Lock, 0);
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
    return STATUS_SUCCESS;
}
