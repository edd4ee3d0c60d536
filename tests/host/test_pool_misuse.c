// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/poolbook.c mm/pooltag.c mm/poolbug.c
// Links: mm/poollarge.c
// Links: mm/poolquery.c mm/poolcheck.c
// Links: kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// Every mistake with the pool ends in its documented bugcheck, parameters and all (features BC-20
// to BC-53), and the sentence names who made it.
#include "pool_test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

// Locals that keep their value between setjmp and longjmp keep it after, too.
#pragma GCC diagnostic ignored "-Wclobbered"

#define TEST_TAG TAG('T', 'e', 's', 't')

static const POOL_TYPE types[] = {NonPagedPool, PagedPool, NonPagedPoolNx};
#define TYPES (sizeof(types) / sizeof(types[0]))

// Sizes in a small block that fills its class, one that does not, one of whole pages.
static const SIZE_T sizes[] = {64, 57, 10000};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

#define ENDS_IN(Expected, P1, Statement)                                                           \
    do {                                                                                           \
        memset(&HostBugCheck, 0, sizeof(HostBugCheck));                                            \
        if (!BUGCHECKS(Statement))                                                                 \
            fail_msg("no bugcheck at line %d", __LINE__);                                          \
        assert_int_equal(HostBugCheck.Code, Expected);                                             \
        assert_int_equal(HostBugCheck.Parameter[0], P1);                                           \
        assert_true(strlen(HostBugCheck.Sentence) > 20);                                           \
    } while (0)

#define PARAMETERS(P2, P3, P4)                                                                     \
    do {                                                                                           \
        assert_int_equal(HostBugCheck.Parameter[1], P2);                                           \
        assert_int_equal(HostBugCheck.Parameter[2], P3);                                           \
        assert_int_equal(HostBugCheck.Parameter[3], P4);                                           \
    } while (0)

static void says(const char *words)
{
    if (strstr(HostBugCheck.Sentence, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", HostBugCheck.Sentence, words);
}

// ---- allocation --------------------------------------------------------------------------------
static void a_tag_of_zero_is_9b(void **state)
{
    ENDS_IN(BAD_POOL_CALLER, 0x9B, ExAllocatePoolWithTag(PagedPool, 20, 0));
    assert_int_equal(HostBugCheck.Parameter[1], PagedPool);
    assert_int_equal(HostBugCheck.Parameter[2], 20);
}

static void the_tag_big_is_9c(void **state)
{
    ENDS_IN(BAD_POOL_CALLER, 0x9C,
            ExAllocatePoolWithTag(NonPagedPoolNx, 20, TAG('B', 'I', 'G', ' ')));
    assert_int_equal(HostBugCheck.Parameter[1], NonPagedPoolNx);
    assert_int_equal(HostBugCheck.Parameter[2], 20);
    ENDS_IN(BAD_POOL_CALLER, 0x9C,
            ExAllocatePoolWithTag(NonPagedPoolNx, 20, TAG('B', 'I', 'G', 0)));
}

static void a_tag_without_letter_or_digit_is_9d(void **state)
{
    ULONG tag = TAG('.', ' ', '_', '!');
    ENDS_IN(BAD_POOL_CALLER, 0x9D, ExAllocatePoolWithTag(NonPagedPool, 20, tag));
    assert_int_equal(HostBugCheck.Parameter[1], tag);
    assert_int_equal(HostBugCheck.Parameter[2], NonPagedPool);
    assert_non_null(ExAllocatePoolWithTag(NonPagedPool, 20, TAG('.', '7', '.', '.')));
}

static void must_succeed_is_9a(void **state)
{
    static const POOL_TYPE must[] = {NonPagedPoolMustSucceed, NonPagedPoolCacheAlignedMustS};
    for (int i = 0; i < 2; i++) {
        ENDS_IN(BAD_POOL_CALLER, 0x9A, ExAllocatePoolWithTag(must[i], 123, TEST_TAG));
        PARAMETERS(must[i], 123, TEST_TAG);
    }
}

static void allocating_at_too_high_an_irql_is_08(void **state)
{
    HostIrql = DISPATCH_LEVEL;
    ENDS_IN(BAD_POOL_CALLER, 0x08, ExAllocatePoolWithTag(PagedPool, 33, TEST_TAG));
    PARAMETERS(DISPATCH_LEVEL, PagedPool, 33);
    says("paged pool at IRQL 2; the highest for it is 1");
    HostIrql = DISPATCH_LEVEL + 1;
    ENDS_IN(BAD_POOL_CALLER, 0x08, ExAllocatePoolWithTag(NonPagedPoolNx, 33, TEST_TAG));
    PARAMETERS(DISPATCH_LEVEL + 1, NonPagedPoolNx, 33);
    ENDS_IN(BAD_POOL_CALLER, 0x08, ExAllocatePool(NonPagedPool, 33));
    HostIrql = PASSIVE_LEVEL;
}

static void a_failure_that_is_to_raise_does_not_return(void **state)
{
    fake_mm_page_limit = fake_mm_pages_in_use;
    ENDS_IN(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_INSUFFICIENT_RESOURCES,
            ExAllocatePoolWithTag(PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE, 1 << 20, TEST_TAG));
    fake_mm_page_limit = ~(SIZE_T)0;
}

// ---- free --------------------------------------------------------------------------------------
static void freeing_at_too_high_an_irql_is_09(void **state)
{
    for (size_t s = 0; s < SIZES; s++)
        for (size_t t = 0; t < TYPES; t++) {
            PVOID block = ExAllocatePoolWithTag(types[t], sizes[s], TEST_TAG);
            KIRQL irql = types[t] == PagedPool ? DISPATCH_LEVEL : DISPATCH_LEVEL + 1;
            HostIrql = irql;
            ENDS_IN(BAD_POOL_CALLER, 0x09, ExFreePoolWithTag(block, TEST_TAG));
            PARAMETERS(irql, types[t], (ULONG_PTR)block);
            HostIrql = PASSIVE_LEVEL;
            ExFreePool(block);
        }
}

static void a_wrong_tag_is_0a(void **state)
{
    for (size_t s = 0; s < SIZES; s++)
        for (size_t t = 0; t < TYPES; t++) {
            PVOID block = ExAllocatePoolWithTag(types[t], sizes[s], TEST_TAG);
            ULONG wrong = TAG('t', 'e', 's', 't');
            ENDS_IN(BAD_POOL_CALLER, 0x0A, ExFreePoolWithTag(block, wrong));
            PARAMETERS((ULONG_PTR)block, TEST_TAG, wrong);
            says("with tag \"test\"");
            says("with tag \"Test\"");
        }
}

static void a_second_free_is_07_and_names_the_first(void **state)
{
    for (size_t s = 0; s < SIZES; s++)
        for (size_t t = 0; t < TYPES; t++) {
            PVOID block = ExAllocatePoolWithTag(types[t], sizes[s], TEST_TAG);
            ExFreePoolWithTag(block, TEST_TAG);
            ENDS_IN(BAD_POOL_CALLER, 0x07, ExFreePoolWithTag(block, TEST_TAG));
            assert_int_equal(HostBugCheck.Parameter[3], (ULONG_PTR)block);
            says("had freed");
            ENDS_IN(BAD_POOL_CALLER, 0x07, ExFreePool(block));
        }
}

static void the_middle_of_a_small_block_is_99(void **state)
{
    for (size_t t = 0; t < TYPES; t++) {
        UCHAR *block = ExAllocatePoolWithTag(types[t], 57, TEST_TAG);
        for (ULONG offset = 1; offset < 64; offset++) {
            ENDS_IN(BAD_POOL_CALLER, 0x99, ExFreePool(block + offset));
            PARAMETERS((ULONG_PTR)block + offset, 0, 0);
        }
        ExFreePool(block);
    }
}

static void the_middle_of_a_large_block_is_99_or_41286(void **state)
{
    for (size_t t = 0; t < TYPES; t++) {
        UCHAR *block = ExAllocatePoolWithTag(types[t], 10000, TEST_TAG);
        static const ULONG offsets[] = {1, 16, 4096, 4097, 8192};
        for (int i = 0; i < 5; i++) {
            ULONG_PTR address = (ULONG_PTR)block + offsets[i];
            if (types[t] == PagedPool) {
                ENDS_IN(BAD_POOL_CALLER, 0x41286, ExFreePool(block + offsets[i]));
                PARAMETERS(0, 0, (address - MmGetRegion(MmRegionPagedPool)->Base) >> PAGE_SHIFT);
            } else {
                ENDS_IN(BAD_POOL_CALLER, 0x99, ExFreePool(block + offsets[i]));
                PARAMETERS(address, 0, 0);
            }
            says("of 10000 bytes");
        }
        ExFreePool(block);
    }
}

static void a_user_address_is_40(void **state)
{
    int local;
    ENDS_IN(BAD_POOL_CALLER, 0x40, ExFreePool(&local));
    PARAMETERS((ULONG_PTR)&local, SYSTEM_RANGE_START, 0);
}

static void null_is_46(void **state)
{
    ENDS_IN(BAD_POOL_CALLER, 0x46, ExFreePool(NULL));
    PARAMETERS(0, 0, 0);
}

static void a_system_address_of_no_pool_is_42(void **state)
{
    PVOID image = (PVOID)0xFFFFF80000001000ull;
    ENDS_IN(BAD_POOL_CALLER, 0x42, ExFreePoolWithTag(image, TEST_TAG));
    PARAMETERS((ULONG_PTR)image, 0, 0);
    says("it lies in drivers");
}

static void a_pool_page_with_nothing_in_it_is_44_or_48(void **state)
{
    for (size_t t = 0; t < TYPES; t++) {
        UCHAR *large = ExAllocatePoolWithTag(types[t], 5 * PAGE_SIZE, TEST_TAG);
        ExFreePool(large);
        ENDS_IN(BAD_POOL_CALLER, types[t] == PagedPool ? 0x48 : 0x44,
                ExFreePool(large + 2 * PAGE_SIZE));
        PARAMETERS((ULONG_PTR)large + 2 * PAGE_SIZE, 0, 0);
    }
}

static void far_beyond_what_was_ever_allocated_is_44_or_50(void **state)
{
    const MM_REGION *region = MmGetRegion(MmRegionPagedPool);
    PVOID address = (PVOID)(region->Base + region->Size - 16);
    ENDS_IN(BAD_POOL_CALLER, 0x50, ExFreePool(address));
    PARAMETERS((ULONG_PTR)address, (region->Size - 16) >> PAGE_SHIFT, region->Size);
    region = MmGetRegion(MmRegionNonPagedPool);
    address = (PVOID)(region->Base + region->Size - 16);
    ENDS_IN(BAD_POOL_CALLER, 0x44, ExFreePool(address));
    PARAMETERS((ULONG_PTR)address, 0, 0);
}

// ---- damage ------------------------------------------------------------------------------------
static void one_byte_behind_the_end_is_found_at_free(void **state)
{
    for (size_t t = 0; t < TYPES; t++)
        for (SIZE_T size = 1; size < 600; size++) {
            EX_POOL_BLOCK block;
            UCHAR *p = ExAllocatePoolWithTag(types[t], size, TEST_TAG);
            ExQueryPoolBlock(p, &block);
            if (block.Reserved == size)
                continue;
            UCHAR kept = p[size];
            p[size] = 0;
            ENDS_IN(BAD_POOL_HEADER, 0x21, ExFreePoolWithTag(p, TEST_TAG));
            assert_int_equal(HostBugCheck.Parameter[1], (ULONG_PTR)p);
            assert_int_equal(HostBugCheck.Parameter[2], size);
            says("wrote behind the end of block");
            p[size] = kept;
            ExFreePoolWithTag(p, TEST_TAG);
        }
}

static void eight_bytes_behind_the_end_are_watched(void **state)
{
    UCHAR *p = ExAllocatePoolWithTag(NonPagedPoolNx, 40, TEST_TAG); // its class has 48 bytes
    for (int i = 40; i < 48; i++) {
        UCHAR kept = p[i];
        p[i] ^= 0x40;
        ENDS_IN(BAD_POOL_HEADER, 0x21, ExFreePool(p));
        p[i] = kept;
    }
    ExFreePool(p);
}

static void a_write_after_the_free_is_found_at_the_next_use(void **state)
{
    UCHAR *p = ExAllocatePoolWithTag(PagedPool, 700, TEST_TAG);
    ExFreePool(p);
    p[300] = 1;
    ENDS_IN(DRIVER_CAUGHT_MODIFYING_FREED_POOL, (ULONG_PTR)p + 300,
            ExAllocatePoolWithTag(PagedPool, 700, TEST_TAG));
}

static void mistakes_leave_the_pool_sound(void **state)
{
    assert_null(ExValidatePool());
}

// Every way to run the pool that changes the path of a request, but special pool, which has
// bugchecks of its own (test_pool_special.c).
static const char *const configurations[] = {
    "",                           // fast paths
    "POOLGUARD=1000000",          // counting down to a sample
    "SPECIALPOOL=driver:nobody",  // all cells trapped
    "VERIFIER=8",                 // all cells trapped, stacks kept
    "FAULTS=0,*",                 // options that ask for nothing
};

// The pool starts once in a process, with the options it finds. Returns whether a case failed.
static int run_all(const char *options)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_of_zero_is_9b),
        cmocka_unit_test(the_tag_big_is_9c),
        cmocka_unit_test(a_tag_without_letter_or_digit_is_9d),
        cmocka_unit_test(must_succeed_is_9a),
        cmocka_unit_test(allocating_at_too_high_an_irql_is_08),
        cmocka_unit_test(a_failure_that_is_to_raise_does_not_return),
        cmocka_unit_test(freeing_at_too_high_an_irql_is_09),
        cmocka_unit_test(a_wrong_tag_is_0a),
        cmocka_unit_test(a_second_free_is_07_and_names_the_first),
        cmocka_unit_test(the_middle_of_a_small_block_is_99),
        cmocka_unit_test(the_middle_of_a_large_block_is_99_or_41286),
        cmocka_unit_test(a_user_address_is_40),
        cmocka_unit_test(null_is_46),
        cmocka_unit_test(a_system_address_of_no_pool_is_42),
        cmocka_unit_test(a_pool_page_with_nothing_in_it_is_44_or_48),
        cmocka_unit_test(far_beyond_what_was_ever_allocated_is_44_or_50),
        cmocka_unit_test(one_byte_behind_the_end_is_found_at_free),
        cmocka_unit_test(eight_bytes_behind_the_end_are_watched),
        cmocka_unit_test(mistakes_leave_the_pool_sound),
        cmocka_unit_test(a_write_after_the_free_is_found_at_the_next_use),
    };
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child != 0)
        return waitpid(child, &status, 0) != child || status != 0;
    HostOptions = options;
    exit(cmocka_run_group_tests_name("pool misuse", tests, start_pool, NULL));
}

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof(configurations) / sizeof(configurations[0]); i++)
        failed |= run_all(configurations[i]);
    return failed;
}
