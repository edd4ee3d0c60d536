// SPDX-License-Identifier: MIT
// gdb.h: the gdb server's parts, and what they ask of the machine they run on.
//
//     gdbpacket.c    bytes <-> packets: framing, checksums, acknowledgement, run-length coding
//     gdbserver.c    packets -> answers: resuming, threads, stop reports
//     gdbquery.c     the q packets: features, object transfers, monitor commands
//     gdbmemory.c    memory and software breakpoints
//     gdbwatch.c     the processor's breakpoint registers
//     gdbregisters.c registers by number, and the target description
//     gdbstop.c      entering from a trap, stepping, leaving
//     gdbtarget.c    this kernel's memory and modules
//     gdbthread.c    processors and kernel threads
//     gdbport.c      the serial port, breaking in, console text
//     amd64/, i386/  the registers and how a trap frame is resumed
//
// The first six know nothing of the kernel: they talk to the outside through the routines under
// "what the machine provides", and the host tests and the fuzz target link them with a fake one.
// Protocol: GDB manual, appendix "GDB Remote Serial Protocol".
#pragma once

#include "nt/nt.h"

#define GDB_PACKET_SIZE 0x2000u // longest packet, without its frame, in either direction
#define GDB_SHORTEST    0x10u   // bytes of an answer in pieces, on a bad line

// ---- packets (gdbpacket.c) ----------------------------------------------------------------------
typedef enum _GDB_INPUT {
    GdbInputNone,    // the byte is inside a packet, or noise
    GdbInputPacket,  // a whole packet is in Data
    GdbInputDamaged, // a packet ended whose checksum is wrong, or that is too long
    GdbInputBreak,   // Ctrl-C between packets
    GdbInputAck,
    GdbInputNak,
    GdbInputSilence, // nothing has come for some seconds, although an answer is due
    GdbInputEnd,     // the line is gone
} GDB_INPUT;

typedef enum _GDB_FRAME { GdbFrameNone, GdbFrameNoise, GdbFrameData, GdbFrameSum } GDB_FRAME;

typedef struct _GDB_LINK {
    GDB_FRAME Frame;  // where in a packet the receiver is
    UCHAR Sum;        // of the bytes between $ and #
    UCHAR SumText[2]; // the checksum as it came
    ULONG SumLength;
    BOOLEAN Escaped;       // the last byte was }
    BOOLEAN Overrun;       // longer than Data
    BOOLEAN NoAcks;        // QStartNoAckMode
    BOOLEAN BreakPending;  // Ctrl-C came while an acknowledgement was awaited
    BOOLEAN PacketPending; // so did a packet: it is in Data, not yet looked at
    BOOLEAN AfterPause;    // the packet that is on its way in, or was last, came after a pause
    ULONG Taken;           // a digest of the packet taken last
    ULONG PacketSize;      // that gdb may use, and we
    ULONG Longest;         // of the pieces that a long answer is sent in, before coding
    ULONG Length;          // of Data
    UCHAR Data[GDB_PACKET_SIZE];
    ULONG ReplyLength;
    UCHAR Reply[GDB_PACKET_SIZE]; // kept until it is acknowledged
} GDB_LINK;

GDB_INPUT GdbReceiveByte(GDB_LINK *Link, UCHAR Byte);
// Waits for a packet, Ctrl-C or the end. Acknowledges.
GDB_INPUT GdbReceive(GDB_LINK *Link);
// Sends once. FALSE: it is wanted again.
BOOLEAN GdbTrySend(GDB_LINK *Link, const UCHAR *Text, ULONG Length);
// What is learnt for Longest from how a long answer fared.
VOID GdbLearn(GDB_LINK *Link, BOOLEAN Arrived);
VOID GdbSend(GDB_LINK *Link, const UCHAR *Text, ULONG Length); // until it is acknowledged
VOID GdbAcknowledge(const GDB_LINK *Link, BOOLEAN Good);
VOID GdbInitializeLink(GDB_LINK *Link);
VOID GdbBeginLink(GDB_LINK *Link); // sizes, for a new session

// Building a reply in Link->Reply. What does not fit is dropped; nothing overflows.
VOID GdbBeginReply(GDB_LINK *Link);
VOID GdbPutByte(GDB_LINK *Link, UCHAR Byte);
VOID GdbPutText(GDB_LINK *Link, const char *Text);
VOID GdbPutHex(GDB_LINK *Link, const VOID *Bytes, SIZE_T Length);
VOID GdbPutNumber(GDB_LINK *Link, ULONG64 Number);
VOID GdbSendReply(GDB_LINK *Link);

// Reading a packet. Each takes something off the front, or returns FALSE and takes nothing.
typedef struct _GDB_TEXT {
    const UCHAR *At, *End;
} GDB_TEXT;

BOOLEAN GdbTake(GDB_TEXT *Text, const char *Word);
BOOLEAN GdbTakeNumber(GDB_TEXT *Text, ULONG64 *Number);          // hexadecimal, any length
BOOLEAN GdbTakeHex(GDB_TEXT *Text, UCHAR *Bytes, SIZE_T Length); // exactly Length bytes
FORCEINLINE SIZE_T GdbLeft(const GDB_TEXT *Text)
{
    return (SIZE_T)(Text->End - Text->At);
}

// ---- the session (gdbserver.c) ------------------------------------------------------------------
// Signals by gdb's numbers.
enum {
    GdbSignalInt = 2,
    GdbSignalIll = 4,
    GdbSignalTrap = 5,
    GdbSignalAbort = 6,
    GdbSignalFpe = 8,
    GdbSignalBus = 10,
    GdbSignalSegv = 11,
    GdbSignalLast = 63
};

typedef enum _GDB_REASON {
    GdbReasonNone,
    GdbReasonBreakpoint, // a software breakpoint of gdb's; the program counter is at it
    GdbReasonHardware,   // a breakpoint register, on execution
    GdbReasonWatch,      // on a write to Address
    GdbReasonAccess,     // on any access to Address
    GdbReasonLibrary,    // the list of drivers has changed
} GDB_REASON;

typedef struct _GDB_STOP {
    ULONG Signal;
    ULONG Thread;
    GDB_REASON Reason;
    ULONG64 Address;
} GDB_STOP;

typedef enum _GDB_ACTION {
    GdbContinue,
    GdbStep,
    GdbStepRange, // until the program counter leaves [Start, End)
    GdbDetach,
    GdbKill,
    GdbVanished, // the line ended
} GDB_ACTION;

typedef struct _GDB_RESUME {
    GDB_ACTION Action;
    ULONG Thread; // who steps
    ULONG Signal; // to be delivered to who stopped; 0: forget what stopped us
    ULONG64 Start, End;
} GDB_RESUME;

typedef struct _GDB_SESSION {
    GDB_LINK Link;
    GDB_STOP Stop;
    BOOLEAN Attached;     // a gdb has spoken and has not detached
    BOOLEAN AwaitsStop;   // it resumed us and waits to hear how that ended
    BOOLEAN KnowsSwBreak; // it understands these stop reasons
    BOOLEAN KnowsHwBreak;
    BOOLEAN WantsNoAcks; // from the next packet on
    ULONG Thread;        // the one that g, p, m ... are about
    ULONG Listed;        // the last thread that the list of threads has got to
    ULONG64 PassSignals; // signals that are not worth a stop
} GDB_SESSION;

VOID GdbInitializeSession(GDB_SESSION *Session);
// Talks to gdb until it resumes the machine.
VOID GdbServe(GDB_SESSION *Session, const GDB_STOP *Stop, GDB_RESUME *Resume);
// Text to gdb's console; only while gdb waits for a stop or for the end of a monitor command.
VOID GdbOutput(GDB_SESSION *Session, const char *Text, SIZE_T Length);

// Parts of the dispatcher. TRUE: the reply is built; FALSE: the packet means nothing to us.
BOOLEAN GdbHandleQuery(GDB_SESSION *Session, GDB_TEXT *Packet);
BOOLEAN GdbHandleMemory(GDB_SESSION *Session, GDB_TEXT *Packet);    // m M X Z z
BOOLEAN GdbHandleRegisters(GDB_SESSION *Session, GDB_TEXT *Packet); // g G p P
VOID GdbPutError(GDB_LINK *Link, ULONG Number);
VOID GdbPutExpedited(GDB_SESSION *Session, ULONG Thread); // the registers of a stop report

// A window onto a long text that is produced anew for each piece gdb asks for.
typedef struct _GDB_WINDOW {
    GDB_LINK *Link;
    ULONG64 Skip; // bytes before the window still to come
    ULONG64 Room; // bytes of the window still to fill
    BOOLEAN More; // there is text behind it
} GDB_WINDOW;
VOID GdbWindowText(GDB_WINDOW *Window, const char *Format, ...)
    __attribute__((format(printf, 2, 3)));
VOID GdbDescribeTarget(GDB_WINDOW *Window); // target.xml

// ---- breakpoints --------------------------------------------------------------------------------
#define GDB_ERROR_MEMORY   0x0Eu // what gdb shows as E0E: no access
#define GDB_ERROR_ARGUMENT 0x16u
#define GDB_ERROR_NO_ROOM  0x1Cu
#define GDB_ERROR_DAMAGED  0x54u // the packet was not what gdb sent

// Memory as gdb is to see it: without our breakpoints. Returns how many bytes could be read.
SIZE_T GdbReadMemory(ULONG64 Address, UCHAR *Buffer, SIZE_T Length);
BOOLEAN GdbWriteMemory(ULONG64 Address, const UCHAR *Buffer, SIZE_T Length);
ULONG GdbInsertSoftware(ULONG64 Address); // 0, or an error number
ULONG GdbRemoveSoftware(ULONG64 Address);
BOOLEAN GdbIsSoftware(ULONG64 Address);
VOID GdbRemoveAllBreakpoints(VOID); // hardware too

// The breakpoint registers, as they are to be while the machine runs.
typedef struct _GDB_DEBUG_REGISTERS {
    ULONG64 Address[4];
    ULONG64 Control; // DR7
} GDB_DEBUG_REGISTERS;
extern GDB_DEBUG_REGISTERS GdbDebugRegisters;

typedef enum _GDB_WATCH { GdbWatchExecute = 0, GdbWatchWrite = 1, GdbWatchAccess = 3 } GDB_WATCH;
ULONG GdbInsertHardware(GDB_WATCH Kind, ULONG64 Address, ULONG64 Length); // 0, or an error number
ULONG GdbRemoveHardware(GDB_WATCH Kind, ULONG64 Address, ULONG64 Length);
// What the status register DR6 says: reason and address of a stop; GdbReasonNone: none of ours.
GDB_REASON GdbExplainHardware(ULONG64 Status, ULONG64 *Address);

// ---- what the machine provides ------------------------------------------------------------------
// Waits for a byte. KD_SILENCE: none came for some seconds (only where Forever is FALSE);
// KD_LINE_GONE: none will.
int KdpGdbReadByte(BOOLEAN Forever);
#define KD_SILENCE   (-1)
#define KD_LINE_GONE (-2)
ULONG KdpGdbPacketSize(VOID); // what the line carries well before gdb asks again
BOOLEAN KdpGdbWasQuiet(VOID); // whether the line was, before the byte that came last
VOID KdpGdbWriteBytes(const UCHAR *Bytes, SIZE_T Length);

SIZE_T KdpReadMemory(ULONG64 Address, VOID *Buffer, SIZE_T Length); // how many could be read
BOOLEAN KdpWriteMemory(ULONG64 Address, const VOID *Buffer, SIZE_T Length); // read-only text too

typedef struct _GDB_REGISTER {
    const char *Name;
    const char *Type; // of the target description
    UCHAR Bytes;
    UCHAR Feature; // index into KdpFeatures
    USHORT Place;  // the architecture's business
} GDB_REGISTER;

typedef struct _GDB_FEATURE {
    const char *Name;
    const char *Types; // XML that defines the types its registers use
} GDB_FEATURE;

extern const char KdpArchitectureName[]; // as the target description spells it
extern const GDB_FEATURE KdpFeatures[];
extern const GDB_REGISTER KdpRegisters[];
extern const ULONG KdpRegisterCount;
extern const ULONG KdpBulkRegisters; // the first so many make up a g packet
extern const UCHAR KdpExpedited[3];  // numbers of frame pointer, stack pointer, pc
extern const ULONG KdpWatchBytes;    // longest stretch one breakpoint register watches
#define GDB_REGISTER_BYTES 16u       // of the longest register

BOOLEAN KdpReadRegister(ULONG Thread, ULONG Number, UCHAR *Value); // FALSE: not available
BOOLEAN KdpWriteRegister(ULONG Thread, ULONG Number, const UCHAR *Value);
VOID KdpSetProgramCounter(ULONG Thread, ULONG64 Address);

ULONG KdpNextThread(ULONG Previous); // ids from 1 on; 0: there is no further one
BOOLEAN KdpCanStep(ULONG Thread);    // whether it is on a processor that can be stepped
VOID KdpDescribeThread(ULONG Thread, char *Buffer, SIZE_T Size);
VOID KdpDescribeModules(GDB_WINDOW *Window); // the body of the library list
VOID KdpDescribeMemory(GDB_WINDOW *Window);  // the body of the memory map
VOID KdpRunMonitorCommand(const char *Line); // its text goes out through GdbOutput
