// SPDX-License-Identifier: MIT
// Callback objects: named and unnamed, notified in order, and quiet after they are unregistered.
#include "crew.h"

static ULONG Called[8], Calls;
static PVOID Argument[2];

static VOID NTAPI Note(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    if (Calls < RTL_NUMBER_OF(Called))
        Called[Calls++] = (ULONG)(ULONG_PTR)Context;
    Argument[0] = Argument1;
    Argument[1] = Argument2;
}

static PCALLBACK_OBJECT Create(PCWSTR Name, BOOLEAN Create, BOOLEAN Multiple, NTSTATUS Expected)
{
    PCALLBACK_OBJECT Object = NULL;
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING String;

    RtlInitUnicodeString(&String, Name);
    InitializeObjectAttributes(&Attributes, Name != NULL ? &String : NULL, OBJ_CASE_INSENSITIVE,
                               NULL, NULL);
    CHECK_EQUAL((ULONG)ExCreateCallback(&Object, &Attributes, Create, Multiple), (ULONG)Expected);
    return Object;
}

static VOID RoutinesAreCalledInOrder(VOID)
{
    PCALLBACK_OBJECT Object = Create(NULL, TRUE, TRUE, STATUS_SUCCESS);
    PVOID Registration[3];
    KIRQL OldIrql;

    for (ULONG i = 0; i < 3; i++) {
        Registration[i] = ExRegisterCallback(Object, Note, (PVOID)(ULONG_PTR)(i + 1));
        CHECK(Registration[i] != NULL);
    }
    Calls = 0;
    ExNotifyCallback(Object, &Calls, Called);
    CHECK_EQUAL(Calls, 3);
    CHECK(Called[0] == 1 && Called[1] == 2 && Called[2] == 3);
    CHECK(Argument[0] == &Calls && Argument[1] == Called);
    ExUnregisterCallback(Registration[1]);
    Calls = 0;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    ExNotifyCallback(Object, NULL, NULL);
    KeLowerIrql(OldIrql);
    CHECK_EQUAL(Calls, 2);
    CHECK(Called[0] == 1 && Called[1] == 3);
    ExUnregisterCallback(Registration[0]);
    ExUnregisterCallback(Registration[2]);
    ObDereferenceObject(Object);
}

static VOID OneRoutineMeansOne(VOID)
{
    PCALLBACK_OBJECT Object = Create(NULL, TRUE, FALSE, STATUS_SUCCESS);
    PVOID First = ExRegisterCallback(Object, Note, NULL);

    CHECK(First != NULL);
    CHECK(ExRegisterCallback(Object, Note, NULL) == NULL);
    ExUnregisterCallback(First);
    First = ExRegisterCallback(Object, Note, NULL);
    CHECK(First != NULL);
    ExUnregisterCallback(First);
    ObDereferenceObject(Object);
}

static VOID NamesAreFound(VOID)
{
    PCALLBACK_OBJECT First, Second;

    Create(L"\\Callback\\Guest", FALSE, FALSE, STATUS_OBJECT_NAME_NOT_FOUND);
    First = Create(L"\\Callback\\Guest", TRUE, TRUE, STATUS_SUCCESS);
    Second = Create(L"\\CALLBACK\\guest", FALSE, FALSE, STATUS_SUCCESS);
    CHECK(First != NULL && First == Second);
    ObDereferenceObject(Second);
    ObDereferenceObject(First);
    Create(L"\\Callback\\Guest", FALSE, FALSE, STATUS_OBJECT_NAME_NOT_FOUND);
    Create(L"Guest", TRUE, FALSE, STATUS_OBJECT_PATH_SYNTAX_BAD);
}

static VOID TheSystemsAreThere(VOID)
{
    static const PCWSTR Names[] = {L"\\Callback\\SetSystemTime", L"\\Callback\\PowerState",
                                   L"\\Callback\\ProcessorAdd"};

    for (ULONG i = 0; i < RTL_NUMBER_OF(Names); i++) {
        PCALLBACK_OBJECT Object = Create(Names[i], FALSE, FALSE, STATUS_SUCCESS);
        PVOID Registration = ExRegisterCallback(Object, Note, NULL);
        CHECK(Registration != NULL);
        ExUnregisterCallback(Registration);
        ObDereferenceObject(Object);
    }
}

// ---- unregistering while it is called -----------------------------------------------------------
static KEVENT Inside, Leave;
static volatile LONG Left;

static VOID NTAPI Linger(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(&Inside, 0, FALSE);
    KeWaitForSingleObject(&Leave, Executive, KernelMode, FALSE, NULL);
    InterlockedIncrement(&Left);
}

static VOID NTAPI Notify(PVOID Object)
{
    ExNotifyCallback(Object, NULL, NULL);
}

static VOID NTAPI LetGo(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    CrewPause();
    KeSetEvent(&Leave, 0, FALSE);
}

static VOID UnregisteringWaitsForCalls(VOID)
{
    PCALLBACK_OBJECT Object = Create(NULL, TRUE, TRUE, STATUS_SUCCESS);
    PVOID Registration = ExRegisterCallback(Object, Linger, NULL);
    CREW Crew = {.Count = 0};

    KeInitializeEvent(&Inside, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Leave, NotificationEvent, FALSE);
    Left = 0;
    CrewAdd(&Crew, Notify, Object);
    KeWaitForSingleObject(&Inside, Executive, KernelMode, FALSE, NULL);
    CrewAdd(&Crew, LetGo, NULL);
    ExUnregisterCallback(Registration);
    CHECK_EQUAL(Left, 1);
    CrewJoin(&Crew);
    ObDereferenceObject(Object);
}

static const GUEST_CASE Cases[] = {
    {"routines are called in the order they were registered", RoutinesAreCalledInOrder},
    {"an object for one routine takes one", OneRoutineMeansOne},
    {"an object is found by its name while it lives", NamesAreFound},
    {"the system's own callback objects are there", TheSystemsAreThere},
    {"unregistering waits for calls under way", UnregisteringWaitsForCalls},
};
GUEST_DRIVER(Cases)
