// SPDX-License-Identifier: MIT
// Handles: numbers that stand for objects, in a table of the system's own.
//
// Handle n is entry n / 4 - 1 of the table; kernel handles have the top bits set, so that they are
// no user process's. Free entries are a list through Next. The table doubles when it is full;
// entries are 32 bytes, and the old table goes when everything has moved. One spin lock covers it:
// a handle costs a few instructions under it, and a reference is taken before it is let go, so that
// a close on another processor cannot take the object away in between.
//
// Every entry knows who opened it: what an unloaded driver left open is reported (LEAK_SOURCE).
// `!handles` prints the table. Tests: tests/host/test_ob_handle.c, tests/guest/threads.c.
#include "obp.h"

#define FIRST_ENTRIES        64u
#define KERNEL_HANDLE        (~(ULONG_PTR)0x7FFFFFFF)
#define HANDLE_INDEX(Handle) ((((ULONG_PTR)(Handle) & ~KERNEL_HANDLE) >> 2) - 1)

#define CURRENT_PROCESS ((HANDLE)(LONG_PTR)-1)
#define CURRENT_THREAD  ((HANDLE)(LONG_PTR)-2)

typedef struct _OB_HANDLE {
    PVOID Object;     // NULL: the entry is free
    ULONG_PTR Caller; // who opened it
    ACCESS_MASK Access;
    ULONG Attributes; // OBJ_*
    ULONG Next;       // free: index + 1 of the next free entry, 0: none
} OB_HANDLE;

static OB_HANDLE *ObpTable;
static ULONG ObpEntries, ObpFirstFree;
static KSPIN_LOCK ObpTableLock;
OB_CURRENT_OBJECT *ObCurrentProcess, *ObCurrentThread;

static VOID ObpChainFree(OB_HANDLE *Table, ULONG First, ULONG End)
{
    for (ULONG i = First; i < End; i++)
        Table[i].Next = i + 1 < End ? i + 2 : 0;
}

// Makes room. FALSE: there is no memory. Not under the lock.
static BOOLEAN ObpGrow(ULONG Seen, ULONG_PTR Caller)
{
    ULONG Entries = Seen == 0 ? FIRST_ENTRIES : Seen * 2;
    SIZE_T Size = Entries * sizeof(OB_HANDLE);
    OB_HANDLE *Table = ExAllocatePoolOnBehalf(NonPagedPoolNx, Size, OB_TAG, Caller), *Old;
    KIRQL OldIrql;

    if (Table == NULL)
        return FALSE;
    memset(Table, 0, Size);
    ObpChainFree(Table, Seen, Entries);
    OldIrql = KiAcquireLock(&ObpTableLock);
    Old = Table;
    if (ObpEntries == Seen) { // nobody else has been faster
        Old = ObpTable;
        if (Old != NULL)
            memcpy(Table, Old, Seen * sizeof(*Table));
        ObpTable = Table;
        ObpEntries = Entries;
        Table[Entries - 1].Next = ObpFirstFree; // what was closed meanwhile
        ObpFirstFree = Seen + 1;
    }
    KiReleaseLock(&ObpTableLock, OldIrql);
    if (Old != NULL)
        ExFreePoolWithTag(Old, OB_TAG);
    return TRUE;
}

NTSTATUS ObCreateHandle(PVOID Object, ACCESS_MASK Access, ULONG Attributes, ULONG_PTR Caller,
                        PHANDLE Handle)
{
    POBJECT_HEADER Header = ObpHeaderOf(Object);
    KIRQL OldIrql;
    ULONG Index;

    while (OldIrql = KiAcquireLock(&ObpTableLock), Index = ObpFirstFree, Index == 0) {
        ULONG Entries = ObpEntries;
        KiReleaseLock(&ObpTableLock, OldIrql);
        if (!ObpGrow(Entries, Caller))
            return STATUS_INSUFFICIENT_RESOURCES;
    }
    OB_HANDLE *Entry = &ObpTable[Index - 1];
    ObpFirstFree = Entry->Next;
    *Entry =
        (OB_HANDLE){.Object = Object, .Caller = Caller, .Access = Access, .Attributes = Attributes};
    ObfReferenceObject(Object);
    KiReleaseLock(&ObpTableLock, OldIrql);
    __atomic_fetch_add(&Header->HandleCount, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&Header->Type->HandleCount, 1, __ATOMIC_RELAXED);
    *Handle =
        (HANDLE)((ULONG_PTR)Index << 2 | (Attributes & OBJ_KERNEL_HANDLE ? KERNEL_HANDLE : 0));
    return STATUS_SUCCESS;
}

// The entry of a handle; NULL: it is none. Under the lock.
static OB_HANDLE *ObpFindEntry(HANDLE Handle)
{
    ULONG_PTR Index = HANDLE_INDEX(Handle);
    ULONG_PTR Top = (ULONG_PTR)Handle & KERNEL_HANDLE;

    if (Index >= ObpEntries || ObpTable[Index].Object == NULL)
        return NULL;
    if (Top != (ObpTable[Index].Attributes & OBJ_KERNEL_HANDLE ? KERNEL_HANDLE : 0))
        return NULL;
    return &ObpTable[Index];
}

static NTSTATUS ObpCheckEntry(const OB_HANDLE *Entry, ACCESS_MASK Desired, POBJECT_TYPE Type,
                              KPROCESSOR_MODE Mode)
{
    if (Entry == NULL)
        return STATUS_INVALID_HANDLE;
    if (Type != NULL && ObpHeaderOf(Entry->Object)->Type != Type)
        return STATUS_OBJECT_TYPE_MISMATCH;
    if (Mode != KernelMode && (Entry->Attributes & OBJ_KERNEL_HANDLE) != 0)
        return STATUS_INVALID_HANDLE;
    if (Mode != KernelMode && (Desired & ~Entry->Access) != 0)
        return STATUS_ACCESS_DENIED;
    return STATUS_SUCCESS;
}

static NTSTATUS ObpReferencePseudo(HANDLE Handle, POBJECT_TYPE Type, PVOID *Object,
                                   POBJECT_HANDLE_INFORMATION Information)
{
    PVOID Current = Handle == CURRENT_PROCESS ? ObCurrentProcess() : ObCurrentThread();

    if (Type != NULL && ObpHeaderOf(Current)->Type != Type)
        return STATUS_OBJECT_TYPE_MISMATCH;
    ObfReferenceObject(Current);
    *Object = Current;
    if (Information != NULL)
        *Information = (OBJECT_HANDLE_INFORMATION){0, ObpHeaderOf(Current)->Type->ValidAccess};
    return STATUS_SUCCESS;
}

// ObReferenceObjectByHandle: the object that a handle stands for, with a reference added.
//   DesiredAccess, ObjectType  what it must allow (for UserMode) and be; ObjectType may be NULL.
//   HandleInformation          receives the handle's attributes and rights; may be NULL.
// IRQL: <= DISPATCH_LEVEL (documented: PASSIVE_LEVEL). Fails: STATUS_INVALID_HANDLE,
// STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED; *Object is NULL then.
// Source: WDK wdm.h, ObReferenceObjectByHandle.
NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess,
                                         POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                         PVOID *Object,
                                         POBJECT_HANDLE_INFORMATION HandleInformation)
{
    NTSTATUS Status;
    KIRQL OldIrql;

    *Object = NULL;
    if (Handle == CURRENT_PROCESS || Handle == CURRENT_THREAD)
        return ObpReferencePseudo(Handle, ObjectType, Object, HandleInformation);
    OldIrql = KiAcquireLock(&ObpTableLock);
    OB_HANDLE *Entry = ObpFindEntry(Handle);
    Status = ObpCheckEntry(Entry, DesiredAccess, ObjectType, AccessMode);
    if (NT_SUCCESS(Status)) {
        ObfReferenceObject(Entry->Object);
        *Object = Entry->Object;
        if (HandleInformation != NULL)
            *HandleInformation = (OBJECT_HANDLE_INFORMATION){Entry->Attributes, Entry->Access};
    }
    KiReleaseLock(&ObpTableLock, OldIrql);
    return Status;
}
EXPORT(ObReferenceObjectByHandle, PASSIVE_LEVEL, "WDK wdm.h ObReferenceObjectByHandle");

static NTSTATUS ObpClose(HANDLE Handle)
{
    KIRQL OldIrql = KiAcquireLock(&ObpTableLock);
    OB_HANDLE *Entry = ObpFindEntry(Handle);
    PVOID Object;

    if (Entry == NULL) {
        KiReleaseLock(&ObpTableLock, OldIrql);
        return STATUS_INVALID_HANDLE;
    }
    Object = Entry->Object;
    Entry->Object = NULL;
    Entry->Next = ObpFirstFree;
    ObpFirstFree = (ULONG)(Entry - ObpTable) + 1;
    KiReleaseLock(&ObpTableLock, OldIrql);
    __atomic_fetch_sub(&ObpHeaderOf(Object)->HandleCount, 1, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&ObpHeaderOf(Object)->Type->HandleCount, 1, __ATOMIC_RELAXED);
    ObfDereferenceObject(Object);
    return STATUS_SUCCESS;
}

// ZwClose, NtClose: the handle stands for nothing any more.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_INVALID_HANDLE. Source: WDK wdm.h, ZwClose.
NTSTATUS NTAPI ZwClose(HANDLE Handle)
{
    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    return ObpClose(Handle);
}
EXPORT(ZwClose, PASSIVE_LEVEL, "WDK wdm.h ZwClose");
EXPORT_AS(NtClose, ZwClose, PASSIVE_LEVEL, 0, "WDK ntifs.h NtClose");

// ObCloseHandle: the same for a handle opened in PreviousMode.
// IRQL: PASSIVE_LEVEL. Source: WDK ntifs.h, ObCloseHandle.
NTSTATUS NTAPI ObCloseHandle(HANDLE Handle, KPROCESSOR_MODE PreviousMode);
NTSTATUS NTAPI ObCloseHandle(HANDLE Handle, KPROCESSOR_MODE PreviousMode)
{
    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    return ObpClose(Handle);
}
EXPORT(ObCloseHandle, PASSIVE_LEVEL, "WDK ntifs.h ObCloseHandle");

// ObOpenObjectByPointer: a handle for an object that the caller has a pointer to.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_OBJECT_TYPE_MISMATCH, STATUS_INSUFFICIENT_RESOURCES.
// Source: WDK ntifs.h, ObOpenObjectByPointer.
NTSTATUS NTAPI ObOpenObjectByPointer(PVOID Object, ULONG HandleAttributes, PVOID PassedAccessState,
                                     ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                     KPROCESSOR_MODE AccessMode, PHANDLE Handle);
NTSTATUS NTAPI ObOpenObjectByPointer(PVOID Object, ULONG HandleAttributes, PVOID PassedAccessState,
                                     ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                     KPROCESSOR_MODE AccessMode, PHANDLE Handle)
{
    if (ObjectType != NULL && ObpHeaderOf(Object)->Type != ObjectType)
        return STATUS_OBJECT_TYPE_MISMATCH;
    return ObCreateHandle(Object, DesiredAccess, HandleAttributes, KiReturnAddress(), Handle);
}
EXPORT(ObOpenObjectByPointer, PASSIVE_LEVEL, "WDK ntifs.h ObOpenObjectByPointer");

// ---- leaks and monitor --------------------------------------------------------------------------
static ULONG ObpHandleLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    char Name[128];
    ULONG Count = 0;

    for (ULONG i = 0; i < ObpEntries; i++) {
        const OB_HANDLE *Entry = &ObpTable[i];
        if (Entry->Object == NULL || Entry->Caller - Start >= End - Start)
            continue;
        KdSymbolize(Entry->Caller - 1, Name, sizeof(Name));
        KLOG("leak", "handle 0x%x for a %s, opened by %s", (i + 1) << 2,
             ObpHeaderOf(Entry->Object)->Type->Name, Name);
        Count++;
    }
    return Count;
}
LEAK_SOURCE(handles, "open handles", ObpHandleLeaks);

static BOOLEAN ObHandlesCommand(const char *Arguments)
{
    char Name[128];

    if (*Arguments != '\0')
        return FALSE;
    for (ULONG i = 0; i < ObpEntries; i++) {
        const OB_HANDLE *Entry = &ObpTable[i];
        if (Entry->Object == NULL)
            continue;
        KdSymbolize(Entry->Caller, Name, sizeof(Name));
        KdPrintf("%5x %s 0x%p access 0x%x, opened by %s\n", (i + 1) << 2,
                 ObpHeaderOf(Entry->Object)->Type->Name, Entry->Object, Entry->Access, Name);
    }
    return TRUE;
}
KD_COMMAND(handles, "!handles", "!handles: the open handles", ObHandlesCommand,
           KD_SAFE_IN_BUGCHECK);
