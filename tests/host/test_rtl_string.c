// SPDX-License-Identifier: MIT
// Links: kernel/rtl/case.c kernel/rtl/utf.c kernel/rtl/format.c
//
// The C runtime's strings as drivers import them, 8 and 16 bits wide, and its printf.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

// The real ones, for cmocka's comparison.
static int SameText(const char *A, const char *B)
{
    return __builtin_strcmp(A, B) == 0;
}

#include "rtl_names.h"
#include "kernel/rtl/string.c"
#include "kernel/rtl/wcs.c"
#include "kernel/rtl/printf.c"

void *nt_memcpy(void *To, const void *From, size_t Length)
{
    return __builtin_memcpy(To, From, Length);
}

void *nt_memset(void *To, int Value, size_t Length)
{
    return __builtin_memset(To, Value, Length);
}

static void narrow_strings_compare_and_search_as_in_c(void **state)
{
    char Text[] = "a needle in a needle stack";
    assert_int_equal(strlen(Text), 26);
    assert_int_equal(strnlen(Text, 5), 5);
    assert_int_equal(strcmp("abc", "abc"), 0);
    assert_int_equal(strcmp("abc", "abd"), -1);
    assert_int_equal(strcmp("abc\xFF", "abcA"), 1);
    assert_int_equal(strncmp("abcx", "abcy", 3), 0);
    assert_int_equal(_stricmp("HeLLo", "hEllO"), 0);
    assert_int_equal(_strnicmp("HELLOx", "helloy", 5), 0);
    assert_int_equal(_stricmp("a", "_"), 1);  // compared as small letters
    assert_ptr_equal(strchr(Text, 'n'), Text + 2);
    assert_ptr_equal(strrchr(Text, 'n'), Text + 14);
    assert_ptr_equal(strchr(Text, 0), Text + 26);
    assert_null(strchr(Text, 'z'));
    assert_ptr_equal(strstr(Text, "needle s"), Text + 14);
    assert_ptr_equal(strstr(Text, ""), Text);
    assert_null(strstr(Text, "needles"));
    assert_int_equal(strspn("aabbc", "ab"), 4);
    assert_null(strpbrk("abc", "xyz"));
}

static void narrow_strings_are_built_as_in_c(void **state)
{
    char Text[16] = "................";
    assert_true(SameText(strcpy(Text, "abc"), "abc"));
    assert_true(SameText(strcat(Text, "def"), "abcdef"));
    assert_true(SameText(strncat(Text, "ghijk", 2), "abcdefgh"));
    assert_true(SameText(_strrev(Text), "hgfedcba"));
    assert_true(SameText(_strupr(Text), "HGFEDCBA"));
    assert_true(SameText(_strlwr(Text), "hgfedcba"));
    strncpy(Text, "xy", 4);
    assert_memory_equal(Text, "xy\0\0dcba", 9);
    strncpy(Text, "12345", 4);
    assert_memory_equal(Text, "1234dcba", 9);
    assert_true(SameText(_strset(Text, '-'), "--------"));
}

static void numbers_are_read_as_in_c(void **state)
{
    assert_int_equal(atoi(" \t-123abc"), -123);
    assert_int_equal(atoi("+7"), 7);
    assert_int_equal(atoi("x"), 0);
    assert_int_equal(_atoi64("-9223372036854775808"), INT64_MIN);
}

#define EQUAL(Wide, Expected) assert_memory_equal(Wide, Expected, sizeof(Expected))

static void wide_strings_do_the_same(void **state)
{
    WCHAR Text[16] = L"abc";
    assert_int_equal(wcslen(L"abc"), 3);
    assert_int_equal(wcscmp(L"abc", L"abd"), -1);
    assert_int_equal(wcsncmp(L"abcx", L"abcy", 3), 0);
    assert_int_equal(_wcsicmp(L"GR\u00DC\u00DFE", L"gr\u00FC\u00DFe"), 0);
    assert_int_equal(_wcsnicmp(L"ABx", L"aby", 2), 0);
    wcscat(Text, L"def");
    EQUAL(Text, L"abcdef");
    wcsncat(Text, L"ghi", 1);
    EQUAL(Text, L"abcdefg");
    assert_ptr_equal(wcschr(Text, 'c'), Text + 2);
    assert_ptr_equal(wcsrchr(L"", 'c'), NULL);
    assert_ptr_equal(wcsstr(Text, L"def"), Text + 3);
    assert_int_equal(wcsspn(Text, L"cba"), 3);
    assert_int_equal(wcscspn(Text, L"fe"), 4);
    EQUAL(_wcsupr(Text), L"ABCDEFG");
    EQUAL(_wcslwr(Text), L"abcdefg");
    EQUAL(_wcsrev(Text), L"gfedcba");
    wcsncpy(Text, L"12", 4);
    assert_memory_equal(Text, L"12\0\0cba", 14);
}

static void bounded_printf_follows_microsofts_rules(void **state)
{
    char Text[8];
    assert_int_equal(_snprintf(Text, 8, "%d-%s", 12, "ab"), 5);
    assert_true(SameText(Text, "12-ab"));
    memset(Text, '#', 8);
    assert_int_equal(_snprintf(Text, 5, "%d-%s", 12, "ab"), 5);  // full: no terminator
    assert_memory_equal(Text, "12-ab###", 8);
    memset(Text, '#', 8);
    assert_int_equal(_snprintf(Text, 4, "%d-%s", 12, "ab"), -1);
    assert_memory_equal(Text, "12-a####", 8);
    assert_int_equal(sprintf(Text, "%ws", L"w\u00e9"), 3);
    assert_true(SameText(Text, "w\xC3\xA9"));
}

static void wide_printf_takes_wide_text(void **state)
{
    WCHAR Text[16];
    assert_int_equal(_snwprintf(Text, 16, L"%s %S %hs %d", L"wide", "nar", "row", 5), 14);
    EQUAL(Text, L"wide nar row 5");
    assert_int_equal(swprintf(Text, L"%c%C%5s|", L'a', 'b', L"c"), 8);
    EQUAL(Text, L"ab    c|");
    assert_int_equal(_snwprintf(Text, 3, L"%s", L"wide"), -1);
    assert_int_equal(swprintf(Text, L"%S", "\xC3\xA9"), 1);
    EQUAL(Text, L"\u00e9");
}

int main(void)
{
    const struct CMUnitTest Tests[] = {
        cmocka_unit_test(narrow_strings_compare_and_search_as_in_c),
        cmocka_unit_test(narrow_strings_are_built_as_in_c),
        cmocka_unit_test(numbers_are_read_as_in_c),
        cmocka_unit_test(wide_strings_do_the_same),
        cmocka_unit_test(bounded_printf_follows_microsofts_rules),
        cmocka_unit_test(wide_printf_takes_wide_text),
    };
    return cmocka_run_group_tests(Tests, NULL, NULL);
}
