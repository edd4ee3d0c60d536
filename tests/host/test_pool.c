// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/poolbook.c mm/pooltag.c mm/poolbug.c
// Links: mm/poollarge.c
// Links: mm/poolquery.c mm/poolcheck.c
// Links: kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// The pool keeps its promises: against a model under random operations, at every size, when memory
// ends, after bursts, and on four processors at once.
#include "pool_test.h"

#include <pthread.h>

#define TEST_TAG TAG('T', 'e', 's', 't')

static const POOL_TYPE types[] = {NonPagedPool, PagedPool, NonPagedPoolNx};

static ULONG64 random_state;

static ULONG random_below(ULONG limit)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (ULONG)(random_state >> 33) % limit;
}

// ---- sizes -------------------------------------------------------------------------------------
static void every_size_is_aligned_inside_a_page_and_writable_to_its_last_byte(void **state)
{
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
        for (SIZE_T size = 1; size <= 3 * PAGE_SIZE; size++) {
            UCHAR *block = ExAllocatePoolWithTag(types[t], size, TEST_TAG);
            assert_non_null(block);
            assert_int_equal((ULONG_PTR)block % MEMORY_ALLOCATION_ALIGNMENT, 0);
            if (size <= PAGE_SIZE)
                assert_ptr_equal(PAGE_ALIGN(block), PAGE_ALIGN(block + size - 1));
            if (size >= PAGE_SIZE)
                assert_int_equal(BYTE_OFFSET(block), 0);
            memset(block, 0xFF, size);
            ExFreePoolWithTag(block, TEST_TAG);
        }
    pool_is_sound();
}

static void cache_aligned_blocks_start_on_a_line_and_share_none(void **state)
{
    static const POOL_TYPE aligned[] = {NonPagedPoolCacheAligned, PagedPoolCacheAligned,
                                        NonPagedPoolNxCacheAligned};
    for (size_t t = 0; t < 3; t++)
        for (SIZE_T size = 1; size <= 2 * PAGE_SIZE; size += 7) {
            EX_POOL_BLOCK block;
            PVOID p = ExAllocatePoolWithTag(aligned[t], size, TEST_TAG);
            assert_int_equal((ULONG_PTR)p % 64, 0);
            assert_true(ExQueryPoolBlock(p, &block));
            assert_int_equal(block.Reserved % 64, 0);
            ExFreePool(p);
        }
    pool_is_sound();
}

static void a_zero_byte_request_gets_a_block_and_is_counted(void **state)
{
    EX_POOL_STATISTICS before, after;
    ExQueryPoolStatistics(NonPagedPoolNx, &before);
    PVOID a = ExAllocatePoolWithTag(NonPagedPoolNx, 0, TEST_TAG);
    PVOID b = ExAllocatePoolWithTag(NonPagedPoolNx, 0, TEST_TAG);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    ExQueryPoolStatistics(NonPagedPoolNx, &after);
    assert_int_equal(after.ZeroByteRequests - before.ZeroByteRequests, 2);
    ExFreePool(a);
    ExFreePool(b);
}

static void zeroed_blocks_are_zero(void **state)
{
    for (SIZE_T size = 1; size < 10000; size = size * 3 + 1) {
        UCHAR *dirty = ExAllocatePoolWithTag(NonPagedPoolNx, size, TEST_TAG);
        memset(dirty, 0xAA, size);
        ExFreePool(dirty);
        UCHAR *block = ExAllocatePoolWithTag(NonPagedPoolNx | POOL_ZERO_ALLOCATION, size, TEST_TAG);
        for (SIZE_T i = 0; i < size; i++)
            assert_int_equal(block[i], 0);
        ExFreePool(block);
    }
}

static void the_flags_of_pool2_choose_pool_and_content(void **state)
{
    static const struct { POOL_FLAGS flags; POOL_TYPE type;
    } wanted[] = {
        {POOL_FLAG_NON_PAGED, NonPagedPoolNx},
        {POOL_FLAG_NON_PAGED_EXECUTE, NonPagedPool},
        {POOL_FLAG_PAGED | POOL_FLAG_CACHE_ALIGNED, PagedPool},
        {POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED | POOL_FLAG_SPECIAL_POOL | 1ull << 40,
         PagedPool},
    };
    for (int i = 0; i < 4; i++) {
        EX_POOL_BLOCK found;
        UCHAR *block = ExAllocatePool2(wanted[i].flags, 100, TEST_TAG);
        assert_true(ExQueryPoolBlock(block, &found));
        assert_int_equal(found.PoolType, wanted[i].type);
        for (int j = 0; j < 100 && i < 3; j++)
            assert_int_equal(block[j], 0);
        if (i == 2)
            assert_int_equal((ULONG_PTR)block % 64, 0);
        ExFreePoolWithTag(block, TEST_TAG);
    }
}

static void pool2_refuses_what_it_does_not_understand(void **state)
{
    static const POOL_FLAGS wrong[] = {
        0,
        POOL_FLAG_UNINITIALIZED,
        POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED,
        POOL_FLAG_PAGED | POOL_FLAG_SESSION,
        POOL_FLAG_PAGED | POOL_FLAG_RESERVED1,
        POOL_FLAG_PAGED | POOL_FLAG_RESERVED2,
        POOL_FLAG_PAGED | POOL_FLAG_RESERVED3,
        POOL_FLAG_PAGED | 0x80000000,
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_null(ExAllocatePool2(wrong[i], 100, TEST_TAG));
    assert_null(ExAllocatePool2(POOL_FLAG_PAGED, 0, TEST_TAG));
    assert_null(ExAllocatePool2(POOL_FLAG_PAGED, 100, 0));
}

static void hints_change_nothing(void **state)
{
    PVOID block = ExAllocatePoolWithTag(PagedPool | POOL_COLD_ALLOCATION, 100, TEST_TAG);
    EX_POOL_BLOCK found;
    assert_true(ExQueryPoolBlock(block, &found));
    assert_int_equal(found.PoolType, PagedPool);
    ExFreePoolWithTag(block, TEST_TAG);
}

// ---- what is known of a block ------------------------------------------------------------------
static void a_block_knows_its_size_tag_type_and_owner(void **state)
{
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
        for (SIZE_T size = 1; size < 20000; size = size * 2 + 3) {
            EX_POOL_BLOCK found;
            UCHAR *block = ExAllocatePoolWithTag(types[t], size, TEST_TAG);
            assert_true(ExQueryPoolBlock(block + size - 1, &found));
            assert_ptr_equal(found.Address, block);
            assert_int_equal(found.Size, size);
            assert_int_equal(found.Tag, TEST_TAG);
            assert_int_equal(found.PoolType, types[t]);
            assert_true(found.Allocated);
            ULONG_PTR here = (ULONG_PTR)&a_block_knows_its_size_tag_type_and_owner;
            assert_in_range(found.Caller, here, here + 4096);
            ExFreePoolWithTag(block, TEST_TAG);
            assert_true(ExQueryPoolBlock(block, &found));
            assert_false(found.Allocated);
        }
}

static void an_untagged_block_is_counted_under_none(void **state)
{
    EX_POOL_TAG before = use_of(TAG('N', 'o', 'n', 'e'));
    PVOID block = ExAllocatePool(NonPagedPool, 50);
    EX_POOL_TAG after = use_of(TAG('N', 'o', 'n', 'e'));
    assert_int_equal(after.NonPagedAllocs - before.NonPagedAllocs, 1);
    ExFreePool(block);
}

static void tags_are_counted_by_pool_and_never_lose_a_byte(void **state)
{
    ULONG tag = TAG('C', 'n', 't', '1');
    PVOID blocks[3][5];
    static const SIZE_T sizes[] = {1, 100, 2048, 5000, 100000};
    SIZE_T reserved[3] = {0};
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 5; i++) {
            EX_POOL_BLOCK found;
            blocks[t][i] = ExAllocatePoolWithTag(types[t], sizes[i], tag);
            ExQueryPoolBlock(blocks[t][i], &found);
            reserved[t] += found.Reserved;
        }
    EX_POOL_TAG use = use_of(tag);
    assert_int_equal(use.NonPagedAllocs, 10);
    assert_int_equal(use.PagedAllocs, 5);
    assert_int_equal(use.NonPagedBytes, reserved[0] + reserved[2]);
    assert_int_equal(use.PagedBytes, reserved[1]);
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 5; i++)
            ExFreePoolWithTag(blocks[t][i], tag);
    use = use_of(tag);
    assert_int_equal(use.NonPagedFrees, 10);
    assert_int_equal(use.PagedFrees, 5);
    assert_int_equal(use.NonPagedBytes, 0);
    assert_int_equal(use.PagedBytes, 0);
}

static void five_thousand_tags_are_all_told_apart(void **state)
{
    static PVOID block[5000];
    for (ULONG i = 0; i < 5000; i++)
        block[i] = ExAllocatePoolWithTag(NonPagedPoolNx, 16, 0x41000000 + i);
    for (ULONG i = 0; i < 5000; i++) {
        EX_POOL_BLOCK found;
        ExQueryPoolBlock(block[i], &found);
        assert_int_equal(found.Tag, 0x41000000 + i);
        ExFreePoolWithTag(block[i], 0x41000000 + i);
    }
    assert_int_equal(use_of(0x41000000 + 4999).NonPagedFrees, 1);
    pool_is_sound();
}

// ---- model -------------------------------------------------------------------------------------
#define SLOTS 3000

typedef struct { UCHAR *block; SIZE_T size; ULONG tag; UCHAR fill; } SLOT;
static SLOT slot[SLOTS];

static SIZE_T random_size(void)
{
    ULONG kind = random_below(100);
    return kind < 60   ? 1 + random_below(256)
           : kind < 95 ? 1 + random_below(4200)
                       : 1 + random_below(60000);
}

static void fill_slot(SLOT *s)
{
    s->size = random_size();
    s->tag = TAG('M', 'd', 'l', '0' + random_below(10));
    s->fill = (UCHAR)random_below(256);
    s->block = ExAllocatePoolWithTag(types[random_below(3)], s->size, s->tag);
    if (s->block != NULL)
        memset(s->block, s->fill, s->size);
}

static void empty_slot(SLOT *s)
{
    for (SIZE_T i = 0; i < s->size; i++)
        if (s->block[i] != s->fill)
            fail_msg("byte %llu of a block of %llu changed", (unsigned long long)i,
                     (unsigned long long)s->size);
    ExFreePoolWithTag(s->block, random_below(2) ? s->tag : 0);
    s->block = NULL;
}

static void random_operations_never_mix_blocks_up(void **state)
{
    random_state = 42;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 20000; i++) {
            SLOT *s = &slot[random_below(SLOTS)];
            HostIrql = (KIRQL)random_below(2);
            if (s->block != NULL)
                empty_slot(s);
            else
                fill_slot(s);
        }
        HostIrql = PASSIVE_LEVEL;
        if (round % 5 == 0)
            ExTrimPool();
        pool_is_sound();
    }
    for (int i = 0; i < SLOTS; i++)
        if (slot[i].block != NULL)
            empty_slot(&slot[i]);
    pool_is_sound();
}

static void nonpaged_pool_works_at_dispatch_level(void **state)
{
    HostIrql = DISPATCH_LEVEL;
    PVOID block[300];
    for (int i = 0; i < 300; i++)
        block[i] = ExAllocatePoolWithTag(NonPagedPool, 40 + i * 20, TEST_TAG);
    for (int i = 0; i < 300; i++)
        ExFreePoolWithTag(block[i], TEST_TAG);
    assert_int_equal(HostIrql, DISPATCH_LEVEL);
    HostIrql = PASSIVE_LEVEL;
    pool_is_sound();
}

// The first block of a fresh page is not always the same one.
static void the_order_of_blocks_in_a_page_is_not_fixed(void **state)
{
    static PVOID block[64 * 6];
    ULONG_PTR first = 0, different = 0;
    for (int i = 0; i < 64 * 6; i++) {
        block[i] = ExAllocatePoolWithTag(PagedPool, 664, TEST_TAG);
        first = i == 0 ? BYTE_OFFSET(block[0]) : first;
        different += i % 6 == 0 && BYTE_OFFSET(block[i]) != first;
    }
    assert_true(different > 0);
    for (int i = 0; i < 64 * 6; i++)
        ExFreePool(block[i]);
}

// ---- the end of memory -------------------------------------------------------------------------
static SIZE_T allocate_until_null(POOL_TYPE type, SIZE_T size, PVOID *chain)
{
    SIZE_T count = 0;
    for (PVOID *block; (block = ExAllocatePoolWithTag(type, size, TEST_TAG)) != NULL; count++) {
        *block = *chain;
        *chain = block;
    }
    return count;
}

static void free_chain(PVOID chain)
{
    while (chain != NULL) {
        PVOID next = *(PVOID *)chain;
        ExFreePoolWithTag(chain, TEST_TAG);
        chain = next;
    }
}

static void exhaustion_answers_null_and_loses_nothing(void **state)
{
    static const SIZE_T sizes[] = {16, 64, 1000, 2048, 4096, 10000};
    fake_mm_page_limit = fake_mm_pages_in_use + 2000;
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            PVOID chain = NULL;
            SIZE_T count = allocate_until_null(types[t], sizes[i], &chain);
            assert_true(count > 100);
            free_chain(chain);
            chain = NULL;
            SIZE_T again = allocate_until_null(types[t], sizes[i], &chain);
            free_chain(chain);
            assert_true(again >= count);
            pool_is_sound();
        }
    fake_mm_page_limit = ~(SIZE_T)0;
}

static void one_pools_cached_blocks_serve_another_when_memory_is_short(void **state)
{
    fake_mm_page_limit = fake_mm_pages_in_use + 1000;
    PVOID chain = NULL;
    allocate_until_null(NonPagedPoolNx, 64, &chain);
    free_chain(chain);
    PVOID block = ExAllocatePoolWithTag(PagedPool, 300 * PAGE_SIZE, TEST_TAG);
    assert_non_null(block);
    ExFreePool(block);
    fake_mm_page_limit = ~(SIZE_T)0;
}

static void any_single_failure_below_is_survived(void **state)
{
    for (SIZE_T n = 1; n < 60; n++) {
        PVOID block[40];
        fake_mm_fail_at = n;
        for (ULONG i = 0; i < 40; i++)
            block[i] = ExAllocatePoolWithTag(types[i % 3], 100 + 97 * i,
                                             TAG('F', '0' + n % 10, '0' + n / 10, 'a' + i % 20));
        fake_mm_fail_at = 0;
        for (ULONG i = 0; i < 40; i++)
            if (block[i] != NULL)
                ExFreePool(block[i]);
        pool_is_sound();
    }
}

// Free runs of pages wait on their processor for a while and are used again.
static void large_blocks_are_used_again_and_go_back(void **state)
{
    PVOID block[40];
    for (size_t t = 0; t < 3; t++) {
        ExReclaimPool();
        SIZE_T before = fake_mm_pages_in_use;
        for (ULONG i = 0; i < 40; i++) {
            block[i] = ExAllocatePoolWithTag(types[t], 2041 + i * 1800, TEST_TAG);
            memset(block[i], (int)i, 2041 + i * 1800);
        }
        pool_is_sound();
        for (ULONG i = 0; i < 40; i++)
            ExFreePoolWithTag(block[i], TEST_TAG);
        pool_is_sound();
        PVOID again = ExAllocatePoolWithTag(types[t], 5 * PAGE_SIZE, TEST_TAG);
        ExFreePool(again);
        assert_ptr_equal(ExAllocatePoolWithTag(types[t], 4 * PAGE_SIZE + 1, TEST_TAG), again);
        EX_POOL_BLOCK found;
        assert_true(ExQueryPoolBlock((char *)again + 3 * PAGE_SIZE, &found) && found.Allocated);
        assert_int_equal(found.Size, 4 * PAGE_SIZE + 1);
        ExFreePool(again);
        assert_true(ExQueryPoolBlock((char *)again + 3 * PAGE_SIZE, &found) && !found.Allocated);
        for (int second = 0; second < 20; second++)
            ExTrimPool();
        pool_is_sound();
        assert_true(fake_mm_pages_in_use <= before + 4);
    }
}

static void absurd_sizes_are_refused(void **state)
{
    assert_null(ExAllocatePoolWithTag(NonPagedPoolNx, ~(SIZE_T)0, TEST_TAG));
    assert_null(ExAllocatePoolWithTag(PagedPool, ~(SIZE_T)0 - PAGE_SIZE, TEST_TAG));
    assert_null(ExAllocatePoolWithTag(NonPagedPool, 1ull << 40, TEST_TAG));
    pool_is_sound();
}

static void a_bursts_pages_go_back(void **state)
{
    static PVOID block[20000];
    for (int i = 0; i < 60; i++)
        ExTrimPool();
    EX_POOL_STATISTICS before, after;
    ExQueryPoolStatistics(NonPagedPoolNx, &before);
    for (int i = 0; i < 20000; i++)
        block[i] = ExAllocatePoolWithTag(NonPagedPoolNx, 200, TEST_TAG);
    for (int i = 0; i < 20000; i++)
        ExFreePool(block[i]);
    for (int i = 0; i < 60; i++)
        ExTrimPool();
    ExQueryPoolStatistics(NonPagedPoolNx, &after);
    assert_true(after.Pages <= before.Pages + 1);
    pool_is_sound();
}

static void trim_often(void)
{
    for (int i = 0; i < 60; i++)
        ExTrimPool();
}

static ULONG64 bookkeeping(void)
{
    EX_POOL_STATISTICS now;
    ExQueryPoolStatistics(NonPagedPoolNx, &now);
    return now.BookkeepingPages;
}

// Descriptors and records of the smallest blocks are a good part of what a burst takes.
static void a_bursts_bookkeeping_goes_back_too(void **state)
{
    trim_often();
    ULONG64 before = bookkeeping();
    fake_mm_page_limit = fake_mm_pages_in_use + 8000;
    for (size_t t = 0; t < 3; t++) {
        PVOID chain = NULL;
        allocate_until_null(types[t], 16, &chain);
        assert_true(bookkeeping() > before + 1000);
        free_chain(chain);
        trim_often();
        // What stays is what is known of record pages: a 256th of them, and once.
        assert_in_range(bookkeeping(), before - 10, before + 30);
        pool_is_sound();
    }
    fake_mm_page_limit = ~(SIZE_T)0;
}

// Blocks that stay keep their records while those around them go, and the groups' descriptors that
// went come back.
static void what_is_still_in_use_survives_the_end_of_a_burst(void **state)
{
    static UCHAR *block[300][64];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++)
            for (int j = 0; j < 64; j++) {
                SIZE_T size = 16 + (SIZE_T)j * 30;
                block[i][j] = ExAllocatePoolWithTag(PagedPool, size, TEST_TAG);
                memset(block[i][j], i, size);
            }
        for (int i = 0; i < 300; i++)
            for (int j = 0; j < 64; j++)
                if (i % 100 != 7)
                    ExFreePoolWithTag(block[i][j], TEST_TAG);
        trim_often();
        pool_is_sound();
        for (int i = 7; i < 300; i += 100)
            for (int j = 0; j < 64; j++) {
                EX_POOL_BLOCK found;
                assert_true(ExQueryPoolBlock(block[i][j], &found));
                assert_int_equal(found.Size, 16 + j * 30);
                assert_int_equal(found.Tag, TEST_TAG);
                assert_int_equal(block[i][j][found.Size - 1], (UCHAR)i);
                ExFreePoolWithTag(block[i][j], TEST_TAG);
            }
    }
    pool_is_sound();
}

// An address whose descriptor went back is in no block, and asking does not fault.
static void an_address_without_a_descriptor_is_in_no_block(void **state)
{
    PVOID chain = NULL;
    fake_mm_page_limit = fake_mm_pages_in_use + 5000;
    allocate_until_null(NonPagedPoolNx, 4096, &chain);
    fake_mm_page_limit = ~(SIZE_T)0;
    UCHAR *last = chain;
    free_chain(chain);
    trim_often();
    EX_POOL_BLOCK found;
    for (int i = 0; i < 4000; i++)
        assert_false(ExQueryPoolBlock(last - i * PAGE_SIZE, &found) && found.Allocated);
}

// ---- several processors ------------------------------------------------------------------------
#define THREADS   4
#define EXCHANGES 512

static PVOID exchange[EXCHANGES];

static void *processor(void *argument)
{
    ULONG64 seed = (ULONG64)(ULONG_PTR)argument;
    HostPrcb.ProcessorNumber = (ULONG)seed;
    if (!ExInitializePoolProcessor(&HostPrcb))
        abort();
    for (int i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        SIZE_T size = 1 + (seed >> 40) % 1500;
        UCHAR *block =
            ExAllocatePoolWithTag(types[(seed >> 33) % 3], size, TAG('S', 'm', 'p', '0' + i % 7));
        block[0] = block[size - 1] = (UCHAR)i;
        block = __atomic_exchange_n(&exchange[(seed >> 50) % EXCHANGES], block, __ATOMIC_ACQ_REL);
        if (block != NULL)
            ExFreePool(block);
    }
    return NULL;
}

static void blocks_may_be_freed_on_another_processor(void **state)
{
    pthread_t thread[THREADS];
    for (ULONG_PTR i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, processor, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < EXCHANGES; i++)
        if (exchange[i] != NULL)
            ExFreePool(exchange[i]);
    pool_is_sound();
    for (int i = 0; i < 7; i++) {
        EX_POOL_TAG use = use_of(TAG('S', 'm', 'p', '0' + i));
        assert_int_equal(use.NonPagedAllocs, use.NonPagedFrees);
        assert_int_equal(use.PagedAllocs, use.PagedFrees);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_aligned_inside_a_page_and_writable_to_its_last_byte),
        cmocka_unit_test(cache_aligned_blocks_start_on_a_line_and_share_none),
        cmocka_unit_test(a_zero_byte_request_gets_a_block_and_is_counted),
        cmocka_unit_test(zeroed_blocks_are_zero),
        cmocka_unit_test(the_flags_of_pool2_choose_pool_and_content),
        cmocka_unit_test(pool2_refuses_what_it_does_not_understand),
        cmocka_unit_test(hints_change_nothing),
        cmocka_unit_test(a_block_knows_its_size_tag_type_and_owner),
        cmocka_unit_test(an_untagged_block_is_counted_under_none),
        cmocka_unit_test(tags_are_counted_by_pool_and_never_lose_a_byte),
        cmocka_unit_test(random_operations_never_mix_blocks_up),
        cmocka_unit_test(nonpaged_pool_works_at_dispatch_level),
        cmocka_unit_test(the_order_of_blocks_in_a_page_is_not_fixed),
        cmocka_unit_test(exhaustion_answers_null_and_loses_nothing),
        cmocka_unit_test(one_pools_cached_blocks_serve_another_when_memory_is_short),
        cmocka_unit_test(any_single_failure_below_is_survived),
        cmocka_unit_test(large_blocks_are_used_again_and_go_back),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(a_bursts_pages_go_back),
        cmocka_unit_test(a_bursts_bookkeeping_goes_back_too),
        cmocka_unit_test(what_is_still_in_use_survives_the_end_of_a_burst),
        cmocka_unit_test(an_address_without_a_descriptor_is_in_no_block),
        cmocka_unit_test(five_thousand_tags_are_all_told_apart),
        cmocka_unit_test(blocks_may_be_freed_on_another_processor),
    };
    return cmocka_run_group_tests_name("pool", tests, start_pool, NULL);
}
