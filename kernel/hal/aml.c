// SPDX-License-Identifier: MIT
// aml.c: a reader of ACPI's byte code (AML) for what constants and PCI's registers tell.
//
// Firmware describes how PCI's interrupt pins are wired (route.c) in a program. What such a program
// says on a PC is mostly a constant table, chosen by an If over a variable that the method \_PIC
// set; what it has to look up are the chipset's routing registers, in PCI configuration space. So
// this runs AML, and has eyes for these registers, but no hands: nothing of the hardware is ever
// written, and no other operation region is read. What depends on one is "unknown", and so is all
// that is computed from it, or read from a register that the program meant to write; a decision on
// something unknown ends the evaluation, which then fails, and its caller does without. A wrong
// answer is worse than none: what would change something in place that is not simply a method's own
// fails too.
//
// Name space: a tree of nodes in memory that the caller lends, each with four letters, a kind and
// the code that makes its value, which is evaluated when asked for; a name that an integer is
// stored to keeps the integer. Fields of other regions than PCI's get no nodes: a name that is not
// found is unknown.
//
// A method may fill in a package or a buffer: one that it made, in a local variable, or a named
// buffer, by way of fields that it creates. Packages then become arrays, buffers copies, on a heap
// at the other end of that memory. A variable that an array is copied to shares it, until either
// is changed. What became of named objects is undone behind each evaluation.
//
// Code comes from firmware and is not trusted: every byte is read through AmlByte, which stops at
// the end of the enclosing block; nesting and steps have limits; once Failed is set, nothing is
// looked at any more until the block, or the evaluation, is left.
//
// Source: ACPI Specification 6.5, chapters 5.3 (name space), 19 (meaning), 20 (encoding). Tests:
// test_hal_aml.c, fuzz_hal_aml.c, and QEMU's tables in tests/system/test_routing.py.
#include "aml.h"
#include "hal.h"
#include "init.h"
#include "rtl.h"

#define MAX_DEPTH 18u      // of blocks, calls and operands within each other
#define MAX_CALLS 5u       // of methods and names within each other: each has a frame on the stack
#define MAX_STEPS 100000u  // terms, for one block or evaluation
#define MAX_TOTAL 1000000u // and for all together: then nothing more can be told
#define LOCALS    8u
#define ARGUMENTS 7u
#define SPACE_PCI 2u // operation regions' number for configuration space

typedef enum _AML_NODE_KIND {
    AmlNodePlace,   // device, scope, and what else only holds names
    AmlNodeName,    // Data: the code of its value
    AmlNodeInteger, // a name that was stored to
    AmlNodeMethod,  // Data: its code
    AmlNodeUnknown,
    AmlNodeBuffer, // a name whose value was changed: Data is on the heap
    AmlNodeWindow, // into a buffer on the heap; Data NULL: into another, which must not change
    AmlNodeRegion, // of PCI configuration space, Length bytes from Integer on
    AmlNodeField,  // of such a region, whose place is Length, from bit Integer on
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
    union {
        UCHAR Arguments;
        UCHAR Bits; // of a window or field
    };
} AML_NODE;

// A node as it was, to be again.
typedef struct _AML_CHANGE {
    struct _AML_CHANGE *Next;
    AML_NODE Old;
    USHORT Place;
} AML_CHANGE;

typedef struct _AML_ARRAY {
    ULONG Count;
    BOOLEAN Shared;
    AML_VALUE Element[];
} AML_ARRAY;

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
    ULONG Count, Depth, Calls, Steps, Total;
    ULONG Heap, Top; // bytes behind Node: what is taken of the heap begins, and ends
    AML_CHANGE *Changes;
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

// "PkgLength"
static ULONG INIT_CODE AmlLength(AML_READER *Reader)
{
    ULONG Lead = AmlByte(Reader);
    return Lead >> 6 == 0 ? Lead : (Lead & 15) | (ULONG)AmlNumber(Reader, Lead >> 6) << 4;
}

// A block that begins with its own length; Reader moves behind it.
static AML_READER INIT_CODE AmlBlock(AML_READER *Reader)
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

// ---- the heap -----------------------------------------------------------------------------------
static PVOID INIT_CODE AmlAllocate(ULONG Size)
{
    Size = (Size + 7) & ~7u;
    if (Aml.Failed || Size > Aml.Heap - Aml.Count * sizeof(AML_NODE)) {
        Aml.Failed = TRUE;
        return NULL;
    }
    Aml.Heap -= Size;
    return (PUCHAR)Aml.Node + Aml.Heap;
}

static BOOLEAN INIT_CODE AmlIsOnHeap(const UCHAR *Data)
{
    ULONG_PTR Offset = (ULONG_PTR)Data - (ULONG_PTR)Aml.Node;
    return Offset >= Aml.Heap && Offset < Aml.Top;
}

static const UCHAR *INIT_CODE AmlCopy(const UCHAR *Data, ULONG Length)
{
    PVOID Copy = AmlAllocate(Length);
    if (Copy != NULL)
        memcpy(Copy, Data, Length);
    return Copy;
}

static BOOLEAN INIT_CODE AmlRemember(USHORT Place)
{
    AML_CHANGE *Change = AmlAllocate(sizeof(*Change));
    if (Change == NULL)
        return FALSE;
    *Change = (AML_CHANGE){Aml.Changes, Aml.Node[Place], Place};
    Aml.Changes = Change;
    return TRUE;
}

// What a node is linked to stays: others may have come since.
static VOID INIT_CODE AmlUndo(VOID)
{
    for (; Aml.Changes != NULL; Aml.Changes = Aml.Changes->Next) {
        AML_NODE *Node = &Aml.Node[Aml.Changes->Place];
        Node->Integer = Aml.Changes->Old.Integer; // or Data
        Node->Length = Aml.Changes->Old.Length;
        Node->Kind = Aml.Changes->Old.Kind;
        Node->Arguments = Aml.Changes->Old.Arguments;
    }
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
    if (Aml.Count == AML_NOWHERE || sizeof(AML_NODE) > Aml.Heap - Aml.Count * sizeof(AML_NODE)) {
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

// ---- PCI configuration space --------------------------------------------------------------------
static AML_VALUE INIT_CODE AmlConstant(USHORT Place, ULONG Name)
{
    USHORT Child = HalpAmlChild(Place, Name);
    AML_VALUE Value = AmlNothing;
    if (Child == AML_NOWHERE || Aml.Node[Child].Kind != AmlNodeName || !AmlBeginCall())
        return Value;
    Value = AmlMakeValue(&Aml.Node[Child]);
    Aml.Calls--;
    return Value;
}

static BOOLEAN INIT_CODE AmlIsHostBridge(USHORT Place)
{
    AML_VALUE Id = AmlConstant(Place, AML_HID), Other = AmlConstant(Place, AML_CID);
    return (Id.Kind == AmlInteger && AML_IS_PCI_BUS(Id.Integer)) ||
           (Other.Kind == AmlInteger && AML_IS_PCI_BUS(Other.Integer));
}

// The function that a region at Place belongs to: one of a host bridge's own bus, or that bridge. A
// bus behind another bridge has a number that only that bridge knows.
static BOOLEAN INIT_CODE AmlFunctionOf(USHORT Place, ULONG *Bus, ULONG *Address)
{
    AML_VALUE Own = AmlConstant(Place, AML_ADR);
    while (Place != AML_ROOT && Own.Kind != AmlInteger && !AmlIsHostBridge(Place)) {
        Place = Aml.Node[Place].Parent;
        Own = AmlConstant(Place, AML_ADR);
    }
    *Address = Own.Kind == AmlInteger ? (ULONG)Own.Integer : 0;
    if (!AmlIsHostBridge(Place))
        Place = Aml.Node[Place].Parent;
    AML_VALUE Number = AmlConstant(Place, AML_BBN);
    *Bus = Number.Kind == AmlInteger ? (ULONG)Number.Integer & 0xFF : 0;
    return AmlIsHostBridge(Place) && (*Address >> 16) < 32 && (*Address & 0xFFFF) < 8;
}

#define CONFIGURATION_BYTES 256u

static AML_VALUE INIT_CODE AmlReadField(const AML_NODE *Field)
{
    const AML_NODE *Region = &Aml.Node[Field->Length];
    ULONG64 First = Field->Integer / 8, Shift = Field->Integer % 8, Value = 0;
    ULONG Bytes = (ULONG)(Shift + Field->Bits + 7) / 8, Bus, Address;
    if (Region->Kind != AmlNodeRegion || Bytes > sizeof(Value) || First + Bytes > Region->Length ||
        Region->Integer + First + Bytes > CONFIGURATION_BYTES ||
        !AmlFunctionOf(Region->Parent, &Bus, &Address))
        return AmlNothing;
    HalReadPci(Bus, Address >> 16, Address & 0xFFFF, (ULONG)(Region->Integer + First), &Value,
               Bytes);
    Value >>= Shift;
    return AmlMakeInteger(Field->Bits < 64 ? Value & ((1ull << Field->Bits) - 1) : Value);
}

// ---- windows ------------------------------------------------------------------------------------
// A window's Length is the number of its bit in the byte at Data; more bits are whole bytes.
static AML_VALUE INIT_CODE AmlReadWindow(const AML_NODE *Window)
{
    ULONG64 Value = 0;
    if (Window->Data == NULL)
        return AmlNothing;
    memcpy(&Value, Window->Data, (Window->Bits + 7u) / 8);
    return AmlMakeInteger(Window->Bits == 1 ? Value >> Window->Length & 1 : Value);
}

static VOID INIT_CODE AmlWriteWindow(const AML_NODE *Window, AML_VALUE Value)
{
    PUCHAR Byte = (PUCHAR)Window->Data;
    if (Byte == NULL || Value.Kind != AmlInteger) {
        Aml.Failed = TRUE;
        return;
    }
    if (Window->Bits != 1)
        memcpy(Byte, &Value.Integer, Window->Bits / 8u);
    else
        *Byte = (UCHAR)((*Byte & ~(1u << Window->Length)) | (Value.Integer & 1) << Window->Length);
}

// ---- values by name -----------------------------------------------------------------------------
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
    if (Node->Kind == AmlNodeField)
        return AmlReadField(Node);
    if (Node->Kind == AmlNodeWindow)
        return AmlReadWindow(Node);
    if (Node->Kind == AmlNodeBuffer)
        return (AML_VALUE){.Data = Node->Data, .Length = Node->Length, .Kind = AmlBuffer};
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
    AML_VALUE Count = Variable ? AmlTerm(&Elements, Frame) : AmlMakeInteger(AmlByte(&Elements));
    AML_VALUE Package = AmlMakeView(AmlPackage, Elements, Frame->Place);
    Package.Count = Count.Kind == AmlInteger && Count.Integer <= 0xFF ? (UCHAR)Count.Integer : 0;
    return Package;
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

// ---- arrays -------------------------------------------------------------------------------------
static AML_ARRAY *INIT_CODE AmlNewArray(ULONG Count)
{
    AML_ARRAY *Array = AmlAllocate(sizeof(*Array) + Count * sizeof(AML_VALUE));
    if (Array == NULL)
        return NULL;
    Array->Count = Count;
    Array->Shared = FALSE;
    for (ULONG i = 0; i < Count; i++)
        Array->Element[i] = AmlNothing;
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

// ---- storing ------------------------------------------------------------------------------------
// Where a result may go. Nothing: it is not kept.
typedef struct _AML_TARGET {
    AML_VALUE *Variable;
    USHORT Place;
    BOOLEAN Inside;     // of a package or buffer
    AML_VALUE *Package; // the variable that holds it, and the element: then it may be stored to
    ULONG64 Index;
} AML_TARGET;

static AML_TARGET AmlTarget(AML_READER *Reader, AML_FRAME *Frame);

// Index (Source, Number, Target). What another handed over is not ours to change.
static AML_TARGET INIT_CODE AmlIndexTarget(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_TARGET Target = {NULL, AML_NOWHERE, TRUE, NULL, 0};
    AML_TARGET Source = AmlTarget(Reader, Frame);
    AML_VALUE Index = AmlTerm(Reader, Frame);
    AmlTarget(Reader, Frame);
    if (Source.Variable != NULL && Source.Variable < Frame->Local + LOCALS &&
        Index.Kind == AmlInteger) {
        Target.Package = Source.Variable;
        Target.Index = Index.Integer;
    }
    return Target;
}

static AML_TARGET INIT_CODE AmlTarget(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_TARGET Target = {NULL, AML_NOWHERE, FALSE, NULL, 0};
    UCHAR Code = AmlPeek(Reader);
    if (Code >= 0x60 && Code < 0x60 + LOCALS + ARGUMENTS) {
        AmlByte(Reader);
        Target.Variable = Code < 0x68 ? &Frame->Local[Code - 0x60] : &Frame->Argument[Code - 0x68];
    } else if (Code == 0x5B) { // the debug object
        AmlTerm(Reader, Frame);
    } else if (Code == 0x88) {
        AmlByte(Reader);
        Target = AmlIndexTarget(Reader, Frame);
    } else if (Code != 0x00 && !AmlBeginsName(Code)) {
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
static VOID INIT_CODE AmlStore(AML_TARGET Target, AML_VALUE Value)
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
    {0x88, "tt>"}, {0x89, "tbtbtt"}, {0x8A, "stn"},  {0x8B, "stn"}, {0x8C, "stn"}, {0x8D, "stn"},
    {0x8E, "s"},   {0x8F, "stn"},    {0x90, "tt"},   {0x91, "tt"},  {0x92, "t"},   {0x93, "tt"},
    {0x94, "tt"},  {0x95, "tt"},     {0x96, "t>"},   {0x97, "t>"},  {0x98, "t>"},  {0x99, "t>"},
    {0x9C, "tt>"}, {0x9D, "t>"},     {0x9E, "ttt>"}, {0xA3, ""},    {0xCC, ""},
};

// Behind 0x5B.
static const AML_OPERATOR AmlExtended[] = {
    {0x12, "s>"}, {0x13, "tttn"}, {0x1F, "tttttt"}, {0x20, "s>"},  {0x21, "t"}, {0x22, "t"},
    {0x23, "sw"}, {0x24, "s"},    {0x25, "st"},     {0x26, "s"},   {0x27, "s"}, {0x28, "t>"},
    {0x29, "t>"}, {0x30, ""},     {0x31, ""},       {0x32, "bdt"}, {0x33, ""},  {0x88, "nttt"},
    {0x01, "nb"}, {0x02, "n"},
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
    USHORT Window; // declared
} AML_GATHERED;

static USHORT INIT_CODE AmlDeclareWindow(const AML_PATH *Path, const AML_FRAME *Frame)
{
    USHORT Place = AmlDeclare(Path, Frame, AmlNodeWindow);
    if (Place != AML_NOWHERE && Place != AML_ROOT)
        Aml.Node[Place].Data = NULL;
    return Place;
}

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
            Gathered->Window = AmlDeclareWindow(&Path, Frame);
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
    } else if (Code == 0x88 && (a->Kind == AmlPackage || a->Kind == AmlArray) &&
               b->Kind == AmlInteger) {
        Value = AmlElement(*a, b->Integer);
    } else if (AmlComputes(Code) && a->Kind == AmlInteger &&
               (Operands->Values < 2 || b->Kind == AmlInteger)) {
        Value = AmlMakeInteger(AmlCompute(Code, a->Integer, b->Integer));
    }
    for (ULONG i = 0; i < Operands->Targets && Code != 0x86; i++)
        AmlStore(Operands->Target[i], Value);
    return Value;
}

// ---- windows into buffers -----------------------------------------------------------------------
// The buffer behind a window to be opened, as one on the heap. It is made that, where it is a
// method's own or has a name.
static AML_VALUE INIT_CODE AmlOwnBuffer(AML_TARGET Source, AML_FRAME *Frame)
{
    AML_VALUE Value = AmlNothing;
    if (Source.Variable != NULL ? Source.Variable < Frame->Local + LOCALS
                                : Source.Place != AML_NOWHERE)
        Value = AmlHeld(Source, Frame);
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

// CreateDWordField (Source, Index, Name) and its like, in a method.
static VOID INIT_CODE AmlOpenWindow(UCHAR Code, const AML_GATHERED *Operands, AML_FRAME *Frame)
{
    static const UCHAR Bits[] = {32, 16, 8, 1, 0, 64}; // from 0x8A on
    const AML_VALUE *Index = &Operands->Value[0];
    AML_VALUE Buffer = AmlOwnBuffer(Operands->Target[0], Frame);
    UCHAR Width = Bits[Code - 0x8A];
    ULONG64 Start = Width == 1 ? Index->Integer / 8 : Index->Integer;
    if (Buffer.Kind != AmlBuffer || Index->Kind != AmlInteger || Start > Buffer.Length ||
        Buffer.Length - Start < (Width + 7u) / 8 || Operands->Window == AML_NOWHERE ||
        Aml.Failed || !AmlRemember(Operands->Window)) {
        Aml.Failed = TRUE;
        return;
    }
    AML_NODE *Node = &Aml.Node[Operands->Window];
    Node->Data = Buffer.Data + Start;
    Node->Length = Width == 1 ? (ULONG)Index->Integer % 8 : 0;
    Node->Bits = Width;
}

static BOOLEAN INIT_CODE AmlOpensWindow(UCHAR Code)
{
    return (Code >= 0x8A && Code <= 0x8D) || Code == 0x8F;
}

static AML_VALUE INIT_CODE AmlOperation(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame)
{
    AML_GATHERED Gathered = {.Window = AML_NOWHERE};
    const char *Operands = AmlOperandsOf(AmlOperators, RTL_NUMBER_OF(AmlOperators), Code);
    if (Operands == NULL) {
        Aml.Failed = TRUE;
        return AmlNothing;
    }
    AmlGather(Operands, Reader, Frame, &Gathered);
    if (Code == 0x71 || Code == 0x87 || Code == 0x8E || Aml.Failed) // of objects, not their values
        return AmlNothing;
    if (!AmlOpensWindow(Code))
        return AmlOperate(Code, &Gathered, Frame);
    if (!Frame->Loading)
        AmlOpenWindow(Code, &Gathered, Frame);
    return AmlNothing;
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

// OperationRegion (Name, Space, Offset, Length)
static VOID INIT_CODE AmlDeclareRegion(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_PATH Path = AmlPath(Reader);
    UCHAR Space = AmlByte(Reader);
    AML_VALUE Offset = AmlTerm(Reader, Frame), Length = AmlTerm(Reader, Frame);
    BOOLEAN Known = Space == SPACE_PCI && Offset.Kind == AmlInteger && Length.Kind == AmlInteger &&
                    Offset.Integer < CONFIGURATION_BYTES && Length.Integer <= CONFIGURATION_BYTES;
    USHORT Place = AmlDeclare(&Path, Frame, Known ? AmlNodeRegion : AmlNodeUnknown);
    if (!Known || Place == AML_NOWHERE || Place == AML_ROOT)
        return;
    Aml.Node[Place].Integer = Offset.Integer;
    Aml.Node[Place].Length = (ULONG)Length.Integer;
}

static VOID INIT_CODE AmlDeclareField(AML_READER *List, AML_FRAME *Frame, USHORT Region,
                                      ULONG64 *Bit)
{
    AML_PATH Path = AmlPath(List);
    ULONG Bits = AmlLength(List);
    BOOLEAN Readable = Bits != 0 && Bits <= 64;
    USHORT Place = AmlDeclare(&Path, Frame, Readable ? AmlNodeField : AmlNodeUnknown);
    if (Readable && Place != AML_NOWHERE && Place != AML_ROOT) {
        Aml.Node[Place].Integer = *Bit;
        Aml.Node[Place].Length = Region;
        Aml.Node[Place].Bits = (UCHAR)Bits;
    }
    *Bit += Bits;
}

// Field (Region, Flags) {...}: names with their widths in bits, gaps, changes of the access.
static VOID INIT_CODE AmlDeclareFields(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_READER List = AmlBlock(Reader);
    AML_PATH Path = AmlPath(&List);
    USHORT Region = Aml.Failed ? AML_NOWHERE : AmlFind(&Path, Frame->Place);
    ULONG64 Bit = 0;
    AmlByte(&List);
    if (Region == AML_NOWHERE || Aml.Node[Region].Kind != AmlNodeRegion)
        return;
    while (List.At < List.End && !Aml.Failed) {
        UCHAR Code = AmlPeek(&List);
        if (AmlBeginsName(Code)) {
            AmlDeclareField(&List, Frame, Region, &Bit);
            continue;
        }
        AmlByte(&List);
        if (Code == 0x00)
            Bit += AmlLength(&List);
        else if (Code == 0x01 || Code == 0x03)
            AmlNumber(&List, Code == 0x01 ? 2 : 3);
        else
            return; // a connection: not of PCI
    }
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
    else if (Code == 0x80)
        AmlDeclareRegion(Reader, Frame);
    else if (Code == 0x81)
        AmlDeclareFields(Reader, Frame);
    else if (Code == 0x86 || Code == 0x87) // fields behind other fields
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
    AmlUndo();
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
    Aml.Heap = Aml.Top = (ULONG)Size & ~7u;
    Aml.Changes = NULL;
    Aml.Node[AML_ROOT] = (AML_NODE){.Kind = AmlNodePlace};
    for (ULONG i = 0; i < RTL_NUMBER_OF(Predefined); i++)
        AmlAdd(AML_ROOT, Predefined[i]);
    USHORT Osi = AmlAdd(AML_ROOT, AML_NAME('_', 'O', 'S', 'I'));
    Aml.Node[Osi].Kind = AmlNodeMethod; // asks what we are: unknown
    Aml.Node[Osi].Data = AmlNoCode;
    Aml.Node[Osi].Arguments = 1;
}

VOID INIT_CODE HalpAmlForget(VOID)
{
    AmlUndo();
    Aml.Heap = Aml.Top;
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
    BOOLEAN Known = !Aml.Failed;
    Aml.Failed = FALSE; // what was told before may still be looked at
    return Known;
}
