// SPDX-License-Identifier: MIT
// cpuid.h: what CPUID tells, leaf by leaf.
#pragma once

#include "arch.h"

enum { CpuidEax, CpuidEbx, CpuidEcx, CpuidEdx };

// One register of a leaf. 0: the processor does not have that leaf, and would answer for another.
FORCEINLINE ULONG KiCpuidRegister(ULONG Leaf, ULONG Register)
{
    ULONG Registers[4];
    KiCpuid(Leaf & 0x80000000u, 0, Registers);
    if (Registers[0] < Leaf)
        return 0;
    KiCpuid(Leaf, 0, Registers);
    return Registers[Register];
}

// ---- long mode and no-execute -------------------------------------------------------------------
#define MSR_EFER        0xC0000080u
#define EFER_NXE        0x800u
#define CPUID_NX        (1u << 20) // leaf 0x80000001, EDX
#define CPUID_LONG_MODE (1u << 29)

// EFER exists where one of them does.
FORCEINLINE BOOLEAN KiHasEfer(VOID)
{
    return (KiCpuidRegister(0x80000001u, CpuidEdx) & (CPUID_NX | CPUID_LONG_MODE)) != 0;
}

FORCEINLINE BOOLEAN KiNoExecuteIsOn(VOID)
{
    return (KiCpuidRegister(0x80000001u, CpuidEdx) & CPUID_NX) != 0 &&
           (KiReadMsr(MSR_EFER) & EFER_NXE) != 0;
}
