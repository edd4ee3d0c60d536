// SPDX-License-Identifier: MIT
// What has to come out even, from a driver's side. Which of these, says the name it is loaded
// under:
//
//   books-exhaust   all memory becomes pool, by one processor for each size and by all of them at
//                   once, and comes back: the largest block of before can be had again
//   books-contiguous  the same, after which 8 MiB in a row can be had
//   books-addresses  a pool's addresses are used up before memory is: others have both
//   books-tags      ten thousand tags
//   books-overflow  more tags than there is room for
//   books-depth     a lookaside list that is busy, then idle, for as long as tuning takes
//   books-load      threads on all processors that allocate and free until the driver is unloaded
//
// tests/system/test_pool_books.py reads the kernel's books afterwards: every allocation of these
// tags was freed.
#include "../crew.h"
#include "named.h"

#define NX       ((POOL_TYPE)512)
#define TAG      'kooB'
#define LARGEST  (32u << 20)
#define MANY     10000u
#define PATIENCE 200u

static const POOL_TYPE Types[] = {NonPagedPool, PagedPool, NX};
static const SIZE_T Sizes[] = {20000, 4096, 2040, 1000, 200, 48};

// Nearly the largest block there was: what is known of pages that were used once stays.
static SIZE_T Before;

static PVOID Fill(POOL_TYPE Type, SIZE_T Bytes, PVOID Chain, ULONG *Count)
{
    for (PVOID *Block; (Block = ExAllocatePoolWithTag(Type, Bytes, TAG)) != NULL; ++*Count) {
        *Block = Chain;
        Chain = Block;
    }
    return Chain;
}

static VOID FreeChain(PVOID Chain)
{
    while (Chain != NULL) {
        PVOID Next = *(PVOID *)Chain;
        ExFreePoolWithTag(Chain, TAG);
        Chain = Next;
    }
}

static SIZE_T LargestBlock(POOL_TYPE Type)
{
    for (SIZE_T Bytes = LARGEST; Bytes > PAGE_SIZE; Bytes -= Bytes / 8) {
        PVOID Block = ExAllocatePoolWithTag(Type, Bytes, TAG);
        if (Block != NULL) {
            ExFreePoolWithTag(Block, TAG);
            return Bytes;
        }
    }
    return 0;
}

// What other processors keep in their caches comes back a little later.
static BOOLEAN ComesBack(POOL_TYPE Type, SIZE_T Bytes)
{
    for (ULONG i = 0; i < PATIENCE; i++) {
        PVOID Block = ExAllocatePoolWithTag(Type, Bytes, TAG);
        if (Block != NULL) {
            ExFreePoolWithTag(Block, TAG);
            return TRUE;
        }
        CrewPause();
    }
    return FALSE;
}

// ---- exhaustion --------------------------------------------------------------------------------
// One processor: with more, each page that goes has to be told to the others.
static VOID OneSizeTakesAllAndGivesItBack(VOID)
{
    if (KeNumberProcessors > 1)
        return;
    for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++)
        for (ULONG s = 0; s < RTL_NUMBER_OF(Sizes); s++) {
            ULONG First = 0, Second = 0;
            FreeChain(Fill(Types[t], Sizes[s], NULL, &First));
            FreeChain(Fill(Types[t], Sizes[s], NULL, &Second));
            CHECK(First != 0);
            CHECK(Second + Second / 8 >= First);
            CHECK(ComesBack(Types[t], Before));
        }
}

static PVOID Chains[CREW_MAXIMUM];
static volatile LONG NextMember, Taken, Full;
static KEVENT Start, Give;  // when there are no more threads to be made; when all is taken

// Takes until there is nothing left for any size of any pool; gives back what another took.
static VOID NTAPI TakeAllAndGive(PVOID Context)
{
    ULONG Member = (ULONG)InterlockedIncrement(&NextMember) - 1, Count = 0;
    UNREFERENCED_PARAMETER(Context);
    KeWaitForSingleObject(&Start, Executive, KernelMode, FALSE, NULL);
    for (ULONG s = 0; s < RTL_NUMBER_OF(Sizes); s++)
        for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++)
            Chains[Member] = Fill(Types[(t + Member) % RTL_NUMBER_OF(Types)], Sizes[s],
                                  Chains[Member], &Count);
    InterlockedExchangeAdd(&Taken, (LONG)Count);
    InterlockedIncrement(&Full);
    KeWaitForSingleObject(&Give, Executive, KernelMode, FALSE, NULL);
    FreeChain(InterlockedExchangePointer(&Chains[(Member + 1) % (ULONG)NextMember], NULL));
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID AllProcessorsTakeAllAndGiveItBack(VOID)
{
    CREW Crew = {.Count = 0};
    for (ULONG Round = 0; Round < (KeNumberProcessors > 1 ? 1u : 3u); Round++) {
        KeInitializeEvent(&Start, NotificationEvent, FALSE);
        KeInitializeEvent(&Give, NotificationEvent, FALSE);
        NextMember = Taken = Full = 0;
        CrewFill(&Crew, TakeAllAndGive, NULL);
        KeSetEvent(&Start, IO_NO_INCREMENT, FALSE);
        CREW_UNTIL((ULONG)Full == Crew.Count);
        CHECK(Taken > 1000);
        CHECK(ExAllocatePoolWithTag(NonPagedPool, LARGEST, TAG) == NULL);
        KeSetEvent(&Give, IO_NO_INCREMENT, FALSE);
        CrewJoin(&Crew);
        for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++)
            CHECK(ComesBack(Types[t], Before));
    }
}

static VOID SomethingCanBeHad(VOID)
{
    Before = LargestBlock(NX) / 4 * 3;
    CHECK(Before > 1u << 20);
}

static const GUEST_CASE Exhaust[] = {
    {"there is a largest block", SomethingCanBeHad},
    {"one size takes all of each pool and gives it back", OneSizeTakesAllAndGivesItBack},
    {"all processors take all and give it back", AllProcessorsTakeAllAndGiveItBack},
};

// ---- what others want of the memory that was pool ----------------------------------------------
#define IN_A_ROW (8u << 20)

static VOID ContiguousMemoryComesBack(VOID)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = -1};

    for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++)
        for (ULONG s = 0; s < RTL_NUMBER_OF(Sizes); s++) {
            ULONG Count = 0;
            FreeChain(Fill(Types[t], Sizes[s], NULL, &Count));
            PVOID Block = MmAllocateContiguousMemory(IN_A_ROW, Highest);
            CHECK(Block != NULL);
            if (Block != NULL)
                MmFreeContiguousMemory(Block);
        }
}

static const GUEST_CASE Contiguous[] = {
    {"contiguous memory comes back", ContiguousMemoryComesBack},
};

// ---- addresses ---------------------------------------------------------------------------------
static BOOLEAN IsServed(POOL_TYPE Type, SIZE_T Bytes, EX_POOL_PRIORITY Priority)
{
    PVOID Block = ExAllocatePoolWithTagPriority(Type, Bytes, TAG, Priority);
    if (Block != NULL)
        ExFreePoolWithTag(Block, TAG);
    return Block != NULL;
}

// NonPagedPool has the smallest region. What fits nowhere in it any more is NULL, however small the
// request; nobody else notices, and all of it comes back.
static VOID AddressesRunOutForOnePoolAlone(VOID)
{
    ULONG First = 0, Small = 0, Second = 0;
    PVOID Large = Fill(NonPagedPool, 1 << 20, NULL, &First);
    CHECK(IsServed(PagedPool, 16 << 20, LowPoolPriority));
    CHECK(!IsServed(NonPagedPool, 1 << 20, HighPoolPriority));
    CHECK(!IsServed(NonPagedPool, 4096, LowPoolPriority));
    PVOID Chain = Fill(NonPagedPool, 4096, NULL, &Small);
    CHECK(!IsServed(NonPagedPool, 4096, HighPoolPriority));
    CHECK(IsServed(NX, 16 << 20, LowPoolPriority));
    CHECK(IsServed(PagedPool, 16 << 20, LowPoolPriority));
    FreeChain(Chain);
    FreeChain(Large);
    FreeChain(Fill(NonPagedPool, 1 << 20, NULL, &Second));
    CHECK(First > 100);
    CHECK(Second + Second / 16 >= First);
    CHECK(IsServed(NonPagedPool, 64 << 20, LowPoolPriority));
}

static const GUEST_CASE Addresses[] = {
    {"addresses run out for one pool alone", AddressesRunOutForOnePoolAlone},
};

// ---- tags --------------------------------------------------------------------------------------
#define TOO_MANY 20000u

static PVOID Tagged[TOO_MANY];

static VOID UseTags(ULONG Count)
{
    for (ULONG i = 0; i < Count; i++)
        CHECK((Tagged[i] = ExAllocatePoolWithTag(Types[i % 3], 40, 0x54000000 + i)) != NULL);
    for (ULONG i = 0; i < Count; i++)
        if (Tagged[i] != NULL)
            ExFreePoolWithTag(Tagged[i], 0x54000000 + i);
}

static VOID ManyTagsAreAllowed(VOID)
{
    UseTags(MANY);
}

static VOID TooManyTagsAreCountedTogether(VOID)
{
    UseTags(TOO_MANY);
}

static const GUEST_CASE Tags[] = {{"PL-45 ten thousand tags", ManyTagsAreAllowed}};
static const GUEST_CASE Overflow[] = {{"PL-45 more tags than room", TooManyTagsAreCountedTogether}};

// ---- lookaside lists ---------------------------------------------------------------------------
static NPAGED_LOOKASIDE_LIST Nonpaged;

// Takes and gives so many at a time, for so long.
static VOID KeepBusy(ULONG Batch, ULONG Tenths)
{
    static PVOID Entries[150];
    LARGE_INTEGER Tenth = {.QuadPart = -1000000};

    for (; Tenths != 0; Tenths--) {
        for (ULONG Times = 0; Times < 20; Times++) {
            for (ULONG i = 0; i < Batch; i++)
                Entries[i] = ExAllocateFromNPagedLookasideList(&Nonpaged);
            for (ULONG i = 0; i < Batch; i++)
                ExFreeToNPagedLookasideList(&Nonpaged, Entries[i]);
        }
        KeDelayExecutionThread(KernelMode, FALSE, &Tenth);
    }
}

static BOOLEAN DepthComesTo(USHORT Least, USHORT Most, ULONG Batch)
{
    for (ULONG Seconds = 0; Seconds < 60; Seconds++) {
        if (Nonpaged.L.Depth >= Least && Nonpaged.L.Depth <= Most)
            return TRUE;
        KeepBusy(Batch, 10);
    }
    return FALSE;
}

// LA-25 to LA-27, by the clock: the system looks once a second.
static VOID DepthFollowsDemand(VOID)
{
    ExInitializeNPagedLookasideList(&Nonpaged, NULL, NULL, 0, 64, TAG, 0);
    CHECK(DepthComesTo(150, 256, 150));
    ULONG Misses = Nonpaged.L.AllocateMisses;
    KeepBusy(150, 1);
    CHECK(Nonpaged.L.AllocateMisses - Misses <= 150); // those that the list was short of
    CHECK(DepthComesTo(4, 4, 0));
    for (ULONG Seconds = 0; ExQueryDepthSList(&Nonpaged.L.ListHead) > 4 && Seconds < 5; Seconds++)
        KeepBusy(0, 10);
    CHECK(ExQueryDepthSList(&Nonpaged.L.ListHead) <= 4);
    ExDeleteNPagedLookasideList(&Nonpaged);
}

static const GUEST_CASE Depth[] = {{"LA-25 LA-26 LA-27 depth follows demand", DepthFollowsDemand}};

// ---- load --------------------------------------------------------------------------------------
static CREW Loaders;
static volatile BOOLEAN Stop;

static VOID NTAPI Load(PVOID Context)
{
    static const SIZE_T Bytes[] = {16, 100, 500, 3000, 5000};
    PVOID Held[32] = {NULL};
    ULONG Turn = 0;
    UNREFERENCED_PARAMETER(Context);
    for (; !Stop; Turn++) {
        PVOID *Place = &Held[Turn * 7 % RTL_NUMBER_OF(Held)];
        if (*Place != NULL)
            ExFreePoolWithTag(*Place, TAG);
        *Place = ExAllocatePoolWithTag(Types[Turn % 3], Bytes[Turn % RTL_NUMBER_OF(Bytes)], TAG);
        if (Turn % 1024 == 0)
            CrewYield();
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(Held); i++)
        if (Held[i] != NULL)
            ExFreePoolWithTag(Held[i], TAG);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    Stop = TRUE;
    CrewJoin(&Loaders);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    char Name[64];
    const char *Text = Name;
    DriverObject->DriverUnload = Unload;
    ReadOwnName(RegistryPath, Name, sizeof(Name));
    if (!TakeWord(&Text, "books"))
        return STATUS_OBJECT_NAME_INVALID;
    if (TakeWord(&Text, "exhaust"))
        return GuestRun(Exhaust, RTL_NUMBER_OF(Exhaust));
    if (TakeWord(&Text, "contiguous"))
        return GuestRun(Contiguous, RTL_NUMBER_OF(Contiguous));
    if (TakeWord(&Text, "addresses"))
        return GuestRun(Addresses, RTL_NUMBER_OF(Addresses));
    if (TakeWord(&Text, "depth"))
        return GuestRun(Depth, RTL_NUMBER_OF(Depth));
    if (TakeWord(&Text, "overflow"))
        return GuestRun(Overflow, RTL_NUMBER_OF(Overflow));
    if (TakeWord(&Text, "tags"))
        return GuestRun(Tags, RTL_NUMBER_OF(Tags));
    if (!TakeWord(&Text, "load"))
        return STATUS_OBJECT_NAME_INVALID;
    CrewFill(&Loaders, Load, NULL);
    return STATUS_SUCCESS;
}
