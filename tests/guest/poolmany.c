// SPDX-License-Identifier: MIT
// Pool that lies in the caches of every processor comes back when one of them needs it all.
//
// On each processor in turn blocks of all kinds are allocated and freed, so that its caches are
// full; then one processor takes whatever there is, gives it back, and takes it again. What one
// round got and the next did not would be lost.
#include "guest.h"

#define NX       ((POOL_TYPE)512)
#define TAG      'ynaM'
#define MEBIBYTE (1u << 20)
#define UNIT     65536u
#define MOST     512u // MiB; a larger machine is not exhausted
#define BLOCKS   100

static const POOL_TYPE Types[] = {NonPagedPool, PagedPool, NX};

static VOID FillCaches(POOL_TYPE Type)
{
    static const SIZE_T Sizes[] = {16, 64, 200, 1000, 2040, 4096, 8192, 65536};
    static PVOID Block[BLOCKS];

    for (ULONG s = 0; s < RTL_NUMBER_OF(Sizes); s++) {
        ULONG Count = Sizes[s] >= 4096 ? 8 : BLOCKS;
        for (ULONG i = 0; i < Count; i++)
            Block[i] = ExAllocatePoolWithTag(Type, Sizes[s], TAG);
        for (ULONG i = 0; i < Count; i++)
            if (Block[i] != NULL)
                ExFreePoolWithTag(Block[i], TAG);
    }
}

static VOID FillAllCaches(VOID)
{
    for (CCHAR Number = 0; Number < KeNumberProcessors; Number++) {
        KeSetSystemAffinityThread((KAFFINITY)1 << Number);
        for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++)
            FillCaches(Types[t]);
    }
    KeSetSystemAffinityThread(1);
}

static ULONG Take(POOL_TYPE Type, SIZE_T Size, ULONG Most, PVOID *Chain)
{
    ULONG Count = 0;

    for (PVOID *Block; Count < Most && (Block = ExAllocatePoolWithTag(Type, Size, TAG)) != NULL;
         Count++) {
        *Block = *Chain;
        *Chain = Block;
    }
    return Count;
}

static VOID Give(PVOID Chain)
{
    while (Chain != NULL) {
        PVOID Next = *(PVOID *)Chain;
        ExFreePoolWithTag(Chain, TAG);
        Chain = Next;
    }
}

// All there is, in units of 64 KiB: large blocks first, then what fits between them.
static ULONG TakeAll(POOL_TYPE Type)
{
    PVOID Chain = NULL;
    ULONG Large = Take(Type, MEBIBYTE, MOST, &Chain);
    ULONG Rest = Large < MOST ? Take(Type, UNIT, 64, &Chain) : 0;

    Give(Chain);
    return Large * (MEBIBYTE / UNIT) + Rest;
}

// The first round pays for page tables, some of which stay. A few pages more or less are the
// clock's, and bookkeeping's.
static VOID NothingIsLost(VOID)
{
    for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++) {
        TakeAll(Types[t]);
        FillAllCaches();
        ULONG Before = TakeAll(Types[t]);
        FillAllCaches();
        ULONG After = TakeAll(Types[t]);
        if (After + 1 < Before)
            DbgPrint("# %u units, before %u\n", After, Before);
        CHECK(After + 1 >= Before);
    }
    KeRevertToUserAffinityThread();
}

// What the pools were made of, page tables included, does not stay scattered over RAM: what does
// is the PFN database, of which the first pages of each 2 MiB hold their part. In a machine with a
// few times 2 MiB, some other page may lie in each of them.
#define WHOLE (500u * PAGE_SIZE)
#define ROOMY (64u * MEBIBYTE)

static BOOLEAN IsRoomy(VOID)
{
    PPHYSICAL_MEMORY_RANGE Ranges = MmGetPhysicalMemoryRanges();
    ULONG64 Bytes = 0;

    for (ULONG i = 0; Ranges != NULL && Ranges[i].NumberOfBytes.QuadPart != 0; i++)
        Bytes += (ULONG64)Ranges[i].NumberOfBytes.QuadPart;
    if (Ranges != NULL)
        ExFreePool(Ranges);
    return Bytes >= ROOMY;
}

static VOID RamIsWholeAgain(VOID)
{
    PHYSICAL_ADDRESS Anywhere = {.QuadPart = -1};
    PVOID Run;

    for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++)
        TakeAll(Types[t]);
    Run = MmAllocateContiguousMemory(WHOLE, Anywhere);
    CHECK(Run != NULL || !IsRoomy());
    if (Run != NULL)
        MmFreeContiguousMemory(Run);
}

#define SPAN (6u * MEBIBYTE) // several tables map it, and the smallest machine has as much

// Address space that lost its page tables gets them again, known to every processor.
static VOID TablesComeBack(VOID)
{
    PHYSICAL_ADDRESS Anywhere = {.QuadPart = -1};

    for (CCHAR Number = 0; Number < KeNumberProcessors; Number++) {
        PVOID Run = MmAllocateContiguousMemory(1024 * MEBIBYTE, Anywhere);
        CHECK(Run == NULL);
        KeSetSystemAffinityThread((KAFFINITY)1 << Number);
        ULONG *Block = ExAllocatePoolWithTag(NX, SPAN, TAG);
        CHECK(Block != NULL);
        for (ULONG i = 0; Block != NULL && i < SPAN / sizeof(ULONG); i += 1024)
            Block[i] = i;
        KeSetSystemAffinityThread((KAFFINITY)1 << (Number + 1) % KeNumberProcessors);
        for (ULONG i = 0; Block != NULL && i < SPAN / sizeof(ULONG); i += 1024)
            CHECK_EQUAL(Block[i], i);
        if (Block != NULL)
            ExFreePoolWithTag(Block, TAG);
    }
    KeRevertToUserAffinityThread();
}

static const GUEST_CASE Cases[] = {
    {"exhaustion takes what all processors keep, and loses nothing", NothingIsLost},
    {"nearly 2 contiguous MiB are there after an exhaustion", RamIsWholeAgain},
    {"page tables that went back are made again", TablesComeBack},
};
GUEST_DRIVER(Cases)
