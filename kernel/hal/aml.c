// SPDX-License-Identifier: MIT
// aml.c: a reader of ACPI's byte code (AML) for what constants and PCI's registers tell.
//
// Problem: firmware describes how PCI's interrupt pins are wired (route.c) in a program. What such
// a program says on a PC is mostly a constant table, chosen by an If over a variable that \_PIC, a
// method, set; what it has to look up are the chipset's routing registers, in PCI configuration
// space. But it may do anything: drive devices, wait, call firmware behind our back.
//
// Idea: this runs AML, and has eyes for these registers, but no hands: nothing of the hardware is
// ever written, and no other operation region is read. What depends on one is "unknown", and so is
// all that is computed from it, or read from a register that the program meant to write; a decision
// on something unknown ends the evaluation, which then fails, and its caller does without. A wrong
// answer is worse than none: what would change something in place that is not simply a method's own
// fails too. amlp.h lists the parts; this one has the language's spine, by recursive descent: a
// block is run (AmlRun), a run of statements, each a term (AmlTerm), which has terms as operands.
//
// Loading a table is running it: its declarations put names into the name space (amlname.c). A
// name's code is only kept, and run whenever somebody asks for its value (AmlValueOf); a method's
// likewise, with arguments and locals in a frame on the stack.
//
// Invariants: whatever the bytes are, an evaluation ends and stays within its block (amlcode.c) and
// its memory. While a table loads, what is not understood costs the rest of the place that it
// stands in, and nothing behind; what a method does not understand costs its evaluation. Both undo
// first what the evaluation before did to named buffers (AmlUndo).
//
// Limits: blocks, calls and operands within each other, for the stack's sake (MAX_DEPTH), the terms
// of one evaluation (MAX_STEPS) and of all together (MAX_TOTAL): a PC's tables have tens of
// thousands. What is beyond them fails. Frames have a limit of their own (amlcode.c).
//
// Source: ACPI Specification 6.5, chapters 5.3 (name space), 19 (meaning), 20 (encoding). Tests:
// test_hal_aml.c, fuzz_hal_aml.c, and QEMU's tables in tests/system/test_routing.py.
#include "amlp.h"

#define MAX_STEPS 100000u
#define MAX_TOTAL 1000000u

typedef enum _AML_FLOW { AmlGoesOn, AmlReturns, AmlBreaks, AmlContinues } AML_FLOW;

static AML_FLOW AmlRun(AML_READER Code, AML_FRAME *Frame);

// ---- values by name -----------------------------------------------------------------------------
// Calls a method whose arguments follow the name in Reader. They may change what the name stands
// for.
static AML_VALUE INIT_CODE AmlCall(USHORT Place, AML_READER *Reader, AML_FRAME *Caller)
{
    AML_NODE Method = Aml.Node[Place];
    AML_FRAME Frame = {.Place = Place};
    if (!AmlBeginCall())
        return AML_NOTHING;
    for (ULONG i = 0; i < Method.Arguments; i++)
        Frame.Argument[i] = AmlTerm(Reader, Caller);
    AmlRun((AML_READER){Method.Data, Method.Data + Method.Length}, &Frame);
    AmlEndCall();
    return Frame.Result;
}

// The value that a name's code makes: data, which knows no arguments.
static AML_VALUE INIT_CODE AmlMakeValue(const AML_NODE *Node)
{
    AML_READER Code = {Node->Data, Node->Data + Node->Length};
    AML_FRAME Frame = {.Place = Node->Parent};
    if (!AmlBeginCall())
        return AML_NOTHING;
    AML_VALUE Value = AmlTerm(&Code, &Frame);
    AmlEndCall();
    return Value;
}

AML_VALUE INIT_CODE AmlValueOf(USHORT Place)
{
    AML_READER NoArguments = {NULL, NULL};
    if (Place == AML_NOWHERE)
        return AML_NOTHING;
    const AML_NODE *Node = &Aml.Node[Place];
    switch (Node->Kind) {
    case AmlNodePlace:
        return (AML_VALUE){.Place = Place, .Kind = AmlObject};
    case AmlNodeInteger:
        return AmlMakeInteger(Node->Integer);
    case AmlNodeBuffer:
        return (AML_VALUE){.Data = Node->Data, .Length = Node->Length, .Kind = AmlBuffer};
    case AmlNodeField:
        return AmlReadField(*Node);
    case AmlNodeWindow:
        return AmlReadWindow(Node);
    case AmlNodeName:
        return AmlMakeValue(Node);
    case AmlNodeMethod:
        return AmlCall(Place, &NoArguments, NULL);
    default:
        return AML_NOTHING;
    }
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
    USHORT Place = New ? AmlDeclare(&Path, Outer, AmlNodePlace) : AmlFind(&Path, Outer);
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
    AmlDeclareCode(&Path, Frame->Place, AmlNodeName, Code, 0);
}

// Of the extended codes, what declares something.
static BOOLEAN INIT_CODE AmlExtendedDeclaration(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame)
{
    switch (Code) {
    case AmlExtRegion:
        AmlDeclareRegion(Reader, Frame);
        return TRUE;
    case AmlExtField:
        AmlDeclareFields(Reader, Frame->Place);
        return TRUE;
    case AmlExtDevice:
    case AmlExtThermalZone:
        AmlDeclarePlace(Reader, Frame, 0, TRUE);
        return TRUE;
    case AmlExtProcessor:
        AmlDeclarePlace(Reader, Frame, 6, TRUE);
        return TRUE;
    case AmlExtPowerResource:
        AmlDeclarePlace(Reader, Frame, 3, TRUE);
        return TRUE;
    case AmlExtIndexField: // fields behind other fields
    case AmlExtBankField:
        AmlBlock(Reader);
        return TRUE;
    }
    return FALSE;
}

static VOID INIT_CODE AmlExtendedTerm(AML_READER *Reader, AML_FRAME *Frame)
{
    UCHAR Code = AmlByte(Reader);
    if (!AmlExtendedDeclaration(Code, Reader, Frame))
        AmlExtendedOperation(Code, Reader, Frame);
}

// ---- terms --------------------------------------------------------------------------------------
static AML_VALUE INIT_CODE AmlConstantTerm(UCHAR Code, AML_READER *Reader)
{
    static const UCHAR Sizes[] = {1, 2, 4, 0, 8}; // from AmlOpByte on
    if (Code <= AmlOpOne)
        return AmlMakeInteger(Code);
    if (Code == AmlOpOnes)
        return AmlMakeInteger(~0ull);
    return AmlMakeInteger(AmlNumber(Reader, Sizes[Code - AmlOpByte]));
}

static AML_VALUE INIT_CODE AmlNamedTerm(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_PATH Path = AmlPath(Reader);
    USHORT Place = Aml.Failed ? AML_NOWHERE : AmlFind(&Path, Frame->Place);
    if (Place != AML_NOWHERE && Aml.Node[Place].Kind == AmlNodeMethod)
        return AmlCall(Place, Reader, Frame);
    return AmlValueOf(Place);
}

static AML_VALUE INIT_CODE AmlTermOf(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame)
{
    if (Code <= AmlOpOne || (Code >= AmlOpByte && Code <= AmlOpDWord) || Code == AmlOpQWord ||
        Code == AmlOpOnes)
        return AmlConstantTerm(Code, Reader);
    if (Code >= AmlOpLocal0 && Code < AmlOpLocal0 + LOCALS)
        return Frame->Local[Code - AmlOpLocal0];
    if (Code >= AmlOpArg0 && Code < AmlOpArg0 + ARGUMENTS)
        return Frame->Argument[Code - AmlOpArg0];
    switch (Code) {
    case AmlOpAlias:
        AmlDeclareAlias(Reader, Frame->Place);
        break;
    case AmlOpName:
        AmlDeclareName(Reader, Frame);
        break;
    case AmlOpScope:
        AmlDeclarePlace(Reader, Frame, 0, FALSE);
        break;
    case AmlOpMethod:
        AmlDeclareMethod(Reader, Frame->Place);
        break;
    case AmlOpExternal:
        AmlDeclareExternal(Reader, Frame->Place);
        break;
    case AmlOpExtended:
        AmlExtendedTerm(Reader, Frame);
        break;
    case AmlOpString:
        return AmlMakeString(Reader);
    case AmlOpBuffer:
        return AmlMakeBuffer(Reader, Frame);
    case AmlOpPackage:
        return AmlMakePackage(Reader, Frame, FALSE);
    case AmlOpVarPackage:
        return AmlMakePackage(Reader, Frame, TRUE);
    default:
        return AmlOperation(Code, Reader, Frame);
    }
    return AML_NOTHING;
}

AML_VALUE INIT_CODE AmlTerm(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_VALUE Value = AML_NOTHING;
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
    if (AmlPeek(Reader) == AmlOpElse && !Aml.Failed) {
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
    case AmlOpContinue:
        return AmlContinues;
    case AmlOpIf:
        AmlByte(Reader);
        return AmlIf(Reader, Frame);
    case AmlOpWhile:
        AmlByte(Reader);
        return AmlWhile(Reader, Frame);
    case AmlOpReturn:
        AmlByte(Reader);
        Frame->Result = AmlTerm(Reader, Frame);
        return AmlReturns;
    case AmlOpBreak:
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
    AmlUndo();
    Aml.Total += Aml.Steps;
    Aml.Depth = Aml.Calls = Aml.Steps = 0;
    Aml.Failed = Aml.Total > MAX_TOTAL;
}

VOID INIT_CODE HalpAmlLoad(const UCHAR *Code, SIZE_T Length)
{
    AML_FRAME Frame = {.Place = AML_ROOT, .Loading = TRUE};
    AmlBegin();
    AmlRun((AML_READER){Code, Code + Length}, &Frame);
}

BOOLEAN INIT_CODE HalpAmlEvaluate(USHORT Place, ULONG64 Argument, AML_VALUE *Value)
{
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
        *Value = AmlValueOf(Place);
    }
    BOOLEAN Known = !Aml.Failed;
    Aml.Failed = FALSE; // what was told before may still be looked at
    return Known;
}
