// SPDX-License-Identifier: MIT
// A driver that goes while it still has something to do: when its unload routine returns, a DPC
// runs on another processor, which takes its time and then queues a work item. That queues itself
// from its routine, and then the DPC once more, and so on. The last of them queues a DPC that goes
// around the processors, two objects that queue each other: always one of them is queued or runs.
#include "crew.h"

static KDPC Last;
static PIO_WORKITEM Item;
static volatile LONG Begun;
static volatile LONG Items; // times the work item has run

#define ITEMS 150 // far from endless, however slow each
#define HOPS  64

static KDPC Hop[2];
static ULONG Hops;

static VOID GoOn(VOID)
{
    KeSetTargetProcessorDpc(&Hop[Hops % 2], (CCHAR)(Hops % (ULONG)KeNumberProcessors));
    KeInsertQueueDpc(&Hop[Hops % 2], NULL, NULL);
}

static VOID NTAPI RunHop(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeStallExecutionProcessor(20);
    if (++Hops < HOPS)
        GoOn();
    else
        DbgPrint("the last hop has been made\n");
}

static VOID GoAround(VOID)
{
    for (ULONG i = 0; i < 2; i++) {
        KeInitializeDpc(&Hop[i], RunHop, NULL);
        KeSetImportanceDpc(&Hop[i], HighImportance);
    }
    GoOn();
}

static DRIVER_UNLOAD LeaveCallsBehind;

static VOID NTAPI RunLastItem(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    LARGE_INTEGER Moment = {.QuadPart = -100000};

    UNREFERENCED_PARAMETER(DeviceObject);
    KeDelayExecutionThread(KernelMode, FALSE, &Moment); // long enough for the driver to be gone
    Items++;
    if (Items == ITEMS) {
        IoFreeWorkItem(Context);
        DbgPrint("the last work item has run\n");
        GoAround();
    } else if (Items % 2) {
        IoQueueWorkItem(Context, RunLastItem, DelayedWorkQueue, Context);
    } else {
        KeInsertQueueDpc(&Last, NULL, NULL);
    }
}

static VOID NTAPI RunLastDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Begun = TRUE;
    for (ULONG i = 0; i < 1000 && Items == 0; i++)
        KeStallExecutionProcessor(50);
    if (Items == ITEMS - 2)
        DbgPrint("the last DPC has run\n");
    IoQueueWorkItem(Item, RunLastItem, DelayedWorkQueue, Item);
}

static VOID NTAPI LeaveCallsBehind(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeSetSystemAffinityThread(1);
    KeInitializeDpc(&Last, RunLastDpc, NULL);
    KeSetImportanceDpc(&Last, HighImportance);
    KeSetTargetProcessorDpc(&Last, (CCHAR)(KeNumberProcessors - 1));
    KeInsertQueueDpc(&Last, NULL, NULL);
    while (!Begun)
        YieldProcessor();
    KeRevertToUserAffinityThread();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = LeaveCallsBehind;
    Item = IoAllocateWorkItem((PDEVICE_OBJECT)DriverObject);
    return Item != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}
