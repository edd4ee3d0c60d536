// SPDX-License-Identifier: MIT
// A work item that queues itself from its routine, when the driver has gone and for ever
// Status: 4
// Options: --smp 2
// Says: its DPCs and work items queue each other without end
// Says: a work item's routine is called again and again: work_item_without_end.sys
// Says: QueueItself
// Says: work_item_without_end.sys stays in memory: its work items queue themselves without end
#include "broken.h"

static VOID NTAPI QueueItself(PDEVICE_OBJECT Device, PVOID Item)
{
    UNREFERENCED_PARAMETER(Device);
    IoQueueWorkItem(Item, QueueItself, DelayedWorkQueue, Item);
}

static VOID NTAPI GoWithoutStopping(PDRIVER_OBJECT DriverObject)
{
    PIO_WORKITEM Item = IoAllocateWorkItem((PDEVICE_OBJECT)DriverObject);

    IoQueueWorkItem(Item, QueueItself, DelayedWorkQueue, Item);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = GoWithoutStopping;
    return STATUS_SUCCESS;
}
