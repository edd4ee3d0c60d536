// SPDX-License-Identifier: MIT
// Pool: what the documents promise a driver, by way of its imports alone.
#include "guest.h"

#define NX       ((POOL_TYPE)512)
#define ZEROED   1024
#define TAG      'tseT'
#define MANY     2000
#define LINE     64
#define PLENTY   (600u << 20)

static const POOL_TYPE Types[] = {NonPagedPool, PagedPool, NX};

static ULONG Seed = 1;

static ULONG RandomBelow(ULONG Limit)
{
    Seed = Seed * 1664525u + 1013904223u;
    return (Seed >> 8) % Limit;
}

static BOOLEAN IsFilled(const UCHAR *Block, SIZE_T Size, UCHAR Value)
{
    for (SIZE_T i = 0; i < Size; i++)
        if (Block[i] != Value)
            return FALSE;
    return TRUE;
}

static VOID CheckPlace(const UCHAR *Block, SIZE_T Size)
{
    CHECK((ULONG_PTR)Block % MEMORY_ALLOCATION_ALIGNMENT == 0);
    if (Size <= PAGE_SIZE)
        CHECK(PAGE_ALIGN(Block) == PAGE_ALIGN(Block + Size - 1));
    if (Size >= PAGE_SIZE)
        CHECK(BYTE_OFFSET(Block) == 0);
}

static VOID PlacesAreAsDocumented(VOID)
{
    for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++)
        for (SIZE_T Size = 1; Size <= 2 * PAGE_SIZE + 1; Size += Size < 300 ? 1 : 61) {
            UCHAR *Block = ExAllocatePoolWithTag(Types[t], Size, TAG);
            CHECK(Block != NULL);
            if (Block == NULL)
                return;
            CheckPlace(Block, Size);
            RtlFillMemory(Block, Size, 0xA5);
            ExFreePoolWithTag(Block, TAG);
        }
}

static VOID AWholePageIsPageAligned(VOID)
{
    UCHAR *Block = ExAllocatePoolWithTag(NonPagedPool, PAGE_SIZE, TAG);

    CheckPlace(Block, PAGE_SIZE);
    ExFreePoolWithTag(Block, TAG);
}

static ULONG_PTR LineOf(const VOID *Address)
{
    return (ULONG_PTR)Address / LINE;
}

// Blocks that lie side by side, of plain types too: none has a byte in a line of an aligned one.
static VOID CacheAlignedBlocksHaveTheirLinesAlone(VOID)
{
    static UCHAR *Blocks[64];
    const ULONG Count = RTL_NUMBER_OF(Blocks);

    for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++)
        for (SIZE_T Size = 1; Size < PAGE_SIZE; Size = Size * 2 + 7) {
            for (ULONG i = 0; i < Count; i++) {
                ULONG Aligned = i % 2 ? NonPagedPoolCacheAligned : 0;
                Blocks[i] = ExAllocatePoolWithTag((POOL_TYPE)(Types[t] | Aligned), Size, TAG);
                CHECK(i % 2 == 0 || (ULONG_PTR)Blocks[i] % LINE == 0);
            }
            for (ULONG i = 1; i < Count; i += 2)
                for (ULONG j = 0; j < Count; j++)
                    CHECK(j == i || LineOf(Blocks[j] + Size - 1) < LineOf(Blocks[i]) ||
                          LineOf(Blocks[j]) > LineOf(Blocks[i] + Size - 1));
            for (ULONG i = 0; i < Count; i++)
                ExFreePool(Blocks[i]);
        }
}

// Nobody else gets the tail of the last page (PL-24, CX-19).
static VOID TheTailOfALastPageIsNobodys(VOID)
{
    static UCHAR *Large[32], *Small[256];

    for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++) {
        for (ULONG i = 0; i < RTL_NUMBER_OF(Large); i++)
            Large[i] = ExAllocatePoolWithTag(Types[t], PAGE_SIZE + 1024, TAG);
        for (ULONG i = 0; i < RTL_NUMBER_OF(Small); i++)
            Small[i] = ExAllocatePoolWithTag(Types[t], 16 + i % 4 * 500, TAG);
        for (ULONG i = 0; i < RTL_NUMBER_OF(Large); i++)
            for (ULONG j = 0; j < RTL_NUMBER_OF(Small); j++)
                CHECK(PAGE_ALIGN(Small[j]) != PAGE_ALIGN(Large[i] + PAGE_SIZE));
        for (ULONG i = 0; i < RTL_NUMBER_OF(Large); i++)
            ExFreePool(Large[i]);
        for (ULONG i = 0; i < RTL_NUMBER_OF(Small); i++)
            ExFreePool(Small[i]);
    }
}

static VOID ZeroBytesAreAMinimalBlock(VOID)
{
    PVOID Block = ExAllocatePoolWithTag(PagedPool, 0, TAG);

    CHECK(Block != NULL);
    ExFreePool(Block);
}

static VOID ZeroedBlocksAreZero(VOID)
{
    for (SIZE_T Size = 16; Size < 3 * PAGE_SIZE; Size = Size * 3 / 2) {
        UCHAR *Block = ExAllocatePoolWithTag(NX, Size, TAG);
        RtlFillMemory(Block, Size, 0xFF);
        ExFreePool(Block);
        Block = ExAllocatePoolWithTag((POOL_TYPE)(NX | ZEROED), Size, TAG);
        CHECK(IsFilled(Block, Size, 0));
        ExFreePool(Block);
    }
}

static VOID UntaggedBlocksMayBeFreedEitherWay(VOID)
{
    ExFreePool(ExAllocatePool(NonPagedPool, 40));
    ExFreePoolWithTag(ExAllocatePool(PagedPool, 40), 'enoN');
}

static VOID NonpagedPoolWorksAtDispatchLevel(VOID)
{
    KIRQL OldIrql;
    PVOID Blocks[100];

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Blocks); i++) {
        Blocks[i] = ExAllocatePoolWithTag(NonPagedPool, 30 + 50 * i, TAG);
        CHECK(Blocks[i] != NULL);
    }
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Blocks); i++)
        ExFreePoolWithTag(Blocks[i], TAG);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(OldIrql);
}

static VOID PagedPoolWorksAtApcLevel(VOID)
{
    KIRQL OldIrql;

    KeRaiseIrql(APC_LEVEL, &OldIrql);
    ExFreePoolWithTag(ExAllocatePoolWithTag(PagedPool, 100, TAG), TAG);
    CHECK_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(OldIrql);
}

static VOID Execute(POOL_TYPE Type)
{
    UCHAR *Block = ExAllocatePoolWithTag(Type, 16, TAG);

    Block[0] = 0xC3; // ret
    ((VOID(*)(VOID))(ULONG_PTR)Block)();
    ExFreePoolWithTag(Block, TAG);
}

static VOID OldNonpagedPoolIsExecutable(VOID)
{
    Execute(NonPagedPool);
    if (sizeof(PVOID) == 4)
        Execute(PagedPool);
}

typedef struct _SLOT {
    UCHAR *Block;
    SIZE_T Size;
    UCHAR Value;
} SLOT;

static SLOT Slots[MANY];

static VOID Turn(SLOT *Slot)
{
    if (Slot->Block != NULL) {
        CHECK(IsFilled(Slot->Block, Slot->Size, Slot->Value));
        ExFreePoolWithTag(Slot->Block, TAG);
        Slot->Block = NULL;
        return;
    }
    Slot->Size = 1 + RandomBelow(RandomBelow(20) == 0 ? 9000 : 400);
    Slot->Value = (UCHAR)RandomBelow(256);
    Slot->Block = ExAllocatePoolWithTag(Types[RandomBelow(3)], Slot->Size, TAG);
    CHECK(Slot->Block != NULL);
    if (Slot->Block != NULL)
        RtlFillMemory(Slot->Block, Slot->Size, Slot->Value);
}

static VOID RandomBlocksKeepTheirContents(VOID)
{
    for (ULONG i = 0; i < 20 * MANY; i++)
        Turn(&Slots[RandomBelow(MANY)]);
    for (ULONG i = 0; i < MANY; i++)
        if (Slots[i].Block != NULL)
            Turn(&Slots[i]);
}

// Blocks in a chain through their first words, until there are no more; how many there were. A
// machine with plenty of memory is not driven to its end.
static ULONG Exhaust(POOL_TYPE Type, SIZE_T Size, PVOID *Chain)
{
    ULONG Count = 0;

    for (PVOID *Block;
         Count < PLENTY / Size && (Block = ExAllocatePoolWithTag(Type, Size, TAG)) != NULL;
         Count++) {
        *Block = *Chain;
        *Chain = Block;
    }
    return Count;
}

static VOID FreeChain(PVOID Chain)
{
    while (Chain != NULL) {
        PVOID Next = *(PVOID *)Chain;
        ExFreePoolWithTag(Chain, TAG);
        Chain = Next;
    }
}

// What is left behind large blocks is taken by small ones, so that nothing at all is free then.
static VOID ExhaustionIsNullAndLosesNothing(VOID)
{
    for (ULONG t = 0; t < RTL_NUMBER_OF(Types); t++) {
        PVOID Large = NULL, Small = NULL;
        ULONG First = Exhaust(Types[t], 1 << 20, &Large);
        CHECK(First > 0);
        if (First < PLENTY >> 20) {
            Exhaust(Types[t], 1000, &Small);
            CHECK(ExAllocatePoolWithTag(Types[t], 1 << 20, TAG) == NULL);
        }
        FreeChain(Small);
        FreeChain(Large);
        Large = NULL;
        CHECK(Exhaust(Types[t], 1 << 20, &Large) >= First); // page tables went back as well
        FreeChain(Large);
    }
}

static VOID HugeRequestsAreRefused(VOID)
{
    CHECK(ExAllocatePoolWithTag(NonPagedPool, ~(SIZE_T)0, TAG) == NULL);
    CHECK(ExAllocatePoolWithTag(PagedPool, ~(SIZE_T)0 - 2 * PAGE_SIZE, TAG) == NULL);
}

static const GUEST_CASE Cases[] = {
    {"PL-20 PL-21 PL-22 blocks lie where the documents say", PlacesAreAsDocumented},
    {"CX-10 a request of one page is page aligned", AWholePageIsPageAligned},
    {"PL-05 PL-06 PL-11 PL-35 cache-aligned blocks have their cache lines alone",
     CacheAlignedBlocksHaveTheirLinesAlone},
    {"PL-24 PL-25 the tail of a last page is nobody's", TheTailOfALastPageIsNobodys},
    {"PL-29 a zero-byte request gets a minimal block", ZeroBytesAreAMinimalBlock},
    {"POOL_ZERO_ALLOCATION gives zeroed blocks", ZeroedBlocksAreZero},
    {"PL-42 untagged blocks have the tag None", UntaggedBlocksMayBeFreedEitherWay},
    {"PL-50 nonpaged pool works at DISPATCH_LEVEL", NonpagedPoolWorksAtDispatchLevel},
    {"PL-51 paged pool works at APC_LEVEL", PagedPoolWorksAtApcLevel},
    {"PL-02 PL-104 NonPagedPool may be executed, on x86 PagedPool", OldNonpagedPoolIsExecutable},
    {"random blocks keep their contents", RandomBlocksKeepTheirContents},
    {"exhaustion is NULL, and nothing is lost by it", ExhaustionIsNullAndLosesNothing},
    {"requests beyond the address space are refused", HugeRequestsAreRefused},
};
GUEST_DRIVER(Cases)
