// SPDX-License-Identifier: MIT
// IR: KeRaiseIrql to a level below the current one. On amd64 the headers write CR8 inline, and no
// kernel could see it.
// Arch: i386
#include "broken.h"

BREAK
{
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Expect(0x09, DISPATCH_LEVEL, PASSIVE_LEVEL, ANYTHING, ANYTHING);
    KeRaiseIrql(PASSIVE_LEVEL, &OldIrql);
    return STATUS_SUCCESS;
}
