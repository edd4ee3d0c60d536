// SPDX-License-Identifier: MIT
// gdb's packets answered: stop reports, resuming, threads.
//
// The machine stands still while GdbServe runs, and runs while it does not: all-stop mode. gdb
// asks, we answer, until a packet resumes the machine; then gdb waits for a stop report, which the
// next GdbServe sends. A gdb that begins a session (qSupported) waits for none, whatever an
// earlier one was waiting for when it went away.
//
// Ctrl-C may cross the report of a stop on its way here: gdb, having decided that the stop was only
// a step on the way, resumes, and still wants the machine stopped. So a Ctrl-C that comes while the
// machine stands ends the next resumption before it begins.
//
// A packet that nobody knows gets the empty reply, which is how the protocol says "do without".
#include "gdb.h"
#include "rtl.h"

VOID GdbInitializeSession(GDB_SESSION *Session)
{
    memset(Session, 0, sizeof(*Session));
    GdbInitializeLink(&Session->Link);
}

VOID GdbPutError(GDB_LINK *Link, ULONG Number)
{
    UCHAR Byte = (UCHAR)Number;
    GdbBeginReply(Link);
    GdbPutByte(Link, 'E');
    GdbPutHex(Link, &Byte, 1);
}

VOID GdbOutput(GDB_SESSION *Session, const char *Text, SIZE_T Length)
{
    UCHAR Packet[1 + 2 * 256];
    while (Length != 0) {
        SIZE_T Part = Length < 256 ? Length : 256;
        Packet[0] = 'O';
        for (SIZE_T i = 0; i < Part; i++) {
            Packet[1 + 2 * i] = (UCHAR) "0123456789abcdef"[(UCHAR)Text[i] >> 4];
            Packet[2 + 2 * i] = (UCHAR) "0123456789abcdef"[Text[i] & 15];
        }
        GdbSend(&Session->Link, Packet, (ULONG)(1 + 2 * Part));
        Text += Part;
        Length -= Part;
    }
}

// ---- stop reports -------------------------------------------------------------------------------
static VOID GdbPutReason(GDB_SESSION *Session, const GDB_STOP *Stop)
{
    GDB_LINK *Link = &Session->Link;
    switch (Stop->Reason) {
    case GdbReasonBreakpoint:
        GdbPutText(Link, Session->KnowsSwBreak ? "swbreak:;" : "");
        break;
    case GdbReasonHardware:
        GdbPutText(Link, Session->KnowsHwBreak ? "hwbreak:;" : "");
        break;
    case GdbReasonWatch:
    case GdbReasonAccess:
        GdbPutText(Link, Stop->Reason == GdbReasonWatch ? "watch:" : "awatch:");
        GdbPutNumber(Link, Stop->Address);
        GdbPutByte(Link, ';');
        break;
    case GdbReasonLibrary:
        GdbPutText(Link, "library:;");
        break;
    case GdbReasonNone:
        break;
    }
}

static VOID GdbPutStop(GDB_SESSION *Session, const GDB_STOP *Stop)
{
    GDB_LINK *Link = &Session->Link;
    UCHAR Signal = (UCHAR)Stop->Signal;
    GdbBeginReply(Link);
    GdbPutByte(Link, 'T');
    GdbPutHex(Link, &Signal, 1);
    GdbPutExpedited(Session, Stop->Thread);
    GdbPutText(Link, "thread:");
    GdbPutNumber(Link, Stop->Thread);
    GdbPutByte(Link, ';');
    GdbPutReason(Session, Stop);
}

// ---- threads ------------------------------------------------------------------------------------
static BOOLEAN GdbThreadExists(ULONG64 Thread)
{
    ULONG Id = 0;
    while ((Id = KdpNextThread(Id)) != 0)
        if (Id == Thread)
            return TRUE;
    return FALSE;
}

// A thread as packets name one: a number, 0 for any, -1 for all.
static BOOLEAN GdbTakeThread(GDB_TEXT *Packet, ULONG64 *Thread)
{
    if (GdbTake(Packet, "-1")) {
        *Thread = 0;
        return TRUE;
    }
    return GdbTakeNumber(Packet, Thread);
}

static VOID GdbSelectThread(GDB_SESSION *Session, GDB_TEXT *Packet)
{
    ULONG64 Thread;
    BOOLEAN General = GdbTake(Packet, "g");
    if ((!General && !GdbTake(Packet, "c")) || !GdbTakeThread(Packet, &Thread) ||
        (Thread != 0 && !GdbThreadExists(Thread))) {
        GdbPutError(&Session->Link, GDB_ERROR_ARGUMENT);
        return;
    }
    if (General)
        Session->Thread = Thread != 0 ? (ULONG)Thread : Session->Stop.Thread;
    GdbPutText(&Session->Link, "OK");
}

static VOID GdbIsThreadAlive(GDB_SESSION *Session, GDB_TEXT *Packet)
{
    ULONG64 Thread;
    if (GdbTakeNumber(Packet, &Thread) && GdbThreadExists(Thread))
        GdbPutText(&Session->Link, "OK");
    else
        GdbPutError(&Session->Link, GDB_ERROR_ARGUMENT);
}

// ---- resuming -----------------------------------------------------------------------------------
// c [address], C signal[;address], s and S alike.
static BOOLEAN GdbTakeResume(GDB_SESSION *Session, GDB_TEXT *Packet, GDB_RESUME *Resume)
{
    UCHAR Letter = *Packet->At++, Signal = 0;
    ULONG64 Address;
    Resume->Action = Letter == 's' || Letter == 'S' ? GdbStep : GdbContinue;
    Resume->Thread = Session->Stop.Thread;
    if ((Letter == 'C' || Letter == 'S') && !GdbTakeHex(Packet, &Signal, 1)) {
        GdbPutError(&Session->Link, GDB_ERROR_ARGUMENT);
        return FALSE;
    }
    Resume->Signal = Signal;
    GdbTake(Packet, ";");
    if (GdbTakeNumber(Packet, &Address))
        KdpSetProgramCounter(Resume->Thread, Address);
    return TRUE;
}

// One action of vCont: c, C signal, s, S signal, r start,end.
static BOOLEAN GdbTakeAction(GDB_TEXT *Packet, GDB_RESUME *Resume)
{
    UCHAR Signal = 0;
    Resume->Start = Resume->End = 0;
    if (GdbTake(Packet, "r")) {
        Resume->Action = GdbStepRange;
        return GdbTakeNumber(Packet, &Resume->Start) && GdbTake(Packet, ",") &&
               GdbTakeNumber(Packet, &Resume->End);
    }
    BOOLEAN WithSignal = FALSE;
    if (GdbTake(Packet, "c"))
        Resume->Action = GdbContinue;
    else if (GdbTake(Packet, "s"))
        Resume->Action = GdbStep;
    else if ((WithSignal = GdbTake(Packet, "C")))
        Resume->Action = GdbContinue;
    else if ((WithSignal = GdbTake(Packet, "S")))
        Resume->Action = GdbStep;
    else
        return FALSE;
    if (WithSignal && !GdbTakeHex(Packet, &Signal, 1))
        return FALSE;
    Resume->Signal = Signal;
    return TRUE;
}

// A thread that no processor runs has no next instruction. gdb is told so in words, and that the
// thread has stopped; an error would have it believe that the step was made.
static VOID GdbRefuseStep(GDB_SESSION *Session, ULONG Thread)
{
    static const char Text[] = "It is on no processor that could be stepped.\n";
    GdbOutput(Session, Text, sizeof(Text) - 1);
    GdbPutStop(Session, &(GDB_STOP){.Signal = GdbSignalInt, .Thread = Thread});
}

// vCont;action[:thread]... : the first action that names a thread counts for it, the one without a
// thread for all others. A processor that steps does so alone, so one step decides everything; a
// signal belongs to the thread that stopped.
static BOOLEAN GdbTakeContinue(GDB_SESSION *Session, GDB_TEXT *Packet, GDB_RESUME *Resume)
{
    BOOLEAN Decided = FALSE;
    ULONG Signal = 0;
    while (GdbTake(Packet, ";")) {
        GDB_RESUME One = {.Thread = Session->Stop.Thread};
        ULONG64 Thread = 0;
        if (!GdbTakeAction(Packet, &One) ||
            (GdbTake(Packet, ":") && !GdbTakeThread(Packet, &Thread)) ||
            (Thread != 0 && !GdbThreadExists(Thread))) {
            GdbPutError(&Session->Link, GDB_ERROR_ARGUMENT);
            return FALSE;
        }
        if (Thread != 0)
            One.Thread = (ULONG)Thread;
        if (One.Action != GdbContinue && !KdpCanStep(One.Thread)) {
            GdbRefuseStep(Session, One.Thread);
            return FALSE;
        }
        if (Thread == 0 || Thread == Session->Stop.Thread)
            Signal |= One.Signal;
        if (!Decided || (Resume->Action == GdbContinue && One.Action != GdbContinue))
            *Resume = One;
        Decided = TRUE;
    }
    Resume->Signal = Signal;
    if (!Decided)
        GdbPutError(&Session->Link, GDB_ERROR_ARGUMENT);
    return Decided;
}

// TRUE: the machine is to be resumed, by Resume.
static BOOLEAN GdbHandleResume(GDB_SESSION *Session, GDB_TEXT *Packet, GDB_RESUME *Resume)
{
    if (GdbTake(Packet, "vCont?")) {
        GdbPutText(&Session->Link, "vCont;c;C;s;S;r");
        return FALSE;
    }
    if (GdbTake(Packet, "vCont"))
        return GdbTakeContinue(Session, Packet, Resume);
    if (GdbTake(Packet, "k") || GdbTake(Packet, "vKill")) {
        Resume->Action = GdbKill;
        return TRUE;
    }
    if (GdbTake(Packet, "D")) {
        Resume->Action = GdbDetach;
        return TRUE;
    }
    return GdbTakeResume(Session, Packet, Resume);
}

static BOOLEAN GdbIsResume(const GDB_TEXT *Packet)
{
    GDB_TEXT Text = *Packet;
    return strchr("cCsSDk", *Text.At) != NULL || GdbTake(&Text, "vCont") || GdbTake(&Text, "vKill");
}

// ---- the session --------------------------------------------------------------------------------
// What is no resumption: the reply is built here, or stays empty.
static VOID GdbHandlePacket(GDB_SESSION *Session, GDB_TEXT *Packet)
{
    if (GdbTake(Packet, "?"))
        GdbPutStop(Session, &Session->Stop);
    else if (GdbTake(Packet, "H"))
        GdbSelectThread(Session, Packet);
    else if (GdbTake(Packet, "T"))
        GdbIsThreadAlive(Session, Packet);
    else if (!GdbHandleMemory(Session, Packet) && !GdbHandleRegisters(Session, Packet))
        GdbHandleQuery(Session, Packet);
}

// A Ctrl-C that came too late for the last resumption stops this one: the reply is built.
static BOOLEAN GdbStopsAtOnce(GDB_SESSION *Session, const GDB_RESUME *Resume)
{
    if (!Session->Link.BreakPending || Resume->Action >= GdbDetach)
        return FALSE;
    Session->Link.BreakPending = FALSE;
    Session->Stop.Signal = GdbSignalInt;
    Session->Stop.Reason = GdbReasonNone;
    GdbPutStop(Session, &Session->Stop);
    return TRUE;
}

#define LONG_QUESTION 80u

// An answer that does not get through, and may be shorter, is made anew: in the pieces that Longest
// allows by then. The question is kept: noise may have begun another packet in Data.
static VOID GdbAnswerLong(GDB_SESSION *Session)
{
    GDB_LINK *Link = &Session->Link;
    UCHAR Question[LONG_QUESTION];
    ULONG Length = Link->Length;
    BOOLEAN Arrived = FALSE;
    memcpy(Question, Link->Data, Length);
    while (!Arrived) {
        GDB_TEXT Packet = {Question, Question + Length};
        GdbBeginReply(Link);
        GdbHandlePacket(Session, &Packet);
        Arrived = GdbTrySend(Link, Link->Reply, Link->ReplyLength);
        GdbLearn(Link, Arrived);
    }
}

static BOOLEAN GdbIsLong(GDB_TEXT Packet)
{
    return GdbLeft(&Packet) <= LONG_QUESTION &&
           (GdbTake(&Packet, "m") || GdbTake(&Packet, "qXfer:"));
}

// TRUE: Resume says how to go on. A resumption is acknowledged twice: if gdb missed that, it would
// resume twice.
static BOOLEAN GdbAnswerResume(GDB_SESSION *Session, GDB_TEXT *Packet, GDB_RESUME *Resume)
{
    GdbAcknowledge(&Session->Link, TRUE);
    if (GdbHandleResume(Session, Packet, Resume) && !GdbStopsAtOnce(Session, Resume))
        return TRUE;
    GdbSendReply(&Session->Link);
    return FALSE;
}

static BOOLEAN GdbAnswer(GDB_SESSION *Session, GDB_RESUME *Resume)
{
    GDB_LINK *Link = &Session->Link;
    GDB_TEXT Packet = {Link->Data, Link->Data + Link->Length};
    Session->Attached = TRUE;
    GdbBeginReply(Link);
    if (Link->Length != 0 && Link->Data[0] != 0 && GdbIsResume(&Packet))
        return GdbAnswerResume(Session, &Packet, Resume);
    if (GdbIsLong(Packet)) {
        GdbAnswerLong(Session);
        return FALSE;
    }
    if (Link->Length != 0)
        GdbHandlePacket(Session, &Packet);
    if (Session->WantsNoAcks)
        GdbPutText(Link, "OK");
    GdbSendReply(Link);
    Link->NoAcks |= Session->WantsNoAcks;
    Session->WantsNoAcks = FALSE;
    return FALSE;
}

static VOID GdbLeave(GDB_SESSION *Session, const GDB_RESUME *Resume)
{
    Session->AwaitsStop = Resume->Action < GdbDetach;
    if (Resume->Action < GdbDetach)
        return;
    GdbRemoveAllBreakpoints();
    Session->Attached = FALSE;
    Session->PassSignals = 0;
    if (Resume->Action == GdbDetach) {
        GdbPutText(&Session->Link, "OK");
        GdbSendReply(&Session->Link);
    }
    Session->Link.NoAcks = FALSE;
}

VOID GdbServe(GDB_SESSION *Session, const GDB_STOP *Stop, GDB_RESUME *Resume)
{
    Session->Stop = *Stop;
    Session->Thread = Stop->Thread;
    if (Session->AwaitsStop && !Session->Link.PacketPending) {
        GdbPutStop(Session, &Session->Stop);
        GdbSendReply(&Session->Link);
    }
    Session->AwaitsStop = FALSE;
    *Resume = (GDB_RESUME){.Thread = Stop->Thread};
    for (BOOLEAN Resumed = FALSE; !Resumed;) {
        GDB_INPUT Input = GdbReceive(&Session->Link);
        if (Input == GdbInputEnd) {
            Resume->Action = GdbVanished;
            Resumed = TRUE;
        } else if (Input == GdbInputBreak) {
            Session->Link.BreakPending = TRUE;
        } else if (Input == GdbInputDamaged) { // without acknowledgements: say so at least
            GdbPutError(&Session->Link, GDB_ERROR_DAMAGED);
            GdbSendReply(&Session->Link);
        } else if (Input == GdbInputPacket) {
            Resumed = GdbAnswer(Session, Resume);
        }
    }
    GdbLeave(Session, Resume);
}
