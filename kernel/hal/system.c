// SPDX-License-Identifier: MIT
// system.c: hal's start, and the monitor's `hwinfo`.
//
// The order: firmware's tables say what there is; the counter needs the timers that they name; the
// interrupt controllers come next; the clock needs both. /SAFE skips the tables, and with that
// everything that only they can name: one processor, the 8259s, the PIT.
#include "halp.h"

HALP_ACPI HalpAcpi;

static VOID INIT_CODE HalpLoadFirmware(const LOADER_BLOCK *Block)
{
    if (HalpQueryOption(Block, "SAFE", NULL, 0))
        KLOG("hal", "/SAFE: ACPI is not looked at");
    else if (!HalpAcpiLoad(&HalpAcpi, Block->RsdpAddress))
        KLOG("hal", "no ACPI tables");
    else
        KLOG("hal", "ACPI: tables %u, processors %u, I/O APICs %u", HalpAcpi.TableCount,
             HalpAcpi.ProcessorCount, HalpAcpi.IoApicCount);
}

VOID INIT_CODE HalInitializeSystem(PLOADER_BLOCK Block)
{
    HalpLoadFirmware(Block);
    HalpInitializeCounter();
    HalpInitializeInterrupts(Block);
    HalpInitializeClock();
    KLOG("hal", "interrupts by %s, counter at %llu kHz", HalDescribeInterrupts(),
         HalCounterFrequency / 1000);
}

// ---- hwinfo -------------------------------------------------------------------------------------
static VOID HalpReportProcessorName(VOID)
{
    ULONG Registers[4];
    char Name[49] = "";
    KiCpuid(0x80000000, 0, Registers);
    if (Registers[0] >= 0x80000004) {
        for (ULONG i = 0; i < 3; i++) {
            KiCpuid(0x80000002 + i, 0, Registers);
            memcpy(Name + 16 * i, Registers, 16);
        }
    } else {
        KiCpuid(0, 0, Registers);
        memcpy(Name, &Registers[1], 4);
        memcpy(Name + 4, &Registers[3], 4);
        memcpy(Name + 8, &Registers[2], 4);
    }
    KdPrintf("processor: %s\n", Name);
}

static VOID HalpReportProcessorFeatures(VOID)
{
    static const struct {
        ULONG Leaf;
        UCHAR Register, Bit;  // 0 to 3: eax to edx
        const char *Name;
    } Features[] = {
        {1, 3, 4, "tsc"},
        {1, 3, 6, "pae"},
        {1, 3, 9, "apic"},
        {1, 3, 13, "pge"},
        {1, 3, 16, "pat"},
        {1, 3, 24, "fxsr"},
        {1, 3, 26, "sse2"},
        {1, 2, 13, "cx16"},
        {1, 2, 21, "x2apic"},
        {1, 2, 26, "xsave"},
        {1, 2, 31, "hypervisor"},
        {7, 1, 7, "smep"},
        {7, 1, 20, "smap"},
        {7, 2, 2, "umip"},
        {0x80000001, 3, 20, "nx"},
        {0x80000001, 3, 26, "1g-pages"},
        {0x80000001, 3, 29, "long"},
        {0x80000007, 3, 8, "invariant-tsc"},
    };
    ULONG Registers[4];
    KdPrintf("features:");
    for (ULONG i = 0; i < RTL_NUMBER_OF(Features); i++) {
        KiCpuid(Features[i].Leaf & 0x80000000, 0, Registers);
        if (Registers[0] < Features[i].Leaf)
            continue;
        KiCpuid(Features[i].Leaf, 0, Registers);
        if ((Registers[Features[i].Register] >> Features[i].Bit) & 1)
            KdPrintf(" %s", Features[i].Name);
    }
    KdPrintf("\n");
}

static VOID HalpReportConsoles(VOID)
{
    ULONG Rows, Columns;
    const char *Screen = HalpScreenName(&Rows, &Columns), *Serial = HalpSerialName();
    KdPrintf("consoles:");
    if (Serial != NULL)
        KdPrintf(" %s at %x", Serial, HalpSerialPort());
    if (Screen != NULL)
        KdPrintf(" %s %ux%u", Screen, Columns, Rows);
    KdPrintf("%s\n", HalpKeyboardPresent() ? " keyboard" : "");
}

static VOID HalpReportFirmware(VOID)
{
    KdPrintf("ACPI:%s", HalpAcpi.TableCount == 0 ? " none" : "");
    for (ULONG i = 0; i < HalpAcpi.TableCount; i++)
        KdPrintf(" %s", HalpAcpi.Table[i].Signature);
    KdPrintf("\n");
    if (HalpAcpi.HasFadt)
        KdPrintf("  SCI %u, boot flags %x, PM1a %llx, reset %s, S5 %s\n", HalpAcpi.SciInterrupt,
                 HalpAcpi.BootFlags, HalpAcpi.Pm1aControl.Address,
                 HalpAcpi.Reset.Address != 0 ? "register" : "none",
                 HalpAcpi.HasS5 ? "found" : "none");
}

static BOOLEAN HalpHardwareCommand(const char *Arguments)
{
    if (*Arguments != '\0')
        return FALSE;
    HalpReportProcessorName();
    HalpReportProcessorFeatures();
    HalpReportFirmware();
    HalpInterruptReport();
    HalpCounterReport();
    HalpClockReport();
    HalpReportConsoles();
    HalpPciReport();
    return TRUE;
}

KD_COMMAND(hwinfo, "hwinfo",
           "hwinfo: processor, interrupt controllers, timers, consoles and PCI functions",
           HalpHardwareCommand, KD_SAFE_IN_BUGCHECK);
