// SPDX-License-Identifier: MIT
// debugport.c: the serial port that /DEBUG gives to the debugger.
//
// /DEBUGPORT=COMn names it; without that it is COM2, or COM1 on a machine that has no COM2.
//
// A byte that arrives while the system runs has to get through whatever the processor is doing, so
// the port's interrupt line is wired as an NMI: the I/O APIC delivers an edge on any of its inputs
// that way. Neither the IRQL nor cleared interrupts hold it back. Without an I/O APIC there is no
// such wire, and the port has to be polled.
//
// Who owns it: kd, one processor at a time. Nothing here locks.
#include "halp.h"

static HALP_UART HalpDebugUart;
static BOOLEAN HalpDebugWired;

#define COM1 0x3F8u
#define COM2 0x2F8u

static const struct {
    USHORT Port;
    UCHAR Line;
} HalpComLines[] = {{0x3F8, 4}, {0x2F8, 3}, {0x3E8, 4}, {0x2E8, 3}};

VOID INIT_CODE HalpDebugPortInitialize(const LOADER_BLOCK *Block)
{
    char Value[16] = "", Rate[16] = "";
    if (!HalpQueryOption(Block, "DEBUG", NULL, 0))
        return;
    HalpQueryOption(Block, "DEBUGPORT", Value, sizeof(Value));
    HalpQueryOption(Block, "BAUDRATE", Rate, sizeof(Rate));
    USHORT Port = HalpUartPortOf(Value);
    ULONG BaudRate = HalpParseNumber(Rate);
    if (Port != 0)
        HalpUartInitialize(&HalpDebugUart, Port, BaudRate);
    else if (!HalpUartInitialize(&HalpDebugUart, COM2, BaudRate))
        HalpUartInitialize(&HalpDebugUart, COM1, BaudRate);
}

USHORT HalpDebugPort(VOID)
{
    return HalpDebugUart.Port;
}

const char *HalDescribeDebugPort(VOID)
{
    static char Text[32];
    if (HalpDebugUart.Port == 0)
        return NULL;
    RtlFormat(Text, sizeof(Text), "%s at %u baud", HalpDebugUart.Name, HalpDebugUart.BaudRate);
    return Text;
}

ULONG HalDebugPortBaudRate(VOID)
{
    return HalpDebugUart.BaudRate;
}

BOOLEAN HalDebugPortIsConsole(VOID)
{
    return HalpDebugUart.Port == COM1;
}

int HalReadDebugPort(VOID)
{
    return HalpUartGet(&HalpDebugUart);
}

VOID HalWriteDebugPort(const UCHAR *Bytes, SIZE_T Length)
{
    USHORT Port = HalpDebugUart.Port;
    HalpDebugUart.Space = 0;
    for (SIZE_T i = 0; i < Length; i++)
        HalpUartPut(&HalpDebugUart, Bytes[i]);
    HalpDebugUart.Port = Port; // what was too slow for these bytes is not given up for ever
}

BOOLEAN INIT_CODE HalConnectDebugPort(VOID)
{
    for (ULONG i = 0; i < RTL_NUMBER_OF(HalpComLines); i++)
        if (HalpComLines[i].Port == HalpDebugUart.Port)
            HalpDebugWired = HalpController == &HalpIoApicController &&
                             HalpIoApicWireNmi(HalpComLines[i].Line);
    return HalpDebugWired;
}

VOID HalEnableDebugPortInterrupt(BOOLEAN Enable)
{
    HalpUartExpect(&HalpDebugUart, Enable);
    if (HalpDebugWired)
        HalpUartInterrupt(&HalpDebugUart, Enable);
}

#define SYSTEM_CONTROL 0x61u
#define NMI_REASONS    0xC0u  // PCI SERR or memory parity, and the bus's channel check

BOOLEAN HalNmiIsFailure(VOID)
{
    UCHAR Control = KiInByte(SYSTEM_CONTROL);
    return Control != 0xFF && (Control & NMI_REASONS) != 0;
}
