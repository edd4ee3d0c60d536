// SPDX-License-Identifier: MIT
// Work items: the executive's, and those of device objects.
#include "crew.h"

NTKERNELAPI BOOLEAN NTAPI PsIsSystemThread(PETHREAD Thread);

static KEVENT Ran;
static PVOID SeenObject, SeenContext, SeenItem;
static KIRQL SeenIrql;
static BOOLEAN SeenSystem;

static VOID Note(PVOID Object, PVOID Context, PVOID Item)
{
    SeenObject = Object;
    SeenContext = Context;
    SeenItem = Item;
    SeenIrql = KeGetCurrentIrql();
    SeenSystem = PsIsSystemThread(PsGetCurrentThread());
    KeSetEvent(&Ran, 0, FALSE);
}

static VOID NTAPI Plain(PVOID Context)
{
    Note(NULL, Context, NULL);
}

static VOID NTAPI OfObject(PDEVICE_OBJECT Object, PVOID Context)
{
    Note(Object, Context, NULL);
}

static VOID NTAPI OfObjectEx(PVOID Object, PVOID Context, PIO_WORKITEM Item)
{
    Note(Object, Context, Item);
}

static VOID WaitUntilRan(VOID)
{
    KeWaitForSingleObject(&Ran, Executive, KernelMode, FALSE, NULL);
    CHECK_EQUAL(SeenIrql, PASSIVE_LEVEL);
    CHECK(SeenSystem);
}

static VOID AllQueuesServe(VOID)
{
    static const WORK_QUEUE_TYPE Types[] = {CriticalWorkQueue, DelayedWorkQueue,
                                            HyperCriticalWorkQueue};
    WORK_QUEUE_ITEM Item;

    KeInitializeEvent(&Ran, SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Types); i++) {
        ExInitializeWorkItem(&Item, Plain, (PVOID)(ULONG_PTR)(i + 1));
        ExQueueWorkItem(&Item, Types[i]);
        WaitUntilRan();
        CHECK_EQUAL((ULONG_PTR)SeenContext, i + 1);
    }
}

static VOID DeviceWorkItemsRun(VOID)
{
    PDEVICE_OBJECT Object = (PDEVICE_OBJECT)&Ran; // passed on and not looked at
    PIO_WORKITEM Item = IoAllocateWorkItem(Object);

    KeInitializeEvent(&Ran, SynchronizationEvent, FALSE);
    CHECK(Item != NULL);
    if (Item == NULL)
        return;
    for (ULONG i = 0; i < 3; i++) { // again and again
        IoQueueWorkItem(Item, OfObject, DelayedWorkQueue, (PVOID)&Item);
        WaitUntilRan();
        CHECK(SeenObject == Object);
        CHECK(SeenContext == (PVOID)&Item);
    }
    IoQueueWorkItemEx(Item, OfObjectEx, CriticalWorkQueue, NULL);
    WaitUntilRan();
    CHECK(SeenItem == Item);
    IoFreeWorkItem(Item);
}

static VOID OwnMemoryServes(VOID)
{
    PIO_WORKITEM Item = ExAllocatePoolWithTag(NonPagedPool, IoSizeofWorkItem(), 'krow');

    KeInitializeEvent(&Ran, SynchronizationEvent, FALSE);
    CHECK(Item != NULL);
    if (Item == NULL)
        return;
    IoInitializeWorkItem(&Ran, Item);
    IoQueueWorkItemEx(Item, OfObjectEx, DelayedWorkQueue, &Item);
    WaitUntilRan();
    CHECK(SeenObject == &Ran);
    CHECK(SeenItem == Item);
    IoUninitializeWorkItem(Item);
    ExFreePoolWithTag(Item, 'krow');
}

static VOID NTAPI FreeItself(PVOID Object, PVOID Context, PIO_WORKITEM Item)
{
    IoFreeWorkItem(Item);
    Note(Object, Context, Item);
}

static VOID AnItemMayFreeItself(VOID)
{
    PIO_WORKITEM Item = IoAllocateWorkItem((PDEVICE_OBJECT)&Ran);

    KeInitializeEvent(&Ran, SynchronizationEvent, FALSE);
    CHECK(Item != NULL);
    if (Item == NULL)
        return;
    IoQueueWorkItemEx(Item, FreeItself, DelayedWorkQueue, NULL);
    WaitUntilRan();
}

static volatile LONG Left;

static VOID NTAPI WaitForTheOthers(PVOID Context)
{
    // Each waits until all have begun: with too few threads that would be for ever.
    if (InterlockedDecrement(&Left) == 0)
        KeSetEvent(&Ran, 0, FALSE);
    KeWaitForSingleObject(&Ran, Executive, KernelMode, FALSE, NULL);
    KeSetEvent(Context, 0, FALSE);
}

static VOID ItemsThatWaitForEachOtherRun(VOID)
{
    static WORK_QUEUE_ITEM Items[6];
    static KEVENT Done[6];

    KeInitializeEvent(&Ran, NotificationEvent, FALSE);
    Left = RTL_NUMBER_OF(Items);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Items); i++) {
        KeInitializeEvent(&Done[i], NotificationEvent, FALSE);
        ExInitializeWorkItem(&Items[i], WaitForTheOthers, &Done[i]);
        ExQueueWorkItem(&Items[i], DelayedWorkQueue);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(Items); i++)
        KeWaitForSingleObject(&Done[i], Executive, KernelMode, FALSE, NULL);
    CHECK_EQUAL(Left, 0);
}

static const GUEST_CASE Cases[] = {
    {"every work queue runs its items at PASSIVE_LEVEL", AllQueuesServe},
    {"a device's work item runs, again and again", DeviceWorkItemsRun},
    {"a work item in the driver's own memory runs", OwnMemoryServes},
    {"a work item may free itself", AnItemMayFreeItself},
    {"items that wait for each other all run", ItemsThatWaitForEachOtherRun},
};

// What is queued at the very end runs before the driver goes.
static VOID NTAPI SlowFarewell(PVOID Object, PVOID Context, PIO_WORKITEM Item)
{
    CrewPause();
    CrewPause();
    IoFreeWorkItem(Item);
    DbgPrint("the last work item has run\n");
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(Context);
}

static VOID NTAPI QueueAndGo(PDRIVER_OBJECT DriverObject)
{
    PIO_WORKITEM Item = IoAllocateWorkItem((PDEVICE_OBJECT)DriverObject);

    if (Item != NULL)
        IoQueueWorkItemEx(Item, SlowFarewell, DelayedWorkQueue, NULL);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = QueueAndGo;
    return GuestRun(Cases, RTL_NUMBER_OF(Cases));
}
