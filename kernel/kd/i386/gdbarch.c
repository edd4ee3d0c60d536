// SPDX-License-Identifier: MIT
// i386: the registers gdb sees, and going on at a frame.
#include "../gdbcpu.h"

#define TSS_CR3 7u  // of the words of a task state segment

enum {
    SpecialSs = SpecialArchitecture, SpecialFsBase, SpecialGsBase, SpecialIrql,
};

const char KdpArchitectureName[] = "i386";
const ULONG KdpWatchBytes = 4;

const GDB_FEATURE KdpFeatures[] = {
    [FeatureCore] = {"org.gnu.gdb.i386.core", EFLAGS_TYPE},
    [FeatureSse] = {"org.gnu.gdb.i386.sse", SSE_TYPES},
    [FeatureControl] = {"org.lookaside.control", CONTROL_TYPES("4")},
};

#define GENERAL(Name, Type, Field) FRAME_REGISTER(Name, Type, 4, Field)
#define WORD "int32"

const GDB_REGISTER KdpRegisters[] = {
    GENERAL("eax", "int32", Eax),
    GENERAL("ecx", "int32", Ecx),
    GENERAL("edx", "int32", Edx),
    GENERAL("ebx", "int32", Ebx),
    GENERAL("esp", "data_ptr", HardwareEsp),
    GENERAL("ebp", "data_ptr", Ebp),
    GENERAL("esi", "int32", Esi),
    GENERAL("edi", "int32", Edi),
    GENERAL("eip", "code_ptr", Eip),
    GENERAL("eflags", "i386_eflags", EFlags),
    GENERAL("cs", "int32", SegCs),
    SPECIAL_REGISTER("ss", "int32", 4, FeatureCore, SpecialSs),
    GENERAL("ds", "int32", SegDs),
    GENERAL("es", "int32", SegEs),
    GENERAL("fs", "int32", SegFs),
    GENERAL("gs", "int32", SegGs),
    X87_REGISTERS,
    XMM_REGISTER(0), XMM_REGISTER(1), XMM_REGISTER(2), XMM_REGISTER(3), XMM_REGISTER(4),
    XMM_REGISTER(5), XMM_REGISTER(6), XMM_REGISTER(7),
    EXTENDED_REGISTER("mxcsr", "i386_mxcsr", 4, FeatureSse, MXCSR_OFFSET),
    CONTROL_REGISTER("fs_base", "int32", SpecialFsBase),
    CONTROL_REGISTER("gs_base", "int32", SpecialGsBase),
    CONTROL_REGISTERS,
    SPECIAL_REGISTER("irql", "uint8", 1, FeatureControl, SpecialIrql),
    DEBUG_REGISTERS,
};
const ULONG KdpRegisterCount = RTL_NUMBER_OF(KdpRegisters);
const ULONG KdpBulkRegisters = 16;
const UCHAR KdpExpedited[3] = {5, 4, 8};

// The base that the descriptor of a selector holds.
static ULONG KdpSegmentBase(const KD_STOPPED *Stopped, ULONG Selector)
{
    PKPRCB Prcb = Stopped->Prcb != NULL ? Stopped->Prcb : KeGetCurrentPrcb();
    const ULONG *Gdt = CONTAINING_RECORD(Prcb, KPCR, PrcbData)->GDT;
    ULONG Low, High;
    if ((Selector & ~7u) == 0 || (Selector & 4) != 0 ||
        !KeSafeCopy(&Low, &Gdt[Selector / 8 * 2], sizeof(Low)) ||
        !KeSafeCopy(&High, &Gdt[Selector / 8 * 2 + 1], sizeof(High)))
        return 0;
    return Low >> 16 | (High & 0xFF) << 16 | (High & 0xFF000000);
}

static ULONG KdpStackSegment(const KTRAP_FRAME *Frame)
{
    ULONG Ss;
    __asm__ volatile("movl %%ss, %0" : "=r"(Ss));
    return TRAP_IS_USER(Frame) ? Frame->SegSs & 0xFFFF : Ss;
}

ULONG64 KdpReadSpecial(const KD_STOPPED *Stopped, ULONG Special)
{
    switch (Special) {
    case SpecialSs: return KdpStackSegment(Stopped->Frame);
    case SpecialFsBase: return KdpSegmentBase(Stopped, Stopped->Frame->SegFs & 0xFFFF);
    case SpecialGsBase: return KdpSegmentBase(Stopped, Stopped->Frame->SegGs & 0xFFFF);
    default: return Stopped->Frame->PreviousIrql;
    }
}

// The IRQL has two places: traps leave with the KPCR's, interrupts restore their frame's.
BOOLEAN KdpWriteSpecial(KD_STOPPED *Stopped, ULONG Special, ULONG64 Value)
{
    if (Special != SpecialIrql || Value > HIGH_LEVEL)
        return FALSE;
    Stopped->Frame->PreviousIrql = (ULONG)Value;
    KiSetIrql((KIRQL)Value);
    return TRUE;
}

// The return from a task, which NMIs and double faults are, loads what stands in the TSS.
BOOLEAN KdpSwitchPageTables(ULONG_PTR Cr3)
{
    if (!KiTryWriteCr3(Cr3))
        return FALSE;
    ((ULONG *)KeGetPcr()->TSS)[TSS_CR3] = Cr3;
    return TRUE;
}

// A return within the kernel does not load the stack pointer. A task does: its frame goes back into
// its TSS.
BOOLEAN KdpNeedsResume(const KD_STOPPED *Stopped)
{
    return !TRAP_IS_USER(Stopped->Frame) && Stopped->Frame->Vector != 2 &&
           TRAP_SP(Stopped->Frame) != Stopped->Sp;
}

DECLSPEC_NORETURN VOID KdpResumeFrame(const KTRAP_FRAME *Frame)
{
    CONTEXT Context;
    KeContextFromTrapFrame(Frame, &Context);
    KeGetPcr()->Used_ExceptionList = Frame->ExceptionList;
    KiSetIrql((KIRQL)Frame->PreviousIrql);
    KeContinue(&Context);
}
