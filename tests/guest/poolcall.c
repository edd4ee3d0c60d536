// SPDX-License-Identifier: MIT
// The pool's further calls as a driver makes them: priorities, quota, flags, extended parameters.
#include "guest.h"

#include "lkddk.h"

#define NX      ((POOL_TYPE)512)
#define SESSION ((POOL_TYPE)32)
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

static VOID SessionPoolIsRefused(VOID)
{
    CHECK(ExAllocatePoolWithTag((POOL_TYPE)(SESSION | PagedPool), 100, TAG) == NULL);
    CHECK(ExAllocatePoolWithTag(SESSION, 100, TAG) == NULL);
    CHECK(ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_SESSION, 100, TAG) == NULL);
}

static VOID AColdBlockIsABlock(VOID)
{
    PVOID Block = ExAllocatePoolWithTag((POOL_TYPE)(PagedPool | POOL_COLD_ALLOCATION), 100, TAG);

    CHECK(Block != NULL);
    ExFreePoolWithTag(Block, TAG);
}

static VOID FlagsIncludeQuota(VOID)
{
    PVOID Block = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA, 1000, TAG);

    CHECK(Block != NULL && IsZero(Block, 1000));
    ExFreePool2(Block, TAG, NULL, 0);
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
    {"PL-53 quota is charged and returned", QuotaIsChargedAndReturned},
    {"PL-53 a failure of quota may be NULL", AFailureOfQuotaMayBeNull},
    {"PL-09 session pool is refused", SessionPoolIsRefused},
    {"POOL_COLD_ALLOCATION is a hint", AColdBlockIsABlock},
    {"PL-80 flags include quota", FlagsIncludeQuota},
    {"PL-55 extended parameters are understood or refused", ParametersAreUnderstoodOrRefused},
};
GUEST_DRIVER(Cases)
