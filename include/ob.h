// SPDX-License-Identifier: MIT
// ob: objects with types, reference counts and handles.
#pragma once

#include "ke.h"
#include "nt/nt.h"

// What all objects of a kind have in common. Drivers see the pointer alone: *PsThreadType. Compiled
// by Microsoft's tools that is the exported variable; mingw-w64's headers import it as such
// besides, and so its drivers follow one pointer more, to Self.
typedef struct _OBJECT_TYPE {
    struct _OBJECT_TYPE *Self;
    const char *Name;
    SIZE_T BodySize;
    LONG WaitOffset; // of the dispatcher header within the body, OB_NOT_WAITABLE
    ACCESS_MASK ValidAccess;
    VOID (*Delete)
    (PVOID
         Object); // the last reference has gone; NULL: nothing to do. IRQL: as ObfDereferenceObject
    volatile LONG ObjectCount, HandleCount;
} OBJECT_TYPE, *POBJECT_TYPE;

#define OB_NOT_WAITABLE (-1)

typedef struct _OBJECT_HANDLE_INFORMATION {
    ULONG HandleAttributes;
    ACCESS_MASK GrantedAccess;
} OBJECT_HANDLE_INFORMATION, *POBJECT_HANDLE_INFORMATION;

// A new object of zeros, with one reference, made for Caller. Fails: NULL, no memory.
// IRQL: <= DISPATCH_LEVEL.
PVOID ObCreateTypedObject(POBJECT_TYPE Type, ULONG_PTR Caller);
// The space an object takes where memory is the caller's, and what makes one of it.
#define OB_HEADER_SIZE (8 * sizeof(PVOID))
PVOID ObInitializeStaticObject(PVOID Memory, POBJECT_TYPE Type);

// A handle in the system's table, which adds a reference. Caller is who to name when it leaks.
// IRQL: <= DISPATCH_LEVEL. Fails: STATUS_INSUFFICIENT_RESOURCES.
NTSTATUS ObCreateHandle(PVOID Object, ACCESS_MASK Access, ULONG Attributes, ULONG_PTR Caller,
                        PHANDLE Handle);

NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess,
                                         POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                         PVOID *Object,
                                         POBJECT_HANDLE_INFORMATION HandleInformation);
NTSTATUS NTAPI ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess,
                                          POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode);
LONG_PTR FASTCALL ObfReferenceObject(PVOID Object);
BOOLEAN NTAPI ObReferenceObjectSafe(PVOID Object);
LONG_PTR FASTCALL ObfDereferenceObject(PVOID Object);
NTSTATUS NTAPI ZwClose(HANDLE Handle);

// What of an object can be waited for; NULL: nothing.
PVOID ObWaitableOf(PVOID Object);

// What the pseudo handles stand for; ps sets it.
typedef PVOID OB_CURRENT_OBJECT(VOID);
extern OB_CURRENT_OBJECT *ObCurrentProcess, *ObCurrentThread;

extern POBJECT_TYPE PsThreadType, PsProcessType, ExEventObjectType, ExSemaphoreObjectType;
