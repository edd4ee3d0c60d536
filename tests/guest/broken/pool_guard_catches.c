// SPDX-License-Identifier: MIT
// The pool guard catches a touch of freed memory sooner or later
// Options: --pool-guard 20
#include "broken.h"

BREAK
{
    Expect(0xD5, ANYTHING, 0, IN_DRIVER, 0);
    for (int i = 0; i < 21; i++) {
        volatile UCHAR *Block = ExAllocatePoolWithTag(PagedPool, 64, 'korB');
        UCHAR Seen;

        ExFreePoolWithTag((PVOID)Block, 'korB');
        Seen = Block[0];
        (VOID)Seen;
    }
    return STATUS_SUCCESS;
}
