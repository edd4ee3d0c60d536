// SPDX-License-Identifier: MIT
// The processor's four breakpoint registers.
//
// One register covers 1, 2, 4 or (amd64) 8 bytes at an address that is a multiple of that. A watch
// of any other length or place is cut into such pieces, each in a register; it is set whole or not
// at all. The values here are those of the running machine: gdbstop.c loads them when it leaves
// and switches all breakpoints off while it is stopped, so that reading watched memory for gdb
// triggers nothing.
//
// Source: Intel SDM volume 3, "Debug, Branch Profile, TSC": debug registers DR0 to DR7.
#include "gdb.h"
#include "rtl.h"

#define REGISTERS 4u

GDB_DEBUG_REGISTERS GdbDebugRegisters;

#define ENABLED(Index)    (3ull << 2 * (Index)) // locally and globally
#define KIND_SHIFT(Index) (16 + 4 * (Index))
#define FIELD(Index)      (15ull << KIND_SHIFT(Index))
#define STATUS_HIT(Index) (1ull << (Index))

// The length's two bits: 1, 2, 8, 4 bytes.
static ULONG64 GdbLengthBits(ULONG64 Length)
{
    return Length == 8 ? 2 : Length - 1;
}

static ULONG64 GdbControlField(ULONG Index, GDB_WATCH Kind, ULONG64 Length)
{
    return ((ULONG64)Kind | GdbLengthBits(Length) << 2) << KIND_SHIFT(Index);
}

// The longest piece that begins at Address and lies within Length.
static ULONG64 GdbPiece(ULONG64 Address, ULONG64 Length)
{
    ULONG64 Piece = KdpWatchBytes;
    while (Piece > Length || (Address & (Piece - 1)) != 0)
        Piece /= 2;
    return Piece;
}

static ULONG GdbFindRegister(GDB_WATCH Kind, ULONG64 Address, ULONG64 Length)
{
    for (ULONG i = 0; i < REGISTERS; i++)
        if ((GdbDebugRegisters.Control & ENABLED(i)) && GdbDebugRegisters.Address[i] == Address &&
            (GdbDebugRegisters.Control & FIELD(i)) == GdbControlField(i, Kind, Length))
            return i;
    return REGISTERS;
}

static BOOLEAN GdbTakeRegister(GDB_DEBUG_REGISTERS *Registers, GDB_WATCH Kind, ULONG64 Address,
                               ULONG64 Length)
{
    ULONG i = 0;
    while (i < REGISTERS && (Registers->Control & ENABLED(i)))
        i++;
    if (i == REGISTERS)
        return FALSE;
    Registers->Address[i] = Address;
    Registers->Control &= ~FIELD(i);
    Registers->Control |= ENABLED(i) | GdbControlField(i, Kind, Length);
    return TRUE;
}

ULONG GdbInsertHardware(GDB_WATCH Kind, ULONG64 Address, ULONG64 Length)
{
    GDB_DEBUG_REGISTERS Wanted = GdbDebugRegisters;
    if (Length == 0 || Address + Length < Address)
        return GDB_ERROR_ARGUMENT;
    while (Length != 0) {
        ULONG64 Piece = GdbPiece(Address, Length);
        if (!GdbTakeRegister(&Wanted, Kind, Address, Piece))
            return GDB_ERROR_NO_ROOM;
        Address += Piece;
        Length -= Piece;
    }
    GdbDebugRegisters = Wanted;
    return 0;
}

ULONG GdbRemoveHardware(GDB_WATCH Kind, ULONG64 Address, ULONG64 Length)
{
    if (Length == 0 || Address + Length < Address || Length > REGISTERS * KdpWatchBytes)
        return GDB_ERROR_ARGUMENT;
    while (Length != 0) {
        ULONG64 Piece = GdbPiece(Address, Length);
        ULONG Index = GdbFindRegister(Kind, Address, Piece);
        if (Index != REGISTERS)
            GdbDebugRegisters.Control &= ~(ENABLED(Index) | FIELD(Index));
        Address += Piece;
        Length -= Piece;
    }
    return 0;
}

// A watch comes before an execution breakpoint: both may show in one status, and the watch is what
// would be missed.
GDB_REASON GdbExplainHardware(ULONG64 Status, ULONG64 *Address)
{
    GDB_REASON Reason = GdbReasonNone;
    *Address = 0;
    for (ULONG i = 0; i < REGISTERS; i++) {
        if (!(Status & STATUS_HIT(i)) || !(GdbDebugRegisters.Control & ENABLED(i)))
            continue;
        ULONG Kind = (ULONG)(GdbDebugRegisters.Control >> KIND_SHIFT(i)) & 3;
        if (Kind == GdbWatchExecute && Reason != GdbReasonNone)
            continue;
        Reason = Kind == GdbWatchExecute ? GdbReasonHardware
                 : Kind == GdbWatchWrite ? GdbReasonWatch
                                         : GdbReasonAccess;
        *Address = GdbDebugRegisters.Address[i];
        if (Kind != GdbWatchExecute)
            break;
    }
    return Reason;
}
