// SPDX-License-Identifier: MIT
// fake_mm.c: what the pool expects of mm, for host tests.
#pragma once

#include "mm.h"

// Maps the regions; to be called once before ExInitializePool.
void fake_mm_start(void);

// Pages that may be in use at a time; what goes beyond fails, as on a machine whose RAM is used up.
extern SIZE_T fake_mm_page_limit;
extern SIZE_T fake_mm_pages_in_use;

// The n-th commitment from now fails (1: the next), once. 0: none.
extern SIZE_T fake_mm_fail_at;

// What MmIsDriverAddress answers.
extern BOOLEAN fake_mm_all_code_is_a_driver;
