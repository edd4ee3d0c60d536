// SPDX-License-Identifier: MIT
// Links: mm/poolname.c mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolbook.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/pooltag.c mm/poolbug.c mm/poolquery.c
// Links: mm/poollarge.c
// Links: mm/poolcheck.c kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// pooltag.txt, as its real ones are written (features TT-96): tags, patterns, comments, junk. And
// what a tag's figures say of its past: peaks.
#include "mm/poolp.h"
#include "pool_test.h"

static const char text[] = "rem A comment - not - a tag\r\n"
                           "// Another - one - too\r\n"
                           "\r\n"
                           "Irp  - <unknown>    - Io, IRP packets\r\n"
                           "Ab*  - some.sys     - Everything that begins with Ab\r\n"
                           "Abcd - exact.sys    - This one\r\n"
                           "?xyz - any.sys      -  One letter \r\n"
                           "toolong - x - y\r\n"
                           "-\r\n"
                           "Last - last.sys - no line end";

static void is(ULONG tag, const char *words)
{
    char buffer[96];
    assert_true(ExpDescribeTag(tag, buffer, sizeof(buffer)));
    assert_string_equal(buffer, words);
}

static void tags_and_patterns_are_found(void **state)
{
    ExSetPoolTagFile(text, sizeof(text) - 1);
    is(TAG('I', 'r', 'p', ' '), "<unknown>    - Io, IRP packets");
    is(TAG('A', 'b', 'c', 'd'), "exact.sys    - This one");
    is(TAG('A', 'b', 'c', 'e'), "some.sys     - Everything that begins with Ab");
    is(TAG('Q', 'x', 'y', 'z'), "any.sys      -  One letter");
    is(TAG('L', 'a', 's', 't'), "last.sys - no line end");
}

static void the_unknown_is_called_so(void **state)
{
    char buffer[96];
    ExSetPoolTagFile(text, sizeof(text) - 1);
    assert_false(ExpDescribeTag(TAG('i', 'r', 'p', ' '), buffer, sizeof(buffer)));
    assert_string_equal(buffer, "UNKNOWN pooltag 'irp ', please update pooltag.txt");
}

// Every prefix of the text, in memory of exactly its length: nothing behind it is read.
static void any_text_is_survived(void **state)
{
    char buffer[96];
    for (size_t length = 0; length < sizeof(text); length++) {
        char *copy = malloc(length + 1);
        memcpy(copy, text, length);
        char *exact = realloc(copy, length != 0 ? length : 1);
        ExSetPoolTagFile(exact, length);
        ExpDescribeTag(TAG('L', 'a', 's', 't'), buffer, sizeof(buffer));
        free(exact);
    }
    ExSetPoolTagFile(NULL, 0);
}

static void a_peak_outlives_its_blocks(void **state)
{
    static PVOID block[2000];
    ULONG tag = TAG('P', 'e', 'a', 'k');
    for (int i = 0; i < 2000; i++)
        block[i] = ExAllocatePoolWithTag(PagedPool, 504, tag);
    PVOID large = ExAllocatePoolWithTag(NonPagedPoolNx, 100000, tag);
    for (int i = 0; i < 2000; i++)
        ExFreePoolWithTag(block[i], tag);
    ExFreePool(large);
    EX_POOL_TAG use = use_of(tag);
    assert_int_equal(use.PagedBytes, 0);
    assert_in_range(use.PagedPeak, 1900 * 512, 2000 * 512);
    assert_int_equal(use.NonPagedPeak, ROUND_TO_PAGES(100000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_and_patterns_are_found),
        cmocka_unit_test(the_unknown_is_called_so),
        cmocka_unit_test(any_text_is_survived),
        cmocka_unit_test(a_peak_outlives_its_blocks),
    };
    return cmocka_run_group_tests_name("pool names", tests, start_pool, NULL);
}
