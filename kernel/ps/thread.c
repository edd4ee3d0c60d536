// SPDX-License-Identifier: MIT
// System threads: creating them, ending them, and taking back their stacks.
//
// A thread object is an ETHREAD that begins with ke's KTHREAD. The running thread holds one
// reference to itself; its handle another. It ends by PsTerminateSystemThread or by returning from
// its start routine. Since it cannot free the stack that it runs on, it leaves that to a work item
// of its own (PspReap), which waits until the processor has let go of the thread and then drops the
// thread's own reference.
//
// A thread that ends must have undone what it did to itself: at PASSIVE_LEVEL, in no critical or
// guarded region (KERNEL_APC_PENDING_DURING_EXIT: 0, the disable counts, the IRQL, the thread),
// owning no mutex (THREAD_TERMINATE_HELD_MUTEX), not in a callout on an expanded stack. APCs that
// it has not run are run down.
//
// An unloaded driver's threads would run in freed memory: they count as left behind, with the place
// that they run (LEAK_SOURCE in ke/thread.c). `!threads` prints all. Tests: tests/guest/threads.c.
#include "psp.h"

#ifdef _AMD64_
#define STACK_PAGES 6u // 24 KiB
#else
#define STACK_PAGES 3u // 12 KiB
#endif

static VOID PspDeleteThread(PVOID Object);

static OBJECT_TYPE PspThreadType = {
    .Self = &PspThreadType,
    .Name = "Thread",
    .BodySize = sizeof(ETHREAD),
    .WaitOffset = FIELD_OFFSET(ETHREAD, Tcb.Header),
    .ValidAccess = 0x1FFFFF,
    .Delete = PspDeleteThread,
};
POBJECT_TYPE PsThreadType = &PspThreadType;
EXPORT_VARIABLE(PsThreadType, "WDK wdm.h PsThreadType");

static volatile LONG PspNextId = 4; // the system process has 4, threads follow

VOID PspAdoptThread(PETHREAD Thread, ULONG_PTR Caller)
{
    Thread->Process = PsInitialSystemProcess;
    Thread->Cid.UniqueProcess = PsInitialSystemProcess->UniqueProcessId;
    Thread->Cid.UniqueThread =
        (HANDLE)(LONG_PTR)__atomic_add_fetch(&PspNextId, 4, __ATOMIC_RELAXED);
    Thread->Caller = Caller;
    Thread->ExitStatus = STATUS_PENDING;
}

VOID PspCountThread(PETHREAD Thread)
{
    __atomic_fetch_add(&Thread->Process->ActiveThreads, 1, __ATOMIC_RELAXED);
}

PVOID PspCurrentThread(VOID)
{
    return KiCurrentThread();
}

// ---- beginning ----------------------------------------------------------------------------------
static VOID PspThreadStartup(PKSTART_ROUTINE StartRoutine, PVOID StartContext)
{
    StartRoutine(StartContext);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

// The new thread's object, with one reference, the thread's own. It does not run yet. Fails: NULL.
static PETHREAD PspCreateThread(const KE_THREAD *What, ULONG_PTR Caller)
{
    KE_THREAD Full = *What;
    PETHREAD Thread = ObCreateTypedObject(PsThreadType, Caller);

    if (Thread == NULL)
        return NULL;
    Full.StackBase = MmCreateKernelStack(STACK_PAGES);
    if (Full.StackBase == NULL) {
        ObfDereferenceObject(Thread);
        return NULL;
    }
    Full.StackLimit = (PUCHAR)Full.StackBase - STACK_PAGES * PAGE_SIZE;
    Full.SystemRoutine = PspThreadStartup;
    KeInitializeThread(&Thread->Tcb, &Full);
    Thread->StackPages = STACK_PAGES;
    PspAdoptThread(Thread, Caller);
    return Thread;
}

static VOID PspStartThread(PETHREAD Thread)
{
    PspCountThread(Thread); // not earlier: it may yet come to nothing
    KeStartThread(&Thread->Tcb);
}

NTSTATUS PsStartKernelThread(PKSTART_ROUTINE Routine, PVOID Context, KPRIORITY Priority,
                             const char *Name)
{
    KE_THREAD What = {
        .Priority = Priority, .StartRoutine = Routine, .StartContext = Context, .Name = Name};
    PETHREAD Thread = PspCreateThread(&What, KiReturnAddress());

    if (Thread == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    PspStartThread(Thread);
    return STATUS_SUCCESS;
}

// PsCreateSystemThread: a new thread calls StartRoutine(StartContext), at PASSIVE_LEVEL.
//   ThreadHandle      receives a handle, to be closed by ZwClose.
//   DesiredAccess     the handle's rights.
//   ObjectAttributes  OBJ_KERNEL_HANDLE; may be NULL.
//   ProcessHandle     NULL or the system process's: the system process.
//   ClientId          receives the thread's ids; may be NULL.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_HANDLE (ProcessHandle).
// Source: WDK wdm.h, PsCreateSystemThread.
NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess,
                                    POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle,
                                    PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext)
{
    ULONG Attributes = ObjectAttributes != NULL ? ObjectAttributes->Attributes : 0;
    KE_THREAD What = {
        .Priority = PS_SYSTEM_PRIORITY, .StartRoutine = StartRoutine, .StartContext = StartContext};
    PETHREAD Thread;
    NTSTATUS Status;

    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    if (!PspIsSystemProcess(ProcessHandle))
        return STATUS_INVALID_HANDLE;
    Thread = PspCreateThread(&What, KiReturnAddress());
    if (Thread == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Status = ObCreateHandle(Thread, DesiredAccess, Attributes, KiReturnAddress(), ThreadHandle);
    if (!NT_SUCCESS(Status)) {
        ObfDereferenceObject(Thread);
        return Status;
    }
    if (ClientId != NULL)
        *ClientId = Thread->Cid;
    PspStartThread(Thread);
    return STATUS_SUCCESS;
}
EXPORT(PsCreateSystemThread, PASSIVE_LEVEL, "WDK wdm.h PsCreateSystemThread");

// ---- ending -------------------------------------------------------------------------------------
static VOID PspDeleteThread(PVOID Object)
{
    PETHREAD Thread = Object;

    if (Thread->StackPages != 0)
        MmDeleteKernelStack(Thread->Tcb.StackBase, Thread->StackPages);
}

static VOID NTAPI PspReap(PVOID Parameter)
{
    PETHREAD Thread = Parameter;
    LARGE_INTEGER Tick = {.QuadPart = -1};

    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    while (
        !KeThreadHasLeft(&Thread->Tcb)) // signalled, and just switching away on another processor
        KeDelayExecutionThread(KernelMode, FALSE, &Tick);
    ObfDereferenceObject(Thread);
}

static VOID PspRunDownApcs(PETHREAD Thread, KPROCESSOR_MODE Mode)
{
    PKAPC Apc;

    while ((Apc = KeFlushApc(&Thread->Tcb, Mode)) != NULL) {
        if (Apc->RundownRoutine != NULL)
            Apc->RundownRoutine(Apc);
        else
            ExFreePool(Apc);
    }
}

static VOID PspCheckExit(PETHREAD Thread)
{
    if (KiGetIrql() != PASSIVE_LEVEL || Thread->Tcb.CombinedApcDisable != 0)
        KiBugCheck(KERNEL_APC_PENDING_DURING_EXIT, 0, Thread->Tcb.CombinedApcDisable, KiGetIrql(),
                   (ULONG_PTR)Thread, NULL,
                   KiGetIrql() != PASSIVE_LEVEL
                       ? "A thread ended at a raised IRQL."
                       : "A thread ended in a critical or guarded region, or owning a mutex.");
    if (Thread->Tcb.CalloutFrame != NULL)
        KiBugCheck(KERNEL_APC_PENDING_DURING_EXIT, 1, (ULONG_PTR)Thread->Tcb.CalloutFrame, 0,
                   (ULONG_PTR)Thread, NULL,
                   "A thread ended inside a routine that runs on an expanded stack.");
    KeCheckFreedMemory(Thread->Tcb.StackLimit, Thread->StackPages * PAGE_SIZE);
}

static DECLSPEC_NORETURN VOID PspExitThread(PETHREAD Thread, NTSTATUS ExitStatus)
{
    Thread->ExitStatus = ExitStatus;
    PspRunDownApcs(Thread, KernelMode);
    PspRunDownApcs(Thread, UserMode);
    __atomic_fetch_sub(&Thread->Process->ActiveThreads, 1, __ATOMIC_RELAXED);
    ExInitializeWorkItem(&Thread->ReapItem, PspReap, Thread);
    ExQueueWorkItem(&Thread->ReapItem, HyperCriticalWorkQueue);
    KeTerminateThread(0);
}

// PsTerminateSystemThread: ends the thread that calls it. Returns only when it fails.
// IRQL: PASSIVE_LEVEL. Fails: bugcheck KERNEL_APC_PENDING_DURING_EXIT, THREAD_TERMINATE_HELD_MUTEX,
// see above. Source: WDK wdm.h, PsTerminateSystemThread.
NTSTATUS NTAPI PsTerminateSystemThread(NTSTATUS ExitStatus)
{
    PETHREAD Thread = (PETHREAD)KiCurrentThread();

    PspCheckExit(Thread);
    PspExitThread(Thread, ExitStatus);
}
EXPORT(PsTerminateSystemThread, PASSIVE_LEVEL, "WDK wdm.h PsTerminateSystemThread");
