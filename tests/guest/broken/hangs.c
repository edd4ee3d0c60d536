// SPDX-License-Identifier: MIT
// Never returns: time runs out, and every processor's backtrace shows where.
// Options: --timeout 10
// Status: 124
// Says: CPU 0:
// Says: #0 hangs.sys+
#include "broken.h"

BREAK
{
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    while (OldIrql != HIGH_LEVEL)
        YieldProcessor();
    return STATUS_SUCCESS;
}
