// SPDX-License-Identifier: MIT
// Lookaside lists, SLISTs and the ExInterlocked lists, as the DDK's headers inline and import them.
#include "guest.h"

#define TAG 'kooL'

// ---- lookaside lists ----------------------------------------------------------------------------
static NPAGED_LOOKASIDE_LIST Nonpaged;
static PAGED_LOOKASIDE_LIST Paged;
static LOOKASIDE_LIST_EX Extended;
static ULONG Allocated, Freed;

static VOID TheLastFreedEntryComesFirst(VOID)
{
    ExInitializeNPagedLookasideList(&Nonpaged, NULL, NULL, 0, 48, TAG, 0);
    PVOID First = ExAllocateFromNPagedLookasideList(&Nonpaged);
    PVOID Second = ExAllocateFromNPagedLookasideList(&Nonpaged);
    CHECK(First != NULL && Second != NULL && First != Second);
    ExFreeToNPagedLookasideList(&Nonpaged, First);
    ExFreeToNPagedLookasideList(&Nonpaged, Second);
    CHECK(ExAllocateFromNPagedLookasideList(&Nonpaged) == Second);
    CHECK(ExAllocateFromNPagedLookasideList(&Nonpaged) == First);
    ExFreeToNPagedLookasideList(&Nonpaged, First);
    ExFreeToNPagedLookasideList(&Nonpaged, Second);
    ExDeleteNPagedLookasideList(&Nonpaged);
}

static VOID CountersAddUp(VOID)
{
    PVOID Entries[20];

    ExInitializePagedLookasideList(&Paged, NULL, NULL, 0, 100, TAG, 0);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Entries); i++)
        Entries[i] = ExAllocateFromPagedLookasideList(&Paged);
    CHECK_EQUAL(Paged.L.TotalAllocates, RTL_NUMBER_OF(Entries));
    CHECK_EQUAL(Paged.L.AllocateMisses, RTL_NUMBER_OF(Entries));
    for (ULONG i = 0; i < RTL_NUMBER_OF(Entries); i++)
        ExFreeToPagedLookasideList(&Paged, Entries[i]);
    CHECK_EQUAL(Paged.L.TotalFrees, RTL_NUMBER_OF(Entries));
    CHECK_EQUAL(Paged.L.FreeMisses,
                RTL_NUMBER_OF(Entries) - ExQueryDepthSList(&Paged.L.ListHead));
    CHECK(ExQueryDepthSList(&Paged.L.ListHead) <= Paged.L.Depth);
    CHECK(Paged.L.Depth <= Paged.L.MaximumDepth);
    ExDeletePagedLookasideList(&Paged);
}

static PVOID NTAPI OwnAllocate(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag)
{
    Allocated++;
    return ExAllocatePoolWithTag(Type, Bytes, Tag);
}

static VOID NTAPI OwnFree(PVOID Entry)
{
    Freed++;
    ExFreePool(Entry);
}

static VOID OwnRoutinesAreCalled(VOID)
{
    PVOID Entries[10];

    Allocated = Freed = 0;
    ExInitializeNPagedLookasideList(&Nonpaged, OwnAllocate, OwnFree, 0, 16, TAG, 0);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Entries); i++)
        Entries[i] = ExAllocateFromNPagedLookasideList(&Nonpaged);
    CHECK_EQUAL(Allocated, RTL_NUMBER_OF(Entries));
    for (ULONG i = 0; i < RTL_NUMBER_OF(Entries); i++)
        ExFreeToNPagedLookasideList(&Nonpaged, Entries[i]);
    ExDeleteNPagedLookasideList(&Nonpaged);
    CHECK_EQUAL(Freed, Allocated);
}

static VOID AnExListFlushesAndGoesOn(VOID)
{
    CHECK_EQUAL(ExInitializeLookasideListEx(&Extended, NULL, NULL, PagedPool, 0, 60, TAG, 0),
                STATUS_SUCCESS);
    PVOID Entry = ExAllocateFromLookasideListEx(&Extended);
    CHECK(Entry != NULL);
    ExFreeToLookasideListEx(&Extended, Entry);
    CHECK_EQUAL(ExQueryDepthSList(&Extended.L.ListHead), 1);
    ExFlushLookasideListEx(&Extended);
    CHECK_EQUAL(ExQueryDepthSList(&Extended.L.ListHead), 0);
    Entry = ExAllocateFromLookasideListEx(&Extended);
    CHECK(Entry != NULL);
    ExFreeToLookasideListEx(&Extended, Entry);
    ExDeleteLookasideListEx(&Extended);
}

static VOID AnExListRefusesWrongArguments(VOID)
{
    CHECK_EQUAL(ExInitializeLookasideListEx(&Extended, NULL, NULL, NonPagedPoolMustSucceed, 0, 60,
                                            TAG, 0),
                STATUS_INVALID_PARAMETER_4);
    CHECK_EQUAL(ExInitializeLookasideListEx(&Extended, NULL, NULL, PagedPool, 0x80, 60, TAG, 0),
                STATUS_INVALID_PARAMETER_5);
}

// What a list is before it was used, whatever was asked for.
static VOID ANewListIsAsDocumented(VOID)
{
    static const USHORT Flags[] = {0, 512, 16, 512 + 16};

    for (ULONG i = 0; i < RTL_NUMBER_OF(Flags); i++) {
        // Depth and flags without a meaning are ignored; sizes below a link's are made larger.
        ExInitializeNPagedLookasideList(&Nonpaged, NULL, NULL, Flags[i] | 2, i, TAG, (USHORT)i);
        CHECK_EQUAL(Nonpaged.L.Type, Flags[i]);
        CHECK(Nonpaged.L.Size >= sizeof(PVOID));
        CHECK_EQUAL(Nonpaged.L.Depth, 4);
        CHECK_EQUAL(Nonpaged.L.MaximumDepth, 256);
        CHECK_EQUAL(Nonpaged.L.Tag, TAG);
        CHECK_EQUAL(ExQueryDepthSList(&Nonpaged.L.ListHead), 0);
        PVOID Entry = ExAllocateFromNPagedLookasideList(&Nonpaged);
        CHECK(Entry != NULL);
        CHECK_EQUAL(Nonpaged.L.AllocateMisses, 1);
        ExFreeToNPagedLookasideList(&Nonpaged, Entry);
        CHECK_EQUAL(Nonpaged.L.FreeMisses, 0);
        ExDeleteNPagedLookasideList(&Nonpaged);
    }
}

// ---- sequenced lists ----------------------------------------------------------------------------
typedef struct DECLSPEC_ALIGN(MEMORY_ALLOCATION_ALIGNMENT) _ITEM {
    SLIST_ENTRY Link;
    ULONG Number;
} ITEM;

static SLIST_HEADER List;
static ITEM Items[50];

static VOID AnSlistIsLastInFirstOut(VOID)
{
    InitializeSListHead(&List);
    CHECK(InterlockedPopEntrySList(&List) == NULL);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Items); i++) {
        PSLIST_ENTRY Before = InterlockedPushEntrySList(&List, &Items[i].Link);
        CHECK(Before == (i == 0 ? NULL : &Items[i - 1].Link));
    }
    CHECK_EQUAL(ExQueryDepthSList(&List), RTL_NUMBER_OF(Items));
    for (ULONG i = RTL_NUMBER_OF(Items); i-- > 0;)
        CHECK(InterlockedPopEntrySList(&List) == &Items[i].Link);
    CHECK(InterlockedPopEntrySList(&List) == NULL);
}

static VOID AFlushTakesAll(VOID)
{
    ULONG Count = 0;

    InitializeSListHead(&List);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Items); i++)
        InterlockedPushEntrySList(&List, &Items[i].Link);
    for (PSLIST_ENTRY Entry = ExInterlockedFlushSList(&List); Entry != NULL; Entry = Entry->Next)
        Count++;
    CHECK_EQUAL(Count, RTL_NUMBER_OF(Items));
    CHECK_EQUAL(ExQueryDepthSList(&List), 0);
}

static VOID AnSlistWorksAtHighLevel(VOID)
{
    KIRQL OldIrql;

    InitializeSListHead(&List);
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    InterlockedPushEntrySList(&List, &Items[0].Link);
    CHECK(InterlockedPopEntrySList(&List) == &Items[0].Link);
    KeLowerIrql(OldIrql);
}

// A list may be longer than its 16 bits of depth say.
static VOID DepthHasSixteenBits(VOID)
{
    const ULONG Count = 65536 + 10;
    ITEM *Many = ExAllocatePoolWithTag(NonPagedPool, Count * sizeof(ITEM), TAG);
    ULONG Popped = 0;

    if (Many == NULL)
        return;
    InitializeSListHead(&List);
    for (ULONG i = 0; i < Count; i++)
        InterlockedPushEntrySList(&List, &Many[i].Link);
    CHECK_EQUAL(ExQueryDepthSList(&List), 10);
    while (InterlockedPopEntrySList(&List) != NULL)
        Popped++;
    CHECK_EQUAL(Popped, Count);
    CHECK_EQUAL(ExQueryDepthSList(&List), 0);
    ExFreePoolWithTag(Many, TAG);
}

// ---- lists under a lock -------------------------------------------------------------------------
static KSPIN_LOCK Lock;

// LA-72: at HIGH_LEVEL as anywhere else; the IRQL and the interrupts are as before.
static VOID InterlockedListsWorkAtEveryIrql(VOID)
{
    LIST_ENTRY Head, Entry;
    SINGLE_LIST_ENTRY Single = {NULL}, Link;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    InitializeListHead(&Head);
    for (KIRQL Irql = PASSIVE_LEVEL; Irql <= HIGH_LEVEL; Irql++) {
        KeRaiseIrql(Irql, &OldIrql);
        CHECK(ExInterlockedInsertTailList(&Head, &Entry, &Lock) == NULL);
        CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &Entry);
        CHECK(ExInterlockedPushEntryList(&Single, &Link, &Lock) == NULL);
        CHECK(ExInterlockedPopEntryList(&Single, &Lock) == &Link);
        CHECK_EQUAL(KeGetCurrentIrql(), Irql);
        CHECK_EQUAL(Lock, 0);
        KeLowerIrql(OldIrql);
    }
    LARGE_INTEGER Tick = {.QuadPart = -1};
    KeDelayExecutionThread(KernelMode, FALSE, &Tick); // the clock still interrupts
}

static VOID InterlockedListsReturnTheNeighbour(VOID)
{
    LIST_ENTRY Head, A, B, C;

    KeInitializeSpinLock(&Lock);
    InitializeListHead(&Head);
    CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == NULL);
    CHECK(ExInterlockedInsertTailList(&Head, &B, &Lock) == NULL);
    CHECK(ExInterlockedInsertTailList(&Head, &C, &Lock) == &B);
    CHECK(ExInterlockedInsertHeadList(&Head, &A, &Lock) == &B);
    CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &A);
    CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &B);
    CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == &C);
    CHECK(ExInterlockedRemoveHeadList(&Head, &Lock) == NULL);
}

static VOID InterlockedSingleListsAreStacks(VOID)
{
    SINGLE_LIST_ENTRY Head = {NULL}, A, B;

    CHECK(ExInterlockedPopEntryList(&Head, &Lock) == NULL);
    CHECK(ExInterlockedPushEntryList(&Head, &A, &Lock) == NULL);
    CHECK(ExInterlockedPushEntryList(&Head, &B, &Lock) == &A);
    CHECK(ExInterlockedPopEntryList(&Head, &Lock) == &B);
    CHECK(ExInterlockedPopEntryList(&Head, &Lock) == &A);
}

static VOID InterlockedAdditionsReturnTheOldValue(VOID)
{
    LARGE_INTEGER Large, Increment;
    ULONG Small = 5;

    Large.QuadPart = 0xFFFFFFFF;
    Increment.QuadPart = 2;
    CHECK_EQUAL(ExInterlockedAddLargeInteger(&Large, Increment, &Lock).QuadPart, 0xFFFFFFFF);
    CHECK_EQUAL(Large.QuadPart, 0x100000001);
    CHECK_EQUAL(ExInterlockedAddUlong(&Small, 3, &Lock), 5);
    CHECK_EQUAL(Small, 8);
}

static VOID InterlockedVariables(VOID)
{
    LONG Value = -1;
    LONGLONG Wide = 1, Exchange = 0x100000002, Comparand = 1;

    CHECK_EQUAL(InterlockedIncrement(&Value), 0);
    CHECK_EQUAL(InterlockedDecrement(&Value), (LONG)-1);
    CHECK_EQUAL(InterlockedExchange(&Value, 7), (LONG)-1);
    CHECK_EQUAL(InterlockedExchangeAdd(&Value, 3), 7);
    CHECK_EQUAL(InterlockedCompareExchange(&Value, 1, 10), 10);
    CHECK_EQUAL(Value, 1);
    CHECK_EQUAL(ExInterlockedCompareExchange64(&Wide, &Exchange, &Comparand, &Lock), 1);
    CHECK_EQUAL(Wide, 0x100000002);
}

static const GUEST_CASE Cases[] = {
    {"LA-21 a lookaside list returns the entry freed last", TheLastFreedEntryComesFirst},
    {"LA-22 LA-23 a lookaside list's counters add up", CountersAddUp},
    {"LA-10 LA-11 a lookaside list calls its own routines", OwnRoutinesAreCalled},
    {"LA-09 an Ex list is flushed and goes on", AnExListFlushesAndGoesOn},
    {"LA-03 an Ex list refuses wrong arguments", AnExListRefusesWrongArguments},
    {"LA-20 LA-24 LA-29 LA-34 LA-35 a new list is as documented", ANewListIsAsDocumented},
    {"LA-63 LA-64 an SLIST is last in, first out", AnSlistIsLastInFirstOut},
    {"LA-65 flushing an SLIST takes all entries", AFlushTakesAll},
    {"LA-63 an SLIST works at HIGH_LEVEL", AnSlistWorksAtHighLevel},
    {"LA-66 an SLIST's depth has 16 bits, its length not", DepthHasSixteenBits},
    {"LA-49 LA-72 interlocked lists work at every IRQL", InterlockedListsWorkAtEveryIrql},
    {"LA-46 LA-47 interlocked lists return the neighbour", InterlockedListsReturnTheNeighbour},
    {"LA-61 interlocked single lists are stacks", InterlockedSingleListsAreStacks},
    {"interlocked additions return the old value", InterlockedAdditionsReturnTheOldValue},
    {"interlocked operations on variables", InterlockedVariables},
};
GUEST_DRIVER(Cases)
