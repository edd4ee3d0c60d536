// SPDX-License-Identifier: MIT
// io: what drivers connect to the machine with. Requests (IRPs) come with the I/O manager.
#pragma once

#include "ke.h"
#include "nt/nt.h"

// Returns when the work items that are queued or run now, with a routine in [Start, End), have
// ended: whether there was one. They may have been queued again. IRQL: PASSIVE_LEVEL.
BOOLEAN IoWaitForWorkItems(ULONG_PTR Start, ULONG_PTR End);
BOOLEAN IoHasWorkItems(ULONG_PTR Start, ULONG_PTR End); // whether there are such. IRQL: the same

// The PCI function behind a physical device object that IoReportDetectedDevice gave out.
typedef struct _IO_PCI_FUNCTION {
    ULONG Bus, Device, Function;
} IO_PCI_FUNCTION;
const IO_PCI_FUNCTION *
IopPciFunctionOf(PDEVICE_OBJECT PhysicalDeviceObject); // NULL: no such object
// The start of the driver that reported the function at this place; NULL: none did.
PVOID IopReporterOf(ULONG Bus, ULONG Device, ULONG Function);

// ---- work items (workitem.c) --------------------------------------------------------------------
VOID NTAPI IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine,
                           WORK_QUEUE_TYPE QueueType, PVOID Context);
VOID NTAPI IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine,
                             WORK_QUEUE_TYPE QueueType, PVOID Context);
ULONG NTAPI IoSizeofWorkItem(VOID);
VOID NTAPI IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem);
VOID NTAPI IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem);
PIO_WORKITEM NTAPI IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject);
VOID NTAPI IoFreeWorkItem(PIO_WORKITEM IoWorkItem);
