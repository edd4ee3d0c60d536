// SPDX-License-Identifier: MIT
// PL-02: calling a block of paged pool, which is executable on x86 only
// Arch: amd64
#include "execute.h"

BREAK
{
    return CallBlockOf(PagedPool);
}
