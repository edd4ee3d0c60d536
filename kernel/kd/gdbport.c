// SPDX-License-Identifier: MIT
// The debugger's serial port, seen from kd: bytes while the system stands, break-in while it runs,
// and the console's text for gdb where the machine has one port for both.
//
// While the system runs, a byte that arrives raises an NMI (hal's debugport.c), or is found by the
// next clock tick. Ctrl-C asks to stop; so does the beginning of a packet, because a gdb that has
// just been started sends one before anything else. What else comes (the acknowledgement of the
// last reply, noise) is taken and forgotten.
#include "kdgdb.h"

#define IMPATIENT_READS 2000000u  // of the port's status, about a microsecond each

BOOLEAN KdpPortImpatient;

int KdpGdbReadByte(VOID)
{
    for (ULONG i = 0; !KdpPortImpatient || i < IMPATIENT_READS; i++) {
        int Byte = HalReadDebugPort();
        if (Byte >= 0)
            return Byte;
        KiPause();
    }
    return -1;
}

VOID KdpGdbWriteBytes(const UCHAR *Bytes, SIZE_T Length)
{
    HalWriteDebugPort(Bytes, Length);
}

BOOLEAN KdpPortWantsStop(GDB_LINK *Link)
{
    int Byte;
    while ((Byte = HalReadDebugPort()) >= 0) {
        GDB_INPUT Input = GdbReceiveByte(Link, (UCHAR)Byte);
        Link->BreakPending |= Input == GdbInputBreak;
        Link->PacketPending |= Input == GdbInputPacket;
        if (Link->Frame != GdbFrameNone)
            return TRUE;
    }
    return Link->BreakPending || Link->PacketPending;
}
