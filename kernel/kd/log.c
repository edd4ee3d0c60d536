// SPDX-License-Identifier: MIT
// The log: one ring in memory that everything printed goes through.
//
// Problem: text is printed at any IRQL, before there is memory, while a processor is dying, and on
// machines whose screen appears late or never. Idea: a static ring takes every byte first, then the
// consoles get it; whoever comes late (a framebuffer, the `log` command, a debugger) reads the
// ring.
//
// A driver's DbgPrint text goes out byte for byte. The kernel's own lines are "[seconds] component:
// text" and always start at the beginning of a line, so that a tool can tell them from a driver's.
//
// Locking: KdLogLock, interrupts off, so that an ISR may print. In a bugcheck it is ignored.
// Observability: the monitor's `log`; tests/system checks that a driver's bytes arrive unchanged.
#include "kdp.h"

#define LOG_SIZE 0x10000u // bytes; a power of two

static char KdLogRing[LOG_SIZE];
static ULONG64 KdLogWritten; // bytes ever written; position is its low bits
static KSPIN_LOCK KdLogLock;
static char KdLastCharacter = '\n';
volatile BOOLEAN KdInBugCheck;

VOID (*KdpCapture)(const char *Text, SIZE_T Length);
VOID (*KdpEcho)(const char *Text, SIZE_T Length);

static BOOLEAN KdpLock(VOID)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    while (!KdInBugCheck && !KdpStanding &&
           __atomic_exchange_n(&KdLogLock, 1, __ATOMIC_ACQUIRE) != 0)
        KiPause();
    return Enabled;
}

static VOID KdpUnlock(BOOLEAN Enabled)
{
    __atomic_store_n(&KdLogLock, 0, __ATOMIC_RELEASE);
    KiRestoreInterrupts(Enabled);
}

static VOID KdpPutLocked(const char *Text, SIZE_T Length)
{
    for (SIZE_T i = 0; i < Length; i++)
        KdLogRing[KdLogWritten++ & (LOG_SIZE - 1)] = Text[i];
    if (Length != 0)
        KdLastCharacter = Text[Length - 1];
    HalDisplayString(Text, Length);
    if (KdpEcho != NULL)
        KdpEcho(Text, Length);
}

// OwnLine: begins a line, whatever another processor printed last.
static VOID KdpPut(const char *Text, SIZE_T Length, BOOLEAN OwnLine)
{
    if (KdpCapture != NULL) {
        KdpCapture(Text, Length);
        return;
    }
    BOOLEAN Enabled = KdpLock();
    if (OwnLine && KdLastCharacter != '\n')
        KdpPutLocked("\n", 1);
    KdpPutLocked(Text, Length);
    KdpUnlock(Enabled);
}

VOID KdPutString(const char *Text, SIZE_T Length)
{
    KdpPut(Text, Length, FALSE);
}

// Formatting goes through a buffer on the stack so that short texts are one write, which no other
// processor's comes into, and long ones are not cut: whenever it is full it is written out.
typedef struct _KD_BUFFER {
    SIZE_T Used;
    BOOLEAN OwnLine;
    char Text[512]; // as much as NT shows of one DbgPrint
} KD_BUFFER;

static VOID KdpFlush(KD_BUFFER *Buffer)
{
    KdpPut(Buffer->Text, Buffer->Used, Buffer->OwnLine);
    Buffer->Used = 0;
    Buffer->OwnLine = FALSE;
}

static VOID KdpSink(VOID *Context, const char *Text, SIZE_T Length)
{
    KD_BUFFER *Buffer = Context;
    while (Length != 0) {
        SIZE_T Part = sizeof(Buffer->Text) - Buffer->Used;
        Part = Part < Length ? Part : Length;
        memcpy(Buffer->Text + Buffer->Used, Text, Part);
        Buffer->Used += Part;
        Text += Part;
        Length -= Part;
        if (Buffer->Used == sizeof(Buffer->Text))
            KdpFlush(Buffer);
    }
}

static VOID KdpPrintV(const char *Format, va_list Arguments)
{
    KD_BUFFER Buffer;
    Buffer.Used = 0;
    Buffer.OwnLine = FALSE;
    RtlFormatToSink(KdpSink, &Buffer, Format, Arguments);
    KdpFlush(&Buffer);
}

VOID KdPrintf(const char *Format, ...)
{
    va_list Arguments;
    va_start(Arguments, Format);
    KdpPrintV(Format, Arguments);
    va_end(Arguments);
}

VOID KdLog(const char *Component, const char *Format, ...)
{
    KD_BUFFER Buffer;
    va_list Arguments;
    ULONG64 Microseconds = KeSystemUptime() / 10;

    Buffer.OwnLine = TRUE;
    Buffer.Used = (SIZE_T)RtlFormat(Buffer.Text, sizeof(Buffer.Text), "[%5u.%06u] %s: ",
                                    (ULONG)(Microseconds / 1000000),
                                    (ULONG)(Microseconds % 1000000), Component);
    va_start(Arguments, Format);
    RtlFormatToSink(KdpSink, &Buffer, Format, Arguments);
    va_end(Arguments);
    KdpSink(&Buffer, "\n", 1);
    KdpFlush(&Buffer);
}

// Calls Output with what the ring still holds, oldest first.
static VOID KdpWalkLog(VOID (*Output)(const char *Text, SIZE_T Length))
{
    ULONG64 Start = KdLogWritten > LOG_SIZE ? KdLogWritten - LOG_SIZE : 0;
    ULONG64 End = KdLogWritten;
    while (Start < End) {
        SIZE_T Offset = (SIZE_T)(Start & (LOG_SIZE - 1));
        SIZE_T Part = LOG_SIZE - Offset;
        if (Part > End - Start)
            Part = (SIZE_T)(End - Start);
        Output(KdLogRing + Offset, Part);
        Start += Part;
    }
}

// DbgPrint family.

// DbgPrint: prints formatted text on the debugger's consoles, byte for byte.
//   Format  NT's format string and its arguments; %ws, %wZ and the like only at PASSIVE_LEVEL on
//   Windows,
//           at any IRQL here as long as the strings are resident.
// IRQL: <= DIRQL. Returns STATUS_SUCCESS. Source: Microsoft WDK, wdm.h, DbgPrint.
ULONG CDECL DbgPrint(const char *Format, ...);
ULONG CDECL DbgPrint(const char *Format, ...)
{
    va_list Arguments;
    va_start(Arguments, Format);
    KdpPrintV(Format, Arguments);
    va_end(Arguments);
    return STATUS_SUCCESS;
}
EXPORT(DbgPrint, EXPORT_ANY_IRQL, "WDK wdm.h DbgPrint");

// vDbgPrintExWithPrefix: DbgPrintEx with an argument list, the text preceded by Prefix.
//   ComponentId, Level  the message's class; every class is shown.
// IRQL: <= DIRQL. Returns STATUS_SUCCESS. Source: Microsoft WDK, wdm.h, vDbgPrintExWithPrefix.
ULONG NTAPI vDbgPrintExWithPrefix(const char *Prefix, ULONG ComponentId, ULONG Level,
                                  const char *Format, va_list Arguments);
ULONG NTAPI vDbgPrintExWithPrefix(const char *Prefix, ULONG ComponentId, ULONG Level,
                                  const char *Format, va_list Arguments)
{
    KdPutString(Prefix, strlen(Prefix));
    KdpPrintV(Format, Arguments);
    return STATUS_SUCCESS;
}
EXPORT(vDbgPrintExWithPrefix, EXPORT_ANY_IRQL, "WDK wdm.h vDbgPrintExWithPrefix");

// vDbgPrintEx: DbgPrintEx with an argument list. IRQL: <= DIRQL. Returns STATUS_SUCCESS.
// Source: Microsoft WDK, wdm.h, vDbgPrintEx.
ULONG NTAPI vDbgPrintEx(ULONG ComponentId, ULONG Level, const char *Format, va_list Arguments);
ULONG NTAPI vDbgPrintEx(ULONG ComponentId, ULONG Level, const char *Format, va_list Arguments)
{
    return vDbgPrintExWithPrefix("", ComponentId, Level, Format, Arguments);
}
EXPORT(vDbgPrintEx, EXPORT_ANY_IRQL, "WDK wdm.h vDbgPrintEx");

// DbgPrintEx: prints formatted text of a component and level; every class is shown.
// IRQL: <= DIRQL. Returns STATUS_SUCCESS. Source: Microsoft WDK, wdm.h, DbgPrintEx.
ULONG CDECL DbgPrintEx(ULONG ComponentId, ULONG Level, const char *Format, ...);
ULONG CDECL DbgPrintEx(ULONG ComponentId, ULONG Level, const char *Format, ...)
{
    va_list Arguments;
    va_start(Arguments, Format);
    KdpPrintV(Format, Arguments);
    va_end(Arguments);
    return STATUS_SUCCESS;
}
EXPORT(DbgPrintEx, EXPORT_ANY_IRQL, "WDK wdm.h DbgPrintEx");

// A copy of what the ring held when the command started: printing goes into the ring as well.
static BOOLEAN KdLogCommand(const char *Arguments)
{
    KdpWalkLog(KdpCapture != NULL ? KdpCapture : HalDisplayString);
    return TRUE;
}
KD_COMMAND(log, "log", "log: what has been printed since the start, as far as the ring reaches",
           KdLogCommand, KD_SAFE_IN_BUGCHECK);

VOID KdpReplayLog(VOID)
{
    KdpWalkLog(HalDisplayString);
}
