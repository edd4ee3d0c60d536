// SPDX-License-Identifier: MIT
// IR-22: waiting at DISPATCH_LEVEL, with a spin lock held
#include "broken.h"

BREAK
{
    static KSPIN_LOCK Lock;
    static KEVENT Event;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    KeAcquireSpinLock(&Lock, &OldIrql);
    Expect(0x0A, (ULONG_PTR)&Event, DISPATCH_LEVEL, 0, IN_DRIVER);
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
    return STATUS_SUCCESS;
}
