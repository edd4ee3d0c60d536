// SPDX-License-Identifier: MIT
// Links: kernel/rtl/format.c kernel/rtl/utf.c kernel/rtl/status.c
//
// What NT's printf prints, conversion by conversion.
#include "rtl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define PRINTS(Expected, ...)                                                                      \
    do {                                                                                           \
        char Text[512];                                                                            \
        assert_int_equal(RtlFormat(Text, sizeof(Text), __VA_ARGS__), (int)strlen(Expected));       \
        assert_string_equal(Text, Expected);                                                       \
    } while (0)

static void integers_have_the_size_their_prefix_names(void **state)
{
    PRINTS("-5 4294967291 fffffffb FFFFFFFB 37777777773", "%d %u %x %X %o", -5, -5, -5, -5, -5);
    PRINTS("-1 65535 -1 255", "%hd %hu %hhd %hhu", 0x1FFFF, 0x1FFFF, 0x1FF, 0x1FF);
    PRINTS("-1 4294967295", "%ld %lu", -1, -1);
    PRINTS("123456789abcdef0", "%I64x", 0x123456789abcdef0ull);
    PRINTS("123456789abcdef0", "%llx", 0x123456789abcdef0ull);
    PRINTS("-9223372036854775808", "%I64d", (LONG64)(1ull << 63));
    PRINTS("18446744073709551615", "%Iu", ~(ULONG_PTR)0);
    PRINTS("4294967295 7", "%I32u %d", 0xFFFFFFFF, 7);
    PRINTS("99", "%zu", (size_t)99);
}

static void flags_width_and_precision_combine_as_in_c(void **state)
{
    PRINTS("[   42][42   ][00042][+42][ 42]", "[%5d][%-5d][%05d][%+d][% d]", 42, 42, 42, 42, 42);
    PRINTS("[  042][0x2a][0X2A][052][0]", "[%5.3d][%#x][%#X][%#o][%#x]", 42, 42, 42, 42, 0);
    PRINTS("[-0042][][0]", "[%05d][%.0d][%d]", -42, 0, 0);
    PRINTS("[0x0000002a][  0x2a]", "[%#010x][%#6x]", 42, 42);
    PRINTS("[   7][7   ][007]", "[%*d][%*d][%.*d]", 4, 7, -4, 7, 3, 7);
}

static void pointers_show_all_their_digits(void **state)
{
    PRINTS("FFFFF80000001234", "%p", (void *)0xFFFFF80000001234);
    PRINTS("0000000000000000", "%p", NULL);
}

static void text_of_either_width_prints(void **state)
{
    PRINTS("ab cd ef gh ij", "%s %ws %ls %S %hs", "ab", L"cd", L"ef", L"gh", "ij");
    PRINTS("[  abc][abc  ][ab]", "[%5s][%-5s][%.2s]", "abc", "abc", "abc");
    PRINTS("[ab]", "[%.*ws]", 2, L"abc");
    PRINTS("xyzw", "%c%wc%C%hc", 'x', L'y', L'z', 'w');
    PRINTS("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "a%ws", L"\u00e9\u20ac\U0001F600");
    PRINTS("\xEF\xBF\xBD", "%ws", (WCHAR[]){0xD800, 0});
}

static void null_text_is_named(void **state)
{
    STRING Empty = {4, 4, NULL};
    PRINTS("(null) (null) (null) (null)", "%s %ws %wZ %Z", NULL, NULL, NULL, &Empty);
}

static void counted_strings_need_no_terminator(void **state)
{
    UNICODE_STRING Wide = {6, 6, L"abcdef"};
    STRING Narrow = {3, 3, "abcdef"};
    PRINTS("abc abc abc", "%wZ %Z %lZ", &Wide, &Narrow, &Wide);
    PRINTS("[ab  ]", "[%-4.2wZ]", &Wide);
}

static void odd_formats_do_no_harm(void **state)
{
    int Untouched = 1;
    PRINTS("f 5", "%f %d", 0x3FF8000000000000ull, 5);  // a double travels as eight bytes
    PRINTS(" 5", "%n %d", &Untouched, 5);
    assert_int_equal(Untouched, 1);
    PRINTS("100% y", "100%% %y");
    PRINTS("end", "end%");
    PRINTS("end", "end%-08.3l");
}

static void a_short_buffer_is_terminated_and_the_whole_length_told(void **state)
{
    char Text[5] = "????";
    assert_int_equal(RtlFormat(Text, 4, "%s-%d", "ab", 123), 6);
    assert_string_equal(Text, "ab-");
    assert_int_equal(RtlFormat(NULL, 0, "%d", 123), 3);
}

static void status_values_have_names(void **state)
{
    assert_string_equal(RtlStatusName(STATUS_SUCCESS), "STATUS_SUCCESS");
    assert_string_equal(RtlStatusName(STATUS_ACCESS_VIOLATION), "STATUS_ACCESS_VIOLATION");
    assert_string_equal(RtlStatusName((NTSTATUS)0xDEADBEEF), "unknown status");
}

int main(void)
{
    const struct CMUnitTest Tests[] = {
        cmocka_unit_test(integers_have_the_size_their_prefix_names),
        cmocka_unit_test(flags_width_and_precision_combine_as_in_c),
        cmocka_unit_test(pointers_show_all_their_digits),
        cmocka_unit_test(text_of_either_width_prints),
        cmocka_unit_test(null_text_is_named),
        cmocka_unit_test(counted_strings_need_no_terminator),
        cmocka_unit_test(odd_formats_do_no_harm),
        cmocka_unit_test(a_short_buffer_is_terminated_and_the_whole_length_told),
        cmocka_unit_test(status_values_have_names),
    };
    return cmocka_run_group_tests(Tests, NULL, NULL);
}
