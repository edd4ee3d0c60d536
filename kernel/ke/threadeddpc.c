// SPDX-License-Identifier: MIT
// Threaded DPCs: deferred procedure calls that run in a thread, at PASSIVE_LEVEL.
//
// They are queued like all others (dpc.c), so from any IRQL. When the queue's drain comes to one,
// it does not call its routine but moves it to the processor's second list, and wakes the thread
// that serves it: of the highest priority, and bound to the processor. DpcData has its lowest bit
// set then; the DPC counts as queued until the thread takes it.
//
// So the routine is interrupted by ordinary DPCs, which is what threaded ones are for, and may be
// preempted by nothing else. A driver must not rely on the level, since a threaded DPC runs like an
// ordinary one until the threads are there; KeAcquireSpinLockForDpc suits both.
//
// A routine that returns at another IRQL is IRQL_UNEXPECTED_VALUE, as with an ordinary one.
//
// `!dpcs` prints both lists. Tests: tests/guest/irql.c, tests/guest/threadeddpcs.c, and
// tests/host/test_scheduler.c, which simulates them.
#include "ki.h"

VOID KiInitializeThreadedDpcs(PKPRCB Prcb)
{
    InitializeListHead(&Prcb->ThreadedListHead);
    KeInitializeEvent(&Prcb->ThreadedEvent, SynchronizationEvent, FALSE);
}

// FALSE: the list is empty. ThreadedRoutine changes together with it, for dpcsearch.c.
static BOOLEAN KiTakeThreadedDpc(PKPRCB Prcb, PKDPC *Original, KDPC *Copy)
{
    BOOLEAN Enabled = KiDisableInterrupts(), Taken;

    KiTakeLock(&Prcb->DpcLock);
    Taken = !IsListEmpty(&Prcb->ThreadedListHead);
    if (Taken) {
        *Original =
            CONTAINING_RECORD(RemoveHeadList(&Prcb->ThreadedListHead), KDPC, DpcListEntry);
        *Copy = **Original;
        __atomic_store_n(&(*Original)->DpcData, NULL, __ATOMIC_RELEASE);
    }
    Prcb->ThreadedRoutine = Taken ? (PVOID)(ULONG_PTR)Copy->DeferredRoutine : NULL;
    KiDropLock(&Prcb->DpcLock);
    KiRestoreInterrupts(Enabled);
    return Taken;
}

static VOID KiRunThreadedDpc(PKDPC Original, const KDPC *Dpc)
{
    KIRQL Irql;

    Dpc->DeferredRoutine(Original, Dpc->DeferredContext, Dpc->SystemArgument1,
                         Dpc->SystemArgument2);
    Irql = KiGetIrql();
    if (Irql != PASSIVE_LEVEL)
        KiBugCheck(IRQL_UNEXPECTED_VALUE, (ULONG_PTR)Irql << 16 | PASSIVE_LEVEL << 8 | 2,
                   (ULONG_PTR)Dpc->DeferredRoutine, (ULONG_PTR)Dpc->DeferredContext, 0, NULL,
                   "A threaded DPC's routine changed the IRQL and did not restore it.");
}

VOID NTAPI KeServeThreadedDpcs(PVOID Context)
{
    PKPRCB Prcb = Context;
    PKDPC Original;
    KDPC Dpc;

    KeSetSystemAffinityThreadEx(Prcb->ProcessorMask);
    Prcb->ThreadedReady = TRUE;
    for (;;) {
        KeWaitForSingleObject(&Prcb->ThreadedEvent, Executive, KernelMode, FALSE, NULL);
        while (KiTakeThreadedDpc(Prcb, &Original, &Dpc))
            KiRunThreadedDpc(Original, &Dpc);
    }
}

// KeInitializeThreadedDpc: makes a DPC that calls DeferredRoutine with DeferredContext in a thread:
// Medium importance, for the processor that queues it. Its memory is nonpaged.
// IRQL: any. Source: WDK wdm.h, KeInitializeThreadedDpc.
VOID NTAPI KeInitializeThreadedDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine,
                                   PVOID DeferredContext);
VOID NTAPI KeInitializeThreadedDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine,
                                   PVOID DeferredContext)
{
    KeInitializeDpc(Dpc, DeferredRoutine, DeferredContext);
    Dpc->Type = ThreadedDpcObject;
}
EXPORT(KeInitializeThreadedDpc, EXPORT_ANY_IRQL, "WDK wdm.h KeInitializeThreadedDpc");
