// SPDX-License-Identifier: MIT
// Stopping all processors but one: for a bugcheck, for the monitor, for a debugger.
//
// The one that goes on sends each of the others an NMI, which interrupts them at any IRQL, with
// interrupts off or on, also in the middle of a lock. The NMI's handler leaves its trap frame in
// the KPRCB and stays until it is told to go on. The registers in that frame are those the
// processor resumes with: a debugger may change them.
//
// A processor's FreezeState:
//
//     Running -> Asked -> Frozen -> Running
//                  |
//                  +----> Late (thawed before it answered; its NMI is still to come) -> Running
//
// Every step is the stopper's but three, which the processor itself makes by an exchange: Asked to
// Frozen, Late to Running, and Running to Late when it has answered before the NMI came. An NMI
// that finds Running is not ours.
//
// Two processors may want to stop the others at once. KiFreezeOwner decides; the other is stopped
// like everyone, and goes on to stop the rest once it has been thawed. If it is in an NMI's handler
// itself, no second NMI comes through: it looks for the wish while it waits.
//
// What does not answer in time (a processor that has failed in earnest) is reported and left.
//
// Some of a processor's registers only it can read and write. While it is frozen it calls whatever
// routine the owner wishes, one at a time.
//
// `!running` prints where all processors are. Tests:
// tests/guest/broken/stopped_everywhere.c, tests/guest/broken/stops_at_once.c.
#include "ki.h"

typedef enum _KI_FREEZE_STATE {
    FreezeRunning,
    FreezeAsked,
    FreezeFrozen,
    FreezeLate
} KI_FREEZE_STATE;

#define ANSWER_MILLISECONDS 1000u

volatile BOOLEAN KiHaltFrozen;
static PKPRCB volatile KiFreezeOwner;
static ULONG KiFreezeDepth;          // the owner's
static struct {
    PKPRCB volatile Who; // whose wish it is to fulfil, NULL: there is none
    VOID (*Routine)(PVOID Context);
    PVOID Context;
} KiFreezeWish;
static BOOLEAN KiFreezeInterrupts;   // whether the owner had them on

// ---- one that is stopped ------------------------------------------------------------------------
// A change of state by the processor itself. FALSE: it was not in state From.
static BOOLEAN KiChangeFreeze(PKPRCB Prcb, LONG From, LONG To)
{
    return __atomic_compare_exchange_n(&Prcb->FreezeState, &From, To, FALSE, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static VOID KiFulfilWish(const KPRCB *Prcb)
{
    if (__atomic_load_n(&KiFreezeWish.Who, __ATOMIC_ACQUIRE) != Prcb)
        return;
    KiFreezeWish.Routine(KiFreezeWish.Context);
    __atomic_store_n(&KiFreezeWish.Who, NULL, __ATOMIC_RELEASE);
}

static VOID KiAwaitThaw(PKPRCB Prcb, PKTRAP_FRAME Frame)
{
    while (__atomic_load_n(&Prcb->FreezeState, __ATOMIC_ACQUIRE) == FreezeFrozen) {
        if (KiHaltFrozen)
            HalHalt();
        KiFulfilWish(Prcb);
        KiKeepAway();
    }
    Prcb->FreezeFrame = NULL;
    KiDebugEvent(KeDebugThaw, Frame, NULL);
}

// FALSE: it was thawed before it answered.
static BOOLEAN KiStayFrozen(PKPRCB Prcb, PKTRAP_FRAME Frame)
{
    BOOLEAN Frozen;

    Prcb->FreezeFrame = Frame;
    Frozen = KiChangeFreeze(Prcb, FreezeAsked, FreezeFrozen);
    KiAwaitThaw(Prcb, Frame);
    return Frozen;
}

BOOLEAN KiAnswerFreeze(PKPRCB Prcb, PKTRAP_FRAME Frame)
{
    while (!KiChangeFreeze(Prcb, FreezeLate, FreezeRunning)) {
        if (Prcb->FreezeState != FreezeAsked)
            return FALSE;
        if (KiStayFrozen(Prcb, Frame))
            return TRUE;
        // Late, as of now, and this is its NMI.
    }
    return TRUE;
}

// ---- the one that stops the others --------------------------------------------------------------
// Interrupts are off. Returns once this processor is the owner.
static VOID KiBecomeOwner(PKPRCB Prcb)
{
    PKPRCB Nobody = NULL;

    while (!__atomic_compare_exchange_n(&KiFreezeOwner, &Nobody, Prcb, FALSE, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
        // The wish's own NMI comes when this one's handler ends.
        if (Prcb->NmiFrame != NULL && Prcb->FreezeState == FreezeAsked &&
            KiStayFrozen(Prcb, Prcb->NmiFrame))
            KiChangeFreeze(Prcb, FreezeRunning, FreezeLate);
        Nobody = NULL;
        KiPause();
    }
}

static KAFFINITY KiAskToFreeze(KAFFINITY Others)
{
    KAFFINITY Asked = 0;

    for (; Others != 0; Others &= Others - 1) {
        PKPRCB Prcb = KiProcessorBlock[__builtin_ctzll(Others)];
        // One that is late has its NMI still to come: that will do.
        if (KiChangeFreeze(Prcb, FreezeRunning, FreezeAsked))
            Asked |= Prcb->ProcessorMask;
        else
            KiChangeFreeze(Prcb, FreezeLate, FreezeAsked);
    }
    return Asked;
}

static KAFFINITY KiNotFrozen(KAFFINITY Others)
{
    KAFFINITY Left = 0;

    for (; Others != 0; Others &= Others - 1) {
        PKPRCB Prcb = KiProcessorBlock[__builtin_ctzll(Others)];
        if (__atomic_load_n(&Prcb->FreezeState, __ATOMIC_ACQUIRE) != FreezeFrozen)
            Left |= Prcb->ProcessorMask;
    }
    return Left;
}

// Returns those that did not answer.
static KAFFINITY KiAwaitFrozen(KAFFINITY Others)
{
    ULONG64 Start = HalQueryCounter(), Limit = HalCounterFrequency / 1000 * ANSWER_MILLISECONDS;

    while ((Others = KiNotFrozen(Others)) != 0 && HalQueryCounter() - Start < Limit)
        KiPause();
    return Others;
}

KAFFINITY KiFreezeProcessors(VOID)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    PKPRCB Prcb = KeGetCurrentPrcb();
    KAFFINITY Others = KeActiveProcessors & ~Prcb->ProcessorMask;

    if (KiFreezeOwner == Prcb) {
        KiFreezeDepth++;
        return KiNotFrozen(Others);
    }
    KiBecomeOwner(Prcb);
    KiFreezeDepth = 1;
    KiFreezeInterrupts = Enabled;
    if (Others == 0)
        return 0;
    HalSendNmi(KiAskToFreeze(Others));
    return KiAwaitFrozen(Others);
}

VOID KiThawProcessors(VOID)
{
    PKPRCB Self = KeGetCurrentPrcb();
    BOOLEAN Enabled = KiFreezeInterrupts;

    VERIFY(KiFreezeOwner == Self);
    if (--KiFreezeDepth != 0)
        return;
    for (KAFFINITY Left = KeActiveProcessors & ~Self->ProcessorMask; Left != 0; Left &= Left - 1) {
        PKPRCB Prcb = KiProcessorBlock[__builtin_ctzll(Left)];
        if (!KiChangeFreeze(Prcb, FreezeAsked, FreezeLate))
            KiChangeFreeze(Prcb, FreezeFrozen, FreezeRunning);
    }
    __atomic_store_n(&KiFreezeOwner, NULL, __ATOMIC_SEQ_CST);
    KiRestoreInterrupts(Enabled);
}

// A debugger has one of the others go on, alone: that one becomes the owner, and this processor is
// frozen with the rest, where Frame says. Returns when the new owner thaws it.
VOID KiHandOverFreeze(PKPRCB To, PKTRAP_FRAME Frame)
{
    PKPRCB Self = KeGetCurrentPrcb();

    VERIFY(KiFreezeOwner == Self && KiFreezeDepth == 1 && To->FreezeFrame != NULL);
    Self->FreezeFrame = Frame;
    Self->FreezeState = FreezeFrozen;
    __atomic_store_n(&KiFreezeOwner, To, __ATOMIC_SEQ_CST);
    KiChangeFreeze(To, FreezeFrozen, FreezeRunning);
    KiAwaitThaw(Self, Frame);
}

BOOLEAN KiAskFrozen(PKPRCB Prcb, VOID (*Routine)(PVOID Context), PVOID Context)
{
    VERIFY(KiFreezeOwner == KeGetCurrentPrcb());
    if (Prcb->FreezeState != FreezeFrozen || KiHaltFrozen)
        return FALSE;
    KiFreezeWish.Routine = Routine;
    KiFreezeWish.Context = Context;
    __atomic_store_n(&KiFreezeWish.Who, Prcb, __ATOMIC_RELEASE);
    while (__atomic_load_n(&KiFreezeWish.Who, __ATOMIC_ACQUIRE) != NULL)
        KiPause();
    return TRUE;
}

// ---- monitor ------------------------------------------------------------------------------------
#define RUNNING_FRAMES 12u

typedef struct _KI_WHEREABOUTS {
    BOOLEAN Stopped;
    KIRQL Irql;
    PKTHREAD Thread;
    ULONG Count;
    ULONG_PTR Frames[RUNNING_FRAMES];
} KI_WHEREABOUTS;

static KI_WHEREABOUTS KiWhereabouts[MAXIMUM_PROCESSORS];

static VOID KiNoteWhereabouts(PKPRCB Prcb, KI_WHEREABOUTS *Where)
{
    BOOLEAN Self = Prcb == KeGetCurrentPrcb();
    const KTRAP_FRAME *Frame = Prcb->FreezeFrame;

    Where->Stopped = Self || Frame != NULL;
    Where->Thread = Prcb->CurrentThread;
    if (!Where->Stopped)
        return;
    Where->Irql = Self ? KiGetIrql() : (KIRQL)Frame->PreviousIrql;
    Where->Count = KdCaptureBacktrace(Self ? NULL : Frame, 0, Where->Frames, RUNNING_FRAMES);
}

static VOID KiPrintWhereabouts(ULONG Number, const KI_WHEREABOUTS *Where)
{
    char Name[160];

    if (!Where->Stopped) {
        KdPrintf("processor %u did not stop\n", Number);
        return;
    }
    KdPrintf("processor %u, IRQL %u (%s), thread 0x%p\n", Number, Where->Irql,
             KeIrqlName(Where->Irql), (PVOID)Where->Thread);
    for (ULONG i = 0; i < Where->Count; i++) {
        if (!KdSymbolize(Where->Frames[i] - (i != 0), Name, sizeof(Name)))
            return;
        KdPrintf("    #%-2u %s\n", i, Name);
    }
}

// All are stopped for as long as it takes to note where they are. Nothing is printed meanwhile: one
// of them may hold the log's lock.
static BOOLEAN KiRunningCommand(const char *Arguments)
{
    if (*Arguments != 0)
        return FALSE;
    KiFreezeProcessors();
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++)
        if (KiProcessorBlock[i] != NULL)
            KiNoteWhereabouts(KiProcessorBlock[i], &KiWhereabouts[i]);
    KiThawProcessors();
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++)
        if (KiProcessorBlock[i] != NULL)
            KiPrintWhereabouts(i, &KiWhereabouts[i]);
    return TRUE;
}
KD_COMMAND(running, "!running", "!running: what every processor runs just now, and where",
           KiRunningCommand, KD_SAFE_IN_BUGCHECK);
