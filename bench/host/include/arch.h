// SPDX-License-Identifier: MIT
// The processor, for libpoolmalloc.so: a thread is a processor on which nothing ever interrupts, so
// IRQLs cost nothing. Found before include/amd64/arch.h.
#pragma once

#include "../../../tests/host/include/arch.h"

#define KiGetIrql()           PmGetIrql()
#define KiSetIrql(Irql)       ((void)(Irql))
#define KiRaiseIrql(Irql)     ((void)(Irql), (KIRQL)PASSIVE_LEVEL)
#define KiLowerIrql(Irql)     ((void)(Irql))
#define KiReadPoolProcessor() ((PVOID)PmCells)
#undef KiReturnAddress
#define KiReturnAddress() ((ULONG_PTR)0)

FORCEINLINE KIRQL PmGetIrql(VOID)
{
    return PASSIVE_LEVEL;
}

// A guard is made from its block's address, without a load. Its first byte is neither 0 nor 0xFF.
#define ExpGuardFor(Block) ((ULONG64)(ULONG_PTR)(Block) + 0x5D6B7C8Du)

#define ExpNotePage(Pool, Page)                                                                    \
    PmNotePage(ExpPageAddress(Pool, Page), (Page)->Reciprocal, (Page)->Records)

VOID PmNotePage(ULONG_PTR Address, ULONG Reciprocal, PVOID Records);

extern __thread PVOID PmCells;  // this thread's
