// SPDX-License-Identifier: MIT
// serial.c: a 16550 as a polled console.
//
// The port is looked for, not assumed: a scratch register that keeps what is written to it and a
// byte that comes back through the loopback path. A machine without one simply has no serial
// console. Every wait is bounded, and a transmitter that stays busy for the time of a thousand
// characters is given up for good: an unplugged adapter must not slow down a kernel that has a
// screen.
//
// A newline goes out as CR LF, for terminals. A CR LF in the text gets a second CR, so that taking
// one CR away before each LF gives the text back byte for byte.
#include "halp.h"

#define UART_DATA          0u  // divisor low while DLAB is set
#define UART_INTERRUPTS    1u  // divisor high while DLAB is set
#define UART_FIFO          2u  // read: interrupt identification; its top bits tell of a FIFO
#define UART_LINE_CONTROL  3u
#define UART_MODEM_CONTROL 4u
#define UART_LINE_STATUS   5u
#define UART_SCRATCH       7u

#define LINE_8N1          0x03u
#define LINE_DIVISOR      0x80u
#define FIFO_ENABLE_CLEAR 0x07u
#define FIFO_WORKS        0xC0u
#define MODEM_DTR_RTS     0x03u
#define MODEM_LOOPBACK    0x1Eu
#define STATUS_DATA       0x01u
#define STATUS_EMPTY      0x20u
#define STATUS_ABSENT     0xFFu

#define UART_CLOCK 115200u
#define FIFO_DEPTH 16u
#define BUSY_LIMIT 100000u  // status reads, each about a microsecond on hardware

static const struct {
    const char *Name;
    USHORT Port;
} HalpSerialPorts[] = {{"COM1", 0x3F8}, {"COM2", 0x2F8}, {"COM3", 0x3E8}, {"COM4", 0x2E8}};

static struct {
    USHORT Port;  // 0: no port
    const char *Name;
    ULONG Depth;  // characters the transmitter takes at once
    ULONG Space;  // of these, how many it takes now without asking
} HalpSerial;

// Drivers read here which port they have to leave alone; NULL when there is none.
PUCHAR KdComPortInUse;
EXPORT_VARIABLE(KdComPortInUse, "ntddk.h");

static VOID UartWrite(ULONG Register, UCHAR Value)
{
    KiOutByte((USHORT)(HalpSerial.Port + Register), Value);
}

static UCHAR UartRead(ULONG Register)
{
    return KiInByte((USHORT)(HalpSerial.Port + Register));
}

static BOOLEAN INIT_CODE HalpSerialProbe(VOID)
{
    static const UCHAR Patterns[] = {0x5A, 0xA5};
    for (ULONG i = 0; i < RTL_NUMBER_OF(Patterns); i++) {
        UartWrite(UART_SCRATCH, Patterns[i]);
        KiOutByte(0x80, 0);  // something else on the bus, so that a floating one does not echo
        if (UartRead(UART_SCRATCH) != Patterns[i])
            return FALSE;
    }
    return TRUE;
}

static VOID INIT_CODE HalpSerialSetUp(ULONG BaudRate)
{
    ULONG Divisor = BaudRate == 0 || BaudRate > UART_CLOCK ? 1 : UART_CLOCK / BaudRate;
    UartWrite(UART_INTERRUPTS, 0);
    UartWrite(UART_LINE_CONTROL, LINE_DIVISOR);
    UartWrite(UART_DATA, (UCHAR)Divisor);
    UartWrite(UART_INTERRUPTS, (UCHAR)(Divisor >> 8));
    UartWrite(UART_LINE_CONTROL, LINE_8N1);
    UartWrite(UART_FIFO, FIFO_ENABLE_CLEAR);
    HalpSerial.Depth = (UartRead(UART_FIFO) & FIFO_WORKS) == FIFO_WORKS ? FIFO_DEPTH : 1;
}

// A byte written in loopback mode comes back; the wait covers one character at 300 baud.
static BOOLEAN INIT_CODE HalpSerialLoopback(VOID)
{
    BOOLEAN Found = FALSE;
    UartWrite(UART_MODEM_CONTROL, MODEM_LOOPBACK);
    UartWrite(UART_DATA, 0xAE);
    for (ULONG i = 0; i < BUSY_LIMIT && !Found; i++)
        Found = (UartRead(UART_LINE_STATUS) & STATUS_DATA) != 0;
    Found = Found && UartRead(UART_DATA) == 0xAE;
    UartWrite(UART_MODEM_CONTROL, MODEM_DTR_RTS);
    return Found;
}

// "COM2", "2" or a port number as 0x2F8 selects the port; COM1 without the option.
static USHORT INIT_CODE HalpSerialSelect(const LOADER_BLOCK *Block)
{
    char Value[16];
    if (!HalpQueryOption(Block, "DEBUGPORT", Value, sizeof(Value)))
        return HalpSerialPorts[0].Port;
    const char *Digit = _strnicmp(Value, "COM", 3) == 0 ? Value + 3 : Value;
    if (Digit[0] >= '1' && Digit[0] <= '4' && Digit[1] == '\0')
        return HalpSerialPorts[Digit[0] - '1'].Port;
    ULONG Port = Digit[0] == '0' && (Digit[1] | 0x20) == 'x' ? HalpParseNumber(Digit) : 0;
    return Port != 0 && Port <= 0xFFF8 ? (USHORT)Port : HalpSerialPorts[0].Port;
}

static const char *INIT_CODE HalpSerialNameOf(USHORT Port)
{
    for (ULONG i = 0; i < RTL_NUMBER_OF(HalpSerialPorts); i++)
        if (HalpSerialPorts[i].Port == Port)
            return HalpSerialPorts[i].Name;
    return "serial port";
}

BOOLEAN INIT_CODE HalpSerialInitialize(const LOADER_BLOCK *Block)
{
    char Rate[16] = "";
    HalpQueryOption(Block, "BAUDRATE", Rate, sizeof(Rate));
    HalpSerial.Port = HalpSerialSelect(Block);
    if (!HalpSerialProbe()) {
        HalpSerial.Port = 0;
        return FALSE;
    }
    HalpSerialSetUp(HalpParseNumber(Rate));
    if (!HalpSerialLoopback()) {
        HalpSerial.Port = 0;
        return FALSE;
    }
    HalpSerial.Name = HalpSerialNameOf(HalpSerial.Port);
    KdComPortInUse = (PUCHAR)(ULONG_PTR)HalpSerial.Port;
    return TRUE;
}

static BOOLEAN HalpSerialWait(VOID)
{
    for (ULONG i = 0; i < BUSY_LIMIT; i++) {
        UCHAR Status = UartRead(UART_LINE_STATUS);
        if (Status == STATUS_ABSENT)
            break;
        if (Status & STATUS_EMPTY) {
            HalpSerial.Space = HalpSerial.Depth;
            return TRUE;
        }
        KiPause();
    }
    HalpSerial.Port = 0;
    return FALSE;
}

static VOID HalpSerialPut(char Character)
{
    if (HalpSerial.Port == 0 || (HalpSerial.Space == 0 && !HalpSerialWait()))
        return;
    HalpSerial.Space--;
    UartWrite(UART_DATA, (UCHAR)Character);
}

// Every LF gets its CR, also one that has one: whoever reads the port undoes exactly that and has
// the text byte for byte.
VOID HalpSerialWrite(const char *Text, SIZE_T Length)
{
    HalpSerial.Space = 0;
    for (SIZE_T i = 0; i < Length && HalpSerial.Port != 0; i++) {
        if (Text[i] == '\n')
            HalpSerialPut('\r');
        HalpSerialPut(Text[i]);
    }
}

int HalpSerialRead(VOID)
{
    if (HalpSerial.Port == 0)
        return -1;
    UCHAR Status = UartRead(UART_LINE_STATUS);
    if (Status == STATUS_ABSENT || !(Status & STATUS_DATA))
        return -1;
    return UartRead(UART_DATA);
}

const char *HalpSerialName(VOID)
{
    return HalpSerial.Port != 0 ? HalpSerial.Name : NULL;
}

ULONG HalpSerialPort(VOID)
{
    return HalpSerial.Port;
}
