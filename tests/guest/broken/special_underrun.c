// SPDX-License-Identifier: MIT
// BC-05: writing before the start of a block on the underrun side
// Options: --special-pool all
#include "broken.h"

BREAK
{
    volatile UCHAR *Block = ExAllocatePoolWithTagPriority(NonPagedPool, 40, 'korB',
                                                          NormalPoolPrioritySpecialPoolUnderrun);

    Expect(0xD6, (ULONG_PTR)Block - 1, 1, IN_DRIVER, 0);
    Block[-1] = 1;
    return STATUS_SUCCESS;
}
