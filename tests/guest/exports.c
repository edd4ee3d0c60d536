// SPDX-License-Identifier: MIT
// Routines that today's headers make inline, or that import libraries lack, called as exports:
// drivers built long ago import them, and compilers that do not optimise.
#include "crew.h"

NTSYSAPI NTSTATUS NTAPI ZwCreateEvent(PHANDLE Handle, ACCESS_MASK Access,
                                      POBJECT_ATTRIBUTES Attributes, EVENT_TYPE Type,
                                      BOOLEAN State);

#define TAG 0x70784554u // "TExp"

typedef KIRQL(NTAPI *RETURN_IRQL)(VOID);
typedef VOID(NTAPI *RAISE)(KIRQL NewIrql, PKIRQL OldIrql);
typedef VOID(NTAPI *LOWER)(KIRQL NewIrql);
typedef KIRQL(FASTCALL *FAST_RAISE)(KIRQL NewIrql);
typedef VOID(FASTCALL *FAST_LOWER)(KIRQL NewIrql);
typedef ULONG(NTAPI *RETURN_ULONG)(VOID);
typedef PVOID(NTAPI *RETURN_POINTER)(VOID);

// ---- IRQL ---------------------------------------------------------------------------------------
static VOID TheIrqlIsRaisedAndLowered(VOID)
{
    RETURN_IRQL Current = (RETURN_IRQL)GuestFind(L"KeGetCurrentIrql");
    RAISE Raise = (RAISE)GuestFind(L"KeRaiseIrql");
    LOWER Lower = (LOWER)GuestFind(L"KeLowerIrql");
    FAST_RAISE FastRaise = (FAST_RAISE)GuestFind(L"KfRaiseIrql");
    FAST_LOWER FastLower = (FAST_LOWER)GuestFind(L"KfLowerIrql");
    RETURN_IRQL ToDpc = (RETURN_IRQL)GuestFind(L"KeRaiseIrqlToDpcLevel");
    RETURN_IRQL ToSynch = (RETURN_IRQL)GuestFind(L"KeRaiseIrqlToSynchLevel");
    KIRQL OldIrql;

    if (GuestFailures != 0)
        return;
    for (KIRQL Irql = PASSIVE_LEVEL; Irql <= HIGH_LEVEL; Irql++) {
        Raise(Irql, &OldIrql);
        CHECK_EQUAL(OldIrql, PASSIVE_LEVEL);
        CHECK_EQUAL(Current(), Irql);
        Lower(OldIrql);
        CHECK_EQUAL(FastRaise(Irql), PASSIVE_LEVEL);
        CHECK_EQUAL(KeGetCurrentIrql(), Irql);
        FastLower(PASSIVE_LEVEL);
        CHECK_EQUAL(Current(), PASSIVE_LEVEL);
    }
    CHECK_EQUAL(ToDpc(), PASSIVE_LEVEL);
    CHECK_EQUAL(ToDpc(), DISPATCH_LEVEL);
    CHECK_EQUAL(ToSynch(), DISPATCH_LEVEL);
    CHECK(Current() > DISPATCH_LEVEL);
    Lower(PASSIVE_LEVEL);
}

// ---- time ---------------------------------------------------------------------------------------
typedef VOID(NTAPI *QUERY_TIME)(PLARGE_INTEGER Time);
typedef ULONGLONG(NTAPI *QUERY_INTERRUPT_TIME)(VOID);

static VOID TimesAreThoseOfTheSharedPage(VOID)
{
    QUERY_TIME System = (QUERY_TIME)GuestFind(L"KeQuerySystemTime");
    QUERY_TIME Ticks = (QUERY_TIME)GuestFind(L"KeQueryTickCount");
    QUERY_INTERRUPT_TIME Interrupt = (QUERY_INTERRUPT_TIME)GuestFind(L"KeQueryInterruptTime");
    LARGE_INTEGER Before, Seen, After;
    ULONGLONG Earlier, Then;

    if (GuestFailures != 0)
        return;
    KeQuerySystemTime(&Before);
    System(&Seen);
    KeQuerySystemTime(&After);
    CHECK(Before.QuadPart <= Seen.QuadPart && Seen.QuadPart <= After.QuadPart);
    KeQueryTickCount(&Before);
    Ticks(&Seen);
    KeQueryTickCount(&After);
    CHECK(Before.QuadPart <= Seen.QuadPart && Seen.QuadPart <= After.QuadPart);
    Earlier = KeQueryInterruptTime();
    Then = Interrupt();
    CHECK(Earlier <= Then && Then <= KeQueryInterruptTime());
}

// ---- processors and threads ---------------------------------------------------------------------
static VOID EveryProcessorKnowsItsNumber(VOID)
{
    RETURN_ULONG Number = (RETURN_ULONG)GuestFind(L"KeGetCurrentProcessorNumber");

    for (ULONG i = 0; Number != NULL && i < (ULONG)KeNumberProcessors; i++) {
        KeSetSystemAffinityThread((KAFFINITY)1 << i);
        CHECK_EQUAL(Number(), i);
    }
    KeRevertToUserAffinityThread();
}

static VOID AThreadKnowsItself(VOID)
{
    RETURN_POINTER Thread = (RETURN_POINTER)GuestFind(L"KeGetCurrentThread");
    RETURN_POINTER PsThread = (RETURN_POINTER)GuestFind(L"PsGetCurrentThread");
    RETURN_POINTER Process = (RETURN_POINTER)GuestFind(L"PsGetCurrentProcess");

    if (GuestFailures != 0)
        return;
    CHECK(Thread() == (PVOID)KeGetCurrentThread());
    CHECK(PsThread() == Thread());
    CHECK(Process() == (PVOID)PsInitialSystemProcess);
}

// The base moves within the class, and the priority with it.
static VOID TheBasePriorityIsRelativeToTheProcess(VOID)
{
    LONG(NTAPI * SetBase)(PKTHREAD, LONG) =
        (LONG(NTAPI *)(PKTHREAD, LONG))GuestFind(L"KeSetBasePriorityThread");
    PKTHREAD Self = KeGetCurrentThread();
    KPRIORITY Process;
    LONG Old;

    if (SetBase == NULL)
        return;
    Old = SetBase(Self, 0);
    Process = KeQueryPriorityThread(Self);
    CHECK_EQUAL(SetBase(Self, 2), 0);
    CHECK_EQUAL(KeQueryPriorityThread(Self), Process + 2);
    CHECK_EQUAL(SetBase(Self, 30), 2);
    CHECK_EQUAL(KeQueryPriorityThread(Self), LOW_REALTIME_PRIORITY - 1);
    CHECK_EQUAL(SetBase(Self, -30), LOW_REALTIME_PRIORITY - 1 - Process);
    CHECK_EQUAL(KeQueryPriorityThread(Self), 1);
    SetBase(Self, Old);
}

static VOID TheRestOfTheStackShrinksWithUse(VOID)
{
    ULONG_PTR(NTAPI * Remaining)(VOID) = (ULONG_PTR(NTAPI *)(VOID))
        GuestFind(L"IoGetRemainingStackSize");
    volatile UCHAR Local;
    ULONG_PTR Low, High;

    if (Remaining == NULL)
        return;
    IoGetStackLimits(&Low, &High);
    CHECK(Remaining() < (ULONG_PTR)&Local + 512 - Low);
    CHECK(Remaining() > (ULONG_PTR)&Local - 512 - Low);
}

// ---- objects ------------------------------------------------------------------------------------
static VOID ReferencesAreCounted(VOID)
{
    LONG_PTR(FASTCALL * Reference)(PVOID) =
        (LONG_PTR(FASTCALL *)(PVOID))GuestFind(L"ObfReferenceObject");
    LONG_PTR(NTAPI * Dereference)(PVOID) =
        (LONG_PTR(NTAPI *)(PVOID))GuestFind(L"ObDereferenceObject");
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Handle;
    PVOID Event;

    if (Reference == NULL || Dereference == NULL)
        return;
    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    CHECK_EQUAL(ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, FALSE),
                STATUS_SUCCESS);
    CHECK_EQUAL(ObReferenceObjectByHandle(Handle, EVENT_ALL_ACCESS, NULL, KernelMode, &Event, NULL),
                STATUS_SUCCESS);
    CHECK_EQUAL(Reference(Event), 3); // the handle's, the pointer's, this one
    CHECK_EQUAL(Dereference(Event), 2);
    ZwClose(Handle);
    CHECK_EQUAL(Reference(Event), 2);
    CHECK_EQUAL(Dereference(Event), 1);
    CHECK_EQUAL(Dereference(Event), 0);
}

// ---- locks --------------------------------------------------------------------------------------
static VOID SharesOfASpinLockBecomeAllOfIt(VOID)
{
    KIRQL(NTAPI * Acquire)(volatile LONG *) =
        (KIRQL(NTAPI *)(volatile LONG *))GuestFind(L"ExAcquireSpinLockShared");
    VOID(NTAPI * Release)(volatile LONG *, KIRQL) =
        (VOID(NTAPI *)(volatile LONG *, KIRQL))GuestFind(L"ExReleaseSpinLockShared");
    LOGICAL(NTAPI * Convert)(volatile LONG *) =
        (LOGICAL(NTAPI *)(volatile LONG *))GuestFind(L"ExTryConvertSharedSpinLockExclusive");
    VOID(NTAPI * ReleaseAll)(volatile LONG *, KIRQL) =
        (VOID(NTAPI *)(volatile LONG *, KIRQL))GuestFind(L"ExReleaseSpinLockExclusive");
    static volatile LONG Lock;
    KIRQL OldIrql;

    if (GuestFailures != 0)
        return;
    OldIrql = Acquire(&Lock);
    CHECK_EQUAL(OldIrql, PASSIVE_LEVEL);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    CHECK_EQUAL(Acquire(&Lock), DISPATCH_LEVEL);
    CHECK(!Convert(&Lock)); // another share
    Release(&Lock, DISPATCH_LEVEL);
    CHECK(Convert(&Lock));
    ReleaseAll(&Lock, OldIrql);
    CHECK_EQUAL(Lock, 0);
    OldIrql = Acquire(&Lock);
    Release(&Lock, OldIrql);
    CHECK_EQUAL(Lock, 0);
}

static VOID LocksAreMadeFree(VOID)
{
    VOID(NTAPI * InitializeSpin)(PKSPIN_LOCK) =
        (VOID(NTAPI *)(PKSPIN_LOCK))GuestFind(L"KeInitializeSpinLock");
    VOID(NTAPI * InitializePush)(PULONG_PTR) =
        (VOID(NTAPI *)(PULONG_PTR))GuestFind(L"ExInitializePushLock");
    KSPIN_LOCK Lock = 1;
    ULONG_PTR Push = 1;

    if (GuestFailures != 0)
        return;
    InitializeSpin(&Lock);
    InitializePush(&Push);
    CHECK_EQUAL(Lock, 0);
    CHECK_EQUAL(Push, 0);
}

#ifdef _X86_
static VOID SpinLocksByTheirStandardNames(VOID)
{
    VOID(NTAPI * Acquire)(PKSPIN_LOCK, PKIRQL) =
        (VOID(NTAPI *)(PKSPIN_LOCK, PKIRQL))GuestFind(L"KeAcquireSpinLock");
    VOID(NTAPI * Release)(PKSPIN_LOCK, KIRQL) =
        (VOID(NTAPI *)(PKSPIN_LOCK, KIRQL))GuestFind(L"KeReleaseSpinLock");
    VOID(NTAPI * AcquireAtDpc)(PKSPIN_LOCK) =
        (VOID(NTAPI *)(PKSPIN_LOCK))GuestFind(L"KeAcquireSpinLockAtDpcLevel");
    VOID(NTAPI * ReleaseFromDpc)(PKSPIN_LOCK) =
        (VOID(NTAPI *)(PKSPIN_LOCK))GuestFind(L"KeReleaseSpinLockFromDpcLevel");
    static KSPIN_LOCK Lock, Inner;
    KIRQL OldIrql;

    if (GuestFailures != 0)
        return;
    Acquire(&Lock, &OldIrql);
    CHECK_EQUAL(OldIrql, PASSIVE_LEVEL);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    AcquireAtDpc(&Inner);
    CHECK(Lock != 0 && Inner != 0);
    ReleaseFromDpc(&Inner);
    Release(&Lock, OldIrql);
    CHECK(Lock == 0 && Inner == 0);
}

static VOID InterlockedOperationsReturnWhatTheyMade(VOID)
{
    LONG(FASTCALL * Increment)(PLONG) = (LONG(FASTCALL *)(PLONG))GuestFind(L"InterlockedIncrement");
    LONG(FASTCALL * Decrement)(PLONG) = (LONG(FASTCALL *)(PLONG))GuestFind(L"InterlockedDecrement");
    LONG(FASTCALL * Exchange)(PLONG, LONG) =
        (LONG(FASTCALL *)(PLONG, LONG))GuestFind(L"InterlockedExchange");
    LONG(FASTCALL * Add)(PLONG, LONG) =
        (LONG(FASTCALL *)(PLONG, LONG))GuestFind(L"InterlockedExchangeAdd");
    LONG(FASTCALL * Compare)(PLONG, LONG, LONG) =
        (LONG(FASTCALL *)(PLONG, LONG, LONG))GuestFind(L"InterlockedCompareExchange");
    LONGLONG(FASTCALL * Compare64)(PLONGLONG, PLONGLONG, PLONGLONG, PKSPIN_LOCK) =
        (LONGLONG(FASTCALL *)(PLONGLONG, PLONGLONG, PLONGLONG, PKSPIN_LOCK))
            GuestFind(L"ExInterlockedCompareExchange64");
    LONGLONG Wide = 5, New = 6, Old = 5;
    KSPIN_LOCK Lock = 0;
    LONG Value = 1;

    if (GuestFailures != 0)
        return;
    CHECK_EQUAL(Increment(&Value), 2);
    CHECK_EQUAL(Decrement(&Value), 1);
    CHECK_EQUAL(Exchange(&Value, 7), 1);
    CHECK_EQUAL(Add(&Value, 3), 7);
    CHECK_EQUAL(Compare(&Value, 1, 2), 10);
    CHECK_EQUAL(Compare(&Value, 1, 10), 10);
    CHECK_EQUAL(Value, 1);
    CHECK_EQUAL(Compare64(&Wide, &New, &Old, &Lock), 5);
    CHECK_EQUAL(Compare64(&Wide, &New, &Old, &Lock), 6);
}

static VOID ListsByTheirStandardNames(VOID)
{
    PLIST_ENTRY(NTAPI * Head)(PLIST_ENTRY, PLIST_ENTRY, PKSPIN_LOCK) =
        (PLIST_ENTRY(NTAPI *)(PLIST_ENTRY, PLIST_ENTRY, PKSPIN_LOCK))
            GuestFind(L"ExInterlockedInsertHeadList");
    PLIST_ENTRY(NTAPI * Tail)(PLIST_ENTRY, PLIST_ENTRY, PKSPIN_LOCK) =
        (PLIST_ENTRY(NTAPI *)(PLIST_ENTRY, PLIST_ENTRY, PKSPIN_LOCK))
            GuestFind(L"ExInterlockedInsertTailList");
    PLIST_ENTRY(NTAPI * Remove)(PLIST_ENTRY, PKSPIN_LOCK) =
        (PLIST_ENTRY(NTAPI *)(PLIST_ENTRY, PKSPIN_LOCK))GuestFind(L"ExInterlockedRemoveHeadList");
    PSINGLE_LIST_ENTRY(NTAPI * Push)(PSINGLE_LIST_ENTRY, PSINGLE_LIST_ENTRY, PKSPIN_LOCK) =
        (PSINGLE_LIST_ENTRY(NTAPI *)(PSINGLE_LIST_ENTRY, PSINGLE_LIST_ENTRY, PKSPIN_LOCK))
            GuestFind(L"ExInterlockedPushEntryList");
    PSINGLE_LIST_ENTRY(NTAPI * Pop)(PSINGLE_LIST_ENTRY, PKSPIN_LOCK) =
        (PSINGLE_LIST_ENTRY(NTAPI *)(PSINGLE_LIST_ENTRY, PKSPIN_LOCK))
            GuestFind(L"ExInterlockedPopEntryList");
    ULONG(NTAPI * Add)(PULONG, ULONG, PKSPIN_LOCK) =
        (ULONG(NTAPI *)(PULONG, ULONG, PKSPIN_LOCK))GuestFind(L"ExInterlockedAddUlong");
    SINGLE_LIST_ENTRY First = {NULL}, Single;
    LIST_ENTRY List, A, B;
    KSPIN_LOCK Lock = 0;
    ULONG Value = 1;

    if (GuestFailures != 0)
        return;
    InitializeListHead(&List);
    CHECK(Head(&List, &A, &Lock) == NULL);
    CHECK(Tail(&List, &B, &Lock) == &A);
    CHECK(Remove(&List, &Lock) == &A);
    CHECK(Remove(&List, &Lock) == &B);
    CHECK(Remove(&List, &Lock) == NULL);
    CHECK(Push(&First, &Single, &Lock) == NULL);
    CHECK(Pop(&First, &Lock) == &Single);
    CHECK(Pop(&First, &Lock) == NULL);
    CHECK_EQUAL(Add(&Value, 2, &Lock), 1);
    CHECK_EQUAL(Value, 3);
    CHECK_EQUAL(Lock, 0);
}
#else
static VOID AListShowsItsFirstEntry(VOID)
{
    PSLIST_ENTRY(NTAPI * First)(const SLIST_HEADER *) =
        (PSLIST_ENTRY(NTAPI *)(const SLIST_HEADER *))GuestFind(L"FirstEntrySList");
    static SLIST_HEADER List;
    static SLIST_ENTRY A, B;

    if (First == NULL)
        return;
    InitializeSListHead(&List);
    CHECK(First(&List) == NULL);
    InterlockedPushEntrySList(&List, &A);
    InterlockedPushEntrySList(&List, &B);
    CHECK(First(&List) == &B);
    InterlockedPopEntrySList(&List);
    CHECK(First(&List) == &A);
    InterlockedFlushSList(&List);
    CHECK(First(&List) == NULL);
}
#endif

// ---- lookaside lists ----------------------------------------------------------------------------
static VOID PagedListsGiveAndTake(VOID)
{
    PVOID(NTAPI * Allocate)(PPAGED_LOOKASIDE_LIST) =
        (PVOID(NTAPI *)(PPAGED_LOOKASIDE_LIST))GuestFind(L"ExAllocateFromPagedLookasideList");
    VOID(NTAPI * Free)(PPAGED_LOOKASIDE_LIST, PVOID) =
        (VOID(NTAPI *)(PPAGED_LOOKASIDE_LIST, PVOID))GuestFind(L"ExFreeToPagedLookasideList");
    static PAGED_LOOKASIDE_LIST List;
    PVOID Block;

    if (Allocate == NULL || Free == NULL)
        return;
    ExInitializePagedLookasideList(&List, NULL, NULL, 0, 100, TAG, 0);
    Block = Allocate(&List);
    CHECK(Block != NULL);
    if (Block != NULL) {
        RtlFillMemory(Block, 100, 0xAB);
        Free(&List, Block);
    }
    ExDeletePagedLookasideList(&List);
}

static const GUEST_CASE Cases[] = {
    {"the IRQL is raised and lowered, by all names", TheIrqlIsRaisedAndLowered},
    {"times are those of the shared page", TimesAreThoseOfTheSharedPage},
    {"every processor knows its number", EveryProcessorKnowsItsNumber},
    {"a thread knows itself and its process", AThreadKnowsItself},
    {"a base priority is relative to the process's", TheBasePriorityIsRelativeToTheProcess},
    {"the rest of the stack is told", TheRestOfTheStackShrinksWithUse},
    {"references are counted", ReferencesAreCounted},
    {"a share of a spin lock becomes all of it", SharesOfASpinLockBecomeAllOfIt},
    {"locks are made free", LocksAreMadeFree},
    {"paged lists give and take", PagedListsGiveAndTake},
#ifdef _X86_
    {"spin locks by their standard names", SpinLocksByTheirStandardNames},
    {"interlocked operations by their standard names", InterlockedOperationsReturnWhatTheyMade},
    {"lists by their standard names", ListsByTheirStandardNames},
#else
    {"a list shows its first entry", AListShowsItsFirstEntry},
#endif
};
GUEST_DRIVER(Cases)
