// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/poolbook.c mm/pooltag.c mm/poolbug.c
// Links: mm/poollarge.c
// Links: mm/poolquery.c mm/poolcheck.c
// Links: kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// What a driver that writes where it should not can do to the allocator: nothing to its books,
// which are out of its reach, and little that is not found. Each case says which of the two it is.
#include "pool_test.h"

#include <math.h>
#include <stdio.h>

// Locals that keep their value between setjmp and longjmp keep it after, too.
#pragma GCC diagnostic ignored "-Wclobbered"

#define TEST_TAG TAG('A', 't', 'c', 'k')
#define BLOCKS   2000

static const POOL_TYPE types[] = {NonPagedPool, PagedPool, NonPagedPoolNx};
static const SIZE_T sizes[] = {16, 24, 100, 500, 1000, 2040};

static UCHAR *block[BLOCKS];
static ULONG64 random_state = 1;

static ULONG random_below(ULONG limit)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (ULONG)(random_state >> 33) % limit;
}

// The bytes from `at` on that can be written at all: up to the end of the last page there is.
static SIZE_T writable(const UCHAR *at, SIZE_T wanted)
{
    EX_POOL_BLOCK found;
    const UCHAR *end = PAGE_ALIGN(at) + PAGE_SIZE;
    while (end < at + wanted && ExQueryPoolBlock(end, &found))
        end += PAGE_SIZE;
    return end < at + wanted ? (SIZE_T)(end - at) : wanted;
}

// ---- writes ------------------------------------------------------------------------------------
// Found when the block is freed; so is each block whose own guard was written over.
static void an_overrun_of_any_length_is_found_and_leaves_the_books_alone(void **state)
{
    static const SIZE_T lengths[] = {1, 8, 16, 64, 4096};
    for (size_t t = 0; t < 3; t++)
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
            for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
                UCHAR *p = ExAllocatePoolWithTag(types[t], sizes[s], TEST_TAG);
                SIZE_T length = writable(p + sizes[s], lengths[n]);
                static UCHAR kept[4096];
                memcpy(kept, p + sizes[s], length);
                memset(p + sizes[s], 0x11, length);
                pool_is_sound();
                assert_true(BUGCHECKS(ExFreePoolWithTag(p, TEST_TAG)));
                assert_int_equal(HostBugCheck.Code, BAD_POOL_HEADER);
                assert_int_equal(HostBugCheck.Parameter[0], 0x21);
                memcpy(p + sizes[s], kept, length);
                ExFreePoolWithTag(p, TEST_TAG);
            }
    pool_is_sound();
}

// Found when the block in front of it, if there is one in the page, is freed.
static void an_underrun_is_found_at_the_block_in_front(void **state)
{
    int found = 0;
    for (int i = 0; i < 64; i++)
        block[i] = ExAllocatePoolWithTag(NonPagedPoolNx, 56, TEST_TAG); // the guards touch blocks
    for (int i = 0; i < 64; i++) {
        EX_POOL_BLOCK before;
        if (BYTE_OFFSET(block[i]) == 0 || !ExQueryPoolBlock(block[i] - 1, &before) ||
            !before.Allocated || before.Tag != TEST_TAG)
            continue;
        block[i][-1] ^= 0xFF;
        pool_is_sound();
        assert_true(BUGCHECKS(ExFreePool((PVOID)before.Address)));
        assert_int_equal(HostBugCheck.Code, BAD_POOL_HEADER);
        block[i][-1] ^= 0xFF;
        found++;
    }
    assert_true(found > 10);
    for (int i = 0; i < 64; i++)
        ExFreePool(block[i]);
}

// Nothing of the allocator's is in a free block: whatever is written there leads it nowhere. The
// free build does not notice; the checked build does when the block is used again.
static void a_free_block_can_be_overwritten_without_harm_to_the_books(void **state)
{
    for (int i = 0; i < 500; i++)
        block[i] = ExAllocatePoolWithTag(PagedPool, 200, TEST_TAG);
    for (int i = 0; i < 500; i++)
        ExFreePool(block[i]);
    for (int i = 0; i < 500; i += 50)
        memset(block[i], 0x41, 200);
    pool_is_sound();
    int found = 0;
    for (int i = 0; i < 5000; i++)
        found += BUGCHECKS(ExAllocatePoolWithTag(PagedPool, 200, TEST_TAG));
    assert_int_equal(found, 10);
    assert_int_equal(HostBugCheck.Code, DRIVER_CAUGHT_MODIFYING_FREED_POOL);
}

// ---- addresses ---------------------------------------------------------------------------------
static BOOLEAN is_block(const UCHAR *address)
{
    for (int i = 0; i < BLOCKS; i++)
        if (block[i] == address)
            return TRUE;
    return FALSE;
}

// Found: nothing but the start of a block in use is ever taken for one.
static void a_forged_address_is_never_taken_for_a_block(void **state)
{
    for (int i = 0; i < BLOCKS; i++)
        block[i] = ExAllocatePoolWithTag(types[i % 3], 1 + random_below(6000), TEST_TAG);
    for (int i = 0; i < 200000; i++) {
        UCHAR *forged = block[random_below(BLOCKS)];
        switch (random_below(4)) {
        case 0: forged += random_below(64); break;
        case 1: forged += 8 * (LONG)random_below(2048) - 8192; break;
        case 2: forged = PAGE_ALIGN(forged) + PAGE_SIZE * random_below(64); break;
        case 3: forged = (UCHAR *)(ULONG_PTR)(random_state >> random_below(40)); break;
        }
        if (!is_block(forged) && !BUGCHECKS(ExFreePool(forged)))
            fail_msg("%p was freed", (void *)forged);
    }
    pool_is_sound();
    for (int i = 0; i < BLOCKS; i++)
        ExFreePoolWithTag(block[i], TEST_TAG);
    pool_is_sound();
}

// ---- which block comes next --------------------------------------------------------------------
// How many bits of it are not known to who knows the block before: the entropy of the distance.
static double bits_of_next(SIZE_T size, ULONG blocks_a_page)
{
    static ULONG seen[512];
    ULONG total = 0;
    double bits = 0;
    EX_POOL_BLOCK found;
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < BLOCKS; i++)
        block[i] = ExAllocatePoolWithTag(PagedPool, size, TEST_TAG);
    ExQueryPoolBlock(block[0], &found);
    for (int i = 1; i < BLOCKS; i++)
        if (PAGE_ALIGN(block[i]) == PAGE_ALIGN(block[i - 1])) {
            seen[256 + (block[i] - block[i - 1]) / (LONG_PTR)found.Reserved]++;
            total++;
        }
    for (int i = 0; i < 512; i++)
        if (seen[i] != 0)
            bits -= (double)seen[i] / total * log2((double)seen[i] / total);
    for (int i = 0; i < BLOCKS; i++)
        ExFreePool(block[i]);
    printf("# %llu bytes, %u blocks a page: %.2f bits of %.2f\n", (unsigned long long)size,
           blocks_a_page, bits, log2(blocks_a_page));
    return bits;
}

static void the_next_block_of_a_fresh_page_is_hard_to_guess(void **state)
{
    assert_true(bits_of_next(50, 64) > 1.5);
    assert_true(bits_of_next(240, 16) > 1.5);
    assert_true(bits_of_next(500, 8) > 1.2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_block_of_a_fresh_page_is_hard_to_guess),
        cmocka_unit_test(an_overrun_of_any_length_is_found_and_leaves_the_books_alone),
        cmocka_unit_test(an_underrun_is_found_at_the_block_in_front),
        cmocka_unit_test(a_forged_address_is_never_taken_for_a_block),
        cmocka_unit_test(a_free_block_can_be_overwritten_without_harm_to_the_books),
    };
    return cmocka_run_group_tests_name("pool attack", tests, start_pool, NULL);
}
