// SPDX-License-Identifier: MIT
// Registers for gdb: by number, in bulk, and the XML that tells gdb what there is.
//
// The architecture's table is the only list: number and name, size and type of each register, and
// so the order of the g packet and the target description, follow from it. The g packet has the
// first KdpBulkRegisters of the table; the rest (x87, SSE, control and debug registers), which
// hardly any stop needs, gdb fetches one by one. That keeps a stop short on a slow line.
#include "gdb.h"
#include "rtl.h"

// ---- the target description ---------------------------------------------------------------------
static VOID GdbDescribeFeature(GDB_WINDOW *Window, ULONG Feature, ULONG *Register)
{
    GdbWindowText(Window, "<feature name=\"%s\">%s", KdpFeatures[Feature].Name,
                  KdpFeatures[Feature].Types);
    while (*Register < KdpRegisterCount && KdpRegisters[*Register].Feature == Feature) {
        const GDB_REGISTER *Entry = &KdpRegisters[(*Register)++];
        GdbWindowText(Window, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", Entry->Name,
                      Entry->Bytes * 8u, Entry->Type);
    }
    GdbWindowText(Window, "</feature>");
}

VOID GdbDescribeTarget(GDB_WINDOW *Window)
{
    ULONG Register = 0;
    GdbWindowText(Window,
                  "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
                  "<target version=\"1.0\"><architecture>%s</architecture>"
                  "<osabi>none</osabi>",
                  KdpArchitectureName);
    while (Register < KdpRegisterCount)
        GdbDescribeFeature(Window, KdpRegisters[Register].Feature, &Register);
    GdbWindowText(Window, "</target>");
}

// ---- packets ------------------------------------------------------------------------------------
static VOID GdbPutRegister(GDB_LINK *Link, ULONG Thread, ULONG Number)
{
    UCHAR Value[GDB_REGISTER_BYTES];
    ULONG Bytes = KdpRegisters[Number].Bytes;
    if (KdpReadRegister(Thread, Number, Value)) {
        GdbPutHex(Link, Value, Bytes);
        return;
    }
    for (ULONG i = 0; i < 2 * Bytes; i++)
        GdbPutByte(Link, 'x'); // not available
}

VOID GdbPutExpedited(GDB_SESSION *Session, ULONG Thread)
{
    GDB_LINK *Link = &Session->Link;
    for (ULONG i = 0; i < RTL_NUMBER_OF(KdpExpedited); i++) {
        GdbPutNumber(Link, KdpExpedited[i]);
        GdbPutByte(Link, ':');
        GdbPutRegister(Link, Thread, KdpExpedited[i]);
        GdbPutByte(Link, ';');
    }
}

static VOID GdbWriteRegisters(GDB_SESSION *Session, GDB_TEXT *Packet)
{
    UCHAR Value[GDB_REGISTER_BYTES];
    for (ULONG i = 0; i < KdpRegisterCount && GdbLeft(Packet) != 0; i++) {
        if (GdbTakeHex(Packet, Value, KdpRegisters[i].Bytes))
            KdpWriteRegister(Session->Thread, i, Value);
        else if (GdbLeft(Packet) >= 2u * KdpRegisters[i].Bytes)
            Packet->At += 2u * KdpRegisters[i].Bytes; // xx: to be left as it is
        else
            break;
    }
    GdbPutText(&Session->Link, "OK");
}

// p number, P number=value
static VOID GdbHandleOne(GDB_SESSION *Session, GDB_TEXT *Packet, BOOLEAN Write)
{
    UCHAR Value[GDB_REGISTER_BYTES];
    ULONG64 Number;
    if (!GdbTakeNumber(Packet, &Number) || Number >= KdpRegisterCount)
        GdbPutError(&Session->Link, GDB_ERROR_ARGUMENT);
    else if (!Write)
        GdbPutRegister(&Session->Link, Session->Thread, (ULONG)Number);
    else if (!GdbTake(Packet, "=") || !GdbTakeHex(Packet, Value, KdpRegisters[Number].Bytes) ||
             !KdpWriteRegister(Session->Thread, (ULONG)Number, Value))
        GdbPutError(&Session->Link, GDB_ERROR_ARGUMENT);
    else
        GdbPutText(&Session->Link, "OK");
}

BOOLEAN GdbHandleRegisters(GDB_SESSION *Session, GDB_TEXT *Packet)
{
    if (GdbTake(Packet, "g")) {
        for (ULONG i = 0; i < KdpBulkRegisters; i++)
            GdbPutRegister(&Session->Link, Session->Thread, i);
        return TRUE;
    }
    if (GdbTake(Packet, "G")) {
        GdbWriteRegisters(Session, Packet);
        return TRUE;
    }
    BOOLEAN Write = GdbTake(Packet, "P");
    if (!Write && !GdbTake(Packet, "p"))
        return FALSE;
    GdbHandleOne(Session, Packet, Write);
    return TRUE;
}
