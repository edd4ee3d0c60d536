// SPDX-License-Identifier: MIT
// pci.c: PCI configuration space by mechanism 1 (ports 0xCF8 and 0xCFC).
//
// Two ports make one access, so they are used under a lock with interrupts off. The first 256 bytes
// of a function are reached; PCI Express's extended space is not. A bus exists when it is bus 0,
// lies in the range that a bridge passes on, or answers itself (a second root bus); that is found
// out once, when first asked.
//
// Observability: `hwinfo` lists the functions.
#include "halp.h"

#define PCI_ADDRESS   0xCF8u
#define PCI_DATA      0xCFCu
#define PCI_ENABLE    0x80000000u
#define PCI_BUSES     256u
#define PCI_DEVICES   32u
#define PCI_FUNCTIONS 8u
#define PCI_SPACE     256u

#define PCI_VENDOR      0x00u
#define PCI_REVISION    0x08u
#define PCI_HEADER      0x0Eu
#define PCI_SUBORDINATE 0x1Au
#define PCI_INTERRUPT   0x3Cu

static HALP_LOCK HalpPciLock;
static BOOLEAN HalpPciProbed, HalpPciPresent;
static ULONG HalpPciLastBus;  // highest that exists; valid once HalpPciScanned
static BOOLEAN HalpPciScanned;

// The address register keeps what is written to it; nothing else at that port does.
BOOLEAN HalpPciExists(VOID)
{
    BOOLEAN Enabled = HalpAcquireLock(&HalpPciLock);
    if (!HalpPciProbed) {
        KiOutLong(PCI_ADDRESS, PCI_ENABLE);
        HalpPciPresent = KiInLong(PCI_ADDRESS) == PCI_ENABLE;
        HalpPciProbed = TRUE;
    }
    HalpReleaseLock(&HalpPciLock, Enabled);
    return HalpPciPresent;
}

static ULONG PciAddress(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset)
{
    return PCI_ENABLE | Bus << 16 | Device << 11 | Function << 8 | (Offset & 0xFC);
}

// The widest access that Offset's alignment and what is left allow.
static ULONG PciWidth(ULONG Offset, ULONG Left)
{
    if ((Offset & 3) == 0 && Left >= 4)
        return 4;
    return (Offset & 1) == 0 && Left >= 2 ? 2 : 1;
}

static VOID PciReadPiece(ULONG Offset, PUCHAR To, ULONG Width)
{
    USHORT Port = (USHORT)(PCI_DATA + (Offset & 3));
    ULONG Value = Width == 4 ? KiInLong(Port) : Width == 2 ? KiInWord(Port) : KiInByte(Port);
    memcpy(To, &Value, Width);
}

static VOID PciWritePiece(ULONG Offset, const UCHAR *From, ULONG Width)
{
    USHORT Port = (USHORT)(PCI_DATA + (Offset & 3));
    ULONG Value = 0;
    memcpy(&Value, From, Width);
    if (Width == 4)
        KiOutLong(Port, Value);
    else if (Width == 2)
        KiOutWord(Port, (USHORT)Value);
    else
        KiOutByte(Port, (UCHAR)Value);
}

// How many of Length bytes at Offset exist; 0 for a function that cannot.
static ULONG PciClip(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Length)
{
    if (Bus >= PCI_BUSES || Device >= PCI_DEVICES || Function >= PCI_FUNCTIONS ||
        Offset >= PCI_SPACE || !HalpPciExists())
        return 0;
    return Length < PCI_SPACE - Offset ? Length : PCI_SPACE - Offset;
}

ULONG HalReadPci(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, PVOID Buffer, ULONG Length)
{
    Length = PciClip(Bus, Device, Function, Offset, Length);
    for (ULONG Done = 0, Width; Done < Length; Done += Width) {
        Width = PciWidth(Offset + Done, Length - Done);
        BOOLEAN Enabled = HalpAcquireLock(&HalpPciLock);
        KiOutLong(PCI_ADDRESS, PciAddress(Bus, Device, Function, Offset + Done));
        PciReadPiece(Offset + Done, (PUCHAR)Buffer + Done, Width);
        HalpReleaseLock(&HalpPciLock, Enabled);
    }
    return Length;
}

ULONG HalWritePci(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, const VOID *Buffer,
                  ULONG Length)
{
    Length = PciClip(Bus, Device, Function, Offset, Length);
    for (ULONG Done = 0, Width; Done < Length; Done += Width) {
        Width = PciWidth(Offset + Done, Length - Done);
        BOOLEAN Enabled = HalpAcquireLock(&HalpPciLock);
        KiOutLong(PCI_ADDRESS, PciAddress(Bus, Device, Function, Offset + Done));
        PciWritePiece(Offset + Done, (const UCHAR *)Buffer + Done, Width);
        HalpReleaseLock(&HalpPciLock, Enabled);
    }
    return Length;
}

// ---- which buses and functions there are --------------------------------------------------------
static BOOLEAN PciFunctionExists(ULONG Bus, ULONG Device, ULONG Function)
{
    USHORT Vendor = PCI_INVALID_VENDORID;
    HalReadPci(Bus, Device, Function, PCI_VENDOR, &Vendor, sizeof(Vendor));
    return Vendor != PCI_INVALID_VENDORID && Vendor != 0;
}

static VOID PciVisitDevice(ULONG Bus, ULONG Device, HALP_PCI_VISIT *Visit)
{
    UCHAR Header = 0;
    if (!PciFunctionExists(Bus, Device, 0))
        return;
    Visit(Bus, Device, 0);
    HalReadPci(Bus, Device, 0, PCI_HEADER, &Header, sizeof(Header));
    for (ULONG Function = 1; (Header & PCI_MULTIFUNCTION) && Function < PCI_FUNCTIONS; Function++)
        if (PciFunctionExists(Bus, Device, Function))
            Visit(Bus, Device, Function);
}

// Bridges raise HalpPciLastBus while their bus is being looked at, so the loop reaches what is
// behind them.
static VOID PciNoteBus(ULONG Bus, ULONG Device, ULONG Function)
{
    UCHAR Header = 0, Subordinate = 0;
    if (Bus > HalpPciLastBus)
        HalpPciLastBus = Bus;
    HalReadPci(Bus, Device, Function, PCI_HEADER, &Header, sizeof(Header));
    if ((Header & 0x7F) != PCI_BRIDGE_TYPE)
        return;
    HalReadPci(Bus, Device, Function, PCI_SUBORDINATE, &Subordinate, sizeof(Subordinate));
    if (Subordinate > HalpPciLastBus)
        HalpPciLastBus = Subordinate;
}

static VOID PciVisitAll(HALP_PCI_VISIT *Visit, ULONG Buses)
{
    for (ULONG Bus = 0; Bus < Buses && HalpPciExists(); Bus++)
        for (ULONG Device = 0; Device < PCI_DEVICES; Device++)
            PciVisitDevice(Bus, Device, Visit);
}

// Without looking at every bus that there could be: those that bridges on visited buses lead to.
BOOLEAN HalpPciBusKnown(ULONG Bus)
{
    return Bus <= HalpPciLastBus;
}

VOID HalpPciVisitBus(ULONG Bus, HALP_PCI_VISIT *Visit)
{
    for (ULONG Device = 0; Device < PCI_DEVICES; Device++) {
        PciVisitDevice(Bus, Device, PciNoteBus);
        PciVisitDevice(Bus, Device, Visit);
    }
}

BOOLEAN HalpPciBusExists(ULONG Bus)
{
    if (!HalpPciExists())
        return FALSE;
    if (!HalpPciScanned) {
        PciVisitAll(PciNoteBus, PCI_BUSES);
        HalpPciScanned = TRUE;
    }
    return Bus <= HalpPciLastBus;
}

// ---- words --------------------------------------------------------------------------------------
const char *HalpPciClassName(UCHAR Class, UCHAR SubClass, BOOLEAN Brief)
{
    static const struct {
        UCHAR Class, SubClass;  // SubClass 0xFF: any other
        const char *Name, *Brief;
    } Names[] = {
        {0x01, 0x01, "IDE controller", "IDE"},
        {0x01, 0x06, "SATA controller", "SATA"},
        {0x01, 0x08, "NVMe controller", "NVMe"},
        {0x01, 0x00, "SCSI controller", "SCSI"},
        {0x01, 0xFF, "storage controller", "disk"},
        {0x02, 0x00, "Ethernet controller", "net"},
        {0x02, 0xFF, "network controller", "net"},
        {0x03, 0x00, "VGA controller", "VGA"},
        {0x03, 0xFF, "display controller", "VGA"},
        {0x04, 0xFF, "multimedia device", "sound"},
        {0x05, 0xFF, "memory controller", "RAM"},
        {0x06, 0x00, "host bridge", "host"},
        {0x06, 0x01, "ISA bridge", "ISA"},
        {0x06, 0x04, "PCI bridge", "PCI"},
        {0x06, 0xFF, "bridge", "other"},
        {0x07, 0x00, "serial controller", "UART"},
        {0x07, 0xFF, "communication controller", "comm"},
        {0x08, 0xFF, "system peripheral", "sys"},
        {0x09, 0xFF, "input device", "input"},
        {0x0B, 0xFF, "processor", "cpu"},
        {0x0C, 0x03, "USB controller", "USB"},
        {0x0C, 0x05, "SMBus controller", "SMBus"},
        {0x0C, 0xFF, "serial bus controller", "bus"},
        {0x0D, 0xFF, "wireless controller", "radio"},
        {0x10, 0xFF, "encryption controller", "crypt"},
    };
    for (ULONG i = 0; i < RTL_NUMBER_OF(Names); i++)
        if (Names[i].Class == Class && (Names[i].SubClass == SubClass || Names[i].SubClass == 0xFF))
            return Brief ? Names[i].Brief : Names[i].Name;
    return Brief ? "?" : "device";
}

static VOID PciPrint(ULONG Bus, ULONG Device, ULONG Function)
{
    ULONG Id = 0;
    UCHAR Class[4] = {0}, Interrupt[2] = {0};
    HalReadPci(Bus, Device, Function, PCI_VENDOR, &Id, sizeof(Id));
    HalReadPci(Bus, Device, Function, PCI_REVISION, Class, sizeof(Class));
    HalReadPci(Bus, Device, Function, PCI_INTERRUPT, Interrupt, sizeof(Interrupt));
    KdPrintf("  %02x:%02x.%x %04x:%04x %s", Bus, Device, Function, Id & 0xFFFF, Id >> 16,
             HalpPciClassName(Class[3], Class[2], FALSE));
    if (Interrupt[1] != 0)
        KdPrintf(", pin %c line %u, interrupt %u", 'A' + (Interrupt[1] - 1) % 4, Interrupt[0],
                 HalQueryPciLine(Bus, Device, Function));
    KdPrintf("\n");
}

VOID HalpPciVisitAll(HALP_PCI_VISIT *Visit)
{
    if (HalpPciBusExists(0))
        PciVisitAll(Visit, HalpPciLastBus + 1);
}

VOID HalpPciReport(VOID)
{
    KdPrintf("PCI:%s\n", HalpPciExists() ? "" : " none");
    HalpPciVisitAll(PciPrint);
}
