// SPDX-License-Identifier: MIT
// Private to libpoolmalloc.so.
#pragma once

#include "ke.h"
#include "rtl.h"

BOOLEAN PmStartMemory(void);  // maps the regions; once
void PmWatchForks(void);
