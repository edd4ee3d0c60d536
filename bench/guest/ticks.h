// SPDX-License-Identifier: MIT
// The time stamp counter: under QEMU's -icount shift=0 a tick is an instruction.
#pragma once

#include <ntddk.h>

static inline ULONG64 Now(VOID)
{
    ULONG Low, High;
    __asm__ volatile("rdtsc" : "=a"(Low), "=d"(High)::"memory");
    return (ULONG64)High << 32 | Low;
}
