// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c mm/poolbook.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/pooltag.c mm/poolbug.c mm/poolquery.c
// Links: mm/poollarge.c
// Links: mm/poolcheck.c kernel/rtl/format.c kernel/rtl/utf.c
// Links: tests/host/fake_mm.c tests/host/fake_ke.c
//
// Special pool: every misuse has its documented bugcheck (BC-54 to BC-59b, TT-40 to TT-54), freed
// blocks stay inaccessible, samples are taken at the rate asked for, failures on purpose are
// those asked for. main starts a process for each way to choose who is watched.
#include "mm/poolp.h"
#include "pool_test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

// Locals that keep their value between setjmp and longjmp keep it after, too.
#pragma GCC diagnostic ignored "-Wclobbered"

#define TEST_TAG TAG('S', 'p', 'c', 'l')

static const POOL_TYPE types[] = {NonPagedPool, PagedPool, NonPagedPoolNx};

static void stopped(ULONG code, ULONG_PTR p1, ULONG_PTR p2, ULONG_PTR p3, ULONG_PTR p4)
{
    assert_int_equal(HostBugCheck.Code, code);
    assert_int_equal(HostBugCheck.Parameter[0], p1);
    assert_int_equal(HostBugCheck.Parameter[1], p2);
    assert_int_equal(HostBugCheck.Parameter[2], p3);
    assert_int_equal(HostBugCheck.Parameter[3], p4);
    assert_non_null(strstr(HostBugCheck.Sentence, "code+0x"));
}

static PVOID allocate(POOL_TYPE type, SIZE_T bytes)
{
    return ExAllocatePoolWithTag(type, bytes, TEST_TAG);
}

// ---- everybody ---------------------------------------------------------------------------------
static void a_block_ends_with_its_page(void **state)
{
    for (int t = 0; t < 3; t++)
        for (SIZE_T bytes = 1; bytes < PAGE_SIZE; bytes += 13) {
            UCHAR *block = allocate(types[t], bytes);
            assert_true(ExpIsSpecial(block));
            assert_int_equal((ULONG_PTR)block % MEMORY_ALLOCATION_ALIGNMENT, 0);
            assert_in_range(BYTE_OFFSET(block) + bytes, PAGE_SIZE - 15, PAGE_SIZE);
            memset(block, 1, bytes);
            ExFreePoolWithTag(block, TEST_TAG);
        }
    pool_is_sound();
}

static void a_priority_chooses_the_side(void **state)
{
    UCHAR *block = ExAllocatePoolWithTagPriority(PagedPool, 100, TEST_TAG,
                                                 LowPoolPrioritySpecialPoolUnderrun);
    assert_int_equal(BYTE_OFFSET(block), 0);
    ExFreePool(block);
}

static void a_page_or_more_is_served_as_usual(void **state)
{
    PVOID block = allocate(NonPagedPoolNx, PAGE_SIZE);
    assert_false(ExpIsSpecial(block));
    ExFreePool(block);
}

static void a_block_knows_itself(void **state)
{
    EX_POOL_BLOCK found;
    UCHAR *block = allocate(PagedPool, 200);
    assert_true(ExQueryPoolBlock(block + 199, &found));
    assert_ptr_equal(found.Address, block);
    assert_int_equal(found.Size, 200);
    assert_int_equal(found.Tag, TEST_TAG);
    assert_int_equal(found.PoolType, PagedPool);
    assert_true(found.Allocated);
    ExFreePool(block);
    assert_true(ExQueryPoolBlock(block, &found));
    assert_false(found.Allocated);
}

static void freeing_twice_is_c1_20(void **state)
{
    PVOID block = allocate(NonPagedPoolNx, 50);
    ExFreePool(block);
    assert_true(BUGCHECKS(ExFreePool(block)));
    stopped(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)block, 0, 0, 0x20);
    assert_non_null(strstr(HostBugCheck.Sentence, "second time"));
}

static void freeing_what_is_no_start_is_c1_21_or_22(void **state)
{
    UCHAR *block = allocate(NonPagedPoolNx, 64);
    assert_true(BUGCHECKS(ExFreePool(block + 16)));
    stopped(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)block + 16, 64, 48, 0x21);
    ExFreePool(block);
    block = ExAllocatePoolWithTagPriority(PagedPool, 64, TEST_TAG,
                                          HighPoolPrioritySpecialPoolUnderrun);
    assert_true(BUGCHECKS(ExFreePool(block + 16)));
    stopped(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)block + 16, 64, PAGE_SIZE - 16,
            0x22);
    ExFreePool(block);
}

static void a_change_beside_the_block_is_c1_23_24_or_32(void **state)
{
    static const struct { int at, xor, kind; } changes[] = {
        {-1, 0xFF, 0x23}, {-300, 0x81, 0x23}, {61, 0xFF, 0x24}, {63, 0x11, 0x24}, {-7, 0x40, 0x32}};
    for (int i = 0; i < 5; i++)
        for (int t = 0; t < 3; t++) {
            UCHAR *block = allocate(types[t], 61);
            block[changes[i].at] ^= (UCHAR)changes[i].xor;
            assert_true(BUGCHECKS(ExFreePoolWithTag(block, TEST_TAG)));
            stopped(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)block,
                    (ULONG_PTR)block + (ULONG_PTR)(LONG_PTR)changes[i].at, 0,
                    (ULONG_PTR)changes[i].kind);
            block[changes[i].at] ^= (UCHAR)changes[i].xor;
            ExFreePoolWithTag(block, TEST_TAG);
        }
    pool_is_sound();
}

static void the_wrong_irql_is_c1_30_and_31(void **state)
{
    PVOID block = allocate(PagedPool, 100);
    HostIrql = DISPATCH_LEVEL;
    assert_true(BUGCHECKS(allocate(PagedPool, 100)));
    stopped(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, DISPATCH_LEVEL, PagedPool, 100, 0x30);
    assert_true(BUGCHECKS(ExFreePool(block)));
    stopped(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, DISPATCH_LEVEL, PagedPool, (ULONG_PTR)block,
            0x31);
    HostIrql = PASSIVE_LEVEL;
    ExFreePool(block);
}

static void a_wrong_tag_is_c2_0a(void **state)
{
    PVOID block = allocate(PagedPool, 100);
    assert_true(BUGCHECKS(ExFreePoolWithTag(block, TAG('N', 'o', 'p', 'e'))));
    stopped(BAD_POOL_CALLER, 0x0A, (ULONG_PTR)block, TEST_TAG, TAG('N', 'o', 'p', 'e'));
    ExFreePool(block);
}

static void guards_and_freed_pages_name_the_block(void **state)
{
    POOL_SPECIAL found;
    UCHAR *block = allocate(PagedPool, 128);
    assert_true(ExpQuerySpecial(block + 128, &found));
    assert_true(found.Guard && found.Block == block && !found.Freed);
    ExFreePool(block);
    assert_true(ExpQuerySpecial(block, &found));
    assert_true(!found.Guard && found.Block == block && found.Freed);
    block = ExAllocatePoolWithTagPriority(PagedPool, 128, TEST_TAG,
                                          LowPoolPrioritySpecialPoolUnderrun);
    assert_true(ExpQuerySpecial(block - 1, &found));
    assert_true(found.Guard && found.Block == block);
    ExFreePool(block);
}

// As long as there are slots that were never used, none is used again.
static void a_freed_block_is_the_last_to_be_used_again(void **state)
{
    PVOID first = allocate(NonPagedPoolNx, 100);
    ExFreePool(first);
    for (int i = 0; i < 3000; i++) {
        PVOID block = allocate(NonPagedPoolNx, 100);
        assert_ptr_not_equal(block, first);
        ExFreePool(block);
    }
}

static void without_memory_the_usual_pool_serves(void **state)
{
    ULONG_PTR missed = ExpSpecialMissed;
    fake_mm_page_limit = fake_mm_pages_in_use + fake_mm_pages_in_use / 20;
    PVOID block = allocate(NonPagedPoolNx, 100);
    assert_non_null(block);
    assert_false(ExpIsSpecial(block));
    assert_int_equal(ExpSpecialMissed, missed + 1);
    ExFreePool(block);
    fake_mm_page_limit = ~(SIZE_T)0;
    pool_is_sound();
}

static void tags_count_special_blocks_like_others(void **state)
{
    static const SIZE_T sizes[] = {1, 100, 3000};
    ULONG tag = TAG('C', 'n', 't', 'S');
    PVOID block[3];
    EX_POOL_TAG use = {0};
    for (int i = 0; i < 3; i++)
        block[i] = ExAllocatePoolWithTag(PagedPool, sizes[i], tag);
    for (ULONG i = 0; ExQueryPoolTag(i, &use) && use.Tag != tag; i++)
        ;
    assert_int_equal(use.PagedAllocs, 3);
    assert_true(use.PagedBytes >= 3101);
    for (int i = 0; i < 3; i++)
        ExFreePoolWithTag(block[i], tag);
    for (ULONG i = 0; ExQueryPoolTag(i, &use) && use.Tag != tag; i++)
        ;
    assert_int_equal(use.PagedFrees, 3);
    assert_int_equal(use.PagedBytes, 0);
}

// ---- some --------------------------------------------------------------------------------------
static void only_tags_like_the_pattern_are_special(void **state)
{
    PVOID yes = ExAllocatePoolWithTag(PagedPool, 100, TAG('S', 'p', 'x', 'y'));
    PVOID no = ExAllocatePoolWithTag(PagedPool, 100, TAG('T', 'p', 'x', 'y'));
    assert_true(ExpIsSpecial(yes));
    assert_false(ExpIsSpecial(no));
    ExFreePool(yes);
    ExFreePool(no);
}

static void only_sizes_in_the_range_are_special(void **state)
{
    for (SIZE_T bytes = 1; bytes < 200; bytes++) {
        PVOID block = allocate(NonPagedPoolNx, bytes);
        assert_int_equal(ExpIsSpecial(block), bytes >= 20 && bytes <= 30);
        ExFreePool(block);
    }
}

static void underrun_puts_blocks_at_the_start(void **state)
{
    PVOID block = allocate(NonPagedPoolNx, 25);
    assert_int_equal(BYTE_OFFSET(block), 0);
    ExFreePool(block);
}

static void one_request_in_so_many_is_a_sample(void **state)
{
    ULONG tag = TAG('G', 'r', 'd', '1');
    ULONG special = 0, other = 0;
    for (int i = 0; i < 10000; i++) {
        PVOID block = ExAllocatePoolWithTag(types[i % 3], 64, tag);
        PVOID large = ExAllocatePoolWithTag(types[i % 3], 3000, tag);
        special += ExpIsSpecial(block);
        other += ExpIsSpecial(large);
        ExFreePoolWithTag(block, tag);
        ExFreePoolWithTag(large, tag);
    }
    assert_in_range(special, 97, 103);
    assert_in_range(other, 97, 103);
    pool_is_sound();
}

static void the_nth_request_fails_and_no_other(void **state)
{
    fake_mm_all_code_is_a_driver = TRUE;
    for (int i = 1; i <= 20; i++) {
        PVOID block = allocate(types[i % 3], 100);
        assert_int_equal(block == NULL, i == 7);
        if (block != NULL)
            ExFreePool(block);
    }
}

static void failures_come_as_often_as_asked_for_and_to_drivers_only(void **state)
{
    int failed = 0;
    for (int i = 0; i < 1000; i++) {
        PVOID block = ExAllocatePoolWithTag(PagedPool, 100, TAG('F', 'a', 'i', 'l'));
        assert_non_null(block);
        ExFreePool(block);
    }
    fake_mm_all_code_is_a_driver = TRUE;
    for (int i = 0; i < 10000; i++) {
        PVOID block = ExAllocatePoolWithTag(PagedPool, 100, TAG('F', 'a', 'i', 'l'));
        PVOID other = ExAllocatePoolWithTag(PagedPool, 100, TAG('G', 'o', 'o', 'd'));
        failed += block == NULL;
        assert_non_null(other);
        ExFreePool(other);
        if (block != NULL)
            ExFreePool(block);
    }
    assert_in_range(failed, 900, 1100);
    pool_is_sound();
}

// ---- processes ---------------------------------------------------------------------------------
static const struct CMUnitTest everybody[] = {
    cmocka_unit_test(a_block_ends_with_its_page),
    cmocka_unit_test(a_priority_chooses_the_side),
    cmocka_unit_test(a_page_or_more_is_served_as_usual),
    cmocka_unit_test(a_block_knows_itself),
    cmocka_unit_test(freeing_twice_is_c1_20),
    cmocka_unit_test(freeing_what_is_no_start_is_c1_21_or_22),
    cmocka_unit_test(a_change_beside_the_block_is_c1_23_24_or_32),
    cmocka_unit_test(the_wrong_irql_is_c1_30_and_31),
    cmocka_unit_test(a_wrong_tag_is_c2_0a),
    cmocka_unit_test(guards_and_freed_pages_name_the_block),
    cmocka_unit_test(a_freed_block_is_the_last_to_be_used_again),
    cmocka_unit_test(without_memory_the_usual_pool_serves),
    cmocka_unit_test(tags_count_special_blocks_like_others),
};
static const struct CMUnitTest by_tag[] = {
    cmocka_unit_test(only_tags_like_the_pattern_are_special)};
static const struct CMUnitTest by_size[] = {
    cmocka_unit_test(only_sizes_in_the_range_are_special),
    cmocka_unit_test(underrun_puts_blocks_at_the_start),
};
static const struct CMUnitTest guard[] = {cmocka_unit_test(one_request_in_so_many_is_a_sample)};
static const struct CMUnitTest nth[] = {cmocka_unit_test(the_nth_request_fails_and_no_other)};
static const struct CMUnitTest faults[] = {
    cmocka_unit_test(failures_come_as_often_as_asked_for_and_to_drivers_only)};

#define RUN(Options, Tests) run(Options, #Tests, Tests, sizeof(Tests) / sizeof(Tests[0]))

// The pool starts once in a process, with the options it finds.
static int run(const char *options, const char *name, const struct CMUnitTest *tests, size_t count)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child != 0)
        return waitpid(child, &status, 0) != child || status != 0;
    HostOptions = options;
    fake_mm_start();
    ExInitializePool();
    exit(_cmocka_run_group_tests(name, tests, count, NULL, NULL));
}

int main(void)
{
    return RUN("SPECIALPOOL=all", everybody) + RUN("SPECIALPOOL=tag:S*", by_tag) +
           RUN("SPECIALPOOL=size:20-30,underrun", by_size) + RUN("POOLGUARD=100", guard) +
           RUN("FAILALLOCATION=7", nth) + RUN("FAULTS=1000,Fa*", faults);
}
