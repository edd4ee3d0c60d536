// SPDX-License-Identifier: MIT
// Links: kernel/rtl/unicode.c kernel/rtl/nls.c kernel/rtl/utf.c kernel/rtl/case.c kernel/rtl/wcs.c
// Links: kernel/rtl/integer.c kernel/rtl/guid.c kernel/rtl/time.c kernel/rtl/version.c
//
// Counted strings, their conversions, and what else turns values into text: numbers, GUIDs,
// times, the version.
#include "rtl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static ULONG Blocks;
static BOOLEAN Exhausted;

static PVOID Allocate(SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller)
{
    assert_int_not_equal(Caller, 0);
    if (Exhausted)
        return NULL;
    Blocks++;
    return malloc(NumberOfBytes);
}

static VOID Release(PVOID Memory, ULONG_PTR Caller)
{
    Blocks--;
    free(Memory);
}

static int setup(void **state)
{
    RtlRegisterAllocator(Allocate, Release);
    return 0;
}

#define WIDE(Text) {sizeof(Text) - 2, sizeof(Text), (Text)}

static void strings_describe_what_they_are_given(void **state)
{
    UNICODE_STRING Wide;
    STRING Narrow;
    WCHAR *Long = malloc(40000 * sizeof(WCHAR));

    RtlInitUnicodeString(&Wide, L"abc");
    assert_int_equal(Wide.Length, 6);
    assert_int_equal(Wide.MaximumLength, 8);
    RtlInitUnicodeString(&Wide, NULL);
    assert_int_equal(Wide.Length + Wide.MaximumLength, 0);
    assert_null(Wide.Buffer);
    RtlInitAnsiString(&Narrow, "abc");
    assert_int_equal(Narrow.Length, 3);
    assert_int_equal(Narrow.MaximumLength, 4);
    for (ULONG i = 0; i < 39999; i++)
        Long[i] = 'x';
    Long[39999] = 0;
    RtlInitUnicodeString(&Wide, Long);
    assert_int_equal(Wide.Length, 0xFFFC);
    assert_int_equal(Wide.MaximumLength, 0xFFFE);
    assert_int_equal(RtlInitUnicodeStringEx(&Wide, Long), STATUS_NAME_TOO_LONG);
    free(Long);
}

static void copying_and_appending_stay_in_the_buffer(void **state)
{
    WCHAR Buffer[8];
    UNICODE_STRING Target = {0, 14, Buffer}, Source = WIDE(L"abcdefghij");

    RtlCopyUnicodeString(&Target, &Source);
    assert_int_equal(Target.Length, 14);
    Source.Length = 6;
    RtlCopyUnicodeString(&Target, &Source);
    assert_memory_equal(Buffer, L"abc", 8);
    assert_int_equal(RtlAppendUnicodeToString(&Target, L"de"), STATUS_SUCCESS);
    assert_memory_equal(Buffer, L"abcde", 12);
    assert_int_equal(RtlAppendUnicodeStringToString(&Target, &Source), STATUS_BUFFER_TOO_SMALL);
    assert_int_equal(Target.Length, 10);
    Source.Length = 4;
    assert_int_equal(RtlAppendUnicodeStringToString(&Target, &Source), STATUS_SUCCESS);
    assert_memory_equal(Buffer, L"abcdeab", 14);
    RtlCopyUnicodeString(&Target, NULL);
    assert_int_equal(Target.Length, 0);
}

static void comparison_is_by_unit_and_then_by_length(void **state)
{
    UNICODE_STRING A = WIDE(L"abc"), B = WIDE(L"ABCD"), C = WIDE(L"\u00e4"), D = WIDE(L"\u00c4");
    assert_true(RtlCompareUnicodeString(&A, &B, TRUE) < 0);
    assert_true(RtlCompareUnicodeString(&A, &B, FALSE) > 0);
    assert_true(RtlPrefixUnicodeString(&A, &B, TRUE));
    assert_false(RtlPrefixUnicodeString(&A, &B, FALSE));
    assert_false(RtlPrefixUnicodeString(&B, &A, TRUE));
    assert_true(RtlEqualUnicodeString(&C, &D, TRUE));
    assert_false(RtlEqualUnicodeString(&C, &D, FALSE));
    STRING E = {2, 3, "ab"}, F = {2, 3, "AB"};
    assert_true(RtlEqualString(&E, &F, TRUE));
    assert_true(RtlCompareString(&E, &F, FALSE) > 0);
}

static void raising_and_lowering_undo_each_other(void **state)
{
    ULONG Pairs = 0;
    for (ULONG c = 0; c < 0x10000; c++) {
        WCHAR Up = RtlUpcaseUnicodeChar((WCHAR)c), Down = RtlDowncaseUnicodeChar((WCHAR)c);
        assert_true(Up == c || RtlDowncaseUnicodeChar(Up) == c);
        assert_true(Down == c || RtlUpcaseUnicodeChar(Down) == c);
        assert_true(Up == c || Down == c);
        Pairs += Up != c;
    }
    assert_true(Pairs > 1000);
    assert_int_equal(RtlUpcaseUnicodeChar(0xFF), 0x178);
    assert_int_equal(RtlUpcaseUnicodeChar(0x3B1), 0x391);
    assert_int_equal(RtlUpcaseUnicodeChar(0x131), 0x131);
}

static void conversion_both_ways_loses_nothing(void **state)
{
    WCHAR All[] = L"a\u00e9\u20ac\U0001F600";
    UNICODE_STRING Wide = WIDE(All), Back;
    STRING Narrow;

    assert_int_equal(RtlUnicodeStringToAnsiString(&Narrow, &Wide, TRUE), STATUS_SUCCESS);
    assert_string_equal(Narrow.Buffer, "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    assert_int_equal(Narrow.Length + 1, RtlxUnicodeStringToAnsiSize(&Wide));
    assert_int_equal(RtlAnsiStringToUnicodeString(&Back, &Narrow, TRUE), STATUS_SUCCESS);
    assert_true(RtlEqualUnicodeString(&Wide, &Back, FALSE));
    assert_int_equal(Back.Buffer[Back.Length / 2], 0);
    RtlFreeUnicodeString(&Back);
    RtlFreeAnsiString(&Narrow);
    assert_null(Back.Buffer);
    assert_int_equal(Blocks, 0);
}

static void every_bad_byte_converts_and_ends(void **state)
{
    for (ULONG a = 0x80; a < 0x100; a++)
        for (ULONG b = 0; b < 0x100; b++) {
            CHAR Bytes[3] = {(CHAR)a, (CHAR)b, 'x'};
            STRING Narrow = {3, 3, Bytes};
            WCHAR Buffer[4];
            UNICODE_STRING Wide = {0, sizeof(Buffer), Buffer};
            assert_int_equal(RtlAnsiStringToUnicodeString(&Wide, &Narrow, FALSE), STATUS_SUCCESS);
            assert_true(Wide.Length >= 4 && Wide.Length <= 6);
            assert_true(Buffer[0] == 0xFFFD || Buffer[0] == ((a & 0x1F) << 6 | (b & 0x3F)));
            assert_int_equal(Buffer[Wide.Length / 2 - 1], 'x');
        }
}

static void small_buffers_and_no_memory_are_refused(void **state)
{
    STRING Narrow = {3, 3, "abc"};
    WCHAR Buffer[3];
    UNICODE_STRING Wide = {0, sizeof(Buffer), Buffer};
    CHAR Bytes[3];
    STRING Small = {0, sizeof(Bytes), Bytes};
    UNICODE_STRING Source = WIDE(L"abc");

    assert_int_equal(RtlAnsiStringToUnicodeString(&Wide, &Narrow, FALSE), STATUS_BUFFER_OVERFLOW);
    assert_int_equal(RtlUnicodeStringToAnsiString(&Small, &Source, FALSE), STATUS_BUFFER_OVERFLOW);
    assert_string_equal(Bytes, "ab");
    Exhausted = TRUE;
    assert_int_equal(RtlAnsiStringToUnicodeString(&Wide, &Narrow, TRUE), STATUS_NO_MEMORY);
    assert_int_equal(RtlUpcaseUnicodeString(&Wide, &Source, TRUE), STATUS_NO_MEMORY);
    Exhausted = FALSE;
}

static void case_conversion_may_allocate(void **state)
{
    UNICODE_STRING Source = WIDE(L"aB\u00e9"), Target;
    assert_int_equal(RtlUpcaseUnicodeString(&Target, &Source, TRUE), STATUS_SUCCESS);
    assert_memory_equal(Target.Buffer, L"AB\u00c9", 6);
    assert_int_equal(RtlDowncaseUnicodeString(&Target, &Target, FALSE), STATUS_SUCCESS);
    assert_memory_equal(Target.Buffer, L"ab\u00e9", 6);
    RtlFreeUnicodeString(&Target);
    assert_int_equal(Blocks, 0);
}

static void integers_are_written_and_read_in_four_bases(void **state)
{
    WCHAR Buffer[70];
    UNICODE_STRING Text = {0, sizeof(Buffer), Buffer};
    static const ULONG Bases[] = {2, 8, 10, 16};
    ULONG Value;

    for (ULONG i = 0; i < 4; i++)
        for (ULONG n = 0, v = 1; n < 40; n++, v = v * 7 + 3) {
            assert_int_equal(RtlIntegerToUnicodeString(v, Bases[i], &Text), STATUS_SUCCESS);
            assert_int_equal(RtlUnicodeStringToInteger(&Text, Bases[i], &Value), STATUS_SUCCESS);
            assert_int_equal(Value, v);
        }
    assert_int_equal(RtlInt64ToUnicodeString(0xFEDCBA9876543210ull, 16, &Text), STATUS_SUCCESS);
    assert_memory_equal(Buffer, L"FEDCBA9876543210", 34);
    assert_int_equal(RtlIntegerToUnicodeString(1, 3, &Text), STATUS_INVALID_PARAMETER);
    Text.MaximumLength = 4;
    assert_int_equal(RtlIntegerToUnicodeString(123, 0, &Text), STATUS_BUFFER_OVERFLOW);
    assert_int_equal(RtlIntegerToUnicodeString(12, 0, &Text), STATUS_SUCCESS);
}

static ULONG ReadNumber(PCSZ Text, ULONG Base)
{
    ULONG Value = 99;
    assert_int_equal(RtlCharToInteger(Text, Base, &Value), STATUS_SUCCESS);
    return Value;
}

static void prefixes_signs_and_blanks_are_understood(void **state)
{
    assert_int_equal(ReadNumber("  -0x1Fz", 0), (ULONG)-0x1F);
    assert_int_equal(ReadNumber("0o17", 0), 15);
    assert_int_equal(ReadNumber("0b101", 0), 5);
    assert_int_equal(ReadNumber("019", 0), 19);
    assert_int_equal(ReadNumber("0", 0), 0);
    assert_int_equal(ReadNumber("0x", 0), 0);
    assert_int_equal(ReadNumber("+ff", 16), 255);
    assert_int_equal(ReadNumber("", 10), 0);
}

static void guids_go_to_text_and_back(void **state)
{
    GUID Guid = {0x01234567, 0x89AB, 0xCDEF, {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF}};
    GUID Back;
    UNICODE_STRING Text;

    assert_int_equal(RtlStringFromGUID(&Guid, &Text), STATUS_SUCCESS);
    assert_memory_equal(Text.Buffer, L"{01234567-89ab-cdef-0123-456789abcdef}", 78);
    assert_int_equal(RtlGUIDFromString(&Text, &Back), STATUS_SUCCESS);
    assert_memory_equal(&Guid, &Back, sizeof(Guid));
    for (ULONG i = 0; i < 38; i++) {
        WCHAR Kept = Text.Buffer[i];
        Text.Buffer[i] = 'g';
        assert_int_equal(RtlGUIDFromString(&Text, &Back), STATUS_INVALID_PARAMETER);
        Text.Buffer[i] = Kept;
    }
    Text.Length -= 2;
    assert_int_equal(RtlGUIDFromString(&Text, &Back), STATUS_INVALID_PARAMETER);
    RtlFreeUnicodeString(&Text);
}

static void times_go_to_the_calendar_and_back(void **state)
{
    TIME_FIELDS f;
    LARGE_INTEGER Time = {.QuadPart = 0}, Back;

    RtlTimeToTimeFields(&Time, &f);
    assert_int_equal(f.Year * 10000 + f.Month * 100 + f.Day, 16010101);
    assert_int_equal(f.Weekday, 1);
    RtlSecondsSince1970ToTime(951827696, &Time);  // 29 February 2000, 12:34:56, a Tuesday
    RtlTimeToTimeFields(&Time, &f);
    assert_int_equal(f.Year * 10000 + f.Month * 100 + f.Day, 20000229);
    assert_int_equal(f.Hour * 10000 + f.Minute * 100 + f.Second, 123456);
    assert_int_equal(f.Weekday, 2);
    for (LONG64 Day = 0; Day < 1100000; Day += 13) {
        Time.QuadPart = Day * 864000000000 + 123 * 10000;
        RtlTimeToTimeFields(&Time, &f);
        assert_true(RtlTimeFieldsToTime(&f, &Back));
        assert_int_equal(Time.QuadPart, Back.QuadPart);
    }
}

static void impossible_dates_are_refused(void **state)
{
    TIME_FIELDS Wrong[] = {{2023, 2, 29}, {2024, 13, 1}, {2024, 4, 31}, {1600, 1, 1},
                           {2024, 1, 1, 24}, {2024, 1, 1, 0, 60}, {2024, 0, 1}, {2024, 1, 0}};
    LARGE_INTEGER Time;
    for (ULONG i = 0; i < RTL_NUMBER_OF(Wrong); i++)
        assert_false(RtlTimeFieldsToTime(&Wrong[i], &Time));
    assert_true(RtlTimeFieldsToTime(&(TIME_FIELDS){2024, 2, 29}, &Time));
}

static void seconds_count_from_1970_and_1980(void **state)
{
    LARGE_INTEGER Time;
    ULONG Seconds;
    RtlSecondsSince1970ToTime(0xFFFFFFFF, &Time);
    assert_true(RtlTimeToSecondsSince1970(&Time, &Seconds));
    assert_int_equal(Seconds, 0xFFFFFFFF);
    Time.QuadPart += 10000000;
    assert_false(RtlTimeToSecondsSince1970(&Time, &Seconds));
    RtlSecondsSince1980ToTime(5, &Time);
    assert_true(RtlTimeToSecondsSince1980(&Time, &Seconds));
    assert_int_equal(Seconds, 5);
    Time.QuadPart = 0;
    assert_false(RtlTimeToSecondsSince1980(&Time, &Seconds));
}

static void every_way_of_asking_tells_one_version(void **state)
{
    RTL_OSVERSIONINFOEXW Information = {.dwOSVersionInfoSize = sizeof(Information)};
    ULONG Major, Minor, Build;
    UNICODE_STRING Csd;

    RtlGetVersion((PRTL_OSVERSIONINFOW)&Information);
    assert_int_equal(Information.dwBuildNumber, 7601);
    assert_int_equal(Information.wServicePackMajor, 1);
    RtlSetReportedVersion(6, 0, 6002, 2);
    PsGetVersion(&Major, &Minor, &Build, &Csd);
    assert_int_equal(Major * 10 + Minor, 60);
    assert_int_equal(Build, 6002);
    assert_memory_equal(Csd.Buffer, L"Service Pack 2", 30);
    RtlSetReportedVersion(6, 1, 7601, 1);
}

static NTSTATUS Verify(ULONG Major, ULONG Minor, UCHAR Condition)
{
    RTL_OSVERSIONINFOEXW Wanted = {.dwMajorVersion = Major, .dwMinorVersion = Minor};
    ULONG64 Mask = VerSetConditionMask(VerSetConditionMask(0, 2, Condition), 1, Condition);
    return RtlVerifyVersionInfo(&Wanted, 3, Mask);
}

static void versions_compare_from_the_major_part_on(void **state)
{
    assert_int_equal(Verify(6, 1, 1), STATUS_SUCCESS);                 // equal
    assert_int_equal(Verify(6, 0, 1), STATUS_REVISION_MISMATCH);
    assert_int_equal(Verify(5, 2, 3), STATUS_SUCCESS);                 // at least
    assert_int_equal(Verify(6, 1, 3), STATUS_SUCCESS);
    assert_int_equal(Verify(6, 2, 3), STATUS_REVISION_MISMATCH);
    assert_int_equal(Verify(10, 0, 3), STATUS_REVISION_MISMATCH);
    assert_int_equal(Verify(10, 0, 4), STATUS_SUCCESS);                // below
    assert_int_equal(Verify(5, 9, 4), STATUS_REVISION_MISMATCH);
    RTL_OSVERSIONINFOEXW Wanted = {.dwBuildNumber = 7600};
    assert_int_equal(RtlVerifyVersionInfo(&Wanted, 4, VerSetConditionMask(0, 4, 2)),
                     STATUS_SUCCESS);
    assert_int_equal(RtlVerifyVersionInfo(&Wanted, 0, 0), STATUS_INVALID_PARAMETER);
}

int main(void)
{
    const struct CMUnitTest Tests[] = {
        cmocka_unit_test(strings_describe_what_they_are_given),
        cmocka_unit_test(copying_and_appending_stay_in_the_buffer),
        cmocka_unit_test(comparison_is_by_unit_and_then_by_length),
        cmocka_unit_test(raising_and_lowering_undo_each_other),
        cmocka_unit_test(conversion_both_ways_loses_nothing),
        cmocka_unit_test(every_bad_byte_converts_and_ends),
        cmocka_unit_test(small_buffers_and_no_memory_are_refused),
        cmocka_unit_test(case_conversion_may_allocate),
        cmocka_unit_test(integers_are_written_and_read_in_four_bases),
        cmocka_unit_test(prefixes_signs_and_blanks_are_understood),
        cmocka_unit_test(guids_go_to_text_and_back),
        cmocka_unit_test(times_go_to_the_calendar_and_back),
        cmocka_unit_test(impossible_dates_are_refused),
        cmocka_unit_test(seconds_count_from_1970_and_1980),
        cmocka_unit_test(every_way_of_asking_tells_one_version),
        cmocka_unit_test(versions_compare_from_the_major_part_on),
    };
    return cmocka_run_group_tests(Tests, setup, NULL);
}
