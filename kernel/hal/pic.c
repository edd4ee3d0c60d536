// SPDX-License-Identifier: MIT
// pic.c: the pair of 8259 interrupt controllers.
//
// In use where there is no I/O APIC, or by option. Otherwise they are set up all the same and
// masked, so that a stray interrupt of theirs does not look like an exception.
//
// An 8259 knows nothing of IRQLs. So an interrupt of one is masked and acknowledged as soon as it
// arrives, and forwarded to the vector that stands for its line and has an IRQL; the line is opened
// again when that vector's service has run. A masked 8259 input still latches an edge: none gets
// lost.
//
// Inputs 7 and 15 also deliver when a request went away before it was acknowledged. Such a spurious
// interrupt is not in service, which is how it is told from a real one; for 15 the master must be
// acknowledged all the same.
#include "halp.h"

#define PIC_COMMAND(Slave) ((Slave) ? 0xA0u : 0x20u)
#define PIC_DATA(Slave)    ((Slave) ? 0xA1u : 0x21u)
#define ELCR_PORT          0x4D0u
#define ELCR_NEVER_LEVEL   0x2107u  // timer, keyboard, cascade, clock and coprocessor are edges

#define PIC_START        0x11u  // with ICW4
#define PIC_8086         0x01u
#define PIC_READ_SERVICE 0x0Bu
#define PIC_SPECIFIC_EOI 0x60u
#define PIC_CASCADE      2u

static USHORT HalpPicMasks = 0xFFFF;
static USHORT HalpPicLevels;      // from the ELCR
static BOOLEAN HalpPicHasLevels;  // there is an ELCR
static HALP_LOCK HalpPicLock;
static ULONG HalpPicSpurious;

static VOID INIT_CODE PicStart(BOOLEAN Slave)
{
    KiOutByte(PIC_COMMAND(Slave), PIC_START);
    KiOutByte(PIC_DATA(Slave), (UCHAR)(LEGACY_VECTOR_BASE + (Slave ? 8 : 0)));
    KiOutByte(PIC_DATA(Slave), Slave ? PIC_CASCADE : 1 << PIC_CASCADE);
    KiOutByte(PIC_DATA(Slave), PIC_8086);
    KiOutByte(PIC_DATA(Slave), 0xFF);
}

// A machine without the register reads as all ones, which no real setting is; one without PCI has
// no interrupts that are levels.
static VOID INIT_CODE PicReadLevels(VOID)
{
    USHORT Levels = (USHORT)(KiInByte(ELCR_PORT) | KiInByte(ELCR_PORT + 1) << 8);
    HalpPicHasLevels = HalpPciExists() && !(Levels & ELCR_NEVER_LEVEL);
    HalpPicLevels = HalpPicHasLevels ? Levels : 0;
}

VOID INIT_CODE HalpPicInitialize(VOID)
{
    HalpPicMasks = (USHORT) ~(1u << PIC_CASCADE);
    PicStart(FALSE);
    PicStart(TRUE);
    KiOutByte(PIC_DATA(FALSE), (UCHAR)HalpPicMasks);
    PicReadLevels();
}

static VOID PicSetMask(ULONG Irq, BOOLEAN Masked)
{
    BOOLEAN Enabled = HalpAcquireLock(&HalpPicLock);
    if (Masked)
        HalpPicMasks |= (USHORT)(1u << Irq);
    else
        HalpPicMasks &= (USHORT) ~(1u << Irq);
    KiOutByte(PIC_DATA(Irq >= 8), (UCHAR)(HalpPicMasks >> (Irq & 8)));
    HalpReleaseLock(&HalpPicLock, Enabled);
}

VOID HalpPicEnd(ULONG Irq)
{
    BOOLEAN Enabled = HalpAcquireLock(&HalpPicLock);
    if (Irq >= 8)
        KiOutByte(PIC_COMMAND(TRUE), (UCHAR)(PIC_SPECIFIC_EOI | (Irq & 7)));
    KiOutByte(PIC_COMMAND(FALSE), (UCHAR)(PIC_SPECIFIC_EOI | (Irq >= 8 ? PIC_CASCADE : Irq)));
    HalpReleaseLock(&HalpPicLock, Enabled);
}

BOOLEAN HalpPicIsSpurious(ULONG Irq)
{
    if ((Irq & 7) != 7)
        return FALSE;
    BOOLEAN Enabled = HalpAcquireLock(&HalpPicLock);
    KiOutByte(PIC_COMMAND(Irq >= 8), PIC_READ_SERVICE);
    BOOLEAN Spurious = !(KiInByte(PIC_COMMAND(Irq >= 8)) & 0x80);
    if (Spurious && Irq >= 8)
        KiOutByte(PIC_COMMAND(FALSE), PIC_SPECIFIC_EOI | PIC_CASCADE);
    HalpPicSpurious += Spurious;
    HalpReleaseLock(&HalpPicLock, Enabled);
    return Spurious;
}

static BOOLEAN PicResolve(ULONG Level, PULONG Line)
{
    *Line = Level == PIC_CASCADE ? 9 : Level;  // ISA's IRQ 2 arrives at input 9
    return Level < PIC_LINES;
}

// Firmware should have made the inputs that PCI is wired to level-triggered. Where it has not, a
// driver that says its interrupt is a level knows better. The receiver is the boot processor.
static BOOLEAN PicProgram(ULONG Irq, ULONG Vector, KINTERRUPT_MODE Mode, ULONG ApicId,
                          BOOLEAN *Level)
{
    UNREFERENCED_PARAMETER(Vector);
    UNREFERENCED_PARAMETER(ApicId);
    USHORT Bit = (USHORT)(1u << Irq);
    BOOLEAN Enabled = HalpAcquireLock(&HalpPicLock);
    if (Mode == LevelSensitive && !((HalpPicLevels | ELCR_NEVER_LEVEL) & Bit) && HalpPicHasLevels) {
        HalpPicLevels |= Bit;
        KiOutByte((USHORT)(ELCR_PORT + Irq / 8), (UCHAR)(HalpPicLevels >> (Irq & 8)));
    }
    HalpReleaseLock(&HalpPicLock, Enabled);
    *Level = (HalpPicLevels & Bit) != 0;
    return TRUE;
}

static VOID PicDescribe(ULONG Irq, char *Buffer, SIZE_T Size)
{
    RtlFormat(Buffer, Size, "8259 input %u %s%s", Irq,
              (HalpPicLevels >> Irq) & 1 ? "level" : "edge",
              (HalpPicMasks >> Irq) & 1 ? ", masked" : "");
}

VOID HalpPicSummary(HALP_ITEM_ROUTINE *Item)
{
    Item("8259 masks %04x levels %04x,", HalpPicMasks, HalpPicLevels);
}

VOID HalpPicReport(VOID)
{
    KdPrintf("  8259s: masks %04x, level inputs %04x, %u spurious\n", HalpPicMasks, HalpPicLevels,
             HalpPicSpurious);
}

const HALP_CONTROLLER HalpPicController = {
    "8259", PicResolve, PicProgram, PicSetMask, PicDescribe,
};
