// SPDX-License-Identifier: MIT
// aml.h: reading ACPI's byte code, as far as constants and PCI's registers tell. Needs nothing of
// the processor: host tests include it.
#pragma once

#include "nt/nt.h"

#define AML_NAME(a, b, c, d) ((ULONG)(a) | (ULONG)(b) << 8 | (ULONG)(c) << 16 | (ULONG)(d) << 24)
#define AML_ROOT             0u
#define AML_NOWHERE          0xFFFFu // no such object

#define AML_ADR AML_NAME('_', 'A', 'D', 'R')
#define AML_BBN AML_NAME('_', 'B', 'B', 'N')
#define AML_CID AML_NAME('_', 'C', 'I', 'D')
#define AML_HID AML_NAME('_', 'H', 'I', 'D')

#define AML_IS_PCI_BUS(Id) ((Id) == 0x030AD041u || (Id) == 0x080AD041u) // PNP0A03, PNP0A08

typedef enum _AML_KIND {
    AmlUnknown, // depends on the hardware, or was never set
    AmlInteger,
    AmlString,
    AmlBuffer,
    AmlPackage,
    AmlArray, // a package that a method filled in
    AmlObject, // a device or another place in the name space
} AML_KIND;

// Strings, buffers and packages are views of the code that makes them.
typedef struct _AML_VALUE {
    union {
        ULONG64 Integer;
        const UCHAR *Data; // of a package: its first element's code
        struct _AML_ARRAY *Array;
    };
    ULONG Length; // of Data, bytes
    USHORT Place; // AmlObject: which; AmlPackage: where its names are looked up
    UCHAR Kind;   // AML_KIND
    UCHAR Count;  // of the elements that a package was declared with; 0: many
} AML_VALUE;

// Empties the name space, which lies in Size bytes at Workspace from now on.
VOID HalpAmlReset(PVOID Workspace, SIZE_T Size);

// Runs a definition block's code (without the table's header): its objects get their names. What is
// not understood is passed over with the block that it stands in.
VOID HalpAmlLoad(const UCHAR *Code, SIZE_T Length);

USHORT HalpAmlChild(USHORT Place, ULONG Name); // AML_NOWHERE: it has none of that name
USHORT HalpAmlParent(USHORT Place);
USHORT HalpAmlNext(USHORT Place); // every object once, from AML_ROOT on

// The value of an object, a method called with one argument where it takes any. FALSE: it cannot be
// told. What methods made lasts until HalpAmlForget.
BOOLEAN HalpAmlEvaluate(USHORT Place, ULONG64 Argument, AML_VALUE *Value);

VOID HalpAmlForget(VOID);

// Takes the first element off a package; a name in it is replaced by what it stands for. FALSE:
// there is none left, or it cannot be told.
BOOLEAN HalpAmlTakeElement(AML_VALUE *Package, AML_VALUE *Value);
