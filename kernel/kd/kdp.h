// SPDX-License-Identifier: MIT
// kd's private header.
//
// Lock order: KdLogLock is a leaf. It is taken with interrupts off, and no routine called under it
// takes another lock but the console's own. During a bugcheck no lock is taken at all.
#pragma once

#include "hal.h"
#include "kd.h"
#include "ke.h"
#include "ldr.h"
#include "loader.h"
#include "mm.h"
#include "rtl.h"

extern LOADER_BLOCK KeLoaderBlockStorage;
extern volatile BOOLEAN KdInBugCheck; // one processor runs, interrupts off: locks are not taken

// Bounds of the image (linker.ld).
extern UCHAR KernelTextStart[], KernelTextEnd[], KernelInitStart[], KernelInitEnd[],
    KernelRodataStart[];

FORCEINLINE BOOLEAN KdpIsKernelCode(ULONG_PTR Address)
{
    return Address >= (ULONG_PTR)KernelTextStart && Address < (ULONG_PTR)KernelRodataStart;
}

// One step of a stack walk: where the code is and its stack. Architecture's part in amd64/ and
// i386/.
typedef struct _KD_FRAME {
    ULONG_PTR Pc, Sp, Fp;
} KD_FRAME;
BOOLEAN KdpStepDriverFrame(KD_FRAME *Frame); // code of a driver; FALSE: the walk ends
VOID KdpPrintRegisters(const KTRAP_FRAME *Frame);

// The COFF headers of a driver's file. Every offset has been checked against the file's length: the
// bytes are a stranger's. SymbolCount is 0 for a stripped file.
typedef struct _KD_COFF {
    const UCHAR *File;
    const IMAGE_SECTION_HEADER *Section;
    ULONG SectionCount;
    const IMAGE_SYMBOL *Symbol;
    ULONG SymbolCount;
    const char *Strings;
    ULONG StringsLength;
} KD_COFF;
BOOLEAN KdpOpenCoff(const LDR_DRIVER *Driver, KD_COFF *Coff);

// The innermost driver frame, "x.sys+0x12 Name+0x4". FALSE: no driver is on the stack.
BOOLEAN KdpNameCulprit(const KE_BUGCHECK *BugCheck, char *Name, SIZE_T Size);
VOID KdpShowStop(const KE_BUGCHECK *BugCheck);  // the bugcheck screen (stopscreen.c)
const char *KdpMeaning(const KE_BUGCHECK *BugCheck);  // the rule that was broken, in words

// ---- debugger -----------------------------------------------------------------------------------
extern BOOLEAN KdDebuggerEnabled, KdDebuggerNotPresent;  // exported data
extern volatile BOOLEAN KdpStanding;  // the system stands in the debugger: locks are not waited for
extern VOID (*KdpCapture)(const char *Text, SIZE_T Length); // takes all text, not the consoles
extern VOID (*KdpEcho)(const char *Text, SIZE_T Length);    // sees all text as well
VOID KdpInitializeDebugger(VOID);
BOOLEAN KdpBreakAt(ULONG_PTR Address);             // FALSE: there is no debugger
VOID KdpRunDebuggerCommand(const char *Line);      // now, or by KdRunDeferred

VOID KdpReplayLog(VOID);
VOID KdpReportUnknownOptions(VOID);
VOID KdpPrintOptions(VOID);
DECLSPEC_NORETURN VOID KdpBugCheckMonitor(VOID);
