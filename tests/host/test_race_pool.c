// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/poolbook.c mm/pooltag.c mm/poolbug.c
// Links: mm/poollarge.c
// Links: mm/poolquery.c mm/poolcheck.c
// Links: kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// The pools among threads that really run at the same time, under the thread sanitizer: whatever
// one processor writes and another reads without a lock is a data race, unless the code says that
// it is meant. A thread is a processor. Blocks wander between them, new tags and processors appear
// meanwhile, one trims, one sums.
#include "fake_ke.h"
#include "fake_mm.h"
#include "pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define THREADS   3
#define ROUNDS    20000
#define EXCHANGES 256
#define TAG(a, b, c, d) ((ULONG)(a) | (ULONG)(b) << 8 | (ULONG)(c) << 16 | (ULONG)(d) << 24)

static const POOL_TYPE types[] = {NonPagedPool, PagedPool, NonPagedPoolNx};
static PVOID exchange[EXCHANGES];

static void start_processor(ULONG number)
{
    HostPrcb.ProcessorNumber = number;
    if (!ExInitializePoolProcessor(&HostPrcb))
        abort();
}

static ULONG64 next(ULONG64 *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 33;
}

static void *allocate_and_free(void *argument)
{
    ULONG64 seed = (ULONG64)(ULONG_PTR)argument;
    start_processor((ULONG)seed);
    for (int i = 0; i < ROUNDS; i++) {
        SIZE_T size = i % 50 == 0 ? 3 * PAGE_SIZE : 1 + next(&seed) % 1500;
        ULONG tag = TAG('R', 'a', '0' + i / 4000, '0' + i % 7);
        UCHAR *block = ExAllocatePoolWithTag(types[next(&seed) % 3], size, tag);
        block[0] = block[size - 1] = (UCHAR)i;
        block = __atomic_exchange_n(&exchange[next(&seed) % EXCHANGES], block, __ATOMIC_ACQ_REL);
        if (block != NULL)
            ExFreePool(block);
    }
    return NULL;
}

static void *trim_and_sum(void *argument)
{
    start_processor((ULONG)(ULONG_PTR)argument);
    for (int i = 0; i < 100; i++) {
        EX_POOL_TAG use;
        EX_POOL_STATISTICS now;
        ExTrimPool();
        ExQueryPoolStatistics(NonPagedPoolNx, &now);
        for (ULONG tag = 0; ExQueryPoolTag(tag, &use); tag++)
            if (use.NonPagedPeak > (1u << 30))
                abort();
    }
    return NULL;
}

static void free_exchanged(void)
{
    for (int i = 0; i < EXCHANGES; i++) {
        if (exchange[i] != NULL)
            ExFreePool(exchange[i]);
        exchange[i] = NULL;
    }
}

static void processors_share_the_pools_without_a_race(void **state)
{
    pthread_t thread[THREADS];
    for (ULONG_PTR i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL,
                                        i == 0 ? trim_and_sum : allocate_and_free,
                                        (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    free_exchanged();
    EX_POOL_TAG use;
    for (ULONG tag = 0; ExQueryPoolTag(tag, &use); tag++) {
        assert_int_equal(use.NonPagedAllocs, use.NonPagedFrees);
        assert_int_equal(use.PagedAllocs, use.PagedFrees);
    }
    assert_null(ExValidatePool());
}

static int start(void **state)
{
    fake_mm_start();
    ExInitializePool();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_share_the_pools_without_a_race),
    };
    return cmocka_run_group_tests_name("race_pool", tests, start, NULL);
}
