// SPDX-License-Identifier: MIT
// Event objects by handle, and waits by handle.
//
// There are no object directories, so an event with a name is refused:
// STATUS_OBJECT_PATH_NOT_FOUND. Handles are the system's own; access is not checked, since only
// kernel code calls.
//
// Tests: tests/guest/threads.c.
#include "exp.h"
#include "ob.h"
#include "rtl.h"

#define EVENT_ALL_ACCESS     0x1F0003u
#define SEMAPHORE_ALL_ACCESS 0x1F0003u

static OBJECT_TYPE ExpEventType = {
    .Self = &ExpEventType,
    .Name = "Event",
    .BodySize = sizeof(KEVENT),
    .WaitOffset = FIELD_OFFSET(KEVENT, Header),
    .ValidAccess = EVENT_ALL_ACCESS,
};
POBJECT_TYPE ExEventObjectType = &ExpEventType;
EXPORT_VARIABLE(ExEventObjectType, "WDK wdm.h ExEventObjectType");

static OBJECT_TYPE ExpSemaphoreType = {
    .Self = &ExpSemaphoreType,
    .Name = "Semaphore",
    .BodySize = sizeof(KSEMAPHORE),
    .WaitOffset = FIELD_OFFSET(KSEMAPHORE, Header),
    .ValidAccess = SEMAPHORE_ALL_ACCESS,
};
POBJECT_TYPE ExSemaphoreObjectType = &ExpSemaphoreType;
EXPORT_VARIABLE(ExSemaphoreObjectType, "WDK wdm.h ExSemaphoreObjectType");

// ZwCreateEvent: a new event, as KeInitializeEvent makes it, and a handle for it.
//   ObjectAttributes  may be NULL; its ObjectName must be.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_INVALID_PARAMETER (EventType), STATUS_OBJECT_PATH_NOT_FOUND (a
// name), STATUS_INSUFFICIENT_RESOURCES. Source: WDK ntifs.h, ZwCreateEvent.
NTSTATUS NTAPI ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess,
                             POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType,
                             BOOLEAN InitialState);
NTSTATUS NTAPI ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess,
                             POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType,
                             BOOLEAN InitialState)
{
    NTSTATUS Status;
    PKEVENT Event;

    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    if (EventType != NotificationEvent && EventType != SynchronizationEvent)
        return STATUS_INVALID_PARAMETER;
    if (ObjectAttributes != NULL && ObjectAttributes->ObjectName != NULL)
        return STATUS_OBJECT_PATH_NOT_FOUND;
    Event = ObCreateTypedObject(ExEventObjectType, KiReturnAddress());
    if (Event == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    KeInitializeEvent(Event, EventType, InitialState);
    Status = ObCreateHandle(Event, DesiredAccess,
                            ObjectAttributes != NULL ? ObjectAttributes->Attributes : 0,
                            KiReturnAddress(), EventHandle);
    ObfDereferenceObject(Event);
    return Status;
}
EXPORT(ZwCreateEvent, PASSIVE_LEVEL, "WDK ntifs.h ZwCreateEvent");

static NTSTATUS ExpReferenceEvent(HANDLE Handle, PKEVENT *Event)
{
    return ObReferenceObjectByHandle(Handle, 0, ExEventObjectType, KernelMode, (PVOID *)Event,
                                     NULL);
}

// ZwSetEvent: signals the event; *PreviousState (may be NULL) receives its state before.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH.
// Source: WDK ntifs.h, ZwSetEvent.
NTSTATUS NTAPI ZwSetEvent(HANDLE EventHandle, PLONG PreviousState);
NTSTATUS NTAPI ZwSetEvent(HANDLE EventHandle, PLONG PreviousState)
{
    PKEVENT Event;
    NTSTATUS Status = ExpReferenceEvent(EventHandle, &Event);

    if (!NT_SUCCESS(Status))
        return Status;
    LONG State = KeSetEvent(Event, 1, FALSE);
    if (PreviousState != NULL)
        *PreviousState = State;
    ObfDereferenceObject(Event);
    return STATUS_SUCCESS;
}
EXPORT(ZwSetEvent, PASSIVE_LEVEL, "WDK ntifs.h ZwSetEvent");
EXPORT_AS(NtSetEvent, ZwSetEvent, PASSIVE_LEVEL, 0, "WDK ntifs.h NtSetEvent");

// ZwResetEvent, ZwClearEvent: the event is not signalled any more.
// IRQL: PASSIVE_LEVEL. Fails: as ZwSetEvent. Source: WDK ntifs.h.
NTSTATUS NTAPI ZwResetEvent(HANDLE EventHandle, PLONG PreviousState);
NTSTATUS NTAPI ZwResetEvent(HANDLE EventHandle, PLONG PreviousState)
{
    PKEVENT Event;
    NTSTATUS Status = ExpReferenceEvent(EventHandle, &Event);

    if (!NT_SUCCESS(Status))
        return Status;
    LONG State = KeResetEvent(Event);
    if (PreviousState != NULL)
        *PreviousState = State;
    ObfDereferenceObject(Event);
    return STATUS_SUCCESS;
}
EXPORT(ZwResetEvent, PASSIVE_LEVEL, "WDK ntifs.h ZwResetEvent");

NTSTATUS NTAPI ZwClearEvent(HANDLE EventHandle);
NTSTATUS NTAPI ZwClearEvent(HANDLE EventHandle)
{
    return ZwResetEvent(EventHandle, NULL);
}
EXPORT(ZwClearEvent, PASSIVE_LEVEL, "WDK ntifs.h ZwClearEvent");

// ---- waiting ------------------------------------------------------------------------------------

// The object behind a handle, referenced, and what of it is waited for.
static NTSTATUS ExpReferenceWaitable(HANDLE Handle, PVOID *Object, PVOID *Waitable)
{
    NTSTATUS Status = ObReferenceObjectByHandle(Handle, 0, NULL, KernelMode, Object, NULL);

    if (!NT_SUCCESS(Status))
        return Status;
    *Waitable = ObWaitableOf(*Object);
    if (*Waitable != NULL)
        return STATUS_SUCCESS;
    ObfDereferenceObject(*Object);
    return STATUS_OBJECT_TYPE_MISMATCH;
}

// ZwWaitForSingleObject: KeWaitForSingleObject on what the handle stands for.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, and as that.
// Source: WDK ntifs.h, ZwWaitForSingleObject.
NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout);
NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    PVOID Object, Waitable;
    NTSTATUS Status = ExpReferenceWaitable(Handle, &Object, &Waitable);

    if (!NT_SUCCESS(Status))
        return Status;
    Status = KeWaitForSingleObject(Waitable, UserRequest, KernelMode, Alertable, Timeout);
    ObfDereferenceObject(Object);
    return Status;
}
EXPORT(ZwWaitForSingleObject, PASSIVE_LEVEL, "WDK ntifs.h ZwWaitForSingleObject");
EXPORT_AS(NtWaitForSingleObject, ZwWaitForSingleObject, PASSIVE_LEVEL, 0,
          "WDK ntifs.h NtWaitForSingleObject");

typedef struct _EX_WAIT_SET {
    KWAIT_BLOCK Block[MAXIMUM_WAIT_OBJECTS];
    PVOID Object[MAXIMUM_WAIT_OBJECTS], Waitable[MAXIMUM_WAIT_OBJECTS];
    ULONG Count;
} EX_WAIT_SET;

#define WAIT_TAG 'tiaW'

static VOID ExpReleaseWaitSet(EX_WAIT_SET *Set)
{
    while (Set->Count != 0)
        ObfDereferenceObject(Set->Object[--Set->Count]);
    ExFreePoolWithTag(Set, WAIT_TAG);
}

// ZwWaitForMultipleObjects: KeWaitForMultipleObjects on what Count handles stand for.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_INVALID_PARAMETER_1 (Count), STATUS_INSUFFICIENT_RESOURCES,
// and as ZwWaitForSingleObject. Source: WDK ntifs.h, ZwWaitForMultipleObjects.
NTSTATUS NTAPI ZwWaitForMultipleObjects(ULONG Count, PHANDLE Handles, WAIT_TYPE WaitType,
                                        BOOLEAN Alertable, PLARGE_INTEGER Timeout);
NTSTATUS NTAPI ZwWaitForMultipleObjects(ULONG Count, PHANDLE Handles, WAIT_TYPE WaitType,
                                        BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    NTSTATUS Status = STATUS_SUCCESS;
    EX_WAIT_SET *Set;

    if (Count == 0 || Count > MAXIMUM_WAIT_OBJECTS)
        return STATUS_INVALID_PARAMETER_1;
    Set = ExAllocatePoolOnBehalf(NonPagedPoolNx, sizeof(*Set), WAIT_TAG, KiReturnAddress());
    if (Set == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    for (Set->Count = 0; Set->Count < Count; Set->Count++) {
        ULONG i = Set->Count;
        Status = ExpReferenceWaitable(Handles[i], &Set->Object[i], &Set->Waitable[i]);
        if (!NT_SUCCESS(Status))
            break;
    }
    if (NT_SUCCESS(Status))
        Status = KeWaitForMultipleObjects(Count, Set->Waitable, WaitType, UserRequest, KernelMode,
                                          Alertable, Timeout, Set->Block);
    ExpReleaseWaitSet(Set);
    return Status;
}
EXPORT(ZwWaitForMultipleObjects, PASSIVE_LEVEL, "WDK ntifs.h ZwWaitForMultipleObjects");
