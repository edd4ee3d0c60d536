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
