// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c mm/poolbook.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/pooltag.c mm/poolbug.c mm/poolquery.c
// Links: mm/poollarge.c
// Links: mm/poolcheck.c kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// The pool's further calls: priorities leave memory for others, a process pays for what it had
// allocated and is paid back, processors' caches are trimmed from afar.
#include "pool_test.h"

#include <pthread.h>

#define TEST_TAG TAG('C', 'a', 'l', 'l')

// ---- quota -------------------------------------------------------------------------------------
static SIZE_T charged[2], limit = ~(SIZE_T)0;
static int the_process;

static NTSTATUS charge(POOL_TYPE type, SIZE_T bytes, PVOID *process)
{
    if (charged[type & 1] + bytes > limit)
        return STATUS_QUOTA_EXCEEDED;
    charged[type & 1] += bytes;
    *process = &the_process;
    return STATUS_SUCCESS;
}

static VOID give_back(PVOID process, POOL_TYPE type, SIZE_T bytes)
{
    assert_ptr_equal(process, &the_process);
    assert_true(charged[type & 1] >= bytes);
    charged[type & 1] -= bytes;
}

static const EX_POOL_QUOTA quota = {charge, give_back};

static void a_process_pays_for_what_a_block_takes_until_it_is_freed(void **state)
{
    static const POOL_TYPE types[] = {NonPagedPool, PagedPool, NonPagedPoolNx};
    for (int t = 0; t < 3; t++)
        for (SIZE_T size = 1; size < 20000; size = size * 2 + 1) {
            EX_POOL_BLOCK found;
            PVOID block = ExAllocatePoolWithQuotaTag(types[t], size, TEST_TAG);
            assert_true(ExQueryPoolBlock(block, &found));
            assert_int_equal(charged[types[t] & 1], found.Reserved);
            if (size % 2)
                ExFreePoolWithTag(block, TEST_TAG);
            else
                ExFreePool(block);
            assert_int_equal(charged[types[t] & 1], 0);
        }
    pool_is_sound();
}

static void many_charged_blocks_are_all_paid_back(void **state)
{
    static PVOID block[3000];
    for (int i = 0; i < 3000; i++)
        block[i] = ExAllocatePoolWithQuotaTag(PagedPool, 1 + i, TEST_TAG);
    assert_true(charged[1] > 3000 * 1000);
    for (int i = 0; i < 3000; i++)
        ExFreePoolWithTag(block[i], TEST_TAG);
    assert_int_equal(charged[1], 0);
    pool_is_sound();
}

static void nobody_pays_for_the_same_tag_without_quota(void **state)
{
    PVOID charged_block = ExAllocatePoolWithQuotaTag(NonPagedPoolNx, 64, TEST_TAG);
    SIZE_T before = charged[0];
    PVOID plain = ExAllocatePoolWithTag(NonPagedPoolNx, 64, TEST_TAG);
    assert_int_equal(charged[0], before);
    ExFreePool(plain);
    assert_int_equal(charged[0], before);
    ExFreePool(charged_block);
    assert_int_equal(charged[0], 0);
}

static void too_much_is_raised_or_null(void **state)
{
    limit = 1000;
    assert_true(BUGCHECKS(ExAllocatePoolWithQuotaTag(PagedPool, 1001, TEST_TAG)));
    assert_int_equal(HostBugCheck.Code, KMODE_EXCEPTION_NOT_HANDLED);
    assert_int_equal((ULONG)HostBugCheck.Parameter[0], (ULONG)STATUS_QUOTA_EXCEEDED);
    assert_null(ExAllocatePoolWithQuotaTag(PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 1001,
                                           TEST_TAG));
    assert_null(ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA, 1001, TEST_TAG));
    assert_true(BUGCHECKS(ExAllocatePool2(
        POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA | POOL_FLAG_RAISE_ON_FAILURE, 1001, TEST_TAG)));
    limit = ~(SIZE_T)0;
    assert_int_equal(charged[1], 0);
}

static void a_failed_allocation_costs_the_process_nothing(void **state)
{
    fake_mm_page_limit = fake_mm_pages_in_use;
    assert_null(ExAllocatePoolWithQuotaTag(PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE,
                                           1000 * PAGE_SIZE, TEST_TAG));
    fake_mm_page_limit = ~(SIZE_T)0;
    assert_int_equal(charged[1], 0);
    assert_null(ExAllocatePoolWithQuotaTag(PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE,
                                           ~(SIZE_T)0, TEST_TAG));
    assert_int_equal(charged[1], 0);
}

// ---- priorities --------------------------------------------------------------------------------
static PVOID chain;

static SIZE_T fill(EX_POOL_PRIORITY priority)
{
    SIZE_T count = 0;
    for (PVOID *block; (block = ExAllocatePoolWithTagPriority(NonPagedPoolNx, PAGE_SIZE, TEST_TAG,
                                                              priority)) != NULL;
         count++) {
        *block = chain;
        chain = block;
    }
    return count;
}

// PL-75: fill until low fails; normal must still be served, and high after that.
static void low_gives_way_to_normal_and_normal_to_high(void **state)
{
    fake_mm_page_limit = fake_mm_pages_in_use + 6400;
    assert_true(fill(LowPoolPriority) > 3000);
    assert_true(fill(NormalPoolPriority) > 100);
    assert_true(fill(HighPoolPriority) > 10);
    while (chain != NULL) {
        PVOID next = *(PVOID *)chain;
        ExFreePool(chain);
        chain = next;
    }
    fake_mm_page_limit = ~(SIZE_T)0;
    pool_is_sound();
}

// ---- types -------------------------------------------------------------------------------------
static void session_pool_is_refused(void **state)
{
    assert_null(ExAllocatePoolWithTag(NonPagedPoolSession, 100, TEST_TAG));
    assert_null(ExAllocatePoolWithTag(PagedPoolCacheAlignedSession, 100, TEST_TAG));
    assert_null(ExAllocatePoolWithTag(NonPagedPoolSessionNx, 100, TEST_TAG));
}

static void an_optional_parameter_may_be_unknown_a_required_one_not(void **state)
{
    POOL_EXTENDED_PARAMETER parameter = {.Type = PoolExtendedParameterSecurePool};
    assert_null(ExAllocatePool3(POOL_FLAG_PAGED, 100, TEST_TAG, &parameter, 1));
    parameter.Optional = 1;
    PVOID block = ExAllocatePool3(POOL_FLAG_PAGED, 100, TEST_TAG, &parameter, 1);
    assert_non_null(block);
    ExFreePool2(block, TEST_TAG, NULL, 0);
    parameter = (POOL_EXTENDED_PARAMETER){.Type = PoolExtendedParameterPriority};
    parameter.Priority = LowPoolPriority;
    block = ExAllocatePool3(POOL_FLAG_PAGED, 100, TEST_TAG, &parameter, 1);
    assert_non_null(block);
    ExFreePool2(block, TEST_TAG, &parameter, 1);
}

// ---- other processors' caches ------------------------------------------------------------------
#define BURST 20000

static PVOID burst[BURST];

static void *second_processor(void *argument)
{
    HostPrcb.ProcessorNumber = 1;
    if (!ExInitializePoolProcessor(&HostPrcb))
        return (void *)1;
    for (int i = 0; i < BURST; i++)
        burst[i] = ExAllocatePoolWithTag(NonPagedPoolNx, 200, TEST_TAG);
    for (int i = 0; i < BURST; i++)
        ExFreePool(burst[i]);
    return NULL;
}

static void what_another_processor_caches_is_trimmed_there(void **state)
{
    EX_POOL_STATISTICS before, after;
    pthread_t thread;
    void *result;
    for (int i = 0; i < 20; i++)
        ExTrimPool();
    ExQueryPoolStatistics(NonPagedPoolNx, &before);
    assert_int_equal(pthread_create(&thread, NULL, second_processor, NULL), 0);
    pthread_join(thread, &result);
    assert_null(result);
    for (int i = 0; i < 20; i++) {
        ExTrimPool();
        HostPrcb.ProcessorNumber = 1;  // the thread is over; its processor's DPCs run here
        HostRunDpcs();
        HostPrcb.ProcessorNumber = 0;
    }
    ExQueryPoolStatistics(NonPagedPoolNx, &after);
    assert_true(after.Pages <= before.Pages + 2);
    pool_is_sound();
}

static int start(void **state)
{
    fake_mm_start();
    ExInitializePool();
    ExRegisterPoolQuota(&quota);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_pays_for_what_a_block_takes_until_it_is_freed),
        cmocka_unit_test(many_charged_blocks_are_all_paid_back),
        cmocka_unit_test(nobody_pays_for_the_same_tag_without_quota),
        cmocka_unit_test(too_much_is_raised_or_null),
        cmocka_unit_test(a_failed_allocation_costs_the_process_nothing),
        cmocka_unit_test(low_gives_way_to_normal_and_normal_to_high),
        cmocka_unit_test(session_pool_is_refused),
        cmocka_unit_test(an_optional_parameter_may_be_unknown_a_required_one_not),
        cmocka_unit_test(what_another_processor_caches_is_trimmed_there),
    };
    return cmocka_run_group_tests_name("pool calls", tests, start, NULL);
}
