// SPDX-License-Identifier: MIT
// Unwinding one frame of kernel code by .eh_frame.
//
// A driver may guard a call into the kernel: __try { RtlCopyMemory(...) } catches the fault
// although it happens in the kernel's own memmove. To reach the driver's frame with its registers
// as they were, the kernel frames between must be unwound exactly. The compiler describes them as
// DWARF call frame information; the linker makes a sorted index of it (.eh_frame_hdr). Code
// without a description (assembly, trap entries) ends the walk.
//
// Of DWARF's instructions, those are read that GCC emits for functions with frame pointers and no
// dynamic realignment; anything else ends the walk too. The tables are our own and constant, so
// they are read directly; the stack is not trusted and is read through SafeCopy.
//
// Source: DWARF 4 section 6.4 and the Linux Standard Base's ".eh_frame" and ".eh_frame_hdr".
#include "rtlu.h"

#define REGISTERS    17u  // DWARF's numbers: 16 is the return address
#define RETURN       16u
#define STACK        7u
#define SAVED_STATES 2u

// The linker's index: a header, then one pair for each function, sorted, relative to the header.
typedef struct _CFI_INDEX_ENTRY {
    LONG Function;
    LONG Description;
} CFI_INDEX_ENTRY;

typedef struct _CFI_INDEX {
    UCHAR Version, PointerEncoding, CountEncoding, TableEncoding;
    LONG Frames;
    ULONG Count;
    CFI_INDEX_ENTRY Entry[];
} CFI_INDEX;
extern const CFI_INDEX KernelUnwindIndex;

#define INDEX_VERSION  1
#define ENCODING_LONG  0x3B  // signed 32 bits relative to the index
#define ENCODING_COUNT 0x03  // unsigned 32 bits

// The rules in force at one place of a function: the frame's address is a register plus an offset;
// a register is where the caller left it, or saved at an offset from the frame's address.
typedef struct _CFI_RULES {
    ULONG FrameRegister;
    LONG64 FrameOffset;
    LONG64 Saved[REGISTERS];
    ULONG SavedMask;
} CFI_RULES;

typedef struct _CFI_PROGRAM {
    ULONG64 Pc, Target;       // the rules are wanted for Target
    LONG64 CodeScale, DataScale;
    CFI_RULES Rules, Initial;
    CFI_RULES State[SAVED_STATES];
    ULONG States;
} CFI_PROGRAM;

// ---- numbers ----------------------------------------------------------------------------------

static ULONG64 RtlpReadUleb(const UCHAR **At)
{
    ULONG64 Value = 0;
    UCHAR Byte;

    for (ULONG Shift = 0;; Shift += 7) {
        Byte = *(*At)++;
        if (Shift < 64)
            Value |= (ULONG64)(Byte & 0x7F) << Shift;
        if ((Byte & 0x80) == 0)
            return Value;
    }
}

static LONG64 RtlpReadSleb(const UCHAR **At)
{
    ULONG64 Value = 0;
    ULONG Shift = 0;
    UCHAR Byte;

    do {
        Byte = *(*At)++;
        if (Shift < 64)
            Value |= (ULONG64)(Byte & 0x7F) << Shift;
        Shift += 7;
    } while ((Byte & 0x80) != 0);
    if (Shift < 64 && (Byte & 0x40) != 0)
        Value |= ~(ULONG64)0 << Shift;
    return (LONG64)Value;
}

static ULONG RtlpReadBytes(const UCHAR **At, ULONG Count)
{
    ULONG Value = 0;
    memcpy(&Value, *At, Count);
    *At += Count;
    return Value;
}

// ---- instructions -----------------------------------------------------------------------------

enum {
    CFA_ADVANCE = 0x40, CFA_OFFSET = 0x80, CFA_RESTORE = 0xC0,  // operand in the low six bits
    CFA_NOP = 0x00, CFA_ADVANCE1 = 0x02, CFA_ADVANCE2 = 0x03, CFA_ADVANCE4 = 0x04,
    CFA_SAME = 0x08, CFA_REMEMBER = 0x0A, CFA_RECALL = 0x0B,
    CFA_DEFINE = 0x0C, CFA_DEFINE_REGISTER = 0x0D, CFA_DEFINE_OFFSET = 0x0E,
    CFA_ARGUMENTS = 0x2E
};

static BOOLEAN RtlpSetSaved(CFI_PROGRAM *Program, ULONG Register, ULONG64 Offset)
{
    if (Register >= REGISTERS)
        return FALSE;
    Program->Rules.Saved[Register] = (LONG64)Offset * Program->DataScale;
    Program->Rules.SavedMask |= 1u << Register;
    return TRUE;
}

static BOOLEAN RtlpSetRestored(CFI_PROGRAM *Program, ULONG Register)
{
    if (Register >= REGISTERS)
        return FALSE;
    Program->Rules.Saved[Register] = Program->Initial.Saved[Register];
    Program->Rules.SavedMask = (Program->Rules.SavedMask & ~(1u << Register)) |
                               (Program->Initial.SavedMask & (1u << Register));
    return TRUE;
}

static BOOLEAN RtlpRememberState(CFI_PROGRAM *Program)
{
    if (Program->States == SAVED_STATES)
        return FALSE;
    Program->State[Program->States++] = Program->Rules;
    return TRUE;
}

static BOOLEAN RtlpRecallState(CFI_PROGRAM *Program)
{
    if (Program->States == 0)
        return FALSE;
    Program->Rules = Program->State[--Program->States];
    return TRUE;
}

// Instructions that carry no operand in the opcode.
static BOOLEAN RtlpRunExtended(CFI_PROGRAM *Program, UCHAR Opcode, const UCHAR **At)
{
    ULONG64 Advance;

    switch (Opcode) {
    case CFA_NOP:
        return TRUE;
    case CFA_ADVANCE1:
    case CFA_ADVANCE2:
    case CFA_ADVANCE4:
        Advance = RtlpReadBytes(At, 1u << (Opcode - CFA_ADVANCE1));
        Program->Pc += Advance * (ULONG64)Program->CodeScale;
        return TRUE;
    case CFA_SAME:
        return RtlpSetRestored(Program, (ULONG)RtlpReadUleb(At));
    case CFA_REMEMBER:
        return RtlpRememberState(Program);
    case CFA_RECALL:
        return RtlpRecallState(Program);
    case CFA_DEFINE:
        Program->Rules.FrameRegister = (ULONG)RtlpReadUleb(At);
        Program->Rules.FrameOffset = (LONG64)RtlpReadUleb(At);
        return TRUE;
    case CFA_DEFINE_REGISTER:
        Program->Rules.FrameRegister = (ULONG)RtlpReadUleb(At);
        return TRUE;
    case CFA_DEFINE_OFFSET:
        Program->Rules.FrameOffset = (LONG64)RtlpReadUleb(At);
        return TRUE;
    case CFA_ARGUMENTS:
        RtlpReadUleb(At);
        return TRUE;
    default:
        return FALSE;
    }
}

// Runs instructions until the next one would be past the wanted place.
static BOOLEAN RtlpRunProgram(CFI_PROGRAM *Program, const UCHAR *At, const UCHAR *End)
{
    while (At < End && Program->Pc <= Program->Target) {
        UCHAR Opcode = *At++;
        UCHAR Operand = Opcode & 0x3F;
        BOOLEAN Good = TRUE;
        switch (Opcode & 0xC0) {
        case CFA_ADVANCE:
            Program->Pc += Operand * (ULONG64)Program->CodeScale;
            break;
        case CFA_OFFSET:
            Good = RtlpSetSaved(Program, Operand, RtlpReadUleb(&At));
            break;
        case CFA_RESTORE:
            Good = RtlpSetRestored(Program, Operand);
            break;
        default:
            Good = RtlpRunExtended(Program, Opcode, &At);
        }
        if (!Good)
            return FALSE;
    }
    return TRUE;
}

// ---- finding a function's description ---------------------------------------------------------

// Both kinds of record: a length, which excludes itself, and a distance back to the common record.
typedef struct _CFI_RECORD {
    ULONG Length;
    ULONG Common;  // 0 in the common record itself
    UCHAR Body[];
} CFI_RECORD;

static const CFI_RECORD *RtlpFindDescription(ULONG64 Pc)
{
    const CFI_INDEX *Index = &KernelUnwindIndex;
    LONG64 Offset = (LONG64)(Pc - (ULONG64)Index);
    ULONG Low = 0, High = Index->Count;

    if (Index->Version != INDEX_VERSION || Index->TableEncoding != ENCODING_LONG ||
        Index->CountEncoding != ENCODING_COUNT)
        return NULL;
    while (Low < High) {
        ULONG Middle = Low + (High - Low) / 2;
        if (Index->Entry[Middle].Function <= Offset)
            Low = Middle + 1;
        else
            High = Middle;
    }
    if (Low == 0)
        return NULL;
    return (const CFI_RECORD *)((const UCHAR *)Index + Index->Entry[Low - 1].Description);
}

// The common record: version, "zR", scales, register of the return address, encoding of addresses.
static BOOLEAN RtlpReadCommon(CFI_PROGRAM *Program, const CFI_RECORD *Common)
{
    const UCHAR *At = Common->Body;
    ULONG64 Augmentation;

    if (At[0] != 1 || At[1] != 'z' || At[2] != 'R' || At[3] != 0)
        return FALSE;
    At += 4;
    Program->CodeScale = (LONG64)RtlpReadUleb(&At);
    Program->DataScale = RtlpReadSleb(&At);
    if (RtlpReadUleb(&At) != RETURN)
        return FALSE;
    Augmentation = RtlpReadUleb(&At);
    if (Augmentation != 1 || *At != 0x1B)  // addresses: signed 32 bits relative to themselves
        return FALSE;
    if (!RtlpRunProgram(Program, At + 1, (const UCHAR *)&Common->Common + Common->Length))
        return FALSE;
    Program->Initial = Program->Rules;
    return TRUE;
}

// The rules in force at Program->Target.
static BOOLEAN RtlpFindRules(CFI_PROGRAM *Program)
{
    const CFI_RECORD *Description = RtlpFindDescription(Program->Target);
    const UCHAR *At;
    ULONG64 Start, Length;

    if (Description == NULL)
        return FALSE;
    At = Description->Body;
    Start = (ULONG64)At + (ULONG64)(LONG)RtlpReadBytes(&At, 4);
    Length = RtlpReadBytes(&At, 4);
    if (Program->Target - Start >= Length)
        return FALSE;
    Program->Pc = Program->Target;  // the common instructions hold from the first byte on
    if (!RtlpReadCommon(Program, (const CFI_RECORD *)((const UCHAR *)&Description->Common -
                                                      Description->Common)))
        return FALSE;
    Program->Pc = Start;
    Length = RtlpReadUleb(&At);  // augmentation data: none of interest
    return RtlpRunProgram(Program, At + Length, (const UCHAR *)&Description->Common +
                                                    Description->Length);
}

// ---- applying them ----------------------------------------------------------------------------

// A register of Context by DWARF's number.
static PULONG64 RtlpDwarfRegister(PCONTEXT Context, ULONG Number)
{
    static const UCHAR Order[] = {0, 2, 1, 3, 6, 7, 5, 4};  // rax rdx rcx rbx rsi rdi rbp rsp
    if (Number == RETURN)
        return &Context->Rip;
    return &Context->Rax + (Number < RTL_NUMBER_OF(Order) ? Order[Number] : Number);
}

BOOLEAN RtlpUnwindKernelFrame(PCONTEXT Context, BOOLEAN Exact)
{
    CFI_PROGRAM Program;
    const CFI_RULES *Rules = &Program.Rules;
    ULONG64 Frame;

    // A return address may lie behind the function's last instruction: look at the call.
    memset(&Program, 0, sizeof(Program));
    Program.Target = Context->Rip - (Exact ? 0 : 1);
    if (!RtlpFindRules(&Program) || Rules->FrameRegister >= RETURN)
        return FALSE;
    Frame = *RtlpDwarfRegister(Context, Rules->FrameRegister) + (ULONG64)Rules->FrameOffset;
    for (ULONG i = 0; i < REGISTERS; i++) {
        ULONG64 Address = Frame + (ULONG64)Rules->Saved[i];
        if ((Rules->SavedMask & 1u << i) != 0 &&
            !RtlpSafeCopy(RtlpDwarfRegister(Context, i), (const VOID *)Address, sizeof(ULONG64)))
            return FALSE;
    }
    Context->Rsp = Frame;
    return (Rules->SavedMask & 1u << RETURN) != 0;
}
