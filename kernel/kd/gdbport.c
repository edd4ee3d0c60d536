// SPDX-License-Identifier: MIT
// The debugger's serial port, seen from kd: bytes while the system stands, break-in while it runs,
// and the console's text for gdb where the machine has one port for both.
//
// While the system runs, a byte that arrives raises an NMI (hal's debugport.c), or is found by the
// next clock tick. Ctrl-C asks to stop; so does the beginning of a packet, because a gdb that has
// just been started sends one before anything else. What else comes (the acknowledgement of the
// last reply, noise) is taken and forgotten.
//
// Waiting for a byte must leave whoever brings it room. In an emulator every look at the port, and
// every pause, takes a lock that the thread which delivers bytes needs as well; so between looks
// the processor counts for a while, touching nothing. A port holds 16 bytes meanwhile.
//
// A byte that arrives while its predecessor is being read may leave an NMI behind that finds the
// port empty. It comes at once; an NMI that finds it empty later than that was not the port's.
#include "kdgdb.h"

#define SILENCE   30000000u // 3 s; gdb itself asks again after 2
#define LOOKS_QUIET   20000u // a tenth of a second or a few, of this processor's own time
#define LOOKS_SILENCE 50000u // as long as at least that, if an emulator lets it run so seldom
#define LOOKS_AT_ONCE 16u // the bytes of a packet follow each other
#define ECHO_TIME 1000000u  // 100 ms: an emulator may lose that much before it delivers the NMI

BOOLEAN KdpPortImpatient;
BOOLEAN KdpPortDeserted;
static ULONG KdpPortLooks;     // at the empty port, before the last byte
static ULONG64 KdpPortTouched; // when a byte was last taken in, or the port last enabled

VOID KdpPortListen(BOOLEAN Listen)
{
    KdpPortTouched = KeSystemUptime();
    HalEnableDebugPortInterrupt(Listen);
}

BOOLEAN KdpPortIsQuiet(VOID)
{
    return KeSystemUptime() - KdpPortTouched > ECHO_TIME;
}

static int KdpPortRead(VOID)
{
    int Byte = HalReadDebugPort();
    if (Byte < 0)
        return Byte;
    KdpPortTouched = KeSystemUptime();
    KdpPortDeserted = FALSE;
    return Byte;
}

// Looks that found nothing, not time: an emulator may stand still while bytes wait.
int KdpGdbReadByte(BOOLEAN Forever)
{
    ULONG64 Start = KeSystemUptime();
    for (KdpPortLooks = 0; Forever || KdpPortLooks < LOOKS_SILENCE ||
                           KeSystemUptime() - Start < SILENCE;) {
        int Byte = KdpPortRead();
        if (Byte >= 0)
            return Byte;
        if (KdpPortLooks++ >= LOOKS_AT_ONCE)
            KiKeepAway();
    }
    KdpPortDeserted = KdpPortImpatient;
    return KdpPortImpatient ? KD_LINE_GONE : KD_SILENCE;
}

// What takes six tenths of a second; gdb waits two for an acknowledgement.
ULONG KdpGdbPacketSize(VOID)
{
    ULONG Bytes = HalDebugPortBaudRate() / 16;
    return Bytes < 512 ? 512 : Bytes > GDB_PACKET_SIZE ? GDB_PACKET_SIZE : Bytes;
}

BOOLEAN KdpGdbWasQuiet(VOID)
{
    return KdpPortLooks > LOOKS_QUIET;
}

VOID KdpGdbWriteBytes(const UCHAR *Bytes, SIZE_T Length)
{
    HalWriteDebugPort(Bytes, Length);
}

BOOLEAN KdpPortWantsStop(GDB_LINK *Link)
{
    int Byte;
    while ((Byte = KdpPortRead()) >= 0) {
        if (Link->Frame == GdbFrameNoise)
            Link->Frame = GdbFrameNone; // gdb sends nothing now but Ctrl-C
        GDB_INPUT Input = GdbReceiveByte(Link, (UCHAR)Byte);
        Link->BreakPending |= Input == GdbInputBreak;
        Link->PacketPending |= Input == GdbInputPacket;
        if (Link->Frame > GdbFrameNoise)
            return TRUE;
    }
    return Link->BreakPending || Link->PacketPending;
}
