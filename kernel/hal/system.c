// SPDX-License-Identifier: MIT
// system.c: hal's start.
//
// The order: firmware's tables say what there is; the counter needs the timers that they name; the
// interrupt controllers come next; the clock needs both. /SAFE skips the tables, and with that
// everything that only they can name: one processor, the 8259s, the PIT.
#include "halp.h"

HALP_ACPI HalpAcpi;
const LOADER_BLOCK *HalpLoaderBlock;

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
    HalpLoaderBlock = Block;
    HalpLoadFirmware(Block);
    HalpInitializeCounter();
    HalpInitializeInterrupts(Block);
    HalpInitializeClock();
    KLOG("hal", "interrupts by %s, counter at %llu kHz", HalDescribeInterrupts(),
         HalCounterFrequency / 1000);
}
