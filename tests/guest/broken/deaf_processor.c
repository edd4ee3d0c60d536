// SPDX-License-Identifier: MIT
// A processor with interrupts off without end, while another waits for it to forget a mapping
// Options: --smp 2 --options "/CLOCKWATCHDOG=2"
// Says: Processor 1 has not answered
#include "deaf.h"

static VOID NTAPI DisableInterrupts(VOID)
{
    __asm__ volatile("cli");
}

BREAK
{
    MakeProcessorDeaf(DisableInterrupts);
    for (;;)
        MmFreeNonCachedMemory(MmAllocateNonCachedMemory(PAGE_SIZE), PAGE_SIZE);
    return STATUS_SUCCESS;
}
