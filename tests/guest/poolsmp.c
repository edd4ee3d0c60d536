// SPDX-License-Identifier: MIT
// Pool on several processors: a thread on each allocates, and whoever comes next to the same place
// checks and frees. The same with sequenced lists: few entries for all, and entries whose memory is
// gone as soon as they were popped.
#include "guest.h"

#define NX      ((POOL_TYPE)512)
#define TAG     'pmSP'
#define PLACES  256
#define TURNS   5000
#define MOST    32

typedef struct _LOAD { SIZE_T Size; ULONG Value; UCHAR Rest[1]; } LOAD;

static LOAD *Places[PLACES];
static LONG Wrong, Failed;

static VOID Check(LOAD *Load)
{
    for (SIZE_T i = 0; i < Load->Size; i++)
        if (Load->Rest[i] != (UCHAR)Load->Value) {
            InterlockedIncrement(&Wrong);
            break;
        }
    ExFreePoolWithTag(Load, TAG);
}

static LOAD *Make(POOL_TYPE Type, ULONG Random)
{
    SIZE_T Size = 1 + (Random >> 8) % ((Random & 31) == 0 ? 9000 : 500);
    LOAD *Load = ExAllocatePoolWithTag(Type, sizeof(LOAD) + Size, TAG);

    if (Load == NULL) {
        InterlockedIncrement(&Failed);
        return NULL;
    }
    Load->Size = Size;
    Load->Value = Random;
    RtlFillMemory(Load->Rest, Size, (UCHAR)Random);
    return Load;
}

static VOID NTAPI Work(PVOID Context)
{
    static const POOL_TYPE Types[] = {NonPagedPool, PagedPool, NX};
    ULONG Number = (ULONG)(ULONG_PTR)Context, Random = Number + 1;

    KeSetSystemAffinityThread((KAFFINITY)1 << Number);
    for (ULONG i = 0; i < TURNS; i++) {
        Random = Random * 1664525u + 1013904223u;
        LOAD *Load = Make(Types[i % 3], Random >> 3);
        Load = InterlockedExchangePointer((PVOID *)&Places[(Random >> 20) % PLACES], Load);
        if (Load != NULL)
            Check(Load);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

// On every processor, and waits until all are done.
static VOID RunEverywhere(PKSTART_ROUTINE Routine)
{
    PVOID Threads[MOST];
    ULONG Count = 0;
    HANDLE Handle;

    for (; Count < (ULONG)KeNumberProcessors && Count < MOST; Count++) {
        NTSTATUS Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL,
                                               Routine, (PVOID)(ULONG_PTR)Count);
        CHECK_EQUAL(Status, STATUS_SUCCESS);
        ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Threads[Count],
                                  NULL);
        ZwClose(Handle);
    }
    for (ULONG i = 0; i < Count; i++) {
        KeWaitForSingleObject(Threads[i], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Threads[i]);
    }
}

static VOID BlocksTravelBetweenProcessors(VOID)
{
    RunEverywhere(Work);
    for (ULONG i = 0; i < PLACES; i++)
        if (Places[i] != NULL)
            Check(Places[i]);
    CHECK_EQUAL(Wrong, 0);
    CHECK_EQUAL(Failed, 0);
}

// ---- sequenced lists ---------------------------------------------------------------------------
typedef struct DECLSPEC_ALIGN(MEMORY_ALLOCATION_ALIGNMENT) _ITEM {
    SLIST_ENTRY Link;
    volatile LONG Owners;
    LONG Pushed;
} ITEM;

static SLIST_HEADER List;
static ITEM Items[3]; // so few that the same one is first again and again
static LONG Shared;

static VOID NTAPI TakeAndGive(PVOID Context)
{
    KeSetSystemAffinityThread((KAFFINITY)1 << (ULONG)(ULONG_PTR)Context);
    for (ULONG i = 0; i < 4 * TURNS; i++) {
        ITEM *Item = (ITEM *)InterlockedPopEntrySList(&List);
        if (Item == NULL)
            continue;
        if (InterlockedIncrement(&Item->Owners) != 1)
            InterlockedIncrement(&Shared);
        Item->Pushed++;
        InterlockedDecrement(&Item->Owners);
        InterlockedPushEntrySList(&List, &Item->Link);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID AnEntryNeverHasTwoOwners(VOID)
{
    LONG Pushed = 0;

    InitializeSListHead(&List);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Items); i++)
        InterlockedPushEntrySList(&List, &Items[i].Link);
    RunEverywhere(TakeAndGive);
    CHECK_EQUAL(Shared, 0);
    CHECK_EQUAL(ExQueryDepthSList(&List), RTL_NUMBER_OF(Items));
    for (ULONG i = 0; i < RTL_NUMBER_OF(Items); i++) {
        CHECK(InterlockedPopEntrySList(&List) != NULL);
        Pushed += Items[i].Pushed;
    }
    CHECK(Pushed > (LONG)TURNS);
    CHECK(InterlockedPopEntrySList(&List) == NULL);
}

// Whoever pops an entry unmaps it, while others may have just read its address.
static VOID NTAPI TakeAndUnmap(PVOID Context)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = -1};

    KeSetSystemAffinityThread((KAFFINITY)1 << (ULONG)(ULONG_PTR)Context);
    for (ULONG i = 0; i < TURNS / 16; i++) {
        PSLIST_ENTRY Entry = i % 2 ? InterlockedPopEntrySList(&List) : NULL;
        if (Entry != NULL)
            MmFreeContiguousMemory(Entry);
        else if ((Entry = MmAllocateContiguousMemory(PAGE_SIZE, Highest)) != NULL)
            InterlockedPushEntrySList(&List, Entry);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID AnEntryMayBeGoneOnceItWasPopped(VOID)
{
    PSLIST_ENTRY Entry;
    ULONG Left = 0;

    InitializeSListHead(&List);
    RunEverywhere(TakeAndUnmap);
    for (; (Entry = InterlockedPopEntrySList(&List)) != NULL; Left++)
        MmFreeContiguousMemory(Entry);
    CHECK(Left < TURNS);
}

static const GUEST_CASE Cases[] = {
    {"LA-68 an entry of an SLIST never has two owners", AnEntryNeverHasTwoOwners},
    {"LA-64 an entry's memory may be gone once it was popped", AnEntryMayBeGoneOnceItWasPopped},
    {"a block may be freed on another processor", BlocksTravelBetweenProcessors},
};
GUEST_DRIVER(Cases)
