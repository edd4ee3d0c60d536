// SPDX-License-Identifier: MIT
// IR-34: no exception may be raised at DISPATCH_LEVEL.
// Says: at DISPATCH_LEVEL or above, where no handler may run
#include "broken.h"

BREAK
{
    volatile int One = 1, Zero = 0;
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Expect(0x1E, (ULONG_PTR)(LONG)STATUS_INTEGER_DIVIDE_BY_ZERO, IN_DRIVER, 0, 0);
    return (NTSTATUS)(One / Zero);
}
