// SPDX-License-Identifier: MIT
// Three error paths, each wrong in its own way: no check, a leak, a second free. Without failures
// the driver is without blame.
#include "../guest.h"

#define TAG 'htaP'

static PVOID Blocks[3];

static VOID GiveBack(ULONG Count)
{
    for (ULONG i = 0; i < Count; i++)
        ExFreePoolWithTag(Blocks[i], TAG);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    GiveBack(RTL_NUMBER_OF(Blocks));
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    Blocks[0] = ExAllocatePoolWithTag(NonPagedPool, 100, TAG);
    *(volatile UCHAR *)Blocks[0] = 1;
    Blocks[1] = ExAllocatePoolWithTag(PagedPool, 200, TAG);
    if (Blocks[1] == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Blocks[2] = ExAllocatePoolWithTag(PagedPool, 300, TAG);
    if (Blocks[2] == NULL) {
        GiveBack(2);
        GiveBack(1);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    return STATUS_SUCCESS;
}
