// SPDX-License-Identifier: MIT
// BC-10: a null pointer at PASSIVE_LEVEL, with nobody to handle the exception.
// Says: wrote to 0x0 at PASSIVE_LEVEL. The address is that of a field in a structure at NULL
#include "broken.h"

BREAK
{
    volatile ULONG *volatile Null = NULL;

    Expect(0x1E, (ULONG_PTR)(LONG)STATUS_ACCESS_VIOLATION, IN_DRIVER, 1, 0);
    *Null = 1;
    return STATUS_SUCCESS;
}
