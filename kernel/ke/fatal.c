// SPDX-License-Identifier: MIT
// The traps that come at any instruction, whatever the IRQL: double fault, NMI, machine check.
//
// They run on stacks of their own (the architecture's processor.c) with interrupts off. A double
// fault is, in practice, a kernel stack that has run into its guard page: the page fault could not
// push its frame. An NMI or a machine check is the hardware's own report: a driver that knows
// the device may take the NMI (nmi.c), all else is passed on.
#include "ki.h"

#define NMI_REASON_UNKNOWN 0x4F4454  // what NT reports when no platform driver knows better

#define MSR_MCG_CAP    0x179
#define MSR_MCG_CTL    0x17B
#define MSR_MC_CTL(n)    (0x400 + 4 * (n))
#define MSR_MC_STATUS(n) (0x401 + 4 * (n))
#define MSR_MC_ADDR(n)   (0x402 + 4 * (n))
#define MSR_MC_MISC(n)   (0x403 + 4 * (n))

#define MC_VALID        (1ull << 63)
#define MC_MISC_VALID   (1ull << 59)
#define MC_ADDR_VALID   (1ull << 58)

#define CPUID_MCE (1u << 7)
#define CPUID_MCA (1u << 14)
#define CR4_MCE   0x40u

// What the bugcheck's second parameter points at.
typedef struct _KI_MACHINE_CHECK {
    ULONG Bank;
    ULONG64 Status, Address, Misc;
} KI_MACHINE_CHECK;

static KI_MACHINE_CHECK KiMachineCheck;
static ULONG KiMachineCheckBanks;

VOID KiInitializeMachineCheck(VOID)
{
    ULONG Leaf[4];

    KiCpuid(1, 0, Leaf);
    if (!(Leaf[3] & CPUID_MCE))
        return;
    if (Leaf[3] & CPUID_MCA) {
        ULONG64 Capabilities = KiReadMsr(MSR_MCG_CAP);
        KiMachineCheckBanks = (ULONG)Capabilities & 0xFF;
        if (Capabilities & 0x100)
            KiWriteMsr(MSR_MCG_CTL, ~0ull);
        for (ULONG i = 0; i < KiMachineCheckBanks; i++)
            KiWriteMsr(MSR_MC_CTL(i), ~0ull);
    }
    KiWriteCr4(KiReadCr4() | CR4_MCE);
}

static BOOLEAN KiReadMachineCheck(ULONG Bank)
{
    ULONG64 Status = KiReadMsr(MSR_MC_STATUS(Bank));

    if (!(Status & MC_VALID))
        return FALSE;
    KiMachineCheck.Bank = Bank;
    KiMachineCheck.Status = Status;
    KiMachineCheck.Address = Status & MC_ADDR_VALID ? KiReadMsr(MSR_MC_ADDR(Bank)) : 0;
    KiMachineCheck.Misc = Status & MC_MISC_VALID ? KiReadMsr(MSR_MC_MISC(Bank)) : 0;
    return TRUE;
}

static DECLSPEC_NORETURN VOID KiMachineCheckFault(PKTRAP_FRAME Frame)
{
    ULONG Bank = 0;

    while (Bank < KiMachineCheckBanks && !KiReadMachineCheck(Bank))
        Bank++;
    KiBugCheck(MACHINE_CHECK_EXCEPTION, KiMachineCheck.Bank, (ULONG_PTR)&KiMachineCheck,
               (ULONG)(KiMachineCheck.Status >> 32), (ULONG)KiMachineCheck.Status, Frame, NULL);
}

static const char *KiDoubleFaultSentence(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    PKTHREAD Thread = Prcb->CurrentThread;
    ULONG_PTR Sp = TRAP_SP(Frame), DpcLimit = (ULONG_PTR)Prcb->DpcStackLimit;

    if (Prcb->DpcActive && Sp <= DpcLimit && Sp > DpcLimit - PAGE_SIZE)
        return "The DPC stack overflowed.";
    if (Sp <= (ULONG_PTR)Thread->StackLimit + PAGE_SIZE / 4 &&
        Sp > (ULONG_PTR)Thread->StackLimit - PAGE_SIZE)
        return "The kernel stack overflowed: too deep a recursion, or too large local variables.";
    return "A trap came while the processor was entering another one.";
}

// Most NMIs are another processor's wish that this one stop.
static BOOLEAN KiHandleNmi(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    BOOLEAN Handled;

    Prcb->NmiFrame = Frame;
    Handled = KiAnswerFreeze(Prcb, Frame) || KiCallNmiCallbacks() ||
              KiDebugEvent(KeDebugNmi, Frame, NULL);
    if (Handled)
        Prcb->NmiFrame = NULL;
    return Handled;
}

VOID FASTCALL KiDispatchFatal(PKTRAP_FRAME Frame)
{
    switch (Frame->Vector) {
    case TRAP_NMI:
        if (KiHandleNmi(Frame))
            return;
        KiBugCheck(NMI_HARDWARE_FAILURE, NMI_REASON_UNKNOWN, 0, 0, 0, Frame, NULL);
    case TRAP_MACHINE_CHECK:
        KiMachineCheckFault(Frame);
    default:
        KiBugCheck(UNEXPECTED_KERNEL_MODE_TRAP, (ULONG_PTR)Frame->Vector, TRAP_SP(Frame), 0,
                   TRAP_PC(Frame), Frame, KiDoubleFaultSentence(Frame));
    }
}
