// SPDX-License-Identifier: MIT
// Executive work items: routines that run in system threads, at PASSIVE_LEVEL.
//
// Three queues, each a KQUEUE with threads of its own: HyperCritical for the system, Critical,
// Delayed. Work that waits for other work of its queue would stop the queue for good if all its
// threads waited; so once a second, when entries wait and none has been taken since the last look,
// a thread is added, up to MAXIMUM_WORKERS. Added threads stay.
//
// A routine that comes back at another IRQL is WORKER_THREAD_RETURNED_AT_BAD_IRQL (the routine, the
// IRQL, the parameter, the item), one that leaves a critical or guarded region entered
// APC_INDEX_MISMATCH (the routine, the counts, 0, 0).
//
// `!workers` prints the queues. Tests: tests/guest/threads.c, tests/host/test_ex_worker.c.
#include "exp.h"
#include "rtl.h"

#define BALANCE_PRIORITY LOW_REALTIME_PRIORITY
#define QUEUES          3u
#define MAXIMUM_WORKERS 16u

typedef struct _EX_WORK_QUEUE {
    const char *Name;
    KPRIORITY Priority;
    ULONG Initial; // threads from the start
    KQUEUE Queue;
    ULONG Threads;
    volatile ULONG Taken;         // entries since start
    ULONG LastTaken;              // at the last look
    const VOID *volatile Current; // the routine begun last
} EX_WORK_QUEUE;

static EX_WORK_QUEUE ExpWorkQueues[QUEUES] = {
    [CriticalWorkQueue] = {.Name = "critical", .Priority = 13, .Initial = 2},
    [DelayedWorkQueue] = {.Name = "delayed", .Priority = 12, .Initial = 2},
    [HyperCriticalWorkQueue] = {.Name = "hypercritical", .Priority = 15, .Initial = 1},
};
static EX_THREAD_MAKER *ExpMakeThread;

static VOID ExpCheckAfterWork(PWORKER_THREAD_ROUTINE Routine, PVOID Parameter,
                              PWORK_QUEUE_ITEM Item)
{
    ULONG Regions = KiCurrentThread()->CombinedApcDisable;

    if (KiGetIrql() != PASSIVE_LEVEL)
        KiBugCheck(WORKER_THREAD_RETURNED_AT_BAD_IRQL, (ULONG_PTR)Routine, KiGetIrql(),
                   (ULONG_PTR)Parameter, (ULONG_PTR)Item, NULL,
                   "A work item's routine returned at a raised IRQL.");
    if (Regions != 0)
        KiBugCheck(
            APC_INDEX_MISMATCH, (ULONG_PTR)Routine, Regions, 0, 0, NULL,
            "A work item's routine returned in a critical or guarded region, or owning a mutex.");
}

static VOID NTAPI ExpWorkerThread(PVOID Context)
{
    EX_WORK_QUEUE *Work = Context;

    for (;;) {
        PLIST_ENTRY Entry = KeRemoveQueue(&Work->Queue, KernelMode, NULL);
        PWORK_QUEUE_ITEM Item = CONTAINING_RECORD(Entry, WORK_QUEUE_ITEM, List);
        PWORKER_THREAD_ROUTINE Routine = Item->WorkerRoutine;
        PVOID Parameter = Item->Parameter;
        __atomic_fetch_add(&Work->Taken, 1, __ATOMIC_RELAXED);
        Work->Current = (const VOID *)(ULONG_PTR)Routine;
        Routine(Parameter); // Item may be gone now
        ExpCheckAfterWork(Routine, Parameter, Item);
    }
}

static BOOLEAN ExpAddWorker(EX_WORK_QUEUE *Work)
{
    if (!NT_SUCCESS(ExpMakeThread(ExpWorkerThread, Work, Work->Priority, Work->Name)))
        return FALSE;
    Work->Threads++;
    return TRUE;
}

VOID ExInitializeWorkers(EX_THREAD_MAKER *MakeThread)
{
    ExpMakeThread = MakeThread;
    for (ULONG i = 0; i < QUEUES; i++) {
        KeInitializeQueue(&ExpWorkQueues[i].Queue, 0);
        for (ULONG j = 0; j < ExpWorkQueues[i].Initial; j++)
            VERIFY(ExpAddWorker(&ExpWorkQueues[i]));
    }
    VERIFY(NT_SUCCESS(MakeThread(ExpBalanceThread, NULL, BALANCE_PRIORITY, "balance")));
}

VOID ExpAdjustWorkers(VOID)
{
    for (ULONG i = 0; i < QUEUES; i++) {
        EX_WORK_QUEUE *Work = &ExpWorkQueues[i];
        ULONG Taken = Work->Taken;
        if (KeReadStateQueue(&Work->Queue) != 0 && Taken == Work->LastTaken &&
            Work->Threads < MAXIMUM_WORKERS)
            ExpAddWorker(Work);
        Work->LastTaken = Taken;
    }
}

// ExQueueWorkItem: has Item's routine called with its parameter in a system thread, once. The item
// may be queued again, or freed, as soon as the routine runs. Drivers have ExInitializeWorkItem
// from their headers. IRQL: <= DISPATCH_LEVEL. Fails: bugcheck WORKER_INVALID (1: queued already or
// not initialized, the item, the routine, 0) . Source: WDK wdm.h, ExQueueWorkItem.
VOID NTAPI ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType)
{
    ULONG Queue = (ULONG)QueueType < QUEUES ? (ULONG)QueueType : DelayedWorkQueue;

    if (WorkItem->List.Flink != NULL)
        KiBugCheck(WORKER_INVALID, 1, (ULONG_PTR)WorkItem, (ULONG_PTR)WorkItem->WorkerRoutine, 0,
                   NULL,
                   "A work item was queued that is queued already, or was never initialized.");
    KeNoteObject(WorkItem);
    KeInsertQueue(&ExpWorkQueues[Queue].Queue, &WorkItem->List);
}
EXPORT(ExQueueWorkItem, DISPATCH_LEVEL, "WDK wdm.h ExQueueWorkItem");

typedef struct _EXP_RANGE {
    ULONG_PTR Start, End;
    ULONG Count; // found there
} EXP_RANGE;

static BOOLEAN ExpItemLiesIn(PLIST_ENTRY Entry, PVOID Context)
{
    const EXP_RANGE *Range = Context;

    return (ULONG_PTR)Entry - Range->Start < Range->End - Range->Start;
}

PVOID ExpFindWorkItem(ULONG_PTR Start, ULONG_PTR End)
{
    EXP_RANGE Range = {Start, End, 0};
    PLIST_ENTRY Found = NULL;

    for (ULONG i = 0; i < QUEUES && Found == NULL; i++)
        Found = KeFindQueueEntry(&ExpWorkQueues[i].Queue, ExpItemLiesIn, &Range);
    return Found;
}

// ---- leaks and monitor --------------------------------------------------------------------------
// Reports an item whose routine lies in the range, and goes on to the next.
static BOOLEAN ExpReportItem(PLIST_ENTRY Entry, PVOID Context)
{
    const WORK_QUEUE_ITEM *Item = CONTAINING_RECORD(Entry, WORK_QUEUE_ITEM, List);
    EXP_RANGE *Range = Context;
    char Name[128];

    if ((ULONG_PTR)Item->WorkerRoutine - Range->Start >= Range->End - Range->Start)
        return FALSE;
    KdSymbolize((ULONG_PTR)Item->WorkerRoutine, Name, sizeof(Name));
    KLOG("leak", "work item 0x%p is still queued: %s", (const VOID *)Item, Name);
    Range->Count++;
    return FALSE;
}

static ULONG ExpWorkLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    EXP_RANGE Range = {Start, End, 0};

    for (ULONG i = 0; i < QUEUES; i++)
        KeFindQueueEntry(&ExpWorkQueues[i].Queue, ExpReportItem, &Range);
    return Range.Count;
}
LEAK_SOURCE(workitems, "queued work items", ExpWorkLeaks);

// While the system stands still: every step is read safely.
static BOOLEAN ExpNextItem(const EX_WORK_QUEUE *Work, PLIST_ENTRY *Entry, WORK_QUEUE_ITEM *Copy)
{
    if (*Entry == NULL)
        *Entry = Work->Queue.EntryListHead.Flink;
    else
        *Entry = Copy->List.Flink;
    return *Entry != &Work->Queue.EntryListHead &&
           KeSafeCopy(Copy, CONTAINING_RECORD(*Entry, WORK_QUEUE_ITEM, List), sizeof(*Copy));
}

static BOOLEAN ExWorkersCommand(const char *Arguments)
{
    WORK_QUEUE_ITEM Item;
    char Name[128];

    if (*Arguments != '\0')
        return FALSE;
    for (ULONG i = 0; i < QUEUES; i++) {
        const EX_WORK_QUEUE *Work = &ExpWorkQueues[i];
        PLIST_ENTRY Entry = NULL;
        KdPrintf("%-13s %u threads, %u run now, %u items done", Work->Name, Work->Threads,
                 Work->Queue.CurrentCount, Work->Taken);
        if (Work->Current != NULL && KdSymbolize((ULONG_PTR)Work->Current, Name, sizeof(Name)))
            KdPrintf(", the last %s", Name);
        KdPrintf("\n");
        for (ULONG j = 0; j < 256 && ExpNextItem(Work, &Entry, &Item); j++) {
            KdSymbolize((ULONG_PTR)Item.WorkerRoutine, Name, sizeof(Name));
            KdPrintf("    0x%p %s, parameter 0x%p\n", (PVOID)Entry, Name, Item.Parameter);
        }
    }
    return TRUE;
}
KD_COMMAND(workers, "!workers", "!workers: the work queues, their threads and items",
           ExWorkersCommand, KD_SAFE_IN_BUGCHECK);
