// SPDX-License-Identifier: MIT
// PL-105: where no pool is executable, NonPagedPool by its old name is not either
// Options: --options /NOEXECUTE=ALWAYSON
#include "execute.h"

BREAK
{
    return CallBlockOf(NonPagedPool);
}
