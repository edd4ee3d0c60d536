// SPDX-License-Identifier: MIT
// Objects, handles, events by handle, ids of threads and processes, quotas: what they return,
// refusals included. And small queries that nothing else asks.
#include <ntifs.h>
#include "crew.h"

typedef VOID(NTAPI *CALLOUT)(PVOID Parameter);

NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCalloutEx(CALLOUT Callout, PVOID Parameter,
                                                           SIZE_T Size, BOOLEAN Wait,
                                                           PVOID Context);
NTKERNELAPI NTSTATUS NTAPI ObCloseHandle(HANDLE Handle, KPROCESSOR_MODE PreviousMode);
NTKERNELAPI POBJECT_TYPE NTAPI ObGetObjectType(PVOID Object);
NTKERNELAPI PVOID NTAPI PsGetThreadProcess(PETHREAD Thread);
NTKERNELAPI BOOLEAN NTAPI KeSetKernelStackSwapEnable(BOOLEAN Enable);
NTKERNELAPI UCHAR NTAPI KeSetIdealProcessorThread(PKTHREAD Thread, UCHAR Processor);
NTKERNELAPI ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY Active);
NTSYSAPI NTSTATUS NTAPI NtSetEvent(HANDLE Event, PLONG Previous);
NTSYSAPI NTSTATUS NTAPI NtWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable,
                                              PLARGE_INTEGER Timeout);
NTSYSAPI NTSTATUS NTAPI ZwResetEvent(HANDLE Event, PLONG Previous);
NTSYSAPI NTSTATUS NTAPI ZwClearEvent(HANDLE Event);
NTSYSAPI NTSTATUS NTAPI ZwWaitForMultipleObjects(ULONG Count, PHANDLE Handles, WAIT_TYPE Type,
                                                 BOOLEAN Alertable, PLARGE_INTEGER Timeout);

#define NO_HANDLE ((HANDLE)(LONG_PTR)0x7FFFFFF0)

static LARGE_INTEGER Zero;

static POBJECT_TYPE FindType(PCWSTR Name)
{
    POBJECT_TYPE *Type = GuestFind(Name);
    return Type != NULL ? *Type : NULL;
}

// ---- events by handle ---------------------------------------------------------------------------
static HANDLE NewEvent(EVENT_TYPE Type, BOOLEAN State)
{
    HANDLE Event = NULL;

    CHECK_EQUAL(ZwCreateEvent(&Event, EVENT_ALL_ACCESS, NULL, Type, State), STATUS_SUCCESS);
    return Event;
}

static VOID EventsAreSetAndReset(VOID)
{
    HANDLE Event = NewEvent(NotificationEvent, FALSE);
    LONG Previous = 7;

    CHECK_EQUAL(ZwWaitForSingleObject(Event, FALSE, &Zero), STATUS_TIMEOUT);
    CHECK_EQUAL(ZwSetEvent(Event, &Previous), STATUS_SUCCESS);
    CHECK_EQUAL(Previous, 0);
    CHECK_EQUAL(NtSetEvent(Event, &Previous), STATUS_SUCCESS);
    CHECK_EQUAL(Previous, 1);
    CHECK_EQUAL(NtWaitForSingleObject(Event, FALSE, &Zero), STATUS_SUCCESS);
    CHECK_EQUAL(ZwResetEvent(Event, &Previous), STATUS_SUCCESS);
    CHECK_EQUAL(Previous, 1);
    CHECK_EQUAL(ZwSetEvent(Event, NULL), STATUS_SUCCESS);
    CHECK_EQUAL(ZwClearEvent(Event), STATUS_SUCCESS);
    CHECK_EQUAL(ZwWaitForSingleObject(Event, FALSE, &Zero), STATUS_TIMEOUT);
    CHECK_EQUAL(NtClose(Event), STATUS_SUCCESS);
    Event = NewEvent(SynchronizationEvent, TRUE);
    CHECK_EQUAL(ZwWaitForSingleObject(Event, FALSE, &Zero), STATUS_SUCCESS);
    CHECK_EQUAL(ZwWaitForSingleObject(Event, FALSE, &Zero), STATUS_TIMEOUT);
    CHECK_EQUAL(ObCloseHandle(Event, KernelMode), STATUS_SUCCESS);
    CHECK_EQUAL(ObCloseHandle(Event, KernelMode), STATUS_INVALID_HANDLE);
}

static VOID EventsRefuse(VOID)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"\\BaseNamedObjects\\Nobody");
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Event = NULL;
    LONG Previous = 7;

    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE, NULL, NULL);
    CHECK_EQUAL(ZwCreateEvent(&Event, EVENT_ALL_ACCESS, NULL, (EVENT_TYPE)2, FALSE),
                STATUS_INVALID_PARAMETER);
    CHECK_EQUAL(ZwCreateEvent(&Event, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, FALSE),
                STATUS_OBJECT_PATH_NOT_FOUND);
    CHECK(Event == NULL);
    CHECK_EQUAL(ZwSetEvent(NO_HANDLE, &Previous), STATUS_INVALID_HANDLE);
    CHECK_EQUAL(ZwResetEvent(NULL, &Previous), STATUS_INVALID_HANDLE);
    CHECK_EQUAL(ZwSetEvent(NtCurrentThread(), &Previous), STATUS_OBJECT_TYPE_MISMATCH);
    CHECK_EQUAL(ZwClearEvent(NtCurrentProcess()), STATUS_OBJECT_TYPE_MISMATCH);
    CHECK_EQUAL(Previous, 7);
    CHECK_EQUAL(ZwWaitForSingleObject(NO_HANDLE, FALSE, &Zero), STATUS_INVALID_HANDLE);
}

static VOID SeveralHandlesAreAwaited(VOID)
{
    HANDLE Events[3] = {NewEvent(SynchronizationEvent, FALSE), NewEvent(NotificationEvent, TRUE),
                        NewEvent(SynchronizationEvent, FALSE)};
    HANDLE Bad[2] = {Events[1], NO_HANDLE}, Twice[2] = {Events[0], Events[0]};

    CHECK_EQUAL(ZwWaitForMultipleObjects(3, Events, WaitAny, FALSE, &Zero), STATUS_WAIT_1);
    CHECK_EQUAL(ZwWaitForMultipleObjects(3, Events, WaitAll, FALSE, &Zero), STATUS_TIMEOUT);
    ZwSetEvent(Events[0], NULL);
    CHECK_EQUAL(ZwWaitForMultipleObjects(3, Events, WaitAll, FALSE, &Zero), STATUS_TIMEOUT);
    ZwSetEvent(Events[2], NULL);
    CHECK_EQUAL(ZwWaitForMultipleObjects(3, Events, WaitAll, FALSE, &Zero), STATUS_SUCCESS);
    CHECK_EQUAL(ZwWaitForSingleObject(Events[0], FALSE, &Zero), STATUS_TIMEOUT);
    ZwSetEvent(Events[0], NULL);
    CHECK_EQUAL(ZwWaitForMultipleObjects(2, Twice, WaitAll, FALSE, &Zero), STATUS_SUCCESS);
    CHECK_EQUAL(ZwWaitForMultipleObjects(0, Events, WaitAny, FALSE, &Zero),
                STATUS_INVALID_PARAMETER_1);
    CHECK_EQUAL(ZwWaitForMultipleObjects(65, Events, WaitAny, FALSE, &Zero),
                STATUS_INVALID_PARAMETER_1);
    CHECK_EQUAL(ZwWaitForMultipleObjects(2, Bad, WaitAny, FALSE, &Zero), STATUS_INVALID_HANDLE);
    for (ULONG i = 0; i < 3; i++)
        CHECK_EQUAL(ZwClose(Events[i]), STATUS_SUCCESS); // the refused waits hold no reference
}

// ---- objects and handles ------------------------------------------------------------------------
static VOID ReferencesAreCounted(VOID)
{
    LONG_PTR(NTAPI * Reference)(PVOID) = (LONG_PTR(NTAPI *)(PVOID))GuestFind(L"ObReferenceObject");
    BOOLEAN(NTAPI * Safe)(PVOID) = (BOOLEAN(NTAPI *)(PVOID))GuestFind(L"ObReferenceObjectSafe");
    HANDLE Handle = NewEvent(NotificationEvent, TRUE);
    POBJECT_TYPE EventType = FindType(L"ExEventObjectType");
    PKEVENT Event = NULL;

    CHECK_EQUAL(ObReferenceObjectByHandle(Handle, EVENT_ALL_ACCESS, EventType, KernelMode,
                                          (PVOID *)&Event, NULL),
                STATUS_SUCCESS);
    if (Event == NULL || Reference == NULL || Safe == NULL)
        return;
    CHECK_EQUAL(Reference(Event), 3); // the handle's, the one before
    CHECK(Safe(Event));
    CHECK_EQUAL(ObReferenceObjectByPointer(Event, EVENT_ALL_ACCESS, EventType, KernelMode),
                STATUS_SUCCESS);
    CHECK_EQUAL(ObReferenceObjectByPointer(Event, 0, *PsThreadType, KernelMode),
                STATUS_OBJECT_TYPE_MISMATCH);
    CHECK_EQUAL(ObReferenceObjectByPointer(Event, 0, NULL, UserMode),
                STATUS_OBJECT_TYPE_MISMATCH);
    CHECK_EQUAL(ObfDereferenceObject(Event), 4);
    ObDereferenceObjectDeferDelete(Event);
    CHECK_EQUAL(ObfDereferenceObject(Event), 2);
    CHECK_EQUAL(ZwClose(Handle), STATUS_SUCCESS);
    CHECK_EQUAL(KeReadStateEvent(Event), 1); // the handle has gone, the object has not
    CHECK_EQUAL(ObfDereferenceObject(Event), 0);
}

static VOID TypesAreTold(VOID)
{
    POBJECT_TYPE EventType = FindType(L"ExEventObjectType");
    POBJECT_TYPE SemaphoreType = FindType(L"ExSemaphoreObjectType");
    POBJECT_TYPE ProcessType = FindType(L"PsProcessType");
    HANDLE Handle = NewEvent(NotificationEvent, FALSE);
    PVOID Object = &Zero;

    CHECK(ObGetObjectType(KeGetCurrentThread()) == *PsThreadType);
    CHECK(ObGetObjectType(PsInitialSystemProcess) == ProcessType);
    CHECK(EventType != SemaphoreType && EventType != *PsThreadType && ProcessType != EventType);
    CHECK_EQUAL(ObReferenceObjectByHandle(Handle, 0, SemaphoreType, KernelMode, &Object, NULL),
                STATUS_OBJECT_TYPE_MISMATCH);
    CHECK(Object == NULL);
    CHECK_EQUAL(ObReferenceObjectByHandle(NO_HANDLE, 0, NULL, KernelMode, &Object, NULL),
                STATUS_INVALID_HANDLE);
    ZwClose(Handle);
}

static VOID RightsBindUserModeAlone(VOID)
{
    OBJECT_HANDLE_INFORMATION Information = {0, 0};
    HANDLE Handle = NULL;
    PVOID Object;

    CHECK_EQUAL(ZwCreateEvent(&Handle, SYNCHRONIZE, NULL, NotificationEvent, FALSE),
                STATUS_SUCCESS);
    CHECK_EQUAL(ObReferenceObjectByHandle(Handle, EVENT_MODIFY_STATE, NULL, UserMode, &Object,
                                          NULL),
                STATUS_ACCESS_DENIED);
    CHECK_EQUAL(ObReferenceObjectByHandle(Handle, EVENT_MODIFY_STATE, NULL, KernelMode, &Object,
                                          &Information),
                STATUS_SUCCESS);
    CHECK_EQUAL(Information.GrantedAccess, SYNCHRONIZE);
    ObDereferenceObject(Object);
    ZwClose(Handle);
}

static VOID PointersBecomeHandles(VOID)
{
    HANDLE Handle = NULL;
    PVOID Thread = NULL;

    CHECK_EQUAL(ObOpenObjectByPointer(KeGetCurrentThread(), OBJ_KERNEL_HANDLE, NULL,
                                      THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &Handle),
                STATUS_SUCCESS);
    CHECK((LONG_PTR)Handle < 0); // a kernel handle
    CHECK_EQUAL(ObReferenceObjectByHandle(Handle, 0, *PsThreadType, KernelMode, &Thread, NULL),
                STATUS_SUCCESS);
    CHECK(Thread == KeGetCurrentThread());
    ObDereferenceObject(Thread);
    CHECK_EQUAL(ObReferenceObjectByHandle(Handle, 0, NULL, UserMode, &Thread, NULL),
                STATUS_INVALID_HANDLE);
    CHECK_EQUAL(ZwClose(Handle), STATUS_SUCCESS);
    CHECK_EQUAL(ObOpenObjectByPointer(KeGetCurrentThread(), 0, NULL, 0,
                                      FindType(L"ExEventObjectType"), KernelMode, &Handle),
                STATUS_OBJECT_TYPE_MISMATCH);
}

// ---- threads and processes ----------------------------------------------------------------------
static VOID IdsAgree(VOID)
{
    PETHREAD Thread = PsGetCurrentThread();
    PEPROCESS Process = NULL;

    CHECK(IoGetCurrentProcess() == PsInitialSystemProcess);
    CHECK(IoThreadToProcess(Thread) == PsInitialSystemProcess);
    CHECK(PsGetThreadProcess(Thread) == (PVOID)PsInitialSystemProcess);
    CHECK(PsGetThreadId(Thread) == PsGetCurrentThreadId());
    CHECK(PsGetThreadProcessId(Thread) == PsGetCurrentProcessId());
    CHECK(PsGetProcessId(PsInitialSystemProcess) == PsGetCurrentProcessId());
    CHECK_EQUAL(PsLookupProcessByProcessId(PsGetCurrentProcessId(), &Process), STATUS_SUCCESS);
    CHECK(Process == PsInitialSystemProcess);
    if (Process != NULL)
        ObDereferenceObject(Process);
    CHECK_EQUAL(PsLookupProcessByProcessId(NO_HANDLE, &Process), STATUS_INVALID_PARAMETER);
}

static VOID QuotasAreChargedAndReturned(VOID)
{
    static const POOL_TYPE Types[2] = {NonPagedPool, PagedPool};

    for (ULONG i = 0; i < 2; i++) {
        CHECK_EQUAL(PsChargeProcessPoolQuota(PsInitialSystemProcess, Types[i], 1000),
                    STATUS_SUCCESS);
        PsChargePoolQuota(PsInitialSystemProcess, Types[i], 24);
        // More than there can be: the sum does not fit.
        CHECK_EQUAL(PsChargeProcessPoolQuota(PsInitialSystemProcess, Types[i], MAXULONG_PTR),
                    STATUS_QUOTA_EXCEEDED);
        PsReturnPoolQuota(PsInitialSystemProcess, Types[i], 1024);
    }
}

static VOID IdealProcessorsAreKept(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    UCHAR Last = (UCHAR)(KeQueryActiveProcessorCount(NULL) - 1), Before;

    Before = KeSetIdealProcessorThread(Thread, Last);
    CHECK_EQUAL(KeSetIdealProcessorThread(Thread, 255), Last); // there is none: nothing changes
    CHECK_EQUAL(KeSetIdealProcessorThread(Thread, Before), Last);
    CHECK_EQUAL(KeQueryMaximumProcessorCount(), Last + 1);
}

static VOID StackSwapRemembers(VOID)
{
    CHECK(KeSetKernelStackSwapEnable(FALSE));
    CHECK(!KeSetKernelStackSwapEnable(TRUE));
    CHECK(KeSetKernelStackSwapEnable(TRUE));
}

static VOID NTAPI Called(PVOID Parameter)
{
    (*(ULONG *)Parameter)++;
}

static VOID CalloutsRefuse(VOID)
{
    ULONG Calls = 0;
    KIRQL OldIrql;

    CHECK_EQUAL(KeExpandKernelStackAndCalloutEx(Called, &Calls, 0x100000, TRUE, NULL),
                STATUS_INVALID_PARAMETER_3);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK_EQUAL(KeExpandKernelStackAndCalloutEx(Called, &Calls, 1024, TRUE, NULL),
                STATUS_INVALID_PARAMETER_4);
    CHECK_EQUAL(Calls, 0);
    CHECK_EQUAL(KeExpandKernelStackAndCalloutEx(Called, &Calls, 1024, FALSE, NULL),
                STATUS_SUCCESS);
    CHECK_EQUAL(KeExpandKernelStackAndCalloutEx(Called, &Calls, 48 * 1024, FALSE, NULL),
                STATUS_SUCCESS);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(OldIrql);
    CHECK_EQUAL(Calls, 2);
}

// A DPC's stack cannot be changed: what is left of it has to do.
static VOID NTAPI CallOutOfDpc(PKDPC Dpc, PVOID Context, PVOID Calls, PVOID Argument2)
{
    NTSTATUS *Status = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument2);
    Status[0] = KeExpandKernelStackAndCalloutEx(Called, Calls, 48 * 1024, FALSE, NULL);
    Status[1] = KeExpandKernelStackAndCalloutEx(Called, Calls, 4 * 1024, FALSE, NULL);
}

static VOID CalloutsOfDpcsStayOnTheirStack(VOID)
{
    NTSTATUS Status[2] = {0};
    ULONG Calls = 0;
    KDPC Dpc;

    KeInitializeDpc(&Dpc, CallOutOfDpc, Status);
    KeInsertQueueDpc(&Dpc, &Calls, NULL);
    KeFlushQueuedDpcs();
    CHECK_EQUAL(Status[0], STATUS_STACK_OVERFLOW);
    CHECK_EQUAL(Status[1], STATUS_SUCCESS);
    CHECK_EQUAL(Calls, 1);
}

// ---- the rest -----------------------------------------------------------------------------------
static BOOLEAN NTAPI IgnoreNmi(PVOID Context, BOOLEAN Handled)
{
    UNREFERENCED_PARAMETER(Context);
    return Handled;
}

static VOID NmiCallbacksAreRegisteredOnce(VOID)
{
    PVOID Handle = KeRegisterNmiCallback(IgnoreNmi, NULL), Handles[64];
    ULONG Count = 0;

    CHECK(Handle != NULL);
    CHECK_EQUAL(KeDeregisterNmiCallback(Handle), STATUS_SUCCESS);
    CHECK_EQUAL(KeDeregisterNmiCallback(Handle), STATUS_INVALID_HANDLE);
    CHECK_EQUAL(KeDeregisterNmiCallback(&Handle), STATUS_INVALID_HANDLE);
    while (Count < 64 && (Handles[Count] = KeRegisterNmiCallback(IgnoreNmi, NULL)) != NULL)
        Count++;
    CHECK(Count >= 1 && Count < 64); // there is a limit, and reaching it is NULL
    while (Count != 0)
        CHECK_EQUAL(KeDeregisterNmiCallback(Handles[--Count]), STATUS_SUCCESS);
}

static VOID NTAPI IgnoreBugCheck(PVOID Buffer, ULONG Length)
{
    UNREFERENCED_PARAMETER(Buffer);
    UNREFERENCED_PARAMETER(Length);
}

static VOID BugCheckCallbacksAreRegisteredOnce(VOID)
{
    static KBUGCHECK_CALLBACK_RECORD Storage;
    PKBUGCHECK_CALLBACK_RECORD Record = &Storage;
    static UCHAR Component[] = "objects", Buffer[4];

    KeInitializeCallbackRecord(Record);
    CHECK(!KeDeregisterBugCheckCallback(Record));
    for (ULONG i = 0; i < 2; i++) {
        CHECK(KeRegisterBugCheckCallback(Record, IgnoreBugCheck, Buffer, sizeof(Buffer),
                                         Component));
        CHECK(!KeRegisterBugCheckCallback(Record, IgnoreBugCheck, Buffer, sizeof(Buffer),
                                          Component));
        CHECK(KeDeregisterBugCheckCallback(Record));
        CHECK(!KeDeregisterBugCheckCallback(Record));
    }
}

static VOID TimesAndVersionsAreReadable(VOID)
{
    ULONGLONG(NTAPI * Precise)(PULONG64) =
        (ULONGLONG(NTAPI *)(PULONG64))GuestFind(L"KeQueryUnbiasedInterruptTimePrecise");
    const volatile ULONG *Ticks = GuestFind(L"KeTickCount"), *Build = GuestFind(L"NtBuildNumber");
    ULONG64 Counter = 0, Before = KeQueryInterruptTime();
    LARGE_INTEGER Count, Later;

    if (Precise == NULL || Ticks == NULL || Build == NULL)
        return;
    CHECK(Precise(&Counter) >= Before);
    CHECK(Counter != 0 && Counter <= (ULONG64)KeQueryPerformanceCounter(NULL).QuadPart);
    KeQueryTickCount(&Count);
    CHECK(*Ticks - Count.LowPart < 1000);
    KeQueryTickCount(&Later);
    CHECK(Later.QuadPart >= Count.QuadPart);
    CHECK((*Build & 0xFFFF) != 0);
}

static VOID MutantsAreReadable(VOID)
{
    KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    CHECK_EQUAL(KeReadStateMutant(&Mutex), 1);
    KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL);
    CHECK_EQUAL(KeReadStateMutant(&Mutex), 0);
    KeReleaseMutex(&Mutex, FALSE);
    CHECK_EQUAL(KeReadStateMutant(&Mutex), 1);
}

static const GUEST_CASE Cases[] = {
    {"events are set, reset and awaited by handle", EventsAreSetAndReset},
    {"events by handle refuse what they should", EventsRefuse},
    {"several handles are awaited, any and all", SeveralHandlesAreAwaited},
    {"references are counted, and the last one ends the object", ReferencesAreCounted},
    {"objects tell their type", TypesAreTold},
    {"a handle's rights bind UserMode alone", RightsBindUserModeAlone},
    {"a pointer becomes a handle", PointersBecomeHandles},
    {"ids of threads and processes agree", IdsAgree},
    {"quotas are charged and returned", QuotasAreChargedAndReturned},
    {"an ideal processor is kept", IdealProcessorsAreKept},
    {"a stack's swapping is remembered", StackSwapRemembers},
    {"callouts refuse what they cannot do, and run at DISPATCH_LEVEL", CalloutsRefuse},
    {"callouts of DPCs stay on their stack", CalloutsOfDpcsStayOnTheirStack},
    {"an NMI callback is registered once", NmiCallbacksAreRegisteredOnce},
    {"a bugcheck callback is registered once", BugCheckCallbacksAreRegisteredOnce},
    {"times and versions are readable", TimesAndVersionsAreReadable},
    {"a mutant's state is readable", MutantsAreReadable},
};
GUEST_DRIVER(Cases)
