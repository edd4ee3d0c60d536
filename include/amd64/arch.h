// SPDX-License-Identifier: MIT
// amd64: the processor's instructions as inline functions, and what a trap leaves on the stack.
#pragma once

#include "nt/nt.h"
#include "amd64/pcr.h"

#define KERNEL_BASE      0xFFFFFFFF80000000ull
#define HAL_REGION_BASE  0xFFFFFFFFFFC00000ull
#define HAL_REGION_SIZE  0x400000u
#define MM_TRANSIENT_ADDRESS 0xFFFFFFFFFFFFE000ull  // one page of the HAL region that is mm's own
#define SHARED_USER_DATA_ADDRESS 0xFFFFF78000000000ull
#define PTE_BASE         0xFFFFF68000000000ull
#define PAGING_LEVELS    4u
#define SYSTEM_RANGE_START 0xFFFF080000000000ull

// Vectors; the upper nibble is the IRQL.
#define APC_VECTOR       0x1Fu
#define DPC_VECTOR       0x2Fu
// Where the 8259s deliver: no device has IRQL 12, and what the 8259s send heeds no CR8 anyway.
#define LEGACY_VECTOR_BASE 0xC0u
#define CLOCK_VECTOR     0xD1u
#define IPI_VECTOR       0xE1u
#define APIC_ERROR_VECTOR 0xE3u
#define SPURIOUS_VECTOR  0xFFu
#define DIRQL_FIRST      3u
#define DIRQL_LAST       11u

// What every trap and interrupt entry leaves on the stack, from low to high addresses. The volatile
// XMM registers are kept because drivers may use them; the kernel itself never does. Rbp and
// ReturnAddress look like a function's frame, so that a walk along the frame pointers passes
// through the trap. ke/amd64/trap.S builds it; its offsets are asserted there.
typedef struct DECLSPEC_ALIGN(16) _KTRAP_FRAME {
    ULONG64 HomeSpace[4];       // shadow space for the C handler
    M128A Xmm[6];               // xmm0 to xmm5
    ULONG MxCsr;
    ULONG PreviousIrql;         // CR8 on entry
    ULONG64 Cr2;                // fault address (page faults)
    ULONG64 R15, R14, R13, R12, R11, R10, R9, R8;
    ULONG64 Rdi, Rsi, Rbx, Rdx, Rcx, Rax;
    ULONG64 Fill;
    ULONG64 Rbp;
    ULONG64 ReturnAddress;      // a copy of Rip
    ULONG64 Vector;
    ULONG64 ErrorCode;
    ULONG64 Rip, SegCs, EFlags, Rsp, SegSs;  // pushed by the processor
} KTRAP_FRAME, *PKTRAP_FRAME;

#define TRAP_PC(Frame)    ((Frame)->Rip)
#define TRAP_SP(Frame)    ((Frame)->Rsp)
#define TRAP_FP(Frame)    ((Frame)->Rbp)
#define TRAP_FLAGS(Frame) ((Frame)->EFlags)

#define EFLAGS_IF 0x200u

FORCEINLINE PKPCR KeGetPcr(VOID)
{
    PKPCR Pcr;
    __asm__ volatile("movq %%gs:0x18, %0" : "=r"(Pcr));
    return Pcr;
}

FORCEINLINE PKPRCB KeGetCurrentPrcb(VOID)
{
    PKPRCB Prcb;
    __asm__ volatile("movq %%gs:0x20, %0" : "=r"(Prcb));
    return Prcb;
}

// The thread that runs this. One instruction: between two, the thread could be moved to another
// processor, and would then read who runs on the one that it left.
FORCEINLINE struct _KTHREAD *KiCurrentThread(VOID)
{
    struct _KTHREAD *Thread;
    __asm__ volatile("movq %%gs:%c1, %0"
                     : "=r"(Thread)
                     : "i"(FIELD_OFFSET(KPCR, Prcb.CurrentThread)));
    return Thread;
}

// The running processor's PoolProcessor; volatile because only a raised IRQL keeps the processor.
FORCEINLINE PVOID KiReadPoolProcessor(VOID)
{
    PVOID Value;
    __asm__ volatile("movq %%gs:%c1, %0"
                     : "=r"(Value)
                     : "i"(FIELD_OFFSET(KPCR, Prcb.PoolProcessor))
                     : "memory");
    return Value;
}

FORCEINLINE KIRQL KiGetIrql(VOID)
{
    ULONG64 Cr8;
    __asm__ volatile("movq %%cr8, %0" : "=r"(Cr8)::"memory");
    return (KIRQL)Cr8;
}

FORCEINLINE VOID KiSetIrql(KIRQL Irql)
{
    __asm__ volatile("movq %0, %%cr8" ::"r"((ULONG64)Irql) : "memory");
}

// Raise without the rule check; the exported routines check. Lowering delivers what became due: the
// local APIC raises the DPC and APC self-interrupts as soon as CR8 falls.
FORCEINLINE KIRQL KiRaiseIrql(KIRQL NewIrql)
{
    KIRQL OldIrql = KiGetIrql();
    KiSetIrql(NewIrql);
    return OldIrql;
}

FORCEINLINE VOID KiLowerIrql(KIRQL NewIrql)
{
    KiSetIrql(NewIrql);
}

// In an asm statement, behind an instruction that may fault: then it goes on at Fixup (ke.h).
#define KI_FIXUP(Fault, Fixup)                                                                     \
    ".pushsection .fixup.table, \"a\"\n\t.quad " Fault ", " Fixup "\n\t.popsection"

#include "x86.h"
