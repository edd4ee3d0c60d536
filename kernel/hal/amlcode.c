// SPDX-License-Identifier: MIT
// amlcode.c: ACPI's byte code, a byte at a time.
//
// Problem: the code comes from firmware and is not trusted. Any of its lengths may be wrong, a
// block may claim to be longer than what it lies in, a path may run over the end.
//
// Idea: code is read through an AML_READER, what is left of one block. There is one way to get a
// byte of it, AmlByte (amlp.h), which stops at the end, and one to get a block within the block,
// AmlBlock, which checks that it lies inside. Whoever reads need not check anything else.
//
// Invariants: what is wrong sets Aml.Failed, and what lies behind the end reads as zeros. Nothing
// is looked at any more, then, until the block of a table, or the evaluation, is left (aml.c). So a
// loop over code ends when Aml.Failed is set, and not only at the code's end.
//
// Limits: each call has a frame on the stack, which is not large: MAX_CALLS of them may be within
// each other. Depth and steps are aml.c's.
//
// Source: ACPI Specification 6.5, 20.2.2 (names), 20.2.4 (lengths). Tests: fuzz_hal_aml.c.
#include "amlp.h"

#define MAX_CALLS 5u // of methods and names within each other

AML_STATE Aml;

// ---- bytes --------------------------------------------------------------------------------------
ULONG64 INIT_CODE AmlNumber(AML_READER *Reader, ULONG Size)
{
    ULONG64 Value = 0;
    for (ULONG i = 0; i < Size; i++)
        Value |= (ULONG64)AmlByte(Reader) << (8 * i);
    return Value;
}

// "PkgLength"
ULONG INIT_CODE AmlLength(AML_READER *Reader)
{
    ULONG Lead = AmlByte(Reader);
    return Lead >> 6 == 0 ? Lead : (Lead & 15) | (ULONG)AmlNumber(Reader, Lead >> 6) << 4;
}

// A block that begins with its own length; Reader moves behind it.
AML_READER INIT_CODE AmlBlock(AML_READER *Reader)
{
    const UCHAR *Start = Reader->At;
    ULONG Length = AmlLength(Reader);
    AML_READER Block = {Reader->At, Reader->At};
    SIZE_T Left = (SIZE_T)(Reader->End - Start);
    if (Aml.Failed || Length > Left || Start + Length < Reader->At) {
        Aml.Failed = TRUE;
        return Block;
    }
    Block.End = Reader->At = Start + Length;
    return Block;
}

// ---- paths --------------------------------------------------------------------------------------
BOOLEAN INIT_CODE AmlBeginsName(UCHAR Code)
{
    return (Code >= 'A' && Code <= 'Z') || Code == '_' || Code == '\\' || Code == '^' ||
           Code == AmlOpDualName || Code == AmlOpMultiName;
}

AML_PATH INIT_CODE AmlPath(AML_READER *Reader)
{
    AML_PATH Path = {FALSE, 0, 1, NULL};
    if (AmlPeek(Reader) == '\\') {
        Path.Absolute = TRUE;
        AmlByte(Reader);
    }
    for (; AmlPeek(Reader) == '^'; Path.Up++)
        AmlByte(Reader);
    UCHAR Lead = AmlPeek(Reader);
    if (Lead == AmlOpZero || Lead == AmlOpDualName || Lead == AmlOpMultiName) { // none, two, many
        AmlByte(Reader);
        Path.Count = Lead == AmlOpMultiName ? AmlByte(Reader) : Lead == AmlOpDualName ? 2 : 0;
    }
    Path.Names = Reader->At;
    if ((SIZE_T)(Reader->End - Reader->At) < 4u * Path.Count)
        Aml.Failed = TRUE;
    else
        Reader->At += 4 * Path.Count;
    return Path;
}

ULONG INIT_CODE AmlNameAt(const AML_PATH *Path, ULONG Index)
{
    ULONG Name;
    memcpy(&Name, Path->Names + 4 * Index, sizeof(Name));
    return Name;
}

// ---- calls --------------------------------------------------------------------------------------
BOOLEAN INIT_CODE AmlBeginCall(VOID)
{
    if (Aml.Calls == MAX_CALLS) {
        Aml.Failed = TRUE;
        return FALSE;
    }
    Aml.Calls++;
    return TRUE;
}

VOID INIT_CODE AmlEndCall(VOID)
{
    Aml.Calls--;
}
