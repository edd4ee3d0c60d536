// SPDX-License-Identifier: MIT
// Callback objects: routines that want to be told of something, called by whoever has it to tell.
//
// An object may have a name, by which others find it; names are looked up in a list of callback
// objects alone. Three are there from the start, as on every NT: \Callback\SetSystemTime,
// \Callback\PowerState and \Callback\ProcessorAdd. Nothing here changes the time, sleeps or adds
// processors, so they are never notified.
//
// Routines are called in the order they were registered, at the notifier's IRQL, without a lock:
// Busy counts the calls under way, and unregistering waits for them. A registration leaves the list
// only when it is not busy, so that a notifier finds its way on.
//
// Locking: ExpCallbackLock covers the list of objects, each object's Lock its registrations.
//
// Tests: tests/guest/callbacks.c.
#include "exp.h"
#include "ob.h"
#include "rtl.h"

#define CALLBACK_TAG 'bCxE'

typedef struct _CALLBACK_OBJECT {
    KSPIN_LOCK Lock;
    LIST_ENTRY Registrations;
    BOOLEAN AllowMultiple;
    LIST_ENTRY Entry;    // on ExpCallbacks
    UNICODE_STRING Name; // Buffer NULL: it has none
} CALLBACK_OBJECT, *PCALLBACK_OBJECT;

typedef struct _EXP_REGISTRATION {
    LIST_ENTRY Entry;
    PCALLBACK_OBJECT Object;
    PCALLBACK_FUNCTION Function;
    PVOID Context;
    ULONG Busy;
    BOOLEAN Leaving; // it is called no more; Idle is set when nobody is inside
    KEVENT Idle;
} EXP_REGISTRATION;

static KSPIN_LOCK ExpCallbackLock;
static LIST_ENTRY ExpCallbacks = {&ExpCallbacks, &ExpCallbacks};

static VOID ExpDeleteCallback(PVOID Object)
{
    PCALLBACK_OBJECT Callback = Object;
    KIRQL OldIrql = KiAcquireLock(&ExpCallbackLock);

    RemoveEntryList(&Callback->Entry);
    KiReleaseLock(&ExpCallbackLock, OldIrql);
    if (Callback->Name.Buffer != NULL)
        ExFreePoolWithTag(Callback->Name.Buffer, CALLBACK_TAG);
}

static OBJECT_TYPE ExpCallbackType = {
    .Self = &ExpCallbackType,
    .Name = "Callback",
    .BodySize = sizeof(CALLBACK_OBJECT),
    .WaitOffset = OB_NOT_WAITABLE,
    .ValidAccess = 0x1F0001,
    .Delete = ExpDeleteCallback,
};

// ---- names --------------------------------------------------------------------------------------
// The object of this name, with a reference more; NULL: there is none. Under ExpCallbackLock.
static PCALLBACK_OBJECT ExpFindCallback(PCUNICODE_STRING Name, BOOLEAN IgnoreCase)
{
    for (PLIST_ENTRY Entry = ExpCallbacks.Flink; Entry != &ExpCallbacks; Entry = Entry->Flink) {
        PCALLBACK_OBJECT Callback = CONTAINING_RECORD(Entry, CALLBACK_OBJECT, Entry);
        if (Callback->Name.Buffer != NULL &&
            RtlEqualUnicodeString(&Callback->Name, Name, IgnoreCase) &&
            ObReferenceObjectSafe(Callback))
            return Callback;
    }
    return NULL;
}

// FALSE: no memory.
static BOOLEAN ExpCopyName(PUNICODE_STRING Copy, PCUNICODE_STRING Name, ULONG_PTR Caller)
{
    Copy->Buffer = ExAllocatePoolOnBehalf(NonPagedPoolNx, Name->Length, CALLBACK_TAG, Caller);
    if (Copy->Buffer == NULL)
        return FALSE;
    memcpy(Copy->Buffer, Name->Buffer, Name->Length);
    Copy->Length = Copy->MaximumLength = Name->Length;
    return TRUE;
}

// A new object, not on the list. NULL: no memory.
static PCALLBACK_OBJECT ExpMakeCallback(PCUNICODE_STRING Name, BOOLEAN AllowMultiple,
                                        ULONG_PTR Caller)
{
    PCALLBACK_OBJECT Callback = ObCreateTypedObject(&ExpCallbackType, Caller);

    if (Callback == NULL)
        return NULL;
    InitializeListHead(&Callback->Registrations);
    InitializeListHead(&Callback->Entry);
    Callback->AllowMultiple = AllowMultiple;
    if (Name != NULL && !ExpCopyName(&Callback->Name, Name, Caller)) {
        ObfDereferenceObject(Callback);
        return NULL;
    }
    return Callback;
}

static PCALLBACK_OBJECT ExpOpenCallback(const OBJECT_ATTRIBUTES *Attributes)
{
    KIRQL OldIrql = KiAcquireLock(&ExpCallbackLock);
    PCALLBACK_OBJECT Callback = ExpFindCallback(
        Attributes->ObjectName, (Attributes->Attributes & OBJ_CASE_INSENSITIVE) != 0);

    KiReleaseLock(&ExpCallbackLock, OldIrql);
    return Callback;
}

// Puts a new object on the list; or returns the one that somebody else has put there meanwhile.
static PCALLBACK_OBJECT ExpListCallback(PCALLBACK_OBJECT Callback)
{
    KIRQL OldIrql = KiAcquireLock(&ExpCallbackLock);
    PCALLBACK_OBJECT Other =
        Callback->Name.Buffer != NULL ? ExpFindCallback(&Callback->Name, TRUE) : NULL;

    if (Other == NULL)
        InsertTailList(&ExpCallbacks, &Callback->Entry);
    KiReleaseLock(&ExpCallbackLock, OldIrql);
    if (Other == NULL)
        return Callback;
    ObfDereferenceObject(Callback);
    return Other;
}

// ExCreateCallback: opens the callback object of a name, or makes one.
//   CallbackObject          receives it, with a reference for ObDereferenceObject.
//   ObjectAttributes        the name, from \ on; NULL or without a name: a new object without one.
//   Create                  whether to make it when there is none of this name.
//   AllowMultipleCallbacks  of a new one: whether more than one routine may be registered.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_PATH_SYNTAX_BAD,
// STATUS_INSUFFICIENT_RESOURCES. Source: WDK wdm.h, ExCreateCallback.
NTSTATUS NTAPI ExCreateCallback(PCALLBACK_OBJECT *CallbackObject,
                                POBJECT_ATTRIBUTES ObjectAttributes, BOOLEAN Create,
                                BOOLEAN AllowMultipleCallbacks);
NTSTATUS NTAPI ExCreateCallback(PCALLBACK_OBJECT *CallbackObject,
                                POBJECT_ATTRIBUTES ObjectAttributes, BOOLEAN Create,
                                BOOLEAN AllowMultipleCallbacks)
{
    PCUNICODE_STRING Name = ObjectAttributes != NULL ? ObjectAttributes->ObjectName : NULL;
    PCALLBACK_OBJECT Callback;

    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    if (Name != NULL && (Name->Length < sizeof(WCHAR) || Name->Buffer[0] != '\\'))
        return STATUS_OBJECT_PATH_SYNTAX_BAD;
    Callback = Name != NULL ? ExpOpenCallback(ObjectAttributes) : NULL;
    if (Callback == NULL && !Create)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (Callback == NULL) {
        Callback = ExpMakeCallback(Name, AllowMultipleCallbacks, KiReturnAddress());
        if (Callback == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;
        Callback = ExpListCallback(Callback);
    }
    *CallbackObject = Callback;
    return STATUS_SUCCESS;
}
EXPORT(ExCreateCallback, PASSIVE_LEVEL, "WDK wdm.h ExCreateCallback");

VOID ExInitializeCallbacks(VOID)
{
    static const WCHAR *const Names[] = {L"\\Callback\\SetSystemTime", L"\\Callback\\PowerState",
                                         L"\\Callback\\ProcessorAdd"};
    UNICODE_STRING Name;
    PCALLBACK_OBJECT Callback;

    for (ULONG i = 0; i < RTL_NUMBER_OF(Names); i++) {
        RtlInitUnicodeString(&Name, Names[i]);
        Callback = ExpMakeCallback(&Name, TRUE, KiReturnAddress()); // the reference stays
        VERIFY(Callback != NULL);
        ExpListCallback(Callback);
    }
}

// ---- registrations ------------------------------------------------------------------------------
// FALSE: the object has a routine and wants no other.
static BOOLEAN ExpAddRegistration(PCALLBACK_OBJECT Callback, EXP_REGISTRATION *Registration)
{
    KIRQL OldIrql = KiAcquireLock(&Callback->Lock);
    BOOLEAN Add = Callback->AllowMultiple || IsListEmpty(&Callback->Registrations);

    if (Add)
        InsertTailList(&Callback->Registrations, &Registration->Entry);
    KiReleaseLock(&Callback->Lock, OldIrql);
    return Add;
}

// ExRegisterCallback: has CallbackFunction called at every notification, with CallbackContext and
// two arguments. Returns what ExUnregisterCallback wants.
// IRQL: <= APC_LEVEL. Fails: NULL: no memory, or the object takes one routine and has it.
// Source: WDK wdm.h, ExRegisterCallback.
PVOID NTAPI ExRegisterCallback(PCALLBACK_OBJECT CallbackObject, PCALLBACK_FUNCTION CallbackFunction,
                               PVOID CallbackContext);
PVOID NTAPI ExRegisterCallback(PCALLBACK_OBJECT CallbackObject, PCALLBACK_FUNCTION CallbackFunction,
                               PVOID CallbackContext)
{
    EXP_REGISTRATION *Registration =
        ExAllocatePoolOnBehalf(NonPagedPoolNx, sizeof(*Registration), CALLBACK_TAG,
                               KiReturnAddress());

    if (Registration == NULL)
        return NULL;
    memset(Registration, 0, sizeof(*Registration));
    Registration->Object = CallbackObject;
    Registration->Function = CallbackFunction;
    Registration->Context = CallbackContext;
    KeInitializeEvent(&Registration->Idle, NotificationEvent, FALSE);
    ObfReferenceObject(CallbackObject);
    if (ExpAddRegistration(CallbackObject, Registration))
        return Registration;
    ObfDereferenceObject(CallbackObject);
    ExFreePoolWithTag(Registration, CALLBACK_TAG);
    return NULL;
}
EXPORT(ExRegisterCallback, APC_LEVEL, "WDK wdm.h ExRegisterCallback");

// ExUnregisterCallback: has the routine called no more; it does not run any more on return. Not to
// be called by that routine.
// IRQL: <= APC_LEVEL. Source: WDK wdm.h, ExUnregisterCallback.
VOID NTAPI ExUnregisterCallback(PVOID CbRegistration);
VOID NTAPI ExUnregisterCallback(PVOID CbRegistration)
{
    EXP_REGISTRATION *Registration = CbRegistration;
    PCALLBACK_OBJECT Callback = Registration->Object;
    KIRQL OldIrql;

    ASSERT_IRQL_AT_MOST(APC_LEVEL);
    OldIrql = KiAcquireLock(&Callback->Lock);
    Registration->Leaving = TRUE;
    while (Registration->Busy != 0) {
        KiReleaseLock(&Callback->Lock, OldIrql);
        KeWaitForSingleObject(&Registration->Idle, Executive, KernelMode, FALSE, NULL);
        OldIrql = KiAcquireLock(&Callback->Lock);
    }
    RemoveEntryList(&Registration->Entry);
    KiReleaseLock(&Callback->Lock, OldIrql);
    ExFreePoolWithTag(Registration, CALLBACK_TAG);
    ObfDereferenceObject(Callback);
}
EXPORT(ExUnregisterCallback, APC_LEVEL, "WDK wdm.h ExUnregisterCallback");

// ExNotifyCallback: calls every registered routine with the two arguments, in the order they were
// registered, at this IRQL.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExNotifyCallback.
VOID NTAPI ExNotifyCallback(PCALLBACK_OBJECT CallbackObject, PVOID Argument1, PVOID Argument2);
VOID NTAPI ExNotifyCallback(PCALLBACK_OBJECT CallbackObject, PVOID Argument1, PVOID Argument2)
{
    PLIST_ENTRY Head = &CallbackObject->Registrations, Entry;
    KIRQL OldIrql = KiAcquireLock(&CallbackObject->Lock);

    for (Entry = Head->Flink; Entry != Head; Entry = Entry->Flink) {
        EXP_REGISTRATION *Registration = CONTAINING_RECORD(Entry, EXP_REGISTRATION, Entry);
        if (Registration->Leaving)
            continue;
        Registration->Busy++;
        KiReleaseLock(&CallbackObject->Lock, OldIrql);
        Registration->Function(Registration->Context, Argument1, Argument2);
        OldIrql = KiAcquireLock(&CallbackObject->Lock);
        if (--Registration->Busy == 0 && Registration->Leaving)
            KeSetEvent(&Registration->Idle, IO_NO_INCREMENT, FALSE);
    }
    KiReleaseLock(&CallbackObject->Lock, OldIrql);
}
EXPORT(ExNotifyCallback, DISPATCH_LEVEL, "WDK wdm.h ExNotifyCallback");

// Routines of the driver's that are still registered would be called in freed memory.
static ULONG ExpCallbackLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    KIRQL OldIrql = KiAcquireLock(&ExpCallbackLock);
    ULONG Count = 0;
    char Name[128];

    for (PLIST_ENTRY Entry = ExpCallbacks.Flink; Entry != &ExpCallbacks; Entry = Entry->Flink) {
        PCALLBACK_OBJECT Callback = CONTAINING_RECORD(Entry, CALLBACK_OBJECT, Entry);
        PLIST_ENTRY Head = &Callback->Registrations;
        KiAcquireLockAtDpcLevel(&Callback->Lock);
        for (PLIST_ENTRY Item = Head->Flink; Item != Head; Item = Item->Flink) {
            ULONG_PTR Function =
                (ULONG_PTR)CONTAINING_RECORD(Item, EXP_REGISTRATION, Entry)->Function;
            if (Function - Start >= End - Start)
                continue;
            KdSymbolize(Function, Name, sizeof(Name));
            KLOG("leak", "callback %s is still registered", Name);
            Count++;
        }
        KiReleaseLockFromDpcLevel(&Callback->Lock);
    }
    KiReleaseLock(&ExpCallbackLock, OldIrql);
    return Count;
}
LEAK_SOURCE(callbacks, "registered callbacks", ExpCallbackLeaks);
