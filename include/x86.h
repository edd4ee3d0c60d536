// SPDX-License-Identifier: MIT
// Instructions that are spelled alike on amd64 and i386. Included by arch.h alone.
#pragma once

// KiReadCr0 ... KiWriteCr4: the control registers.
#define KI_READ_CONTROL_REGISTER(N)                                                                \
    FORCEINLINE ULONG_PTR KiReadCr##N(VOID)                                                        \
    {                                                                                              \
        ULONG_PTR v;                                                                               \
        __asm__ volatile("mov %%cr" #N ", %0" : "=r"(v));                                          \
        return v;                                                                                  \
    }
#define KI_WRITE_CONTROL_REGISTER(N)                                                               \
    FORCEINLINE VOID KiWriteCr##N(ULONG_PTR v)                                                     \
    {                                                                                              \
        __asm__ volatile("mov %0, %%cr" #N ::"r"(v) : "memory");                                   \
    }
KI_READ_CONTROL_REGISTER(0)
KI_READ_CONTROL_REGISTER(2)
KI_READ_CONTROL_REGISTER(3)
KI_READ_CONTROL_REGISTER(4)
KI_WRITE_CONTROL_REGISTER(0)
KI_WRITE_CONTROL_REGISTER(3)
KI_WRITE_CONTROL_REGISTER(4)

// The same for values that the processor may not take: FALSE, and nothing has changed.
#define KI_TRY_CONTROL_REGISTER(N)                                                                 \
    FORCEINLINE BOOLEAN KiTryWriteCr##N(ULONG_PTR v)                                               \
    {                                                                                              \
        __asm__ goto("1:\tmov %0, %%cr" #N "\n\t" KI_FIXUP("1b", "%l[Refused]")::"r"(v)            \
                     : "memory"                                                                    \
                     : Refused);                                                                   \
        return TRUE;                                                                               \
    Refused:                                                                                       \
        return FALSE;                                                                              \
    }
KI_TRY_CONTROL_REGISTER(0)
KI_TRY_CONTROL_REGISTER(3)
KI_TRY_CONTROL_REGISTER(4)

FORCEINLINE ULONG_PTR KiReadFlags(VOID)
{
    ULONG_PTR Flags;
    __asm__ volatile("pushf; pop %0" : "=r"(Flags)::"memory");
    return Flags;
}

FORCEINLINE UCHAR KiInByte(USHORT Port)
{
    UCHAR v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(Port));
    return v;
}
FORCEINLINE USHORT KiInWord(USHORT Port)
{
    USHORT v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(Port));
    return v;
}
FORCEINLINE ULONG KiInLong(USHORT Port)
{
    ULONG v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(Port));
    return v;
}
FORCEINLINE VOID KiOutByte(USHORT Port, UCHAR v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(Port) : "memory");
}
FORCEINLINE VOID KiOutWord(USHORT Port, USHORT v)
{
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(Port) : "memory");
}
FORCEINLINE VOID KiOutLong(USHORT Port, ULONG v)
{
    __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(Port) : "memory");
}

FORCEINLINE ULONG64 KiReadTsc(VOID)
{
    ULONG Low, High;
    __asm__ volatile("rdtsc" : "=a"(Low), "=d"(High)::"memory");
    return ((ULONG64)High << 32) | Low;
}

FORCEINLINE ULONG64 KiReadMsr(ULONG Msr)
{
    ULONG Low, High;
    __asm__ volatile("rdmsr" : "=a"(Low), "=d"(High) : "c"(Msr));
    return ((ULONG64)High << 32) | Low;
}

FORCEINLINE VOID KiWriteMsr(ULONG Msr, ULONG64 Value)
{
    __asm__ volatile("wrmsr" ::"c"(Msr), "a"((ULONG)Value), "d"((ULONG)(Value >> 32)) : "memory");
}

FORCEINLINE BOOLEAN KiTryWriteMsr(ULONG Msr, ULONG64 Value)
{
    __asm__ goto("1:\twrmsr\n\t" KI_FIXUP("1b", "%l[Refused]")::"c"(Msr), "a"((ULONG)Value),
                 "d"((ULONG)(Value >> 32))
                 : "memory"
                 : Refused);
    return TRUE;
Refused:
    return FALSE;
}

FORCEINLINE VOID KiCpuid(ULONG Leaf, ULONG SubLeaf, ULONG Registers[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(Registers[0]), "=b"(Registers[1]), "=c"(Registers[2]),
                       "=d"(Registers[3])
                     : "a"(Leaf), "c"(SubLeaf));
}

FORCEINLINE VOID KiInvalidatePage(const VOID *Address)
{
    __asm__ volatile("invlpg (%0)" ::"r"(Address) : "memory");
}

// An exception without an IDT shuts the processor down, which resets a PC.
FORCEINLINE VOID KiTripleFault(VOID)
{
    static const struct {
        USHORT Limit;
        ULONG_PTR Base;
    } __attribute__((packed)) Empty = {0, 0};
    __asm__ volatile("lidt %0; ud2" ::"m"(Empty));
}

FORCEINLINE VOID KiWriteBackCaches(VOID) { __asm__ volatile("wbinvd" ::: "memory"); }
FORCEINLINE VOID KiHalt(VOID) { __asm__ volatile("hlt"); }
FORCEINLINE VOID KiPause(VOID) { __asm__ volatile("pause" ::: "memory"); }

// A microsecond or a few in which the processor touches nothing that others share. A pause makes an
// emulator leave the code it runs, and take a lock that the others need to get on.
FORCEINLINE VOID KiKeepAway(VOID)
{
    for (ULONG i = 0; i < 2000; i++)
        __asm__ volatile("" ::: "memory");
}
FORCEINLINE VOID KiCli(VOID) { __asm__ volatile("cli" ::: "memory"); }
FORCEINLINE VOID KiSti(VOID) { __asm__ volatile("sti" ::: "memory"); }
// Interrupts on and sleep until one comes: sti takes effect after hlt has begun, so none is missed.
FORCEINLINE VOID KiEnableAndHalt(VOID) { __asm__ volatile("sti; hlt" ::: "memory"); }

// Returns whether interrupts were enabled, for KiRestoreInterrupts.
FORCEINLINE BOOLEAN KiDisableInterrupts(VOID)
{
    BOOLEAN Enabled = (KiReadFlags() & EFLAGS_IF) != 0;
    KiCli();
    return Enabled;
}

FORCEINLINE VOID KiRestoreInterrupts(BOOLEAN Enabled)
{
    if (Enabled)
        KiSti();
}

#define KiReturnAddress() ((ULONG_PTR)__builtin_return_address(0))
