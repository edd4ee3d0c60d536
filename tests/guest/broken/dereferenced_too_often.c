// SPDX-License-Identifier: MIT
// The last reference of an object goes while a handle still stands for it
#include "broken.h"

NTSYSAPI NTSTATUS NTAPI ZwCreateEvent(PHANDLE Handle, ACCESS_MASK Access,
                                      POBJECT_ATTRIBUTES Attributes, EVENT_TYPE Type,
                                      BOOLEAN State);

BREAK
{
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Handle;
    PVOID Event;

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, FALSE);
    ObReferenceObjectByHandle(Handle, EVENT_ALL_ACCESS, NULL, KernelMode, &Event, NULL);
    Expect(0x18, ANYTHING, (ULONG_PTR)Event, 3, 0);
    ObDereferenceObject(Event);
    ObDereferenceObject(Event);
    return STATUS_SUCCESS;
}
