// SPDX-License-Identifier: MIT
// kd: the log, the consoles' text, backtraces, the bugcheck screen and the monitor.
//
// kd stands beside the layers: everyone may print, and kd may read everyone's state.
#pragma once

#include <stdarg.h>
#include "nt/nt.h"

struct _KTRAP_FRAME;

// ---- log ----------------------------------------------------------------------------------------
// Formats are checked as printf: ll and z for sizes, not NT's I64 and I.
// A line of the kernel's own: "[    0.012345] mm: text\n". IRQL: any; never allocates, never waits.
VOID KdLog(const char *Component, const char *Format, ...) __attribute__((format(printf, 2, 3)));
#define KLOG(Component, ...) KdLog(Component, __VA_ARGS__)

// Text as it is, to the log ring and every console (DbgPrint ends here). IRQL: any.
VOID KdPutString(const char *Text, SIZE_T Length);

// For monitor commands and the bugcheck screen: formatted text as it is. IRQL: any.
VOID KdPrintf(const char *Format, ...) __attribute__((format(printf, 1, 2)));

// ---- symbols and backtraces ---------------------------------------------------------------------
// Writes "ntoskrnl MmAccessFault+0x33" or "edu.sys+0x1234 EduIsr+0x12" for a code address into
// Buffer (always NUL terminated). Returns FALSE when the address is in no image. IRQL: any; takes
// no lock.
BOOLEAN KdSymbolize(ULONG_PTR Address, char *Buffer, SIZE_T Size);

// The address of a kernel symbol, or 0. For the monitor's ADDRESS arguments.
ULONG_PTR KdFindSymbol(const char *Name);

// Prints a backtrace that starts at the given frame; TrapFrame NULL means: here. IRQL: any.
VOID KdBacktrace(const struct _KTRAP_FRAME *TrapFrame);

// Fills Frames with return addresses, at most Count, skipping the first Skip. Returns how many.
ULONG KdCaptureBacktrace(const struct _KTRAP_FRAME *TrapFrame, ULONG Skip, ULONG_PTR *Frames,
                         ULONG Count);

// ---- asserts ------------------------------------------------------------------------------------
// VERIFY always, ASSERT in the checked build. A failure is a bugcheck with file, line and
// expression.
DECLSPEC_NORETURN VOID KdAssertionFailed(const char *Expression, const char *File, ULONG Line);
#define VERIFY(e) ((e) ? (void)0 : KdAssertionFailed(#e, __FILE__, __LINE__))
#if DBG
#define ASSERT(e) VERIFY(e)
#else
#define ASSERT(e) ((void)sizeof((e) ? 1 : 0))
#endif

// ---- monitor ------------------------------------------------------------------------------------
// A command prints with KdPrintf. Arguments is what followed its name, without leading blanks.
// Returning FALSE makes the monitor print the usage line. Commands never take locks that a stopped
// processor may hold and never allocate when marked KD_SAFE_IN_BUGCHECK.
typedef BOOLEAN KD_COMMAND_ROUTINE(const char *Arguments);

typedef struct _KD_COMMAND_ENTRY {
    const char *Name;
    const char *Usage; // "ADDRESS: the page table entries that map ADDRESS"
    KD_COMMAND_ROUTINE *Routine;
    ULONG Flags;
} KD_COMMAND_ENTRY;

#define KD_SAFE_IN_BUGCHECK 1u

#ifdef LOOKASIDE_HOST
#define KD_COMMAND(Identifier, Name, Usage, Routine, Flags)                                        \
    KD_COMMAND_ROUTINE *const KdCommand_##Identifier __attribute__((weak)) = (Routine)
#else
#define KD_COMMAND(Identifier, Name, Usage, Routine, Flags)                                        \
    static const KD_COMMAND_ENTRY KdCommand_##Identifier                                           \
        __attribute__((section(".kdcommand." #Identifier), used, aligned(sizeof(void *)))) = {     \
            (Name), (Usage), (Routine), (Flags)}
#endif

extern const KD_COMMAND_ENTRY KdCommandTableStart[], KdCommandTableEnd[];

// Parses "0x.., hex digits (the default base is 16, as in WinDbg), 0n decimal, or a symbol's name".
// Advances *Text past it and blanks after it. Returns FALSE when there is no number.
BOOLEAN KdParseNumber(const char **Text, ULONG64 *Value);

// Runs one line of monitor input. IRQL: any when InBugCheck, else PASSIVE_LEVEL.
VOID KdRunCommandLine(const char *Line, BOOLEAN InBugCheck);

// Runs the commands of /MONITOR="command; command", if there are any. IRQL: PASSIVE_LEVEL.
VOID KdRunOptionCommands(VOID);

// The prompt: reads lines from the consoles for ever. IRQL: PASSIVE_LEVEL.
DECLSPEC_NORETURN VOID KdMonitor(VOID);

VOID KdInitialize(VOID);
// /BREAK: the debugger stops at Start, or waits here for a key. IRQL: start-up
VOID KdBreakAtStart(ULONG_PTR Start);

// ---- debugger (/DEBUG) --------------------------------------------------------------------------
VOID KdEnableBreakIn(VOID); // from now on gdb's Ctrl-C stops the running system. Needs interrupts
VOID KdNotifyModules(VOID); // a driver has come or gone: gdb reads the list anew. IRQL: any
// What gdb's monitor asked for that needs a running system. IRQL: PASSIVE_LEVEL
VOID KdRunDeferred(VOID);

// ---- options of the command line ----------------------------------------------------------------
// "/NAME=value": TRUE when the option is there; Value (may be NULL) receives its text, unquoted.
BOOLEAN KdQueryOption(const char *Name, char *Value, SIZE_T Size);
ULONG64 KdQueryOptionNumber(const char *Name, ULONG64 Default); // "16M", "0x10", "12"

// ---- end of the run -----------------------------------------------------------------------------
// Prints the verdict line and ends the machine: QEMU's exit port when /EXITPORT names one, else
// power off (batch) or halt. Status as in docs: 0 clean, 1 failed, 2 usage, 3 bugcheck, 4 leak, 5
// internal. Words follow the number in the verdict line.
DECLSPEC_NORETURN VOID KdEndRun(ULONG Status, const char *Words);

// ---- leaks --------------------------------------------------------------------------------------
// At unload the loader asks every registered table what was acquired by code in [Start, End) and is
// still held. The routine prints each item with KLOG("leak", ...) and returns how many there were.
typedef ULONG LEAK_ROUTINE(ULONG_PTR Start, ULONG_PTR End);
typedef struct _LEAK_SOURCE_ENTRY {
    const char *What; // plural in s: "pool allocations", "I/O space mappings"
    LEAK_ROUTINE *Routine;
} LEAK_SOURCE_ENTRY;
#ifdef LOOKASIDE_HOST
#define LEAK_SOURCE(Identifier, What, Routine)                                                     \
    LEAK_ROUTINE *const LeakSource_##Identifier __attribute__((weak)) = (Routine)
#else
#define LEAK_SOURCE(Identifier, What, Routine)                                                     \
    static const LEAK_SOURCE_ENTRY LeakSource_##Identifier __attribute__((                         \
        section(".leaksource." #Identifier), used, aligned(sizeof(void *)))) = {(What), (Routine)}
#endif
extern const LEAK_SOURCE_ENTRY LeakSourceTableStart[], LeakSourceTableEnd[];
