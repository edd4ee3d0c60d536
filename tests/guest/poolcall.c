// SPDX-License-Identifier: MIT
// The pool's further calls as a driver makes them: priorities, quota, flags, extended parameters.
#include "guest.h"

#include "lkddk.h"

#define NX      ((POOL_TYPE)512)
#define TAG     'llaC'

static BOOLEAN IsZero(const UCHAR *Block, SIZE_T Size)
{
    for (SIZE_T i = 0; i < Size; i++)
        if (Block[i] != 0)
            return FALSE;
    return TRUE;
}

static VOID Dirty(POOL_TYPE Type, SIZE_T Size)
{
    PVOID Block = ExAllocatePoolWithTag(Type, Size, TAG);

    RtlFillMemory(Block, Size, 0xFF);
    ExFreePoolWithTag(Block, TAG);
}

static VOID ZeroFormsAreZero(VOID)
{
    Dirty(PagedPool, 300);
    PVOID Blocks[] = {ExAllocatePoolZero(PagedPool, 300, TAG),
                      ExAllocatePoolQuotaZero(PagedPool, 300, TAG),
                      ExAllocatePoolPriorityZero(PagedPool, 300, TAG, HighPoolPriority),
                      ExAllocatePoolUninitialized(PagedPool, 300, TAG)};

    for (ULONG i = 0; i < RTL_NUMBER_OF(Blocks); i++) {
        CHECK(Blocks[i] != NULL);
        CHECK(i == 3 || IsZero(Blocks[i], 300));
        ExFreePoolWithTag(Blocks[i], TAG);
    }
}

static VOID EveryPriorityIsServedWhileThereIsPlenty(VOID)
{
    static const EX_POOL_PRIORITY Priorities[] = {
        LowPoolPriority,
        LowPoolPrioritySpecialPoolOverrun,
        LowPoolPrioritySpecialPoolUnderrun,
        NormalPoolPriority,
        NormalPoolPrioritySpecialPoolOverrun,
        NormalPoolPrioritySpecialPoolUnderrun,
        HighPoolPriority,
        HighPoolPrioritySpecialPoolOverrun,
        HighPoolPrioritySpecialPoolUnderrun,
    };

    for (ULONG i = 0; i < RTL_NUMBER_OF(Priorities); i++) {
        PVOID Block = ExAllocatePoolWithTagPriority(NonPagedPool, 100, TAG, Priorities[i]);
        CHECK(Block != NULL);
        ExFreePoolWithTag(Block, TAG);
    }
}

// All that this priority gets, by blocks of 1 MiB in a chain. FALSE: the machine is too large to be
// filled.
static BOOLEAN Fill(EX_POOL_PRIORITY Priority, PVOID *Chain, ULONG *Count)
{
    for (PVOID *Block; (Block = ExAllocatePoolWithTagPriority(NX, 1 << 20, TAG, Priority)) != NULL;
         ++*Count) {
        *Block = *Chain;
        *Chain = Block;
        if (*Count == 600)
            return FALSE;
    }
    return TRUE;
}

// PL-75: until low fails, then until normal does, then until there is nothing left.
static VOID LowGivesWayToNormalAndNormalToHigh(VOID)
{
    PVOID Chain = NULL;
    ULONG Low = 0, Normal = 0, High = 0;

    if (Fill(LowPoolPriority, &Chain, &Low) && Fill(NormalPoolPriority, &Chain, &Normal) &&
        Fill(HighPoolPriority, &Chain, &High)) {
        CHECK(Low > 0);
        CHECK(Normal > 0 || Low < 48);  // a 64th and a 16th of small machines are less than blocks
        CHECK(High > 0 || Low < 96);
    }
    while (Chain != NULL) {
        PVOID Next = *(PVOID *)Chain;
        ExFreePoolWithTag(Chain, TAG);
        Chain = Next;
    }
}

static VOID APriorityThatWantsEverythingIsRefused(VOID)
{
    CHECK(ExAllocatePoolWithTagPriority(NonPagedPool, (SIZE_T)1 << 30, TAG, LowPoolPriority) ==
          NULL);
    CHECK(ExAllocatePoolWithTagPriority(PagedPool, ~(SIZE_T)0, TAG, HighPoolPriority) == NULL);
}

static VOID QuotaIsChargedAndReturned(VOID)
{
    for (ULONG i = 0; i < 100; i++) {
        PVOID Small = ExAllocatePoolWithQuotaTag(PagedPool, 1 + 37 * i, TAG);
        PVOID Large = ExAllocatePoolWithQuotaTag(NonPagedPool, PAGE_SIZE + 37 * i, TAG);
        PVOID Plain = ExAllocatePoolWithQuota(NX, 64);
        CHECK(Small != NULL && Large != NULL && Plain != NULL);
        ExFreePool(Plain);
        ExFreePoolWithTag(Small, TAG);
        ExFreePool(Large);
    }
}

static VOID AFailureOfQuotaMayBeNull(VOID)
{
    POOL_TYPE Type = (POOL_TYPE)(NonPagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE);

    CHECK(ExAllocatePoolWithQuotaTag(Type, ~(SIZE_T)0, TAG) == NULL);
    CHECK(ExAllocatePoolWithQuotaTag(Type, ~(SIZE_T)0 - 3 * PAGE_SIZE, TAG) == NULL);
}

// 34 and 38 must succeed besides: those are bugchecks (tests/guest/pool/mistakes.h).
static VOID SessionPoolIsRefused(VOID)
{
    static const USHORT Session[] = {32, 33, 36, 37, 512 + 32, 512 + 36};

    for (ULONG i = 0; i < RTL_NUMBER_OF(Session); i++)
        for (SIZE_T Size = 100; Size < 20000; Size *= 10)
            CHECK(ExAllocatePoolWithTag((POOL_TYPE)Session[i], Size, TAG) == NULL);
}

static VOID AColdBlockIsABlock(VOID)
{
    PVOID Block = ExAllocatePoolWithTag((POOL_TYPE)(PagedPool | POOL_COLD_ALLOCATION), 100, TAG);

    CHECK(Block != NULL);
    ExFreePoolWithTag(Block, TAG);
}

// What flags alone decide. A flag of the lower half has to be understood, one of the upper half is
// a wish; the pool is chosen by exactly one of three.
static VOID FlagsAreFollowedOrRefused(VOID)
{
    static const struct {
        POOL_FLAGS Flags;
        BOOLEAN Served;
    } Rows[] = {
        {POOL_FLAG_NON_PAGED, TRUE},
        {POOL_FLAG_NON_PAGED_EXECUTE, TRUE},
        {POOL_FLAG_PAGED, TRUE},
        {POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA, TRUE},
        {POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, TRUE},
        {POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, TRUE},
        {POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, TRUE},
        {POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA | POOL_FLAG_UNINITIALIZED | POOL_FLAG_CACHE_ALIGNED |
             POOL_FLAG_RAISE_ON_FAILURE, TRUE},
        {POOL_FLAG_PAGED | POOL_FLAG_SPECIAL_POOL, TRUE},
        {POOL_FLAG_PAGED | 0xFFFFFFFE00000000ull, TRUE},
        {0, FALSE},
        {POOL_FLAG_UNINITIALIZED, FALSE},
        {POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED, FALSE},
        {POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED_EXECUTE, FALSE},
        {POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE, FALSE},
        {POOL_FLAG_PAGED | POOL_FLAG_SESSION, FALSE},
        {POOL_FLAG_PAGED | 0x10, FALSE},
        {POOL_FLAG_PAGED | 0x200, FALSE},
        {POOL_FLAG_PAGED | 0x400, FALSE},
        {POOL_FLAG_PAGED | 0x800, FALSE},
        {POOL_FLAG_PAGED | 0x80000000, FALSE},
    };

    for (ULONG i = 0; i < RTL_NUMBER_OF(Rows); i++)
        for (SIZE_T Size = 50; Size <= 5000; Size *= 10) {
            Dirty(PagedPool, Size);
            Dirty(NX, Size);
            Dirty(NonPagedPool, Size);
            PVOID Block = ExAllocatePool2(Rows[i].Flags, Size, TAG);
            if ((Block != NULL) != Rows[i].Served)
                DbgPrint("# flags 0x%I64x\n", Rows[i].Flags);
            CHECK((Block != NULL) == Rows[i].Served);
            if (Block == NULL)
                continue;
            CHECK((Rows[i].Flags & POOL_FLAG_UNINITIALIZED) || IsZero(Block, Size));
            CHECK(!(Rows[i].Flags & POOL_FLAG_CACHE_ALIGNED) || (ULONG_PTR)Block % 64 == 0);
            ExFreePool2(Block, TAG, NULL, 0);
        }
    CHECK(ExAllocatePool2(POOL_FLAG_PAGED, 0, TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_PAGED, 100, 0) == NULL);
}

static VOID ParametersAreUnderstoodOrRefused(VOID)
{
    POOL_EXTENDED_PARAMETER Good[2] = {{.Type = PoolExtendedParameterPriority},
                                       {.Type = PoolExtendedParameterNumaNode}};
    POOL_EXTENDED_PARAMETER Bad = {.Type = PoolExtendedParameterSecurePool};

    Good[0].Priority = NormalPoolPriority;
    PVOID Block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TAG, Good, 2);
    CHECK(Block != NULL && IsZero(Block, 100));
    ExFreePoolWithTag(Block, TAG);
    CHECK(ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TAG, &Bad, 1) == NULL);
    Bad.Optional = 1;
    Block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TAG, &Bad, 1);
    CHECK(Block != NULL);
    ExFreePoolWithTag(Block, TAG);
    Good[0].Priority = (EX_POOL_PRIORITY)3;
    CHECK(ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TAG, Good, 2) == NULL);
}

static const GUEST_CASE Cases[] = {
    {"PL-56 the Zero forms give zeroed blocks", ZeroFormsAreZero},
    {"PL-52 every priority is served while there is plenty",
     EveryPriorityIsServedWhileThereIsPlenty},
    {"PL-70 a request for everything is refused", APriorityThatWantsEverythingIsRefused},
    {"PL-70 PL-71 PL-72 PL-75 low gives way to normal, normal to high",
     LowGivesWayToNormalAndNormalToHigh},
    {"PL-53 quota is charged and returned", QuotaIsChargedAndReturned},
    {"PL-53 a failure of quota may be NULL", AFailureOfQuotaMayBeNull},
    {"PL-09 PL-12 session pool is refused", SessionPoolIsRefused},
    {"POOL_COLD_ALLOCATION is a hint", AColdBlockIsABlock},
    {"PL-54 PL-80 to PL-92 flags are followed or refused", FlagsAreFollowedOrRefused},
    {"PL-55 extended parameters are understood or refused", ParametersAreUnderstoodOrRefused},
};
GUEST_DRIVER(Cases)
