// SPDX-License-Identifier: MIT
// Links: mm/range.c tests/host/fake_ke.c
//
// Address ranges against a model that is an array of booleans: what is given out is free, inside
// the region and as long as asked; what is refused does not exist; releasing undoes reserving.
#include "mm/mi.h"
#include "fake_ke.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define BASE   0x10000000000ull
#define GROUPS 8u
#define PAGES  (GROUPS * MI_GROUP_PAGES)

static unsigned char model[PAGES];
static MI_RANGE range;
static SIZE_T memory_limit; // bytes that MiGrowArray may commit in all

VOID MiCreateArray(MI_ARRAY *Array, SIZE_T Limit)
{
    Array->Base = realloc(Array->Base, Limit);
    Array->Committed = 0;
    Array->Limit = Limit;
    memory_limit = ~(SIZE_T)0;
}

BOOLEAN MiGrowArray(MI_ARRAY *Array, SIZE_T Bytes)
{
    if (Bytes <= Array->Committed)
        return TRUE;
    if (Bytes > Array->Limit || Bytes > memory_limit)
        return FALSE;
    memset(Array->Base + Array->Committed, 0, Bytes - Array->Committed);
    Array->Committed = Bytes;
    return TRUE;
}

static int start(void **state)
{
    MiInitializeRange(&range, BASE, (ULONG_PTR)PAGES * PAGE_SIZE);
    memset(model, 0, sizeof(model));
    return 0;
}

static int finish(void **state)
{
    free(range.Array.Base);
    range.Array.Base = NULL;
    return 0;
}

static void check(void)
{
    const char *what = NULL;
    if (!MiCheckRange(&range, &what))
        fail_msg("%s", what);
    assert_int_equal(HostLocksHeld, 0);
    assert_int_equal(HostIrql, PASSIVE_LEVEL);
}

static SIZE_T reserve(SIZE_T pages)
{
    PVOID base = MiReserveRange(&range, pages);
    if (base == NULL)
        return PAGES;
    SIZE_T first = ((ULONG_PTR)base - BASE) / PAGE_SIZE;
    assert_true((ULONG_PTR)base >= BASE && first + pages <= PAGES);
    for (SIZE_T i = first; i < first + pages; i++) {
        assert_false(model[i]);
        model[i] = 1;
    }
    return first;
}

static void release(SIZE_T first, SIZE_T pages)
{
    assert_true(MiReleaseRange(&range, (PVOID)(BASE + first * PAGE_SIZE), pages));
    memset(model + first, 0, pages);
}

// The longest free run, looking no further than to the end of each `window` pages.
static SIZE_T longest(SIZE_T window)
{
    SIZE_T best = 0, run = 0;
    for (SIZE_T i = 0; i < PAGES; i++) {
        if (i % window == 0)
            run = 0;
        run = model[i] ? 0 : run + 1;
        best = run > best ? run : best;
    }
    return best;
}

static void an_empty_region_has_room_for_all_of_itself(void **state)
{
    assert_int_equal(reserve(PAGES), 0);
    assert_int_equal(reserve(1), PAGES);
    check();
    release(0, PAGES);
    assert_int_equal(range.Used, 0);
    assert_int_equal(reserve(PAGES + 1), PAGES);
    assert_int_equal(reserve(0), PAGES);
    check();
}

static void one_page_after_the_other_fills_the_region_exactly(void **state)
{
    for (SIZE_T i = 0; i < PAGES; i++)
        assert_int_equal(reserve(1), i);
    assert_int_equal(reserve(1), PAGES);
    release(777, 1);
    assert_int_equal(reserve(1), 777);
    check();
}

static void a_hole_is_used_before_new_space(void **state)
{
    SIZE_T a = reserve(10), b = reserve(10), c = reserve(10);
    release(b, 10);
    assert_int_equal(reserve(11), c + 10);
    assert_int_equal(reserve(10), b);
    release(a, 10);
    assert_int_equal(reserve(4), a);
    check();
}

static void a_run_across_a_word_boundary_is_found(void **state)
{
    for (SIZE_T pages = 2; pages <= 32; pages++) {
        start(state);
        assert_int_equal(reserve(MI_GROUP_PAGES / 2), 0);
        assert_int_equal(reserve(MI_GROUP_PAGES / 2), MI_GROUP_PAGES / 2);
        release(64 - pages / 2, pages);
        assert_int_equal(reserve(pages), 64 - pages / 2);
        check();
    }
}

static void what_is_not_reserved_cannot_be_released(void **state)
{
    SIZE_T a = reserve(100);
    PVOID base = (PVOID)(BASE + a * PAGE_SIZE);
    assert_false(MiReleaseRange(&range, base, 101));
    assert_false(MiReleaseRange(&range, base, 0));
    assert_false(MiReleaseRange(&range, (PVOID)(BASE + PAGES * PAGE_SIZE), 1));
    assert_false(MiReleaseRange(&range, (PVOID)(BASE - PAGE_SIZE), 1));
    assert_false(MiReleaseRange(&range, base, PAGES));
    check();
    release(a, 100);
    assert_false(MiReleaseRange(&range, base, 100));
    check();
}

static void without_memory_for_bits_nothing_is_reserved_and_nothing_breaks(void **state)
{
    memory_limit = 2 * sizeof(MI_GROUP);
    assert_int_equal(reserve(3 * MI_GROUP_PAGES), PAGES);
    assert_int_equal(reserve(2 * MI_GROUP_PAGES), 0);
    assert_int_equal(reserve(1), PAGES);
    check();
    memory_limit = ~(SIZE_T)0;
    assert_int_equal(reserve(1), 2 * MI_GROUP_PAGES);
    check();
}

typedef struct {
    SIZE_T first, pages;
} BLOCK;

static SIZE_T random_size(void)
{
    switch (rand() % 8) {
    case 0:
        return 33 + rand() % (MI_GROUP_PAGES / 2 - 32);
    case 1:
        return MI_GROUP_PAGES / 2 + 1 + rand() % (2 * MI_GROUP_PAGES);
    default:
        return 1 + rand() % 32;
    }
}

// A short request may fail only when no group has such a run, a long one only when there is none.
static void any_sequence_agrees_with_the_model(void **state)
{
    static BLOCK block[4096];
    for (unsigned seed = 1; seed <= 20; seed++) {
        size_t count = 0;
        start(state);
        srand(seed);
        for (int step = 0; step < 4000; step++) {
            if (count < 4096 && (count == 0 || rand() % 100 < 55)) {
                SIZE_T pages = random_size(), first = reserve(pages);
                if (first == PAGES) {
                    SIZE_T window = pages <= MI_GROUP_PAGES / 2 ? MI_GROUP_PAGES : PAGES;
                    assert_true(longest(window) < pages);
                } else {
                    block[count++] = (BLOCK){first, pages};
                }
            } else {
                size_t victim = (size_t)rand() % count;
                release(block[victim].first, block[victim].pages);
                block[victim] = block[--count];
            }
            if (step % 64 == 0)
                check();
        }
        while (count != 0) {
            count--;
            release(block[count].first, block[count].pages);
        }
        check();
        assert_int_equal(range.Used, 0);
        assert_int_equal(reserve(PAGES), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_region_has_room_for_all_of_itself, start),
        cmocka_unit_test_setup(one_page_after_the_other_fills_the_region_exactly, start),
        cmocka_unit_test_setup(a_hole_is_used_before_new_space, start),
        cmocka_unit_test_setup(a_run_across_a_word_boundary_is_found, start),
        cmocka_unit_test_setup(what_is_not_reserved_cannot_be_released, start),
        cmocka_unit_test_setup(without_memory_for_bits_nothing_is_reserved_and_nothing_breaks,
                               start),
        cmocka_unit_test_setup(any_sequence_agrees_with_the_model, start),
    };
    return cmocka_run_group_tests_name("mm: address ranges", tests, NULL, finish);
}
