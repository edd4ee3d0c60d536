// SPDX-License-Identifier: MIT
// serial.c: a serial port as a console. A machine without one simply has no serial console.
//
// /DEBUGPORT and /BAUDRATE choose it. With /DEBUG they choose the debugger's port instead
// (debugport.c); the console is then COM1, and if that is the debugger's there is none: the
// debugger shows the text.
//
// A newline goes out as CR LF, for terminals. A CR LF in the text gets a second CR, so that taking
// one CR away before each LF gives the text back byte for byte.
#include "halp.h"

#define COM1 0x3F8u

static HALP_UART HalpSerial;

// Drivers read here which port they have to leave alone: the debugger's, else the console's; NULL
// when there is none.
PUCHAR KdComPortInUse;
EXPORT_VARIABLE(KdComPortInUse, "ntddk.h");

static USHORT INIT_CODE HalpSerialSelect(const LOADER_BLOCK *Block)
{
    char Value[16];
    USHORT Port = 0;
    if (HalpDebugPort() != 0)
        return HalpDebugPort() != COM1 ? COM1 : 0;
    if (HalpQueryOption(Block, "DEBUGPORT", Value, sizeof(Value)))
        Port = HalpUartPortOf(Value);
    return Port != 0 ? Port : COM1;
}

BOOLEAN INIT_CODE HalpSerialInitialize(const LOADER_BLOCK *Block)
{
    char Rate[16] = "";
    USHORT Port = HalpSerialSelect(Block);
    if (HalpDebugPort() == 0)
        HalpQueryOption(Block, "BAUDRATE", Rate, sizeof(Rate));
    if (Port != 0)
        HalpUartInitialize(&HalpSerial, Port, HalpParseNumber(Rate));
    Port = HalpDebugPort() != 0 ? HalpDebugPort() : HalpSerial.Port;
    KdComPortInUse = (PUCHAR)(ULONG_PTR)Port;
    return HalpSerial.Port != 0;
}

// Every LF gets its CR, also one that has one: whoever reads the port undoes exactly that and has
// the text byte for byte.
VOID HalpSerialWrite(const char *Text, SIZE_T Length)
{
    HalpSerial.Space = 0;
    for (SIZE_T i = 0; i < Length && HalpSerial.Port != 0; i++) {
        if (Text[i] == '\n')
            HalpUartPut(&HalpSerial, '\r');
        HalpUartPut(&HalpSerial, (UCHAR)Text[i]);
    }
}

int HalpSerialRead(VOID)
{
    return HalpUartGet(&HalpSerial);
}

const char *HalpSerialName(VOID)
{
    return HalpSerial.Port != 0 ? HalpSerial.Name : NULL;
}

ULONG HalpSerialPort(VOID)
{
    return HalpSerial.Port;
}
