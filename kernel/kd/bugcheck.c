// SPDX-License-Identifier: MIT
// The bugcheck report, and the end of a run.
//
// ke arrives here with interrupts off and all other processors stopped. The report goes to every
// console: NT's line of code and parameters first, because tools look for it; then one sentence
// that says which rule was broken; then who (the innermost driver frame), the registers, the
// backtrace, where the other processors are, and the drivers. After that the run ends with status 3
// where a tool waits for it, or the monitor opens for whoever is watching.
//
// Nothing here allocates or takes a lock. A fault inside the report is noticed by KdInBugCheck
// being set already: the machine then ends without trying again.
#include "kdp.h"

extern LIST_ENTRY LdrDriverList;

typedef struct _KD_MEANING {
    ULONG Code;
    const char *Sentence;
} KD_MEANING;

// What a code means where the place that raised it said nothing more exact.
static const KD_MEANING KdMeanings[] = {
    {0x09, "KeRaiseIrql was called with a level below the current one."},
    {0x0A, "Memory was touched at DISPATCH_LEVEL or above that is not there or may be paged out."},
    {0x0F, "A processor acquired a spin lock that it holds already."},
    {0x10, "A spin lock was released that was not held."},
    {0x19, "A pool block was damaged: something wrote outside its allocation."},
    {0x1E, "An exception was raised in kernel mode and nobody handled it."},
    {0x50, "System memory was touched at an address where there is none."},
    {0x7F, "The processor raised a trap that the kernel cannot recover from."},
    {0x80, "The hardware reported a failure by a non-maskable interrupt."},
    {0x9C, "The processor reported a machine check."},
    {0xBE, "Read-only memory was written."},
    {0xC2, "A pool routine was called wrongly."},
    {0xD1,
     "A driver touched memory at DISPATCH_LEVEL or above that is not there or may be paged out."},
    {0xE2, "The crash was asked for."},
    {0xFC, "Memory that holds no code was executed."},
    {0x139, "A list or another structure that guards itself was found damaged."},
};

const char *KdpMeaning(const KE_BUGCHECK *BugCheck)
{
    if (BugCheck->Sentence != NULL)
        return BugCheck->Sentence;
    for (ULONG i = 0; i < RTL_NUMBER_OF(KdMeanings); i++)
        if (KdMeanings[i].Code == BugCheck->Code)
            return KdMeanings[i].Sentence;
    return "The kernel or a driver stopped the system.";
}

// The innermost frame that belongs to a driver: usually whom the developer has to look at.
BOOLEAN KdpNameCulprit(const KE_BUGCHECK *BugCheck, char *Name, SIZE_T Size)
{
    ULONG_PTR Frames[32];
    ULONG Count = KdCaptureBacktrace(BugCheck->Frame, 0, Frames, RTL_NUMBER_OF(Frames));

    for (ULONG i = 0; i < Count; i++) {
        if (LdrDriverOfAddress(Frames[i]) == NULL)
            continue;
        return KdSymbolize(Frames[i] - (i != 0), Name, Size);
    }
    return FALSE;
}

static VOID KdpPrintDrivers(VOID)
{
    for (PLIST_ENTRY Entry = LdrDriverList.Flink; Entry != NULL && Entry != &LdrDriverList;
         Entry = Entry->Flink) {
        const LDR_DRIVER *Driver = CONTAINING_RECORD(Entry, LDR_DRIVER, ListEntry);
        KdPrintf("    %-24s 0x%p - 0x%p\n", Driver->Name, (PVOID)Driver->Base,
                 (PVOID)(Driver->Base + Driver->Size));
    }
}

// Where the other processors were stopped.
static VOID KdpReportOthers(VOID)
{
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++) {
        PKPRCB Prcb = KiProcessorBlock[i];
        if (Prcb == NULL || Prcb == KeGetCurrentPrcb())
            continue;
        if (Prcb->FreezeFrame == NULL) {
            KdPrintf("Processor %u did not stop.\n", i);
            continue;
        }
        KIRQL Irql = (KIRQL)Prcb->FreezeFrame->PreviousIrql;
        KdPrintf("Processor %u, IRQL %u (%s):\n", i, Irql, KeIrqlName(Irql));
        KdBacktrace(Prcb->FreezeFrame);
    }
}

// What stopped, which rule was broken, who did it and where.
static VOID KdpReportHead(const KE_BUGCHECK *BugCheck)
{
    const ULONG_PTR *P = BugCheck->Parameter;
    char Driver[160];

    KdPrintf("\n*** STOP: 0x%08X (0x%p, 0x%p, 0x%p, 0x%p) %s\n", BugCheck->Code, (PVOID)P[0],
             (PVOID)P[1], (PVOID)P[2], (PVOID)P[3], KeBugCheckName(BugCheck->Code));
    KdPrintf("*** %s\n", KdpMeaning(BugCheck));
    if (KdpNameCulprit(BugCheck, Driver, sizeof(Driver)))
        KdPrintf("*** driver: %s\n", Driver);
    KdPrintf("*** processor %u, IRQL %u (%s)\n\n", KeGetCurrentPrcb()->ProcessorNumber,
             BugCheck->Irql, KeIrqlName(BugCheck->Irql));
}

static VOID KdpReport(const KE_BUGCHECK *BugCheck)
{
    KdpReportHead(BugCheck);
    if (BugCheck->Frame != NULL)
        KdpPrintRegisters(BugCheck->Frame);
    KdPrintf("Backtrace:\n");
    KdBacktrace(BugCheck->Frame);
    KdpReportOthers();
    if (LdrDriverList.Flink != &LdrDriverList) {
        KdPrintf("Drivers:\n");
        KdpPrintDrivers();
    }
}

// Somebody is watching, perhaps on a terminal of 25 lines, from which a long backtrace has pushed
// the beginning: it is said again. The screen has its own form of it.
DECLSPEC_NORETURN static VOID KdpWatchStop(const KE_BUGCHECK *BugCheck)
{
    KdpReportHead(BugCheck);
    KdpShowStop(BugCheck);
    HalHoldScreen(FALSE);
    KdpBugCheckMonitor();
}

static VOID KdpBugCheck(const KE_BUGCHECK *BugCheck)
{
    char Words[64];

    if (KdInBugCheck) {
        HalHoldScreen(FALSE);
        KdPrintf("\n*** and 0x%08X while reporting it\n", BugCheck->Code);
        KdEndRun(3, "bugcheck while reporting a bugcheck");
    }
    KdInBugCheck = TRUE;
    HalBeginBugCheckScreen();
    HalHoldScreen(TRUE); // until it shows the stop: what follows is for the serial port and the log
    KdpReport(BugCheck);
    KeRunBugCheckCallbacks();
    if (KdQueryOption("CRASHDEBUG", NULL, 0) || !KdQueryOption("EXITPORT", NULL, 0))
        KdpWatchStop(BugCheck);
    KdpShowStop(BugCheck);
    HalHoldScreen(FALSE);
    RtlFormat(Words, sizeof(Words), "bugcheck 0x%X %s", BugCheck->Code,
              KeBugCheckName(BugCheck->Code));
    KdEndRun(3, Words);
}

#define EXIT_BASE 0x10u // so that no status is one that QEMU itself ends with

DECLSPEC_NORETURN VOID KdEndRun(ULONG Status, const char *Words)
{
    KiFreezeProcessors(); // the verdict is the last line
    KdInBugCheck = TRUE;  // whatever lock the log is under, this line goes out
    HalBreakLocks();
    KLOG("verdict", "%u %s", Status, Words);
    if (KdQueryOption("EXITPORT", NULL, 0))
        HalExitEmulator((ULONG)KdQueryOptionNumber("EXITPORT", 0), EXIT_BASE + Status);
    if (Status != 3)
        HalPowerOff();
    if (!KdQueryOption("EXITPORT", NULL, 0))
        KLOG("hal", "the machine is halted and may be switched off");
    KiHaltFrozen = TRUE;
    HalHalt();
}

DECLSPEC_NORETURN VOID KdAssertionFailed(const char *Expression, const char *File, ULONG Line)
{
    char Sentence[160];
    RtlFormat(Sentence, sizeof(Sentence), "%s, line %u: assertion failed: %s", File, Line,
              Expression);
    KiBugCheck(MANUALLY_INITIATED_CRASH, (ULONG_PTR)File, Line, 0, 0, NULL, Sentence);
}

VOID KdInitialize(VOID)
{
    KeBugCheckRoutine = KdpBugCheck;
    KLOG("kd", "Lookaside, %s, %s build; options: %s", sizeof(PVOID) == 8 ? "amd64" : "i386",
         DBG ? "checked" : "free",
         KeLoaderBlockStorage.CommandLine[0] ? KeLoaderBlockStorage.CommandLine : "none");
    KdpReportUnknownOptions();
    KdpInitializeDebugger();
}
