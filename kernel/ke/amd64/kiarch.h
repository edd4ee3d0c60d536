// SPDX-License-Identifier: MIT
// amd64: descriptor selectors, and how a dispatch interrupt is asked for. Included by ki.h.
#pragma once

// NT's selectors.
#define KGDT_R0_CODE   0x10
#define KGDT_R0_DATA   0x18
#define KGDT_R3_CMCODE 0x20
#define KGDT_R3_DATA   0x28
#define KGDT_R3_CODE   0x30
#define KGDT_TSS       0x40
#define KGDT_R3_CMTEB  0x50
#define KGDT_ENTRIES   (0x60 / 8)

// Interrupt service finds DpcRequested set when it ends; everyone else needs the self-interrupt,
// which arrives when CR8 falls below DISPATCH_LEVEL.
FORCEINLINE VOID KiRequestDispatch(PKPRCB Prcb)
{
    if (Prcb->InterruptDepth == 0)
        HalRequestSoftwareInterrupt(DISPATCH_LEVEL);
}

// An APC may be delivered to the running thread: on its way as soon as CR8 is 0.
FORCEINLINE VOID KiRequestApc(VOID)
{
    HalRequestSoftwareInterrupt(APC_LEVEL);
}

// A switch keeps what drivers have in XMM (swap.S), and they have nothing else.
FORCEINLINE VOID KiSaveFloat(PKTHREAD Thread)
{
}

FORCEINLINE VOID KiRestoreFloat(PKTHREAD Thread)
{
}

// The running thread has another stack.
FORCEINLINE VOID KiStackChanged(PKTHREAD Thread)
{
}

FORCEINLINE ULONG KiTimerProcessor(const KTIMER *Timer)
{
    return Timer->Processor;
}

FORCEINLINE VOID KiSetTimerProcessor(PKTIMER Timer, ULONG Number)
{
    Timer->Processor = Number;
}

FORCEINLINE PKPCR KiPcrOfPrcb(PKPRCB Prcb)
{
    return CONTAINING_RECORD(Prcb, KPCR, Prcb);
}

// Handlers are found by tables; there is no chain to open.
FORCEINLINE VOID KiOpenExceptionChain(const KTRAP_FRAME *Frame) {}

FORCEINLINE ULONG KiFastFailCode(const KTRAP_FRAME *Frame)
{
    return (ULONG)Frame->Rcx;
}

// operand.c: whether the instruction at fault has a memory operand whose address is not canonical.
BOOLEAN KiNonCanonicalOperand(const KTRAP_FRAME *Frame, ULONG64 *Address, ULONG *Access);

// Drivers read LowPart and High1Time in one load.
FORCEINLINE VOID KiStoreTime(volatile KSYSTEM_TIME *Time, ULONG64 Value)
{
    Time->High2Time = (LONG)(Value >> 32);
    *(volatile ULONG64 *)&Time->LowPart = Value;
}
