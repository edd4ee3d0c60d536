// SPDX-License-Identifier: MIT
//
// Copies, fills and compares against the plainest possible model, over all small lengths, offsets
// and overlaps and the sizes around which the implementation changes its way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rtl_names.h"
#include "kernel/rtl/memory.c"

#define SIZE 1200

static UCHAR Model[SIZE], Real[SIZE];

static const size_t Lengths[] = {0,  1,  2,  3,   4,   5,   7,   8,   9,   11,  15, 16, 17,
                                 23, 24, 31, 32,  33,  63,  64,  65,  127, 128, 255, 256, 257, 300};

static VOID Scramble(VOID)
{
    for (ULONG i = 0; i < SIZE; i++)
        Model[i] = Real[i] = (UCHAR)(i * 151 + i / 7);
}

static VOID ExpectEqual(const char *What, size_t A, size_t B, size_t Length)
{
    for (ULONG i = 0; i < SIZE; i++)
        if (Model[i] != Real[i])
            fail_msg("%s %zu %zu %zu differs at %u", What, A, B, Length, i);
}

static VOID ModelMove(size_t To, size_t From, size_t Length)
{
    UCHAR Copy[SIZE];
    for (size_t i = 0; i < Length; i++)
        Copy[i] = Model[From + i];
    for (size_t i = 0; i < Length; i++)
        Model[To + i] = Copy[i];
}

static void a_copy_survives_every_overlap(void **state)
{
    for (size_t To = 300; To < 340; To++)
        for (size_t From = 300; From < 340; From++)
            for (size_t i = 0; i < RTL_NUMBER_OF(Lengths); i++) {
                Scramble();
                ModelMove(To, From, Lengths[i]);
                assert_ptr_equal(memmove(Real + To, Real + From, Lengths[i]), Real + To);
                ExpectEqual("move", To, From, Lengths[i]);
            }
}

static void a_fill_touches_exactly_its_bytes(void **state)
{
    for (size_t To = 300; To < 317; To++)
        for (size_t i = 0; i < RTL_NUMBER_OF(Lengths); i++) {
            Scramble();
            for (size_t j = 0; j < Lengths[i]; j++)
                Model[To + j] = 0xA5;
            assert_ptr_equal(memset(Real + To, 0x7A5, Lengths[i]), Real + To);
            ExpectEqual("fill", To, 0, Lengths[i]);
        }
}

static void a_comparison_finds_the_first_difference(void **state)
{
    for (size_t i = 0; i < RTL_NUMBER_OF(Lengths); i++)
        for (size_t At = 0; At <= Lengths[i]; At++) {
            Scramble();
            Real[300 + At] = (UCHAR)(Model[300 + At] + 1);
            int Order = memcmp(Model + 300, Real + 300, Lengths[i]);
            if (At == Lengths[i])
                assert_int_equal(Order, 0);
            else
                assert_true(Order < 0 ? Model[300 + At] < Real[300 + At]
                                      : Model[300 + At] > Real[300 + At]);
            assert_int_equal(RtlCompareMemory(Model + 300, Real + 300, Lengths[i]), At);
        }
}

static void a_search_stops_at_the_first_match(void **state)
{
    UCHAR Text[] = {1, 2, 3, 2, 0xFF};
    assert_ptr_equal(memchr(Text, 2, 5), Text + 1);
    assert_ptr_equal(memchr(Text, -1, 5), Text + 4);
    assert_null(memchr(Text, -1, 4));
    assert_null(memchr(Text, 9, 5));
}

static void patterns_are_of_four_bytes(void **state)
{
    ULONG Words[5] = {0, 0, 0, 0, 7};
    RtlFillMemoryUlong(Words, 16, 0x12345678);
    assert_int_equal(Words[3], 0x12345678);
    assert_int_equal(Words[4], 7);
    assert_int_equal(RtlCompareMemoryUlong(Words, sizeof(Words), 0x12345678), 16);
    assert_int_equal(RtlCompareMemoryUlong(Words, 7, 0x12345678), 4);
    assert_int_equal(RtlCompareMemoryUlong(Words, 20, 7), 0);
}

int main(void)
{
    const struct CMUnitTest Tests[] = {
        cmocka_unit_test(a_copy_survives_every_overlap),
        cmocka_unit_test(a_fill_touches_exactly_its_bytes),
        cmocka_unit_test(a_comparison_finds_the_first_difference),
        cmocka_unit_test(a_search_stops_at_the_first_match),
        cmocka_unit_test(patterns_are_of_four_bytes),
    };
    return cmocka_run_group_tests(Tests, NULL, NULL);
}
