// SPDX-License-Identifier: MIT
// PCI's interrupt lines: the level that HalGetBusData names is the one on which the device
// interrupts, also where the chipset has no way from there to the 8259s. QEMU's edu is the device;
// without it there is nothing to see.
#include "guest.h"

#define EDU_ID          0x11E81234u
#define EDU_RAISE       0x60
#define EDU_ACKNOWLEDGE 0x64
#define ICH9_ID         0x29188086u // the ISA bridge of QEMU's q35
#define ICH9_SLOT       31u
#define ICH9_STEERING   0x60u // four pins, the other four 8 bytes on; bit 7: not to an 8259
#define NOT_STEERED     0x80808080u

NTHALAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                           ULONG BusInterruptLevel, ULONG BusInterruptVector,
                                           PKIRQL Irql, PKAFFINITY Affinity);

static PUCHAR Edu;
static ULONG Line;
static KEVENT Interrupted;
static KDPC Dpc;

static VOID NTAPI Deferred(PKDPC Dpc, PVOID Context, PVOID First, PVOID Second)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(First);
    UNREFERENCED_PARAMETER(Second);
    KeSetEvent(&Interrupted, 0, FALSE);
}

static BOOLEAN NTAPI Service(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    ULONG Cause = READ_REGISTER_ULONG((PULONG)(Edu + 0x24));
    if (Cause == 0)
        return FALSE;
    WRITE_REGISTER_ULONG((PULONG)(Edu + EDU_ACKNOWLEDGE), Cause);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    return TRUE;
}

static ULONG Read(ULONG Slot, ULONG Offset, ULONG Size)
{
    ULONG Value = 0;
    HalGetBusDataByOffset(PCIConfiguration, 0, Slot, &Value, Offset, Size);
    return Value;
}

static BOOLEAN FindEdu(VOID)
{
    PHYSICAL_ADDRESS Address = {.QuadPart = 0};
    USHORT Command = 6; // memory space, bus master
    ULONG Slot = 0;

    while (Slot < PCI_MAX_DEVICES && Read(Slot, 0, 4) != EDU_ID)
        Slot++;
    if (Slot == PCI_MAX_DEVICES)
        return FALSE;
    Address.LowPart = Read(Slot, 0x10, 4) & ~15u;
    Line = Read(Slot, 0x3C, 1);
    HalSetBusDataByOffset(PCIConfiguration, 0, Slot, &Command, 4, sizeof(Command));
    Edu = MmMapIoSpace(Address, PAGE_SIZE, MmNonCached);
    return Edu != NULL;
}

static VOID CheckInterrupt(VOID)
{
    LARGE_INTEGER Longest = {.QuadPart = -100000000}; // only a lost interrupt waits that long
    PKINTERRUPT Interrupt;
    KAFFINITY Affinity;
    KIRQL Irql;
    ULONG Vector = HalGetInterruptVector(PCIBus, 0, Line, Line, &Irql, &Affinity);

    CHECK(Vector != 0);
    KeInitializeEvent(&Interrupted, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Dpc, Deferred, NULL);
    CHECK_EQUAL(IoConnectInterrupt(&Interrupt, Service, NULL, NULL, Vector, Irql, Irql,
                                   LevelSensitive, TRUE, Affinity, FALSE),
                STATUS_SUCCESS);
    for (ULONG i = 1; i <= 3; i++) {
        WRITE_REGISTER_ULONG((PULONG)(Edu + EDU_RAISE), i);
        CHECK_EQUAL(KeWaitForSingleObject(&Interrupted, Executive, KernelMode, FALSE, &Longest),
                    STATUS_SUCCESS);
    }
    IoDisconnectInterrupt(Interrupt);
    KeFlushQueuedDpcs();
}

static VOID ADeviceInterruptsOnItsLine(VOID)
{
    if (!FindEdu())
        return;
    CheckInterrupt();
    MmUnmapIoSpace(Edu, PAGE_SIZE);
}

static VOID Steer(ULONG First, ULONG Second)
{
    HalSetBusDataByOffset(PCIConfiguration, 0, ICH9_SLOT, &First, ICH9_STEERING, 4);
    HalSetBusDataByOffset(PCIConfiguration, 0, ICH9_SLOT, &Second, ICH9_STEERING + 8, 4);
}

static VOID TheLineIsRightWithoutAWayToThe8259s(VOID)
{
    if (Read(ICH9_SLOT, 0, 4) != ICH9_ID || !FindEdu())
        return;
    ULONG First = Read(ICH9_SLOT, ICH9_STEERING, 4), Second = Read(ICH9_SLOT, ICH9_STEERING + 8, 4);
    Steer(NOT_STEERED, NOT_STEERED);
    DbgPrint("edu: line %u\n", Line);
    CHECK(Line >= 16);
    CheckInterrupt();
    Steer(First, Second);
    MmUnmapIoSpace(Edu, PAGE_SIZE);
}

static const GUEST_CASE Cases[] = {
    {"a PCI device interrupts on the line that HalGetBusData names", ADeviceInterruptsOnItsLine},
    {"and where its chipset has no way to the 8259s", TheLineIsRightWithoutAWayToThe8259s},
};

GUEST_DRIVER(Cases)
