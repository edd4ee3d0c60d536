// SPDX-License-Identifier: MIT
// kdgdb.h: the kernel's side of the gdb server: what is known of a processor that stands still.
#pragma once

#include "gdb.h"
#include "kdp.h"

#define EFLAGS_TF 0x100u
#define EFLAGS_RF 0x10000u

#define TRAP_IS_USER(Frame) (((Frame)->SegCs & 3) != 0)

// A processor in the debugger. It lies on that processor's own stack for as long as it stands.
typedef struct _KD_STOPPED {
    PKTRAP_FRAME Frame;
    PKPRCB Prcb;               // of the processor; NULL: a thread that does not run
    ULONG_PTR Pc;              // when it stopped
    ULONG_PTR Sp;
    ULONG_PTR Cr2, Cr4;
    ULONG64 DebugStatus;       // DR6
    BOOLEAN ExtendedValid;     // this processor has FXSAVE
    BOOLEAN ExtendedChanged;   // by gdb: to be loaded again
    DECLSPEC_ALIGN(16) UCHAR Extended[512];  // x87 and SSE, as FXSAVE stores them
} KD_STOPPED;

extern KD_STOPPED *KdpStoppedHere; // the processor that talks to gdb; the others are frozen

// ---- threads (gdbthread.c) ----------------------------------------------------------------------
// By gdb's number. NULL: there is none. What it points to lasts until the next call.
KD_STOPPED *KdpStoppedThread(ULONG Thread);
ULONG KdpThreadOfProcessor(VOID); // the number of this processor

// ---- the processor (gdbcpu.c, and the architecture's gdbarch.c) ---------------------------------
VOID KdpSaveProcessor(KD_STOPPED *Stopped, PKTRAP_FRAME Frame);
VOID KdpRestoreProcessor(const KD_STOPPED *Stopped);
BOOLEAN KdpSwitchPageTables(ULONG_PTR Cr3); // also for what a stop returns to. FALSE: no
VOID KdpLoadDebugRegisters(VOID); // the processor's, from GdbDebugRegisters

// Where a register of the table is found.
#define PLACE_FRAME    0x0000u  // | offset in KTRAP_FRAME
#define PLACE_EXTENDED 0x1000u  // | offset in KD_STOPPED.Extended
#define PLACE_SPECIAL  0x2000u  // | one of these
#define PLACE_MASK     0xF000u
enum {
    SpecialX87,          // + 0 to 7: fctrl fstat ftag fiseg fioff foseg fooff fop
    SpecialCr0 = 8, SpecialCr2, SpecialCr3, SpecialCr4, SpecialEfer,
    SpecialDr0, SpecialDr1, SpecialDr2, SpecialDr3, SpecialDr6, SpecialDr7,
    SpecialArchitecture,  // from here on the architecture's own
};
// The architecture's own special registers. FALSE: it cannot be written.
ULONG64 KdpReadSpecial(const KD_STOPPED *Stopped, ULONG Special);
BOOLEAN KdpWriteSpecial(KD_STOPPED *Stopped, ULONG Special, ULONG64 Value);
// Goes on at Frame although its trap's own way back is closed. IRQL and stack become the frame's.
DECLSPEC_NORETURN VOID KdpResumeFrame(const KTRAP_FRAME *Frame);
// Whether the way back that a trap takes would miss changes gdb made: then KdpResumeFrame.
BOOLEAN KdpNeedsResume(const KD_STOPPED *Stopped);

// ---- stepping (gdbstep.c) -----------------------------------------------------------------------
// A hlt to be stepped over is skipped: FALSE when it is none.
BOOLEAN KdpSkipHalt(PKTRAP_FRAME Frame);
VOID KdpBeginStep(PKTRAP_FRAME Frame);
VOID KdpEndStep(PKTRAP_FRAME Frame);  // undoes what BeginStep did, on whatever frame came of it
extern BOOLEAN KdpStepping;

// ---- the port (gdbport.c) -----------------------------------------------------------------------
// Takes in what has arrived while the system runs. TRUE: gdb wants it to stop.
BOOLEAN KdpPortWantsStop(GDB_LINK *Link);
BOOLEAN KdpPortIsQuiet(VOID);           // an NMI that comes now is not the port's
VOID KdpPortListen(BOOLEAN Listen);     // whether bytes that come are to interrupt
extern BOOLEAN KdpPortImpatient;        // silence means that nobody is there
extern BOOLEAN KdpPortDeserted;         // that was so, and no byte has come since
