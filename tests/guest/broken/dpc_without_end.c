// SPDX-License-Identifier: MIT
// DPCs that queue each other, on different processors, when the driver has gone and for ever
// Status: 4
// Options: --smp 2
// Says: its DPCs and work items queue each other without end
// Says: dpc_without_end.sys left
// Says: QueueTheOther
#include "broken.h"

static KDPC Dpc[2];

static VOID NTAPI QueueTheOther(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeInsertQueueDpc(&Dpc[This == &Dpc[0]], NULL, NULL);
}

static VOID NTAPI GoWithoutStopping(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    for (ULONG i = 0; i < 2; i++) {
        KeInitializeDpc(&Dpc[i], QueueTheOther, NULL);
        KeSetTargetProcessorDpc(&Dpc[i], (CCHAR)i);
        KeSetImportanceDpc(&Dpc[i], HighImportance);
    }
    KeInsertQueueDpc(&Dpc[1], NULL, NULL);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = GoWithoutStopping;
    return STATUS_SUCCESS;
}
