// SPDX-License-Identifier: MIT
// IR-28: Wait TRUE at DISPATCH_LEVEL: the wait that follows would begin there
#include "broken.h"

BREAK
{
    static KEVENT Event, Other;
    KIRQL OldIrql;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KeInitializeEvent(&Other, NotificationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeSetEvent(&Event, 0, TRUE);
    Expect(0x0A, (ULONG_PTR)&Other, DISPATCH_LEVEL, 0, IN_DRIVER);
    KeWaitForSingleObject(&Other, Executive, KernelMode, FALSE, NULL);
    return STATUS_SUCCESS;
}
