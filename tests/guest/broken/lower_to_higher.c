// SPDX-License-Identifier: MIT
// IR: KeLowerIrql to a level above the current one. On amd64 the headers write CR8 inline, and no
// kernel could see it.
// Arch: i386
#include "broken.h"

BREAK
{
    Expect(0x0A, PASSIVE_LEVEL, DISPATCH_LEVEL, ANYTHING, ANYTHING);
    KeLowerIrql(DISPATCH_LEVEL);
    return STATUS_SUCCESS;
}
