// SPDX-License-Identifier: MIT
// Private to libpoolmalloc.so.
#pragma once

#include "ke.h"
#include "mm/poolp.h"
#include "rtl.h"

// What free has to know of a pool's page: four of them share a cache line.
typedef struct _PM_PAGE {
    ULONG Reciprocal;  // as in its POOL_PAGE
    POOL_RECORD *Records;
} PM_PAGE;

// The pool's region. Pages that are not the pool's read as zeroes.
typedef struct _PM_HEAP {
    ULONG_PTR Base;
    ULONG_PTR Size;  // bytes
    PM_PAGE *Pages;
} PM_HEAP;

extern PM_HEAP PmHeap;

FORCEINLINE PM_PAGE *PmPageOfOffset(ULONG_PTR Offset)
{
    return (PM_PAGE *)((ULONG_PTR)PmHeap.Pages +
                       (Offset >> (POOL_PAGE_SHIFT - 4) & ~(ULONG_PTR)(sizeof(PM_PAGE) - 1)));
}

BOOLEAN PmStartMemory(void);  // maps the regions; once
void PmWatchForks(void);
