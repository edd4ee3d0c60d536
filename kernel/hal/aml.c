// SPDX-License-Identifier: MIT
// aml.c: a reader of ACPI's byte code (AML) for the questions whose answers are constants.
//
// Firmware describes how PCI's interrupt pins are wired (route.c) in a program. What such a program
// says on a PC is nearly always a constant table, chosen by an If over a variable that the method
// \_PIC set. So this runs AML, but has no hands: no register, no field of an operation region is
// read or written. What depends on one is "unknown", and so is all that is computed from it; a
// decision on something unknown ends the evaluation, which then fails, and its caller does without.
// A wrong answer is worse than none: what would change a package or a buffer in place fails too.
//
// Name space: a tree of nodes in memory that the caller lends, each with four letters, a kind and
// the code that makes its value, which is evaluated when asked for; a name that an integer is
// stored to keeps the integer. Fields get no nodes: a name that is not found is unknown.
//
// Code comes from firmware and is not trusted: every byte is read through AmlByte, which stops at
// the end of the enclosing block; nesting and steps have limits; once Failed is set, nothing is
// looked at any more until the block, or the evaluation, is left.
//
// Source: ACPI Specification 6.5, chapters 5.3 (name space), 19 (meaning), 20 (encoding). Tests:
// test_hal_aml.c, fuzz_hal_aml.c, and QEMU's tables in tests/system/test_routing.py.
#include "aml.h"
#include "init.h"
#include "rtl.h"

#define MAX_DEPTH 18u      // of blocks, calls and operands within each other
#define MAX_CALLS 5u       // of methods and names within each other: each has a frame on the stack
#define MAX_STEPS 100000u  // terms, for one block or evaluation
#define MAX_TOTAL 1000000u // and for all together: then nothing more can be told
#define LOCALS    8u
#define ARGUMENTS 7u

typedef enum _AML_NODE_KIND {
    AmlNodePlace,   // device, scope, and what else only holds names
    AmlNodeName,    // Data: the code of its value
    AmlNodeInteger, // a name that was stored to
    AmlNodeMethod,  // Data: its code
    AmlNodeUnknown,
    AmlNodeWindow, // into a buffer: storing to it would change the buffer
} AML_NODE_KIND;

typedef struct _AML_NODE {
    union {
        ULONG64 Integer;
        const UCHAR *Data;
    };
    ULONG Length;
    ULONG Name;
    USHORT Parent, Next, Child; // Next: the next child of Parent; 0: none
    UCHAR Kind;                 // AML_NODE_KIND
    UCHAR Arguments;
} AML_NODE;

typedef struct _AML_READER {
    const UCHAR *At, *End;
} AML_READER;

typedef struct _AML_FRAME {
    AML_VALUE Local[LOCALS], Argument[ARGUMENTS], Result;
    USHORT Place;    // where names are looked up and made
    BOOLEAN Loading; // a definition block's own code, not a method's
} AML_FRAME;

typedef enum _AML_FLOW { AmlGoesOn, AmlReturns, AmlBreaks, AmlContinues } AML_FLOW;

static struct {
    AML_NODE *Node;
    ULONG Count, Limit, Depth, Calls, Steps, Total;
    BOOLEAN Failed;
} Aml;

static AML_VALUE AmlTerm(AML_READER *Reader, AML_FRAME *Frame);
static AML_FLOW AmlRun(AML_READER Code, AML_FRAME *Frame);

// ---- bytes --------------------------------------------------------------------------------------
static UCHAR INIT_CODE AmlByte(AML_READER *Reader)
{
    if (Reader->At < Reader->End)
        return *Reader->At++;
    Aml.Failed = TRUE;
    return 0;
}

static UCHAR INIT_CODE AmlPeek(const AML_READER *Reader)
{
    return Reader->At < Reader->End ? *Reader->At : 0;
}

static ULONG64 INIT_CODE AmlNumber(AML_READER *Reader, ULONG Size)
{
    ULONG64 Value = 0;
    for (ULONG i = 0; i < Size; i++)
        Value |= (ULONG64)AmlByte(Reader) << (8 * i);
    return Value;
}

// A block that begins with its own length ("PkgLength"); Reader moves behind it.
static AML_READER INIT_CODE AmlBlock(AML_READER *Reader)
{
    const UCHAR *Start = Reader->At;
    ULONG Lead = AmlByte(Reader), Length = Lead & 0x3F;
    if (Lead >> 6 != 0)
        Length = (Lead & 15) | (ULONG)AmlNumber(Reader, Lead >> 6) << 4;
    AML_READER Block = {Reader->At, Reader->At};
    SIZE_T Left = (SIZE_T)(Reader->End - Start);
    if (Aml.Failed || Length > Left || Start + Length < Reader->At) {
        Aml.Failed = TRUE;
        return Block;
    }
    Block.End = Reader->At = Start + Length;
    return Block;
}

// ---- names --------------------------------------------------------------------------------------
typedef struct _AML_PATH {
    BOOLEAN Absolute;
    ULONG Up;    // parents
    ULONG Count; // of names, four letters each
    const UCHAR *Names;
} AML_PATH;

static AML_PATH INIT_CODE AmlPath(AML_READER *Reader)
{
    AML_PATH Path = {FALSE, 0, 1, NULL};
    if (AmlPeek(Reader) == '\\') {
        Path.Absolute = TRUE;
        AmlByte(Reader);
    }
    for (; AmlPeek(Reader) == '^'; Path.Up++)
        AmlByte(Reader);
    UCHAR Lead = AmlPeek(Reader);
    if (Lead == 0x00 || Lead == 0x2E || Lead == 0x2F) { // none, two, many
        AmlByte(Reader);
        Path.Count = Lead == 0x2F ? AmlByte(Reader) : Lead == 0x2E ? 2 : 0;
    }
    Path.Names = Reader->At;
    if ((SIZE_T)(Reader->End - Reader->At) < 4u * Path.Count)
        Aml.Failed = TRUE;
    else
        Reader->At += 4 * Path.Count;
    return Path;
}

static ULONG INIT_CODE AmlNameAt(const AML_PATH *Path, ULONG Index)
{
    ULONG Name;
    memcpy(&Name, Path->Names + 4 * Index, sizeof(Name));
    return Name;
}

USHORT INIT_CODE HalpAmlChild(USHORT Place, ULONG Name)
{
    if (Place == AML_NOWHERE)
        return AML_NOWHERE;
    for (USHORT Child = Aml.Node[Place].Child; Child != 0; Child = Aml.Node[Child].Next)
        if (Aml.Node[Child].Name == Name)
            return Child;
    return AML_NOWHERE;
}

USHORT INIT_CODE HalpAmlParent(USHORT Place)
{
    return Aml.Node[Place].Parent;
}

USHORT INIT_CODE HalpAmlNext(USHORT Place)
{
    return Place + 1u < Aml.Count ? (USHORT)(Place + 1) : (USHORT)AML_NOWHERE;
}

// Where a path leads that is followed from Place, its last Behind names left out.
static USHORT INIT_CODE AmlFollow(const AML_PATH *Path, USHORT Place, ULONG Behind)
{
    if (Path->Absolute)
        Place = AML_ROOT;
    for (ULONG i = 0; i < Path->Up && Place != AML_ROOT; i++)
        Place = Aml.Node[Place].Parent;
    for (ULONG i = 0; i + Behind < Path->Count; i++)
        Place = HalpAmlChild(Place, AmlNameAt(Path, i));
    return Place;
}

// A single name is looked for in the enclosing places too.
static USHORT INIT_CODE AmlFind(const AML_PATH *Path, USHORT Place)
{
    if (Path->Absolute || Path->Up != 0 || Path->Count != 1)
        return AmlFollow(Path, Place, 0);
    ULONG Name = AmlNameAt(Path, 0);
    for (;;) {
        USHORT Found = HalpAmlChild(Place, Name);
        if (Found != AML_NOWHERE || Place == AML_ROOT)
            return Found;
        Place = Aml.Node[Place].Parent;
    }
}

static USHORT INIT_CODE AmlAdd(USHORT Parent, ULONG Name)
{
    if (Aml.Count == Aml.Limit) {
        Aml.Failed = TRUE;
        return AML_NOWHERE;
    }
    USHORT Place = (USHORT)Aml.Count++;
    Aml.Node[Place] = (AML_NODE){.Name = Name, .Parent = Parent, .Next = Aml.Node[Parent].Child};
    Aml.Node[Parent].Child = Place;
    return Place;
}

// The object that a declaration names; made, if it is new. AML_NOWHERE: its place does not exist.
static USHORT INIT_CODE AmlDeclare(const AML_PATH *Path, const AML_FRAME *Frame, UCHAR Kind)
{
    USHORT Place = Aml.Failed ? AML_NOWHERE : AmlFollow(Path, Frame->Place, Path->Count ? 1 : 0);
    if (Place == AML_NOWHERE || Path->Count == 0)
        return Place;
    ULONG Name = AmlNameAt(Path, Path->Count - 1);
    USHORT Found = HalpAmlChild(Place, Name);
    if (Found == AML_NOWHERE)
        Found = AmlAdd(Place, Name);
    if (Found != AML_NOWHERE)
        Aml.Node[Found].Kind = Kind;
    return Found;
}

static VOID INIT_CODE AmlDeclareCode(const AML_PATH *Path, const AML_FRAME *Frame, UCHAR Kind,
                                     AML_READER Code, UCHAR Arguments)
{
    USHORT Place = AmlDeclare(Path, Frame, Kind);
    if (Place == AML_NOWHERE || Place == AML_ROOT)
        return;
    Aml.Node[Place].Data = Code.At;
    Aml.Node[Place].Length = (ULONG)(Code.End - Code.At);
    Aml.Node[Place].Arguments = Arguments;
}

// ---- values -------------------------------------------------------------------------------------
static const AML_VALUE AmlNothing;
static const UCHAR AmlNoCode[1]; // of methods that are only known to exist

static AML_VALUE INIT_CODE AmlMakeInteger(ULONG64 Integer)
{
    return (AML_VALUE){.Integer = Integer, .Kind = AmlInteger};
}

static AML_VALUE INIT_CODE AmlMakeView(UCHAR Kind, AML_READER Code, USHORT Place)
{
    return (AML_VALUE){
        .Data = Code.At, .Length = (ULONG)(Code.End - Code.At), .Place = Place, .Kind = Kind};
}

// Calls a method whose arguments follow the name in Reader.
static AML_VALUE INIT_CODE AmlCall(const AML_NODE *Method, USHORT Place, AML_READER *Reader,
                                   AML_FRAME *Caller)
{
    AML_FRAME Frame = {.Place = Place};
    for (ULONG i = 0; i < Method->Arguments; i++)
        Frame.Argument[i] = AmlTerm(Reader, Caller);
    AmlRun((AML_READER){Method->Data, Method->Data + Method->Length}, &Frame);
    return Frame.Result;
}

// The value that a name's code makes: data, which knows no arguments.
static AML_VALUE INIT_CODE AmlMakeValue(const AML_NODE *Node)
{
    AML_READER Code = {Node->Data, Node->Data + Node->Length};
    AML_FRAME Frame = {.Place = Node->Parent};
    return AmlTerm(&Code, &Frame);
}

// Each has a frame on the stack, which is not large.
static BOOLEAN INIT_CODE AmlBeginCall(VOID)
{
    if (Aml.Calls == MAX_CALLS) {
        Aml.Failed = TRUE;
        return FALSE;
    }
    Aml.Calls++;
    return TRUE;
}

static AML_VALUE INIT_CODE AmlValueOf(USHORT Place, AML_READER *Reader, AML_FRAME *Frame)
{
    AML_VALUE Value = AmlNothing;
    if (Place == AML_NOWHERE)
        return Value;
    const AML_NODE *Node = &Aml.Node[Place];
    if (Node->Kind == AmlNodePlace)
        return (AML_VALUE){.Place = Place, .Kind = AmlObject};
    if (Node->Kind == AmlNodeInteger)
        return AmlMakeInteger(Node->Integer);
    if (Node->Kind != AmlNodeName && Node->Kind != AmlNodeMethod)
        return Value;
    if (!AmlBeginCall())
        return Value;
    Value = Node->Kind == AmlNodeName ? AmlMakeValue(Node) : AmlCall(Node, Place, Reader, Frame);
    Aml.Calls--;
    return Value;
}

static AML_VALUE INIT_CODE AmlMakeString(AML_READER *Reader)
{
    AML_READER Text = {Reader->At, Reader->At};
    while (AmlByte(Reader) != 0)
        ;
    Text.End = Reader->At;
    return AmlMakeView(AmlString, Text, 0);
}

static AML_VALUE INIT_CODE AmlMakeBuffer(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_READER Bytes = AmlBlock(Reader);
    AmlTerm(&Bytes, Frame); // its size; what is not given is zero, and of no interest
    return AmlMakeView(AmlBuffer, Bytes, 0);
}

static AML_VALUE INIT_CODE AmlMakePackage(AML_READER *Reader, AML_FRAME *Frame, BOOLEAN Variable)
{
    AML_READER Elements = AmlBlock(Reader);
    if (Variable)
        AmlTerm(&Elements, Frame);
    else
        AmlByte(&Elements);
    return AmlMakeView(AmlPackage, Elements, Frame->Place);
}

static BOOLEAN INIT_CODE AmlBeginsName(UCHAR Code)
{
    return (Code >= 'A' && Code <= 'Z') || Code == '_' || Code == '\\' || Code == '^' ||
           Code == 0x2E || Code == 0x2F;
}

// ---- elements -----------------------------------------------------------------------------------
// What a package's name stands for: an object is named, not called.
static AML_VALUE INIT_CODE AmlElementAt(AML_READER *Reader, AML_FRAME *Frame)
{
    if (!AmlBeginsName(AmlPeek(Reader)))
        return AmlTerm(Reader, Frame);
    AML_PATH Path = AmlPath(Reader);
    USHORT Place = Aml.Failed ? AML_NOWHERE : AmlFind(&Path, Frame->Place);
    if (Place == AML_NOWHERE || Aml.Node[Place].Kind == AmlNodeMethod)
        return AmlNothing;
    return AmlValueOf(Place, Reader, Frame);
}

BOOLEAN INIT_CODE HalpAmlTakeElement(AML_VALUE *Package, AML_VALUE *Value)
{
    if (Package->Kind != AmlPackage || Package->Length == 0 || Aml.Failed)
        return FALSE;
    AML_READER Reader = {Package->Data, Package->Data + Package->Length};
    AML_FRAME Frame = {.Place = Package->Place};
    *Value = AmlElementAt(&Reader, &Frame);
    Package->Data = Reader.At;
    Package->Length = (ULONG)(Reader.End - Reader.At);
    return !Aml.Failed;
}

static AML_VALUE INIT_CODE AmlElement(AML_VALUE Package, ULONG64 Index)
{
    AML_VALUE Value = AmlNothing;
    BOOLEAN There = TRUE;
    if (!AmlBeginCall())
        return Value;
    for (ULONG64 i = 0; i <= Index && There; i++)
        There = HalpAmlTakeElement(&Package, &Value);
    Aml.Calls--;
    return There ? Value : AmlNothing;
}

// ---- storing ------------------------------------------------------------------------------------
// Where a result may go. Nothing: it is not kept.
typedef struct _AML_TARGET {
    AML_VALUE *Variable;
    USHORT Place;
    BOOLEAN Inside; // of a package or buffer
} AML_TARGET;

static AML_TARGET INIT_CODE AmlTarget(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_TARGET Target = {NULL, AML_NOWHERE, FALSE};
    UCHAR Code = AmlPeek(Reader);
    if (Code >= 0x60 && Code < 0x60 + LOCALS + ARGUMENTS) {
        AmlByte(Reader);
        Target.Variable = Code < 0x68 ? &Frame->Local[Code - 0x60] : &Frame->Argument[Code - 0x68];
    } else if (Code == 0x5B) { // the debug object
        AmlTerm(Reader, Frame);
    } else if (Code == 0x71 || Code == 0x83 || Code == 0x88) {
        AmlTerm(Reader, Frame);
        Target.Inside = TRUE;
    } else {
        AML_PATH Path = AmlPath(Reader);
        if (!Aml.Failed && (Path.Count != 0 || Path.Absolute || Path.Up != 0))
            Target.Place = AmlFind(&Path, Frame->Place);
    }
    return Target;
}

static VOID INIT_CODE AmlStore(AML_TARGET Target, AML_VALUE Value)
{
    if (Target.Variable != NULL)
        *Target.Variable = Value;
    if (Target.Inside)
        Aml.Failed = TRUE;
    if (Target.Place == AML_NOWHERE)
        return;
    AML_NODE *Node = &Aml.Node[Target.Place];
    if (Node->Kind == AmlNodeWindow || Node->Kind == AmlNodeMethod || Node->Kind == AmlNodePlace) {
        Aml.Failed = TRUE;
    } else if (Value.Kind == AmlInteger) {
        Node->Kind = AmlNodeInteger;
        Node->Integer = Value.Integer;
    } else {
        Node->Kind = AmlNodeUnknown;
    }
}

// What a name, local or argument in a target's place holds now.
static AML_VALUE INIT_CODE AmlHeld(AML_TARGET Target, AML_FRAME *Frame)
{
    AML_READER None = {NULL, NULL};
    return Target.Variable != NULL ? *Target.Variable : AmlValueOf(Target.Place, &None, Frame);
}

// ---- operators ----------------------------------------------------------------------------------
// What follows an operator's code: t a term, > a target, n a name that is declared, s an object
// that is named, b w d bytes.
typedef struct _AML_OPERATOR {
    UCHAR Code;
    const char *Operands;
} AML_OPERATOR;

#define AML_OPERANDS 6u

static const AML_OPERATOR AmlOperators[] = {
    {0x70, "t>"},  {0x71, "s"},      {0x72, "tt>"},  {0x73, "tt>"}, {0x74, "tt>"}, {0x75, ">"},
    {0x76, ">"},   {0x77, "tt>"},    {0x78, "tt>>"}, {0x79, "tt>"}, {0x7A, "tt>"}, {0x7B, "tt>"},
    {0x7C, "tt>"}, {0x7D, "tt>"},    {0x7E, "tt>"},  {0x7F, "tt>"}, {0x80, "t>"},  {0x81, "t>"},
    {0x82, "t>"},  {0x83, "t"},      {0x84, "tt>"},  {0x85, "tt>"}, {0x86, "st"},  {0x87, "s"},
    {0x88, "tt>"}, {0x89, "tbtbtt"}, {0x8A, "ttn"},  {0x8B, "ttn"}, {0x8C, "ttn"}, {0x8D, "ttn"},
    {0x8E, "s"},   {0x8F, "ttn"},    {0x90, "tt"},   {0x91, "tt"},  {0x92, "t"},   {0x93, "tt"},
    {0x94, "tt"},  {0x95, "tt"},     {0x96, "t>"},   {0x97, "t>"},  {0x98, "t>"},  {0x99, "t>"},
    {0x9C, "tt>"}, {0x9D, "t>"},     {0x9E, "ttt>"}, {0xA3, ""},    {0xCC, ""},
};

// Behind 0x5B.
static const AML_OPERATOR AmlExtended[] = {
    {0x12, "s>"}, {0x13, "tttn"}, {0x1F, "tttttt"}, {0x20, "s>"},  {0x21, "t"}, {0x22, "t"},
    {0x23, "sw"}, {0x24, "s"},    {0x25, "st"},     {0x26, "s"},   {0x27, "s"}, {0x28, "t>"},
    {0x29, "t>"}, {0x30, ""},     {0x31, ""},       {0x32, "bdt"}, {0x33, ""},  {0x88, "nttt"},
    {0x01, "nb"}, {0x02, "n"},    {0x80, "nbtt"},
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
    AML_TARGET Target[2];
    ULONG Values, Targets;
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
        case '>':
        case 's':
            Gathered->Target[Gathered->Targets++] = AmlTarget(Reader, Frame);
            break;
        case 'n':
            Path = AmlPath(Reader);
            AmlDeclare(&Path, Frame, AmlNodeWindow);
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

static AML_VALUE INIT_CODE AmlOperate(UCHAR Code, AML_GATHERED *Operands, AML_FRAME *Frame)
{
    const AML_VALUE *a = &Operands->Value[0], *b = &Operands->Value[1];
    AML_VALUE Value = AmlNothing;
    if (Code == 0x70 || Code == 0x83 || Code == 0x99 || Code == 0x9D) { // the operand itself
        Value = *a;
    } else if (Code == 0x75 || Code == 0x76) {
        Value = AmlHeld(Operands->Target[0], Frame);
        Value = Value.Kind == AmlInteger
                    ? AmlMakeInteger(Value.Integer + (Code == 0x75 ? 1 : ~0ull))
                    : AmlNothing;
    } else if (Code == 0x88 && a->Kind == AmlPackage && b->Kind == AmlInteger) {
        Value = AmlElement(*a, b->Integer);
    } else if (AmlComputes(Code) && a->Kind == AmlInteger &&
               (Operands->Values < 2 || b->Kind == AmlInteger)) {
        Value = AmlMakeInteger(AmlCompute(Code, a->Integer, b->Integer));
    }
    for (ULONG i = 0; i < Operands->Targets && Code != 0x86; i++)
        AmlStore(Operands->Target[i], Value);
    return Value;
}

static AML_VALUE INIT_CODE AmlOperation(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame)
{
    AML_GATHERED Gathered = {.Values = 0};
    const char *Operands = AmlOperandsOf(AmlOperators, RTL_NUMBER_OF(AmlOperators), Code);
    if (Operands == NULL) {
        Aml.Failed = TRUE;
        return AmlNothing;
    }
    AmlGather(Operands, Reader, Frame, &Gathered);
    if (Code == 0x71 || Code == 0x87 || Code == 0x8E || Aml.Failed) // of objects, not their values
        return AmlNothing;
    return AmlOperate(Code, &Gathered, Frame);
}

// ---- declarations -------------------------------------------------------------------------------
// A block that names a place and goes on inside of it; Skip bytes lie between.
static VOID INIT_CODE AmlDeclarePlace(AML_READER *Reader, AML_FRAME *Frame, ULONG Skip, BOOLEAN New)
{
    AML_READER Body = AmlBlock(Reader);
    AML_PATH Path = AmlPath(&Body);
    AmlNumber(&Body, Skip);
    if (Aml.Failed)
        return;
    USHORT Outer = Frame->Place;
    USHORT Place = New ? AmlDeclare(&Path, Frame, AmlNodePlace) : AmlFind(&Path, Outer);
    if (Place == AML_NOWHERE)
        return;
    Frame->Place = Place;
    AmlRun(Body, Frame);
    Frame->Place = Outer;
    if (Frame->Loading && Aml.Steps < MAX_STEPS && Aml.Total <= MAX_TOTAL)
        Aml.Failed = FALSE; // the rest of this place is lost, what comes behind it is not
}

static VOID INIT_CODE AmlDeclareName(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_PATH Path = AmlPath(Reader);
    AML_READER Code = *Reader;
    AmlTerm(Reader, Frame);
    Code.End = Reader->At;
    AmlDeclareCode(&Path, Frame, AmlNodeName, Code, 0);
}

static VOID INIT_CODE AmlDeclareMethod(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_READER Body = AmlBlock(Reader);
    AML_PATH Path = AmlPath(&Body);
    UCHAR Arguments = AmlByte(&Body) & 7;
    AmlDeclareCode(&Path, Frame, AmlNodeMethod, Body, Arguments);
}

static VOID INIT_CODE AmlDeclareAlias(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_PATH Old = AmlPath(Reader), New = AmlPath(Reader);
    USHORT Place = Aml.Failed ? AML_NOWHERE : AmlFind(&Old, Frame->Place);
    USHORT Alias = Place != AML_NOWHERE && Place != AML_ROOT
                       ? AmlDeclare(&New, Frame, Aml.Node[Place].Kind)
                       : AML_NOWHERE;
    if (Alias == AML_NOWHERE || Alias == AML_ROOT)
        return;
    Aml.Node[Alias].Integer = Aml.Node[Place].Integer; // or Data
    Aml.Node[Alias].Length = Aml.Node[Place].Length;
    Aml.Node[Alias].Arguments = Aml.Node[Place].Arguments;
}

// Something that another table declares: how many arguments it takes is what matters.
static VOID INIT_CODE AmlDeclareExternal(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_PATH Path = AmlPath(Reader);
    AmlByte(Reader);
    UCHAR Arguments = AmlByte(Reader);
    if (Aml.Failed || Arguments == 0 || AmlFind(&Path, Frame->Place) != AML_NOWHERE)
        return;
    AML_READER None = {AmlNoCode, AmlNoCode};
    AmlDeclareCode(&Path, Frame, AmlNodeMethod, None, Arguments & 7);
}

static AML_VALUE INIT_CODE AmlExtendedTerm(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_GATHERED Gathered = {.Values = 0};
    UCHAR Code = AmlByte(Reader);
    const char *Operands = AmlOperandsOf(AmlExtended, RTL_NUMBER_OF(AmlExtended), Code);
    if (Code == 0x82 || Code == 0x85) // device, thermal zone
        AmlDeclarePlace(Reader, Frame, 0, TRUE);
    else if (Code == 0x83 || Code == 0x84) // processor, power resource
        AmlDeclarePlace(Reader, Frame, Code == 0x83 ? 6 : 3, TRUE);
    else if (Code == 0x81 || Code == 0x86 || Code == 0x87) // fields
        AmlBlock(Reader);
    else if (Operands != NULL)
        AmlGather(Operands, Reader, Frame, &Gathered);
    else
        Aml.Failed = TRUE;
    for (ULONG i = 0; i < Gathered.Targets; i++) // whatever it yields is unknown
        if (Gathered.Target[i].Variable != NULL)
            *Gathered.Target[i].Variable = AmlNothing;
    return AmlNothing;
}

// ---- terms --------------------------------------------------------------------------------------
static AML_VALUE INIT_CODE AmlConstantTerm(UCHAR Code, AML_READER *Reader)
{
    static const UCHAR Sizes[] = {1, 2, 4, 0, 8}; // 0x0A, 0x0B, 0x0C, -, 0x0E
    if (Code <= 0x01)
        return AmlMakeInteger(Code);
    if (Code == 0xFF)
        return AmlMakeInteger(~0ull);
    return AmlMakeInteger(AmlNumber(Reader, Sizes[Code - 0x0A]));
}

static AML_VALUE INIT_CODE AmlNamedTerm(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_PATH Path = AmlPath(Reader);
    return Aml.Failed ? AmlNothing : AmlValueOf(AmlFind(&Path, Frame->Place), Reader, Frame);
}

static AML_VALUE INIT_CODE AmlTermOf(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame)
{
    if (Code <= 0x01 || (Code >= 0x0A && Code <= 0x0C) || Code == 0x0E || Code == 0xFF)
        return AmlConstantTerm(Code, Reader);
    if (Code >= 0x60 && Code < 0x68)
        return Frame->Local[Code - 0x60];
    if (Code >= 0x68 && Code < 0x68 + ARGUMENTS)
        return Frame->Argument[Code - 0x68];
    switch (Code) {
    case 0x06:
        AmlDeclareAlias(Reader, Frame);
        break;
    case 0x08:
        AmlDeclareName(Reader, Frame);
        break;
    case 0x10:
        AmlDeclarePlace(Reader, Frame, 0, FALSE);
        break;
    case 0x14:
        AmlDeclareMethod(Reader, Frame);
        break;
    case 0x15:
        AmlDeclareExternal(Reader, Frame);
        break;
    case 0x0D:
        return AmlMakeString(Reader);
    case 0x11:
        return AmlMakeBuffer(Reader, Frame);
    case 0x12:
        return AmlMakePackage(Reader, Frame, FALSE);
    case 0x13:
        return AmlMakePackage(Reader, Frame, TRUE);
    case 0x5B:
        return AmlExtendedTerm(Reader, Frame);
    default:
        return AmlOperation(Code, Reader, Frame);
    }
    return AmlNothing;
}

// One term; Reader moves behind it.
static AML_VALUE INIT_CODE AmlTerm(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_VALUE Value = AmlNothing;
    if (Aml.Failed || Aml.Depth == MAX_DEPTH || Aml.Steps++ >= MAX_STEPS) {
        Aml.Failed = TRUE;
        return Value;
    }
    Aml.Depth++;
    if (AmlBeginsName(AmlPeek(Reader)))
        Value = AmlNamedTerm(Reader, Frame);
    else
        Value = AmlTermOf(AmlByte(Reader), Reader, Frame);
    Aml.Depth--;
    return Value;
}

// ---- control ------------------------------------------------------------------------------------
// TRUE: the block is to be run. What cannot be told ends a method; a definition block goes on
// without it and its Else (Known FALSE).
static BOOLEAN INIT_CODE AmlDecide(AML_READER *Reader, AML_FRAME *Frame, BOOLEAN *Known)
{
    AML_VALUE Predicate = AmlTerm(Reader, Frame);
    *Known = Predicate.Kind == AmlInteger;
    if (!*Known && !Frame->Loading)
        Aml.Failed = TRUE;
    return *Known && Predicate.Integer != 0;
}

static AML_FLOW INIT_CODE AmlIf(AML_READER *Reader, AML_FRAME *Frame)
{
    BOOLEAN Known;
    AML_READER Then = AmlBlock(Reader), Else = {NULL, NULL};
    BOOLEAN Holds = AmlDecide(&Then, Frame, &Known);
    if (AmlPeek(Reader) == 0xA1 && !Aml.Failed) {
        AmlByte(Reader);
        Else = AmlBlock(Reader);
    }
    return AmlRun(Holds ? Then : Known ? Else : (AML_READER){NULL, NULL}, Frame);
}

static AML_FLOW INIT_CODE AmlWhile(AML_READER *Reader, AML_FRAME *Frame)
{
    BOOLEAN Known;
    AML_READER Loop = AmlBlock(Reader);
    for (;;) {
        AML_READER Body = Loop;
        if (!AmlDecide(&Body, Frame, &Known) || Aml.Failed)
            return AmlGoesOn;
        AML_FLOW Flow = AmlRun(Body, Frame);
        if (Flow == AmlReturns)
            return Flow;
        if (Flow == AmlBreaks)
            return AmlGoesOn;
    }
}

static AML_FLOW INIT_CODE AmlStatement(AML_READER *Reader, AML_FRAME *Frame)
{
    switch (AmlPeek(Reader)) {
    case 0x9F:
        return AmlContinues;
    case 0xA0:
        AmlByte(Reader);
        return AmlIf(Reader, Frame);
    case 0xA2:
        AmlByte(Reader);
        return AmlWhile(Reader, Frame);
    case 0xA4:
        AmlByte(Reader);
        Frame->Result = AmlTerm(Reader, Frame);
        return AmlReturns;
    case 0xA5:
        return AmlBreaks;
    }
    AmlTerm(Reader, Frame);
    return AmlGoesOn;
}

static AML_FLOW INIT_CODE AmlRun(AML_READER Code, AML_FRAME *Frame)
{
    AML_FLOW Flow = AmlGoesOn;
    if (Aml.Depth == MAX_DEPTH)
        Aml.Failed = TRUE;
    Aml.Depth++;
    while (Flow == AmlGoesOn && Code.At < Code.End && !Aml.Failed)
        Flow = AmlStatement(&Code, Frame);
    Aml.Depth--;
    return Flow;
}

// ---- use ----------------------------------------------------------------------------------------
static VOID INIT_CODE AmlBegin(VOID)
{
    Aml.Total += Aml.Steps;
    Aml.Depth = Aml.Calls = Aml.Steps = 0;
    Aml.Failed = Aml.Total > MAX_TOTAL;
}

VOID INIT_CODE HalpAmlReset(PVOID Workspace, SIZE_T Size)
{
    static const ULONG Predefined[] = {AML_NAME('_', 'S', 'B', '_'), AML_NAME('_', 'G', 'P', 'E'),
                                       AML_NAME('_', 'P', 'R', '_'), AML_NAME('_', 'T', 'Z', '_'),
                                       AML_NAME('_', 'S', 'I', '_')};
    Aml.Node = Workspace;
    Aml.Count = 1;
    Aml.Steps = Aml.Total = 0;
    Aml.Limit = (ULONG)(Size / sizeof(AML_NODE));
    if (Aml.Limit > AML_NOWHERE)
        Aml.Limit = AML_NOWHERE;
    Aml.Node[AML_ROOT] = (AML_NODE){.Kind = AmlNodePlace};
    for (ULONG i = 0; i < RTL_NUMBER_OF(Predefined); i++)
        AmlAdd(AML_ROOT, Predefined[i]);
    USHORT Osi = AmlAdd(AML_ROOT, AML_NAME('_', 'O', 'S', 'I'));
    Aml.Node[Osi].Kind = AmlNodeMethod; // asks what we are: unknown
    Aml.Node[Osi].Data = AmlNoCode;
    Aml.Node[Osi].Arguments = 1;
}

VOID INIT_CODE HalpAmlLoad(const UCHAR *Code, SIZE_T Length)
{
    AML_FRAME Frame = {.Place = AML_ROOT, .Loading = TRUE};
    AmlBegin();
    AmlRun((AML_READER){Code, Code + Length}, &Frame);
}

BOOLEAN INIT_CODE HalpAmlEvaluate(USHORT Place, ULONG64 Argument, AML_VALUE *Value)
{
    AML_FRAME Frame = {.Place = AML_ROOT};
    AML_READER None = {NULL, NULL};
    AmlBegin();
    if (Place == AML_NOWHERE)
        return FALSE;
    const AML_NODE *Node = &Aml.Node[Place];
    if (Node->Kind == AmlNodeMethod) {
        AML_FRAME Called = {.Place = Place};
        for (ULONG i = 0; i < ARGUMENTS; i++)
            Called.Argument[i] = AmlMakeInteger(Argument);
        AmlRun((AML_READER){Node->Data, Node->Data + Node->Length}, &Called);
        *Value = Called.Result;
    } else {
        *Value = AmlValueOf(Place, &None, &Frame);
    }
    return !Aml.Failed;
}
