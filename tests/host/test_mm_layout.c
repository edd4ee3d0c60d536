// SPDX-License-Identifier: MIT
// Links: mm/layout.c tests/host/fake_ke.c
//
// i386's regions, computed from RAM and /3GB: none overlap, all fit, each is big enough to be of
// use. The source is compiled here with i386's addresses and the size of its PFN entries.
#include "mm/mi.h"
#include "fake_ke.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

typedef struct _PFN_OF_I386 {
    UCHAR Bytes[32];
} PFN_OF_I386;

#undef KERNEL_BASE
#undef HAL_REGION_BASE
#undef SHARED_USER_DATA_ADDRESS
#undef PTE_BASE
#define KERNEL_BASE              0xC0E00000u
#define HAL_REGION_BASE          0xFFC00000u
#define SHARED_USER_DATA_ADDRESS 0xFFDF0000u
#define PTE_BASE                 0xC0000000u
#define MMPFN                    PFN_OF_I386
#include "mm/i386/layout.c"

#define IMAGE_END (KERNEL_BASE + 0x500000u)

MI_RANGE *MiRangeOf(MM_REGION_TYPE Type)
{
    return NULL;
}

static const MM_REGION *region(MM_REGION_TYPE type)
{
    return MmGetRegion(type);
}

static ULONG64 end_of(MM_REGION_TYPE type)
{
    return (ULONG64)region(type)->Base + region(type)->Size;
}

static void check_layout(void)
{
    for (ULONG i = MmRegionUser; i < MmRegionSpecialPool; i++) {
        assert_true(region(i)->Size != 0);
        assert_true(end_of(i) <= 0x100000000ull);
        if (i != MmRegionUser && i != MmRegionSharedData)
            assert_int_equal(region(i)->Base % UNIT * (i != MmRegionKernelImage), 0);
        if (i != MmRegionUser)
            assert_true(region(i)->Base >= (ULONG_PTR)MmSystemRangeStart);
        for (ULONG j = i + 1; j < MmRegionSpecialPool; j++)
            if (i != MmRegionSharedData || j != MmRegionHal)
                assert_true(end_of(i) <= region(j)->Base || end_of(j) <= region(i)->Base);
    }
}

static void compute(ULONG64 ram, BOOLEAN three_gigabytes)
{
    for (ULONG i = 0; i < MmRegionMaximum; i++)
        MiSetRegion(i, 0, 0);
    MiComputeLayout((PFN_NUMBER)(ram >> PAGE_SHIFT) - 1, IMAGE_END, three_gigabytes);
}

static void regions_never_overlap_from_16_mib_to_128_gib(void **state)
{
    for (ULONG64 ram = 16ull << 20; ram <= 128ull << 30; ram += ram / 7) {
        for (int three = 0; three < 2; three++) {
            compute(ram, (BOOLEAN)three);
            check_layout();
            assert_true(region(MmRegionPfnDatabase)->Size >= (ram >> PAGE_SHIFT) * sizeof(MMPFN));
            for (ULONG i = MmRegionSystemImages; i <= MmRegionNonPagedPoolExecute; i++)
                assert_true(region(i)->Size >= 64 << 20);
        }
    }
    assert_int_equal(MiDatabaseLimit(), (128ull << 30) >> PAGE_SHIFT);
    compute(128ull << 30, FALSE);
    check_layout();
}

static void three_gigabytes_move_the_system_up(void **state)
{
    compute(1ull << 30, TRUE);
    assert_ptr_equal(MmSystemRangeStart, (PVOID)0xC0000000);
    assert_int_equal(MmUserProbeAddress, 0xBFFF0000);
    compute(1ull << 30, FALSE);
    assert_ptr_equal(MmSystemRangeStart, (PVOID)0x80000000);
    assert_ptr_equal(MmHighestUserAddress, (PVOID)0x7FFEFFFF);
}

static void with_16_gib_or_more_there_are_no_three_gigabytes(void **state)
{
    compute((16ull << 30) - PAGE_SIZE, TRUE);
    assert_ptr_equal(MmSystemRangeStart, (PVOID)0xC0000000);
    compute((16ull << 30) + PAGE_SIZE, TRUE);
    assert_ptr_equal(MmSystemRangeStart, (PVOID)0x80000000);
}

static void an_address_is_found_in_its_region(void **state)
{
    compute(1ull << 30, FALSE);
    assert_int_equal(MmFindRegion((PVOID)0xC0600000)->Type, MmRegionPageTables);
    assert_int_equal(MmFindRegion((PVOID)0xFFDF0004)->Type, MmRegionSharedData);
    assert_int_equal(MmFindRegion((PVOID)0xFFDF1000)->Type, MmRegionHal);
    assert_null(MmFindRegion((PVOID)0x7FFF8000));
    assert_null(MmFindRegion(NULL));
    assert_true(MmIsDriverAddress(region(MmRegionSystemImages)->Base));
    assert_false(MmIsDriverAddress(KERNEL_BASE + 0x200000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_never_overlap_from_16_mib_to_128_gib),
        cmocka_unit_test(three_gigabytes_move_the_system_up),
        cmocka_unit_test(with_16_gib_or_more_there_are_no_three_gigabytes),
        cmocka_unit_test(an_address_is_found_in_its_region),
    };
    return cmocka_run_group_tests_name("mm: the i386 address space", tests, NULL, NULL);
}
