// SPDX-License-Identifier: MIT
// amlname.c: ACPI's name space, and the memory that it lies in with all that methods make.
//
// Problem: names are looked up thousands of times while a table loads, long before there is a pool;
// methods need memory as well, for the packages and buffers that they fill in, and want it back.
//
// Idea: the caller lends one piece of memory. Nodes grow from its beginning, an array: a place in
// the name space is an index into it, and AML_ROOT is the first. A node has four letters, a kind
// and mostly the code that makes its value, which is evaluated when asked for. The heap grows from
// the other end, and all of it is given back at once (HalpAmlForget). A node that is to point there
// is remembered first, as it was, on the heap itself (AmlRemember), and AmlUndo puts it back.
//
// Invariants: nodes are never removed, so a place stays valid. A node's Data points into a table's
// code or, of buffers and windows that are among Aml.Changes, into the heap: so none points there
// once the heap is given back. A name that is declared a second time keeps its node. Whoever looks
// for an alias finds the object (HalpAmlChild).
//
// Limits: 65,535 nodes, and the memory lent; what has no room fails (amlcode.c). Fields of other
// regions than PCI's get no nodes: a name that is not found is unknown. Lists of children are
// searched from the one made last.
//
// Source: ACPI Specification 6.5, 5.3. Tests: test_hal_aml.c.
#include "amlp.h"

// A node as it was, to be again.
typedef struct _AML_CHANGE {
    struct _AML_CHANGE *Next;
    AML_NODE Old;
    USHORT Place;
} AML_CHANGE;

// ---- the heap -----------------------------------------------------------------------------------
PVOID INIT_CODE AmlAllocate(ULONG Size)
{
    Size = (Size + 7) & ~7u;
    if (Aml.Failed || Size > Aml.Heap - Aml.Count * sizeof(AML_NODE)) {
        Aml.Failed = TRUE;
        return NULL;
    }
    Aml.Heap -= Size;
    return (PUCHAR)Aml.Node + Aml.Heap;
}

BOOLEAN INIT_CODE AmlIsOnHeap(const UCHAR *Data)
{
    ULONG_PTR Offset = (ULONG_PTR)Data - (ULONG_PTR)Aml.Node;
    return Offset >= Aml.Heap && Offset < Aml.Top;
}

const UCHAR *INIT_CODE AmlCopy(const UCHAR *Data, ULONG Length)
{
    PVOID Copy = AmlAllocate(Length);
    if (Copy != NULL)
        memcpy(Copy, Data, Length);
    return Copy;
}

BOOLEAN INIT_CODE AmlRemember(USHORT Place)
{
    AML_CHANGE *Change = AmlAllocate(sizeof(*Change));
    if (Change == NULL)
        return FALSE;
    *Change = (AML_CHANGE){Aml.Changes, Aml.Node[Place], Place};
    Aml.Changes = Change;
    return TRUE;
}

// What a node is linked to stays: others may have come since.
VOID INIT_CODE AmlUndo(VOID)
{
    for (; Aml.Changes != NULL; Aml.Changes = Aml.Changes->Next) {
        AML_NODE *Node = &Aml.Node[Aml.Changes->Place];
        Node->Integer = Aml.Changes->Old.Integer; // or Data
        Node->Length = Aml.Changes->Old.Length;
        Node->Kind = Aml.Changes->Old.Kind;
        Node->Arguments = Aml.Changes->Old.Arguments;
    }
}

VOID INIT_CODE HalpAmlForget(VOID)
{
    AmlUndo();
    Aml.Heap = Aml.Top;
}

// ---- names --------------------------------------------------------------------------------------
static USHORT INIT_CODE AmlNodeOf(USHORT Place, ULONG Name)
{
    for (USHORT Child = Aml.Node[Place].Child; Child != 0; Child = Aml.Node[Child].Next)
        if (Aml.Node[Child].Name == Name)
            return Child;
    return AML_NOWHERE;
}

USHORT INIT_CODE HalpAmlChild(USHORT Place, ULONG Name)
{
    USHORT Child = Place == AML_NOWHERE ? AML_NOWHERE : AmlNodeOf(Place, Name);
    while (Child != AML_NOWHERE && Aml.Node[Child].Kind == AmlNodeAlias)
        Child = (USHORT)Aml.Node[Child].Integer;
    return Child;
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
USHORT INIT_CODE AmlFind(const AML_PATH *Path, USHORT Place)
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

// ---- declarations -------------------------------------------------------------------------------
static const UCHAR AmlNoCode[1]; // of methods that are only known to exist

// The object that a declaration names; made, if it is new. AML_NOWHERE: its place does not exist,
// or it has no name at all, as the root and the place itself have none.
USHORT INIT_CODE AmlDeclare(const AML_PATH *Path, USHORT Place, UCHAR Kind)
{
    Place = Aml.Failed || Path->Count == 0 ? AML_NOWHERE : AmlFollow(Path, Place, 1);
    if (Place == AML_NOWHERE)
        return AML_NOWHERE;
    ULONG Name = AmlNameAt(Path, Path->Count - 1);
    USHORT Found = AmlNodeOf(Place, Name);
    if (Found == AML_NOWHERE)
        Found = AmlAdd(Place, Name);
    if (Found != AML_NOWHERE)
        Aml.Node[Found].Kind = Kind;
    return Found;
}

VOID INIT_CODE AmlDeclareCode(const AML_PATH *Path, USHORT Place, UCHAR Kind, AML_READER Code,
                              UCHAR Arguments)
{
    Place = AmlDeclare(Path, Place, Kind);
    if (Place == AML_NOWHERE)
        return;
    Aml.Node[Place].Data = Code.At;
    Aml.Node[Place].Length = (ULONG)(Code.End - Code.At);
    Aml.Node[Place].Arguments = Arguments;
}

VOID INIT_CODE AmlDeclareMethod(AML_READER *Reader, USHORT Place)
{
    AML_READER Body = AmlBlock(Reader);
    AML_PATH Path = AmlPath(&Body);
    UCHAR Arguments = AmlByte(&Body) & 7;
    AmlDeclareCode(&Path, Place, AmlNodeMethod, Body, Arguments);
}

// It leads to what the old name leads to, which is no alias now and not the alias itself: so
// aliases never lead in a circle.
VOID INIT_CODE AmlDeclareAlias(AML_READER *Reader, USHORT Place)
{
    AML_PATH Old = AmlPath(Reader), New = AmlPath(Reader);
    USHORT Object = Aml.Failed ? AML_NOWHERE : AmlFind(&Old, Place);
    if (Object == AML_NOWHERE)
        return;
    USHORT Alias = AmlDeclare(&New, Place, Aml.Node[Object].Kind);
    if (Alias == AML_NOWHERE || Alias == Object)
        return;
    Aml.Node[Alias].Kind = AmlNodeAlias;
    Aml.Node[Alias].Integer = Object;
}

// Something that another table declares: how many arguments it takes is what matters.
VOID INIT_CODE AmlDeclareExternal(AML_READER *Reader, USHORT Place)
{
    AML_PATH Path = AmlPath(Reader);
    AmlByte(Reader);
    UCHAR Arguments = AmlByte(Reader);
    if (Aml.Failed || Arguments == 0 || AmlFind(&Path, Place) != AML_NOWHERE)
        return;
    AML_READER None = {AmlNoCode, AmlNoCode};
    AmlDeclareCode(&Path, Place, AmlNodeMethod, None, Arguments & 7);
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
