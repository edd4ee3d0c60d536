// SPDX-License-Identifier: MIT
// amd64: which address an instruction was going to touch.
//
// A pointer that is not canonical comes as #GP without the address, unlike a page fault. The
// address is worth having in the report, so the instruction is decoded as far as its memory
// operand: prefixes, opcode map, ModRM, SIB, displacement. String instructions have theirs in rsi
// and rdi. Instructions with VEX and EVEX prefixes are not looked at. Whether the operand is
// written is told for the instructions that compilers use for stores; it only chooses a word in the
// report.
#include "../ki.h"

#define LONGEST_INSTRUCTION 15u

#define MSR_FS_BASE 0xC0000100
#define MSR_GS_BASE 0xC0000101

typedef struct _KI_DECODER {
    const KTRAP_FRAME *Frame;
    UCHAR Code[LONGEST_INSTRUCTION + 8];  // zeros behind, so that a read past the end finds nothing
    ULONG Next;
    UCHAR Rex, Segment;
    BOOLEAN TwoBytes;   // opcode map 0F
    BOOLEAN ThreeBytes; // opcode maps 0F 38 and 0F 3A
    UCHAR Opcode, ModRm;
} KI_DECODER;

static UCHAR KiNextByte(KI_DECODER *d)
{
    return d->Next < LONGEST_INSTRUCTION ? d->Code[d->Next++] : 0;
}

static LONG KiNextLong(KI_DECODER *d)
{
    ULONG Value = 0;
    for (ULONG i = 0; i < 4; i++)
        Value |= (ULONG)KiNextByte(d) << i * 8;
    return (LONG)Value;
}

static ULONG64 KiRegister(const KTRAP_FRAME *f, ULONG Number)
{
    const ULONG64 Values[16] = {f->Rax, f->Rcx, f->Rdx, f->Rbx, f->Rsp, f->Rbp, f->Rsi, f->Rdi,
                                f->R8,  f->R9,  f->R10, f->R11, f->R12, f->R13, f->R14, f->R15};
    return Values[Number & 15];
}

static VOID KiDecodePrefixes(KI_DECODER *d)
{
    for (;; d->Next++) {
        UCHAR Byte = d->Code[d->Next];
        if (d->Next >= LONGEST_INSTRUCTION)
            return;
        if (Byte == 0x64 || Byte == 0x65)
            d->Segment = Byte;
        else if (Byte != 0x66 && Byte != 0x26 && Byte != 0x2E && Byte != 0x36 && Byte != 0x3E &&
                 Byte != 0x67 && Byte != 0xF0 && Byte != 0xF2 && Byte != 0xF3)
            break;
    }
    if ((d->Code[d->Next] & 0xF0) == 0x40)
        d->Rex = KiNextByte(d);
}

static VOID KiDecodeOpcode(KI_DECODER *d)
{
    d->Opcode = KiNextByte(d);
    if (d->Opcode != 0x0F)
        return;
    d->TwoBytes = TRUE;
    d->Opcode = KiNextByte(d);
    if (d->Opcode == 0x38 || d->Opcode == 0x3A) {
        d->ThreeBytes = TRUE;
        d->Opcode = KiNextByte(d);
    }
}

static BOOLEAN KiHasModRm(const KI_DECODER *d)
{
    UCHAR Op = d->Opcode;

    if (d->ThreeBytes)
        return TRUE;
    if (d->TwoBytes)
        return !(Op == 0x05 || (Op >= 0x30 && Op <= 0x37) || Op == 0x77 || (Op & 0xF0) == 0x80 ||
                 Op == 0xA0 || Op == 0xA1 || Op == 0xA2 || Op == 0xA8 || Op == 0xA9 ||
                 (Op & 0xF8) == 0xC8);
    if (Op < 0x40)
        return (Op & 7) < 4;
    return Op == 0x63 || Op == 0x69 || Op == 0x6B || (Op & 0xF0) == 0x80 || Op == 0xC0 ||
           Op == 0xC1 || Op == 0xC6 || Op == 0xC7 || (Op >= 0xD0 && Op <= 0xD3) ||
           (Op & 0xF8) == 0xD8 || (Op & 0xF6) == 0xF6;
}

static ULONG64 KiDecodeSib(KI_DECODER *d, ULONG Mod)
{
    UCHAR Sib = KiNextByte(d);
    ULONG Index = (Sib >> 3 & 7) | (d->Rex & 2 ? 8 : 0);
    ULONG Base = (Sib & 7) | (d->Rex & 1 ? 8 : 0);
    ULONG64 Address = Index == 4 ? 0 : KiRegister(d->Frame, Index) << (Sib >> 6);

    if ((Sib & 7) == 5 && Mod == 0)
        return Address + (ULONG64)(LONG64)KiNextLong(d);
    return Address + KiRegister(d->Frame, Base);
}

// FALSE: the operand is a register, or addressed relative to rip, which is never wrong.
static BOOLEAN KiDecodeModRm(KI_DECODER *d, ULONG64 *Address)
{
    d->ModRm = KiNextByte(d);
    ULONG Mod = d->ModRm >> 6, Rm = d->ModRm & 7;

    if (Mod == 3 || (Mod == 0 && Rm == 5))
        return FALSE;
    *Address = Rm == 4 ? KiDecodeSib(d, Mod) : KiRegister(d->Frame, Rm | (d->Rex & 1 ? 8 : 0));
    if (Mod == 1)
        *Address += (ULONG64)(LONG64)(SCHAR)KiNextByte(d);
    else if (Mod == 2)
        *Address += (ULONG64)(LONG64)KiNextLong(d);
    if (d->Segment != 0)
        *Address += KiReadMsr(d->Segment == 0x64 ? MSR_FS_BASE : MSR_GS_BASE);
    return TRUE;
}

// mov between the accumulator and an address in the instruction.
static BOOLEAN KiAbsoluteOperand(KI_DECODER *d, ULONG64 *Address, BOOLEAN *Write)
{
    ULONG Low;

    if (d->TwoBytes || (d->Opcode & 0xFC) != 0xA0)
        return FALSE;
    Low = (ULONG)KiNextLong(d);
    *Address = (ULONG64)(ULONG)KiNextLong(d) << 32 | Low;
    *Write = d->Opcode >= 0xA2;
    return TRUE;
}

static BOOLEAN KiWritesTwoBytes(UCHAR Op)
{
    return Op == 0x11 || Op == 0x13 || Op == 0x17 || Op == 0x29 || Op == 0x2B || Op == 0x7F ||
           (Op & 0xF0) == 0x90 || Op == 0xAB || Op == 0xB0 || Op == 0xB1 || Op == 0xB3 ||
           Op == 0xBB || Op == 0xC0 || Op == 0xC1 || Op == 0xC3 || Op == 0xC7 || Op == 0xD6 ||
           Op == 0xE7;
}

static BOOLEAN KiWrites(const KI_DECODER *d)
{
    UCHAR Op = d->Opcode, Extension = d->ModRm >> 3 & 7;

    if (d->TwoBytes)
        return !d->ThreeBytes && KiWritesTwoBytes(Op);
    if (Op < 0x38)
        return (Op & 7) < 2;
    if (Op >= 0x80 && Op <= 0x83)
        return Extension != 7;
    if ((Op & 0xFE) == 0xF6)
        return Extension == 2 || Extension == 3;
    if ((Op & 0xFE) == 0xFE)
        return Extension < 2;
    return (Op >= 0x86 && Op <= 0x89) || Op == 0x8F || Op == 0xC0 || Op == 0xC1 || Op == 0xC6 ||
           Op == 0xC7 || (Op >= 0xD0 && Op <= 0xD3);
}

static BOOLEAN KiIsCanonical(ULONG64 Address)
{
    return (ULONG64)((LONG64)(Address << 16) >> 16) == Address;
}

// movs, cmps, stos, lods, scas: rsi is read, rdi written (by movs and stos).
static BOOLEAN KiStringOperand(const KI_DECODER *d, ULONG64 *Address, BOOLEAN *Write)
{
    UCHAR Op = d->Opcode & 0xFE;
    BOOLEAN UsesRsi = Op == 0xA4 || Op == 0xA6 || Op == 0xAC;
    BOOLEAN UsesRdi = Op == 0xA4 || Op == 0xA6 || Op == 0xAA || Op == 0xAE;

    if (d->TwoBytes)
        return FALSE;
    *Write = UsesRdi && (Op == 0xA4 || Op == 0xAA) && !KiIsCanonical(d->Frame->Rdi);
    *Address = UsesRdi && !KiIsCanonical(d->Frame->Rdi) ? d->Frame->Rdi : d->Frame->Rsi;
    return UsesRsi || UsesRdi;
}

// The processor was sent to such an address: there is no instruction to look at.
static BOOLEAN KiNonCanonicalTarget(const KTRAP_FRAME *Frame, ULONG64 *Address, ULONG *Access)
{
    *Address = Frame->Rip;
    *Access = KE_ACCESS_EXECUTE;
    return !KiIsCanonical(Frame->Rip);
}

BOOLEAN KiNonCanonicalOperand(const KTRAP_FRAME *Frame, ULONG64 *Address, ULONG *Access)
{
    KI_DECODER Decoder = {.Frame = Frame};
    BOOLEAN Write;

    if (KiNonCanonicalTarget(Frame, Address, Access))
        return TRUE;
    for (ULONG i = 0; i < LONGEST_INSTRUCTION; i++)
        if (!KeSafeCopy(&Decoder.Code[i], (const VOID *)(Frame->Rip + i), 1))
            break;
    KiDecodePrefixes(&Decoder);
    KiDecodeOpcode(&Decoder);
    if (KiHasModRm(&Decoder)) {
        if (!KiDecodeModRm(&Decoder, Address))
            return FALSE;
        Write = KiWrites(&Decoder);
    } else if (!KiAbsoluteOperand(&Decoder, Address, &Write) &&
               !KiStringOperand(&Decoder, Address, &Write)) {
        return FALSE;
    }
    *Access = Write ? KE_ACCESS_WRITE : KE_ACCESS_READ;
    return !KiIsCanonical(*Address);
}
