// SPDX-License-Identifier: MIT
// amlfield.c: names for PCI's configuration registers, and for pieces of buffers.
//
// Problem: a program about the hardware looks at the hardware. How a chipset wires PCI's pins
// stands in its routing registers, which AML declares as fields of an "operation region" and then
// uses like variables. Reading just any region would be a risk: ports and memory have registers
// that change by being read, or belong to whoever runs. Writing one would be an act.
//
// Idea: PCI configuration space is read, and nothing is ever written. A region says which space it
// is of; which function's, the device tells in which it is declared, by the constants _ADR there
// and _BBN at the host bridge. What a program stores to a field makes it unknown for good
// (amldata.c): the register would hold something else now, if this had hands.
//
// A method that fills in a buffer does so by way of names as well, those of CreateDWordField and
// its like: windows here. A window is declared where its name is met, opened (bound to bytes on the
// heap) when a method gets there, and shut again behind the evaluation (AmlUndo).
//
// Invariants: a field's bytes lie within its region, and the region's within the 256 bytes of a
// function, which is checked when it is read. An open window's bytes lie within a buffer on the
// heap, which is checked when it is opened.
//
// Limits: no function behind another bridge, whose bus number only that bridge knows; no fields
// wider than 64 bits; no index, bank and buffer fields of any width. All of these are unknown.
//
// Source: ACPI Specification 6.5, 5.5.2.4 (regions), 19.6 (OperationRegion, Field, CreateField),
// 20.2.5.2 (encoding). Tests: test_hal_aml.c, tests/system/test_routing.py.
#include "amlp.h"
#include "hal.h"

#define SPACE_PCI           2u // operation regions' number for configuration space
#define CONFIGURATION_BYTES 256u

// ---- regions ------------------------------------------------------------------------------------
// OperationRegion (Name, Space, Offset, Length)
VOID INIT_CODE AmlDeclareRegion(AML_READER *Reader, AML_FRAME *Frame)
{
    AML_PATH Path = AmlPath(Reader);
    UCHAR Space = AmlByte(Reader);
    AML_VALUE Offset = AmlTerm(Reader, Frame), Length = AmlTerm(Reader, Frame);
    BOOLEAN Known = Space == SPACE_PCI && Offset.Kind == AmlInteger && Length.Kind == AmlInteger &&
                    Offset.Integer < CONFIGURATION_BYTES && Length.Integer <= CONFIGURATION_BYTES;
    USHORT Place = AmlDeclare(&Path, Frame->Place, Known ? AmlNodeRegion : AmlNodeUnknown);
    if (!Known || Place == AML_NOWHERE)
        return;
    Aml.Node[Place].Integer = Offset.Integer;
    Aml.Node[Place].Length = (ULONG)Length.Integer;
}

static VOID INIT_CODE AmlDeclareField(AML_READER *List, USHORT Place, USHORT Region, ULONG64 *Bit)
{
    AML_PATH Path = AmlPath(List);
    ULONG Bits = AmlLength(List);
    BOOLEAN Readable = Bits != 0 && Bits <= 64;
    Place = AmlDeclare(&Path, Place, Readable ? AmlNodeField : AmlNodeUnknown);
    if (Readable && Place != AML_NOWHERE) {
        Aml.Node[Place].Integer = *Bit;
        Aml.Node[Place].Length = Region;
        Aml.Node[Place].Bits = (UCHAR)Bits;
    }
    *Bit += Bits;
}

// Field (Region, Flags) {...}: names with their widths in bits, gaps, changes of the access.
VOID INIT_CODE AmlDeclareFields(AML_READER *Reader, USHORT Place)
{
    AML_READER List = AmlBlock(Reader);
    AML_PATH Path = AmlPath(&List);
    USHORT Region = Aml.Failed ? AML_NOWHERE : AmlFind(&Path, Place);
    ULONG64 Bit = 0;
    AmlByte(&List);
    if (Region == AML_NOWHERE || Aml.Node[Region].Kind != AmlNodeRegion)
        return;
    while (List.At < List.End && !Aml.Failed) {
        UCHAR Code = AmlPeek(&List);
        if (AmlBeginsName(Code)) {
            AmlDeclareField(&List, Place, Region, &Bit);
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

// ---- registers ----------------------------------------------------------------------------------
static AML_VALUE INIT_CODE AmlConstant(USHORT Place, ULONG Name)
{
    USHORT Child = HalpAmlChild(Place, Name);
    if (Child == AML_NOWHERE || Aml.Node[Child].Kind != AmlNodeName)
        return AML_NOTHING;
    return AmlValueOf(Child);
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

AML_VALUE INIT_CODE AmlReadField(AML_NODE Field)
{
    AML_NODE Region = Aml.Node[Field.Length];
    ULONG64 First = Field.Integer / 8, Shift = Field.Integer % 8, Value = 0;
    ULONG Bytes = (ULONG)(Shift + Field.Bits + 7) / 8, Bus, Address;
    if (Region.Kind != AmlNodeRegion || Bytes > sizeof(Value) || First + Bytes > Region.Length ||
        Region.Integer + First + Bytes > CONFIGURATION_BYTES ||
        !AmlFunctionOf(Region.Parent, &Bus, &Address))
        return AML_NOTHING;
    HalReadPci(Bus, Address >> 16, Address & 0xFFFF, (ULONG)(Region.Integer + First), &Value,
               Bytes);
    Value >>= Shift;
    return AmlMakeInteger(Field.Bits < 64 ? Value & ((1ull << Field.Bits) - 1) : Value);
}

// ---- windows ------------------------------------------------------------------------------------
USHORT INIT_CODE AmlDeclareWindow(const AML_PATH *Path, USHORT Place)
{
    Place = AmlDeclare(Path, Place, AmlNodeWindow);
    if (Place != AML_NOWHERE)
        Aml.Node[Place].Data = NULL;
    return Place;
}

// CreateDWordField (Buffer, Index, Name) and its like; of a single bit, Index counts bits.
VOID INIT_CODE AmlOpenWindow(USHORT Place, UCHAR Bits, AML_VALUE Buffer, AML_VALUE Index)
{
    ULONG64 Start = Bits == 1 ? Index.Integer / 8 : Index.Integer;
    if (Buffer.Kind != AmlBuffer || Index.Kind != AmlInteger || Start > Buffer.Length ||
        Buffer.Length - Start < (Bits + 7u) / 8 || Place == AML_NOWHERE || Aml.Failed ||
        !AmlRemember(Place)) {
        Aml.Failed = TRUE;
        return;
    }
    AML_NODE *Node = &Aml.Node[Place];
    Node->Data = Buffer.Data + Start;
    Node->Length = Bits == 1 ? (ULONG)Index.Integer % 8 : 0;
    Node->Bits = Bits;
}

// A window's Length is the number of its bit in the byte at Data; more bits are whole bytes.
AML_VALUE INIT_CODE AmlReadWindow(const AML_NODE *Window)
{
    ULONG64 Value = 0;
    if (Window->Data == NULL)
        return AML_NOTHING;
    memcpy(&Value, Window->Data, (Window->Bits + 7u) / 8);
    return AmlMakeInteger(Window->Bits == 1 ? Value >> Window->Length & 1 : Value);
}

VOID INIT_CODE AmlWriteWindow(const AML_NODE *Window, AML_VALUE Value)
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
