// SPDX-License-Identifier: MIT
// A driver's work items: routines of a driver or device object that run in a system thread.
//
// They go through the executive's queues (kernel/ex/worker.c). What is added is that the driver
// stays while its routine has yet to run, runs, or is just returning: LdrUnloadDriver waits for
// that (IoWaitForWorkItems) between DriverUnload and the end of the image. So a driver may queue an
// item in its unload routine, which with ExQueueWorkItem it must not. Several drivers may be
// unloaded at once: each waits on an event of its own, and all look again whenever a routine has
// ended. A wait is for what was queued when it began, so that an item that queues itself cannot
// make it endless; how often to wait is the loader's affair. Who waits long says for what.
//
// Which driver a routine belongs to is told by its address. IopWork lists all that are queued or
// running; since the routine may free its item, an item that runs is represented by a record on the
// worker's stack. Items that were allocated are on IopAllocated, with who did it, for the leak
// report. Both under IopLock.
//
// There is no I/O manager that makes device objects yet: the IoObject is passed on to the routine
// and not looked at, and its reference count does not change.
//
// Freeing an item that is queued is WORKER_INVALID (0, the item, its start and end).
//
// Tests: tests/guest/workitems.c, tests/host/test_io_workitem.c.
#include "ex.h"
#include "io.h"
#include "rtl.h"

#define WORK_ITEM_TAG 'tIoI'
#define LONG_WAIT     2u // seconds, after which it is said what is waited for

typedef struct _IOP_WORK {
    LIST_ENTRY Entry; // on IopWork
    ULONG_PTR Routine;
    ULONG64 Number; // in the order of queueing
} IOP_WORK;

typedef struct _IOP_WAITER {
    LIST_ENTRY Entry; // on IopWaiters
    KEVENT Ended;     // some routine has
} IOP_WAITER;

struct _IO_WORKITEM {
    WORK_QUEUE_ITEM Item;
    IOP_WORK Work; // while queued
    volatile BOOLEAN Queued;
    BOOLEAN Extended; // the routine is an IO_WORKITEM_ROUTINE_EX
    PVOID IoObject;
    PVOID Context;
    LIST_ENTRY AllocatedEntry; // on IopAllocated; Flink NULL: the memory is the driver's
    ULONG_PTR Caller;          // who allocated it
};

static KSPIN_LOCK IopLock;
static LIST_ENTRY IopWork = {&IopWork, &IopWork};
static ULONG64 IopQueued; // items since start
static LIST_ENTRY IopAllocated = {&IopAllocated, &IopAllocated};
static LIST_ENTRY IopWaiters = {&IopWaiters, &IopWaiters}; // in IoWaitForWorkItems

// ---- running ------------------------------------------------------------------------------------
static VOID IopBeginWork(PIO_WORKITEM Item, IOP_WORK *Running)
{
    KIRQL OldIrql = KiAcquireLock(&IopLock);

    *Running = Item->Work;
    RemoveEntryList(&Item->Work.Entry);
    InsertTailList(&IopWork, &Running->Entry);
    Item->Queued = FALSE;
    KiReleaseLock(&IopLock, OldIrql);
}

static VOID IopEndWork(IOP_WORK *Running)
{
    KIRQL OldIrql = KiAcquireLock(&IopLock);

    RemoveEntryList(&Running->Entry);
    for (PLIST_ENTRY Entry = IopWaiters.Flink; Entry != &IopWaiters; Entry = Entry->Flink)
        KeSetEvent(&CONTAINING_RECORD(Entry, IOP_WAITER, Entry)->Ended, IO_NO_INCREMENT, FALSE);
    KiReleaseLock(&IopLock, OldIrql);
}

static VOID NTAPI IopRunWorkItem(PVOID Parameter)
{
    PIO_WORKITEM Item = Parameter;
    PVOID IoObject = Item->IoObject, Context = Item->Context;
    BOOLEAN Extended = Item->Extended;
    IOP_WORK Running;

    IopBeginWork(Item, &Running);
    if (Extended)
        ((PIO_WORKITEM_ROUTINE_EX)Running.Routine)(IoObject, Context, Item);
    else
        ((PIO_WORKITEM_ROUTINE)Running.Routine)(IoObject, Context);
    IopEndWork(&Running);
}

// ---- waiting ------------------------------------------------------------------------------------
// The next in [Start, End) among the first Last that were queued. Under IopLock.
static IOP_WORK *IopNextWork(PLIST_ENTRY Entry, ULONG_PTR Start, ULONG_PTR End, ULONG64 Last)
{
    for (Entry = Entry->Flink; Entry != &IopWork; Entry = Entry->Flink) {
        IOP_WORK *Work = CONTAINING_RECORD(Entry, IOP_WORK, Entry);
        if (Work->Routine - Start < End - Start && Work->Number <= Last)
            return Work;
    }
    return NULL;
}

// *Last: 0 stands for all, and becomes how many were queued so far.
static BOOLEAN IopHasWork(ULONG_PTR Start, ULONG_PTR End, ULONG64 *Last)
{
    KIRQL OldIrql = KiAcquireLock(&IopLock);
    BOOLEAN Has;

    if (*Last == 0)
        *Last = IopQueued;
    Has = IopNextWork(&IopWork, Start, End, *Last) != NULL;
    KiReleaseLock(&IopLock, OldIrql);
    return Has;
}

// Returns how many routines there are. One that runs and is queued again is said once.
static ULONG IopReportWork(ULONG_PTR Start, ULONG_PTR End, const char *Component, const char *What)
{
    KIRQL OldIrql = KiAcquireLock(&IopLock);
    IOP_WORK *Work = IopNextWork(&IopWork, Start, End, IopQueued);
    ULONG_PTR Said = 0;
    ULONG Count = 0;
    char Name[128];

    for (; Work != NULL; Work = IopNextWork(&Work->Entry, Start, End, IopQueued)) {
        if (Work->Routine == Said)
            continue;
        Said = Work->Routine;
        KdSymbolize(Work->Routine, Name, sizeof(Name));
        KLOG(Component, "%s %s", What, Name);
        Count++;
    }
    KiReleaseLock(&IopLock, OldIrql);
    return Count;
}

BOOLEAN IoHasWorkItems(ULONG_PTR Start, ULONG_PTR End)
{
    ULONG64 Last = 0;

    return IopHasWork(Start, End, &Last);
}

BOOLEAN IoWaitForWorkItems(ULONG_PTR Start, ULONG_PTR End)
{
    LARGE_INTEGER Long = {.QuadPart = -(LONGLONG)LONG_WAIT * 10000000};
    BOOLEAN Waited = FALSE;
    IOP_WAITER Waiter;
    ULONG64 Last = 0;
    KIRQL OldIrql;

    KeInitializeEvent(&Waiter.Ended, SynchronizationEvent, FALSE);
    OldIrql = KiAcquireLock(&IopLock);
    InsertTailList(&IopWaiters, &Waiter.Entry);
    KiReleaseLock(&IopLock, OldIrql);
    for (; IopHasWork(Start, End, &Last); Waited = TRUE)
        if (KeWaitForSingleObject(&Waiter.Ended, Executive, KernelMode, FALSE, &Long) ==
            STATUS_TIMEOUT)
            IopReportWork(Start, End, "io", "the unload waits for a work item's routine:");
    OldIrql = KiAcquireLock(&IopLock);
    RemoveEntryList(&Waiter.Entry);
    KiReleaseLock(&IopLock, OldIrql);
    return Waited;
}

// ---- queueing -----------------------------------------------------------------------------------
static VOID IopQueue(PIO_WORKITEM Item, ULONG_PTR Routine, BOOLEAN Extended, PVOID Context,
                     WORK_QUEUE_TYPE QueueType)
{
    KIRQL OldIrql = KiAcquireLock(&IopLock);

    if (Item->Queued)
        KiBugCheck(WORKER_INVALID, 1, (ULONG_PTR)Item, Item->Work.Routine, 0, NULL,
                   "A work item was queued that is queued already.");
    Item->Queued = TRUE;
    Item->Work.Routine = Routine;
    Item->Extended = Extended;
    Item->Context = Context;
    Item->Work.Number = ++IopQueued;
    InsertTailList(&IopWork, &Item->Work.Entry);
    KiReleaseLock(&IopLock, OldIrql);
    ExInitializeWorkItem(&Item->Item, IopRunWorkItem, Item);
    ExQueueWorkItem(&Item->Item, QueueType);
}

// IoQueueWorkItem: has WorkerRoutine called in a system thread, with the item's device object and
// Context, once. The item may be queued again, or freed, as soon as it runs.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck WORKER_INVALID (1, the item, its routine, 0) when it is
// queued. Source: WDK wdm.h, IoQueueWorkItem.
VOID NTAPI IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine,
                           WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    IopQueue(IoWorkItem, (ULONG_PTR)WorkerRoutine, FALSE, Context, QueueType);
}
EXPORT(IoQueueWorkItem, DISPATCH_LEVEL, "WDK wdm.h IoQueueWorkItem");

// IoQueueWorkItemEx: the same for a routine that is also given the item.
// IRQL, Fails: as IoQueueWorkItem. Source: WDK wdm.h, IoQueueWorkItemEx.
VOID NTAPI IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine,
                             WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    IopQueue(IoWorkItem, (ULONG_PTR)WorkerRoutine, TRUE, Context, QueueType);
}
EXPORT(IoQueueWorkItemEx, DISPATCH_LEVEL, "WDK wdm.h IoQueueWorkItemEx");

// ---- items --------------------------------------------------------------------------------------

// IoSizeofWorkItem: bytes that a work item takes.
// IRQL: any. Source: WDK wdm.h, IoSizeofWorkItem.
ULONG NTAPI IoSizeofWorkItem(VOID)
{
    return sizeof(struct _IO_WORKITEM);
}
EXPORT(IoSizeofWorkItem, EXPORT_ANY_IRQL, "WDK wdm.h IoSizeofWorkItem");

// IoInitializeWorkItem: makes a work item in the caller's memory, nonpaged, of IoSizeofWorkItem
// bytes.
//   IoObject  the driver's own driver or device object, for the routine.
// IRQL: any. Source: WDK wdm.h, IoInitializeWorkItem.
VOID NTAPI IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem)
{
    memset(IoWorkItem, 0, sizeof(*IoWorkItem));
    IoWorkItem->IoObject = IoObject;
}
EXPORT(IoInitializeWorkItem, EXPORT_ANY_IRQL, "WDK wdm.h IoInitializeWorkItem");

static VOID IopCheckNotQueued(PIO_WORKITEM Item)
{
    if (Item->Queued)
        KiBugCheck(WORKER_INVALID, 0, (ULONG_PTR)Item, (ULONG_PTR)Item, (ULONG_PTR)(Item + 1), NULL,
                   "A work item was freed that is queued.");
}

// IoUninitializeWorkItem: the memory is a work item no longer.
// IRQL: any. Fails: bugcheck WORKER_INVALID (0, the item, its start and end) while it is queued.
// Source: WDK wdm.h, IoUninitializeWorkItem.
VOID NTAPI IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem)
{
    IopCheckNotQueued(IoWorkItem);
}
EXPORT(IoUninitializeWorkItem, EXPORT_ANY_IRQL, "WDK wdm.h IoUninitializeWorkItem");

// IoAllocateWorkItem: a new work item for DeviceObject.
// IRQL: <= DISPATCH_LEVEL. Fails: NULL. Source: WDK wdm.h, IoAllocateWorkItem.
PIO_WORKITEM NTAPI IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject)
{
    ULONG_PTR Caller = KiReturnAddress();
    PIO_WORKITEM Item =
        ExAllocatePoolOnBehalf(NonPagedPoolNx, sizeof(*Item), WORK_ITEM_TAG, Caller);
    KIRQL OldIrql;

    if (Item == NULL)
        return NULL;
    IoInitializeWorkItem(DeviceObject, Item);
    Item->Caller = Caller;
    OldIrql = KiAcquireLock(&IopLock);
    InsertTailList(&IopAllocated, &Item->AllocatedEntry);
    KiReleaseLock(&IopLock, OldIrql);
    return Item;
}
EXPORT(IoAllocateWorkItem, DISPATCH_LEVEL, "WDK wdm.h IoAllocateWorkItem");

// IoFreeWorkItem: frees an item of IoAllocateWorkItem.
// IRQL: <= DISPATCH_LEVEL. Fails: as IoUninitializeWorkItem. Source: WDK wdm.h, IoFreeWorkItem.
VOID NTAPI IoFreeWorkItem(PIO_WORKITEM IoWorkItem)
{
    KIRQL OldIrql;

    IopCheckNotQueued(IoWorkItem);
    OldIrql = KiAcquireLock(&IopLock);
    RemoveEntryList(&IoWorkItem->AllocatedEntry);
    KiReleaseLock(&IopLock, OldIrql);
    ExFreePoolWithTag(IoWorkItem, WORK_ITEM_TAG);
}
EXPORT(IoFreeWorkItem, DISPATCH_LEVEL, "WDK wdm.h IoFreeWorkItem");

static ULONG IopWorkItemLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    KIRQL OldIrql = KiAcquireLock(&IopLock);
    ULONG Count = 0;
    char Name[128];

    for (PLIST_ENTRY Entry = IopAllocated.Flink; Entry != &IopAllocated; Entry = Entry->Flink) {
        PIO_WORKITEM Item = CONTAINING_RECORD(Entry, struct _IO_WORKITEM, AllocatedEntry);
        if (Item->Caller - Start >= End - Start)
            continue;
        KdSymbolize(Item->Caller, Name, sizeof(Name));
        KLOG("leak", "work item 0x%p, allocated by %s, not freed", (PVOID)Item, Name);
        Count++;
    }
    KiReleaseLock(&IopLock, OldIrql);
    return Count;
}
LEAK_SOURCE(ioworkitems, "work items", IopWorkItemLeaks);

static ULONG IopWorkLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    return IopReportWork(Start, End, "leak", "a work item's routine is called again and again:");
}
LEAK_SOURCE(iowork, "work item routines", IopWorkLeaks);
