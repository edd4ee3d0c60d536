// SPDX-License-Identifier: MIT
// apic.c: the local APIC, in xAPIC mode.
//
// It delivers what the I/O APICs and message-signalled devices send, has the clock's timer, and on
// amd64 it is what makes CR8 mask interrupts and delivers the software interrupts. Its registers
// are mapped uncached into the HAL region. A firmware that left x2APIC mode on is taken back to
// xAPIC mode, which is possible by way of switching it off.
//
// LINT0 carries the 8259s where they are in use ("virtual wire"), LINT1 the NMI, unless firmware
// says otherwise.
#include "halp.h"

#define MSR_APIC_BASE     0x1Bu
#define APIC_BASE_X2      0x400u
#define APIC_BASE_ENABLED 0x800u
#define APIC_BASE_ADDRESS 0x000FFFFFFFFFF000ull
#define CPUID_APIC        (1u << 9)

#define APIC_SOFTWARE_ENABLE 0x100u
#define APIC_LVT_LOW         0x02000u
#define APIC_COMMAND_BUSY    0x01000u
#define APIC_COMMAND_SELF    0x40000u
#define APIC_REGISTERS       0x400u

volatile UCHAR *HalpApic;
static ULONG HalpApicErrorCount;

BOOLEAN HalpApicExists(VOID)
{
    ULONG Registers[4];
    KiCpuid(1, 0, Registers);
    return (Registers[3] & CPUID_APIC) != 0;
}

// The physical address of its registers, with the APIC switched on in xAPIC mode.
static ULONG64 HalpApicSwitchOn(VOID)
{
    ULONG64 Base = KiReadMsr(MSR_APIC_BASE);
    ULONG64 Address = Base & APIC_BASE_ADDRESS;
    if (Base & APIC_BASE_X2)
        KiWriteMsr(MSR_APIC_BASE, Base & ~(ULONG64)(APIC_BASE_X2 | APIC_BASE_ENABLED));
    KiWriteMsr(MSR_APIC_BASE, (Base & ~(ULONG64)APIC_BASE_X2) | APIC_BASE_ENABLED);
    if (HalpAcpi.HasMadt && HalpAcpi.LocalApicAddress != Address)
        KLOG("hal", "the MADT has the local APIC at %llx, the processor at %llx",
             HalpAcpi.LocalApicAddress, Address);
    return Address;
}

// What firmware left in service would keep lower vectors from arriving for ever.
static VOID HalpApicDrain(VOID)
{
    for (ULONG Word = 0; Word < 8; Word++)
        for (ULONG i = 0; i < 32 && HalpApicRead(APIC_IN_SERVICE + Word * 0x10) != 0; i++)
            HalpApicWrite(APIC_EOI, 0);
}

static VOID HalpApicWireNmi(VOID)
{
    HalpApicWrite(APIC_LINT1, APIC_MODE_NMI);
    for (ULONG i = 0; i < HalpAcpi.NmiCount; i++) {
        const ACPI_NMI *Nmi = &HalpAcpi.Nmi[i];
        ULONG Entry = APIC_MODE_NMI;
        if (!Nmi->Local || Nmi->Input > 1)
            continue;
        if ((Nmi->Flags & ACPI_POLARITY_MASK) == ACPI_ACTIVE_LOW)
            Entry |= APIC_LVT_LOW;
        HalpApicWrite(Nmi->Input == 0 ? APIC_LINT0 : APIC_LINT1, Entry);
    }
}

BOOLEAN HalpApicInitialize(BOOLEAN LegacyThrough)
{
    HalpApic = HalMapPhysical(HalpApicSwitchOn(), APIC_REGISTERS, FALSE);
    if (HalpApic == NULL)
        return FALSE;
    HalpAcceptAllPriorities();
    HalpApicWrite(APIC_TIMER, APIC_MASKED);
    HalpApicWrite(APIC_SPURIOUS, APIC_SOFTWARE_ENABLE | SPURIOUS_VECTOR);
    HalpApicWireNmi();
    HalpApicWrite(APIC_LINT0, LegacyThrough ? APIC_MODE_EXTINT : APIC_MODE_EXTINT | APIC_MASKED);
    HalpApicDrain();
    HalpApicWrite(APIC_ERROR_STATUS, 0);
    HalpApicWrite(APIC_ERROR, APIC_ERROR_VECTOR);
    HalpNameVector(APIC_ERROR_VECTOR, "local APIC error");
    HalpNameVector(SPURIOUS_VECTOR, "local APIC spurious");
    return TRUE;
}

VOID HalpApicHandleError(VOID)
{
    HalpApicWrite(APIC_ERROR_STATUS, 0);  // latches the status of now
    ULONG Status = HalpApicRead(APIC_ERROR_STATUS);
    if (HalpApicErrorCount++ < 8)
        KLOG("hal", "local APIC error, status %x", Status);
    HalpApicWrite(APIC_EOI, 0);
}

VOID HalpApicSendSelf(ULONG Vector)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    while (HalpApicRead(APIC_COMMAND) & APIC_COMMAND_BUSY)
        KiPause();
    HalpApicWrite(APIC_COMMAND, APIC_COMMAND_SELF | Vector);
    KiRestoreInterrupts(Enabled);
}

ULONG HalpApicId(VOID)
{
    return HalpApicRead(APIC_ID) >> 24;
}

ULONG HalpApicErrors(VOID)
{
    return HalpApicErrorCount;
}
