// SPDX-License-Identifier: MIT
// bus.c: what drivers ask HAL.dll about buses: configuration data, interrupt vectors, addresses.
//
// PC buses share one address space with the processor, so translation is the identity; what is left
// is to say what exists. A PCI interrupt level is what drivers read as the function's interrupt
// line register: with I/O APICs the input that the pin is really wired to (route.c), else what
// firmware wrote there.
#include "halp.h"

#define CMOS_SIZE 128u

static ULONG HalpReadCmosRange(ULONG First, PUCHAR Buffer, ULONG Length)
{
    ULONG Done = 0;
    for (; Done < Length && First + Done < CMOS_SIZE; Done++)
        Buffer[Done] = HalpReadCmos(First + Done);
    return Done;
}

static ULONG HalpWriteCmosRange(ULONG First, const UCHAR *Buffer, ULONG Length)
{
    ULONG Done = 0;
    for (; Done < Length && First + Done < CMOS_SIZE; Done++)
        HalpWriteCmos(First + Done, Buffer[Done]);
    return Done;
}

static BOOLEAN HalpPciSlotEmpty(ULONG Bus, PCI_SLOT_NUMBER Slot)
{
    USHORT Vendor = PCI_INVALID_VENDORID;
    HalReadPci(Bus, Slot.u.bits.DeviceNumber, Slot.u.bits.FunctionNumber, 0, &Vendor,
               sizeof(Vendor));
    return Vendor == PCI_INVALID_VENDORID;
}

static BOOLEAN HalpPciHasPin(ULONG Bus, PCI_SLOT_NUMBER Slot)
{
    UCHAR Pin = 0;
    HalReadPci(Bus, Slot.u.bits.DeviceNumber, Slot.u.bits.FunctionNumber, HAL_PCI_LINE + 1, &Pin,
               sizeof(Pin));
    return Pin != 0;
}

// An empty slot of a bus that exists yields the two bytes PCI_INVALID_VENDORID.
static ULONG HalpReadPciSlot(ULONG Bus, ULONG SlotNumber, PVOID Buffer, ULONG Offset, ULONG Length)
{
    static const USHORT Nobody = PCI_INVALID_VENDORID;
    PCI_SLOT_NUMBER Slot = {.u.AsULONG = SlotNumber};
    if (!HalpPciBusExists(Bus))
        return 0;
    if (HalpPciSlotEmpty(Bus, Slot)) {
        ULONG Size = Length < sizeof(Nobody) ? Length : (ULONG)sizeof(Nobody);
        memcpy(Buffer, &Nobody, Size);
        return Size;
    }
    Length = HalReadPci(Bus, Slot.u.bits.DeviceNumber, Slot.u.bits.FunctionNumber, Offset, Buffer,
                        Length);
    if (Offset <= HAL_PCI_LINE && HAL_PCI_LINE - Offset < Length && HalpPciHasPin(Bus, Slot))
        ((PUCHAR)Buffer)[HAL_PCI_LINE - Offset] =
            HalQueryPciLine(Bus, Slot.u.bits.DeviceNumber, Slot.u.bits.FunctionNumber);
    return Length;
}

// HalGetBusDataByOffset: configuration data of a device on a bus.
//   BusDataType  PCIConfiguration, or Cmos with SlotNumber 0; others are none of a PC's
//   BusNumber    the bus, from 0
//   SlotNumber   a PCI_SLOT_NUMBER
//   Buffer       receives at most Length bytes from Offset on; a PCI function's InterruptLine is
//                what HalGetInterruptVector takes for it
// Returns the bytes written to Buffer. IRQL: <= DISPATCH_LEVEL.
// Fails: 0: no such bus; 2 with PCI_INVALID_VENDORID in Buffer: no device in that slot.
// Source: Windows 2000 DDK, kernel-mode reference, HalGetBusDataByOffset.
ULONG NTAPI HalGetBusDataByOffset(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                                  PVOID Buffer, ULONG Offset, ULONG Length);
ULONG NTAPI HalGetBusDataByOffset(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                                  PVOID Buffer, ULONG Offset, ULONG Length)
{
    if (BusDataType == PCIConfiguration)
        return HalpReadPciSlot(BusNumber, SlotNumber, Buffer, Offset, Length);
    if (BusDataType == Cmos && BusNumber == 0 && SlotNumber < CMOS_SIZE && Offset < CMOS_SIZE)
        return HalpReadCmosRange(SlotNumber + Offset, Buffer, Length);
    return 0;
}
EXPORT(HalGetBusDataByOffset, DISPATCH_LEVEL, "Windows 2000 DDK HalGetBusDataByOffset");

// HalGetBusData: the same from offset 0. With Cmos, SlotNumber is the first register.
// Returns the bytes written to Buffer. IRQL: <= DISPATCH_LEVEL. Fails: as HalGetBusDataByOffset.
// Source: Windows 2000 DDK, kernel-mode reference, HalGetBusData.
ULONG NTAPI HalGetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                          PVOID Buffer, ULONG Length);
ULONG NTAPI HalGetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                          PVOID Buffer, ULONG Length)
{
    return HalGetBusDataByOffset(BusDataType, BusNumber, SlotNumber, Buffer, 0, Length);
}
EXPORT(HalGetBusData, DISPATCH_LEVEL, "Windows 2000 DDK HalGetBusData");

// HalSetBusDataByOffset: writes configuration data of a device on a bus; parameters as for reading.
// Returns the bytes written. IRQL: <= DISPATCH_LEVEL. Fails: 0: no such bus or device.
// Source: Windows 2000 DDK, kernel-mode reference, HalSetBusDataByOffset.
ULONG NTAPI HalSetBusDataByOffset(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                                  PVOID Buffer, ULONG Offset, ULONG Length);
ULONG NTAPI HalSetBusDataByOffset(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                                  PVOID Buffer, ULONG Offset, ULONG Length)
{
    PCI_SLOT_NUMBER Slot = {.u.AsULONG = SlotNumber};
    if (BusDataType == Cmos && BusNumber == 0 && SlotNumber < CMOS_SIZE && Offset < CMOS_SIZE)
        return HalpWriteCmosRange(SlotNumber + Offset, Buffer, Length);
    if (BusDataType != PCIConfiguration || !HalpPciBusExists(BusNumber) ||
        HalpPciSlotEmpty(BusNumber, Slot))
        return 0;
    return HalWritePci(BusNumber, Slot.u.bits.DeviceNumber, Slot.u.bits.FunctionNumber, Offset,
                       Buffer, Length);
}
EXPORT(HalSetBusDataByOffset, DISPATCH_LEVEL, "Windows 2000 DDK HalSetBusDataByOffset");

// HalSetBusData: the same from offset 0.
// Returns the bytes written. IRQL: <= DISPATCH_LEVEL. Fails: 0: no such bus or device.
// Source: Windows 2000 DDK, kernel-mode reference, HalSetBusData.
ULONG NTAPI HalSetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                          PVOID Buffer, ULONG Length);
ULONG NTAPI HalSetBusData(BUS_DATA_TYPE BusDataType, ULONG BusNumber, ULONG SlotNumber,
                          PVOID Buffer, ULONG Length)
{
    return HalSetBusDataByOffset(BusDataType, BusNumber, SlotNumber, Buffer, 0, Length);
}
EXPORT(HalSetBusData, DISPATCH_LEVEL, "Windows 2000 DDK HalSetBusData");

static BOOLEAN HalpInterfaceExists(INTERFACE_TYPE Interface, ULONG BusNumber)
{
    if (Interface == PCIBus)
        return HalpPciBusExists(BusNumber);
    return BusNumber == 0 && (Interface == Isa || Interface == Eisa || Interface == Internal);
}

// HalGetInterruptVector: the system vector of a bus's interrupt, for IoConnectInterrupt.
//   InterfaceType, BusNumber  the bus: PCIBus, Isa, Eisa or Internal
//   BusInterruptLevel         the ISA interrupt, or a PCI function's interrupt line register
//   BusInterruptVector        means nothing on these buses
//   Irql                      receives the vector's IRQL
//   Affinity                  receives the processors that it can interrupt
// Returns the vector. IRQL: <= DISPATCH_LEVEL. Fails: 0: no such bus or interrupt.
// Source: Windows 2000 DDK, kernel-mode reference, HalGetInterruptVector.
ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                  ULONG BusInterruptLevel, ULONG BusInterruptVector, PKIRQL Irql,
                                  PKAFFINITY Affinity);
ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                  ULONG BusInterruptLevel, ULONG BusInterruptVector, PKIRQL Irql,
                                  PKAFFINITY Affinity)
{
    UNREFERENCED_PARAMETER(BusInterruptVector);
    *Irql = 0;
    *Affinity = 0;
    if (!HalpInterfaceExists(InterfaceType, BusNumber))
        return 0;
    ULONG Vector = HalAllocateLineVector(BusInterruptLevel, Irql);
    *Affinity = Vector != 0 ? HalInterruptTargets() : 0;
    return Vector;
}
EXPORT(HalGetInterruptVector, DISPATCH_LEVEL, "Windows 2000 DDK HalGetInterruptVector");

// HalTranslateBusAddress: where the processor sees an address of a bus.
//   AddressSpace       0: memory, 1: I/O ports; receives the same for the result
//   TranslatedAddress  receives the address for MmMapIoSpace or READ_PORT_*
// Returns TRUE. IRQL: any. Fails: FALSE: no such bus, no such space, or a port above 0xFFFF.
// Source: Windows 2000 DDK, kernel-mode reference, HalTranslateBusAddress.
BOOLEAN NTAPI HalTranslateBusAddress(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                     PHYSICAL_ADDRESS BusAddress, PULONG AddressSpace,
                                     PPHYSICAL_ADDRESS TranslatedAddress);
BOOLEAN NTAPI HalTranslateBusAddress(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                     PHYSICAL_ADDRESS BusAddress, PULONG AddressSpace,
                                     PPHYSICAL_ADDRESS TranslatedAddress)
{
    BOOLEAN Port = *AddressSpace == 1;
    if (*AddressSpace > 1 || (Port && (ULONG64)BusAddress.QuadPart > 0xFFFF) ||
        !HalpInterfaceExists(InterfaceType, BusNumber))
        return FALSE;
    *TranslatedAddress = BusAddress;
    return TRUE;
}
EXPORT(HalTranslateBusAddress, EXPORT_ANY_IRQL, "Windows 2000 DDK HalTranslateBusAddress");
