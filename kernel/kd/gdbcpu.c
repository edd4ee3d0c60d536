// SPDX-License-Identifier: MIT
// A processor in the debugger: what it holds that the trap frame does not, and its registers.
//
// The kernel itself uses neither x87 nor SSE, so at a stop these registers are still the
// interrupted code's (but for those that amd64's frame has); FXSAVE puts them where gdb can read
// and change them. Breakpoint registers are off while the processor stands. So is SMAP: gdb may
// look at user memory.
//
// Control and debug registers are read from the processor itself: one that is frozen does it when
// asked (ke's freeze.c), by the same code. What a processor does not take is refused, and so is
// what would end paging or change how page tables are read. The x87's are written only by way of
// its data registers: the rest of its environment is the processor's own record.
#include "gdbcpu.h"
#include "cpuid.h"

#define CPUID_FXSR (1u << 24)
#define CR0_BASIS  0x80000001u  // protected mode and paging
#define CR4_FIXED  0xFF021020u  // PAE, LA57, PCIDE: how page tables are read; and what is reserved
#define CR4_SMAP   0x200000u
#define DR6_CLEAR  0xFFFF0FF0u  // no condition; the bits that are always set
#define DR7_CLEAR  0x400u
#define TRAP_PAGE_FAULT 14u

KD_STOPPED *KdpStoppedHere;

#define READ_DR(Number)                                                                            \
    ({                                                                                             \
        ULONG_PTR Value;                                                                           \
        __asm__ volatile("mov %%dr" #Number ", %0" : "=r"(Value));                                 \
        Value;                                                                                     \
    })
#define WRITE_DR(Number, Value) __asm__ volatile("mov %0, %%dr" #Number ::"r"((ULONG_PTR)(Value)))

static BOOLEAN KdpHasExtended(VOID)
{
    return (KiCpuidRegister(1, CpuidEdx) & CPUID_FXSR) != 0;
}

// ---- stopping and going on ----------------------------------------------------------------------
static VOID KdpSaveRegisters(KD_STOPPED *Stopped)
{
    const KTRAP_FRAME *Frame = Stopped->Frame;
    Stopped->DebugStatus = READ_DR(6);
    Stopped->Cr2 = Frame->Vector == TRAP_PAGE_FAULT ? (ULONG_PTR)Frame->Cr2 : KiReadCr2();
    Stopped->Cr4 = KiReadCr4();
    Stopped->ExtendedValid = KdpHasExtended();
    Stopped->ExtendedChanged = FALSE;
    if (Stopped->ExtendedValid)
        __asm__ volatile("fxsave %0" : "=m"(Stopped->Extended));
}

static VOID KdpRestoreRegisters(const KD_STOPPED *Stopped)
{
    if (Stopped->ExtendedChanged)
        __asm__ volatile("fxrstor %0" ::"m"(Stopped->Extended));
    if (KiReadCr4() != Stopped->Cr4)
        KiWriteCr4(Stopped->Cr4);
    __asm__ volatile("mov %0, %%cr2" ::"r"(Stopped->Cr2));
}

VOID KdpSaveProcessor(KD_STOPPED *Stopped, PKTRAP_FRAME Frame)
{
    WRITE_DR(7, DR7_CLEAR);
    Stopped->Frame = Frame;
    Stopped->Prcb = KeGetCurrentPrcb();
    Stopped->Pc = TRAP_PC(Frame);
    Stopped->Sp = TRAP_SP(Frame);
    KdpSaveRegisters(Stopped);
    WRITE_DR(6, DR6_CLEAR);
    if (Stopped->Cr4 & CR4_SMAP)
        KiWriteCr4(Stopped->Cr4 & ~(ULONG_PTR)CR4_SMAP);
    KdpStoppedHere = Stopped;
}

VOID KdpLoadDebugRegisters(VOID)
{
    WRITE_DR(0, GdbDebugRegisters.Address[0]);
    WRITE_DR(1, GdbDebugRegisters.Address[1]);
    WRITE_DR(2, GdbDebugRegisters.Address[2]);
    WRITE_DR(3, GdbDebugRegisters.Address[3]);
    WRITE_DR(7, GdbDebugRegisters.Control | DR7_CLEAR);
}

// RF: a breakpoint register at the instruction that stopped us is not to stop us again.
VOID KdpRestoreProcessor(const KD_STOPPED *Stopped)
{
    KdpStoppedHere = NULL;
    KdpRestoreRegisters(Stopped);
    if (TRAP_PC(Stopped->Frame) == Stopped->Pc)
        TRAP_FLAGS(Stopped->Frame) |= EFLAGS_RF;
    KdpLoadDebugRegisters();
}

// ---- the x87's environment ----------------------------------------------------------------------
// FXSAVE keeps one bit a register: empty or not. gdb wants the processor's two: 3 is empty.
static ULONG KdpFullTags(UCHAR Abridged)
{
    ULONG Tags = 0;
    for (ULONG i = 0; i < 8; i++)
        Tags |= (Abridged >> i & 1 ? 0u : 3u) << 2 * i;
    return Tags;
}

static ULONG KdpX87(const KD_STOPPED *Stopped, ULONG Index)
{
    const USHORT *Word = (const USHORT *)Stopped->Extended;
    const ULONG *Long = (const ULONG *)Stopped->Extended;
    switch (Index) {
    case 0: return Word[0];               // control
    case 1: return Word[1];               // status
    case 2: return KdpFullTags((UCHAR)Word[2]);
    case 3: return Word[6];               // instruction: segment, offset
    case 4: return Long[2];
    case 5: return Word[10];              // operand: segment, offset
    case 6: return Long[4];
    default: return Word[3];              // opcode
    }
}

// ---- special registers --------------------------------------------------------------------------
static ULONG64 KdpReadCommon(const KD_STOPPED *Stopped, ULONG Special)
{
    if (Special < SpecialCr0)
        return KdpX87(Stopped, Special - SpecialX87);
    if (Special >= SpecialDr0 && Special <= SpecialDr3)
        return GdbDebugRegisters.Address[Special - SpecialDr0];
    switch (Special) {
    case SpecialCr0: return KiReadCr0();
    case SpecialCr2: return Stopped->Cr2;
    case SpecialCr3: return KiReadCr3();
    case SpecialCr4: return Stopped->Cr4;
    case SpecialEfer: return KiHasEfer() ? KiReadMsr(MSR_EFER) : 0;
    case SpecialDr6: return Stopped->DebugStatus;
    case SpecialDr7: return GdbDebugRegisters.Control | DR7_CLEAR;
    default: return KdpReadSpecial(Stopped, Special);
    }
}

static BOOLEAN KdpWriteCr0(ULONG_PTR Value)
{
    return (Value & CR0_BASIS) == CR0_BASIS && KiTryWriteCr0(Value);
}

static BOOLEAN KdpWriteCr4(KD_STOPPED *Stopped, ULONG_PTR Value)
{
    ULONG_PTR Now = KiReadCr4();
    if (((Value ^ Now) & CR4_FIXED) != 0 || !KiTryWriteCr4(Value))
        return FALSE;
    KiWriteCr4(Now & CR4_SMAP ? Value : Value & ~(ULONG_PTR)CR4_SMAP);
    Stopped->Cr4 = Value;
    return TRUE;
}

static BOOLEAN KdpWriteCommon(KD_STOPPED *Stopped, ULONG Special, ULONG64 Value)
{
    if (Special >= SpecialDr0 && Special <= SpecialDr3) {
        GdbDebugRegisters.Address[Special - SpecialDr0] = Value;
        return TRUE;
    }
    switch (Special) {
    case SpecialCr0: return KdpWriteCr0((ULONG_PTR)Value);
    case SpecialCr2: Stopped->Cr2 = (ULONG_PTR)Value; return TRUE;
    case SpecialCr3: return KdpSwitchPageTables((ULONG_PTR)Value);
    case SpecialCr4: return KdpWriteCr4(Stopped, (ULONG_PTR)Value);
    case SpecialDr7: GdbDebugRegisters.Control = Value & ~(ULONG64)DR7_CLEAR; return TRUE;
    default: return Special >= SpecialArchitecture && KdpWriteSpecial(Stopped, Special, Value);
    }
}

// ---- registers by number ------------------------------------------------------------------------
static UCHAR *KdpPlace(KD_STOPPED *Stopped, const GDB_REGISTER *Register)
{
    ULONG Offset = Register->Place & ~PLACE_MASK;
    if ((Register->Place & PLACE_MASK) == PLACE_FRAME)
        return (UCHAR *)Stopped->Frame + Offset;
    return Stopped->ExtendedValid ? Stopped->Extended + Offset : NULL;
}

typedef struct _KDP_ACCESS {
    KD_STOPPED *Stopped;
    const GDB_REGISTER *Register;
    UCHAR *Value;
    BOOLEAN Write, Done;
} KDP_ACCESS;

static BOOLEAN KdpAccessSpecial(const KDP_ACCESS *Access)
{
    ULONG Special = Access->Register->Place & ~PLACE_MASK;
    ULONG64 Value = 0;
    memcpy(&Value, Access->Value, Access->Register->Bytes);
    if (Access->Write)
        return KdpWriteCommon(Access->Stopped, Special, Value);
    Value = KdpReadCommon(Access->Stopped, Special);
    memcpy(Access->Value, &Value, Access->Register->Bytes);
    return TRUE;
}

static BOOLEAN KdpAccess(const KDP_ACCESS *Access)
{
    const GDB_REGISTER *Register = Access->Register;
    if ((Register->Place & PLACE_MASK) == PLACE_SPECIAL)
        return KdpAccessSpecial(Access);
    UCHAR *Place = KdpPlace(Access->Stopped, Register);
    if (Place == NULL)
        return FALSE;
    memcpy(Access->Write ? Place : Access->Value, Access->Write ? Access->Value : Place,
           Register->Bytes);
    if (Access->Write && (Register->Place & PLACE_MASK) == PLACE_EXTENDED)
        Access->Stopped->ExtendedChanged = TRUE;
    return TRUE;
}

// On the processor itself.
static VOID KdpAccessFrozen(PVOID Context)
{
    KDP_ACCESS *Access = Context;
    KdpSaveRegisters(Access->Stopped);
    Access->Done = KdpAccess(Access);
    KdpRestoreRegisters(Access->Stopped);
}

static BOOLEAN KdpAccessRegister(ULONG Thread, ULONG Number, UCHAR *Value, BOOLEAN Write)
{
    KD_STOPPED *Stopped = KdpStoppedThread(Thread);
    KDP_ACCESS Access = {Stopped, &KdpRegisters[Number], Value, Write, FALSE};
    if (Stopped == NULL || (Write && Stopped->Prcb == NULL))
        return FALSE;
    if (Stopped == KdpStoppedHere || Stopped->Prcb == NULL ||
        (Access.Register->Place & PLACE_MASK) == PLACE_FRAME)
        return KdpAccess(&Access);
    return KiAskFrozen(Stopped->Prcb, KdpAccessFrozen, &Access) && Access.Done;
}

BOOLEAN KdpReadRegister(ULONG Thread, ULONG Number, UCHAR *Value)
{
    return KdpAccessRegister(Thread, Number, Value, FALSE);
}

BOOLEAN KdpWriteRegister(ULONG Thread, ULONG Number, const UCHAR *Value)
{
    UCHAR Copy[GDB_REGISTER_BYTES];
    memcpy(Copy, Value, KdpRegisters[Number].Bytes);
    return KdpAccessRegister(Thread, Number, Copy, TRUE);
}

VOID KdpSetProgramCounter(ULONG Thread, ULONG64 Address)
{
    KD_STOPPED *Stopped = KdpStoppedThread(Thread);
    if (Stopped != NULL)
        TRAP_PC(Stopped->Frame) = (ULONG_PTR)Address;
}
