// SPDX-License-Identifier: MIT
// ex: what drivers allocate from and queue with. The pool is in pool.h; lookaside lists, SLISTs and
// the interlocked lists in kernel/ex.
#pragma once

#include "ke.h"
#include "nt/nt.h"
#include "pool.h"

VOID ExInitializeLookaside(VOID);
VOID ExAdjustLookasideDepth(VOID);              // once a second, from the clock's DPC
