// SPDX-License-Identifier: MIT
// A service routine that claims the interrupt but never tells the device so: a level-sensitive line
// stays asserted for ever.
// Options: --device edu
#include "broken.h"

#define EDU_ID    0x11E81234
#define EDU_RAISE 0x60

NTHALAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                           ULONG BusInterruptLevel, ULONG BusInterruptVector,
                                           PKIRQL Irql, PKAFFINITY Affinity);

static BOOLEAN NTAPI Service(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    return TRUE;
}

static PUCHAR FindEdu(PULONG Line)
{
    PHYSICAL_ADDRESS Address = {.QuadPart = 0};
    USHORT Command = 6;  // memory space, bus master
    ULONG Number = 0, Id = 0;

    for (; Number < PCI_MAX_DEVICES && Id != EDU_ID; Number++)
        HalGetBusDataByOffset(PCIConfiguration, 0, Number, &Id, 0, sizeof(Id));
    if (Id != EDU_ID)
        return NULL;
    HalGetBusDataByOffset(PCIConfiguration, 0, Number - 1, &Address.LowPart, 0x10, 4);
    HalGetBusDataByOffset(PCIConfiguration, 0, Number - 1, Line, 0x3C, 1);
    HalSetBusDataByOffset(PCIConfiguration, 0, Number - 1, &Command, 4, sizeof(Command));
    return MmMapIoSpace(Address, PAGE_SIZE, MmNonCached);
}

BREAK
{
    PKINTERRUPT Interrupt;
    KAFFINITY Affinity;
    KIRQL Irql;
    ULONG Line = 0;
    PUCHAR Edu = FindEdu(&Line);
    ULONG Vector = HalGetInterruptVector(PCIBus, 0, Line, Line, &Irql, &Affinity);

    if (Edu == NULL)
        return STATUS_NO_SUCH_DEVICE;
    IoConnectInterrupt(&Interrupt, Service, Edu, NULL, Vector, Irql, Irql, LevelSensitive, TRUE,
                       Affinity, FALSE);
    Expect(0xF2, (ULONG_PTR)Service, (ULONG_PTR)Edu, (ULONG_PTR)Interrupt, 1);
    WRITE_REGISTER_ULONG((PULONG)(Edu + EDU_RAISE), 1);
    for (;;)
        KeStallExecutionProcessor(50);
}
