// SPDX-License-Identifier: MIT
// i386: the processor's instructions as inline functions, and what a trap leaves on the stack.
#pragma once

#include "nt/nt.h"
#include "i386/pcr.h"

#define KERNEL_BASE      0xC0E00000u
#define HAL_REGION_BASE  0xFFC00000u
#define HAL_REGION_SIZE  0x400000u
#define MM_TRANSIENT_ADDRESS 0xFFFFE000u  // one page of the HAL region that is mm's own
#define SHARED_USER_DATA_ADDRESS 0xFFDF0000u
#define PTE_BASE         0xC0000000u
#define PAGING_LEVELS    3u
#define SYSTEM_RANGE_START 0x80000000u

// Vectors. Device IRQLs 5 to 26 take eight vectors each, from 0x40; the IRQL is (vector - 0x18) /
// 8. What would be IRQL 3 and 4 belongs to the 8259s, because the 0x20s hold NT's software
// interrupts (int 29h, 2Ch, 2Dh, 2Eh).
#define LEGACY_VECTOR_BASE 0x30u  // where the 8259s deliver; forwarded to the line's own vector
#define DIRQL_VECTOR_BASE  0x40u
#define CLOCK_VECTOR     0xF0u
#define IPI_VECTOR       0xF8u
#define APIC_ERROR_VECTOR 0xFAu
#define APC_IPI_VECTOR   0xFBu  // from another processor: no service, a bit is set in KPCR.IRR
#define DISPATCH_IPI_VECTOR 0xFCu
#define SPURIOUS_VECTOR  0xFFu
#define DIRQL_FIRST      5u
#define DIRQL_LAST       26u

// What every trap and interrupt entry leaves on the stack, from low to high addresses. Esp and
// SegSs are pushed by the processor only when it came from user mode; HardwareEsp says where the
// stack was. Ebp and ReturnAddress look like a function's frame, so that a walk along the frame
// pointers passes through the trap. ke/i386/trap.S builds it; its offsets are asserted there.
typedef struct _KTRAP_FRAME {
    ULONG PreviousIrql;         // KPCR.Irql on entry
    ULONG Cr2;                  // fault address (page faults)
    PVOID ExceptionList;        // fs:[0] on entry
    ULONG HardwareEsp;          // the interrupted stack pointer, whatever the mode
    ULONG SegGs, SegFs, SegEs, SegDs;
    ULONG Edi, Esi, Ebx, Edx, Ecx, Eax;
    ULONG Ebp;
    ULONG ReturnAddress;        // a copy of Eip
    ULONG Vector;
    ULONG ErrorCode;
    ULONG Eip, SegCs, EFlags;   // pushed by the processor
    ULONG Esp, SegSs;           // only from user mode
} KTRAP_FRAME, *PKTRAP_FRAME;

#define TRAP_PC(Frame)    ((Frame)->Eip)
#define TRAP_SP(Frame)    ((Frame)->HardwareEsp)
#define TRAP_FP(Frame)    ((Frame)->Ebp)
#define TRAP_FLAGS(Frame) ((Frame)->EFlags)

#define EFLAGS_IF 0x200u

FORCEINLINE PKPCR KeGetPcr(VOID)
{
    PKPCR Pcr;
    __asm__ volatile("movl %%fs:0x1c, %0" : "=r"(Pcr));
    return Pcr;
}

FORCEINLINE PKPRCB KeGetCurrentPrcb(VOID)
{
    PKPRCB Prcb;
    __asm__ volatile("movl %%fs:0x20, %0" : "=r"(Prcb));
    return Prcb;
}

// The thread that runs this. One instruction: between two, the thread could be moved to another
// processor, and would then read who runs on the one that it left.
FORCEINLINE struct _KTHREAD *KiCurrentThread(VOID)
{
    struct _KTHREAD *Thread;
    __asm__ volatile("movl %%fs:%c1, %0"
                     : "=r"(Thread)
                     : "i"(FIELD_OFFSET(KPCR, PrcbData.CurrentThread)));
    return Thread;
}

// The running processor's PoolProcessor; volatile because only a raised IRQL keeps the processor.
FORCEINLINE PVOID KiReadPoolProcessor(VOID)
{
    PVOID Value;
    __asm__ volatile("movl %%fs:%c1, %0"
                     : "=r"(Value)
                     : "i"(FIELD_OFFSET(KPCR, PrcbData.PoolProcessor))
                     : "memory");
    return Value;
}

FORCEINLINE KIRQL KiGetIrql(VOID)
{
    UCHAR Irql;
    __asm__ volatile("movb %%fs:0x24, %0" : "=q"(Irql)::"memory");
    return Irql;
}

FORCEINLINE VOID KiSetIrql(KIRQL Irql)
{
    __asm__ volatile("movb %0, %%fs:0x24" ::"q"(Irql) : "memory");
}

// Raising is a store: nothing has to be told. Lowering is a store and a look at what was held back;
// the order matters, because an interrupt between the two is then simply taken.
FORCEINLINE KIRQL KiRaiseIrql(KIRQL NewIrql)
{
    KIRQL OldIrql = KiGetIrql();
    KiSetIrql(NewIrql);
    return OldIrql;
}

VOID FASTCALL KiReplayInterrupts(KIRQL NewIrql);  // ke: runs what is pending above NewIrql

FORCEINLINE VOID KiLowerIrql(KIRQL NewIrql)
{
    ULONG Irr;
    KiSetIrql(NewIrql);
    __asm__ volatile("movl %%fs:0x28, %0" : "=r"(Irr)::"memory");
    if (__builtin_expect(Irr != 0, 0))
        KiReplayInterrupts(NewIrql);
}

// In an asm statement, behind an instruction that may fault: then it goes on at Fixup (ke.h).
#define KI_FIXUP(Fault, Fixup)                                                                     \
    ".pushsection .fixup.table, \"a\"\n\t.long " Fault ", " Fixup "\n\t.popsection"

#include "x86.h"
