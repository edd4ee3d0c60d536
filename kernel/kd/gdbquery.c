// SPDX-License-Identifier: MIT
// The q and Q packets: what we can do, objects in pieces, monitor commands, checksums, searching.
//
// Objects (target description, drivers, memory map) are texts that gdb fetches piece by
// piece. Each piece produces the whole text anew and keeps what falls into the window asked for:
// nothing is stored, and the machine stands still meanwhile, so all pieces belong together.
//
// gdb asks for the list of threads at every stop, also after a step. So that is numbers alone (as
// an object, qXfer:threads, it would carry names, which cost more than all the rest of a step);
// what a thread is called gdb asks when somebody wants to see it.
#include "gdb.h"
#include "rtl.h"

// ---- objects ------------------------------------------------------------------------------------
static void GdbWindowSink(void *Context, const char *Text, SIZE_T Length)
{
    GDB_WINDOW *Window = Context;
    for (SIZE_T i = 0; i < Length; i++) {
        if (Window->Skip != 0) {
            Window->Skip--;
        } else if (Window->Room != 0) {
            Window->Room--;
            GdbPutByte(Window->Link, (UCHAR)Text[i]);
        } else {
            Window->More = TRUE;
        }
    }
}

VOID GdbWindowText(GDB_WINDOW *Window, const char *Format, ...)
{
    va_list Arguments;
    va_start(Arguments, Format);
    RtlFormatToSink(GdbWindowSink, Window, Format, Arguments);
    va_end(Arguments);
}

static VOID GdbDescribeModules(GDB_WINDOW *Window)
{
    GdbWindowText(Window, "<library-list>");
    KdpDescribeModules(Window);
    GdbWindowText(Window, "</library-list>");
}

static VOID GdbDescribeMemory(GDB_WINDOW *Window)
{
    GdbWindowText(Window, "<memory-map>");
    KdpDescribeMemory(Window);
    GdbWindowText(Window, "</memory-map>");
}

static const struct {
    const char *Object; // with its annex
    VOID (*Describe)(GDB_WINDOW *Window);
} GdbObjects[] = {
    {"features:read:target.xml:", GdbDescribeTarget},
    {"libraries:read::", GdbDescribeModules},
    {"memory-map:read::", GdbDescribeMemory},
};

// qXfer:object:read:annex:offset,length. The reply is m and a piece, or l and the last one.
static VOID GdbTransfer(GDB_LINK *Link, GDB_TEXT *Packet)
{
    GDB_WINDOW Window = {.Link = Link};
    ULONG i = 0;
    while (i < RTL_NUMBER_OF(GdbObjects) && !GdbTake(Packet, GdbObjects[i].Object))
        i++;
    if (i == RTL_NUMBER_OF(GdbObjects))
        return;
    if (!GdbTakeNumber(Packet, &Window.Skip) || !GdbTake(Packet, ",") ||
        !GdbTakeNumber(Packet, &Window.Room)) {
        GdbPutError(Link, GDB_ERROR_ARGUMENT);
        return;
    }
    if (Window.Room > Link->Longest)
        Window.Room = Link->Longest;
    GdbPutByte(Link, 'l');
    GdbObjects[i].Describe(&Window);
    if (Window.More)
        Link->Reply[0] = 'm';
}

// ---- what gdb and we can do ---------------------------------------------------------------------
static BOOLEAN GdbContains(GDB_TEXT Text, const char *Word)
{
    for (; Text.At < Text.End; Text.At++)
        if (GdbTake(&Text, Word))
            return TRUE;
    return FALSE;
}

// The first packet of every session: whatever an earlier gdb agreed upon is void. Acknowledgement
// is one of these things, and this packet has not had its own if they were off.
static VOID GdbBeginSession(GDB_SESSION *Session, const GDB_TEXT *Packet)
{
    GDB_LINK *Link = &Session->Link;
    if (Link->NoAcks) {
        Link->NoAcks = FALSE;
        KdpGdbWriteBytes((const UCHAR *)"+", 1);
    }
    Session->KnowsSwBreak = GdbContains(*Packet, "swbreak+");
    Session->KnowsHwBreak = GdbContains(*Packet, "hwbreak+");
    Session->PassSignals = 0;
    GdbBeginLink(Link);
    GdbPutText(Link, "PacketSize=");
    GdbPutNumber(Link, Link->PacketSize);
    GdbPutText(Link, ";swbreak+;hwbreak+;vContSupported+;QPassSignals+;qXfer:features:read+;"
                     "qXfer:libraries:read+;qXfer:memory-map:read+");
}

// QPassSignals:xx;xx... replaces the whole list.
static VOID GdbSetPassSignals(GDB_SESSION *Session, GDB_TEXT *Packet)
{
    ULONG64 Signal, Signals = 0;
    while (GdbTakeNumber(Packet, &Signal)) {
        if (Signal <= GdbSignalLast)
            Signals |= 1ull << Signal;
        GdbTake(Packet, ";");
    }
    Session->PassSignals = Signals;
    GdbPutText(&Session->Link, "OK");
}

// ---- threads ------------------------------------------------------------------------------------
// From behind the one listed last. At the end, l.
static VOID GdbListThreads(GDB_SESSION *Session, ULONG After)
{
    GDB_LINK *Link = &Session->Link;
    ULONG Thread = After;
    while (Link->ReplyLength < Link->Longest && (Thread = KdpNextThread(Thread)) != 0) {
        GdbPutByte(Link, Link->ReplyLength == 0 ? 'm' : ',');
        GdbPutNumber(Link, Thread);
        Session->Listed = Thread;
    }
    if (Link->ReplyLength == 0)
        GdbPutByte(Link, 'l');
}

static VOID GdbNameThread(GDB_LINK *Link, GDB_TEXT *Packet)
{
    char Text[96] = "";
    ULONG64 Thread;
    if (GdbTakeNumber(Packet, &Thread))
        KdpDescribeThread((ULONG)Thread, Text, sizeof(Text));
    GdbPutHex(Link, Text, strlen(Text));
}

// ---- monitor commands ---------------------------------------------------------------------------
static VOID GdbRunMonitorCommand(GDB_LINK *Link, GDB_TEXT *Packet)
{
    UCHAR Line[256];
    SIZE_T Length = GdbLeft(Packet) / 2;
    if (Length >= sizeof(Line) || !GdbTakeHex(Packet, Line, Length)) {
        GdbPutError(Link, GDB_ERROR_ARGUMENT);
        return;
    }
    Line[Length] = 0;
    KdpRunMonitorCommand((const char *)Line);
    GdbPutText(Link, "OK");
}

// ---- whole stretches of memory ------------------------------------------------------------------
#define CRC_POLYNOMIAL 0x04C11DB7u

static ULONG GdbCrc(ULONG Crc, UCHAR Byte)
{
    Crc ^= (ULONG)Byte << 24;
    for (ULONG i = 0; i < 8; i++)
        Crc = Crc << 1 ^ (Crc >> 31 ? CRC_POLYNOMIAL : 0);
    return Crc;
}

// qCRC:address,length: what compare-sections asks for.
static VOID GdbComputeCrc(GDB_LINK *Link, GDB_TEXT *Packet)
{
    UCHAR Buffer[256];
    ULONG64 Address, Length;
    ULONG Crc = 0xFFFFFFFF;
    if (!GdbTakeNumber(Packet, &Address) || !GdbTake(Packet, ",") ||
        !GdbTakeNumber(Packet, &Length)) {
        GdbPutError(Link, GDB_ERROR_ARGUMENT);
        return;
    }
    while (Length != 0) {
        SIZE_T Part = Length < sizeof(Buffer) ? (SIZE_T)Length : sizeof(Buffer);
        if (GdbReadMemory(Address, Buffer, Part) != Part) {
            GdbPutError(Link, GDB_ERROR_MEMORY);
            return;
        }
        for (SIZE_T i = 0; i < Part; i++)
            Crc = GdbCrc(Crc, Buffer[i]);
        Address += Part;
        Length -= Part;
    }
    GdbPutByte(Link, 'C');
    GdbPutNumber(Link, Crc);
}

#define PATTERN_MAX 256u

// Where Pattern first begins in [Address, Address + Length), FALSE: nowhere, or unreadable before.
static BOOLEAN GdbSearch(ULONG64 Address, ULONG64 Length, GDB_TEXT Pattern, ULONG64 *Found)
{
    UCHAR Buffer[2 * PATTERN_MAX];
    SIZE_T Size = GdbLeft(&Pattern);
    while (Length >= Size) {
        SIZE_T Part = Length < sizeof(Buffer) ? (SIZE_T)Length : sizeof(Buffer);
        SIZE_T Read = GdbReadMemory(Address, Buffer, Part);
        for (SIZE_T i = 0; i + Size <= Read; i++) {
            if (memcmp(Buffer + i, Pattern.At, Size) == 0) {
                *Found = Address + i;
                return TRUE;
            }
        }
        if (Read < Part || Part == Length)
            return FALSE;
        Address += Part - Size + 1;
        Length -= Part - Size + 1;
    }
    return FALSE;
}

// qSearch:memory:address;length;pattern
static VOID GdbSearchMemory(GDB_LINK *Link, GDB_TEXT *Packet)
{
    ULONG64 Address, Length, Found;
    if (!GdbTakeNumber(Packet, &Address) || !GdbTake(Packet, ";") ||
        !GdbTakeNumber(Packet, &Length) || !GdbTake(Packet, ";") || GdbLeft(Packet) == 0 ||
        GdbLeft(Packet) > PATTERN_MAX) {
        GdbPutError(Link, GDB_ERROR_ARGUMENT);
        return;
    }
    if (!GdbSearch(Address, Length, *Packet, &Found)) {
        GdbPutText(Link, "0");
        return;
    }
    GdbPutText(Link, "1,");
    GdbPutNumber(Link, Found);
}

// ---- dispatch -----------------------------------------------------------------------------------
static BOOLEAN GdbHandleThreadQuery(GDB_SESSION *Session, GDB_TEXT *Packet)
{
    GDB_LINK *Link = &Session->Link;
    if (GdbTake(Packet, "qfThreadInfo")) {
        GdbListThreads(Session, 0);
    } else if (GdbTake(Packet, "qsThreadInfo")) {
        GdbListThreads(Session, Session->Listed);
    } else if (GdbTake(Packet, "qThreadExtraInfo,")) {
        GdbNameThread(Link, Packet);
    } else if (GdbTake(Packet, "qC") && GdbLeft(Packet) == 0) {
        GdbPutText(Link, "QC");
        GdbPutNumber(Link, Session->Stop.Thread);
    } else {
        return FALSE;
    }
    return TRUE;
}

BOOLEAN GdbHandleQuery(GDB_SESSION *Session, GDB_TEXT *Packet)
{
    GDB_LINK *Link = &Session->Link;
    if (GdbTake(Packet, "qXfer:"))
        GdbTransfer(Link, Packet);
    else if (GdbTake(Packet, "qSupported"))
        GdbBeginSession(Session, Packet);
    else if (GdbTake(Packet, "qRcmd,"))
        GdbRunMonitorCommand(Link, Packet);
    else if (GdbTake(Packet, "qAttached"))
        GdbPutText(Link, "1");
    else if (GdbTake(Packet, "qSymbol"))
        GdbPutText(Link, "OK");
    else if (GdbTake(Packet, "qCRC:"))
        GdbComputeCrc(Link, Packet);
    else if (GdbTake(Packet, "qSearch:memory:"))
        GdbSearchMemory(Link, Packet);
    else if (GdbTake(Packet, "QPassSignals:"))
        GdbSetPassSignals(Session, Packet);
    else if (GdbTake(Packet, "QStartNoAckMode"))
        Session->WantsNoAcks = TRUE;
    else
        return GdbHandleThreadQuery(Session, Packet);
    return TRUE;
}
