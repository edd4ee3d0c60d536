// SPDX-License-Identifier: MIT
// Processes: there is the system process, in which all threads run, and what drivers ask about it.
#include "psp.h"

static OBJECT_TYPE PspProcessType = {
    .Self = &PspProcessType,
    .Name = "Process",
    .BodySize = sizeof(EPROCESS),
    .WaitOffset = FIELD_OFFSET(EPROCESS, Header),
    .ValidAccess = 0x1FFFFF,
};
POBJECT_TYPE PsProcessType = &PspProcessType;
EXPORT_VARIABLE(PsProcessType, "WDK wdm.h PsProcessType");

#define SYSTEM_PROCESS_ID ((HANDLE)(LONG_PTR)4)

PEPROCESS PsInitialSystemProcess;
EXPORT_VARIABLE(PsInitialSystemProcess, "WDK ntddk.h PsInitialSystemProcess");

static PVOID PspCurrentProcess(VOID)
{
    return ((PETHREAD)KiCurrentThread())->Process;
}

BOOLEAN PspIsSystemProcess(HANDLE ProcessHandle)
{
    PVOID Process;
    BOOLEAN Is;

    if (ProcessHandle == NULL)
        return TRUE;
    if (!NT_SUCCESS(
            ObReferenceObjectByHandle(ProcessHandle, 0, PsProcessType, KernelMode, &Process, NULL)))
        return FALSE;
    Is = Process == PsInitialSystemProcess;
    ObfDereferenceObject(Process);
    return Is;
}

VOID PsAdoptIdleThread(PVOID Storage)
{
    PETHREAD Idle = (PETHREAD)((PUCHAR)Storage + OB_HEADER_SIZE);

    ObInitializeStaticObject(Storage, PsThreadType);
    PspAdoptThread(Idle, 0);
    PspCountThread(Idle);
    Idle->Cid.UniqueProcess = Idle->Cid.UniqueThread = NULL; // NT's idle process is 0
}

VOID PsInitialize(VOID)
{
    PETHREAD Idle = (PETHREAD)KiCurrentThread();

    PsInitialSystemProcess = ObCreateTypedObject(PsProcessType, KiReturnAddress());
    VERIFY(PsInitialSystemProcess != NULL);
    PsInitialSystemProcess->Header.Type = ProcessObject;
    InitializeListHead(&PsInitialSystemProcess->Header.WaitListHead);
    PsInitialSystemProcess->UniqueProcessId = SYSTEM_PROCESS_ID;
    memcpy(PsInitialSystemProcess->ImageFileName, "System", sizeof("System"));
    PspInitializeQuota(PsInitialSystemProcess);
    PsAdoptIdleThread((PUCHAR)Idle - OB_HEADER_SIZE);
    ObCurrentProcess = PspCurrentProcess;
    ObCurrentThread = PspCurrentThread;
}

// IoGetCurrentProcess, PsGetCurrentProcess: the process of the thread that runs.
// IRQL: any. Source: WDK wdm.h, IoGetCurrentProcess.
PEPROCESS NTAPI IoGetCurrentProcess(VOID);
PEPROCESS NTAPI IoGetCurrentProcess(VOID)
{
    return PspCurrentProcess();
}
EXPORT(IoGetCurrentProcess, EXPORT_ANY_IRQL, "WDK wdm.h IoGetCurrentProcess");
EXPORT_AS(PsGetCurrentProcess, IoGetCurrentProcess, EXPORT_ANY_IRQL, 0,
          "WDK ntddk.h PsGetCurrentProcess");

// PsGetCurrentProcessId, PsGetCurrentThreadId: the ids of the process and thread that run.
// IRQL: any. Source: WDK ntddk.h.
HANDLE NTAPI PsGetCurrentProcessId(VOID);
HANDLE NTAPI PsGetCurrentProcessId(VOID)
{
    return ((PETHREAD)KiCurrentThread())->Cid.UniqueProcess;
}
EXPORT(PsGetCurrentProcessId, EXPORT_ANY_IRQL, "WDK ntddk.h PsGetCurrentProcessId");

HANDLE NTAPI PsGetCurrentThreadId(VOID);
HANDLE NTAPI PsGetCurrentThreadId(VOID)
{
    return ((PETHREAD)KiCurrentThread())->Cid.UniqueThread;
}
EXPORT(PsGetCurrentThreadId, EXPORT_ANY_IRQL, "WDK ntddk.h PsGetCurrentThreadId");

// PsGetCurrentThread: as KeGetCurrentThread.
// IRQL: any. Source: WDK wdm.h, PsGetCurrentThread.
PETHREAD NTAPI PsGetCurrentThread(VOID);
PETHREAD NTAPI PsGetCurrentThread(VOID)
{
    return (PETHREAD)KiCurrentThread();
}
EXPORT(PsGetCurrentThread, EXPORT_ANY_IRQL, "WDK wdm.h PsGetCurrentThread");

// PsGetProcessId, PsGetThreadId, PsGetThreadProcessId, PsGetThreadProcess: what an object stands
// for. IRQL: any. Source: WDK ntddk.h, ntifs.h.
HANDLE NTAPI PsGetProcessId(PEPROCESS Process);
HANDLE NTAPI PsGetProcessId(PEPROCESS Process)
{
    return Process->UniqueProcessId;
}
EXPORT(PsGetProcessId, EXPORT_ANY_IRQL, "WDK ntddk.h PsGetProcessId");

HANDLE NTAPI PsGetThreadId(PETHREAD Thread);
HANDLE NTAPI PsGetThreadId(PETHREAD Thread)
{
    return Thread->Cid.UniqueThread;
}
EXPORT(PsGetThreadId, EXPORT_ANY_IRQL, "WDK ntddk.h PsGetThreadId");

HANDLE NTAPI PsGetThreadProcessId(PETHREAD Thread);
HANDLE NTAPI PsGetThreadProcessId(PETHREAD Thread)
{
    return Thread->Cid.UniqueProcess;
}
EXPORT(PsGetThreadProcessId, EXPORT_ANY_IRQL, "WDK ntddk.h PsGetThreadProcessId");

PEPROCESS NTAPI PsGetThreadProcess(PETHREAD Thread);
PEPROCESS NTAPI PsGetThreadProcess(PETHREAD Thread)
{
    return Thread->Process;
}
EXPORT(PsGetThreadProcess, EXPORT_ANY_IRQL, "WDK ntifs.h PsGetThreadProcess");
EXPORT_AS(IoThreadToProcess, PsGetThreadProcess, EXPORT_ANY_IRQL, 0,
          "WDK ntifs.h IoThreadToProcess");

// PsIsSystemThread: whether the thread has no user mode. All have none.
// IRQL: any. Source: WDK ntifs.h, PsIsSystemThread.
BOOLEAN NTAPI PsIsSystemThread(PETHREAD Thread);
BOOLEAN NTAPI PsIsSystemThread(PETHREAD Thread)
{
    return Thread->Process == PsInitialSystemProcess;
}
EXPORT(PsIsSystemThread, EXPORT_ANY_IRQL, "WDK ntifs.h PsIsSystemThread");

// PsLookupProcessByProcessId: the process with this id, with a reference added.
// IRQL: <= APC_LEVEL. Fails: STATUS_INVALID_PARAMETER. Source: WDK ntifs.h,
// PsLookupProcessByProcessId.
NTSTATUS NTAPI PsLookupProcessByProcessId(HANDLE ProcessId, PEPROCESS *Process);
NTSTATUS NTAPI PsLookupProcessByProcessId(HANDLE ProcessId, PEPROCESS *Process)
{
    if (ProcessId != SYSTEM_PROCESS_ID)
        return STATUS_INVALID_PARAMETER;
    ObfReferenceObject(PsInitialSystemProcess);
    *Process = PsInitialSystemProcess;
    return STATUS_SUCCESS;
}
EXPORT(PsLookupProcessByProcessId, APC_LEVEL, "WDK ntifs.h PsLookupProcessByProcessId");
