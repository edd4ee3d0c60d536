// SPDX-License-Identifier: MIT
// Buses, ports and registers: what HAL.dll promises drivers.
#include "guest.h"

#define CMOS_INDEX  ((PUCHAR)0x70)
#define CMOS_DATA   ((PUCHAR)0x71)
#define PCI_ADDRESS ((PULONG)0xCF8)
#define NOWHERE     255u  // a bus that no test machine has

// Exported for x64 as well; only the headers keep them from its drivers.
NTHALAPI ULONG NTAPI HalGetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                                   PVOID Buffer, ULONG Length);
NTHALAPI ULONG NTAPI HalSetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                                   PVOID Buffer, ULONG Length);
NTHALAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                           ULONG BusInterruptLevel, ULONG BusInterruptVector,
                                           PKIRQL Irql, PKAFFINITY Affinity);
NTHALAPI BOOLEAN NTAPI HalTranslateBusAddress(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                              PHYSICAL_ADDRESS BusAddress, PULONG AddressSpace,
                                              PPHYSICAL_ADDRESS TranslatedAddress);

static PCI_SLOT_NUMBER Slot(ULONG Device, ULONG Function)
{
    PCI_SLOT_NUMBER Number = {.u.AsULONG = 0};
    Number.u.bits.DeviceNumber = Device;
    Number.u.bits.FunctionNumber = Function;
    return Number;
}

static ULONG Vendor(ULONG Device)
{
    USHORT Id = 0;
    HalGetBusData(PCIConfiguration, 0, Slot(Device, 0).u.AsULONG, &Id, sizeof(Id));
    return Id;
}

static BOOLEAN HasPci(VOID)
{
    return HalGetBusData(PCIConfiguration, 0, 0, &(USHORT){0}, sizeof(USHORT)) != 0;
}

// ---- configuration data -------------------------------------------------------------------------
static VOID ConfigurationDataCanBeReadInPieces(VOID)
{
    PCI_COMMON_CONFIG Whole;
    UCHAR Piece[8];
    if (!HasPci())
        return;
    CHECK_EQUAL(HalGetBusData(PCIConfiguration, 0, 0, &Whole, sizeof(Whole)), sizeof(Whole));
    CHECK(Whole.VendorID != PCI_INVALID_VENDORID);
    for (ULONG Offset = 0; Offset < 16; Offset++) {
        CHECK_EQUAL(HalGetBusDataByOffset(PCIConfiguration, 0, 0, Piece, Offset, 7), 7);
        CHECK(RtlCompareMemory(Piece, (PUCHAR)&Whole + Offset, 7) == 7);
    }
}

static VOID ConfigurationDataEndsAfter256Bytes(VOID)
{
    UCHAR Bytes[16];
    if (!HasPci())
        return;
    CHECK_EQUAL(HalGetBusDataByOffset(PCIConfiguration, 0, 0, Bytes, 250, 16), 6);
    CHECK_EQUAL(HalGetBusDataByOffset(PCIConfiguration, 0, 0, Bytes, 256, 16), 0);
}

static VOID AnEmptySlotSaysSoInTwoBytes(VOID)
{
    ULONG Device = 31, Id = 0;
    while (HasPci() && Device > 0 && Vendor(Device) != PCI_INVALID_VENDORID)
        Device--;
    if (!HasPci() || Device == 0)
        return;
    ULONG Number = Slot(Device, 0).u.AsULONG;
    CHECK_EQUAL(HalGetBusData(PCIConfiguration, 0, Number, &Id, sizeof(Id)), 2);
    CHECK_EQUAL(Id, PCI_INVALID_VENDORID);
    CHECK_EQUAL(HalSetBusData(PCIConfiguration, 0, Number, &Id, sizeof(Id)), 0);
}

static VOID ABusThatIsNotThereHasNoData(VOID)
{
    ULONG Id = 0;
    CHECK_EQUAL(HalGetBusData(PCIConfiguration, NOWHERE, 0, &Id, sizeof(Id)), 0);
    CHECK_EQUAL(HalSetBusData(PCIConfiguration, NOWHERE, 0, &Id, sizeof(Id)), 0);
    CHECK_EQUAL(HalGetBusData(EisaConfiguration, 0, 0, &Id, sizeof(Id)), 0);
}

// The cache line size of a device that is no bridge: any value may be kept there.
static VOID WhatIsWrittenIsRead(VOID)
{
    ULONG Number = Slot(1, 0).u.AsULONG, Offset = FIELD_OFFSET(PCI_COMMON_CONFIG, CacheLineSize);
    UCHAR Old, New = 0x5A, Seen = 0;
    if (!HasPci() || HalGetBusDataByOffset(PCIConfiguration, 0, Number, &Old, Offset, 1) != 1)
        return;
    CHECK_EQUAL(HalSetBusDataByOffset(PCIConfiguration, 0, Number, &New, Offset, 1), 1);
    HalGetBusDataByOffset(PCIConfiguration, 0, Number, &Seen, Offset, 1);
    HalSetBusDataByOffset(PCIConfiguration, 0, Number, &Old, Offset, 1);
    CHECK_EQUAL(Seen, New);
}

static VOID CmosIsReadFromTheRegisterGiven(VOID)
{
    UCHAR Bytes[4], Expected;
    CHECK_EQUAL(HalGetBusData(Cmos, 0, 0x0E, Bytes, sizeof(Bytes)), sizeof(Bytes));
    for (UCHAR i = 0; i < sizeof(Bytes); i++) {
        WRITE_PORT_UCHAR(CMOS_INDEX, (UCHAR)(0x0E + i));
        Expected = READ_PORT_UCHAR(CMOS_DATA);
        CHECK_EQUAL(Bytes[i], Expected);
    }
    CHECK_EQUAL(HalGetBusData(Cmos, 0, 126, Bytes, sizeof(Bytes)), 2);
}

// ---- interrupts and addresses -------------------------------------------------------------------
static VOID ALineHasOneVectorAtADeviceIrql(VOID)
{
    KIRQL Irql = 0, Again = 0;
    KAFFINITY Affinity = 0;
    ULONG Vector = HalGetInterruptVector(Isa, 0, 8, 8, &Irql, &Affinity);
    CHECK(Vector != 0 && Affinity != 0);
    CHECK(Irql > DISPATCH_LEVEL && Irql < CLOCK_LEVEL);
    CHECK_EQUAL(HalGetInterruptVector(Isa, 0, 8, 8, &Again, &Affinity), Vector);
    CHECK_EQUAL(Again, Irql);
    CHECK(HalGetInterruptVector(Isa, 0, 12, 12, &Again, &Affinity) != Vector);
}

static VOID AnInterruptThatIsNotThereHasNoVector(VOID)
{
    KIRQL Irql = 1;
    KAFFINITY Affinity = 1;
    CHECK_EQUAL(HalGetInterruptVector(PCIBus, NOWHERE, 10, 10, &Irql, &Affinity), 0);
    CHECK_EQUAL(HalGetInterruptVector(Isa, 0, 5000, 5000, &Irql, &Affinity), 0);
    CHECK_EQUAL(HalGetInterruptVector(MicroChannel, 0, 5, 5, &Irql, &Affinity), 0);
    CHECK_EQUAL(Affinity, 0);
}

static VOID BusAddressesAreTheProcessors(VOID)
{
    PHYSICAL_ADDRESS Address = {.QuadPart = 0xFEB00000}, Seen = {.QuadPart = 0};
    ULONG Space = 0;
    CHECK(HalTranslateBusAddress(Isa, 0, Address, &Space, &Seen));
    CHECK_EQUAL(Seen.QuadPart, Address.QuadPart);
    CHECK_EQUAL(Space, 0);
    Address.QuadPart = 0x3F8;
    Space = 1;
    CHECK(HalTranslateBusAddress(Isa, 0, Address, &Space, &Seen));
    CHECK_EQUAL(Seen.QuadPart, 0x3F8);
    CHECK_EQUAL(Space, 1);
    Address.QuadPart = 0x12345;
    CHECK(!HalTranslateBusAddress(Isa, 0, Address, &Space, &Seen));
    CHECK(!HalTranslateBusAddress(PCIBus, NOWHERE, Address, &(ULONG){0}, &Seen));
}

// ---- ports and registers ------------------------------------------------------------------------
static VOID PortsAreReadInTheirWidth(VOID)
{
    KIRQL OldIrql;
    if (!HasPci())
        return;
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);  // the address register is everybody's
    WRITE_PORT_ULONG(PCI_ADDRESS, 0x80000000);
    ULONG Address = READ_PORT_ULONG(PCI_ADDRESS);
    ULONG Id = READ_PORT_ULONG(PCI_ADDRESS + 1);
    USHORT Low = READ_PORT_USHORT((PUSHORT)(PCI_ADDRESS + 1));
    USHORT High = READ_PORT_USHORT((PUSHORT)(PCI_ADDRESS + 1) + 1);
    ULONG Twice[2];
    READ_PORT_BUFFER_ULONG(PCI_ADDRESS + 1, Twice, 2);
    KeLowerIrql(OldIrql);
    CHECK_EQUAL(Address, 0x80000000);
    CHECK_EQUAL(Id, Low | (ULONG)High << 16);
    CHECK_EQUAL(Twice[0], Id);
    CHECK_EQUAL(Twice[1], Id);
}

static VOID RegistersAreWrittenInTheirWidth(VOID)
{
    ULONG Memory[4] = {0x11111111, 0x11111111, 0x11111111, 0x11111111};
    WRITE_REGISTER_UCHAR((PUCHAR)Memory + 1, 0x22);
    CHECK_EQUAL(Memory[0], 0x11112211);
    WRITE_REGISTER_USHORT((PUSHORT)Memory + 1, 0x3333);
    CHECK_EQUAL(Memory[0], 0x33332211);
    WRITE_REGISTER_ULONG(Memory, 0x44444444);
    CHECK_EQUAL(READ_REGISTER_ULONG(Memory), 0x44444444);
    CHECK_EQUAL(READ_REGISTER_USHORT((PUSHORT)Memory), 0x4444);
    CHECK_EQUAL(READ_REGISTER_UCHAR((PUCHAR)Memory + 3), 0x44);
}

// x64's headers have these inline.
#ifdef _X86_
static VOID RegistersAreMovedInARow(VOID)
{
    ULONG Memory[4] = {1, 1, 1, 1}, From[2] = {0xAAAAAAAA, 0xBBBBBBBB}, To[2] = {0, 0};
    WRITE_REGISTER_BUFFER_ULONG(Memory + 1, From, 2);
    READ_REGISTER_BUFFER_ULONG(Memory + 1, To, 2);
    CHECK_EQUAL(To[0], 0xAAAAAAAA);
    CHECK_EQUAL(To[1], 0xBBBBBBBB);
    CHECK(Memory[0] == 1 && Memory[3] == 1);
}
#endif

static const GUEST_CASE Cases[] = {
    {"configuration data can be read in pieces", ConfigurationDataCanBeReadInPieces},
    {"configuration data ends after 256 bytes", ConfigurationDataEndsAfter256Bytes},
    {"an empty slot says so in two bytes", AnEmptySlotSaysSoInTwoBytes},
    {"a bus that is not there has no data", ABusThatIsNotThereHasNoData},
    {"what is written to a function is read from it", WhatIsWrittenIsRead},
    {"CMOS is read from the register given", CmosIsReadFromTheRegisterGiven},
    {"a line has one vector, at a device IRQL", ALineHasOneVectorAtADeviceIrql},
    {"an interrupt that is not there has no vector", AnInterruptThatIsNotThereHasNoVector},
    {"bus addresses are the processor's", BusAddressesAreTheProcessors},
    {"ports are read in their width", PortsAreReadInTheirWidth},
    {"registers are written in their width", RegistersAreWrittenInTheirWidth},
#ifdef _X86_
    {"registers are moved in a row", RegistersAreMovedInARow},
#endif
};
GUEST_DRIVER(Cases)
