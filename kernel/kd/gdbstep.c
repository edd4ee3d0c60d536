// SPDX-License-Identifier: MIT
// Single steps: one instruction of the interrupted code, and nothing else.
//
// TF makes the processor trap after the next instruction. Interrupts are held off for that one:
// otherwise each step would end in the service routine of whatever is pending. The instruction may
// itself read or change the flag that was altered, so it is looked at first:
//
//     cli, sti           what they set stays
//     popf, iret         the flags they loaded stay
//     pushf              the image on the stack gets the flags as they would have been
//     hlt                would sleep for ever; it is skipped, as if an interrupt had ended it
//
// What comes of the step may be another trap (a page fault, an int3); KdpEndStep mends the frame
// that trap left, whatever it is. The bookkeeping is global because only one processor steps at a
// time, the others standing still.
#include "kdgdb.h"

typedef enum _KD_STEP { StepPlain, StepClear, StepSet, StepLoads, StepPushes } KD_STEP;

#define TAINTED (EFLAGS_TF | EFLAGS_IF)  // what a step alters in the flags

BOOLEAN KdpStepping;
static KD_STEP KdpStepKind;
static BOOLEAN KdpStepInterrupts;  // IF before the step
static ULONG KdpStepOperand;       // bytes that pushf pushes
static ULONG_PTR KdpStepPc;

static BOOLEAN KdpIsPrefix(UCHAR Byte)
{
    if (sizeof(PVOID) == 8 && (Byte & 0xF0) == 0x40)
        return TRUE;  // REX
    return Byte == 0x66 || Byte == 0x67 || Byte == 0xF0 || Byte == 0xF2 || Byte == 0xF3 ||
           (Byte & 0xE7) == 0x26 || Byte == 0x64 || Byte == 0x65;
}

// The opcode's first byte, without prefixes, as it would be without breakpoints. Hlt where the code
// cannot be read is not claimed: 0 is no instruction that matters here.
static UCHAR KdpOpcode(ULONG_PTR Pc, BOOLEAN *Short)
{
    UCHAR Code[15];
    SIZE_T Length = GdbReadMemory(Pc, Code, sizeof(Code)), i = 0;
    *Short = FALSE;
    while (i < Length && KdpIsPrefix(Code[i]))
        *Short |= Code[i++] == 0x66;
    return i < Length ? Code[i] : 0;
}

static KD_STEP KdpClassify(UCHAR Opcode)
{
    switch (Opcode) {
    case 0xFA: return StepClear;
    case 0xFB: return StepSet;
    case 0x9D: case 0xCF: return StepLoads;
    case 0x9C: return StepPushes;
    default: return StepPlain;
    }
}

BOOLEAN KdpSkipHalt(PKTRAP_FRAME Frame)
{
    BOOLEAN Short;
    if (KdpOpcode(TRAP_PC(Frame), &Short) != 0xF4)
        return FALSE;
    TRAP_PC(Frame)++;
    return TRUE;
}

VOID KdpBeginStep(PKTRAP_FRAME Frame)
{
    BOOLEAN Short;
    KdpStepPc = TRAP_PC(Frame);
    KdpStepKind = KdpClassify(KdpOpcode(KdpStepPc, &Short));
    KdpStepOperand = Short ? 2 : sizeof(PVOID);
    KdpStepInterrupts = (TRAP_FLAGS(Frame) & EFLAGS_IF) != 0;
    TRAP_FLAGS(Frame) = (TRAP_FLAGS(Frame) & ~(ULONG_PTR)EFLAGS_IF) | EFLAGS_TF;
    KdpStepping = TRUE;
}

static VOID KdpMendPushedFlags(const KTRAP_FRAME *Frame)
{
    ULONG_PTR Flags = 0;
    if (!KeSafeCopy(&Flags, (const VOID *)TRAP_SP(Frame), KdpStepOperand))
        return;
    Flags = (Flags & ~(ULONG_PTR)TAINTED) | (KdpStepInterrupts ? EFLAGS_IF : 0);
    KeSafeCopy((PVOID)TRAP_SP(Frame), &Flags, KdpStepOperand);
}

// An instruction that did not complete (its own trap stopped us) is to find the flags as they were.
VOID KdpEndStep(PKTRAP_FRAME Frame)
{
    BOOLEAN Completed = TRAP_PC(Frame) != KdpStepPc;
    BOOLEAN Interrupts = KdpStepInterrupts;
    if (!KdpStepping)
        return;
    KdpStepping = FALSE;
    TRAP_FLAGS(Frame) &= ~(ULONG_PTR)EFLAGS_TF;
    if (Completed && KdpStepKind == StepLoads)
        return;
    if (Completed && KdpStepKind == StepPushes)
        KdpMendPushedFlags(Frame);
    if (Completed && KdpStepKind != StepPlain && KdpStepKind != StepPushes)
        Interrupts = KdpStepKind == StepSet;
    TRAP_FLAGS(Frame) &= ~(ULONG_PTR)EFLAGS_IF;
    TRAP_FLAGS(Frame) |= Interrupts ? EFLAGS_IF : 0;
}
