// SPDX-License-Identifier: MIT
// Is the processor good enough?
//
// Everything is asked before it is used: a 386 has no CPUID, a 486 no time stamp counter. What an
// architecture needs is a table in its folder; what it can do without is left to the kernel.

#include "boot.h"

#define EFLAGS_ID              0x200000u
#define CPUID_EXTENDED         0x80000000u
#define MSR_IA32_MISC_ENABLE   0x1A0u
#define MISC_ENABLE_NO_XD_HIGH (1u << 2)   // bit 34: the firmware hides NX

ULONG BootNoExecute;

static ULONG ReadFlags(void)
{
    ULONG Flags;

    __asm__ volatile("pushfl; popl %0" : "=r"(Flags));
    return Flags;
}

// The ID flag can be changed exactly where there is CPUID.
static BOOLEAN HasCpuid(void)
{
    ULONG Before = ReadFlags(), After;

    __asm__ volatile("pushl %0; popfl" : : "r"(Before ^ EFLAGS_ID) : "cc");
    After = ReadFlags();
    __asm__ volatile("pushl %0; popfl" : : "r"(Before) : "cc");
    return ((Before ^ After) & EFLAGS_ID) != 0;
}

static void Cpuid(ULONG Leaf, ULONG Result[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(Result[0]), "=b"(Result[1]), "=c"(Result[2]), "=d"(Result[3])
                     : "a"(Leaf), "c"(0));
}

// One bit of CPUID; FALSE where the leaf does not exist.
static BOOLEAN HasFeature(ULONG Leaf, ULONG Register, ULONG Bit)
{
    ULONG Result[4];

    Cpuid(Leaf & CPUID_EXTENDED, Result);
    if (Result[0] < Leaf)
        return FALSE;
    Cpuid(Leaf, Result);
    return (Result[Register] >> Bit) & 1;
}

// Firmware of Intel machines may switch NX off; then CPUID lacks it. The kernel wants it back. The
// register exists from family 6, model 13 on.
static void UnhideNoExecute(void)
{
    ULONG Result[4], Family, Model, Low, High;

    Cpuid(0, Result);
    if (Result[1] != 0x756E6547)  // "Genu"
        return;
    Cpuid(1, Result);
    Family = (Result[0] >> 8) & 15;
    Model = ((Result[0] >> 4) & 15) | ((Result[0] >> 12) & 0xF0);
    if (Family < 6 || (Family == 6 && Model < 13))
        return;
    __asm__ volatile("rdmsr" : "=a"(Low), "=d"(High) : "c"(MSR_IA32_MISC_ENABLE));
    if (High & MISC_ENABLE_NO_XD_HIGH)
        __asm__ volatile("wrmsr" : : "a"(Low), "d"(High & ~MISC_ENABLE_NO_XD_HIGH),
                         "c"(MSR_IA32_MISC_ENABLE));
}

// Fails where the kernel cannot run; sets BootNoExecute.
const CHAR *BootCheckProcessor(void)
{
    const BOOT_FEATURE *Feature;

    if (!HasCpuid())
        return BootFailure("This processor is too old: it has no CPUID instruction.");
    UnhideNoExecute();
    BootNoExecute = HasFeature(0x80000001, 3, 20);
    for (Feature = BootRequiredFeatures; Feature->Name; Feature++)
        if (!HasFeature(Feature->Leaf, Feature->Register, Feature->Bit))
            return BootFailure("This processor lacks %s.", Feature->Name);
    return NULL;
}

// The time stamp counter, 0 on a processor without one.
ULONG64 BootReadTimeStamp(void)
{
    ULONG64 Time;

    if (!HasCpuid() || !HasFeature(1, 3, 4))
        return 0;
    __asm__ volatile("rdtsc" : "=A"(Time));
    return Time;
}
