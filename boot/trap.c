// SPDX-License-Identifier: MIT
// Exceptions in boot code: shown and halted on, never a triple fault.
//
// The table is the 32-bit one; it serves until paging is switched on. BootTrapStubs, in entry.inc,
// are 32 pieces of 8 bytes that push their number and come here.

#include "boot.h"

#define BOOT_VECTORS 32u
#define CODE_SELECTOR 0x08u
#define GATE_INTERRUPT 0x8E00u

// Vectors whose frame starts with an error code: 8, 10 to 14, 17, 21, 29, 30.
#define ERROR_CODE_VECTORS 0x60227D00u

extern const UCHAR BootTrapStubs[];
void BootTrap(ULONG Vector, const ULONG *Frame);

static struct {
    USHORT OffsetLow, Selector, Type, OffsetHigh;
} Idt[BOOT_VECTORS];

void BootInstallTraps(void)
{
    struct __attribute__((packed)) {
        USHORT Limit;
        ULONG Base;
    } Register = { sizeof(Idt) - 1, (ULONG)Idt };

    for (ULONG i = 0; i < BOOT_VECTORS; i++) {
        ULONG Stub = (ULONG)BootTrapStubs + i * 8;

        Idt[i].OffsetLow = (USHORT)Stub;
        Idt[i].Selector = CODE_SELECTOR;
        Idt[i].Type = GATE_INTERRUPT;
        Idt[i].OffsetHigh = (USHORT)(Stub >> 16);
    }
    __asm__ volatile("lidt %0" : : "m"(Register));
}

// Frame: what the processor pushed.
void BootTrap(ULONG Vector, const ULONG *Frame)
{
    if ((ERROR_CODE_VECTORS >> Vector) & 1)
        Frame++;
    BootStop(BootFailure("Unexpected processor exception %u at 0x%x.", Vector, Frame[0]));
}
