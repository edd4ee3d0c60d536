// SPDX-License-Identifier: MIT
// BC-09: calling a block of NonPagedPoolNx.
#include "execute.h"

#ifndef NonPagedPoolNx
#define NonPagedPoolNx ((POOL_TYPE)512)
#endif

BREAK
{
    return CallBlockOf(NonPagedPoolNx);
}
