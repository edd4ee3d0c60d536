// SPDX-License-Identifier: MIT
// Queues: entries that are handed to waiting threads, no more of which run at a time than is
// sensible.
//
// A KQUEUE lets MaximumCount of the threads that serve it run; CurrentCount says how many do. An
// entry goes to a waiting thread directly if the count allows, else onto the list. A thread that
// serves the queue and waits for something else does not count, so that another takes its place;
// that may make one too many for a while when it wakes. The thread that waited last is woken first:
// its stack and caches are warm.
//
// KTHREAD.Queue is the queue that a thread serves since it last called KeRemoveQueue,
// KTHREAD.QueueListEntry links it to the others on ThreadListHead. Header.SignalState counts the
// entries on the list. All under the dispatcher lock.
//
// The executive's work items are built on it (kernel/ex/worker.c). Tests: tests/guest/threads.c.
#include "ki.h"

// KeInitializeQueue: makes a queue for Count threads to run at a time, 0: as many as there are
// processors. IRQL: any. Source: WDK ntifs.h, KeInitializeQueue.
VOID NTAPI KeInitializeQueue(PRKQUEUE Queue, ULONG Count)
{
    KiInitializeHeader(&Queue->Header, QueueObject, sizeof(*Queue), 0);
    InitializeListHead(&Queue->EntryListHead);
    InitializeListHead(&Queue->ThreadListHead);
    Queue->CurrentCount = 0;
    Queue->MaximumCount = Count != 0 ? Count : (ULONG)KeNumberProcessors;
}
EXPORT(KeInitializeQueue, EXPORT_ANY_IRQL, "WDK ntifs.h KeInitializeQueue");

static BOOLEAN KiQueueMayRun(const KQUEUE *Queue)
{
    return Queue->CurrentCount < Queue->MaximumCount;
}

// Hands Entry to the thread that waited last. Its wait counts it as running again.
static VOID KiHandOver(PKQUEUE Queue, PLIST_ENTRY Entry, KPRIORITY Increment)
{
    PKWAIT_BLOCK Block =
        CONTAINING_RECORD(Queue->Header.WaitListHead.Blink, KWAIT_BLOCK, WaitListEntry);

    Entry->Flink = NULL; // not on the queue
    KiEndWait(Block->Thread, (LONG_PTR)Entry, Increment);
}

// A thread that serves the queue stops running: another may take an entry.
static VOID KiGiveUpPlace(PKQUEUE Queue)
{
    Queue->CurrentCount--;
    if (IsListEmpty(&Queue->EntryListHead) || IsListEmpty(&Queue->Header.WaitListHead) ||
        !KiQueueMayRun(Queue))
        return;
    Queue->Header.SignalState--;
    KiHandOver(Queue, RemoveHeadList(&Queue->EntryListHead), 0);
}

VOID KiLeaveQueueForWait(PKQUEUE Queue)
{
    KiGiveUpPlace(Queue);
}

VOID KiLeaveQueueForEver(PKTHREAD Thread)
{
    PKQUEUE Queue = Thread->Queue;

    Thread->Queue = NULL;
    RemoveEntryList(&Thread->QueueListEntry);
    KiGiveUpPlace(Queue);
}

static LONG KiInsertQueue(PRKQUEUE Queue, PLIST_ENTRY Entry, BOOLEAN AtHead)
{
    LONG OldState = Queue->Header.SignalState;
    PKTHREAD Thread = KiCurrentThread();

    // The caller may be about to come for an entry itself.
    if (!IsListEmpty(&Queue->Header.WaitListHead) && KiQueueMayRun(Queue) &&
        (Thread->Queue != Queue || Thread->WaitReason != WrQueue)) {
        KiHandOver(Queue, Entry, 0);
        return OldState;
    }
    Queue->Header.SignalState++;
    if (AtHead)
        InsertHeadList(&Queue->EntryListHead, Entry);
    else
        InsertTailList(&Queue->EntryListHead, Entry);
    return OldState;
}

// KeInsertQueue, KeInsertHeadQueue: hand Entry to a waiting thread or put it behind, or before, the
// others. Return how many were waiting before. IRQL: <= DISPATCH_LEVEL. Source: WDK ntifs.h,
// KeInsertQueue.
LONG NTAPI KeInsertQueue(PRKQUEUE Queue, PLIST_ENTRY Entry)
{
    KIRQL OldIrql = KiLockDispatcher();
    LONG OldState = KiInsertQueue(Queue, Entry, FALSE);

    KiUnlockDispatcher(OldIrql);
    return OldState;
}
EXPORT(KeInsertQueue, DISPATCH_LEVEL, "WDK ntifs.h KeInsertQueue");

LONG NTAPI KeInsertHeadQueue(PRKQUEUE Queue, PLIST_ENTRY Entry)
{
    KIRQL OldIrql = KiLockDispatcher();
    LONG OldState = KiInsertQueue(Queue, Entry, TRUE);

    KiUnlockDispatcher(OldIrql);
    return OldState;
}
EXPORT(KeInsertHeadQueue, DISPATCH_LEVEL, "WDK ntifs.h KeInsertHeadQueue");

// KeReadStateQueue: how many entries wait just now.
// IRQL: any. Source: WDK ntifs.h, KeReadStateQueue.
LONG NTAPI KeReadStateQueue(PRKQUEUE Queue)
{
    return *(volatile LONG *)&Queue->Header.SignalState;
}
EXPORT(KeReadStateQueue, EXPORT_ANY_IRQL, "WDK ntifs.h KeReadStateQueue");

VOID KiServeQueue(PKTHREAD Thread, PKQUEUE Queue)
{
    if (Thread->Queue == Queue) {
        Queue->CurrentCount--;
        return;
    }
    if (Thread->Queue != NULL)
        KiLeaveQueueForEver(Thread);
    Thread->Queue = Queue;
    InsertTailList(&Queue->ThreadListHead, &Thread->QueueListEntry);
}

PLIST_ENTRY KiTakeEntry(PKQUEUE Queue)
{
    PLIST_ENTRY Entry;

    if (IsListEmpty(&Queue->EntryListHead) || !KiQueueMayRun(Queue))
        return NULL;
    Entry = RemoveHeadList(&Queue->EntryListHead);
    Entry->Flink = NULL;
    Queue->Header.SignalState--;
    return Entry;
}

// KeRemoveQueue: takes an entry, waiting for one. The thread serves the queue from then on, until
// it serves another or ends. Returns the entry; or STATUS_TIMEOUT, STATUS_USER_APC,
// STATUS_ABANDONED (the queue was run down) as a pointer. IRQL: <= APC_LEVEL. Source: WDK ntifs.h,
// KeRemoveQueue.
PLIST_ENTRY NTAPI KeRemoveQueue(PRKQUEUE Queue, KPROCESSOR_MODE WaitMode, PLARGE_INTEGER Timeout)
{
    return (PLIST_ENTRY)KiWaitForQueue(Queue, WaitMode, Timeout, KiReturnAddress());
}
EXPORT(KeRemoveQueue, APC_LEVEL, "WDK ntifs.h KeRemoveQueue");

PLIST_ENTRY KeFindQueueEntry(PKQUEUE Queue, KE_QUEUE_TEST *Test, PVOID Context)
{
    KIRQL OldIrql = KiLockDispatcher();
    PLIST_ENTRY Entry = Queue->EntryListHead.Flink;

    while (Entry != &Queue->EntryListHead && !Test(Entry, Context))
        Entry = Entry->Flink;
    KiUnlockDispatcher(OldIrql);
    return Entry != &Queue->EntryListHead ? Entry : NULL;
}

// KeRundownQueue: threads serve the queue no longer, those that wait for it get STATUS_ABANDONED.
// Returns the entries as a ring without a head; NULL: there are none.
// IRQL: <= DISPATCH_LEVEL. Source: WDK ntifs.h, KeRundownQueue.
PLIST_ENTRY NTAPI KeRundownQueue(PRKQUEUE Queue)
{
    KIRQL OldIrql = KiLockDispatcher();
    PLIST_ENTRY First = NULL;

    if (!IsListEmpty(&Queue->EntryListHead)) {
        First = Queue->EntryListHead.Flink;
        RemoveEntryList(&Queue->EntryListHead);
        InitializeListHead(&Queue->EntryListHead);
    }
    Queue->Header.SignalState = 0;
    Queue->CurrentCount = 0; // those that run do not serve it any more
    while (!IsListEmpty(&Queue->ThreadListHead)) {
        PLIST_ENTRY Entry = RemoveHeadList(&Queue->ThreadListHead);
        CONTAINING_RECORD(Entry, KTHREAD, QueueListEntry)->Queue = NULL;
    }
    while (!IsListEmpty(&Queue->Header.WaitListHead)) {
        PLIST_ENTRY Entry = Queue->Header.WaitListHead.Flink;
        KiEndWait(CONTAINING_RECORD(Entry, KWAIT_BLOCK, WaitListEntry)->Thread, STATUS_ABANDONED,
                  0);
    }
    KiUnlockDispatcher(OldIrql);
    return First;
}
EXPORT(KeRundownQueue, DISPATCH_LEVEL, "WDK ntifs.h KeRundownQueue");
