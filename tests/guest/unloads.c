// SPDX-License-Identifier: MIT
// A driver that goes while it still has something to do: when its unload routine returns, a DPC
// runs on another processor, which takes its time and then queues a work item.
#include "crew.h"

static KDPC Last;
static PIO_WORKITEM Item;
static volatile LONG Begun;
static DRIVER_UNLOAD LeaveCallsBehind;

static VOID NTAPI RunLastItem(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    IoFreeWorkItem(Context);
    DbgPrint("the last work item has run\n");
}

static VOID NTAPI RunLastDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Begun = TRUE;
    for (ULONG i = 0; i < 1000; i++)
        KeStallExecutionProcessor(50);
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
