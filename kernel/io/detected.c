// SPDX-License-Identifier: MIT
// Devices that a driver found itself: IoReportDetectedDevice and the device objects it gives out.
//
// There is no Plug and Play manager yet, so a driver searches its device on the bus as NT 4 drivers
// did and reports it; the physical device object it gets is what IoConnectInterruptEx needs to find
// the device's interrupt messages. One object stands for one PCI function for as long as the system
// runs, as a devnode does: reporting the same function again gives the same object.
#include "ex.h"
#include "hal.h"
#include "io.h"
#include "rtl.h"

#define DETECTED_TAG 0x7465446Fu // 'oDet'

typedef struct _IO_DETECTED_DEVICE {
    DEVICE_OBJECT Object;
    struct _IO_DETECTED_DEVICE *Next;
    IO_PCI_FUNCTION Pci;
    PVOID Reporter; // start of the image of the driver that reported it last
} IO_DETECTED_DEVICE;

static IO_DETECTED_DEVICE *IopDetectedDevices;

const IO_PCI_FUNCTION *IopPciFunctionOf(PDEVICE_OBJECT PhysicalDeviceObject)
{
    for (IO_DETECTED_DEVICE *Device = IopDetectedDevices; Device != NULL; Device = Device->Next)
        if (&Device->Object == PhysicalDeviceObject)
            return &Device->Pci;
    return NULL;
}

static IO_DETECTED_DEVICE *IopFindDetected(const IO_PCI_FUNCTION *Pci)
{
    IO_DETECTED_DEVICE *Device = IopDetectedDevices;

    while (Device != NULL && (Device->Pci.Bus != Pci->Bus || Device->Pci.Device != Pci->Device ||
                              Device->Pci.Function != Pci->Function))
        Device = Device->Next;
    return Device;
}

PVOID IopReporterOf(ULONG Bus, ULONG Device, ULONG Function)
{
    IO_PCI_FUNCTION Pci = {Bus, Device, Function};
    const IO_DETECTED_DEVICE *Detected = IopFindDetected(&Pci);

    return Detected != NULL ? Detected->Reporter : NULL;
}

static IO_DETECTED_DEVICE *IopCreateDetected(const IO_PCI_FUNCTION *Pci)
{
    IO_DETECTED_DEVICE *Device =
        ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Device), DETECTED_TAG);

    if (Device == NULL)
        return NULL;
    RtlZeroMemory(Device, sizeof(*Device));
    Device->Object.Type = 3; // IO_TYPE_DEVICE
    Device->Object.Size = sizeof(Device->Object);
    Device->Object.ReferenceCount = 1;
    Device->Object.StackSize = 1;
    Device->Pci = *Pci;
    Device->Next = IopDetectedDevices;
    IopDetectedDevices = Device;
    return Device;
}

// IoReportDetectedDevice: reports a device that the driver found on a bus that cannot report it
// itself.
//   DriverObject          the driver's.
//   LegacyBusType         PCIBus; other buses have nothing that could be looked up here.
//   BusNumber, SlotNumber the function; SlotNumber is a PCI_SLOT_NUMBER.
//   ResourceList, ResourceRequirements  may be NULL; resources stay as the firmware assigned them.
//   ResourceAssigned      the driver has claimed the resources already; changes nothing here.
//   DeviceObject          receives the physical device object.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_NO_SUCH_DEVICE when there is no such function,
// STATUS_NOT_SUPPORTED for another bus, STATUS_INSUFFICIENT_RESOURCES. Source: WDK ntddk.h
// IoReportDetectedDevice.
NTSTATUS NTAPI IoReportDetectedDevice(PDRIVER_OBJECT DriverObject, INTERFACE_TYPE LegacyBusType,
                                      ULONG BusNumber, ULONG SlotNumber,
                                      PCM_RESOURCE_LIST ResourceList,
                                      PIO_RESOURCE_REQUIREMENTS_LIST ResourceRequirements,
                                      BOOLEAN ResourceAssigned, PDEVICE_OBJECT *DeviceObject);
NTSTATUS NTAPI IoReportDetectedDevice(PDRIVER_OBJECT DriverObject, INTERFACE_TYPE LegacyBusType,
                                      ULONG BusNumber, ULONG SlotNumber,
                                      PCM_RESOURCE_LIST ResourceList,
                                      PIO_RESOURCE_REQUIREMENTS_LIST ResourceRequirements,
                                      BOOLEAN ResourceAssigned, PDEVICE_OBJECT *DeviceObject)
{
    PCI_SLOT_NUMBER Slot = {.u.AsULONG = SlotNumber};
    IO_PCI_FUNCTION Pci = {BusNumber, Slot.u.bits.DeviceNumber, Slot.u.bits.FunctionNumber};
    USHORT Vendor = 0xFFFF;

    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    *DeviceObject = NULL;
    if (LegacyBusType != PCIBus)
        return STATUS_NOT_SUPPORTED;
    HalReadPci(Pci.Bus, Pci.Device, Pci.Function, 0, &Vendor, sizeof(Vendor));
    if (Vendor == 0xFFFF)
        return STATUS_NO_SUCH_DEVICE;
    IO_DETECTED_DEVICE *Device = IopFindDetected(&Pci);
    if (Device == NULL)
        Device = IopCreateDetected(&Pci);
    if (Device == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Device->Reporter = DriverObject != NULL ? DriverObject->DriverStart : NULL;
    *DeviceObject = &Device->Object;
    return STATUS_SUCCESS;
}
EXPORT(IoReportDetectedDevice, PASSIVE_LEVEL, "WDK ntddk.h IoReportDetectedDevice");
