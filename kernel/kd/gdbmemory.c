// SPDX-License-Identifier: MIT
// Memory for gdb, and the breakpoints that lie in it.
//
// A software breakpoint is an int3 over the first byte of an instruction; the byte it replaced is
// in the table here. gdb never sees the int3: what it reads is mended, and what it writes over a
// breakpoint goes into the table. A breakpoint whose memory no longer holds our int3 when it is
// removed (the driver there is gone and the page is somebody else's) is forgotten, not undone.
#include "gdb.h"
#include "rtl.h"

#define BREAKPOINTS 128u
#define INT3        0xCCu

static struct {
    ULONG64 Address;
    BOOLEAN Used;
    UCHAR Original;
} GdbSoftware[BREAKPOINTS];

static ULONG GdbFindSoftware(ULONG64 Address)
{
    for (ULONG i = 0; i < BREAKPOINTS; i++)
        if (GdbSoftware[i].Used && GdbSoftware[i].Address == Address)
            return i;
    return BREAKPOINTS;
}

BOOLEAN GdbIsSoftware(ULONG64 Address)
{
    return GdbFindSoftware(Address) != BREAKPOINTS;
}

ULONG GdbInsertSoftware(ULONG64 Address)
{
    static const UCHAR Int3 = INT3;
    UCHAR Original;
    ULONG Slot = 0;
    if (GdbIsSoftware(Address))
        return 0;
    while (Slot < BREAKPOINTS && GdbSoftware[Slot].Used)
        Slot++;
    if (Slot == BREAKPOINTS)
        return GDB_ERROR_NO_ROOM;
    if (KdpReadMemory(Address, &Original, 1) != 1 || !KdpWriteMemory(Address, &Int3, 1))
        return GDB_ERROR_MEMORY;
    GdbSoftware[Slot].Address = Address;
    GdbSoftware[Slot].Original = Original;
    GdbSoftware[Slot].Used = TRUE;
    return 0;
}

static VOID GdbUndoSoftware(ULONG Slot)
{
    UCHAR Now;
    GdbSoftware[Slot].Used = FALSE;
    if (KdpReadMemory(GdbSoftware[Slot].Address, &Now, 1) == 1 && Now == INT3)
        KdpWriteMemory(GdbSoftware[Slot].Address, &GdbSoftware[Slot].Original, 1);
}

ULONG GdbRemoveSoftware(ULONG64 Address)
{
    ULONG Slot = GdbFindSoftware(Address);
    if (Slot != BREAKPOINTS)
        GdbUndoSoftware(Slot);
    return 0;
}

VOID GdbRemoveAllBreakpoints(VOID)
{
    for (ULONG i = 0; i < BREAKPOINTS; i++)
        if (GdbSoftware[i].Used)
            GdbUndoSoftware(i);
    memset(&GdbDebugRegisters, 0, sizeof(GdbDebugRegisters));
}

SIZE_T GdbReadMemory(ULONG64 Address, UCHAR *Buffer, SIZE_T Length)
{
    SIZE_T Read = KdpReadMemory(Address, Buffer, Length);
    for (ULONG i = 0; i < BREAKPOINTS; i++)
        if (GdbSoftware[i].Used && GdbSoftware[i].Address - Address < Read &&
            Buffer[GdbSoftware[i].Address - Address] == INT3)
            Buffer[GdbSoftware[i].Address - Address] = GdbSoftware[i].Original;
    return Read;
}

BOOLEAN GdbWriteMemory(ULONG64 Address, const UCHAR *Buffer, SIZE_T Length)
{
    static const UCHAR Int3 = INT3;
    if (!KdpWriteMemory(Address, Buffer, Length))
        return FALSE;
    for (ULONG i = 0; i < BREAKPOINTS; i++)
        if (GdbSoftware[i].Used && GdbSoftware[i].Address - Address < Length) {
            GdbSoftware[i].Original = Buffer[GdbSoftware[i].Address - Address];
            KdpWriteMemory(GdbSoftware[i].Address, &Int3, 1);
        }
    return TRUE;
}

// ---- packets ------------------------------------------------------------------------------------
static BOOLEAN GdbTakeRange(GDB_TEXT *Packet, ULONG64 *Address, ULONG64 *Length)
{
    return GdbTakeNumber(Packet, Address) && GdbTake(Packet, ",") && GdbTakeNumber(Packet, Length);
}

static VOID GdbPutResult(GDB_LINK *Link, ULONG Error)
{
    if (Error != 0)
        GdbPutError(Link, Error);
    else
        GdbPutText(Link, "OK");
}

// m address,length: as much as can be read, an error when that is nothing.
static VOID GdbHandleRead(GDB_LINK *Link, GDB_TEXT *Packet)
{
    UCHAR Buffer[256];
    ULONG64 Address, Length, Done = 0;
    if (!GdbTakeRange(Packet, &Address, &Length)) {
        GdbPutError(Link, GDB_ERROR_ARGUMENT);
        return;
    }
    if (Length > Link->Longest)
        Length = Link->Longest; // gdb asks for the rest
    while (Done < Length) {
        SIZE_T Part = Length - Done < sizeof(Buffer) ? (SIZE_T)(Length - Done) : sizeof(Buffer);
        SIZE_T Read = GdbReadMemory(Address + Done, Buffer, Part);
        GdbPutHex(Link, Buffer, Read);
        Done += Read;
        if (Read < Part)
            break;
    }
    if (Done == 0 && Length != 0)
        GdbPutError(Link, GDB_ERROR_MEMORY);
}

// M address,length:hex
static VOID GdbHandleWriteHex(GDB_LINK *Link, GDB_TEXT *Packet)
{
    UCHAR Buffer[256];
    ULONG64 Address, Length;
    ULONG Error = 0;
    if (!GdbTakeRange(Packet, &Address, &Length) || !GdbTake(Packet, ":") ||
        GdbLeft(Packet) / 2 != Length)
        Error = GDB_ERROR_ARGUMENT;
    while (Error == 0 && Length != 0) {
        SIZE_T Part = Length < sizeof(Buffer) ? (SIZE_T)Length : sizeof(Buffer);
        if (!GdbTakeHex(Packet, Buffer, Part))
            Error = GDB_ERROR_ARGUMENT;
        else if (!GdbWriteMemory(Address, Buffer, Part))
            Error = GDB_ERROR_MEMORY;
        Address += Part;
        Length -= Part;
    }
    GdbPutResult(Link, Error);
}

// X address,length:bytes
static VOID GdbHandleWriteBytes(GDB_LINK *Link, GDB_TEXT *Packet)
{
    ULONG64 Address, Length;
    ULONG Error = 0;
    if (!GdbTakeRange(Packet, &Address, &Length) || !GdbTake(Packet, ":") ||
        GdbLeft(Packet) != Length)
        Error = GDB_ERROR_ARGUMENT;
    else if (Length != 0 && !GdbWriteMemory(Address, Packet->At, (SIZE_T)Length))
        Error = GDB_ERROR_MEMORY;
    GdbPutResult(Link, Error);
}

static ULONG GdbChangeHardware(BOOLEAN Insert, GDB_WATCH Kind, ULONG64 Address, ULONG64 Length)
{
    return Insert ? GdbInsertHardware(Kind, Address, Length)
                  : GdbRemoveHardware(Kind, Address, Length);
}

// Z type,address,kind and z. Type 3, a watch on reads alone, is not offered: the processor has
// none, and gdb makes one of type 4.
static VOID GdbHandleBreakpoint(GDB_LINK *Link, GDB_TEXT *Packet, BOOLEAN Insert)
{
    ULONG64 Type, Address, Length;
    if (!GdbTakeNumber(Packet, &Type) || !GdbTake(Packet, ",") ||
        !GdbTakeRange(Packet, &Address, &Length)) {
        GdbPutError(Link, GDB_ERROR_ARGUMENT);
        return;
    }
    switch (Type) {
    case 0:
        GdbPutResult(Link, Insert ? GdbInsertSoftware(Address) : GdbRemoveSoftware(Address));
        break;
    case 1:
        GdbPutResult(Link, GdbChangeHardware(Insert, GdbWatchExecute, Address, 1));
        break;
    case 2:
        GdbPutResult(Link, GdbChangeHardware(Insert, GdbWatchWrite, Address, Length));
        break;
    case 4:
        GdbPutResult(Link, GdbChangeHardware(Insert, GdbWatchAccess, Address, Length));
        break;
    default:
        break;
    }
}

BOOLEAN GdbHandleMemory(GDB_SESSION *Session, GDB_TEXT *Packet)
{
    GDB_LINK *Link = &Session->Link;
    if (GdbTake(Packet, "m"))
        GdbHandleRead(Link, Packet);
    else if (GdbTake(Packet, "M"))
        GdbHandleWriteHex(Link, Packet);
    else if (GdbTake(Packet, "X"))
        GdbHandleWriteBytes(Link, Packet);
    else if (GdbTake(Packet, "Z"))
        GdbHandleBreakpoint(Link, Packet, TRUE);
    else if (GdbTake(Packet, "z"))
        GdbHandleBreakpoint(Link, Packet, FALSE);
    else
        return FALSE;
    return TRUE;
}
