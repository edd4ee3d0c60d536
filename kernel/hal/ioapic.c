// SPDX-License-Identifier: MIT
// ioapic.c: the I/O APICs, which send device interrupts to the local APIC.
//
// Inputs are counted through all I/O APICs ("global system interrupts", GSI). The sixteen ISA
// interrupts are the first sixteen GSIs unless the MADT overrides one; the override also has its
// polarity and trigger mode. Without one an ISA interrupt is an edge, active high. Inputs from 16
// on are PCI's: level, active low, unless firmware says otherwise where it says which function is
// wired to which input (route.c).
#include "halp.h"

#define IOAPIC_REGISTERS  0x20u
#define IOAPIC_SELECT     0x00u
#define IOAPIC_WINDOW     0x10u
#define IOAPIC_VERSION    0x01u
#define IOAPIC_ENTRIES    0x10u
#define IOAPIC_MAX_INPUTS 240u

#define ENTRY_MODE_NMI 0x00400u
#define ENTRY_LOW      0x02000u
#define ENTRY_LEVEL    0x08000u
#define ENTRY_MASKED   0x10000u

#define ISA_LINES 16u

typedef struct _HALP_IO_APIC {
    volatile UCHAR *Base;
    ULONG GsiBase;
    ULONG Count;  // inputs
    ULONG Id;
} HALP_IO_APIC;

static HALP_IO_APIC HalpIoApics[ACPI_MAX_IO_APICS];
static ULONG HalpIoApicCount;
static HALP_LOCK HalpIoApicLock;  // select and window belong together

static ULONG IoApicRead(const HALP_IO_APIC *IoApic, ULONG Register)
{
    *(volatile ULONG *)(IoApic->Base + IOAPIC_SELECT) = Register;
    return *(volatile ULONG *)(IoApic->Base + IOAPIC_WINDOW);
}

static VOID IoApicWrite(const HALP_IO_APIC *IoApic, ULONG Register, ULONG Value)
{
    *(volatile ULONG *)(IoApic->Base + IOAPIC_SELECT) = Register;
    *(volatile ULONG *)(IoApic->Base + IOAPIC_WINDOW) = Value;
}

static const HALP_IO_APIC *HalpIoApicOf(ULONG Gsi)
{
    for (ULONG i = 0; i < HalpIoApicCount; i++)
        if (Gsi - HalpIoApics[i].GsiBase < HalpIoApics[i].Count)
            return &HalpIoApics[i];
    return NULL;
}

static ULONG IoApicEntry(const HALP_IO_APIC *IoApic, ULONG Gsi)
{
    return IOAPIC_ENTRIES + 2 * (Gsi - IoApic->GsiBase);
}

static const ACPI_OVERRIDE *HalpOverrideOfGsi(ULONG Gsi)
{
    for (ULONG i = 0; i < HalpAcpi.OverrideCount; i++)
        if (HalpAcpi.Override[i].Gsi == Gsi)
            return &HalpAcpi.Override[i];
    return NULL;
}

static BOOLEAN IoApicResolve(ULONG Level, PULONG Line)
{
    *Line = Level;
    for (ULONG i = 0; Level < ISA_LINES && i < HalpAcpi.OverrideCount; i++)
        if (HalpAcpi.Override[i].Source == Level)
            *Line = HalpAcpi.Override[i].Gsi;
    return HalpIoApicOf(*Line) != NULL;
}

// The polarity and trigger bits of a line. What firmware says counts, then what the driver says.
static ULONG IoApicWiring(ULONG Gsi, KINTERRUPT_MODE Mode)
{
    const ACPI_OVERRIDE *Override = HalpOverrideOfGsi(Gsi);
    ULONG Flags = Override != NULL ? Override->Flags : HalpRouteFlags(Gsi);
    BOOLEAN Isa = Gsi < ISA_LINES;
    BOOLEAN Level = Isa ? Mode == LevelSensitive && Override == NULL : TRUE;
    BOOLEAN Low = !Isa;
    if (Flags & ACPI_TRIGGER_MASK)
        Level = (Flags & ACPI_TRIGGER_MASK) == ACPI_LEVEL;
    if (Flags & ACPI_POLARITY_MASK)
        Low = (Flags & ACPI_POLARITY_MASK) == ACPI_ACTIVE_LOW;
    else if (Isa && Level && Override == NULL)
        Low = TRUE;  // a PCI interrupt behind an ISA number
    return (Level ? ENTRY_LEVEL : 0) | (Low ? ENTRY_LOW : 0);
}

static BOOLEAN IoApicProgram(ULONG Gsi, ULONG Vector, KINTERRUPT_MODE Mode, ULONG ApicId,
                             BOOLEAN *Level)
{
    const HALP_IO_APIC *IoApic = HalpIoApicOf(Gsi);
    ULONG Wiring = IoApicWiring(Gsi, Mode);
    BOOLEAN Enabled = HalpAcquireLock(&HalpIoApicLock);
    IoApicWrite(IoApic, IoApicEntry(IoApic, Gsi), ENTRY_MASKED | Wiring | Vector);
    IoApicWrite(IoApic, IoApicEntry(IoApic, Gsi) + 1, ApicId << 24);
    HalpReleaseLock(&HalpIoApicLock, Enabled);
    *Level = (Wiring & ENTRY_LEVEL) != 0;
    return TRUE;
}

static VOID IoApicSetMask(ULONG Gsi, BOOLEAN Masked)
{
    const HALP_IO_APIC *IoApic = HalpIoApicOf(Gsi);
    BOOLEAN Enabled = HalpAcquireLock(&HalpIoApicLock);
    ULONG Entry = IoApicRead(IoApic, IoApicEntry(IoApic, Gsi)) & ~ENTRY_MASKED;
    IoApicWrite(IoApic, IoApicEntry(IoApic, Gsi), Entry | (Masked ? ENTRY_MASKED : 0));
    HalpReleaseLock(&HalpIoApicLock, Enabled);
}

static VOID IoApicDescribe(ULONG Gsi, char *Buffer, SIZE_T Size)
{
    const HALP_IO_APIC *IoApic = HalpIoApicOf(Gsi);
    BOOLEAN Enabled = HalpAcquireLock(&HalpIoApicLock);
    ULONG Entry = IoApicRead(IoApic, IoApicEntry(IoApic, Gsi));
    ULONG ApicId = IoApicRead(IoApic, IoApicEntry(IoApic, Gsi) + 1) >> 24;
    HalpReleaseLock(&HalpIoApicLock, Enabled);
    RtlFormat(Buffer, Size, "GSI %u %s %s, APIC %u%s", Gsi, Entry & ENTRY_LEVEL ? "level" : "edge",
              Entry & ENTRY_LOW ? "low" : "high", ApicId, Entry & ENTRY_MASKED ? ", masked" : "");
}

static VOID INIT_CODE HalpIoApicAdd(const ACPI_IO_APIC *Entry)
{
    HALP_IO_APIC *IoApic = &HalpIoApics[HalpIoApicCount];
    IoApic->Base = HalMapPhysical(Entry->Address, IOAPIC_REGISTERS, FALSE);
    if (IoApic->Base == NULL)
        return;
    IoApic->Id = Entry->Id;
    IoApic->GsiBase = Entry->GsiBase;
    IoApic->Count = ((IoApicRead(IoApic, IOAPIC_VERSION) >> 16) & 0xFF) + 1;
    if (IoApic->Count > IOAPIC_MAX_INPUTS) {  // nothing answers there
        HalUnmapPhysical((PVOID)IoApic->Base, IOAPIC_REGISTERS);
        return;
    }
    for (ULONG i = 0; i < IoApic->Count; i++)
        IoApicWrite(IoApic, IOAPIC_ENTRIES + 2 * i, ENTRY_MASKED);
    HalpIoApicCount++;
}

static VOID INIT_CODE HalpIoApicWireNmis(VOID)
{
    for (ULONG i = 0; i < HalpAcpi.NmiCount; i++) {
        const ACPI_NMI *Nmi = &HalpAcpi.Nmi[i];
        const HALP_IO_APIC *IoApic = Nmi->Local ? NULL : HalpIoApicOf(Nmi->Input);
        if (IoApic == NULL)
            continue;
        BOOLEAN Low = (Nmi->Flags & ACPI_POLARITY_MASK) == ACPI_ACTIVE_LOW;
        IoApicWrite(IoApic, IoApicEntry(IoApic, Nmi->Input) + 1, HalpBootApicId << 24);
        IoApicWrite(IoApic, IoApicEntry(IoApic, Nmi->Input),
                    ENTRY_MODE_NMI | (Low ? ENTRY_LOW : 0));
    }
}

// An ISA interrupt as an NMI to this processor, for good. It has to be an edge: an NMI has no end
// that a level could wait for.
BOOLEAN INIT_CODE HalpIoApicWireNmi(ULONG IsaLine)
{
    ULONG Gsi;
    if (!IoApicResolve(IsaLine, &Gsi))
        return FALSE;
    const HALP_IO_APIC *IoApic = HalpIoApicOf(Gsi);
    ULONG Wiring = IoApicWiring(Gsi, Latched);
    if (Wiring & ENTRY_LEVEL)
        return FALSE;
    BOOLEAN Enabled = HalpAcquireLock(&HalpIoApicLock);
    IoApicWrite(IoApic, IoApicEntry(IoApic, Gsi) + 1, HalpApicId() << 24);
    IoApicWrite(IoApic, IoApicEntry(IoApic, Gsi), ENTRY_MODE_NMI | Wiring);
    HalpReleaseLock(&HalpIoApicLock, Enabled);
    return TRUE;
}

ULONG INIT_CODE HalpIoApicInitialize(VOID)
{
    for (ULONG i = 0; i < HalpAcpi.IoApicCount; i++)
        HalpIoApicAdd(&HalpAcpi.IoApic[i]);
    HalpIoApicWireNmis();
    return HalpIoApicCount;
}

VOID HalpIoApicSummary(HALP_ITEM_ROUTINE *Item)
{
    for (ULONG i = 0; i < HalpIoApicCount; i++)
        Item("I/O APIC %u GSI %u-%u;", HalpIoApics[i].Id, HalpIoApics[i].GsiBase,
             HalpIoApics[i].GsiBase + HalpIoApics[i].Count - 1);
    for (ULONG i = 0; i < HalpAcpi.OverrideCount; i++) {
        const ACPI_OVERRIDE *Override = &HalpAcpi.Override[i];
        Item("ISA %u>%u%s%s", Override->Source, Override->Gsi,
             (Override->Flags & ACPI_TRIGGER_MASK) == ACPI_LEVEL ? " level" : "",
             (Override->Flags & ACPI_POLARITY_MASK) == ACPI_ACTIVE_LOW ? " low," : ",");
    }
}

VOID HalpIoApicReport(VOID)
{
    for (ULONG i = 0; i < HalpIoApicCount; i++)
        KdPrintf("  I/O APIC %u: GSI %u to %u\n", HalpIoApics[i].Id, HalpIoApics[i].GsiBase,
                 HalpIoApics[i].GsiBase + HalpIoApics[i].Count - 1);
    for (ULONG i = 0; i < HalpAcpi.OverrideCount; i++)
        KdPrintf("  ISA interrupt %u is GSI %u, flags %x\n", HalpAcpi.Override[i].Source,
                 HalpAcpi.Override[i].Gsi, HalpAcpi.Override[i].Flags);
}

const HALP_CONTROLLER HalpIoApicController = {
    "I/O APIC", IoApicResolve, IoApicProgram, IoApicSetMask, IoApicDescribe,
};
