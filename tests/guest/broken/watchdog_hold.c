// SPDX-License-Identifier: MIT
// IR-30: DISPATCH_LEVEL held without end
// Options: --options /DPCWATCHDOG=100
// Says: has been at DISPATCH_LEVEL or above
#include "broken.h"

BREAK
{
    KIRQL OldIrql;

    Expect(0x133, 1, ANYTHING, ANYTHING, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (;;)
        YieldProcessor();
    return STATUS_SUCCESS;
}
