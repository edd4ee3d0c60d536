// SPDX-License-Identifier: MIT
// Objects: memory with a type and a count of references, freed with the last one.
//
// A header stands in front of the body that everyone has the pointer to. PointerCount counts
// references, HandleCount those of them that handles hold. Both change by single instructions; an
// object whose count has fallen to zero is nobody's, and its type's Delete routine runs once, in
// the context of whoever gave the last reference back. The objects here are nonpaged, so that is
// possible up to DISPATCH_LEVEL.
//
// Giving back what was not held is REFERENCE_BY_POINTER (the type, the object, 3, the count).
//
// `!object` prints one. Tests: tests/guest/threads.c.
#include "obp.h"

static PVOID ObpInitialize(POBJECT_HEADER Header, POBJECT_TYPE Type)
{
    Header->PointerCount = 1;
    Header->HandleCount = 0;
    Header->Type = Type;
    __atomic_fetch_add(&Type->ObjectCount, 1, __ATOMIC_RELAXED);
    return Header + 1;
}

PVOID ObCreateTypedObject(POBJECT_TYPE Type, ULONG_PTR Caller)
{
    SIZE_T Size = sizeof(OBJECT_HEADER) + Type->BodySize;
    POBJECT_HEADER Header = ExAllocatePoolOnBehalf(NonPagedPoolNx, Size, OB_TAG, Caller);

    if (Header == NULL)
        return NULL;
    memset(Header, 0, Size);
    return ObpInitialize(Header, Type);
}

PVOID ObInitializeStaticObject(PVOID Memory, POBJECT_TYPE Type)
{
    POBJECT_HEADER Header = Memory;

    Header->Static = TRUE;
    return ObpInitialize(Header, Type);
}

static DECLSPEC_NORETURN DECLSPEC_NOINLINE VOID ObpMiscounted(POBJECT_HEADER Header, LONG_PTR Count)
{
    KiBugCheck(REFERENCE_BY_POINTER, (ULONG_PTR)Header->Type, (ULONG_PTR)(Header + 1), 3,
               (ULONG_PTR)Count, NULL,
               "An object was referenced or dereferenced that nobody holds.");
}

// ObfReferenceObject: adds a reference. Returns the count, which is for tests alone.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck REFERENCE_BY_POINTER. Source: WDK wdm.h,
// ObReferenceObject.
LONG_PTR FASTCALL ObfReferenceObject(PVOID Object)
{
    POBJECT_HEADER Header = ObpHeaderOf(Object);
    LONG_PTR Count = __atomic_add_fetch(&Header->PointerCount, 1, __ATOMIC_RELAXED);

    if (__builtin_expect(Count <= 1, 0))
        ObpMiscounted(Header, Count);
    return Count;
}
EXPORT(ObfReferenceObject, DISPATCH_LEVEL, "WDK wdm.h ObReferenceObject");

// ObReferenceObjectSafe: adds a reference to an object that is found in a list and may be about to
// go. Returns whether it did.
// IRQL: <= DISPATCH_LEVEL. Fails: FALSE, the last reference has gone. Source: ntifs.h prototypes.
BOOLEAN NTAPI ObReferenceObjectSafe(PVOID Object)
{
    POBJECT_HEADER Header = ObpHeaderOf(Object);
    LONG_PTR Count = __atomic_load_n(&Header->PointerCount, __ATOMIC_RELAXED);

    while (Count > 0)
        if (__atomic_compare_exchange_n(&Header->PointerCount, &Count, Count + 1, FALSE,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return TRUE;
    return FALSE;
}
EXPORT(ObReferenceObjectSafe, DISPATCH_LEVEL, "ntifs.h ObReferenceObjectSafe");

static VOID ObpDelete(POBJECT_HEADER Header)
{
    POBJECT_TYPE Type = Header->Type;

    if (Header->Static || Header->HandleCount != 0)
        ObpMiscounted(Header, 0);
    if (Type->Delete != NULL)
        Type->Delete(Header + 1);
    __atomic_fetch_sub(&Type->ObjectCount, 1, __ATOMIC_RELAXED);
    ExFreePoolWithTag(Header, OB_TAG);
}

// ObfDereferenceObject: gives a reference back; with the last one the object goes. Returns the
// count. IRQL: <= DISPATCH_LEVEL. Fails: bugcheck REFERENCE_BY_POINTER. Source: WDK wdm.h,
// ObDereferenceObject.
LONG_PTR FASTCALL ObfDereferenceObject(PVOID Object)
{
    POBJECT_HEADER Header = ObpHeaderOf(Object);
    LONG_PTR Count = __atomic_sub_fetch(&Header->PointerCount, 1, __ATOMIC_ACQ_REL);

    if (__builtin_expect(Count < 0, 0))
        ObpMiscounted(Header, Count);
    if (Count == 0)
        ObpDelete(Header);
    return Count;
}
EXPORT(ObfDereferenceObject, DISPATCH_LEVEL, "WDK wdm.h ObDereferenceObject");

// ObReferenceObject, ObDereferenceObject: the same by their stdcall names.
LONG_PTR NTAPI ObReferenceObject(PVOID Object);
LONG_PTR NTAPI ObReferenceObject(PVOID Object)
{
    return ObfReferenceObject(Object);
}
EXPORT(ObReferenceObject, DISPATCH_LEVEL, "WDK wdm.h ObReferenceObject");

LONG_PTR NTAPI ObDereferenceObject(PVOID Object);
LONG_PTR NTAPI ObDereferenceObject(PVOID Object)
{
    return ObfDereferenceObject(Object);
}
EXPORT(ObDereferenceObject, DISPATCH_LEVEL, "WDK wdm.h ObDereferenceObject");

// ObDereferenceObjectDeferDelete: gives a reference back where deleting must not block the caller.
// Deleting never does here. IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h,
// ObDereferenceObjectDeferDelete.
VOID NTAPI ObDereferenceObjectDeferDelete(PVOID Object);
VOID NTAPI ObDereferenceObjectDeferDelete(PVOID Object)
{
    ObfDereferenceObject(Object);
}
EXPORT(ObDereferenceObjectDeferDelete, DISPATCH_LEVEL, "WDK wdm.h ObDereferenceObjectDeferDelete");

// ObReferenceObjectByPointer: adds a reference if the object is of this type. ObjectType may be
// NULL for KernelMode. A pointer carries no rights, so none are checked. IRQL: <= DISPATCH_LEVEL.
// Fails: STATUS_OBJECT_TYPE_MISMATCH. Source: WDK wdm.h, ObReferenceObjectByPointer.
NTSTATUS NTAPI ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess,
                                          POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode)
{
    if (ObpHeaderOf(Object)->Type != ObjectType && (AccessMode != KernelMode || ObjectType != NULL))
        return STATUS_OBJECT_TYPE_MISMATCH;
    ObfReferenceObject(Object);
    return STATUS_SUCCESS;
}
EXPORT(ObReferenceObjectByPointer, DISPATCH_LEVEL, "WDK wdm.h ObReferenceObjectByPointer");

PVOID ObWaitableOf(PVOID Object)
{
    LONG Offset = ObpHeaderOf(Object)->Type->WaitOffset;
    return Offset == OB_NOT_WAITABLE ? NULL : (PUCHAR)Object + Offset;
}

// ObGetObjectType: the object's type.
// IRQL: any. Source: WDK ntifs.h, ObGetObjectType.
POBJECT_TYPE NTAPI ObGetObjectType(PVOID Object);
POBJECT_TYPE NTAPI ObGetObjectType(PVOID Object)
{
    return ObpHeaderOf(Object)->Type;
}
EXPORT(ObGetObjectType, EXPORT_ANY_IRQL, "WDK ntifs.h ObGetObjectType");

// ---- monitor ------------------------------------------------------------------------------------
static BOOLEAN ObObjectCommand(const char *Arguments)
{
    OBJECT_HEADER Header;
    OBJECT_TYPE Type;
    ULONG64 Address;
    char Name[32];

    if (!KdParseNumber(&Arguments, &Address) || *Arguments != '\0')
        return FALSE;
    if (!KeSafeCopy(&Header, ObpHeaderOf((PVOID)(ULONG_PTR)Address), sizeof(Header)) ||
        !KeSafeCopy(&Type, Header.Type, sizeof(Type)) ||
        !KeSafeCopy(Name, Type.Name, sizeof(Name))) {
        KdPrintf("0x%p is no object\n", (PVOID)(ULONG_PTR)Address);
        return TRUE;
    }
    Name[sizeof(Name) - 1] = '\0';
    KdPrintf("0x%p %s: %lld references, %lld of them by handles\n", (PVOID)(ULONG_PTR)Address, Name,
             (LONG64)Header.PointerCount, (LONG64)Header.HandleCount);
    return TRUE;
}
KD_COMMAND(object, "!object", "!object ADDRESS: an object's type and counts", ObObjectCommand,
           KD_SAFE_IN_BUGCHECK);
