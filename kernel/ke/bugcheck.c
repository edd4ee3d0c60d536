// SPDX-License-Identifier: MIT
// Bugchecks: the system stops, because going on would do more harm than stopping.
//
// A bugcheck disables interrupts, notes the IRQL as it was (that is what the report shows), stops
// the other processors, raises the IRQL to HIGH_LEVEL and hands over to kd, which prints and ends
// the run. Of several processors that bugcheck at once one reports; the others show where they are.
// Before kd exists the bare line goes to whatever console there is. Callbacks that drivers
// registered run after the report.
//
// What a code's parameters mean stands with the routine that raises it.
#include "ki.h"

KE_BUGCHECK_ROUTINE *KeBugCheckRoutine;
const KE_BUGCHECK *KeLastBugCheck;
volatile BOOLEAN KiBugCheckActive;

const char *KeBugCheckName(ULONG Code)
{
    switch (Code) {
#define BUGCHECK_NAME(code, name) \
    case code:                    \
        return #name;
        BUGCHECK_LIST(BUGCHECK_NAME)
#undef BUGCHECK_NAME
    }
    return "unknown bugcheck";
}

static DECLSPEC_NORETURN VOID KiEarlyReport(const KE_BUGCHECK *BugCheck)
{
    char Line[256];
    RtlFormat(Line, sizeof(Line), "\n*** STOP: 0x%08X (0x%p, 0x%p, 0x%p, 0x%p) %s\n*** %s\n",
              BugCheck->Code, (PVOID)BugCheck->Parameter[0], (PVOID)BugCheck->Parameter[1],
              (PVOID)BugCheck->Parameter[2], (PVOID)BugCheck->Parameter[3],
              KeBugCheckName(BugCheck->Code), BugCheck->Sentence != NULL ? BugCheck->Sentence : "");
    HalDisplayString(Line, strlen(Line));
    KdEndRun(3, "bugcheck before the system could report it");
}

static DECLSPEC_NORETURN VOID KiStop(KE_BUGCHECK *BugCheck)
{
    PKPRCB Prcb = KeGetCurrentPrcb();

    KiCli();
    BugCheck->Irql = KiGetIrql();
    KiFreezeProcessors();
    KeLastBugCheck = BugCheck;
    KiDebugEvent(KeDebugBugCheck, BugCheck->Frame, BugCheck);
    if (!KiBugCheckActive)
        Prcb->BugCheckIrql = BugCheck->Irql;
    KiBugCheckActive = TRUE;
    KiSetIrql(HIGH_LEVEL);
    if (KeBugCheckRoutine == NULL)
        KiEarlyReport(BugCheck);
    KeBugCheckRoutine(BugCheck);
    HalHalt();
}

DECLSPEC_NORETURN VOID KiBugCheck(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                  ULONG_PTR P4, PKTRAP_FRAME Frame, const char *Sentence)
{
    KE_BUGCHECK BugCheck = {Code, {P1, P2, P3, P4}, Frame, Sentence, 0, KiReturnAddress(),
                            KeBugCheckName(Code)};
    KiStop(&BugCheck);
}

// KeBugCheckEx: stops the system with a code and four parameters.
// IRQL: any. Source: WDK wdm.h, KeBugCheckEx.
DECLSPEC_NORETURN VOID NTAPI KeBugCheckEx(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                          ULONG_PTR P4)
{
    KE_BUGCHECK BugCheck = {Code, {P1, P2, P3, P4}, NULL, NULL, 0, KiReturnAddress(),
                            KeBugCheckName(Code)};
    KiStop(&BugCheck);
}
EXPORT(KeBugCheckEx, EXPORT_ANY_IRQL, "WDK wdm.h KeBugCheckEx");

// KeBugCheck: stops the system with a code.
// IRQL: any. Source: WDK ntddk.h, KeBugCheck.
DECLSPEC_NORETURN VOID NTAPI KeBugCheck(ULONG Code)
{
    KE_BUGCHECK BugCheck = {Code, {0, 0, 0, 0}, NULL, NULL, 0, KiReturnAddress(),
                            KeBugCheckName(Code)};
    KiStop(&BugCheck);
}
EXPORT(KeBugCheck, EXPORT_ANY_IRQL, "WDK ntddk.h KeBugCheck");

// ---- callbacks ----------------------------------------------------------------------------------
static LIST_ENTRY KiCallbacks = {&KiCallbacks, &KiCallbacks};
static KSPIN_LOCK KiCallbackLock;

static ULONG_PTR KiCallbackChecksum(const KBUGCHECK_CALLBACK_RECORD *Record)
{
    return (ULONG_PTR)Record->CallbackRoutine + (ULONG_PTR)Record->Buffer + Record->Length +
           (ULONG_PTR)Record->Component;
}

// KeRegisterBugCheckCallback: has Routine(Buffer, Length) called at a bugcheck, at HIGH_LEVEL, so
// that a driver can quiet its device and leave its state in Buffer. Record and Buffer are nonpaged
// and stay.
// IRQL: any. Fails: FALSE when the record is registered already.
// Source: WDK wdm.h, KeRegisterBugCheckCallback.
BOOLEAN NTAPI KeRegisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD Record,
                                         PKBUGCHECK_CALLBACK_ROUTINE Routine, PVOID Buffer,
                                         ULONG Length, PUCHAR Component);
BOOLEAN NTAPI KeRegisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD Record,
                                         PKBUGCHECK_CALLBACK_ROUTINE Routine, PVOID Buffer,
                                         ULONG Length, PUCHAR Component)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    BOOLEAN Registered = FALSE;

    KiTakeLock(&KiCallbackLock);
    if (Record->State != BufferInserted) {
        Record->CallbackRoutine = Routine;
        Record->Buffer = Buffer;
        Record->Length = Length;
        Record->Component = Component;
        Record->Checksum = KiCallbackChecksum(Record);
        Record->State = BufferInserted;
        InsertTailList(&KiCallbacks, &Record->Entry);
        Registered = TRUE;
    }
    KiDropLock(&KiCallbackLock);
    KiRestoreInterrupts(Enabled);
    return Registered;
}
EXPORT(KeRegisterBugCheckCallback, EXPORT_ANY_IRQL, "WDK wdm.h KeRegisterBugCheckCallback");

// KeDeregisterBugCheckCallback: takes it back.
// IRQL: any. Fails: FALSE when the record is not registered.
// Source: WDK wdm.h, KeDeregisterBugCheckCallback.
BOOLEAN NTAPI KeDeregisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD Record);
BOOLEAN NTAPI KeDeregisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD Record)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    BOOLEAN Deregistered = FALSE;

    KiTakeLock(&KiCallbackLock);
    if (Record->State == BufferInserted) {
        RemoveEntryList(&Record->Entry);
        Record->State = BufferEmpty;
        Deregistered = TRUE;
    }
    KiDropLock(&KiCallbackLock);
    KiRestoreInterrupts(Enabled);
    return Deregistered;
}
EXPORT(KeDeregisterBugCheckCallback, EXPORT_ANY_IRQL, "WDK wdm.h KeDeregisterBugCheckCallback");

// One callback, if its record is what it was when it was registered. A fault inside shows as a
// second bugcheck; State tells that this record was the one being called.
static VOID KiCallBack(PKBUGCHECK_CALLBACK_RECORD Record)
{
    KBUGCHECK_CALLBACK_RECORD Copy;

    if (!KeSafeCopy(&Copy, Record, sizeof(Copy)) || Copy.State != BufferInserted ||
        Copy.Checksum != KiCallbackChecksum(&Copy))
        return;
    Record->State = BufferStarted;
    Record->CallbackRoutine(Record->Buffer, Record->Length);
    Record->State = BufferFinished;
}

VOID KeRunBugCheckCallbacks(VOID)
{
    PLIST_ENTRY Entry = KiCallbacks.Flink, Next;

    for (ULONG i = 0; i < 256 && Entry != &KiCallbacks; i++, Entry = Next) {
        if (!KeSafeCopy(&Next, &Entry->Flink, sizeof(Next)))
            return;
        KiCallBack(CONTAINING_RECORD(Entry, KBUGCHECK_CALLBACK_RECORD, Entry));
    }
}

static ULONG KiCallbackLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    char Name[128];
    ULONG Count = 0;

    for (PLIST_ENTRY Entry = KiCallbacks.Flink; Entry != &KiCallbacks; Entry = Entry->Flink) {
        ULONG_PTR Routine =
            (ULONG_PTR)CONTAINING_RECORD(Entry, KBUGCHECK_CALLBACK_RECORD, Entry)->CallbackRoutine;
        if (Routine < Start || Routine >= End)
            continue;
        KdSymbolize(Routine, Name, sizeof(Name));
        KLOG("leak", "bugcheck callback %s", Name);
        Count++;
    }
    return Count;
}
LEAK_SOURCE(callbacks, "bugcheck callbacks", KiCallbackLeaks);
