// SPDX-License-Identifier: MIT
// A work item's routine waits for ever: the unload waits for it, and says so
// Status: 124
// Options: --timeout 6
// Says: the unload waits for a work item's routine: work_item_never_returns.sys
// Says: WaitForEver
#include "broken.h"

static KEVENT Never;

static VOID NTAPI WaitForEver(PDEVICE_OBJECT Device, PVOID Item)
{
    UNREFERENCED_PARAMETER(Device);
    KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
    IoFreeWorkItem(Item);
}

BREAK
{
    PIO_WORKITEM Item = IoAllocateWorkItem((PDEVICE_OBJECT)&Never);

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    IoQueueWorkItem(Item, WaitForEver, DelayedWorkQueue, Item);
    return STATUS_SUCCESS;
}
