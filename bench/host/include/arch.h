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
#define ExpNoteCaller(Record, From) ((void)0)  // nobody's, as it is from the start

FORCEINLINE KIRQL PmGetIrql(VOID)
{
    return PASSIVE_LEVEL;
}

extern __thread PVOID PmCells;  // this thread's
