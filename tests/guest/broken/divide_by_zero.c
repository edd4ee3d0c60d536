// SPDX-License-Identifier: MIT
// BC-10: a division by zero, with nobody to handle the exception.
#include "broken.h"

BREAK
{
    volatile int One = 1, Zero = 0;

    Expect(0x1E, (ULONG_PTR)(LONG)STATUS_INTEGER_DIVIDE_BY_ZERO, IN_DRIVER, 0, 0);
    return (NTSTATUS)(One / Zero);
}
