// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/poolbook.c mm/pooltag.c mm/poolbug.c
// Links: mm/poollarge.c
// Links: mm/poolquery.c mm/poolcheck.c
// Links: kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// Tags: few letters, many tags, more than there is room for; and that the sums by tag are what a
// walk over all blocks counts (PL-41 to PL-48).
#include "mm/poolp.h"
#include "pool_test.h"

#define FIRST_TAG 0x41000000u
#define MANY      10000u
#define TOO_MANY  70000u

static const POOL_TYPE types[] = {NonPagedPool, PagedPool, NonPagedPoolNx};
static PVOID block[TOO_MANY];

// ---- a walk ------------------------------------------------------------------------------------
typedef struct { ULONG64 blocks, bytes; } WALKED;

static void walk_pool(MM_REGION_TYPE type, ULONG tag, WALKED *walked)
{
    const MM_REGION *region = MmGetRegion(type);
    ULONG_PTR end = region->Base + (64ull << 20);
    for (ULONG_PTR at = region->Base; at < end;) {
        EX_POOL_BLOCK found;
        if (!ExQueryPoolBlock((PVOID)at, &found)) {
            at = ALIGN_DOWN_BY(at, PAGE_SIZE) + PAGE_SIZE;
            continue;
        }
        if (found.Allocated && found.Tag == tag) {
            walked->blocks++;
            walked->bytes += found.Reserved;
        }
        at = found.Address + found.Reserved;
    }
}

static void sums_are_what_a_walk_counts(ULONG tag)
{
    WALKED paged = {0}, nonpaged = {0};
    EX_POOL_TAG use = use_of(tag);
    walk_pool(MmRegionPagedPool, tag, &paged);
    walk_pool(MmRegionNonPagedPool, tag, &nonpaged);
    walk_pool(MmRegionNonPagedPoolExecute, tag, &nonpaged);
    assert_int_equal(use.PagedAllocs - use.PagedFrees, paged.blocks);
    assert_int_equal(use.PagedBytes, paged.bytes);
    assert_int_equal(use.NonPagedAllocs - use.NonPagedFrees, nonpaged.blocks);
    assert_int_equal(use.NonPagedBytes, nonpaged.bytes);
}

static void the_sums_by_tag_are_what_a_walk_over_all_blocks_counts(void **state)
{
    static const SIZE_T sizes[] = {1, 24, 100, 500, 1352, 2040, 2041, 4096, 10000};
    ULONG tag = TAG('W', 'a', 'l', 'k'), other = TAG('O', 't', 'h', 'r');
    for (ULONG i = 0; i < 3000; i++)
        block[i] = ExAllocatePoolWithTag(types[i % 3], sizes[i * 7 % 9], i % 5 ? tag : other);
    sums_are_what_a_walk_counts(tag);
    for (ULONG i = 0; i < 3000; i += 2)
        ExFreePool(block[i]);
    sums_are_what_a_walk_counts(tag);
    sums_are_what_a_walk_counts(other);
    for (ULONG i = 1; i < 3000; i += 2)
        ExFreePool(block[i]);
    sums_are_what_a_walk_counts(tag);
    assert_null(ExValidatePool());
}

// ---- letters -----------------------------------------------------------------------------------
static void a_tag_may_have_one_to_four_letters(void **state)
{
    static const ULONG tags[] = {
        TAG('a', 0, 0, 0), TAG('a', 'b', 0, 0), TAG('a', 'b', 'c', 0), TAG('a', 'b', 'c', 'd'),
        TAG('a', ' ', ' ', ' '), TAG('1', 0, 0, 0), TAG(0, 0, 0, 'z')};
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        EX_POOL_BLOCK found;
        PVOID p = ExAllocatePoolWithTag(PagedPool, 30, tags[i]);
        assert_true(ExQueryPoolBlock(p, &found));
        assert_int_equal(found.Tag, tags[i]);
        ExFreePoolWithTag(p, tags[i]);
        assert_int_equal(use_of(tags[i]).PagedFrees, 1);
    }
    assert_string_equal(ExpTagText(TAG('a', 0, 0, 0)).Text, "a...");
}

static void a_protected_tag_reads_like_any_other(void **state)
{
    ULONG tag = TAG('P', 'r', 'o', 't'), guarded = tag | 0x80000000u;
    PVOID p = ExAllocatePoolWithTag(NonPagedPoolNx, 30, guarded);
    assert_string_equal(ExpTagText(guarded).Text, "Prot");
    assert_true(ExpIsTagLike(guarded, "Prot"));
    assert_true(BUGCHECKS(ExFreePoolWithTag(p, tag)));
    assert_int_equal(HostBugCheck.Parameter[0], 0x0A);
    assert_int_equal(HostBugCheck.Parameter[2], guarded);
    ExFreePoolWithTag(p, guarded);
}

// ---- many --------------------------------------------------------------------------------------
static void ten_thousand_tags_are_told_apart(void **state)
{
    for (ULONG i = 0; i < MANY; i++)
        block[i] = ExAllocatePoolWithTag(types[i % 3], 16 + i % 100, FIRST_TAG + i);
    for (ULONG number = 0, seen = 0;; number++) {
        EX_POOL_TAG use;
        if (!ExQueryPoolTag(number, &use)) {
            assert_int_equal(seen, MANY);
            break;
        }
        if (use.Tag - FIRST_TAG >= MANY)
            continue;
        assert_int_equal(use.Tag, FIRST_TAG + seen); // in order of first use
        assert_int_equal(use.NonPagedAllocs + use.PagedAllocs, 1);
        seen++;
    }
    for (ULONG i = 0; i < MANY; i++) {
        EX_POOL_BLOCK found;
        assert_true(ExQueryPoolBlock(block[i], &found));
        assert_int_equal(found.Tag, FIRST_TAG + i);
        ExFreePoolWithTag(block[i], FIRST_TAG + i);
    }
    assert_null(ExValidatePool());
}

// The rest is counted together, and no block is lost or mistaken for another's.
static void tags_that_find_no_room_are_counted_together(void **state)
{
    for (ULONG i = 0; i < TOO_MANY; i++) {
        block[i] = ExAllocatePoolWithTag(types[i % 3], 40, FIRST_TAG + i);
        assert_non_null(block[i]);
    }
    EX_POOL_TAG rest = use_of(POOL_TAG_OVERFLOW);
    ULONG64 together = rest.NonPagedAllocs + rest.PagedAllocs;
    assert_in_range(together, TOO_MANY - POOL_CELL_LIMIT, TOO_MANY - 1000);
    sums_are_what_a_walk_counts(POOL_TAG_OVERFLOW);
    for (ULONG i = 0; i < TOO_MANY; i++)
        ExFreePoolWithTag(block[i], FIRST_TAG + i);
    rest = use_of(POOL_TAG_OVERFLOW);
    assert_int_equal(rest.NonPagedFrees + rest.PagedFrees, together);
    assert_int_equal(rest.NonPagedBytes + rest.PagedBytes, 0);
    assert_null(ExValidatePool());
}

// The fast path looks at one cell of a bucket: those of a tag that a driver uses for all pools and
// sizes must not lie in each other's way, nor tags that differ in one letter.
static void cells_of_a_driver_rarely_share_a_bucket(void **state)
{
    static UCHAR taken[POOL_BUCKETS];
    ULONG shared = 0, cells = 0;
    for (ULONG t = 0; t < 8; t++) {
        memset(taken, 0, sizeof(taken));
        for (ULONG letter = 0; letter < 2; letter++)
            for (ULONG type = 0; type < 3; type++)
                for (ULONG class = 0; class < POOL_CLASSES; class++, cells++) {
                    ULONG key = (ULONG)types[type] | ExpClassKey[class];
                    UCHAR *bucket = &taken[ExpBucketOf(
                        ExpIdentity(TAG('A' + letter, 'b' + t, 'c', 'd' + 3 * t), key))];
                    shared += *bucket;
                    *bucket = 1;
                }
    }
    assert_true(shared < cells / 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sums_by_tag_are_what_a_walk_over_all_blocks_counts),
        cmocka_unit_test(cells_of_a_driver_rarely_share_a_bucket),
        cmocka_unit_test(a_tag_may_have_one_to_four_letters),
        cmocka_unit_test(a_protected_tag_reads_like_any_other),
        cmocka_unit_test(ten_thousand_tags_are_told_apart),
        cmocka_unit_test(tags_that_find_no_room_are_counted_together),
    };
    return cmocka_run_group_tests_name("pool tags", tests, start_pool, NULL);
}
