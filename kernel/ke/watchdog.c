// SPDX-License-Identifier: MIT
// The DPC watchdog: names the DPC, or whoever else, that keeps a processor at DISPATCH_LEVEL.
//
// Every clock tick looks at the IRQL that it interrupted. As long as that is DISPATCH_LEVEL or
// above, ticks in a row are counted, and those within one and the same DPC. When the limit is
// reached, DPC_WATCHDOG_VIOLATION: 0, the ticks and the limit for a single DPC, whose routine the
// sentence names; 1 for a hold of DISPATCH_LEVEL by other code, or for twice as long by DPCs, with
// the place that was interrupted.
//
// A hold by other code is one that lasts: the tick that sees it queues a DPC (HoldDpc), which can
// not run before the level falls, and starts the count again. So lowering the IRQL need not tell
// anyone. DPCs are counted as a sequence, as NT counts them: a processor that every tick finds in
// some DPC gets nothing else done, whether or not a thread ran for a moment in between. So are
// service routines: a DPC between two of them would hide a storm (interrupt.c).
//
// Ticks below DISPATCH_LEVEL are counted, too: who waits for a reader-writer lock asks whether the
// other processors have been there (rwlock.c).
//
// The count is of ticks that really came: an emulator that gets no time from its host delivers
// none. So a limit in ticks is one of the guest's own running.
//
// /DPCWATCHDOG=MILLISECONDS sets the limit, 0: none. Without it the free build has none, the
// checked build DEFAULT_LIMIT. Tests: tests/guest/broken/watchdog_*.c.
#include "ki.h"

#define DEFAULT_LIMIT 20000u // milliseconds, checked build

static ULONG KiWatchdogTicks; // 0: off

// The level has fallen: the next hold is another.
static VOID NTAPI KiEndHold(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                            PVOID SystemArgument2)
{
    KeGetCurrentPrcb()->DispatchTicks = 0;
}

VOID KiInitializeHolds(PKPRCB Prcb)
{
    KeInitializeDpc(&Prcb->HoldDpc, KiEndHold, NULL);
}

VOID KiInitializeWatchdog(VOID)
{
    ULONG64 Limit = KdQueryOptionNumber("DPCWATCHDOG", DBG ? DEFAULT_LIMIT : 0);

    KiWatchdogTicks = (ULONG)((Limit * 10000 + HAL_CLOCK_INCREMENT - 1) / HAL_CLOCK_INCREMENT);
}

static DECLSPEC_NORETURN VOID KiBark(ULONG Kind, PVOID Routine, PKTRAP_FRAME Frame)
{
    ULONG Milliseconds = KiWatchdogTicks * (HAL_CLOCK_INCREMENT / 10000);
    char Name[128], Sentence[256];

    KdSymbolize(Routine != NULL ? (ULONG_PTR)Routine : TRAP_PC(Frame), Name, sizeof(Name));
    RtlFormat(Sentence, sizeof(Sentence),
              Kind == 0 ? "A DPC has run for more than %u ms: %s."
                        : "A processor has been at DISPATCH_LEVEL or above for more than %u ms, "
                          "now in %s.",
              Milliseconds, Name);
    KiBugCheck(DPC_WATCHDOG_VIOLATION, Kind, KiWatchdogTicks, KiWatchdogTicks, 0, Frame, Sentence);
}

VOID KiWatchDispatchLevel(PKPRCB Prcb, PKTRAP_FRAME Frame)
{
    BOOLEAN Below = Frame != NULL && Frame->PreviousIrql < DISPATCH_LEVEL;

    if (Below)
        __atomic_store_n(&Prcb->TicksBelowDispatch, Prcb->TicksBelowDispatch + 1, __ATOMIC_RELEASE);
    if (KiWatchdogTicks == 0)
        return;
    if (Frame == NULL || Below) {
        Prcb->DispatchTicks = Prcb->DpcTicks = 0;
        return;
    }
    Prcb->DispatchTicks++;
    if (Prcb->DpcRoutine == NULL || Prcb->DpcCount != Prcb->WatchedDpc)
        Prcb->DpcTicks = 0;
    Prcb->WatchedDpc = Prcb->DpcCount;
    if (Prcb->DpcRoutine != NULL && ++Prcb->DpcTicks > KiWatchdogTicks)
        KiBark(0, Prcb->DpcRoutine, Frame);
    if (Prcb->DpcRoutine == NULL && Prcb->InterruptDepth == 1) // this interrupt's own
        KeInsertQueueDpc(&Prcb->HoldDpc, NULL, NULL);
    if (Prcb->DispatchTicks > (Prcb->DpcRoutine != NULL ? 2 : 1) * KiWatchdogTicks)
        KiBark(1, NULL, Frame);
}
