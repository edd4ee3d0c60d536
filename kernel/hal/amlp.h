// SPDX-License-Identifier: MIT
// amlp.h: what the parts of the AML reader share.
//
// Each part calls only those that stand before it:
//   amlcode.c   bytes, lengths and paths of untrusted code; the limits of an evaluation
//   amlname.c   the name space, and the memory that all lies in
//   amlfield.c  names for PCI's registers and for pieces of buffers
//   amldata.c   strings, buffers and packages, and where a result goes
//   amlop.c     operators
//   aml.c       terms, declarations, control; what the rest of hal calls
// But the language is recursive: whatever takes an operand has a term evaluated, and whatever meets
// a name the object's value. These two calls, AmlTerm and AmlValueOf, lead back to aml.c. They may
// declare any name anew: who needs a node on both sides of one takes a copy along.
#pragma once

#include "aml.h"
#include "amlcodes.h"
#include "init.h"
#include "rtl.h"

#define LOCALS    8u
#define ARGUMENTS 7u
#define MAX_DEPTH 18u // of blocks, calls and operands within each other, which are on the stack

typedef struct _AML_READER {
    const UCHAR *At, *End;
} AML_READER;

typedef struct _AML_PATH {
    BOOLEAN Absolute;
    ULONG Up;    // parents
    ULONG Count; // of names, four letters each
    const UCHAR *Names;
} AML_PATH;

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
    AmlNodeAlias,  // another name of the object at Integer
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

// A package that a method fills in.
typedef struct _AML_ARRAY {
    ULONG Count;
    BOOLEAN Shared;
    AML_VALUE Element[];
} AML_ARRAY;

// A method's activation.
typedef struct _AML_FRAME {
    AML_VALUE Local[LOCALS], Argument[ARGUMENTS], Result;
    USHORT Place;    // where names are looked up and made
    BOOLEAN Loading; // a definition block's own code, not a method's
} AML_FRAME;

// Where a result may go. Nothing: it is not kept.
typedef struct _AML_TARGET {
    AML_VALUE *Variable;
    USHORT Place;
    BOOLEAN Inside;     // of a package or buffer
    AML_VALUE *Package; // the variable that holds it, and the element: then it may be stored to
    ULONG64 Index;
} AML_TARGET;

typedef struct _AML_STATE {
    AML_NODE *Node;                   // the name space, at the workspace's beginning
    ULONG Count;                      // of nodes
    ULONG Heap, Top;                  // bytes behind Node: what is taken begins, and ends
    struct _AML_CHANGE *Changes;      // to be undone
    ULONG Depth, Calls, Steps, Total; // each has a limit
    BOOLEAN Failed;                   // nothing is looked at any more
} AML_STATE;

extern AML_STATE Aml;

#define AML_NOTHING ((AML_VALUE){.Kind = AmlUnknown})

FORCEINLINE AML_VALUE AmlMakeInteger(ULONG64 Integer)
{
    return (AML_VALUE){.Integer = Integer, .Kind = AmlInteger};
}

// ---- amlcode.c ----------------------------------------------------------------------------------
// Inline, since all code passes through these two.
FORCEINLINE UCHAR AmlByte(AML_READER *Reader)
{
    if (Reader->At < Reader->End)
        return *Reader->At++;
    Aml.Failed = TRUE;
    return 0;
}

FORCEINLINE UCHAR AmlPeek(const AML_READER *Reader)
{
    return Reader->At < Reader->End ? *Reader->At : 0;
}

ULONG64 AmlNumber(AML_READER *Reader, ULONG Size);
ULONG AmlLength(AML_READER *Reader);
AML_READER AmlBlock(AML_READER *Reader);
BOOLEAN AmlBeginsName(UCHAR Code);
AML_PATH AmlPath(AML_READER *Reader);
ULONG AmlNameAt(const AML_PATH *Path, ULONG Index);
BOOLEAN AmlBeginCall(VOID);
VOID AmlEndCall(VOID);

// ---- amlname.c ----------------------------------------------------------------------------------
PVOID AmlAllocate(ULONG Size); // NULL: the evaluation has failed
BOOLEAN AmlIsOnHeap(const UCHAR *Data);
const UCHAR *AmlCopy(const UCHAR *Data, ULONG Length);
BOOLEAN AmlRemember(USHORT Place);
VOID AmlUndo(VOID);
USHORT AmlFind(const AML_PATH *Path, USHORT Place);
USHORT AmlDeclare(const AML_PATH *Path, USHORT Place, UCHAR Kind);
VOID AmlDeclareCode(const AML_PATH *Path, USHORT Place, UCHAR Kind, AML_READER Code,
                    UCHAR Arguments);
VOID AmlDeclareMethod(AML_READER *Reader, USHORT Place);
VOID AmlDeclareAlias(AML_READER *Reader, USHORT Place);
VOID AmlDeclareExternal(AML_READER *Reader, USHORT Place);

// ---- amlfield.c ---------------------------------------------------------------------------------
VOID AmlDeclareRegion(AML_READER *Reader, AML_FRAME *Frame);
VOID AmlDeclareFields(AML_READER *Reader, USHORT Place);
AML_VALUE AmlReadField(AML_NODE Field);
USHORT AmlDeclareWindow(const AML_PATH *Path, USHORT Place);
VOID AmlOpenWindow(USHORT Place, UCHAR Bits, AML_VALUE Buffer, AML_VALUE Index);
AML_VALUE AmlReadWindow(const AML_NODE *Window);
VOID AmlWriteWindow(const AML_NODE *Window, AML_VALUE Value);

// ---- amldata.c ----------------------------------------------------------------------------------
AML_VALUE AmlMakeString(AML_READER *Reader);
AML_VALUE AmlMakeBuffer(AML_READER *Reader, AML_FRAME *Frame);
AML_VALUE AmlMakePackage(AML_READER *Reader, AML_FRAME *Frame, BOOLEAN Variable);
AML_VALUE AmlElement(AML_VALUE Package, ULONG64 Index);
AML_TARGET AmlTarget(AML_READER *Reader, AML_FRAME *Frame);
AML_VALUE AmlHeld(AML_TARGET Target);
VOID AmlStore(AML_TARGET Target, AML_VALUE Value);
AML_VALUE AmlOwnBuffer(AML_TARGET Source, AML_FRAME *Frame);

// ---- amlop.c ------------------------------------------------------------------------------------
AML_VALUE AmlOperation(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame);
VOID AmlExtendedOperation(UCHAR Code, AML_READER *Reader, AML_FRAME *Frame);

// ---- aml.c --------------------------------------------------------------------------------------
AML_VALUE AmlTerm(AML_READER *Reader, AML_FRAME *Frame); // one term; Reader moves behind it
AML_VALUE AmlValueOf(USHORT Place); // of a method: what it returns when called without arguments
