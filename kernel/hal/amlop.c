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
    {0x70, "t>"},  {0x71, "s"},      {0x72, "tt>"},  {0x73, "tt>"}, {0x74, "tt>"}, {0x75, ">"},
    {0x76, ">"},   {0x77, "tt>"},    {0x78, "tt>>"}, {0x79, "tt>"}, {0x7A, "tt>"}, {0x7B, "tt>"},
    {0x7C, "tt>"}, {0x7D, "tt>"},    {0x7E, "tt>"},  {0x7F, "tt>"}, {0x80, "t>"},  {0x81, "t>"},
    {0x82, "t>"},  {0x83, "t"},      {0x84, "tt>"},  {0x85, "tt>"}, {0x86, "st"},  {0x87, "s"},
    {0x88, "tt>"}, {0x89, "tbtbtt"}, {0x8A, "stn"},  {0x8B, "stn"}, {0x8C, "stn"}, {0x8D, "stn"},
    {0x8E, "s"},   {0x8F, "stn"},    {0x90, "tt"},   {0x91, "tt"},  {0x92, "t"},   {0x93, "tt"},
    {0x94, "tt"},  {0x95, "tt"},     {0x96, "t>"},   {0x97, "t>"},  {0x98, "t>"},  {0x99, "t>"},
    {0x9C, "tt>"}, {0x9D, "t>"},     {0x9E, "ttt>"}, {0xA3, ""},    {0xCC, ""},
};

// Behind 0x5B.
static const AML_OPERATOR AmlExtended[] = {
    {0x12, "s>"},  {0x13, "tttn"}, {0x1F, "tttttt"}, {0x20, "s>"}, {0x21, "t"},
    {0x22, "t"},   {0x23, "sw"},   {0x24, "s"},      {0x25, "st"}, {0x26, "s"},
    {0x27, "s"},   {0x28, "t>"},   {0x29, "t>"},     {0x30, ""},   {0x31, ""},
    {0x32, "bdt"}, {0x33, ""},     {0x88, "nttt"},   {0x01, "nb"}, {0x02, "n"},
};

static const char *INIT_CODE AmlOperandsOf(const AML_OPERATOR *Table, ULONG Count, UCHAR Code)
{
    for (ULONG i = 0; i < Count; i++)
        if (Table[i].Code == Code)
            return Table[i].Operands;
    return NULL;
}

typedef struct _AML_GATHERED {
    AML_VALUE Value[3]; // of the first terms
    AML_TARGET Target[2], Object;
    ULONG Values, Targets;
    USHORT Window; // declared
} AML_GATHERED;

static VOID INIT_CODE AmlGather(const char *Operands, AML_READER *Reader, AML_FRAME *Frame,
                                AML_GATHERED *Gathered)
{
    AML_VALUE Value;
    AML_PATH Path;
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
    case 0x72:
        return a + b;
    case 0x74:
        return a - b;
    case 0x77:
        return a * b;
    case 0x79:
        return b < 64 ? a << b : 0;
    case 0x7A:
        return b < 64 ? a >> b : 0;
    case 0x7B:
        return a & b;
    case 0x7C:
        return ~(a & b);
    case 0x7D:
        return a | b;
    case 0x7E:
        return ~(a | b);
    case 0x7F:
        return a ^ b;
    case 0x80:
        return ~a;
    case 0x90:
        return a && b ? ~0ull : 0;
    case 0x91:
        return a || b ? ~0ull : 0;
    case 0x92:
        return a ? 0 : ~0ull;
    case 0x93:
        return a == b ? ~0ull : 0;
    case 0x94:
        return a > b ? ~0ull : 0;
    default:
        return a < b ? ~0ull : 0; // 0x95
    }
}

static BOOLEAN INIT_CODE AmlComputes(UCHAR Code)
{
    return Code == 0x72 || Code == 0x74 || Code == 0x77 || (Code >= 0x79 && Code <= 0x80) ||
           (Code >= 0x90 && Code <= 0x95);
}

static VOID INIT_CODE AmlStoreAll(const AML_GATHERED *Operands, AML_VALUE Value)
{
    for (ULONG i = 0; i < Operands->Targets; i++)
        AmlStore(Operands->Target[i], Value);
}

static AML_VALUE INIT_CODE AmlOperate(UCHAR Code, const AML_GATHERED *Operands)
{
    const AML_VALUE *a = &Operands->Value[0], *b = &Operands->Value[1];
    AML_VALUE Value = AML_NOTHING;
    if (Code == 0x70 || Code == 0x83 || Code == 0x99 || Code == 0x9D) { // the operand itself
        Value = *a;
    } else if (Code == 0x75 || Code == 0x76) {
        Value = AmlHeld(Operands->Target[0]);
        Value = Value.Kind == AmlInteger
                    ? AmlMakeInteger(Value.Integer + (Code == 0x75 ? 1 : ~0ull))
                    : AML_NOTHING;
    } else if (Code == 0x88 && (a->Kind == AmlPackage || a->Kind == AmlArray) &&
               b->Kind == AmlInteger) {
        Value = AmlElement(*a, b->Integer);
    } else if (AmlComputes(Code) && a->Kind == AmlInteger &&
               (Operands->Values < 2 || b->Kind == AmlInteger)) {
        Value = AmlMakeInteger(AmlCompute(Code, a->Integer, b->Integer));
    }
    AmlStoreAll(Operands, Value);
    return Value;
}

static VOID INIT_CODE AmlOperateWindow(UCHAR Code, const AML_GATHERED *Operands, AML_FRAME *Frame)
{
    static const UCHAR Bits[] = {32, 16, 8, 1, 0, 64}; // from 0x8A on
    AmlOpenWindow(Operands->Window, Bits[Code - 0x8A], AmlOwnBuffer(Operands->Object, Frame),
                  Operands->Value[0]);
}

static BOOLEAN INIT_CODE AmlOpensWindow(UCHAR Code)
{
    return (Code >= 0x8A && Code <= 0x8D) || Code == 0x8F;
}

AML_VALUE INIT_CODE AmlOperation(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame)
{
    AML_GATHERED Gathered = {.Window = AML_NOWHERE};
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
    AML_GATHERED Gathered = {.Window = AML_NOWHERE};
    const char *Operands = AmlOperandsOf(AmlExtended, RTL_NUMBER_OF(AmlExtended), Code);
    if (Operands == NULL) {
        Aml.Failed = TRUE;
        return;
    }
    AmlGather(Operands, Reader, Frame, &Gathered);
    AmlStoreAll(&Gathered, AML_NOTHING);
}
