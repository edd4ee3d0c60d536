// SPDX-License-Identifier: MIT
// Every request fails: each routine that needs memory says so, and the driver goes on
// Status: 0
// Options: --options /FAULTS=10000
// Says: 12 routines said that there is no memory
#include "broken.h"

#include <lkddk.h>

NTSYSAPI NTSTATUS NTAPI ZwCreateEvent(PHANDLE Handle, ACCESS_MASK Access,
                                      POBJECT_ATTRIBUTES Attributes, EVENT_TYPE Type,
                                      BOOLEAN State);
NTSYSAPI NTSTATUS NTAPI ZwWaitForMultipleObjects(ULONG Count, PHANDLE Handles, WAIT_TYPE Type,
                                                 BOOLEAN Alertable, PLARGE_INTEGER Timeout);
NTKERNELAPI NTSTATUS NTAPI ObOpenObjectByPointer(PVOID Object, ULONG Attributes,
                                                 PACCESS_STATE AccessState, ACCESS_MASK Access,
                                                 POBJECT_TYPE Type, KPROCESSOR_MODE Mode,
                                                 PHANDLE Handle);

typedef VOID NTAPI CALLOUT(PVOID Parameter);
NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCallout(CALLOUT Callout, PVOID Parameter,
                                                         SIZE_T Size);
NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCalloutEx(CALLOUT Callout, PVOID Parameter,
                                                           SIZE_T Size, BOOLEAN Wait,
                                                           PVOID Context);

#define HANDLES 4096u // more than the table holds

static HANDLE Handles[HANDLES];
static ULONG Said;

static VOID Note(const char *Routine, BOOLEAN SaidSo)
{
    Said += SaidSo;
    if (!SaidSo)
        DbgPrint("# %s found memory, or said something else\n", Routine);
}

#define STATUS_OF(Call) Note(#Call, (Call) == STATUS_INSUFFICIENT_RESOURCES)
#define NOTHING_OF(Call) Note(#Call, (Call) == NULL)

static VOID NTAPI Nothing(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
}

static VOID NTAPI Called(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static VOID Callbacks(VOID)
{
    UNICODE_STRING Mine = RTL_CONSTANT_STRING(L"\\Callback\\NoMemory");
    UNICODE_STRING Known = RTL_CONSTANT_STRING(L"\\Callback\\SetSystemTime");
    OBJECT_ATTRIBUTES Attributes;
    PCALLBACK_OBJECT Object;

    InitializeObjectAttributes(&Attributes, &Mine, OBJ_CASE_INSENSITIVE, NULL, NULL);
    STATUS_OF(ExCreateCallback(&Object, &Attributes, TRUE, TRUE));
    InitializeObjectAttributes(&Attributes, &Known, OBJ_CASE_INSENSITIVE, NULL, NULL);
    if (NT_SUCCESS(ExCreateCallback(&Object, &Attributes, FALSE, FALSE))) {
        NOTHING_OF(ExRegisterCallback(Object, Called, NULL));
        ObDereferenceObject(Object);
    }
}

// Handles of the thread, until the table would have to grow; more than a few at a time are waited
// for with memory.
static VOID HandlesOfTheThread(VOID)
{
    LARGE_INTEGER Now = {.QuadPart = 0};
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Count = 0;

    while (Count < HANDLES && NT_SUCCESS(Status)) {
        Status = ObOpenObjectByPointer(KeGetCurrentThread(), OBJ_KERNEL_HANDLE, NULL,
                                       THREAD_ALL_ACCESS, *PsThreadType, KernelMode,
                                       &Handles[Count]);
        Count += NT_SUCCESS(Status);
    }
    Note("ObOpenObjectByPointer", Status == STATUS_INSUFFICIENT_RESOURCES);
    STATUS_OF(ZwWaitForMultipleObjects(16, Handles, WaitAny, FALSE, &Now));
    while (Count-- > 0)
        ZwClose(Handles[Count]);
}

// Neither calls the routine.
static VOID NTAPI CountCall(PVOID Calls)
{
    ++*(PULONG)Calls;
}

static VOID Stacks(VOID)
{
    ULONG Calls = 0;
    KIRQL OldIrql;
    NTSTATUS Status;

    Status = KeExpandKernelStackAndCallout(CountCall, &Calls, 48 * 1024);
    Note("KeExpandKernelStackAndCallout", Status == STATUS_NO_MEMORY && Calls == 0);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Status = KeExpandKernelStackAndCalloutEx(CountCall, &Calls, 48 * 1024, FALSE, NULL);
    KeLowerIrql(OldIrql);
    Note("KeExpandKernelStackAndCalloutEx", Status == STATUS_NO_MEMORY && Calls == 0);
}

BREAK
{
    ULONG Resolution = ExSetTimerResolution(0, FALSE);
    HANDLE Handle;

    STATUS_OF(ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, NULL, NotificationEvent, FALSE));
    STATUS_OF(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Nothing, NULL));
    NOTHING_OF(ExAllocateTimer(NULL, NULL, 0));
    NOTHING_OF(ExAllocateCacheAwareRundownProtection(NonPagedPool, 'meMN'));
    NOTHING_OF(IoAllocateWorkItem((PDEVICE_OBJECT)&Said));
    Note("ExSetTimerResolution", ExSetTimerResolution(10000, TRUE) == Resolution);
    Callbacks();
    Stacks();
    HandlesOfTheThread();
    DbgPrint("%u routines said that there is no memory\n", Said);
    return STATUS_SUCCESS;
}
