// SPDX-License-Identifier: MIT
// apic.c: the local APIC of each processor, in xAPIC or x2APIC mode.
//
// It delivers what the I/O APICs, message-signalled devices and other processors send, has the
// clock's timer, and on amd64 it is what makes CR8 mask interrupts and delivers the software
// interrupts.
//
// xAPIC mode: registers in memory, mapped uncached into the HAL region, and APIC ids of 8 bits.
// x2APIC mode: registers are MSRs, and ids have 32 bits. It is used where firmware left it on (some
// processors lock it then), where a processor's id needs it, and where /X2APICPOLICY=enable asks
// for it. Otherwise it stays off although the processor has it: without interrupt remapping, which
// we do not program, chipsets promise device interrupts for xAPIC mode alone. /X2APICPOLICY=disable
// goes back to xAPIC mode, by way of switching the APIC off, where that is not locked; processors
// with larger ids then stay unused, which the log says. All processors are in the same mode.
// (Intel, Software Developer's Manual, volume 3, "Extended xAPIC (x2APIC)".)
//
// LINT0 carries the 8259s where they are in use ("virtual wire"), LINT1 the NMI, unless firmware
// says otherwise; both on the boot processor alone: an NMI of the hardware's has one receiver.
//
// In xAPIC mode a processor has, besides its id, one of eight logical ids, so that one command
// reaches any set of them (processor.c).
#include "cpuid.h"
#include "halp.h"

#define MSR_APIC_BASE     0x1Bu
#define APIC_BASE_X2      0x400u
#define APIC_BASE_ENABLED 0x800u
#define APIC_BASE_ADDRESS 0x000FFFFFFFFFF000ull
#define CPUID_APIC        (1u << 9)
#define CPUID_X2APIC      (1u << 21)

#define MSR_ARCH_CAPABILITIES    0x10Au
#define MSR_XAPIC_DISABLE_STATUS 0xBDu
#define CPUID_ARCH_CAPABILITIES  (1u << 29)   // leaf 7, edx
#define CAPABILITY_XAPIC_DISABLE (1ull << 21) // the status register is there
#define XAPIC_LOCKED_OUT         1u           // x2APIC mode cannot be left

#define APIC_SOFTWARE_ENABLE 0x100u
#define APIC_LVT_LOW         0x02000u
#define APIC_COMMAND_BUSY    0x01000u
#define APIC_REGISTERS       0x400u
#define APIC_FLAT_MODEL      0xFFFFFFFFu
#define MSR_X2APIC_SELF      0x83Fu

volatile UCHAR *HalpApic;
BOOLEAN HalpX2Apic;
static volatile ULONG HalpApicErrorCount;

BOOLEAN HalpApicExists(VOID)
{
    ULONG Registers[4];
    KiCpuid(1, 0, Registers);
    return (Registers[3] & CPUID_APIC) != 0;
}

// How many processors have ids that xAPIC mode has no room for.
static ULONG INIT_CODE HalpCountLargeIds(VOID)
{
    ULONG Count = 0;
    for (ULONG i = 0; i < HalpAcpi.ProcessorCount; i++)
        Count += HalpAcpi.ApicId[i] > XAPIC_LARGEST_ID;
    return Count;
}

static BOOLEAN INIT_CODE HalpX2ApicLocked(VOID)
{
    return (KiCpuidRegister(7, CpuidEdx) & CPUID_ARCH_CAPABILITIES) &&
           (KiReadMsr(MSR_ARCH_CAPABILITIES) & CAPABILITY_XAPIC_DISABLE) &&
           (KiReadMsr(MSR_XAPIC_DISABLE_STATUS) & XAPIC_LOCKED_OUT);
}

static BOOLEAN INIT_CODE HalpWantsX2Apic(VOID)
{
    char Policy[8] = "";
    ULONG Registers[4];
    KiCpuid(1, 0, Registers);
    if (!(Registers[2] & CPUID_X2APIC))
        return FALSE;
    HalpQueryOption(HalpLoaderBlock, "X2APICPOLICY", Policy, sizeof(Policy));
    BOOLEAN On = (KiReadMsr(MSR_APIC_BASE) & APIC_BASE_X2) != 0;
    if (_stricmp(Policy, "disable") == 0)
        return On && HalpX2ApicLocked();
    return On || HalpCountLargeIds() != 0 || _stricmp(Policy, "enable") == 0;
}

// Ids that no message can carry: what of the machine is lost by that.
static VOID INIT_CODE HalpReportLargeIds(VOID)
{
    ULONG Large = HalpCountLargeIds();
    if (Large != 0 && !HalpX2Apic)
        KLOG("hal", "processors whose APIC ids need x2APIC mode, not used: %u", Large);
    if (HalpBootApicId > XAPIC_LARGEST_ID)
        KLOG("hal", "device interrupts cannot reach the first processor, its APIC id is %u",
             HalpBootApicId);
}

// Switches this processor's APIC on, in HalpX2Apic's mode. Between the modes the only way is by
// "off" in the one direction and by xAPIC mode in the other.
static VOID HalpApicSwitchOn(VOID)
{
    ULONG64 Base = KiReadMsr(MSR_APIC_BASE);
    ULONG64 Off = Base & ~(ULONG64)(APIC_BASE_X2 | APIC_BASE_ENABLED);
    if (HalpX2Apic) {
        if (!(Base & APIC_BASE_X2)) {
            KiWriteMsr(MSR_APIC_BASE, Off | APIC_BASE_ENABLED);
            KiWriteMsr(MSR_APIC_BASE, Off | APIC_BASE_ENABLED | APIC_BASE_X2);
        }
        return;
    }
    if (Base & APIC_BASE_X2)
        KiWriteMsr(MSR_APIC_BASE, Off);
    KiWriteMsr(MSR_APIC_BASE, Off | APIC_BASE_ENABLED);
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

// What every processor's needs. Its lines stay closed.
static VOID HalpApicSetUp(VOID)
{
    HalpApicSwitchOn();
    HalpAcceptAllPriorities();
    HalpApicWrite(APIC_TIMER, APIC_MASKED);
    HalpApicWrite(APIC_SPURIOUS, APIC_SOFTWARE_ENABLE | SPURIOUS_VECTOR);
    HalpApicWrite(APIC_LINT0, APIC_MODE_EXTINT | APIC_MASKED);
    HalpApicWrite(APIC_LINT1, APIC_MODE_NMI | APIC_MASKED);
    HalpApicDrain();
    HalpApicWrite(APIC_ERROR_STATUS, 0);
    HalpApicWrite(APIC_ERROR, APIC_ERROR_VECTOR);
}

BOOLEAN INIT_CODE HalpApicInitialize(BOOLEAN LegacyThrough)
{
    ULONG64 Address = KiReadMsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS;
    if (HalpAcpi.HasMadt && HalpAcpi.LocalApicAddress != Address)
        KLOG("hal", "the MADT has the local APIC at %llx, the processor at %llx",
             HalpAcpi.LocalApicAddress, Address);
    HalpApic = HalMapPhysical(Address, APIC_REGISTERS, FALSE);
    if (HalpApic == NULL)
        return FALSE;
    HalpX2Apic = HalpWantsX2Apic();
    HalpApicSetUp();
    HalpInitializeBootProcessor();
    HalpReportLargeIds();
    HalpApicWireNmi();
    if (LegacyThrough)
        HalpApicWrite(APIC_LINT0, APIC_MODE_EXTINT);
    HalpNameVector(APIC_ERROR_VECTOR, "local APIC error");
    HalpNameVector(SPURIOUS_VECTOR, "local APIC spurious");
    return TRUE;
}

VOID HalpApicSetLogicalId(ULONG LogicalId)
{
    if (HalpX2Apic)
        return;
    HalpApicWrite(APIC_LOGICAL_MODE, APIC_FLAT_MODEL);
    HalpApicWrite(APIC_LOGICAL_ID, LogicalId << 24);
}

VOID HalpApicStartProcessor(ULONG LogicalId)
{
    HalpApicSetUp();
    HalpApicSetLogicalId(LogicalId);
}

VOID HalpApicHandleError(VOID)
{
    HalpApicWrite(APIC_ERROR_STATUS, 0); // latches the status of now
    ULONG Status = HalpApicRead(APIC_ERROR_STATUS);
    if (__atomic_fetch_add(&HalpApicErrorCount, 1, __ATOMIC_RELAXED) < 8)
        KLOG("hal", "local APIC error, status %x", Status);
    HalpApicWrite(APIC_EOI, 0);
}

// Destination: an APIC id, or logical ids where Command says so; nothing where it has a shorthand.
// In xAPIC mode it is two writes that nothing may come between. In x2APIC mode the write does not
// wait for stores before it, so they are waited for: the receiver must see them.
VOID HalpApicSend(ULONG Destination, ULONG Command)
{
    BOOLEAN Enabled;
    if (HalpX2Apic) {
        __asm__ volatile("mfence; lfence" ::: "memory");
        KiWriteMsr(MSR_X2APIC + APIC_COMMAND / 16, (ULONG64)Destination << 32 | Command);
        return;
    }
    Enabled = KiDisableInterrupts();
    while (HalpApicRead(APIC_COMMAND) & APIC_COMMAND_BUSY)
        KiPause();
    HalpApicWrite(APIC_COMMAND_HIGH, Destination << 24);
    HalpApicWrite(APIC_COMMAND, Command);
    KiRestoreInterrupts(Enabled);
}

VOID HalpApicSendSelf(ULONG Vector)
{
    BOOLEAN Enabled;
    if (HalpX2Apic) {
        KiWriteMsr(MSR_X2APIC_SELF, Vector);
        return;
    }
    Enabled = KiDisableInterrupts();
    while (HalpApicRead(APIC_COMMAND) & APIC_COMMAND_BUSY)
        KiPause();
    HalpApicWrite(APIC_COMMAND, APIC_COMMAND_SELF | Vector);
    KiRestoreInterrupts(Enabled);
}

ULONG HalpApicId(VOID)
{
    return HalpX2Apic ? HalpApicRead(APIC_ID) : HalpApicRead(APIC_ID) >> 24;
}

ULONG HalpApicErrors(VOID)
{
    return HalpApicErrorCount;
}
