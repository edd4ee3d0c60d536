// SPDX-License-Identifier: MIT
// gdb on the machine itself: when the system stops, what gdb is told, how it goes on.
//
// /DEBUG and a serial port make the debugger; it registers itself as ke's debug routine, and then
// every breakpoint, exception, bugcheck and NMI comes here first. The trap that brought us is the
// stop: gdb reads and changes its frame, and returning resumes it. There is one way that does not
// return: after a bugcheck that gdb decides to forget (`signal 0`), the faulting code goes on.
//
// Without a gdb attached, breakpoints and bugchecks wait for one; exceptions take their course.
//
// While the system stands (KdpStanding) interrupts are off, breakpoint registers too, no lock is
// waited for, and printed text goes to gdb. A monitor command that faults on whatever it looks at
// is abandoned: the trap comes back here, sees that, and jumps to where the command began.
//
// Processors: whoever has something to tell freezes the others first (ke's freeze.c), and one that
// comes second tells its own when the first has gone on. While one steps the others stay frozen. If
// that is not the one that stopped, the two change places: the stepping one owns the freeze, this
// one is frozen like the rest, and goes on when the other lets all go on.
#include "kdgdb.h"
#include "init.h"

#define TRAP_BREAKPOINT 3u
#define DR6_STEP        0x4000u

BOOLEAN KdDebuggerEnabled;
BOOLEAN KdDebuggerNotPresent = TRUE;
EXPORT_VARIABLE(KdDebuggerEnabled, "WDK ntddk.h KdDebuggerEnabled");
EXPORT_VARIABLE(KdDebuggerNotPresent, "WDK ntddk.h KdDebuggerNotPresent");

volatile BOOLEAN KdpStanding;

static struct {
    GDB_SESSION Session;
    GDB_RESUME Resume;         // the last one
    BOOLEAN OwnBreak;          // the next int3 is ours and means Own
    GDB_STOP Own;
    ULONG_PTR StartBreak;      // /BREAK: the breakpoint at KiSystemStartup
    PKPRCB volatile Inside;    // the processor on which an event is being handled
    BOOLEAN Held;              // the others stay frozen while that one steps
    PKPRCB Stepper;            // who steps
    volatile BOOLEAN InCommand;
    void *Recover[5];          // where an abandoned monitor command goes
} KdpGdb;

// ---- text for gdb -------------------------------------------------------------------------------
static VOID KdpGdbText(const char *Text, SIZE_T Length)
{
    GdbOutput(&KdpGdb.Session, Text, Length);
}

// The machine's only port is gdb's: what the console would have shown, gdb shows. Called under the
// log's lock, interrupts off.
static VOID KdpGdbEcho(const char *Text, SIZE_T Length)
{
    if (!KdpGdb.Session.AwaitsStop || KdpStanding || KdpPortDeserted)
        return;
    KdpPortListen(FALSE);
    KdpPortImpatient = TRUE;
    KdpGdbText(Text, Length);
    KdpPortImpatient = FALSE;
    KdpPortListen(TRUE);
}

// ---- standing still -----------------------------------------------------------------------------
static VOID KdpShowPresence(VOID)
{
    KdDebuggerNotPresent = !KdpGdb.Session.Attached;
    if (KeSharedUserData != NULL)
        KeSharedUserData->KdDebuggerEnabled = KdDebuggerNotPresent ? 1 : 3;
}

static VOID KdpKill(VOID)
{
    if (KdQueryOption("EXITPORT", NULL, 0))
        KdEndRun(5, "killed by gdb");
    HalReboot();
}

// A step that delivers a signal is the signal's delivery. A halt is skipped, and told of at once.
static VOID KdpTalk(const GDB_STOP *First)
{
    GDB_STOP Stop = *First;
    PKTRAP_FRAME Frame;
    do {
        GdbServe(&KdpGdb.Session, &Stop, &KdpGdb.Resume);
        if (KdpGdb.Resume.Action == GdbKill)
            KdpKill();
        BOOLEAN Steps = KdpGdb.Resume.Action == GdbStep || KdpGdb.Resume.Action == GdbStepRange;
        if (!Steps || (KdpGdb.Resume.Signal != 0 && KdpGdb.Resume.Thread == First->Thread))
            return;
        const KD_STOPPED *Target = KdpStoppedThread(KdpGdb.Resume.Thread);
        KdpGdb.Stepper = Target->Prcb;
        Frame = Target->Frame;
        Stop = (GDB_STOP){.Signal = GdbSignalTrap, .Thread = KdpGdb.Resume.Thread};
    } while (KdpSkipHalt(Frame));
    KdpBeginStep(Frame);
}

static VOID KdpFreeze(VOID)
{
    if (!KdpGdb.Held)
        KiFreezeProcessors();
    KdpGdb.Held = FALSE;
    KdpGdb.Inside = KeGetCurrentPrcb();
}

// While one steps, the others stay where they are. Not inside: another has been handed the rest.
static VOID KdpThaw(VOID)
{
    if (KdpGdb.Inside != KeGetCurrentPrcb())
        return;
    KdpGdb.Inside = NULL;
    KdpGdb.Held = KdpStepping;
    if (!KdpStepping)
        KiThawProcessors();
}

// Not by the way that led here: it would miss what gdb changed, or is closed.
static DECLSPEC_NORETURN VOID KdpGoOnAt(PKTRAP_FRAME Frame)
{
    KdpThaw();
    KdpResumeFrame(Frame);
}

static VOID KdpLetAnotherStep(PKTRAP_FRAME Frame)
{
    KdpGdb.Held = TRUE;
    KdpGdb.Inside = NULL;
    KiHandOverFreeze(KdpGdb.Stepper, Frame);
}

// Stands until gdb resumes. Returns the signal that gdb wants delivered.
static ULONG KdpStop(PKTRAP_FRAME Frame, GDB_STOP Stop)
{
    KD_STOPPED Here;
    ULONG Signal;
    KdpEndStep(Frame);
    KdpSaveProcessor(&Here, Frame);
    KdpPortListen(FALSE);
    KdpStanding = TRUE;
    Stop.Thread = KdpThreadOfProcessor();
    KdpTalk(&Stop);
    Signal = KdpGdb.Resume.Signal;
    KdpShowPresence();
    KdpStanding = FALSE;
    KdpPortListen(TRUE);
    KdpRestoreProcessor(&Here);
    if (KdpStepping && KdpGdb.Stepper != Here.Prcb)
        KdpLetAnotherStep(Frame);
    if (KdpNeedsResume(&Here))
        KdpGoOnAt(Frame);
    return Signal;
}

// A line for whoever is to see it: gdb if it waits, else the console.
static VOID KdpAnnounce(const char *Format, ...)
{
    char Line[256];
    va_list Arguments;
    va_start(Arguments, Format);
    RtlFormatV(Line, sizeof(Line), Format, Arguments);
    va_end(Arguments);
    KdpStanding = TRUE;
    if (KdpGdb.Session.AwaitsStop)
        KdpGdbText(Line, strlen(Line));
    else
        KdPrintf("%sgdb is waited for on %s\n", Line, HalDescribeDebugPort());
    KdpStanding = FALSE;
}

// ---- breakpoints and steps ----------------------------------------------------------------------
static GDB_STOP KdpExplainBreakpoint(PKTRAP_FRAME Frame)
{
    GDB_STOP Stop = {.Signal = GdbSignalTrap};
    char Name[128];
    if (KdpGdb.OwnBreak) {
        KdpGdb.OwnBreak = FALSE;
        return KdpGdb.Own;
    }
    if (GdbIsSoftware(TRAP_PC(Frame) - 1)) {
        TRAP_PC(Frame)--;
        Stop.Reason = GdbReasonBreakpoint;
    }
    if (TRAP_PC(Frame) == KdpGdb.StartBreak) {
        GdbRemoveSoftware(KdpGdb.StartBreak);
        KdpGdb.StartBreak = 0;
        Stop.Reason = GdbReasonNone;
    }
    if (Stop.Reason == GdbReasonNone) {
        KdSymbolize(TRAP_PC(Frame), Name, sizeof(Name));
        KdpAnnounce("stopped at %s\n", Name);
    }
    return Stop;
}

static BOOLEAN KdpPasses(ULONG Signal)
{
    return (KdpGdb.Session.PassSignals >> Signal & 1) != 0;
}

// FALSE: it is the program's own, and gdb leaves it to the handlers there (`handle SIGTRAP pass`).
static BOOLEAN KdpOnBreakpoint(PKTRAP_FRAME Frame)
{
    BOOLEAN Foreign = !KdpGdb.OwnBreak && TRAP_PC(Frame) != KdpGdb.StartBreak + 1 &&
                      !GdbIsSoftware(TRAP_PC(Frame) - 1);
    if (Foreign && (TRAP_IS_USER(Frame) || KdpPasses(GdbSignalTrap)))
        return FALSE;
    return KdpStop(Frame, KdpExplainBreakpoint(Frame)) != GdbSignalTrap || !Foreign;
}

// Within the range that gdb steps through, as long as it does not want to stop.
static BOOLEAN KdpGoesOnStepping(PKTRAP_FRAME Frame)
{
    if (!KdpStepping || KdpGdb.Resume.Action != GdbStepRange ||
        TRAP_PC(Frame) - KdpGdb.Resume.Start >= KdpGdb.Resume.End - KdpGdb.Resume.Start ||
        KdpPortWantsStop(&KdpGdb.Session.Link))
        return FALSE;
    KdpEndStep(Frame);
    KdpSkipHalt(Frame);
    KdpBeginStep(Frame);
    return TRUE;
}

static BOOLEAN KdpOnDebugTrap(PKTRAP_FRAME Frame)
{
    GDB_STOP Stop = {.Signal = GdbSignalTrap};
    ULONG_PTR Status;
    __asm__ volatile("mov %%dr6, %0" : "=r"(Status));
    Stop.Reason = GdbExplainHardware(Status, &Stop.Address);
    if (Stop.Reason == GdbReasonNone && !KdpGdb.Session.Attached)
        return FALSE;
    if (Stop.Reason == GdbReasonNone && KdpGoesOnStepping(Frame))
        return TRUE;
    if (KdpGdb.Session.Link.BreakPending) {
        KdpGdb.Session.Link.BreakPending = FALSE;
        Stop.Signal = GdbSignalInt;
    }
    KdpStop(Frame, Stop);
    return TRUE;
}

static BOOLEAN KdpOnTrap(PKTRAP_FRAME Frame)
{
    return Frame->Vector == TRAP_BREAKPOINT ? KdpOnBreakpoint(Frame) : KdpOnDebugTrap(Frame);
}

// ---- exceptions and bugchecks -------------------------------------------------------------------
static ULONG KdpSignalOf(ULONG Vector)
{
    switch (Vector) {
    case 0: case 4: case 16: case 19: return GdbSignalFpe;
    case 6: return GdbSignalIll;
    case 11: case 12: case 13: case 14: return GdbSignalSegv;
    case 17: return GdbSignalBus;
    default: return GdbSignalAbort;
    }
}

// TRUE: gdb forgets the exception, and the instruction is tried again.
static BOOLEAN KdpOnException(PKTRAP_FRAME Frame, const EXCEPTION_RECORD *Exception)
{
    GDB_STOP Stop = {.Signal = KdpSignalOf((ULONG)Frame->Vector)};
    char Name[128];
    if (!KdpGdb.Session.Attached || KdpPasses(Stop.Signal) || Frame->Vector == TRAP_BREAKPOINT)
        return FALSE; // of a breakpoint gdb has heard
    KdSymbolize(TRAP_PC(Frame), Name, sizeof(Name));
    KdpAnnounce("first chance of %s (0x%08x) at %s\n", RtlStatusName(Exception->ExceptionCode),
                (ULONG)Exception->ExceptionCode, Name);
    return KdpStop(Frame, Stop) == 0;
}

// Stops at an int3 of our own, as what Stop says.
static __attribute__((noinline)) VOID KdpBreakHere(GDB_STOP Stop)
{
    KdpGdb.Own = Stop;
    KdpGdb.OwnBreak = TRUE;
    __asm__ volatile("int3");
}

// A trap whose stack is its own and whose way back leads through it cannot be gone on from.
static BOOLEAN KdpCanResume(const KTRAP_FRAME *Frame)
{
    return Frame->Vector != 2 && Frame->Vector != 8 && Frame->Vector != 18 && Frame->SegCs != 0;
}

static VOID KdpOnBugCheck(PKTRAP_FRAME Frame, const KE_BUGCHECK *BugCheck)
{
    GDB_STOP Stop = {.Signal = Frame != NULL ? KdpSignalOf((ULONG)Frame->Vector) : GdbSignalAbort};
    const ULONG_PTR *P = BugCheck->Parameter;
    KdpAnnounce("*** STOP: 0x%08X (0x%p, 0x%p, 0x%p, 0x%p) %s\n*** %s\n", BugCheck->Code,
                (PVOID)P[0], (PVOID)P[1], (PVOID)P[2], (PVOID)P[3], KeBugCheckName(BugCheck->Code),
                KdpMeaning(BugCheck));
    if (Frame == NULL)
        KdpBreakHere(Stop);
    else if (KdpStop(Frame, Stop) == 0 && KdpGdb.Resume.Action < GdbDetach && KdpCanResume(Frame)) {
        KeLastBugCheck = NULL;
        KiThawProcessors(); // once for the bugcheck
        KdpGoOnAt(Frame);
    }
}

// ---- breaking in --------------------------------------------------------------------------------
// A step that is on its way but has not begun: its frame waits to be resumed, Frame is that of the
// resuming. It is let happen; its own trap follows at once and tells of the Ctrl-C.
static BOOLEAN KdpStepIsDue(const KTRAP_FRAME *Frame)
{
    return KdpStepping && !(TRAP_FLAGS(Frame) & EFLAGS_TF);
}

// Frame NULL: the interrupted code's is not at hand; the stop is here.
static BOOLEAN KdpOnPort(PKTRAP_FRAME Frame)
{
    GDB_STOP Stop = {.Signal = GdbSignalInt};
    GDB_LINK *Link = &KdpGdb.Session.Link;
    if (!KdpPortWantsStop(Link))
        return FALSE;
    if (Frame != NULL && KdpStepIsDue(Frame))
        return TRUE;
    if (!Link->BreakPending)
        KdpGdb.Session.AwaitsStop = FALSE;  // a new gdb: it waits for no report
    Link->BreakPending = FALSE;
    if (Frame != NULL)
        KdpStop(Frame, Stop);
    else
        KdpBreakHere(Stop);
    return TRUE;
}

// What neither the port nor a failure of the hardware explains is the button that machines have for
// this (QEMU's monitor: nmi). It stops as Ctrl-C does, whether gdb is there or not.
static BOOLEAN KdpOnNmi(PKTRAP_FRAME Frame)
{
    if (KdpOnPort(Frame))
        return TRUE;
    if (HalNmiIsFailure())
        return FALSE;
    if (KdpPortIsQuiet()) {
        KdpAnnounce("stopped by an NMI\n");
        KdpStop(Frame, (GDB_STOP){.Signal = GdbSignalInt});
    }
    return TRUE;
}

// ---- a trap while standing ----------------------------------------------------------------------
// FALSE: there is nothing to go back to; the debugger itself is broken and takes itself out.
static BOOLEAN KdpRecover(VOID)
{
    if (KdpGdb.InCommand)
        __builtin_longjmp(KdpGdb.Recover, 1);
    KeDebugRoutine = NULL;
    return FALSE;
}

static __attribute__((noinline)) VOID KdpTryCommand(const char *Line)
{
    const KE_BUGCHECK *BugCheck = KeLastBugCheck;
    KIRQL Irql = KiGetIrql();
    if (__builtin_setjmp(KdpGdb.Recover) == 0) {
        KdpGdb.InCommand = TRUE;
        KdpRunDebuggerCommand(Line);
    } else {
        KdPrintf("The command ran into memory that is not there.\n");
        KeLastBugCheck = BugCheck;
        KiSetIrql(Irql);
    }
    KdpGdb.InCommand = FALSE;
}

VOID KdpRunMonitorCommand(const char *Line)
{
    KdpCapture = KdpGdbText;
    KdpTryCommand(Line);
    KdpCapture = NULL;
}

// ---- ke's debug routine -------------------------------------------------------------------------
static BOOLEAN KdpDispatchEvent(KE_DEBUG_EVENT Event, PKTRAP_FRAME Frame, const VOID *Detail)
{
    switch (Event) {
    case KeDebugTrap: return KdpOnTrap(Frame);
    case KeDebugException: return KdpOnException(Frame, Detail);
    case KeDebugBugCheck: KdpOnBugCheck(Frame, Detail); return FALSE;
    case KeDebugNmi: return KdpOnNmi(Frame);
    case KeDebugClock: return KdpOnPort(Frame);
    case KeDebugThaw: break;
    }
    return FALSE;
}

// An NMI that finds the debugger itself at work: what has come by the port waits until it is done.
static BOOLEAN KdpOnInnerNmi(VOID)
{
    if (!KdpStanding)
        KdpPortWantsStop(&KdpGdb.Session.Link);
    return !HalNmiIsFailure();
}

// What came meanwhile stops the machine again before it has gone on.
static VOID KdpLeave(PKTRAP_FRAME Frame)
{
    const GDB_LINK *Link = &KdpGdb.Session.Link;
    while (KdpGdb.Inside == KeGetCurrentPrcb() && Frame != NULL &&
           (Link->BreakPending || Link->PacketPending) && !KdpStepIsDue(Frame))
        KdpOnPort(Frame);
}

// Whether an event is worth stopping everybody for. The port is the first processor's alone.
static BOOLEAN KdpConcernsUs(KE_DEBUG_EVENT Event)
{
    switch (Event) {
    case KeDebugException: return KdpGdb.Session.Attached;
    case KeDebugNmi: return TRUE;
    case KeDebugClock:
        return KeGetCurrentPrcb()->ProcessorNumber == 0 && KdpPortWantsStop(&KdpGdb.Session.Link);
    default: return TRUE;
    }
}

// Another processor may have stopped first. While it did, gdb may have removed the breakpoint that
// this one has run into: then the instruction that was there is what comes next.
static BOOLEAN KdpIsStale(KE_DEBUG_EVENT Event, PKTRAP_FRAME Frame, BOOLEAN Ours)
{
    if (Event != KeDebugTrap || !Ours || GdbIsSoftware(TRAP_PC(Frame) - 1))
        return FALSE;
    TRAP_PC(Frame)--;
    return TRUE;
}

static BOOLEAN KdpOnOuterEvent(KE_DEBUG_EVENT Event, PKTRAP_FRAME Frame, const VOID *Detail)
{
    BOOLEAN Ours = Event == KeDebugTrap && Frame->Vector == TRAP_BREAKPOINT &&
                   GdbIsSoftware(TRAP_PC(Frame) - 1);
    if (!KdpConcernsUs(Event))
        return FALSE;
    KdpFreeze();
    BOOLEAN Handled = KdpIsStale(Event, Frame, Ours) || KdpDispatchEvent(Event, Frame, Detail);
    KdpLeave(Frame);
    KdpThaw();
    return Handled;
}

static BOOLEAN KdpOnEvent(KE_DEBUG_EVENT Event, PKTRAP_FRAME Frame, const VOID *Detail)
{
    if (Event == KeDebugThaw) {
        KdpLoadDebugRegisters();
        return TRUE;
    }
    if (Event == KeDebugNmi && KeGetCurrentPrcb()->FreezeFrame != NULL)
        return !HalNmiIsFailure(); // the port's; whoever goes on looks at it
    if (KdpGdb.Inside != KeGetCurrentPrcb())
        return KdpOnOuterEvent(Event, Frame, Detail);
    if (Event == KeDebugNmi)
        return KdpOnInnerNmi();
    return KdpGdb.OwnBreak ? KdpDispatchEvent(Event, Frame, Detail) : KdpRecover();
}

static BOOLEAN KdpDebugEvent(KE_DEBUG_EVENT Event, PKTRAP_FRAME Frame, const VOID *Detail)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    BOOLEAN Handled = KdpOnEvent(Event, Frame, Detail);
    KiRestoreInterrupts(Enabled);
    return Handled;
}

// ---- start --------------------------------------------------------------------------------------
VOID INIT_CODE KdpInitializeDebugger(VOID)
{
    if (!KdQueryOption("DEBUG", NULL, 0))
        return;
    if (HalDescribeDebugPort() == NULL) {
        KLOG("kd", "/DEBUG: this machine has no serial port for a debugger");
        return;
    }
    GdbInitializeSession(&KdpGdb.Session);
    KdDebuggerEnabled = TRUE;
    KeDebugRoutine = KdpDebugEvent;
    if (HalDebugPortIsConsole())
        KdpEcho = KdpGdbEcho;
    KLOG("kd", "gdb may connect on %s", HalDescribeDebugPort());
}

VOID INIT_CODE KdEnableBreakIn(VOID)
{
    if (!KdDebuggerEnabled)
        return;
    BOOLEAN Nmi = HalConnectDebugPort();
    KdpPortListen(TRUE);
    KdpShowPresence();
    KLOG("kd", "gdb breaks in by %s", Nmi ? "NMI, at any time" : "the clock tick");
}

BOOLEAN INIT_CODE KdpBreakAt(ULONG_PTR Address)
{
    if (!KdDebuggerEnabled)
        return FALSE;
    KdpGdb.StartBreak = Address;
    return GdbInsertSoftware(Address) == 0;
}

VOID KdNotifyModules(VOID)
{
    if (!KdpGdb.Session.Attached)
        return;
    KdpBreakHere((GDB_STOP){.Signal = GdbSignalTrap, .Reason = GdbReasonLibrary});
}
