// SPDX-License-Identifier: MIT
// Deferred procedure calls: what an interrupt service routine leaves to be done at DISPATCH_LEVEL.
//
// Each processor has a queue (KPRCB) and a stack for the routines. A KDPC is on at most one queue;
// its DpcData names it. Queueing says DpcRequested when the queue is to be drained, and how that
// comes about depends on where the caller is:
//     below DISPATCH_LEVEL         drained before KeInsertQueueDpc returns
//     at or above it               by the DISPATCH_LEVEL software interrupt, when the IRQL falls
//     in interrupt service         when the outermost interrupt ends, if that returns below
//                                  DISPATCH_LEVEL; else as above
//     in a DPC routine             by the drain that is going on
// Importance: High goes to the head, the others to the tail. Low does not ask for a drain until the
// queue is deep or DPCs are rare, and otherwise waits for another request or the next clock tick;
// so does anything but High and MediumHigh for another processor.
//
// Invariants: DpcListHead, DpcQueueDepth and the claim of DpcData change under DpcLock with
// interrupts off. A DPC whose routine runs is on no queue, so it may queue itself again or be
// freed. DpcActive is TRUE from the first routine of a drain to its last, and then nobody else
// drains on that processor.
//
// A routine that returns at another IRQL, or lowers the IRQL below DISPATCH_LEVEL so that the next
// drain begins inside it, is IRQL_UNEXPECTED_VALUE with (current << 16) | (expected << 8) | 2, the
// routine and its context.
//
// `!dpcs` prints the queues. Test: tests/guest/irql.c.
#include "ki.h"

#define DPC_OBJECT          19u  // KDPC.Type, as NT numbers its objects
#define DPC_WITH_THREAD     ((ULONG_PTR)1)  // in DpcData: on the list of threaded DPCs
#define MAXIMUM_DPC_DEPTH   4u   // a Low DPC asks for a drain when so many wait
#define MINIMUM_DPC_RATE    3u   // ... or when fewer ran in a clock tick

VOID KiInitializeDpcs(PKPRCB Prcb, PVOID Stack)
{
    InitializeListHead(&Prcb->DpcListHead);
    Prcb->DpcStack = Stack;
    KiInitializeThreadedDpcs(Prcb);
    KiInitializeHolds(Prcb);
}

static DECLSPEC_NORETURN VOID KiDpcIrqlChanged(PVOID Routine, PVOID Context)
{
    KiBugCheck(
        IRQL_UNEXPECTED_VALUE, (ULONG_PTR)KiGetIrql() << 16 | DISPATCH_LEVEL << 8 | 2,
        (ULONG_PTR)Routine, (ULONG_PTR)Context, 0, NULL,
        "A DPC routine changed the IRQL and did not restore it: perhaps a lock is still held.");
}

// What is called in place of a threaded DPC's routine.
static VOID NTAPI KiWakeThreadedDpcs(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                                     PVOID SystemArgument2)
{
    KeSetEvent(&KeGetCurrentPrcb()->ThreadedEvent, 0, FALSE);
}

// Moves a threaded DPC, which is off the queue, to the list that its thread serves.
static DECLSPEC_NOINLINE VOID KiPassToThread(PKPRCB Prcb, PKDPC Dpc, KDPC *Copy)
{
    if (Dpc->Importance == HighImportance)
        InsertHeadList(&Prcb->ThreadedListHead, &Dpc->DpcListEntry);
    else
        InsertTailList(&Prcb->ThreadedListHead, &Dpc->DpcListEntry);
    Dpc->DpcData = (PVOID)((ULONG_PTR)Prcb | DPC_WITH_THREAD);
    Copy->DeferredRoutine = KiWakeThreadedDpcs;
}

// Takes the first DPC off the queue and copies it, since it may be queued again or freed as soon as
// it is off. NULL: the queue is empty, and the drain is over, which whoever queues next must see.
// Interrupts are off.
FORCEINLINE PKDPC KiTakeDpc(PKPRCB Prcb, KDPC *Copy)
{
    PKDPC Dpc = NULL;

    KiTakeLockAs(&Prcb->DpcLock, Prcb);
    if (IsListEmpty(&Prcb->DpcListHead)) {
        Prcb->DpcActive = FALSE;
        Prcb->DpcRequested = FALSE;
    } else {
        Dpc = CONTAINING_RECORD(RemoveHeadList(&Prcb->DpcListHead), KDPC, DpcListEntry);
        Copy->DeferredRoutine = Dpc->DeferredRoutine;
        Copy->DeferredContext = Dpc->DeferredContext;
        Copy->SystemArgument1 = Dpc->SystemArgument1;
        Copy->SystemArgument2 = Dpc->SystemArgument2;
        Prcb->DpcQueueDepth--;
        if (__builtin_expect(Dpc->Type == ThreadedDpcObject && Prcb->ThreadedReady, 0))
            KiPassToThread(Prcb, Dpc, Copy);
        else
            __atomic_store_n(&Dpc->DpcData, NULL, __ATOMIC_RELEASE);
    }
    KiGiveLock(&Prcb->DpcLock);
    return Dpc;
}

VOID KiRetireDpcs(VOID)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    PKDPC Original;
    KDPC Dpc;

    if (Prcb->DpcActive)
        KiDpcIrqlChanged(Prcb->DpcRoutine, NULL);
    Prcb->DpcActive = TRUE;
    while ((Original = KiTakeDpc(Prcb, &Dpc)) != NULL) {
        Prcb->DpcRoutine = (PVOID)(ULONG_PTR)Dpc.DeferredRoutine;
        Prcb->DpcCount++;
        KiSti();
        Dpc.DeferredRoutine(Original, Dpc.DeferredContext, Dpc.SystemArgument1,
                            Dpc.SystemArgument2);
        if (__builtin_expect(KiGetIrql() != DISPATCH_LEVEL, 0))
            KiDpcIrqlChanged(Prcb->DpcRoutine, Dpc.DeferredContext);
        KiCli();
    }
    Prcb->DpcRoutine = NULL;
}

// Sees to it that the queue is drained: at once where the interrupted code may be. Interrupts are
// off; WereEnabled says whether the caller had them off too.
static VOID KiStartDpcs(PKPRCB Prcb, BOOLEAN WereEnabled)
{
    KIRQL Irql = KiGetIrql();

    if (Irql >= DISPATCH_LEVEL || !WereEnabled) {
        KiRequestDispatch(Prcb);
        return;
    }
    KiSetIrql(DISPATCH_LEVEL);
    KiDrainDispatch();
    KiLowerIrql(Irql);
}

// Whether a DPC that is not simply urgent asks for a drain now.
static DECLSPEC_NOINLINE BOOLEAN KiDpcCannotWait(const KPRCB *Prcb, const KDPC *Dpc)
{
    if (Prcb->DpcQueueDepth >= MAXIMUM_DPC_DEPTH)
        return TRUE;
    if (Prcb != KeGetCurrentPrcb())
        return Dpc->Importance == HighImportance || Dpc->Importance == MediumHighImportance;
    return Dpc->Importance != LowImportance || Prcb->DpcRequestRate < MINIMUM_DPC_RATE;
}

FORCEINLINE BOOLEAN KiDpcIsUrgent(const KPRCB *Prcb, const KDPC *Dpc)
{
    if (Prcb->DpcActive || Prcb->DpcRequested)
        return FALSE;
    return (Dpc->Number == 0 && Dpc->Importance != LowImportance) || KiDpcCannotWait(Prcb, Dpc);
}

// The processor that KeSetTargetProcessorDpc named.
static DECLSPEC_NOINLINE PKPRCB KiDpcTarget(PKDPC Dpc)
{
    ULONG Number = Dpc->Number - MAXIMUM_PROCESSORS;

    if (Number >= MAXIMUM_PROCESSORS || KiProcessorBlock[Number] == NULL)
        KiBugCheck(TIMER_OR_DPC_INVALID, 3, (ULONG_PTR)Dpc, Number, 0, NULL,
                   "A DPC was queued for a processor that does not exist.");
    return KiProcessorBlock[Number];
}

// KeInitializeDpc: makes a DPC that calls DeferredRoutine with DeferredContext: Medium importance,
// for the processor that queues it. Its memory is nonpaged.
// IRQL: any. Source: WDK wdm.h, KeInitializeDpc.
VOID NTAPI KeInitializeDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    Dpc->Type = DPC_OBJECT;
    Dpc->Importance = MediumImportance;
    Dpc->Number = 0;
    Dpc->DeferredRoutine = DeferredRoutine;
    Dpc->DeferredContext = DeferredContext;
    Dpc->DpcData = NULL;
}
EXPORT(KeInitializeDpc, EXPORT_ANY_IRQL, "WDK wdm.h KeInitializeDpc");

// Claims the DPC and links it; FALSE: it is queued already. Under DpcLock.
FORCEINLINE BOOLEAN KiLinkDpc(PKPRCB Prcb, PKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PVOID Unqueued = NULL;

    if (!__atomic_compare_exchange_n(&Dpc->DpcData, &Unqueued, (PVOID)Prcb, FALSE, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return FALSE;
    Dpc->SystemArgument1 = SystemArgument1;
    Dpc->SystemArgument2 = SystemArgument2;
    if (Dpc->Importance == HighImportance)
        InsertHeadList(&Prcb->DpcListHead, &Dpc->DpcListEntry);
    else
        InsertTailList(&Prcb->DpcListHead, &Dpc->DpcListEntry);
    Prcb->DpcQueueDepth++;
    KeNoteObject(Dpc);
    return TRUE;
}

// KeInsertQueueDpc: queues the DPC with two arguments for its routine.
// IRQL: any. Fails: FALSE, and nothing changed, when it is queued already.
// Source: WDK wdm.h, KeInsertQueueDpc.
BOOLEAN NTAPI KeInsertQueueDpc(PKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    PKPRCB Prcb = Dpc->Number == 0 ? KeGetCurrentPrcb() : KiDpcTarget(Dpc);
    BOOLEAN Urgent = FALSE, Inserted;

    KiTakeLockAs(&Prcb->DpcLock, KeGetCurrentPrcb());
    Inserted = KiLinkDpc(Prcb, Dpc, SystemArgument1, SystemArgument2);
    if (Inserted) {
        Urgent = KiDpcIsUrgent(Prcb, Dpc);
        if (Urgent)
            Prcb->DpcRequested = TRUE;
    }
    KiGiveLock(&Prcb->DpcLock);
    if (Urgent && Prcb == KeGetCurrentPrcb())
        KiStartDpcs(Prcb, Enabled);
    else if (Urgent)
        KiRequestRemoteDispatch(Prcb);
    KiRestoreInterrupts(Enabled);
    return Inserted;
}
EXPORT(KeInsertQueueDpc, EXPORT_ANY_IRQL, "WDK wdm.h KeInsertQueueDpc");

VOID KiUnlinkDpc(PKPRCB Prcb, PKDPC Dpc)
{
    RemoveEntryList(&Dpc->DpcListEntry);
    if (Dpc->DpcData == Prcb)
        Prcb->DpcQueueDepth--;
    Dpc->DpcData = NULL;
}

// KeRemoveQueueDpc: takes the DPC off its queue. Its routine may still be running.
// IRQL: any. Fails: FALSE when it was not queued. Source: WDK wdm.h, KeRemoveQueueDpc.
BOOLEAN NTAPI KeRemoveQueueDpc(PKDPC Dpc)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    BOOLEAN Removed = FALSE;
    PKPRCB Prcb = (PKPRCB)((ULONG_PTR)Dpc->DpcData & ~DPC_WITH_THREAD);

    if (Prcb != NULL) {
        KiTakeLock(&Prcb->DpcLock);
        Removed = ((ULONG_PTR)Dpc->DpcData & ~DPC_WITH_THREAD) == (ULONG_PTR)Prcb;
        if (Removed)
            KiUnlinkDpc(Prcb, Dpc);
        KiDropLock(&Prcb->DpcLock);
    }
    KiRestoreInterrupts(Enabled);
    return Removed;
}
EXPORT(KeRemoveQueueDpc, EXPORT_ANY_IRQL, "WDK wdm.h KeRemoveQueueDpc");

// KeSetImportanceDpc: where in the queue the DPC goes and how soon it asks to run, from the next
// queueing.
// IRQL: any. Source: WDK wdm.h, KeSetImportanceDpc.
VOID NTAPI KeSetImportanceDpc(PKDPC Dpc, KDPC_IMPORTANCE Importance)
{
    Dpc->Importance = (UCHAR)Importance;
}
EXPORT(KeSetImportanceDpc, EXPORT_ANY_IRQL, "WDK wdm.h KeSetImportanceDpc");

// KeSetTargetProcessorDpc: the processor that is to run the DPC, from the next queueing.
// IRQL: any. Fails: queueing for a processor that does not exist is bugcheck TIMER_OR_DPC_INVALID.
// Source: WDK ntddk.h, KeSetTargetProcessorDpc.
VOID NTAPI KeSetTargetProcessorDpc(PKDPC Dpc, CCHAR Number)
{
    Dpc->Number = (USHORT)(MAXIMUM_PROCESSORS + (UCHAR)Number);
}
EXPORT(KeSetTargetProcessorDpc, EXPORT_ANY_IRQL, "WDK ntddk.h KeSetTargetProcessorDpc");

// KeSetTargetProcessorDpcEx: the same by group and number.
// IRQL: any. Fails: STATUS_INVALID_PARAMETER when there is no such processor.
// Source: WDK wdm.h, KeSetTargetProcessorDpcEx.
NTSTATUS NTAPI KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber);
NTSTATUS NTAPI KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcNumber->Group != 0 || ProcNumber->Reserved != 0 ||
        ProcNumber->Number >= KeNumberProcessors)
        return STATUS_INVALID_PARAMETER;
    Dpc->Number = (USHORT)(MAXIMUM_PROCESSORS + ProcNumber->Number);
    return STATUS_SUCCESS;
}
EXPORT(KeSetTargetProcessorDpcEx, EXPORT_ANY_IRQL, "WDK wdm.h KeSetTargetProcessorDpcEx");

static VOID NTAPI KiFlushDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                            PVOID SystemArgument2)
{
    KeSetEvent(DeferredContext, 0, FALSE);
}

// A DPC at the queue's end: when it runs, those before it have.
static VOID KiFlushProcessor(ULONG Number, UCHAR Type)
{
    KEVENT Reached;
    KDPC Dpc;

    KeInitializeEvent(&Reached, NotificationEvent, FALSE);
    KeInitializeDpc(&Dpc, KiFlushDpc, &Reached);
    Dpc.Type = Type;
    Dpc.Importance = MediumHighImportance;
    Dpc.Number = (USHORT)(MAXIMUM_PROCESSORS + Number);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeWaitForSingleObject(&Reached, Executive, KernelMode, FALSE, NULL);
}

VOID KeFlushDpcsOf(ULONG Number)
{
    ASSERT_IRQL_AT_MOST(APC_LEVEL);
    KiFlushProcessor(Number, DpcObject);
}

// KeFlushQueuedDpcs: returns when every DPC queued so far, on any processor, has run.
// IRQL: PASSIVE_LEVEL. Source: WDK wdm.h, KeFlushQueuedDpcs.
VOID NTAPI KeFlushQueuedDpcs(VOID)
{
    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++)
        if (KiProcessorBlock[i] != NULL)
            KiFlushProcessor(i, ThreadedDpcObject); // behind the ordinary ones, then the threaded
}
EXPORT(KeFlushQueuedDpcs, PASSIVE_LEVEL, "WDK wdm.h KeFlushQueuedDpcs");

#if KE_WATCHES
static PKDPC KiFindDpcIn(PLIST_ENTRY Head, ULONG_PTR Start, ULONG_PTR End)
{
    for (PLIST_ENTRY Entry = Head->Flink; Entry != Head; Entry = Entry->Flink)
        if ((ULONG_PTR)CONTAINING_RECORD(Entry, KDPC, DpcListEntry) - Start < End - Start)
            return CONTAINING_RECORD(Entry, KDPC, DpcListEntry);
    return NULL;
}

PVOID KiFindQueuedDpc(ULONG_PTR Start, ULONG_PTR End)
{
    PVOID Found = NULL;

    for (ULONG i = 0; i < MAXIMUM_PROCESSORS && Found == NULL; i++) {
        PKPRCB Prcb = KiProcessorBlock[i];
        BOOLEAN Enabled = KiDisableInterrupts();
        if (Prcb != NULL) {
            KiTakeLock(&Prcb->DpcLock);
            Found = KiFindDpcIn(&Prcb->DpcListHead, Start, End);
            if (Found == NULL)
                Found = KiFindDpcIn(&Prcb->ThreadedListHead, Start, End);
            KiDropLock(&Prcb->DpcLock);
        }
        KiRestoreInterrupts(Enabled);
    }
    return Found;
}
#endif

BOOLEAN KeDpcsIdle(VOID)
{
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++) {
        PKPRCB Prcb = KiProcessorBlock[i];
        if (Prcb != NULL && (Prcb->DpcQueueDepth != 0 || Prcb->DpcActive))
            return FALSE;
    }
    return TRUE;
}

VOID KiAdjustDpcRate(PKPRCB Prcb)
{
    ULONG Count = Prcb->DpcCount;

    Prcb->DpcRequestRate = (Prcb->DpcRequestRate + (Count - Prcb->DpcLastCount) + 1) / 2;
    Prcb->DpcLastCount = Count;
    if (Prcb->DpcQueueDepth != 0 && !Prcb->DpcActive && !Prcb->DpcRequested) {
        Prcb->DpcRequested = TRUE;
        KiRequestDispatch(Prcb);
    }
}

// ---- monitor ------------------------------------------------------------------------------------
// The lists may be in the middle of a change when a bugcheck stops them: every step is read safely
// and the number of steps is bounded.
static VOID KiPrintDpcs(PLIST_ENTRY Head)
{
    PLIST_ENTRY Entry = Head->Flink;
    char Name[128];
    KDPC Dpc;

    for (ULONG i = 0; i < 256 && Entry != Head; i++) {
        PKDPC Address = CONTAINING_RECORD(Entry, KDPC, DpcListEntry);
        if (!KeSafeCopy(&Dpc, Address, sizeof(Dpc))) {
            KdPrintf("    0x%p: not readable\n", (PVOID)Address);
            return;
        }
        KdSymbolize((ULONG_PTR)Dpc.DeferredRoutine, Name, sizeof(Name));
        KdPrintf("    0x%p importance %u, %s, context 0x%p\n", (PVOID)Address, Dpc.Importance, Name,
                 Dpc.DeferredContext);
        Entry = Dpc.DpcListEntry.Flink;
    }
}

static BOOLEAN KiDpcsCommand(const char *Arguments)
{
    char Name[128];

    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++) {
        PKPRCB Prcb = KiProcessorBlock[i];
        if (Prcb == NULL)
            continue;
        KdPrintf("processor %u: %u DPCs run, %u queued, %u in a clock tick\n", i, Prcb->DpcCount,
                 Prcb->DpcQueueDepth, Prcb->DpcRequestRate);
        if (Prcb->DpcRoutine != NULL &&
            KdSymbolize((ULONG_PTR)Prcb->DpcRoutine, Name, sizeof(Name)))
            KdPrintf("    running %s\n", Name);
        KiPrintDpcs(&Prcb->DpcListHead);
        if (!IsListEmpty(&Prcb->ThreadedListHead))
            KdPrintf("    threaded:\n");
        KiPrintDpcs(&Prcb->ThreadedListHead);
    }
    return TRUE;
}
KD_COMMAND(dpcs, "!dpcs", "!dpcs: what waits for DISPATCH_LEVEL on each processor", KiDpcsCommand,
           KD_SAFE_IN_BUGCHECK);
