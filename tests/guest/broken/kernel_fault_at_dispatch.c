// SPDX-License-Identifier: MIT
// BC-01: handing the kernel an invalid address at DISPATCH_LEVEL: the fault is in kernel code.
#include "broken.h"

BREAK
{
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Expect(0x0A, ANYTHING, DISPATCH_LEVEL, 1, ANYTHING);
    RtlInitUnicodeString((PUNICODE_STRING)0x18, L"text");
    return STATUS_SUCCESS;
}
