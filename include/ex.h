// SPDX-License-Identifier: MIT
// ex: what drivers allocate from and queue with. The pool lives in mm/pool*.c, lookaside lists, SLISTs and
// the interlocked lists in kernel/ex.
#pragma once

#include "ke.h"
#include "nt/nt.h"

VOID ExInitializePool(VOID);                    // needs MmInitialize
VOID ExInitializePoolProcessor(PKPRCB Prcb);
VOID ExInitializeLookaside(VOID);
VOID ExAdjustLookasideDepth(VOID);              // once a second, from the clock's DPC

PVOID NTAPI ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes);
PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
VOID NTAPI ExFreePool(PVOID P);
VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag);

// What is known of a pool block, for the monitor, whatis and reports. IRQL: any; takes no lock.
typedef struct _EX_POOL_BLOCK {
    ULONG_PTR Address;     // first byte of the block
    SIZE_T Size;           // bytes asked for (or reserved, when Exact is FALSE)
    ULONG Tag;
    POOL_TYPE PoolType;
    BOOLEAN Allocated;     // FALSE: free
    ULONG_PTR Caller;      // call site of the allocation, or of the free; 0 unknown
} EX_POOL_BLOCK;
BOOLEAN ExQueryPoolBlock(const VOID *Address, EX_POOL_BLOCK *Block);
