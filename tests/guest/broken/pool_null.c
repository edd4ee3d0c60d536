// SPDX-License-Identifier: MIT
// BC-44: freeing a null pointer.
#include "broken.h"

BREAK
{
    Expect(0xC2, 0x46, 0, 0, 0);
    ExFreePool(NULL);
    return STATUS_SUCCESS;
}
