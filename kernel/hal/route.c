// SPDX-License-Identifier: MIT
// route.c: which input of the interrupt controllers a PCI function's interrupt pin is wired to.
//
// With the 8259s the function's interrupt line register says so: firmware wrote it for that. With
// I/O APICs a chipset may wire the pins elsewhere, mostly to GSIs from 16 on, and says where in
// ACPI's byte code (aml.c): each PCI bus has an object _PRT, a table of packages
//     { device << 16 | 0xFFFF, pin, source, index }
// in which source 0 means that index is the GSI, and anything else is a "link device" whose current
// setting, _CRS, names it. A bus behind a bridge without a _PRT has its pins passed on to the
// bridge's, turned by the device's number (PCI-to-PCI Bridge Architecture Specification).
//
// This is read once, while starting, for the functions that there are, after \_PIC(1) has said that
// the I/O APICs are in use. Where no answer is found (no _PRT, one that depends on registers other
// than PCI's, a link device that firmware left off and that _SRS would have to program) the line
// register is believed, as with the 8259s: that is right for chipsets on which a link device only
// ever sends pins to the ISA interrupts.
//
// Drivers see the answer in place of the interrupt line register (bus.c), which is what they pass
// to HalGetInterruptVector.
//
// Source: ACPI Specification 6.5, 6.2.13 (_PRT), 6.4 (resources). Observability: `hwinfo all`.
// Tests: test_hal_aml.c, fuzz_hal_aml.c, tests/system/test_routing.py.
#include "aml.h"
#include "halp.h"

#define MAX_ROUTES  96u
#define MAX_BRIDGES 8u  // within each other
#define MAX_BLOCKS  24u // definition blocks: the DSDT and SSDTs
#define INTX_PINS   4u
#define BUSES       256u

#define PCI_INTERRUPT_PIN 0x3Du
#define PCI_BUS_BEHIND    0x19u
#define PCI_HEADER        0x0Eu

#define METHOD_PIC AML_NAME('_', 'P', 'I', 'C')
#define NAME_PRT   AML_NAME('_', 'P', 'R', 'T')
#define NAME_CRS   AML_NAME('_', 'C', 'R', 'S')

typedef struct _HALP_ROUTE {
    UCHAR Bus, Device, Function;
    HALP_WIRE Wire;
} HALP_ROUTE;

static HALP_ROUTE HalpRoutes[MAX_ROUTES];
static ULONG HalpRouteCount, HalpUnrouted; // functions with a pin: known wires, others

// ---- link devices -------------------------------------------------------------------------------
#define SMALL_IRQ       0x22u // with 2 or 3 bytes behind it
#define LARGE_IRQ       0x89u
#define LARGE_EDGE      0x02u
#define LARGE_LOW       0x04u
#define SMALL_EDGE_HIGH 0x01u
#define SMALL_LEVEL_LOW 0x08u

static USHORT INIT_CODE HalpWireFlags(BOOLEAN Edge, BOOLEAN Low)
{
    return (USHORT)((Edge ? ACPI_EDGE : ACPI_LEVEL) | (Low ? ACPI_ACTIVE_LOW : ACPI_ACTIVE_HIGH));
}

// An IRQ descriptor: a mask of ISA interrupts, of which one is set, and maybe how they are wired.
static BOOLEAN INIT_CODE HalpSmallIrq(const UCHAR *Descriptor, HALP_WIRE *Wire)
{
    ULONG Mask = Descriptor[1] | (ULONG)Descriptor[2] << 8;
    UCHAR Flags = Descriptor[0] & 1 ? Descriptor[3] : SMALL_EDGE_HIGH;
    Wire->Flags = HalpWireFlags((Flags & SMALL_EDGE_HIGH) != 0, (Flags & SMALL_LEVEL_LOW) != 0);
    Wire->Gsi = Mask != 0 ? (ULONG)__builtin_ctz(Mask) : 0;
    return Mask != 0;
}

static BOOLEAN INIT_CODE HalpLargeIrq(const UCHAR *Descriptor, ULONG Length, HALP_WIRE *Wire)
{
    if (Length < 9 || Descriptor[4] == 0)
        return FALSE;
    Wire->Flags =
        HalpWireFlags((Descriptor[3] & LARGE_EDGE) != 0, (Descriptor[3] & LARGE_LOW) != 0);
    memcpy(&Wire->Gsi, Descriptor + 5, sizeof(Wire->Gsi));
    return Wire->Gsi != 0;
}

// The first interrupt among the resources in a buffer.
BOOLEAN INIT_CODE HalpInterruptOfResources(const UCHAR *Data, ULONG Length, HALP_WIRE *Wire)
{
    ULONG Size;
    for (ULONG At = 0; At < Length; At += Size) {
        BOOLEAN Large = (Data[At] & 0x80) != 0;
        if (Large && Length - At < 3)
            return FALSE;
        Size = Large ? 3 + (Data[At + 1] | (ULONG)Data[At + 2] << 8) : 1 + (Data[At] & 7u);
        if (Size > Length - At)
            return FALSE;
        if ((Data[At] & 0xFE) == SMALL_IRQ)
            return HalpSmallIrq(Data + At, Wire);
        if (Data[At] == LARGE_IRQ)
            return HalpLargeIrq(Data + At, Size, Wire);
    }
    return FALSE;
}

static BOOLEAN INIT_CODE HalpWireOfLink(USHORT Link, HALP_WIRE *Wire)
{
    AML_VALUE Resources;
    return HalpAmlEvaluate(HalpAmlChild(Link, NAME_CRS), 0, &Resources) &&
           Resources.Kind == AmlBuffer &&
           HalpInterruptOfResources(Resources.Data, Resources.Length, Wire);
}

// ---- _PRT ---------------------------------------------------------------------------------------
// One entry of the table: whether it is about this device and pin (counted from 0), and its wire.
static BOOLEAN INIT_CODE HalpMatchEntry(AML_VALUE Entry, ULONG Device, ULONG Pin, AML_VALUE *Source,
                                        AML_VALUE *Index)
{
    AML_VALUE Address, Number;
    return HalpAmlTakeElement(&Entry, &Address) && Address.Kind == AmlInteger &&
           (Address.Integer >> 16 & 0xFFFF) == Device && HalpAmlTakeElement(&Entry, &Number) &&
           Number.Kind == AmlInteger && Number.Integer == Pin &&
           HalpAmlTakeElement(&Entry, Source) && HalpAmlTakeElement(&Entry, Index);
}

static BOOLEAN INIT_CODE HalpWireOfTable(AML_VALUE Table, ULONG Device, ULONG Pin, HALP_WIRE *Wire)
{
    AML_VALUE Entry, Source, Index;
    while (HalpAmlTakeElement(&Table, &Entry)) {
        if (!HalpMatchEntry(Entry, Device, Pin, &Source, &Index))
            continue;
        if (Source.Kind == AmlObject)
            return HalpWireOfLink(Source.Place, Wire);
        Wire->Gsi = (ULONG)Index.Integer;
        Wire->Flags = HalpWireFlags(FALSE, TRUE);
        return Source.Kind == AmlInteger && Source.Integer == 0 && Index.Kind == AmlInteger;
    }
    return FALSE;
}

// ---- buses --------------------------------------------------------------------------------------
// The host bridges' objects, by the bus behind each.
static USHORT HalpRoots[BUSES];

static BOOLEAN INIT_CODE HalpIsHostBridge(USHORT Place)
{
    static const ULONG Names[] = {AML_HID, AML_CID};
    AML_VALUE Id;
    for (ULONG i = 0; i < RTL_NUMBER_OF(Names); i++)
        if (HalpAmlEvaluate(HalpAmlChild(Place, Names[i]), 0, &Id) && Id.Kind == AmlInteger &&
            AML_IS_PCI_BUS(Id.Integer))
            return TRUE;
    return FALSE;
}

static VOID INIT_CODE HalpNoteRoots(VOID)
{
    AML_VALUE Number;
    for (ULONG i = 0; i < BUSES; i++)
        HalpRoots[i] = AML_NOWHERE;
    for (USHORT Place = AML_ROOT; Place != AML_NOWHERE; Place = HalpAmlNext(Place)) {
        if (!HalpIsHostBridge(Place))
            continue;
        BOOLEAN Numbered =
            HalpAmlEvaluate(HalpAmlChild(Place, AML_BBN), 0, &Number) && Number.Kind == AmlInteger;
        HalpRoots[Numbered ? Number.Integer % BUSES : 0] = Place;
    }
}

// Every function of the buses that firmware or a bridge names. Looking for others takes longer than
// all the rest of starting.
static VOID INIT_CODE HalpVisitFunctions(HALP_PCI_VISIT *Visit)
{
    for (ULONG Bus = 0; Bus < BUSES; Bus++)
        if (HalpRoots[Bus] != AML_NOWHERE || HalpPciBusKnown(Bus))
            HalpPciVisitBus(Bus, Visit);
}

typedef struct _HALP_BRIDGE {
    BOOLEAN Found;
    ULONG Bus, Device, Function;
} HALP_BRIDGE;

static ULONG HalpWantedBus;
static HALP_BRIDGE HalpFoundBridge;

static VOID INIT_CODE HalpNoteBridge(ULONG Bus, ULONG Device, ULONG Function)
{
    UCHAR Header = 0, Behind = 0;
    HalReadPci(Bus, Device, Function, PCI_HEADER, &Header, sizeof(Header));
    HalReadPci(Bus, Device, Function, PCI_BUS_BEHIND, &Behind, sizeof(Behind));
    if ((Header & 0x7F) == PCI_BRIDGE_TYPE && Behind == HalpWantedBus && Behind > Bus)
        HalpFoundBridge = (HALP_BRIDGE){TRUE, Bus, Device, Function};
}

static HALP_BRIDGE INIT_CODE HalpBridgeTo(ULONG Bus)
{
    HalpWantedBus = Bus;
    HalpFoundBridge = (HALP_BRIDGE){.Found = FALSE};
    if (Bus != 0)
        HalpVisitFunctions(HalpNoteBridge);
    return HalpFoundBridge;
}

// The object of the function at this address among those in Place.
static USHORT INIT_CODE HalpPlaceOfFunction(USHORT Place, ULONG64 Address)
{
    AML_VALUE Value;
    for (USHORT i = AML_ROOT; Place != AML_NOWHERE && i != AML_NOWHERE; i = HalpAmlNext(i))
        if (i != AML_ROOT && HalpAmlParent(i) == Place &&
            HalpAmlEvaluate(HalpAmlChild(i, AML_ADR), 0, &Value) && Value.Kind == AmlInteger &&
            Value.Integer == Address)
            return i;
    return AML_NOWHERE;
}

static USHORT INIT_CODE HalpPlaceOfBus(ULONG Bus, ULONG Depth)
{
    HALP_BRIDGE Bridge = HalpBridgeTo(Bus);
    if (!Bridge.Found)
        return HalpRoots[Bus];
    if (Depth == MAX_BRIDGES)
        return AML_NOWHERE;
    return HalpPlaceOfFunction(HalpPlaceOfBus(Bridge.Bus, Depth + 1),
                               (ULONG64)Bridge.Device << 16 | Bridge.Function);
}

// ---- functions ----------------------------------------------------------------------------------
static struct {
    BOOLEAN Known;
    ULONG Bus;
    BOOLEAN HasTable;
    AML_VALUE Table; // AmlUnknown: it cannot be told
} HalpLastBus; // functions are visited bus by bus

static BOOLEAN INIT_CODE HalpTableOfBus(ULONG Bus)
{
    if (HalpLastBus.Known && HalpLastBus.Bus == Bus)
        return HalpLastBus.HasTable;
    HalpAmlForget();
    USHORT Prt = HalpAmlChild(HalpPlaceOfBus(Bus, 0), NAME_PRT);
    HalpLastBus.Known = TRUE;
    HalpLastBus.Bus = Bus;
    HalpLastBus.HasTable = Prt != AML_NOWHERE;
    if (!HalpAmlEvaluate(Prt, 0, &HalpLastBus.Table))
        HalpLastBus.Table.Kind = AmlUnknown;
    return HalpLastBus.HasTable;
}

// Pin counts from 0.
static BOOLEAN INIT_CODE HalpFindWire(ULONG Bus, ULONG Device, ULONG Pin, HALP_WIRE *Wire)
{
    for (ULONG Depth = 0; Depth < MAX_BRIDGES; Depth++) {
        if (HalpTableOfBus(Bus))
            return HalpWireOfTable(HalpLastBus.Table, Device, Pin, Wire);
        HALP_BRIDGE Bridge = HalpBridgeTo(Bus);
        if (!Bridge.Found)
            return FALSE;
        Pin = (Pin + Device) % INTX_PINS;
        Bus = Bridge.Bus;
        Device = Bridge.Device;
    }
    return FALSE;
}

static VOID INIT_CODE HalpRouteFunction(ULONG Bus, ULONG Device, ULONG Function)
{
    UCHAR Pin = 0;
    HALP_WIRE Wire;
    HalReadPci(Bus, Device, Function, PCI_INTERRUPT_PIN, &Pin, sizeof(Pin));
    if (Pin == 0 || Pin > INTX_PINS)
        return;
    if (HalpRouteCount == MAX_ROUTES || !HalpFindWire(Bus, Device, Pin - 1u, &Wire) ||
        Wire.Gsi > HALP_LARGEST_LINE) {
        HalpUnrouted++;
        return;
    }
    HalpRoutes[HalpRouteCount++] = (HALP_ROUTE){(UCHAR)Bus, (UCHAR)Device, (UCHAR)Function, Wire};
}

// ---- start --------------------------------------------------------------------------------------
typedef struct _HALP_BLOCK {
    PVOID Mapping;
    ULONG Length;
} HALP_BLOCK;

// The DSDT first: the others add to it.
static ULONG INIT_CODE HalpMapBlocks(HALP_BLOCK *Blocks, const char *Signature, ULONG Count)
{
    for (ULONG i = 0; i < HalpAcpi.TableCount && Count < MAX_BLOCKS; i++) {
        if (strcmp(HalpAcpi.Table[i].Signature, Signature) != 0)
            continue;
        ULONG Length = HalpAcpi.Table[i].Length;
        PVOID Mapping = HalMapPhysical(HalpAcpi.Table[i].Address, Length, TRUE);
        if (Mapping != NULL)
            Blocks[Count++] = (HALP_BLOCK){Mapping, Length};
        else
            KLOG("hal", "no room to map a table of ACPI's of %u bytes", Length);
    }
    return Count;
}

VOID INIT_CODE HalRoutePci(PVOID Workspace, SIZE_T Size)
{
    HALP_BLOCK Blocks[MAX_BLOCKS];
    AML_VALUE Nothing;
    if (HalpController != &HalpIoApicController || !HalpPciExists())
        return;
    HalpRouteCount = HalpUnrouted = 0;
    HalpLastBus.Known = FALSE;
    ULONG Count = HalpMapBlocks(Blocks, "SSDT", HalpMapBlocks(Blocks, "DSDT", 0));
    HalpAmlReset(Workspace, Size);
    for (ULONG i = 0; i < Count; i++)
        HalpAmlLoad((PUCHAR)Blocks[i].Mapping + ACPI_HEADER_LENGTH,
                    Blocks[i].Length - ACPI_HEADER_LENGTH);
    HalpAmlEvaluate(HalpAmlChild(AML_ROOT, METHOD_PIC), 1, &Nothing); // I/O APICs, not 8259s
    HalpNoteRoots();
    HalpVisitFunctions(HalpRouteFunction);
    for (ULONG i = 0; i < Count; i++)
        HalUnmapPhysical(Blocks[i].Mapping, Blocks[i].Length);
    if (HalpRouteCount + HalpUnrouted != 0)
        KLOG("hal", "PCI interrupts: %u by _PRT, %u by their line registers", HalpRouteCount,
             HalpUnrouted);
}

SIZE_T INIT_CODE HalPciRouteWorkspace(VOID)
{
    ULONG Bytes = 0;
    for (ULONG i = 0; i < HalpAcpi.TableCount; i++)
        if (strcmp(HalpAcpi.Table[i].Signature, "DSDT") == 0 ||
            strcmp(HalpAcpi.Table[i].Signature, "SSDT") == 0)
            Bytes += HalpAcpi.Table[i].Length;
    return HalpController == &HalpIoApicController ? Bytes * HALP_AML_SPACE + HALP_AML_HEAP : 0;
}

// ---- use ----------------------------------------------------------------------------------------
static const HALP_ROUTE *HalpRouteOf(ULONG Bus, ULONG Device, ULONG Function)
{
    for (ULONG i = 0; i < HalpRouteCount; i++)
        if (HalpRoutes[i].Bus == Bus && HalpRoutes[i].Device == Device &&
            HalpRoutes[i].Function == Function)
            return &HalpRoutes[i];
    return NULL;
}

UCHAR HalQueryPciLine(ULONG Bus, ULONG Device, ULONG Function)
{
    UCHAR Interrupt[2] = {HAL_NO_LINE, 0}; // line, pin
    const HALP_ROUTE *Route = HalpRouteOf(Bus, Device, Function);
    if (Route != NULL)
        return (UCHAR)Route->Wire.Gsi;
    HalReadPci(Bus, Device, Function, HAL_PCI_LINE, Interrupt, sizeof(Interrupt));
    return Interrupt[1] != 0 ? Interrupt[0] : HAL_NO_LINE;
}

USHORT HalpRouteFlags(ULONG Gsi)
{
    for (ULONG i = 0; i < HalpRouteCount; i++)
        if (HalpRoutes[i].Wire.Gsi == Gsi)
            return HalpRoutes[i].Wire.Flags;
    return 0;
}

VOID HalpRouteSummary(HALP_ITEM_ROUTINE *Item)
{
    if (HalpRouteCount + HalpUnrouted != 0)
        Item("PCI lines: %u by _PRT, %u by register;", HalpRouteCount, HalpUnrouted);
}
