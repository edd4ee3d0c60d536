// SPDX-License-Identifier: MIT
// amlop.c: AML's operators: what operands each takes, and what comes of them.
//
// Problem: an operator's code does not say how long it is. Whoever wants to go on behind it must
// know what follows, of all sixty, whether they are of any interest or not.
//
// Idea: tables with a line of letters for each operator, one an operand; AmlGather reads along. So
// all operators are understood as far as their length, and those with integers, packages and
// windows are carried out (AmlOperate). The others yield "unknown", and so does each that has an
// operand which is unknown. Targets get what comes of it either way.
//
// Limits: no strings or buffers are computed with, there is no division, and nothing is waited for,
// signalled or locked. Integers have 64 bits whatever the table's revision says.
//
// Source: ACPI Specification 6.5, 19.6 (meaning), 20.2.5.4 (encoding). Tests: test_hal_aml.c.
#include "amlp.h"

// What follows an operator's code: t a term, > a target, n a name that is declared, s an object
// that is named, b w d bytes.
typedef struct _AML_OPERATOR {
    UCHAR Code;
    const char *Operands;
} AML_OPERATOR;

static const AML_OPERATOR AmlOperators[] = {
    {AmlOpStore, "t>"},
    {AmlOpRefOf, "s"},
    {AmlOpAdd, "tt>"},
    {AmlOpConcat, "tt>"},
    {AmlOpSubtract, "tt>"},
    {AmlOpIncrement, ">"},
    {AmlOpDecrement, ">"},
    {AmlOpMultiply, "tt>"},
    {AmlOpDivide, "tt>>"},
    {AmlOpShiftLeft, "tt>"},
    {AmlOpShiftRight, "tt>"},
    {AmlOpAnd, "tt>"},
    {AmlOpNAnd, "tt>"},
    {AmlOpOr, "tt>"},
    {AmlOpNOr, "tt>"},
    {AmlOpXOr, "tt>"},
    {AmlOpNot, "t>"},
    {AmlOpFindSetLeftBit, "t>"},
    {AmlOpFindSetRightBit, "t>"},
    {AmlOpDerefOf, "t"},
    {AmlOpConcatRes, "tt>"},
    {AmlOpMod, "tt>"},
    {AmlOpNotify, "st"},
    {AmlOpSizeOf, "s"},
    {AmlOpIndex, "tt>"},
    {AmlOpMatch, "tbtbtt"},
    {AmlOpCreateDWordField, "stn"},
    {AmlOpCreateWordField, "stn"},
    {AmlOpCreateByteField, "stn"},
    {AmlOpCreateBitField, "stn"},
    {AmlOpObjectType, "s"},
    {AmlOpCreateQWordField, "stn"},
    {AmlOpLAnd, "tt"},
    {AmlOpLOr, "tt"},
    {AmlOpLNot, "t"},
    {AmlOpLEqual, "tt"},
    {AmlOpLGreater, "tt"},
    {AmlOpLLess, "tt"},
    {AmlOpToBuffer, "t>"},
    {AmlOpToDecimalString, "t>"},
    {AmlOpToHexString, "t>"},
    {AmlOpToInteger, "t>"},
    {AmlOpToString, "tt>"},
    {AmlOpCopyObject, "t>"},
    {AmlOpMid, "ttt>"},
    {AmlOpNoop, ""},
    {AmlOpBreakPoint, ""},
};

// Behind AmlOpExtended.
static const AML_OPERATOR AmlExtended[] = {
    {AmlExtCondRefOf, "s>"}, {AmlExtCreateField, "tttn"}, {AmlExtLoadTable, "tttttt"},
    {AmlExtLoad, "s>"},      {AmlExtStall, "t"},          {AmlExtSleep, "t"},
    {AmlExtAcquire, "sw"},   {AmlExtSignal, "s"},         {AmlExtWait, "st"},
    {AmlExtReset, "s"},      {AmlExtRelease, "s"},        {AmlExtFromBcd, "t>"},
    {AmlExtToBcd, "t>"},     {AmlExtRevision, ""},        {AmlExtDebug, ""},
    {AmlExtFatal, "bdt"},    {AmlExtTimer, ""},           {AmlExtDataRegion, "nttt"},
    {AmlExtMutex, "nb"},     {AmlExtEvent, "n"},
};

static const char *INIT_CODE AmlOperandsOf(const AML_OPERATOR *Table, ULONG Count, UCHAR Code)
{
    for (ULONG i = 0; i < Count; i++)
        if (Table[i].Code == Code)
            return Table[i].Operands;
    return NULL;
}

// What an operator does not have is not set: clearing it took longer than most operators.
typedef struct _AML_GATHERED {
    AML_VALUE Value[2]; // of the first terms
    AML_TARGET Target[2], Object;
    ULONG Values, Targets;
    USHORT Window; // declared
} AML_GATHERED;

static VOID INIT_CODE AmlGather(const char *Operands, AML_READER *Reader, AML_FRAME *Frame,
                                AML_GATHERED *Gathered)
{
    AML_VALUE Value;
    AML_PATH Path;
    Gathered->Values = Gathered->Targets = 0;
    Gathered->Window = AML_NOWHERE;
    for (; *Operands != '\0' && !Aml.Failed; Operands++) {
        switch (*Operands) {
        case 't':
            Value = AmlTerm(Reader, Frame);
            if (Gathered->Values < RTL_NUMBER_OF(Gathered->Value))
                Gathered->Value[Gathered->Values++] = Value;
            break;
        case 's':
            Gathered->Object = AmlTarget(Reader, Frame);
            break;
        case '>':
            Gathered->Target[Gathered->Targets++] = AmlTarget(Reader, Frame);
            break;
        case 'n':
            Path = AmlPath(Reader);
            Gathered->Window = AmlDeclareWindow(&Path, Frame->Place);
            break;
        default:
            AmlNumber(Reader, *Operands == 'b' ? 1 : *Operands == 'w' ? 2 : 4);
        }
    }
}

static ULONG64 INIT_CODE AmlCompute(UCHAR Code, ULONG64 a, ULONG64 b)
{
    switch (Code) {
    case AmlOpAdd:
        return a + b;
    case AmlOpSubtract:
        return a - b;
    case AmlOpMultiply:
        return a * b;
    case AmlOpShiftLeft:
        return b < 64 ? a << b : 0;
    case AmlOpShiftRight:
        return b < 64 ? a >> b : 0;
    case AmlOpAnd:
        return a & b;
    case AmlOpNAnd:
        return ~(a & b);
    case AmlOpOr:
        return a | b;
    case AmlOpNOr:
        return ~(a | b);
    case AmlOpXOr:
        return a ^ b;
    case AmlOpNot:
        return ~a;
    case AmlOpLAnd:
        return a && b ? ~0ull : 0;
    case AmlOpLOr:
        return a || b ? ~0ull : 0;
    case AmlOpLNot:
        return a ? 0 : ~0ull;
    case AmlOpLEqual:
        return a == b ? ~0ull : 0;
    case AmlOpLGreater:
        return a > b ? ~0ull : 0;
    default:
        return a < b ? ~0ull : 0; // AmlOpLLess
    }
}

static BOOLEAN INIT_CODE AmlComputes(UCHAR Code)
{
    return Code == AmlOpAdd || Code == AmlOpSubtract || Code == AmlOpMultiply ||
           (Code >= AmlOpShiftLeft && Code <= AmlOpNot) ||
           (Code >= AmlOpLAnd && Code <= AmlOpLLess);
}

static VOID INIT_CODE AmlStoreAll(const AML_GATHERED *Operands, AML_VALUE Value)
{
    for (ULONG i = 0; i < Operands->Targets; i++)
        AmlStore(Operands->Target[i], Value);
}

// This and AmlOperateWindow are not inline: what they need of the stack would be there while
// operands are evaluated, eighteen within each other.
static DECLSPEC_NOINLINE AML_VALUE INIT_CODE AmlOperate(UCHAR Code, const AML_GATHERED *Operands)
{
    const AML_VALUE *a = &Operands->Value[0], *b = &Operands->Value[Operands->Values > 1];
    AML_VALUE Value = AML_NOTHING;
    if (Code == AmlOpStore || Code == AmlOpDerefOf || Code == AmlOpToInteger ||
        Code == AmlOpCopyObject) { // the operand itself
        Value = *a;
    } else if (Code == AmlOpIncrement || Code == AmlOpDecrement) {
        Value = AmlHeld(Operands->Target[0]);
        Value = Value.Kind == AmlInteger
                    ? AmlMakeInteger(Value.Integer + (Code == AmlOpIncrement ? 1 : ~0ull))
                    : AML_NOTHING;
    } else if (Code == AmlOpIndex && (a->Kind == AmlPackage || a->Kind == AmlArray) &&
               b->Kind == AmlInteger) {
        Value = AmlElement(*a, b->Integer);
    } else if (AmlComputes(Code) && a->Kind == AmlInteger && b->Kind == AmlInteger) {
        Value = AmlMakeInteger(AmlCompute(Code, a->Integer, b->Integer));
    }
    AmlStoreAll(Operands, Value);
    return Value;
}

static DECLSPEC_NOINLINE VOID INIT_CODE AmlOperateWindow(UCHAR Code, const AML_GATHERED *Operands,
                                                         AML_FRAME *Frame)
{
    static const UCHAR Bits[] = {32, 16, 8, 1, 0, 64}; // from AmlOpCreateDWordField on
    AmlOpenWindow(Operands->Window, Bits[Code - AmlOpCreateDWordField],
                  AmlOwnBuffer(Operands->Object, Frame), Operands->Value[0]);
}

static BOOLEAN INIT_CODE AmlOpensWindow(UCHAR Code)
{
    return (Code >= AmlOpCreateDWordField && Code <= AmlOpCreateBitField) ||
           Code == AmlOpCreateQWordField;
}

AML_VALUE INIT_CODE AmlOperation(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame)
{
    AML_GATHERED Gathered;
    const char *Operands = AmlOperandsOf(AmlOperators, RTL_NUMBER_OF(AmlOperators), Code);
    if (Operands == NULL) {
        Aml.Failed = TRUE;
        return AML_NOTHING;
    }
    AmlGather(Operands, Reader, Frame, &Gathered);
    if (Aml.Failed)
        return AML_NOTHING;
    if (!AmlOpensWindow(Code))
        return AmlOperate(Code, &Gathered);
    if (!Frame->Loading)
        AmlOperateWindow(Code, &Gathered, Frame);
    return AML_NOTHING;
}

// What these do has no effect here, and whatever they yield is unknown.
VOID INIT_CODE AmlExtendedOperation(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame)
{
    AML_GATHERED Gathered;
    const char *Operands = AmlOperandsOf(AmlExtended, RTL_NUMBER_OF(AmlExtended), Code);
    if (Operands == NULL) {
        Aml.Failed = TRUE;
        return;
    }
    AmlGather(Operands, Reader, Frame, &Gathered);
    AmlStoreAll(&Gathered, AML_NOTHING);
}
