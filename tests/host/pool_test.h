// SPDX-License-Identifier: MIT
// What the pool's host tests share: a pool that starts, tags in letters, what a tag uses, and
// whether the books are in order.
#pragma once

#include "fake_ke.h"
#include "fake_mm.h"
#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TAG(a, b, c, d) ((ULONG)(a) | (ULONG)(b) << 8 | (ULONG)(c) << 16 | (ULONG)(d) << 24)

// The setup of a group of tests. The pool starts once in a process, with the options it finds.
static inline int start_pool(void **state)
{
    (void)state;
    fake_mm_start();
    ExInitializePool();
    return 0;
}

static inline void pool_is_sound(void)
{
    const char *wrong = ExValidatePool();
    if (wrong != NULL)
        fail_msg("%s", wrong);
}

// Zeroes for a tag that was never used.
static inline EX_POOL_TAG use_of(ULONG tag)
{
    EX_POOL_TAG use;
    for (ULONG i = 0; ExQueryPoolTag(i, &use); i++)
        if (use.Tag == tag)
            return use;
    return (EX_POOL_TAG){.Tag = tag};
}
