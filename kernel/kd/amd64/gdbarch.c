// SPDX-License-Identifier: MIT
// amd64: the registers gdb sees, and going on at a frame.
#include "../gdbcpu.h"

#define MSR_FS_BASE        0xC0000100u
#define MSR_GS_BASE        0xC0000101u
#define MSR_KERNEL_GS_BASE 0xC0000102u

enum {
    SpecialDs = SpecialArchitecture, SpecialEs, SpecialFs, SpecialGs, SpecialFsBase, SpecialGsBase,
    SpecialKernelGsBase, SpecialCr8,
};

const char KdpArchitectureName[] = "i386:x86-64";
const ULONG KdpWatchBytes = 8;

const GDB_FEATURE KdpFeatures[] = {
    [FeatureCore] = {"org.gnu.gdb.i386.core", EFLAGS_TYPE},
    [FeatureSse] = {"org.gnu.gdb.i386.sse", SSE_TYPES},
    [FeatureSegments] = {"org.gnu.gdb.i386.segments", ""},
    [FeatureControl] = {"org.lookaside.control", CONTROL_TYPES("8")},
};

#define GENERAL(Name, Type, Field) FRAME_REGISTER(Name, Type, 8, Field)
#define SEGMENT(Name, Special)     SPECIAL_REGISTER(Name, "int32", 4, FeatureCore, Special)
#define FRAME_XMM(Number)                                                                          \
    {"xmm" #Number, "vec128", 16, FeatureSse, PLACE_FRAME | FIELD_OFFSET(KTRAP_FRAME, Xmm[Number])}
#define WORD "int64"

const GDB_REGISTER KdpRegisters[] = {
    GENERAL("rax", "int64", Rax),
    GENERAL("rbx", "int64", Rbx),
    GENERAL("rcx", "int64", Rcx),
    GENERAL("rdx", "int64", Rdx),
    GENERAL("rsi", "int64", Rsi),
    GENERAL("rdi", "int64", Rdi),
    GENERAL("rbp", "data_ptr", Rbp),
    GENERAL("rsp", "data_ptr", Rsp),
    GENERAL("r8", "int64", R8),
    GENERAL("r9", "int64", R9),
    GENERAL("r10", "int64", R10),
    GENERAL("r11", "int64", R11),
    GENERAL("r12", "int64", R12),
    GENERAL("r13", "int64", R13),
    GENERAL("r14", "int64", R14),
    GENERAL("r15", "int64", R15),
    GENERAL("rip", "code_ptr", Rip),
    FRAME_REGISTER("eflags", "i386_eflags", 4, EFlags),
    FRAME_REGISTER("cs", "int32", 4, SegCs),
    FRAME_REGISTER("ss", "int32", 4, SegSs),
    SEGMENT("ds", SpecialDs),
    SEGMENT("es", SpecialEs),
    SEGMENT("fs", SpecialFs),
    SEGMENT("gs", SpecialGs),
    X87_REGISTERS,
    FRAME_XMM(0), FRAME_XMM(1), FRAME_XMM(2), FRAME_XMM(3), FRAME_XMM(4), FRAME_XMM(5),
    XMM_REGISTER(6), XMM_REGISTER(7), XMM_REGISTER(8), XMM_REGISTER(9), XMM_REGISTER(10),
    XMM_REGISTER(11), XMM_REGISTER(12), XMM_REGISTER(13), XMM_REGISTER(14), XMM_REGISTER(15),
    {"mxcsr", "i386_mxcsr", 4, FeatureSse, PLACE_FRAME | FIELD_OFFSET(KTRAP_FRAME, MxCsr)},
    SPECIAL_REGISTER("fs_base", "int", 8, FeatureSegments, SpecialFsBase),
    SPECIAL_REGISTER("gs_base", "int", 8, FeatureSegments, SpecialGsBase),
    SPECIAL_REGISTER("k_gs_base", "int", 8, FeatureControl, SpecialKernelGsBase),
    CONTROL_REGISTERS,
    CONTROL_REGISTER("cr8", "int64", SpecialCr8),
    DEBUG_REGISTERS,
};
const ULONG KdpRegisterCount = RTL_NUMBER_OF(KdpRegisters);
const ULONG KdpBulkRegisters = 24;
const UCHAR KdpExpedited[3] = {6, 7, 16};

#define READ_SEGMENT(Name)                                                                         \
    ({                                                                                             \
        ULONG Value;                                                                               \
        __asm__ volatile("movl %%" Name ", %0" : "=r"(Value));                                     \
        Value;                                                                                     \
    })

// Entering from user mode swaps the two GS bases.
static ULONG KdpGsBase(const KD_STOPPED *Stopped, BOOLEAN Other)
{
    return TRAP_IS_USER(Stopped->Frame) != Other ? MSR_KERNEL_GS_BASE : MSR_GS_BASE;
}

ULONG64 KdpReadSpecial(const KD_STOPPED *Stopped, ULONG Special)
{
    switch (Special) {
    case SpecialDs: return READ_SEGMENT("ds");
    case SpecialEs: return READ_SEGMENT("es");
    case SpecialFs: return READ_SEGMENT("fs");
    case SpecialGs: return READ_SEGMENT("gs");
    case SpecialFsBase: return KiReadMsr(MSR_FS_BASE);
    case SpecialGsBase: return KiReadMsr(KdpGsBase(Stopped, FALSE));
    case SpecialKernelGsBase: return KiReadMsr(KdpGsBase(Stopped, TRUE));
    default: return Stopped->Frame->PreviousIrql;
    }
}

// A selector that names nothing readable would fault. Loading FS and GS changes their bases too.
static BOOLEAN KdpWriteSegment(ULONG Special, USHORT Selector)
{
    ULONG64 FsBase = KiReadMsr(MSR_FS_BASE), GsBase = KiReadMsr(MSR_GS_BASE);
    BOOLEAN Readable;
    __asm__ volatile("verr %1\n\tsetz %0" : "=q"(Readable) : "r"(Selector) : "cc");
    if (!Readable && Selector > 3) // 0 to 3 are no segment, which is allowed
        return FALSE;
    switch (Special) {
    case SpecialDs: __asm__ volatile("mov %0, %%ds" ::"r"(Selector)); break;
    case SpecialEs: __asm__ volatile("mov %0, %%es" ::"r"(Selector)); break;
    case SpecialFs: __asm__ volatile("mov %0, %%fs" ::"r"(Selector)); break;
    default: __asm__ volatile("mov %0, %%gs" ::"r"(Selector)); break;
    }
    KiWriteMsr(MSR_FS_BASE, FsBase);
    KiWriteMsr(MSR_GS_BASE, GsBase);
    return TRUE;
}

// An emulator may take any base.
static BOOLEAN KdpWriteBase(ULONG Msr, ULONG64 Base)
{
    return (LONG64)(Base << 16) >> 16 == (LONG64)Base && KiTryWriteMsr(Msr, Base);
}

// CR8 has two places: traps leave with the processor's, interrupts restore their frame's.
BOOLEAN KdpWriteSpecial(KD_STOPPED *Stopped, ULONG Special, ULONG64 Value)
{
    switch (Special) {
    case SpecialDs:
    case SpecialEs:
    case SpecialFs:
    case SpecialGs: return KdpWriteSegment(Special, (USHORT)Value);
    case SpecialFsBase: return KdpWriteBase(MSR_FS_BASE, Value);
    case SpecialGsBase: return KdpWriteBase(KdpGsBase(Stopped, FALSE), Value);
    case SpecialKernelGsBase: return KdpWriteBase(KdpGsBase(Stopped, TRUE), Value);
    case SpecialCr8:
        Stopped->Frame->PreviousIrql = (ULONG)Value & HIGH_LEVEL;
        KiSetIrql((KIRQL)(Value & HIGH_LEVEL));
        return TRUE;
    default: return FALSE;
    }
}

BOOLEAN KdpSwitchPageTables(ULONG_PTR Cr3)
{
    return KiTryWriteCr3(Cr3);
}

// iretq loads everything there is.
BOOLEAN KdpNeedsResume(const KD_STOPPED *Stopped)
{
    return FALSE;
}

DECLSPEC_NORETURN VOID KdpResumeFrame(const KTRAP_FRAME *Frame)
{
    CONTEXT Context;
    KeContextFromTrapFrame(Frame, &Context);
    KiSetIrql((KIRQL)Frame->PreviousIrql);
    KeContinue(&Context);
}
