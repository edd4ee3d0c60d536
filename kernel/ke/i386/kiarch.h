// SPDX-License-Identifier: MIT
// i386: descriptor selectors, and how a dispatch interrupt is asked for. Included by ki.h.
#pragma once

// NT's selectors.
#define KGDT_R0_CODE 0x08
#define KGDT_R0_DATA 0x10
#define KGDT_R3_CODE 0x18
#define KGDT_R3_DATA 0x20
#define KGDT_TSS     0x28
#define KGDT_R0_PCR  0x30
#define KGDT_R3_TEB  0x38
#define KGDT_DF_TSS  0x50
#define KGDT_NMI_TSS 0x58
#define KGDT_ENTRIES (0x60 / 8)

// One instruction, so that no interrupt comes between. Lowering the IRQL and leaving an interrupt
// look at the word.
FORCEINLINE VOID KiRequestDispatch(PKPRCB Prcb)
{
    __asm__ volatile("orl %0, %%fs:0x28" ::"i"(1 << DISPATCH_LEVEL) : "memory");
}

// An APC may be delivered to the running thread.
FORCEINLINE VOID KiRequestApc(VOID)
{
    __asm__ volatile("orl %0, %%fs:0x28" ::"i"(1 << APC_LEVEL) : "memory");
}

// float.c: between KeSaveFloatingPointState and its end the state belongs to the thread.
VOID KiStoreFloatState(PVOID State);
VOID KiLoadFloatState(const VOID *State);

FORCEINLINE VOID KiSaveFloat(PKTHREAD Thread)
{
    if (__builtin_expect(Thread->FloatSaved, 0))
        KiStoreFloatState(Thread->FloatState);
}

FORCEINLINE VOID KiRestoreFloat(PKTHREAD Thread)
{
    if (__builtin_expect(Thread->FloatSaved, 0))
        KiLoadFloatState(Thread->FloatState);
}

// The running thread has another stack: fs:[4] and fs:[8] tell drivers.
FORCEINLINE VOID KiStackChanged(PKTHREAD Thread)
{
    KeGetPcr()->NtTib.StackBase = Thread->StackBase;
    KeGetPcr()->NtTib.StackLimit = Thread->StackLimit;
}

FORCEINLINE ULONG KiTimerProcessor(const KTIMER *Timer)
{
    return Timer->Header.Processor;
}

FORCEINLINE VOID KiSetTimerProcessor(PKTIMER Timer, ULONG Number)
{
    Timer->Header.Processor = (UCHAR)Number;
}

FORCEINLINE PKPCR KiPcrOfPrcb(PKPRCB Prcb)
{
    return CONTAINING_RECORD(Prcb, KPCR, PrcbData);
}

// The interrupted code's exception handlers, which the trap's entry put aside, are to be found
// again.
FORCEINLINE VOID KiOpenExceptionChain(const KTRAP_FRAME *Frame)
{
    KeGetPcr()->NtTib.ExceptionList = Frame->ExceptionList;
}

FORCEINLINE ULONG KiFastFailCode(const KTRAP_FRAME *Frame)
{
    return Frame->Ecx;
}

FORCEINLINE VOID KiStoreTime(volatile KSYSTEM_TIME *Time, ULONG64 Value)
{
    Time->High2Time = (LONG)(Value >> 32);
    Time->LowPart = (ULONG)Value;
    Time->High1Time = (LONG)(Value >> 32);
}
