// SPDX-License-Identifier: MIT
// uart.c: a 16550, polled.
//
// A port is looked for, not assumed: a scratch register that keeps what is written to it and a byte
// that comes back through the loopback path. Every wait is bounded, and a transmitter that stays
// busy for the time of a thousand characters is given up for good: an unplugged adapter must not
// slow down a kernel that has a screen.
//
// Two users: the console (serial.c) and the debugger (debugport.c), each with a port of its own.
#include "halp.h"

#define UART_DATA          0u  // divisor low while DLAB is set
#define UART_INTERRUPTS    1u  // divisor high while DLAB is set
#define UART_FIFO          2u  // read: interrupt identification; its top bits tell of a FIFO
#define UART_LINE_CONTROL  3u
#define UART_MODEM_CONTROL 4u
#define UART_LINE_STATUS   5u
#define UART_SCRATCH       7u

#define INTERRUPT_RECEIVED 0x01u
#define LINE_8N1           0x03u
#define LINE_DIVISOR       0x80u
#define FIFO_ENABLE_CLEAR  0x07u
#define FIFO_FIRST         0x01u  // the receiver interrupts at its first byte
#define FIFO_NEARLY_FULL   0xC1u  // at its fourteenth
#define FIFO_WORKS         0xC0u
#define MODEM_DTR_RTS      0x03u
#define MODEM_OUT2         0x08u  // on PCs: lets the interrupt out of the port
#define MODEM_LOOPBACK     0x1Eu
#define STATUS_DATA        0x01u
#define STATUS_EMPTY       0x20u
#define STATUS_ABSENT      0xFFu

#define UART_CLOCK 115200u
#define FIFO_DEPTH 16u
#define BUSY_LIMIT 100000u  // status reads, each about a microsecond on hardware

static const struct {
    const char *Name;
    USHORT Port;
} HalpComPorts[] = {{"COM1", 0x3F8}, {"COM2", 0x2F8}, {"COM3", 0x3E8}, {"COM4", 0x2E8}};

static VOID UartWrite(const HALP_UART *Uart, ULONG Register, UCHAR Value)
{
    KiOutByte((USHORT)(Uart->Port + Register), Value);
}

static UCHAR UartRead(const HALP_UART *Uart, ULONG Register)
{
    return KiInByte((USHORT)(Uart->Port + Register));
}

// ---- finding ------------------------------------------------------------------------------------
static BOOLEAN INIT_CODE HalpUartProbe(const HALP_UART *Uart)
{
    static const UCHAR Patterns[] = {0x5A, 0xA5};
    for (ULONG i = 0; i < RTL_NUMBER_OF(Patterns); i++) {
        UartWrite(Uart, UART_SCRATCH, Patterns[i]);
        KiOutByte(0x80, 0);  // something else on the bus, so that a floating one does not echo
        if (UartRead(Uart, UART_SCRATCH) != Patterns[i])
            return FALSE;
    }
    return TRUE;
}

static VOID INIT_CODE HalpUartSetUp(HALP_UART *Uart, ULONG BaudRate)
{
    ULONG Divisor = BaudRate == 0 || BaudRate > UART_CLOCK ? 1 : UART_CLOCK / BaudRate;
    UartWrite(Uart, UART_INTERRUPTS, 0);
    UartWrite(Uart, UART_LINE_CONTROL, LINE_DIVISOR);
    UartWrite(Uart, UART_DATA, (UCHAR)Divisor);
    UartWrite(Uart, UART_INTERRUPTS, (UCHAR)(Divisor >> 8));
    UartWrite(Uart, UART_LINE_CONTROL, LINE_8N1);
    UartWrite(Uart, UART_FIFO, FIFO_ENABLE_CLEAR);
    Uart->BaudRate = UART_CLOCK / Divisor;
    Uart->Depth = (UartRead(Uart, UART_FIFO) & FIFO_WORKS) == FIFO_WORKS ? FIFO_DEPTH : 1;
}

// A byte written in loopback mode comes back; the wait covers one character at 300 baud.
static BOOLEAN INIT_CODE HalpUartLoopback(const HALP_UART *Uart)
{
    BOOLEAN Found = FALSE;
    UartWrite(Uart, UART_MODEM_CONTROL, MODEM_LOOPBACK);
    UartWrite(Uart, UART_DATA, 0xAE);
    for (ULONG i = 0; i < BUSY_LIMIT && !Found; i++)
        Found = (UartRead(Uart, UART_LINE_STATUS) & STATUS_DATA) != 0;
    Found = Found && UartRead(Uart, UART_DATA) == 0xAE;
    UartWrite(Uart, UART_MODEM_CONTROL, MODEM_DTR_RTS);
    return Found;
}

BOOLEAN INIT_CODE HalpUartInitialize(HALP_UART *Uart, USHORT Port, ULONG BaudRate)
{
    Uart->Port = Port;
    if (HalpUartProbe(Uart)) {
        HalpUartSetUp(Uart, BaudRate);
        if (HalpUartLoopback(Uart)) {
            Uart->Name = HalpUartNameOf(Port);
            return TRUE;
        }
    }
    Uart->Port = 0;
    return FALSE;
}

USHORT INIT_CODE HalpUartPortOf(const char *Text)
{
    const char *Digit = _strnicmp(Text, "COM", 3) == 0 ? Text + 3 : Text;
    if (Digit[0] >= '1' && Digit[0] <= '4' && Digit[1] == '\0')
        return HalpComPorts[Digit[0] - '1'].Port;
    ULONG Port = Digit[0] == '0' && (Digit[1] | 0x20) == 'x' ? HalpParseNumber(Digit) : 0;
    return Port <= 0xFFF8 ? (USHORT)Port : 0;
}

const char *INIT_CODE HalpUartNameOf(USHORT Port)
{
    for (ULONG i = 0; i < RTL_NUMBER_OF(HalpComPorts); i++)
        if (HalpComPorts[i].Port == Port)
            return HalpComPorts[i].Name;
    return "serial port";
}

// ---- bytes --------------------------------------------------------------------------------------
static BOOLEAN HalpUartWait(HALP_UART *Uart)
{
    for (ULONG i = 0; i < BUSY_LIMIT; i++) {
        UCHAR Status = UartRead(Uart, UART_LINE_STATUS);
        if (Status == STATUS_ABSENT)
            break;
        if (Status & STATUS_EMPTY) {
            Uart->Space = Uart->Depth;
            return TRUE;
        }
        KiPause();
    }
    Uart->Port = 0;
    return FALSE;
}

VOID HalpUartPut(HALP_UART *Uart, UCHAR Byte)
{
    if (Uart->Port == 0 || (Uart->Space == 0 && !HalpUartWait(Uart)))
        return;
    Uart->Space--;
    UartWrite(Uart, UART_DATA, Byte);
}

int HalpUartGet(const HALP_UART *Uart)
{
    if (Uart->Port == 0)
        return -1;
    UCHAR Status = UartRead(Uart, UART_LINE_STATUS);
    if (Status == STATUS_ABSENT || !(Status & STATUS_DATA))
        return -1;
    return UartRead(Uart, UART_DATA);
}

// Polled, the receiver is to hold what it can: an emulator hands over no more at a time than it
// would interrupt for.
VOID HalpUartExpect(const HALP_UART *Uart, BOOLEAN Single)
{
    if (Uart->Port != 0 && Uart->Depth == FIFO_DEPTH)
        UartWrite(Uart, UART_FIFO, Single ? FIFO_FIRST : FIFO_NEARLY_FULL);
}

VOID HalpUartInterrupt(const HALP_UART *Uart, BOOLEAN Enable)
{
    if (Uart->Port == 0)
        return;
    UartWrite(Uart, UART_MODEM_CONTROL, MODEM_DTR_RTS | (Enable ? MODEM_OUT2 : 0));
    UartWrite(Uart, UART_INTERRUPTS, Enable ? INTERRUPT_RECEIVED : 0);
}
