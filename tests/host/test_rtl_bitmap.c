// SPDX-License-Identifier: MIT
// Links: kernel/rtl/bitmap.c
//
// Bitmaps against arrays of flags: every routine, on maps of sizes around multiples of 32.
#include "rtl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MAXIMUM 100u
#define NONE    0xFFFFFFFFu

static ULONG Words[4];
static RTL_BITMAP Map;
static BOOLEAN Model[MAXIMUM];
static ULONG Seed = 7;

static ULONG Random(ULONG Below)
{
    Seed = Seed * 1664525 + 1013904223;
    return (Seed >> 8) % Below;
}

static VOID Fill(ULONG Size, ULONG Density)
{
    memset(Words, 0xCC, sizeof(Words));
    RtlInitializeBitMap(&Map, Words, Size);
    RtlClearAllBits(&Map);
    for (ULONG i = 0; i < Size; i++) {
        Model[i] = Random(10) < Density;
        if (Model[i])
            RtlSetBit(&Map, i);
    }
}

static ULONG ModelRun(ULONG From, BOOLEAN Value)
{
    ULONG n = 0;
    while (From + n < Map.SizeOfBitMap && Model[From + n] == Value)
        n++;
    return n;
}

static ULONG ModelFind(ULONG From, ULONG To, ULONG Count, BOOLEAN Value)
{
    for (ULONG i = From; i < To; i++)
        if (ModelRun(i, Value) >= Count)
            return i;
    return NONE;
}

static VOID CheckQuestions(VOID)
{
    ULONG Size = Map.SizeOfBitMap, Set = 0, Start, Longest = 0;

    for (ULONG i = 0; i < Size; i++) {
        Set += Model[i];
        assert_int_equal(RtlTestBit(&Map, i), Model[i]);
        if (ModelRun(i, FALSE) > Longest)
            Longest = ModelRun(i, FALSE);
        for (ULONG n = 1; i + n <= Size; n++) {
            assert_int_equal(RtlAreBitsClear(&Map, i, n), ModelRun(i, FALSE) >= n);
            assert_int_equal(RtlAreBitsSet(&Map, i, n), ModelRun(i, TRUE) >= n);
        }
        assert_false(RtlAreBitsClear(&Map, i, Size - i + 1));
    }
    assert_int_equal(RtlNumberOfSetBits(&Map), Set);
    assert_int_equal(RtlNumberOfClearBits(&Map), Size - Set);
    assert_int_equal(RtlFindLongestRunClear(&Map, &Start), Longest);
    if (Longest != 0)
        assert_int_equal(ModelRun(Start, FALSE), Longest);
}

static VOID CheckFinds(VOID)
{
    ULONG Size = Map.SizeOfBitMap;
    for (ULONG Hint = 0; Hint < Size; Hint += 3)
        for (ULONG Count = 1; Count < 12; Count++)
            for (BOOLEAN Value = FALSE; Value <= TRUE; Value++) {
                ULONG Wanted = ModelFind(Hint, Size, Count, Value);
                if (Wanted == NONE)
                    Wanted = ModelFind(0, Hint, Count, Value);
                ULONG Found = Value ? RtlFindSetBits(&Map, Count, Hint)
                                    : RtlFindClearBits(&Map, Count, Hint);
                assert_int_equal(Found, Wanted);
            }
}

static VOID CheckRuns(VOID)
{
    RTL_BITMAP_RUN Runs[6];
    ULONG Start, From = 0, Count = RtlFindClearRuns(&Map, Runs, 6, FALSE);

    for (ULONG i = 0; i < Count; i++) {
        ULONG Length = RtlFindNextForwardRunClear(&Map, From, &Start);
        assert_int_equal(Runs[i].StartingIndex, Start);
        assert_int_equal(Runs[i].NumberOfBits, Length);
        assert_int_equal(RtlFindLastBackwardRunClear(&Map, Start + Length - 1, &From), Length);
        assert_int_equal(From, Start);
        From = Start + Length;
    }
    Count = RtlFindClearRuns(&Map, Runs, 6, TRUE);
    for (ULONG i = 0; i < Count; i++) {
        assert_int_equal(ModelRun(Runs[i].StartingIndex, FALSE), Runs[i].NumberOfBits);
        assert_true(i == 0 || Runs[i].NumberOfBits <= Runs[i - 1].NumberOfBits);
    }
    assert_true(Count == 0 || Runs[0].NumberOfBits == RtlFindLongestRunClear(&Map, &Start));
}

static void every_answer_matches_the_model(void **state)
{
    static const ULONG Sizes[] = {1, 5, 31, 32, 33, 63, 64, 65, 96, 100};
    for (ULONG i = 0; i < RTL_NUMBER_OF(Sizes); i++)
        for (ULONG Density = 0; Density <= 10; Density += 2) {
            Fill(Sizes[i], Density);
            CheckQuestions();
            CheckFinds();
            CheckRuns();
        }
}

static void writing_touches_exactly_its_bits(void **state)
{
    for (ULONG i = 0; i < 2000; i++) {
        ULONG Size = 1 + Random(MAXIMUM), Start = Random(Size), Count = Random(Size - Start + 1);
        BOOLEAN Value = (BOOLEAN)Random(2);
        Fill(Size, 5);
        for (ULONG n = 0; n < Count; n++)
            Model[Start + n] = Value;
        if (Value)
            RtlSetBits(&Map, Start, Count);
        else
            RtlClearBits(&Map, Start, Count);
        for (ULONG n = 0; n < Size; n++)
            assert_int_equal(RtlTestBit(&Map, n), Model[n]);
    }
}

static void found_bits_can_be_taken_and_given_back(void **state)
{
    Fill(MAXIMUM, 0);
    assert_int_equal(RtlFindClearBitsAndSet(&Map, 40, 70), 0);
    assert_int_equal(RtlFindClearBitsAndSet(&Map, 40, 0), 40);
    assert_int_equal(RtlFindClearBitsAndSet(&Map, 40, 0), NONE);
    assert_int_equal(RtlFindSetBitsAndClear(&Map, 80, 50), 0);
    assert_int_equal(RtlNumberOfSetBits(&Map), 0);
    RtlSetAllBits(&Map);
    assert_int_equal(RtlNumberOfSetBits(&Map), MAXIMUM);
    RtlSetBits(&Map, 99, 2);  // beyond the map: nothing
    RtlClearBit(&Map, 100);
    assert_false(RtlTestBit(&Map, 100));
}

static void the_outermost_bits_of_a_number_are_found(void **state)
{
    assert_int_equal(RtlFindMostSignificantBit(0), -1);
    assert_int_equal(RtlFindLeastSignificantBit(0), -1);
    assert_int_equal(RtlFindMostSignificantBit(0x8000000000000001ull), 63);
    assert_int_equal(RtlFindLeastSignificantBit(0x8000000000000000ull), 63);
    assert_int_equal(RtlFindLeastSignificantBit(6), 1);
}

int main(void)
{
    const struct CMUnitTest Tests[] = {
        cmocka_unit_test(every_answer_matches_the_model),
        cmocka_unit_test(writing_touches_exactly_its_bits),
        cmocka_unit_test(found_bits_can_be_taken_and_given_back),
        cmocka_unit_test(the_outermost_bits_of_a_number_are_found),
    };
    return cmocka_run_group_tests(Tests, NULL, NULL);
}
