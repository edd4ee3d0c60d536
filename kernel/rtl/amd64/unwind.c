// SPDX-License-Identifier: MIT
// Unwinding one frame of driver code by its .pdata and .xdata.
//
// A driver's .pdata lists its functions in order of address, each with an UNWIND_INFO that tells
// how its prolog built the frame: a list of codes, last prolog instruction first. To unwind, the
// effects of those codes that had run are taken back. Three cases need more:
//
//   no entry   a leaf function: nothing on the stack but the return address
//   epilog     part of the frame is gone already. Epilogs have a fixed form that is recognised in
//              the instructions at the program counter, and is simply executed to its end
//   chained    the entry covers a part of a function; its parent's codes are taken back as well
//
// The tables come from a stranger's file and the stack may be damaged, so nothing is trusted:
// what is read from either goes through SafeCopy, loops are bounded, and what makes no sense ends
// the walk.
//
// Source: "x64 exception handling" and "x64 prolog and epilog" (Microsoft C++ documentation).
#include "rtlu.h"

#define MAXIMUM_CHAIN 32u  // UNWIND_INFOs that one function may chain
#define EPILOG_BYTES  32u  // longest epilog: lea, eight pops with prefix, a jump

#define REGISTER_RSP 4u

// ---- function tables --------------------------------------------------------------------------

PRUNTIME_FUNCTION RtlpFindFunction(const RTL_IMAGE *Image, ULONG64 Pc)
{
    const RUNTIME_FUNCTION *Table = Image->FunctionTable;
    ULONG64 Offset = Pc - Image->Base;
    ULONG Low = 0, High = Image->FunctionCount;

    while (Low < High) {
        ULONG Middle = Low + (High - Low) / 2;
        if (Offset < Table[Middle].BeginAddress)
            High = Middle;
        else if (Offset >= Table[Middle].EndAddress)
            Low = Middle + 1;
        else
            return (PRUNTIME_FUNCTION)&Table[Middle];
    }
    return NULL;
}

// An entry may stand for another one.
static BOOLEAN RtlpReadFunction(ULONG64 ImageBase, ULONG64 Address, PRUNTIME_FUNCTION Function)
{
    for (ULONG i = 0; i < MAXIMUM_CHAIN; i++) {
        if (!RtlpSafeCopy(Function, (const VOID *)Address, sizeof(*Function)))
            return FALSE;
        if ((Function->UnwindData & 1) == 0)
            return TRUE;
        Address = ImageBase + Function->UnwindData - 1;
    }
    return FALSE;
}

// ---- the frame being unwound ------------------------------------------------------------------

typedef struct _RTLP_UNWIND {
    ULONG64 ImageBase;
    PCONTEXT Context;
    PKNONVOLATILE_CONTEXT_POINTERS Pointers;  // may be NULL
    RUNTIME_FUNCTION Function;                // at last the one that is no part of another
    UNWIND_INFO Info;                         // its header; the codes lie at CodesAt
    ULONG64 CodesAt;
    ULONG64 FrameBase;                        // what saved registers are counted from
    BOOLEAN MachineFrame;                     // Rip and Rsp came from a trap's frame
} RTLP_UNWIND, *PRTLP_UNWIND;

static PULONG64 RtlpRegister(PRTLP_UNWIND Unwind, ULONG Number)
{
    return &Unwind->Context->Rax + Number;
}

static BOOLEAN RtlpLoadRegister(PRTLP_UNWIND Unwind, ULONG Number, ULONG64 Address)
{
    if (!RtlpSafeCopy(RtlpRegister(Unwind, Number), (const VOID *)Address, sizeof(ULONG64)))
        return FALSE;
    if (Unwind->Pointers != NULL)
        Unwind->Pointers->IntegerContext[Number] = (PULONG64)Address;
    return TRUE;
}

static BOOLEAN RtlpLoadXmm(PRTLP_UNWIND Unwind, ULONG Number, ULONG64 Address)
{
    if (!RtlpSafeCopy(&Unwind->Context->Xmm0 + Number, (const VOID *)Address, sizeof(M128A)))
        return FALSE;
    if (Unwind->Pointers != NULL)
        Unwind->Pointers->FloatingContext[Number] = (PM128A)Address;
    return TRUE;
}

static BOOLEAN RtlpPopRegister(PRTLP_UNWIND Unwind, ULONG Number)
{
    ULONG64 Address = Unwind->Context->Rsp;

    Unwind->Context->Rsp = Address + sizeof(ULONG64);  // first: popping rsp itself overrides it
    return RtlpLoadRegister(Unwind, Number, Address);
}

static BOOLEAN RtlpPopReturnAddress(PCONTEXT Context)
{
    if (!RtlpSafeCopy(&Context->Rip, (const VOID *)Context->Rsp, sizeof(ULONG64)))
        return FALSE;
    Context->Rsp += sizeof(ULONG64);
    return TRUE;
}

// ---- taking back the prolog -------------------------------------------------------------------

static ULONG RtlpSlotsOfCode(UNWIND_CODE Code)
{
    switch (Code.UnwindOp) {
    case UWOP_ALLOC_LARGE:
        return Code.OpInfo == 0 ? 2 : 3;
    case UWOP_SAVE_NONVOL:
    case UWOP_SAVE_XMM128:
        return 2;
    case UWOP_SAVE_NONVOL_FAR:
    case UWOP_SAVE_XMM128_FAR:
    case UWOP_SPARE_CODE:
        return 3;
    default:
        return 1;
    }
}

// What the trap or interrupt that entered this function left: [error code,] rip, cs, flags, rsp,
// ss.
static BOOLEAN RtlpPopMachineFrame(PRTLP_UNWIND Unwind, BOOLEAN ErrorCode)
{
    ULONG64 Frame[4];
    ULONG64 At = Unwind->Context->Rsp + (ErrorCode ? sizeof(ULONG64) : 0);

    if (!RtlpSafeCopy(Frame, (const VOID *)At, sizeof(Frame)))
        return FALSE;
    Unwind->Context->Rip = Frame[0];
    Unwind->Context->Rsp = Frame[3];
    Unwind->MachineFrame = TRUE;
    return TRUE;
}

static BOOLEAN RtlpUndoCode(PRTLP_UNWIND Unwind, UNWIND_CODE Code, const USHORT *Operand)
{
    ULONG Far = Operand[0] | (ULONG)Operand[1] << 16;

    switch (Code.UnwindOp) {
    case UWOP_PUSH_NONVOL:
        return RtlpPopRegister(Unwind, Code.OpInfo);
    case UWOP_ALLOC_LARGE:
        Unwind->Context->Rsp += Code.OpInfo == 0 ? Operand[0] * 8u : Far;
        return TRUE;
    case UWOP_ALLOC_SMALL:
        Unwind->Context->Rsp += Code.OpInfo * 8u + 8;
        return TRUE;
    case UWOP_SET_FPREG:
        Unwind->Context->Rsp = *RtlpRegister(Unwind, Unwind->Info.FrameRegister) -
                               Unwind->Info.FrameOffset * 16u;
        return TRUE;
    case UWOP_SAVE_NONVOL:
        return RtlpLoadRegister(Unwind, Code.OpInfo, Unwind->FrameBase + Operand[0] * 8u);
    case UWOP_SAVE_NONVOL_FAR:
        return RtlpLoadRegister(Unwind, Code.OpInfo, Unwind->FrameBase + Far);
    case UWOP_SAVE_XMM128:
        return RtlpLoadXmm(Unwind, Code.OpInfo, Unwind->FrameBase + Operand[0] * 16u);
    case UWOP_SAVE_XMM128_FAR:
        return RtlpLoadXmm(Unwind, Code.OpInfo, Unwind->FrameBase + Far);
    case UWOP_PUSH_MACHFRAME:
        return RtlpPopMachineFrame(Unwind, Code.OpInfo != 0);
    case UWOP_EPILOG:  // version 2 tells where the epilogs are; their form tells us too
        return TRUE;
    default:
        return FALSE;
    }
}

static BOOLEAN RtlpUndoCodes(PRTLP_UNWIND Unwind, ULONG64 Offset)
{
    USHORT Slots[3];
    ULONG Count = Unwind->Info.CountOfCodes;

    for (ULONG i = 0; i < Count;) {
        ULONG Wanted = Count - i < 3 ? Count - i : 3;
        memset(Slots, 0, sizeof(Slots));
        if (!RtlpSafeCopy(Slots, (const VOID *)(Unwind->CodesAt + i * 2), Wanted * 2))
            return FALSE;
        UNWIND_CODE Code = {.FrameOffset = Slots[0]};
        i += RtlpSlotsOfCode(Code);
        if (i > Count || (Code.CodeOffset <= Offset && !RtlpUndoCode(Unwind, Code, Slots + 1)))
            return FALSE;
    }
    return TRUE;
}

static BOOLEAN RtlpReadInfo(PRTLP_UNWIND Unwind)
{
    ULONG64 Address = Unwind->ImageBase + Unwind->Function.UnwindData;

    Unwind->CodesAt = Address + FIELD_OFFSET(UNWIND_INFO, UnwindCode);
    return RtlpSafeCopy(&Unwind->Info, (const VOID *)Address, Unwind->CodesAt - Address) &&
           (Unwind->Info.Version == 1 || Unwind->Info.Version == 2);
}

// Behind the codes, on an even slot: a parent's RUNTIME_FUNCTION, or a handler and its data.
static ULONG64 RtlpBehindCodes(PRTLP_UNWIND Unwind)
{
    return Unwind->CodesAt + ((Unwind->Info.CountOfCodes + 1u) & ~1u) * sizeof(USHORT);
}

static BOOLEAN RtlpUndoProlog(PRTLP_UNWIND Unwind, ULONG64 Pc)
{
    for (ULONG i = 0; i < MAXIMUM_CHAIN; i++) {
        if (!RtlpUndoCodes(Unwind, Pc - Unwind->ImageBase - Unwind->Function.BeginAddress))
            return FALSE;
        if ((Unwind->Info.Flags & UNW_FLAG_CHAININFO) == 0)
            return Unwind->MachineFrame || RtlpPopReturnAddress(Unwind->Context);
        if (!RtlpReadFunction(Unwind->ImageBase, RtlpBehindCodes(Unwind), &Unwind->Function) ||
            !RtlpReadInfo(Unwind))
            return FALSE;
    }
    return FALSE;
}

// ---- epilogs ----------------------------------------------------------------------------------

// Instructions at the program counter. Bytes past the end of readable memory are zero, which is
// part of no epilog.
typedef struct _RTLP_CODE {
    UCHAR Bytes[EPILOG_BYTES + 8];
    ULONG At;
} RTLP_CODE, *PRTLP_CODE;

static VOID RtlpReadCode(PRTLP_CODE Code, ULONG64 Pc)
{
    ULONG InPage = (ULONG)(PAGE_SIZE - (Pc & (PAGE_SIZE - 1)));

    memset(Code, 0, sizeof(*Code));
    if (!RtlpSafeCopy(Code->Bytes, (const VOID *)Pc, EPILOG_BYTES) && InPage < EPILOG_BYTES)
        RtlpSafeCopy(Code->Bytes, (const VOID *)Pc, InPage);
}

static LONG RtlpCodeLong(const RTLP_CODE *Code, ULONG Offset)
{
    LONG Value;
    memcpy(&Value, Code->Bytes + Code->At + Offset, sizeof(Value));
    return Value;
}

// "add rsp, n" or "lea rsp, [frame register + n]" at the start. Sets Rsp to what it makes of it.
static VOID RtlpSkipStackAdjustment(PRTLP_UNWIND Unwind, PRTLP_CODE Code, PULONG64 Rsp)
{
    const UCHAR *b = Code->Bytes + Code->At;
    ULONG Frame = Unwind->Info.FrameRegister;

    if (b[0] == 0x48 && b[1] == 0x83 && b[2] == 0xC4) {
        *Rsp += (ULONG64)(SCHAR)b[3];
        Code->At += 4;
    } else if (b[0] == 0x48 && b[1] == 0x81 && b[2] == 0xC4) {
        *Rsp += (ULONG64)RtlpCodeLong(Code, 3);
        Code->At += 7;
    } else if (Frame != 0 && b[0] == (Frame < 8 ? 0x48 : 0x49) && b[1] == 0x8D &&
               (b[2] & 0x3F) == (0x20 | (Frame & 7))) {
        ULONG Sib = (Frame & 7) == 4;  // r12 cannot do without one
        if (b[2] >> 6 == 1) {
            *Rsp = *RtlpRegister(Unwind, Frame) + (ULONG64)(SCHAR)b[3 + Sib];
            Code->At += 4 + Sib;
        } else if (b[2] >> 6 == 2) {
            *Rsp = *RtlpRegister(Unwind, Frame) + (ULONG64)RtlpCodeLong(Code, 3 + Sib);
            Code->At += 7 + Sib;
        }
    }
}

// The register that a pop at Code pops, and the pop's length; 0 when there is none.
static ULONG RtlpPopLength(const RTLP_CODE *Code, PULONG Number)
{
    const UCHAR *b = Code->Bytes + Code->At;

    if ((b[0] & 0xF8) == 0x58) {
        *Number = b[0] & 7;
        return 1;
    }
    if (b[0] == 0x41 && (b[1] & 0xF8) == 0x58) {
        *Number = 8 + (b[1] & 7);
        return 2;
    }
    return 0;
}

// A return, or a jump that leaves the function.
static BOOLEAN RtlpEndsFunction(PRTLP_UNWIND Unwind, const RTLP_CODE *Code, ULONG64 Pc)
{
    const UCHAR *b = Code->Bytes + Code->At;
    ULONG64 Target;

    if (b[0] == 0xC3 || b[0] == 0xC2 || (b[0] == 0xF3 && b[1] == 0xC3))
        return TRUE;
    if (b[0] == 0xFF && b[1] == 0x25)
        return TRUE;
    if ((b[0] & 0xF8) == 0x48 && b[1] == 0xFF && (b[2] & 0x38) == 0x20)
        return TRUE;
    if (b[0] == 0xEB)
        Target = Pc + Code->At + 2 + (ULONG64)(SCHAR)b[1];
    else if (b[0] == 0xE9)
        Target = Pc + Code->At + 5 + (ULONG64)RtlpCodeLong(Code, 1);
    else
        return FALSE;
    Target -= Unwind->ImageBase;
    return Target <= Unwind->Function.BeginAddress || Target >= Unwind->Function.EndAddress;
}

// If Pc lies in an epilog: executes the rest of it. *Executed tells; FALSE when the stack is
// unreadable.
static BOOLEAN RtlpExecuteEpilog(PRTLP_UNWIND Unwind, ULONG64 Pc, PBOOLEAN Executed)
{
    ULONG64 Rsp = Unwind->Context->Rsp;
    ULONG Number, Length, Pops;
    RTLP_CODE Code;

    RtlpReadCode(&Code, Pc);
    RtlpSkipStackAdjustment(Unwind, &Code, &Rsp);
    Pops = Code.At;
    while (Code.At < EPILOG_BYTES && (Length = RtlpPopLength(&Code, &Number)) != 0)
        Code.At += Length;
    *Executed = Code.At < EPILOG_BYTES && RtlpEndsFunction(Unwind, &Code, Pc);
    if (!*Executed)
        return TRUE;
    Unwind->Context->Rsp = Rsp;
    for (Code.At = Pops; (Length = RtlpPopLength(&Code, &Number)) != 0; Code.At += Length)
        if (!RtlpPopRegister(Unwind, Number))
            return FALSE;
    return RtlpPopReturnAddress(Unwind->Context);
}

// ---- one frame --------------------------------------------------------------------------------

// The frame's fixed point, by which handlers find its variables: the frame register once the
// prolog has set it, else the stack pointer.
static ULONG64 RtlpEstablisherFrame(PRTLP_UNWIND Unwind, ULONG64 Offset)
{
    ULONG Count = Unwind->Info.CountOfCodes;
    USHORT Slot;

    if (Unwind->Info.FrameRegister == 0)
        return Unwind->Context->Rsp;
    for (ULONG i = 0; Offset < Unwind->Info.SizeOfProlog && i < Count;) {
        if (!RtlpSafeCopy(&Slot, (const VOID *)(Unwind->CodesAt + i * 2), sizeof(Slot)))
            break;
        UNWIND_CODE Code = {.FrameOffset = Slot};
        if (Code.UnwindOp == UWOP_SET_FPREG && Code.CodeOffset > Offset)
            return Unwind->Context->Rsp;
        i += RtlpSlotsOfCode(Code);
    }
    return *RtlpRegister(Unwind, Unwind->Info.FrameRegister) - Unwind->Info.FrameOffset * 16u;
}

// The frame's handler if it has one of this kind and Pc is in the body; *Data is what belongs to
// it.
static PEXCEPTION_ROUTINE RtlpFrameHandler(PRTLP_UNWIND Unwind, ULONG64 Pc, ULONG HandlerType,
                                           PVOID *Data)
{
    ULONG64 Behind = RtlpBehindCodes(Unwind);
    ULONG Handler;

    if ((Unwind->Info.Flags & HandlerType) == 0 || (Unwind->Info.Flags & UNW_FLAG_CHAININFO) != 0 ||
        Pc - Unwind->ImageBase - Unwind->Function.BeginAddress < Unwind->Info.SizeOfProlog ||
        !RtlpSafeCopy(&Handler, (const VOID *)Behind, sizeof(Handler)))
        return NULL;
    *Data = (PVOID)(Behind + sizeof(Handler));
    return (PEXCEPTION_ROUTINE)(Unwind->ImageBase + Handler);
}

BOOLEAN RtlpVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 Pc,
                          PCRUNTIME_FUNCTION Function, PCONTEXT Context, PVOID *HandlerData,
                          PULONG64 EstablisherFrame, PKNONVOLATILE_CONTEXT_POINTERS Pointers,
                          PEXCEPTION_ROUTINE *Handler)
{
    RTLP_UNWIND Unwind = {.ImageBase = ImageBase, .Context = Context, .Pointers = Pointers};
    BOOLEAN InEpilog = FALSE;

    *Handler = NULL;
    if (!RtlpReadFunction(ImageBase, (ULONG64)Function, &Unwind.Function) || !RtlpReadInfo(&Unwind))
        return FALSE;
    ULONG64 Offset = Pc - ImageBase - Unwind.Function.BeginAddress;
    *EstablisherFrame = Unwind.FrameBase = RtlpEstablisherFrame(&Unwind, Offset);
    if (Offset >= Unwind.Info.SizeOfProlog && !RtlpExecuteEpilog(&Unwind, Pc, &InEpilog))
        return FALSE;
    if (InEpilog)
        return TRUE;
    if (!RtlpUndoProlog(&Unwind, Pc))
        return FALSE;
    *Handler = RtlpFrameHandler(&Unwind, Pc, HandlerType, HandlerData);
    return TRUE;
}

// ---- exported ---------------------------------------------------------------------------------

// Unwinds Context, which is at ControlPc in the function that FunctionEntry describes, to its
// caller. *EstablisherFrame receives the frame's fixed point, ContextPointers (optional) where
// the saved registers lay. Returns the frame's handler of type HandlerType (UNW_FLAG_*), if
// ControlPc is in the part of the function that it guards, with its data in *HandlerData. IRQL:
// any. Fails: NULL and Context->Rip 0 when the tables or the stack make no sense. Source: Windows
// developer documentation, RtlVirtualUnwind.
PEXCEPTION_ROUTINE NTAPI RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc,
                                          PRUNTIME_FUNCTION FunctionEntry, PCONTEXT Context,
                                          PVOID *HandlerData, PULONG64 EstablisherFrame,
                                          PKNONVOLATILE_CONTEXT_POINTERS ContextPointers)
{
    PEXCEPTION_ROUTINE Handler;

    if (!RtlpVirtualUnwind(HandlerType, ImageBase, ControlPc, FunctionEntry, Context, HandlerData,
                           EstablisherFrame, ContextPointers, &Handler))
        Context->Rip = 0;
    return Handler;
}
EXPORT(RtlVirtualUnwind, EXPORT_ANY_IRQL, ON_WINNT);

// The entry of the function that ControlPc lies in, and its image's base in *ImageBase. The history
// table is only a cache, which this search does not need. IRQL: any.
// Fails: NULL, for a leaf function too; *ImageBase 0 when ControlPc is in no image.
// Source: Windows developer documentation, RtlLookupFunctionEntry.
PRUNTIME_FUNCTION NTAPI RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase,
                                               PUNWIND_HISTORY_TABLE HistoryTable)
{
    RTL_IMAGE Image;

    *ImageBase = 0;
    if (!RtlpFindImage(ControlPc, &Image))
        return NULL;
    *ImageBase = Image.Base;
    return RtlpFindFunction(&Image, ControlPc);
}
EXPORT(RtlLookupFunctionEntry, EXPORT_ANY_IRQL, ON_WINNT);
