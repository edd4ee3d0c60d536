// SPDX-License-Identifier: MIT
// The DPCs of a driver that goes: whether any is queued or runs, on whichever processor.
//
// A routine may queue another DPC, or its own, for another processor, and that one another: queues
// that are looked at one after the other may all be found empty while there always is one in some.
// So all processors look at the same instant, called together at IPI_LEVEL. Between the queue and
// DpcRoutine, and between a thread's list and ThreadedRoutine, interrupts are off: whatever a
// processor was called away from, a DPC is seen in one of them.
//
// A DPC belongs to the driver whose image holds its routine, or the object. Unloading waits until
// none is found (KeHasDpcsOf). When it has waited in vain, they are left behind: reported, and
// taken off the queues, so that the routine is not called once the image is gone.
//
// Tests: tests/guest/unloads.c, tests/guest/broken/dpc_without_end.c.
#include "ki.h"

#define DPCS_NAMED  4u    // in a report
#define MOST_ROUNDS 1000u // of taking off what is queued anew meanwhile

typedef struct {
    PKDPC Dpc; // NULL: it runs
    PVOID Routine;
    ULONG Processor;
} KI_FOUND_DPC;

typedef struct {
    ULONG_PTR Start, End;
    BOOLEAN Remove;
    volatile LONG Count;
    KI_FOUND_DPC First[DPCS_NAMED];
} KI_DPC_SEARCH;

static BOOLEAN KiIsIn(const KI_DPC_SEARCH *Search, const VOID *Address)
{
    return (ULONG_PTR)Address - Search->Start < Search->End - Search->Start;
}

static VOID KiNoteFound(KI_DPC_SEARCH *Search, PKPRCB Prcb, PKDPC Dpc, PVOID Routine)
{
    ULONG At = (ULONG)__atomic_fetch_add(&Search->Count, 1, __ATOMIC_RELAXED);

    if (At < DPCS_NAMED)
        Search->First[At] = (KI_FOUND_DPC){Dpc, Routine, Prcb->ProcessorNumber};
}

static VOID KiSearchRunning(KI_DPC_SEARCH *Search, PKPRCB Prcb, PVOID Routine)
{
    if (Routine != NULL && KiIsIn(Search, Routine))
        KiNoteFound(Search, Prcb, NULL, Routine);
}

// Under DpcLock.
static VOID KiSearchList(KI_DPC_SEARCH *Search, PKPRCB Prcb, PLIST_ENTRY Head)
{
    for (PLIST_ENTRY Entry = Head->Flink, Next; Entry != Head; Entry = Next) {
        PKDPC Dpc = CONTAINING_RECORD(Entry, KDPC, DpcListEntry);
        Next = Entry->Flink;
        if (!KiIsIn(Search, Dpc) && !KiIsIn(Search, (PVOID)(ULONG_PTR)Dpc->DeferredRoutine))
            continue;
        KiNoteFound(Search, Prcb, Dpc, (PVOID)(ULONG_PTR)Dpc->DeferredRoutine);
        if (Search->Remove)
            KiUnlinkDpc(Prcb, Dpc);
    }
}

// On each processor, at IPI_LEVEL.
static ULONG_PTR NTAPI KiSearchHere(ULONG_PTR Argument)
{
    KI_DPC_SEARCH *Search = (KI_DPC_SEARCH *)Argument;
    PKPRCB Prcb = KeGetCurrentPrcb();
    BOOLEAN Enabled = KiDisableInterrupts();

    KiTakeLock(&Prcb->DpcLock);
    KiSearchRunning(Search, Prcb, Prcb->DpcRoutine);
    KiSearchRunning(Search, Prcb, Prcb->ThreadedRoutine);
    KiSearchList(Search, Prcb, &Prcb->DpcListHead);
    KiSearchList(Search, Prcb, &Prcb->ThreadedListHead);
    KiDropLock(&Prcb->DpcLock);
    KiRestoreInterrupts(Enabled);
    return 0;
}

static ULONG KiSearchDpcs(KI_DPC_SEARCH *Search)
{
    Search->Count = 0;
    KeIpiGenericCall(KiSearchHere, (ULONG_PTR)Search);
    return (ULONG)Search->Count;
}

BOOLEAN KeHasDpcsOf(ULONG_PTR Start, ULONG_PTR End)
{
    KI_DPC_SEARCH Search = {.Start = Start, .End = End};

    return KiSearchDpcs(&Search) != 0;
}

static ULONG KiDpcLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    KI_DPC_SEARCH Search = {.Start = Start, .End = End, .Remove = TRUE};
    ULONG Count = KiSearchDpcs(&Search);
    char Name[128];

    for (ULONG i = 0; i < Count && i < DPCS_NAMED; i++) {
        KdSymbolize((ULONG_PTR)Search.First[i].Routine, Name, sizeof(Name));
        if (Search.First[i].Dpc != NULL)
            KLOG("leak", "DPC 0x%p is still queued on processor %u: %s",
                 (PVOID)Search.First[i].Dpc, Search.First[i].Processor, Name);
        else
            KLOG("leak", "a DPC still runs on processor %u: %s", Search.First[i].Processor, Name);
    }
    for (ULONG i = 0; Count != 0 && i < MOST_ROUNDS && KiSearchDpcs(&Search) != 0; i++)
        KeFlushQueuedDpcs();
    return Count;
}
LEAK_SOURCE(dpcs, "DPCs", KiDpcLeaks);
