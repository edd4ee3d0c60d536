// SPDX-License-Identifier: MIT
// amldata.c: strings, buffers and packages, and where a result goes.
//
// Problem: tables of wires are packages of packages, hundreds of entries long, of which the reader
// wants one; and some are not written down, but filled in by a method when asked.
//
// Idea: a string, buffer or package is a view of the code that makes it. Nothing is copied when it
// is met, and its elements are evaluated when they are taken. What a method means to change becomes
// a copy on the heap first: a package an array of values, in the variable that holds it
// (AmlOwnArray), a buffer a plain copy, in its variable or under its name (AmlOwnBuffer).
//
// A result goes to a target: a local variable or argument, a named object, an element. Storing is
// copying, as AML has it. Of an array only when either of the two is changed next, which is what
// Shared is for: a variable whose array is shared makes another, its own, before it changes one.
//
// Invariants: only what is a method's own is changed in place. A package that was handed over as an
// argument, or that is an element of another, may be somebody else's too: to store into it fails,
// and so does storing to a method or device. A named object may be set to an integer, and keeps it
// (that is how \_PIC works); set to anything else, or a register that would have been written, it
// becomes unknown.
//
// Limits: no references; a package that is filled in has 255 elements at most.
//
// Source: ACPI Specification 6.5, 19.3.5 (types, conversions, storing). Tests: test_hal_aml.c.
#include "amlp.h"

// ---- views --------------------------------------------------------------------------------------
static AML_VALUE INIT_CODE AmlMakeView(UCHAR Kind, AML_READER Code, USHORT Place)
{
    return (AML_VALUE){
        .Data = Code.At, .Length = (ULONG)(Code.End - Code.At), .Place = Place, .Kind = Kind};
}

AML_VALUE INIT_CODE AmlMakeString(AML_READER *Reader)
{
    AML_READER Text = {Reader->At, Reader->At};
    while (AmlByte(Reader) != 0)
        ;
    Text.End = Reader->At;
    return AmlMakeView(AmlString, Text, 0);
}

AML_VALUE INIT_CODE AmlMakeBuffer(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_READER Bytes = AmlBlock(Reader);
    AmlTerm(&Bytes, Frame); // its size; what is not given is zero, and of no interest
    return AmlMakeView(AmlBuffer, Bytes, 0);
}

AML_VALUE INIT_CODE AmlMakePackage(AML_READER *Reader, AML_FRAME *Frame, BOOLEAN Variable)
{
    AML_READER Elements = AmlBlock(Reader);
    AML_VALUE Count = Variable ? AmlTerm(&Elements, Frame) : AmlMakeInteger(AmlByte(&Elements));
    AML_VALUE Package = AmlMakeView(AmlPackage, Elements, Frame->Place);
    Package.Count = Count.Kind == AmlInteger && Count.Integer <= 0xFF ? (UCHAR)Count.Integer : 0;
    return Package;
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
        return AML_NOTHING;
    return AmlValueOf(Place);
}

// An array's Length is how many have been taken.
static BOOLEAN INIT_CODE AmlTakeOfArray(AML_VALUE *Package, AML_VALUE *Value)
{
    const AML_ARRAY *Array = Package->Array;
    if (Package->Length >= Array->Count)
        return FALSE;
    *Value = Array->Element[Package->Length++];
    return TRUE;
}

BOOLEAN INIT_CODE HalpAmlTakeElement(AML_VALUE *Package, AML_VALUE *Value)
{
    if (Package->Kind == AmlArray && !Aml.Failed)
        return AmlTakeOfArray(Package, Value);
    if (Package->Kind != AmlPackage || Package->Length == 0 || Aml.Failed)
        return FALSE;
    AML_READER Reader = {Package->Data, Package->Data + Package->Length};
    AML_FRAME Frame = {.Place = Package->Place};
    *Value = AmlElementAt(&Reader, &Frame);
    Package->Data = Reader.At;
    Package->Length = (ULONG)(Reader.End - Reader.At);
    return !Aml.Failed;
}

AML_VALUE INIT_CODE AmlElement(AML_VALUE Package, ULONG64 Index)
{
    AML_VALUE Value = AML_NOTHING;
    BOOLEAN There = TRUE;
    if (!AmlBeginCall())
        return Value;
    for (ULONG64 i = 0; i <= Index && There; i++)
        There = HalpAmlTakeElement(&Package, &Value);
    AmlEndCall();
    return There ? Value : AML_NOTHING;
}

// ---- arrays -------------------------------------------------------------------------------------
static AML_ARRAY *INIT_CODE AmlNewArray(ULONG Count)
{
    AML_ARRAY *Array = AmlAllocate(sizeof(*Array) + Count * sizeof(AML_VALUE));
    if (Array == NULL)
        return NULL;
    Array->Count = Count;
    Array->Shared = FALSE;
    for (ULONG i = 0; i < Count; i++)
        Array->Element[i] = AML_NOTHING;
    return Array;
}

// The package in a variable as an array that is the variable's own. NULL: it is none.
static AML_ARRAY *INIT_CODE AmlOwnArray(AML_VALUE *Variable)
{
    AML_VALUE Source = *Variable;
    if (Source.Kind == AmlArray && !Source.Array->Shared)
        return Source.Array;
    if (Source.Kind != AmlArray && Source.Kind != AmlPackage)
        return NULL;
    AML_ARRAY *Array = AmlNewArray(Source.Kind == AmlArray ? Source.Array->Count : Source.Count);
    for (ULONG i = 0; Array != NULL && i < Array->Count; i++)
        if (!HalpAmlTakeElement(&Source, &Array->Element[i]))
            break;
    if (Array != NULL)
        *Variable = (AML_VALUE){.Array = Array, .Kind = AmlArray};
    return Array;
}

// ---- targets ------------------------------------------------------------------------------------
// Index (Source, Number, Target). What another handed over is not ours to change.
static AML_TARGET INIT_CODE AmlIndexTarget(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_TARGET Target = {NULL, AML_NOWHERE, TRUE, NULL, 0};
    if (Aml.Failed || Aml.Depth == MAX_DEPTH) {
        Aml.Failed = TRUE;
        return Target;
    }
    Aml.Depth++;
    AML_TARGET Source = AmlTarget(Reader, Frame);
    AML_VALUE Index = AmlTerm(Reader, Frame);
    AmlTarget(Reader, Frame);
    Aml.Depth--;
    if (Source.Variable != NULL && Source.Variable < Frame->Local + LOCALS &&
        Index.Kind == AmlInteger) {
        Target.Package = Source.Variable;
        Target.Index = Index.Integer;
    }
    return Target;
}

AML_TARGET INIT_CODE AmlTarget(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_TARGET Target = {NULL, AML_NOWHERE, FALSE, NULL, 0};
    UCHAR Code = AmlPeek(Reader);
    if (Code >= AmlOpLocal0 && Code < AmlOpArg0 + ARGUMENTS) {
        AmlByte(Reader);
        Target.Variable = Code < AmlOpArg0 ? &Frame->Local[Code - AmlOpLocal0]
                                           : &Frame->Argument[Code - AmlOpArg0];
    } else if (Code == AmlOpExtended) { // the debug object
        AmlTerm(Reader, Frame);
    } else if (Code == AmlOpIndex) {
        AmlByte(Reader);
        Target = AmlIndexTarget(Reader, Frame);
    } else if (Code != AmlOpZero && !AmlBeginsName(Code)) {
        AmlTerm(Reader, Frame);
        Target.Inside = TRUE;
    } else {
        AML_PATH Path = AmlPath(Reader);
        if (!Aml.Failed && (Path.Count != 0 || Path.Absolute || Path.Up != 0))
            Target.Place = AmlFind(&Path, Frame->Place);
    }
    return Target;
}

static VOID INIT_CODE AmlStoreInside(const AML_TARGET *Target, AML_VALUE Value)
{
    AML_ARRAY *Array = Target->Package != NULL ? AmlOwnArray(Target->Package) : NULL;
    if (Array != NULL && Target->Index < Array->Count)
        Array->Element[Target->Index] = Value;
    else
        Aml.Failed = TRUE;
}

// What is stored is a copy. Of an array, as soon as one of the two is changed.
static AML_VALUE INIT_CODE AmlCopyOf(AML_VALUE Value)
{
    if (Value.Kind == AmlArray)
        Value.Array->Shared = TRUE;
    if (Value.Kind == AmlBuffer && AmlIsOnHeap(Value.Data))
        Value.Data = AmlCopy(Value.Data, Value.Length);
    return Value;
}

// A register that would have been written holds nobody knows what.
VOID INIT_CODE AmlStore(AML_TARGET Target, AML_VALUE Value)
{
    Value = AmlCopyOf(Value);
    if (Target.Variable != NULL)
        *Target.Variable = Value;
    if (Target.Inside)
        AmlStoreInside(&Target, Value);
    if (Target.Place == AML_NOWHERE)
        return;
    AML_NODE *Node = &Aml.Node[Target.Place];
    if (Node->Kind == AmlNodeWindow) {
        AmlWriteWindow(Node, Value);
    } else if (Node->Kind == AmlNodeMethod || Node->Kind == AmlNodePlace ||
               Node->Kind == AmlNodeRegion) {
        Aml.Failed = TRUE;
    } else if (Node->Kind == AmlNodeField) {
        Node->Kind = AmlNodeUnknown;
    } else if (Value.Kind == AmlInteger) {
        Node->Kind = AmlNodeInteger;
        Node->Integer = Value.Integer;
    } else {
        Node->Kind = AmlNodeUnknown;
    }
}

// What a name, local or argument in a target's place holds now.
AML_VALUE INIT_CODE AmlHeld(AML_TARGET Target)
{
    return Target.Variable != NULL ? *Target.Variable : AmlValueOf(Target.Place);
}

// The buffer behind a window to be opened, as one on the heap. It is made that, where it is a
// method's own or has a name.
AML_VALUE INIT_CODE AmlOwnBuffer(AML_TARGET Source, AML_FRAME *Frame)
{
    AML_VALUE Value = AML_NOTHING;
    if (Source.Variable != NULL ? Source.Variable < Frame->Local + LOCALS
                                : Source.Place != AML_NOWHERE)
        Value = AmlHeld(Source);
    if (Value.Kind != AmlBuffer || AmlIsOnHeap(Value.Data))
        return Value;
    Value.Data = AmlCopy(Value.Data, Value.Length);
    if (Source.Variable != NULL) {
        *Source.Variable = Value;
    } else if (AmlRemember(Source.Place)) {
        AML_NODE *Node = &Aml.Node[Source.Place];
        Node->Kind = AmlNodeBuffer;
        Node->Data = Value.Data;
        Node->Length = Value.Length;
    }
    return Value;
}
