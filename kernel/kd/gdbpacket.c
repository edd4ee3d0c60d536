// SPDX-License-Identifier: MIT
// gdb's packets: bytes of a serial line that may lose and damage them, and what they carry.
//
// A packet is $data#xx with the sum of data's bytes in hexadecimal; } escapes the next byte, whose
// bit 5 is then turned over. The receiver answers + or, when the sum is wrong, -, and then gets it
// again. Nothing on the line is trusted: noise between packets is skipped, a $ inside a packet
// begins a new one (the end of the old one was lost), a packet that is too long is refused like a
// damaged one. So whatever happens costs a retransmission.
//
// A sender that waits for + and sees a new packet begin takes it as acknowledged: gdb would not
// talk on otherwise. It keeps that packet for GdbReceive. When nothing at all comes back the packet
// may have lost its beginning on the way, and gdb, which waits for the report of a stop without a
// limit, would wait for ever: it is sent again. gdb drops what it gets twice.
//
// The protocol numbers nothing, so that a packet which comes twice could get two answers, and gdb
// would take each following one for the answer to the next question ("Remote replied
// unexpectedly"). gdb asks again when an acknowledgement does not come in time, also because we
// are slow. So a packet that is the same as the one just answered, and comes before the answer is
// acknowledged and without a pause, crossed the answer on its way here: it is dropped. After a
// pause it is gdb's asking again, because it has missed both. And - while nothing is awaited means
// that gdb waits for an answer of which an earlier + was a doubled or forged one: it gets the last
// one again.
//
// A long packet hardly gets through a line that damages every thousandth byte, and the checksum, a
// plain sum, misses two damages of one packet that make up for each other. Longest is how much an
// answer that may come in pieces has at once: twice as much after each that arrived, an eighth
// of it after each that did not.
//
// A packet that has lost its $ looks like noise, which may hold +, - and Ctrl-C (X packets carry
// any byte): behind a byte that means nothing between packets, only $ means something.
//
// Replies are run-length coded: after a byte, * and a printable character n stand for n - 29 more
// of it. A page of zeroes is a dozen bytes on the line. The characters that begin or end packets,
// and the acknowledgements, are avoided as counts.
#include "gdb.h"
#include "rtl.h"

#define CTRL_C     0x03u
#define ESCAPE     0x7Du
#define ESCAPE_BIT 0x20u
#define RUN        0x2Au
#define RUN_BASE   29u
#define RUN_LEAST  3u
#define RUN_MOST   97u // '~' - 29

static const char GdbDigits[] = "0123456789abcdef";

static int GdbDigit(UCHAR Character)
{
    if (Character >= '0' && Character <= '9')
        return Character - '0';
    Character |= 0x20;
    return Character >= 'a' && Character <= 'f' ? Character - 'a' + 10 : -1;
}

// ---- receiving ----------------------------------------------------------------------------------
static VOID GdbBeginFrame(GDB_LINK *Link)
{
    Link->Frame = GdbFrameData;
    Link->Sum = 0;
    Link->SumLength = 0;
    Link->Length = 0;
    Link->Escaped = FALSE;
    Link->Overrun = FALSE;
}

static VOID GdbStoreByte(GDB_LINK *Link, UCHAR Byte)
{
    Link->Sum += Byte;
    if (Byte == ESCAPE && !Link->Escaped) {
        Link->Escaped = TRUE;
        return;
    }
    if (Link->Length < sizeof(Link->Data))
        Link->Data[Link->Length++] = Link->Escaped ? Byte ^ ESCAPE_BIT : Byte;
    else
        Link->Overrun = TRUE;
    Link->Escaped = FALSE;
}

static GDB_INPUT GdbEndFrame(GDB_LINK *Link)
{
    int High = GdbDigit(Link->SumText[0]), Low = GdbDigit(Link->SumText[1]);
    Link->Frame = GdbFrameNone;
    if (High < 0 || Low < 0 || (High << 4 | Low) != Link->Sum || Link->Overrun || Link->Escaped)
        return GdbInputDamaged;
    return GdbInputPacket;
}

static GDB_INPUT GdbBetweenFrames(GDB_LINK *Link, UCHAR Byte)
{
    switch (Byte) {
    case '+':
        return GdbInputAck;
    case '-':
        return GdbInputNak;
    case CTRL_C:
        return GdbInputBreak;
    default:
        Link->Frame = GdbFrameNoise;
        return GdbInputNone;
    }
}

GDB_INPUT GdbReceiveByte(GDB_LINK *Link, UCHAR Byte)
{
    if (Byte == '$') {
        GdbBeginFrame(Link);
        return GdbInputNone;
    }
    switch (Link->Frame) {
    case GdbFrameNone:
        return GdbBetweenFrames(Link, Byte);
    case GdbFrameNoise:
        return GdbInputNone;
    case GdbFrameData:
        if (Byte == '#')
            Link->Frame = GdbFrameSum;
        else
            GdbStoreByte(Link, Byte);
        return GdbInputNone;
    case GdbFrameSum:
        Link->SumText[Link->SumLength++] = Byte;
        return Link->SumLength == 2 ? GdbEndFrame(Link) : GdbInputNone;
    }
    return GdbInputNone;
}

static GDB_INPUT GdbNextInput(GDB_LINK *Link, BOOLEAN Forever)
{
    GDB_INPUT Input = GdbInputNone;
    while (Input == GdbInputNone) {
        int Byte = KdpGdbReadByte(Forever);
        if (Byte < 0)
            return Byte == KD_SILENCE ? GdbInputSilence : GdbInputEnd;
        if (Byte == '$')
            Link->AfterPause = KdpGdbWasQuiet();
        Input = GdbReceiveByte(Link, (UCHAR)Byte);
    }
    return Input;
}

VOID GdbAcknowledge(const GDB_LINK *Link, BOOLEAN Good)
{
    if (!Link->NoAcks)
        KdpGdbWriteBytes((const UCHAR *)(Good ? "+" : "-"), 1);
}

// FNV-1a, with the length.
static ULONG GdbDigest(const GDB_LINK *Link)
{
    ULONG Digest = 2166136261u ^ Link->Length;
    for (ULONG i = 0; i < Link->Length; i++)
        Digest = (Digest ^ Link->Data[i]) * 16777619u;
    return Digest;
}

static VOID GdbOutFrame(const UCHAR *Text, ULONG Length);

GDB_INPUT GdbReceive(GDB_LINK *Link)
{
    GDB_INPUT Input = GdbInputNone;
    if (Link->PacketPending) {
        Link->PacketPending = FALSE;
        Link->Taken = GdbDigest(Link);
        return GdbInputPacket;
    }
    while (Input != GdbInputPacket && Input != GdbInputBreak && Input != GdbInputEnd) {
        Input = GdbNextInput(Link, TRUE);
        if (Input == GdbInputDamaged && Link->NoAcks)
            return Input;
        if (Input == GdbInputPacket || Input == GdbInputDamaged)
            GdbAcknowledge(Link, Input == GdbInputPacket);
        if (Input == GdbInputDamaged)
            Link->ReplyLength = 0; // a - that follows may be about what that was to ask
        if (Input == GdbInputNak && Link->ReplyLength != 0)
            GdbOutFrame(Link->Reply, Link->ReplyLength);
    }
    Link->Taken = GdbDigest(Link);
    return Input;
}

// ---- sending ------------------------------------------------------------------------------------
typedef struct _GDB_OUT {
    ULONG Used;
    UCHAR Sum;
    UCHAR Bytes[64];
} GDB_OUT;

static VOID GdbOutByte(GDB_OUT *Out, UCHAR Byte)
{
    if (Out->Used == sizeof(Out->Bytes)) {
        KdpGdbWriteBytes(Out->Bytes, Out->Used);
        Out->Used = 0;
    }
    Out->Bytes[Out->Used++] = Byte;
    Out->Sum += Byte;
}

static BOOLEAN GdbIsSpecial(UCHAR Byte)
{
    return Byte == '$' || Byte == '#' || Byte == ESCAPE || Byte == RUN;
}

// How many more of Text[0] may be said by one count: at least RUN_LEAST, or 0.
static ULONG GdbRunLength(const UCHAR *Text, ULONG Length)
{
    ULONG Run = 0;
    while (Run < RUN_MOST && 1 + Run < Length && Text[1 + Run] == Text[0])
        Run++;
    while (Run >= RUN_LEAST && strchr("$#+-", (int)(Run + RUN_BASE)) != NULL)
        Run--;
    return Run >= RUN_LEAST ? Run : 0;
}

static VOID GdbOutFrame(const UCHAR *Text, ULONG Length)
{
    GDB_OUT Out = {.Used = 0};
    GdbOutByte(&Out, '$');
    Out.Sum = 0;
    for (ULONG i = 0; i < Length; i++) {
        ULONG Run = GdbIsSpecial(Text[i]) ? 0 : GdbRunLength(Text + i, Length - i);
        if (GdbIsSpecial(Text[i]))
            GdbOutByte(&Out, ESCAPE);
        GdbOutByte(&Out, GdbIsSpecial(Text[i]) ? Text[i] ^ ESCAPE_BIT : Text[i]);
        if (Run != 0) {
            GdbOutByte(&Out, RUN);
            GdbOutByte(&Out, (UCHAR)(Run + RUN_BASE));
            i += Run;
        }
    }
    UCHAR Sum = Out.Sum;
    GdbOutByte(&Out, '#');
    GdbOutByte(&Out, (UCHAR)GdbDigits[Sum >> 4]);
    GdbOutByte(&Out, (UCHAR)GdbDigits[Sum & 15]);
    KdpGdbWriteBytes(Out.Bytes, Out.Used);
}

// Until the reply just sent is acknowledged. FALSE: it is wanted again.
static BOOLEAN GdbAwaitAck(GDB_LINK *Link)
{
    for (;;) {
        switch (GdbNextInput(Link, FALSE)) {
        case GdbInputNak:
        case GdbInputSilence:
            return FALSE;
        case GdbInputBreak:
            Link->BreakPending = TRUE;
            break;
        case GdbInputDamaged:
            GdbAcknowledge(Link, FALSE);
            break;
        case GdbInputPacket:
            if (GdbDigest(Link) == Link->Taken && !Link->AfterPause)
                break;
            GdbAcknowledge(Link, TRUE);
            Link->PacketPending = TRUE;
            return TRUE;
        default:
            return TRUE;
        }
    }
}

BOOLEAN GdbTrySend(GDB_LINK *Link, const UCHAR *Text, ULONG Length)
{
    GdbOutFrame(Text, Length);
    return Link->NoAcks || GdbAwaitAck(Link);
}

// gdb asks three times for an answer: the third is to get through.
VOID GdbLearn(GDB_LINK *Link, BOOLEAN Arrived)
{
    ULONG Most = Link->PacketSize / 2 - 1; // digits and escapes double it on the line
    ULONG Sent = Link->ReplyLength / 2 < Link->Longest ? Link->ReplyLength / 2 : Link->Longest;
    if (Arrived)
        Link->Longest = 2 * Link->Longest < Most ? 2 * Link->Longest : Most;
    else
        Link->Longest = Sent > 8 * GDB_SHORTEST ? Sent / 8 : GDB_SHORTEST;
}

VOID GdbSend(GDB_LINK *Link, const UCHAR *Text, ULONG Length)
{
    while (!GdbTrySend(Link, Text, Length)) {
    }
}

VOID GdbBeginLink(GDB_LINK *Link)
{
    Link->PacketSize = KdpGdbPacketSize();
    Link->Longest = Link->PacketSize / 16;
    if (Link->Longest < GDB_SHORTEST)
        Link->Longest = GDB_SHORTEST;
}

VOID GdbInitializeLink(GDB_LINK *Link)
{
    memset(Link, 0, sizeof(*Link));
    GdbBeginLink(Link);
}

// ---- replies ------------------------------------------------------------------------------------
VOID GdbBeginReply(GDB_LINK *Link)
{
    Link->ReplyLength = 0;
}

VOID GdbPutByte(GDB_LINK *Link, UCHAR Byte)
{
    if (Link->ReplyLength < sizeof(Link->Reply))
        Link->Reply[Link->ReplyLength++] = Byte;
}

VOID GdbPutText(GDB_LINK *Link, const char *Text)
{
    while (*Text != 0)
        GdbPutByte(Link, (UCHAR)*Text++);
}

VOID GdbPutHex(GDB_LINK *Link, const VOID *Bytes, SIZE_T Length)
{
    const UCHAR *Byte = Bytes;
    for (SIZE_T i = 0; i < Length; i++) {
        GdbPutByte(Link, (UCHAR)GdbDigits[Byte[i] >> 4]);
        GdbPutByte(Link, (UCHAR)GdbDigits[Byte[i] & 15]);
    }
}

VOID GdbPutNumber(GDB_LINK *Link, ULONG64 Number)
{
    ULONG Shift = 60;
    while (Shift > 0 && Number >> Shift == 0)
        Shift -= 4;
    for (;; Shift -= 4) {
        GdbPutByte(Link, (UCHAR)GdbDigits[Number >> Shift & 15]);
        if (Shift == 0)
            break;
    }
}

VOID GdbSendReply(GDB_LINK *Link)
{
    GdbSend(Link, Link->Reply, Link->ReplyLength);
}

// ---- reading ------------------------------------------------------------------------------------
BOOLEAN GdbTake(GDB_TEXT *Text, const char *Word)
{
    SIZE_T Length = strlen(Word);
    if (GdbLeft(Text) < Length || memcmp(Text->At, Word, Length) != 0)
        return FALSE;
    Text->At += Length;
    return TRUE;
}

BOOLEAN GdbTakeNumber(GDB_TEXT *Text, ULONG64 *Number)
{
    const UCHAR *Start = Text->At;
    *Number = 0;
    while (Text->At < Text->End && GdbDigit(*Text->At) >= 0)
        *Number = *Number << 4 | (ULONG)GdbDigit(*Text->At++);
    return Text->At != Start;
}

BOOLEAN GdbTakeHex(GDB_TEXT *Text, UCHAR *Bytes, SIZE_T Length)
{
    if (GdbLeft(Text) / 2 < Length)
        return FALSE;
    for (SIZE_T i = 0; i < Length; i++) {
        int High = GdbDigit(Text->At[2 * i]), Low = GdbDigit(Text->At[2 * i + 1]);
        if (High < 0 || Low < 0)
            return FALSE;
        Bytes[i] = (UCHAR)(High << 4 | Low);
    }
    Text->At += 2 * Length;
    return TRUE;
}
