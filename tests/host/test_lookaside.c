// SPDX-License-Identifier: MIT
// Links: kernel/ex/lookaside.c kernel/ex/list.c kernel/ex/amd64/slist.S
// Links: kernel/ex/amd64/slistexport.c
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/poolbook.c mm/pooltag.c mm/poolbug.c
// Links: mm/poollarge.c
// Links: mm/poolquery.c mm/poolcheck.c
// Links: kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// Lookaside lists as a driver's inlined code uses them: counters add up, depth follows demand,
// nothing is left behind; and the lists under a spin lock.
#include "ex.h"
#include "fake_ke.h"
#include "fake_mm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define TEST_TAG 0x6B6F6F4Cu

// What the DDK's headers inline.
static PVOID take(GENERAL_LOOKASIDE *list)
{
    list->TotalAllocates++;
    PVOID entry = ExpInterlockedPopEntrySList(&list->ListHead);
    if (entry == NULL) {
        list->AllocateMisses++;
        entry = list->Allocate(list->Type, list->Size, list->Tag);
    }
    return entry;
}

static void give(GENERAL_LOOKASIDE *list, PVOID entry)
{
    list->TotalFrees++;
    if (ExQueryDepthSList(&list->ListHead) >= list->Depth) {
        list->FreeMisses++;
        list->Free(entry);
    } else {
        ExpInterlockedPushEntrySList(&list->ListHead, entry);
    }
}

static ULONG64 live_blocks(void)
{
    EX_POOL_TAG use;
    for (ULONG i = 0; ExQueryPoolTag(i, &use); i++)
        if (use.Tag == TEST_TAG)
            return use.NonPagedAllocs - use.NonPagedFrees + use.PagedAllocs - use.PagedFrees;
    return 0;
}

static NPAGED_LOOKASIDE_LIST nonpaged;
static PAGED_LOOKASIDE_LIST paged;

static void a_new_list_is_empty_and_its_first_allocation_misses(void **state)
{
    ExInitializeNPagedLookasideList(&nonpaged, NULL, NULL, 0, 100, TEST_TAG, 0);
    assert_int_equal(nonpaged.L.Depth, 4);
    assert_int_equal(nonpaged.L.MaximumDepth, 256);
    assert_int_equal(nonpaged.L.Size, 100);
    PVOID entry = take(&nonpaged.L);
    assert_int_equal(nonpaged.L.AllocateMisses, 1);
    EX_POOL_BLOCK block;
    assert_true(ExQueryPoolBlock(entry, &block));
    assert_int_equal(block.Size, 100);
    assert_int_equal(block.PoolType, NonPagedPool);
    give(&nonpaged.L, entry);
    assert_ptr_equal(take(&nonpaged.L), entry);
    assert_int_equal(nonpaged.L.AllocateMisses, 1);
    give(&nonpaged.L, entry);
    ExDeleteNPagedLookasideList(&nonpaged);
    assert_int_equal(live_blocks(), 0);
}

static void flags_choose_the_pool(void **state)
{
    ExInitializeNPagedLookasideList(&nonpaged, NULL, NULL, POOL_NX_ALLOCATION, 1, TEST_TAG, 0);
    assert_int_equal(nonpaged.L.Type, NonPagedPoolNx);
    assert_int_equal(nonpaged.L.Size, LOOKASIDE_MINIMUM_BLOCK_SIZE);
    ExDeleteNPagedLookasideList(&nonpaged);
    ExInitializePagedLookasideList(&paged, NULL, NULL, POOL_RAISE_IF_ALLOCATION_FAILURE, 64,
                                   TEST_TAG, 0);
    assert_int_equal(paged.L.Type, PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE);
    ExDeletePagedLookasideList(&paged);
}

static void a_free_above_depth_goes_to_the_pool(void **state)
{
    PVOID entry[10];
    ExInitializePagedLookasideList(&paged, NULL, NULL, 0, 64, TEST_TAG, 0);
    for (int i = 0; i < 10; i++)
        entry[i] = ExAllocateFromPagedLookasideList(&paged);
    for (int i = 0; i < 10; i++)
        ExFreeToPagedLookasideList(&paged, entry[i]);
    assert_int_equal(paged.L.TotalAllocates, 10);
    assert_int_equal(paged.L.AllocateMisses, 10);
    assert_int_equal(paged.L.TotalFrees, 10);
    assert_int_equal(paged.L.FreeMisses, 6);
    assert_int_equal(live_blocks(), 4);
    ExDeletePagedLookasideList(&paged);
    assert_int_equal(live_blocks(), 0);
}

static VOID NTAPI free_own(PVOID entry)
{
    assert_true(HostIrql == PASSIVE_LEVEL);
    ExFreePool(entry);
}

static void fill_paged(PPAGED_LOOKASIDE_LIST list, int entries)
{
    PVOID entry[64];
    list->L.Depth = 64;
    for (int i = 0; i < entries; i++)
        entry[i] = ExAllocateFromPagedLookasideList(list);
    for (int i = 0; i < entries; i++)
        ExFreeToPagedLookasideList(list, entry[i]);
    assert_int_equal(ExQueryDepthSList(&list->L.ListHead), entries);
}

static void paged_lists_give_way_below_dispatch_level(void **state)
{
    static PAGED_LOOKASIDE_LIST own;
    ExInitializePagedLookasideList(&own, NULL, free_own, 0, 64, TEST_TAG, 0);
    ExInitializePagedLookasideList(&paged, NULL, NULL, 0, 64, TEST_TAG, 0);
    fill_paged(&own, 20);
    fill_paged(&paged, 20);
    HostIrql = DISPATCH_LEVEL;
    ExReclaimPool();  // paged memory cannot be touched
    HostIrql = PASSIVE_LEVEL;
    assert_int_equal(ExQueryDepthSList(&paged.L.ListHead), 20);
    ExAdjustLookasideDepth();  // a quiet second: depth falls, and entries with it
    ExAdjustLookasideDepth();
    assert_true(paged.L.Depth < 64 && ExQueryDepthSList(&paged.L.ListHead) <= paged.L.Depth);
    for (int second = 0; second < 9; second++)
        ExAdjustLookasideDepth();
    assert_int_equal(ExQueryDepthSList(&paged.L.ListHead), 4);
    ExReclaimPool();
    assert_int_equal(ExQueryDepthSList(&paged.L.ListHead), 0);
    assert_int_equal(ExQueryDepthSList(&own.L.ListHead), 20);
    ExDeletePagedLookasideList(&paged);
    ExDeletePagedLookasideList(&own);
    assert_int_equal(live_blocks(), 0);
}

static void a_flushed_list_stays_in_use(void **state)
{
    static const POOL_TYPE types[] = {NonPagedPool, PagedPool, NonPagedPoolNx};
    static LOOKASIDE_LIST_EX list;
    for (int t = 0; t < 3; t++) {
        PVOID entry[4];
        assert_int_equal(ExInitializeLookasideListEx(&list, NULL, NULL, types[t], 0, 64, TEST_TAG,
                                                     0), STATUS_SUCCESS);
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < 4; i++)
                entry[i] = list.L.AllocateEx(list.L.Type, list.L.Size, list.L.Tag, &list);
            for (int i = 0; i < 4; i++)
                InterlockedPushEntrySList(&list.L.ListHead, entry[i]);
            assert_int_equal(live_blocks(), 4);
            ExFlushLookasideListEx(&list);
            assert_int_equal(ExQueryDepthSList(&list.L.ListHead), 0);
            assert_int_equal(live_blocks(), 0);
        }
        ExDeleteLookasideListEx(&list);
    }
}

// ---- tuning ------------------------------------------------------------------------------------
// One second in which Batch entries are taken and given back, Times times.
static void busy_second(int times, int batch)
{
    PVOID entry[300];
    for (int t = 0; t < times; t++) {
        for (int i = 0; i < batch; i++)
            entry[i] = take(&nonpaged.L);
        for (int i = 0; i < batch; i++)
            give(&nonpaged.L, entry[i]);
    }
    ExAdjustLookasideDepth();
}

static void demand_makes_a_list_grow_and_idleness_shrinks_it(void **state)
{
    ExInitializeNPagedLookasideList(&nonpaged, NULL, NULL, POOL_NX_ALLOCATION, 64, TEST_TAG, 0);
    for (int second = 0; second < 20; second++)
        busy_second(10, 100);
    assert_in_range(nonpaged.L.Depth, 100, 256);
    ULONG misses = nonpaged.L.AllocateMisses;
    busy_second(10, 100);
    busy_second(10, 100);
    assert_int_equal(nonpaged.L.AllocateMisses, misses);
    for (int second = 0; second < 9; second++)
        ExAdjustLookasideDepth();
    assert_int_equal(nonpaged.L.Depth, 4);
    assert_int_equal(live_blocks(), 4);
    ExDeleteNPagedLookasideList(&nonpaged);
    assert_int_equal(live_blocks(), 0);
}

static USHORT depth_after(ULONG depth, ULONG allocates, ULONG misses)
{
    nonpaged.L.Depth = (USHORT)depth;
    nonpaged.L.TotalAllocates += allocates;
    nonpaged.L.AllocateMisses += misses;
    ExAdjustLookasideDepth();
    return nonpaged.L.Depth;
}

static void more_demand_never_gives_a_smaller_depth(void **state)
{
    ExInitializeNPagedLookasideList(&nonpaged, NULL, NULL, 0, 64, TEST_TAG, 0);
    for (ULONG depth = 4; depth <= 256; depth += 7)
        for (ULONG misses = 0; misses < 600; misses += 61) {
            USHORT last = 0;
            for (ULONG allocates = misses; allocates < 2000; allocates += 37) {
                USHORT now = depth_after(depth, allocates, misses);
                assert_in_range(now, 4, 256);
                assert_true(now >= last);
                last = now;
            }
        }
    ExDeleteNPagedLookasideList(&nonpaged);
}

// ---- the Ex form -------------------------------------------------------------------------------
static LOOKASIDE_LIST_EX extended;
static int allocations, frees;
static POOL_TYPE seen_type;

static PVOID NTAPI own_allocate(POOL_TYPE type, SIZE_T size, ULONG tag, PLOOKASIDE_LIST_EX list)
{
    assert_ptr_equal(list, &extended);
    allocations++;
    seen_type = type;
    return ExAllocatePoolWithTag(type & ~(POOL_QUOTA_FAIL_INSTEAD_OF_RAISE), size, tag);
}

static VOID NTAPI own_free(PVOID entry, PLOOKASIDE_LIST_EX list)
{
    assert_ptr_equal(list, &extended);
    frees++;
    ExFreePool(entry);
}

static void own_routines_get_the_list_and_its_flags(void **state)
{
    assert_int_equal(ExInitializeLookasideListEx(&extended, own_allocate, own_free, PagedPool,
                                                 EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE, 40,
                                                 TEST_TAG, 0),
                     STATUS_SUCCESS);
    GENERAL_LOOKASIDE_POOL *l = &extended.L;
    PVOID entry = l->AllocateEx(l->Type, l->Size, l->Tag, &extended);
    assert_int_equal(allocations, 1);
    assert_int_equal(seen_type, PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE);
    ExpInterlockedPushEntrySList(&l->ListHead, entry);
    ExFlushLookasideListEx(&extended);
    assert_int_equal(frees, 1);
    assert_int_equal(ExQueryDepthSList(&l->ListHead), 0);
    ExDeleteLookasideListEx(&extended);
    assert_int_equal(live_blocks(), 0);
}

static void wrong_pool_types_and_flags_are_refused(void **state)
{
    assert_int_equal(ExInitializeLookasideListEx(&extended, NULL, NULL, NonPagedPoolMustSucceed, 0,
                                                 40, TEST_TAG, 0),
                     STATUS_INVALID_PARAMETER_4);
    assert_int_equal(
        ExInitializeLookasideListEx(&extended, NULL, NULL, PagedPool, 3, 40, TEST_TAG, 0),
        STATUS_INVALID_PARAMETER_5);
    assert_int_equal(ExInitializeLookasideListEx(&extended, NULL, NULL, PagedPool,
                                                 EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE, 40,
                                                 TEST_TAG, 0),
                     STATUS_INVALID_PARAMETER_5);
}

// ---- mistakes ----------------------------------------------------------------------------------
static void a_second_initialisation_is_c4_ca(void **state)
{
    ExInitializeNPagedLookasideList(&nonpaged, NULL, NULL, 0, 64, TEST_TAG, 0);
    KIRQL irql = HostIrql;
    assert_true(
        BUGCHECKS(ExInitializeNPagedLookasideList(&nonpaged, NULL, NULL, 0, 64, TEST_TAG, 0)));
    assert_int_equal(HostBugCheck.Code, DRIVER_VERIFIER_DETECTED_VIOLATION);
    assert_int_equal(HostBugCheck.Parameter[0], 0xCA);
    assert_int_equal(HostBugCheck.Parameter[1], (ULONG_PTR)&nonpaged);
    assert_int_equal(HostIrql, irql);
    ExDeleteNPagedLookasideList(&nonpaged);
}

static void a_second_deletion_is_c4_cb(void **state)
{
    ExInitializePagedLookasideList(&paged, NULL, NULL, 0, 64, TEST_TAG, 0);
    ExDeletePagedLookasideList(&paged);
    assert_true(BUGCHECKS(ExDeletePagedLookasideList(&paged)));
    assert_int_equal(HostBugCheck.Code, DRIVER_VERIFIER_DETECTED_VIOLATION);
    assert_int_equal(HostBugCheck.Parameter[0], 0xCB);
    assert_int_equal(HostBugCheck.Parameter[1], (ULONG_PTR)&paged);
}

static void a_driver_that_leaves_a_list_is_told(void **state)
{
    extern LEAK_ROUTINE *const LeakSource_lookaside;
    ULONG_PTR here = (ULONG_PTR)&a_driver_that_leaves_a_list_is_told;
    ExInitializePagedLookasideList(&paged, NULL, NULL, 0, 64, TEST_TAG, 0);
    assert_int_equal(LeakSource_lookaside(here, here + 4096), 1);
    assert_int_equal(LeakSource_lookaside(0, 4096), 0);
    ExDeletePagedLookasideList(&paged);
    assert_int_equal(LeakSource_lookaside(here, here + 4096), 0);
}

static void a_list_that_vanished_with_its_memory_is_c4_cc(void **state)
{
    NPAGED_LOOKASIDE_LIST *list =
        ExAllocatePoolWithTag(NonPagedPoolNxCacheAligned, sizeof(*list), TEST_TAG);
    ExInitializeNPagedLookasideList(list, NULL, NULL, 0, 64, TEST_TAG, 0);
    ExFreePool(list);
    memset(list, 0x11, sizeof(*list));
    assert_true(BUGCHECKS(ExAdjustLookasideDepth()));
    assert_int_equal(HostBugCheck.Code, DRIVER_VERIFIER_DETECTED_VIOLATION);
    assert_int_equal(HostBugCheck.Parameter[0], 0xCC);
    assert_int_equal(HostBugCheck.Parameter[1], (ULONG_PTR)list);
}

// ---- lists under a lock ------------------------------------------------------------------------
static KSPIN_LOCK lock;

static void interlocked_lists_keep_both_ends(void **state)
{
    LIST_ENTRY head, a, b, c;
    InitializeListHead(&head);
    assert_null(ExInterlockedRemoveHeadList(&head, &lock));
    assert_null(ExInterlockedInsertTailList(&head, &b, &lock));
    assert_ptr_equal(ExInterlockedInsertTailList(&head, &c, &lock), &b);
    assert_ptr_equal(ExInterlockedInsertHeadList(&head, &a, &lock), &b);
    assert_ptr_equal(ExInterlockedRemoveHeadList(&head, &lock), &a);
    assert_ptr_equal(ExInterlockedRemoveHeadList(&head, &lock), &b);
    assert_ptr_equal(ExInterlockedRemoveHeadList(&head, &lock), &c);
    assert_null(ExInterlockedRemoveHeadList(&head, &lock));
    assert_int_equal(lock, 0);
}

static void interlocked_single_lists_are_stacks(void **state)
{
    SINGLE_LIST_ENTRY head = {NULL}, a, b;
    assert_null(ExInterlockedPopEntryList(&head, &lock));
    assert_null(ExInterlockedPushEntryList(&head, &a, &lock));
    assert_ptr_equal(ExInterlockedPushEntryList(&head, &b, &lock), &a);
    assert_ptr_equal(ExInterlockedPopEntryList(&head, &lock), &b);
    assert_ptr_equal(ExInterlockedPopEntryList(&head, &lock), &a);
    assert_null(ExInterlockedPopEntryList(&head, &lock));
}

static void interlocked_additions_return_the_old_value(void **state)
{
    LARGE_INTEGER large = {.QuadPart = 0xFFFFFFFF}, one = {.QuadPart = 1};
    ULONG small = 7;
    assert_int_equal(ExInterlockedAddLargeInteger(&large, one, &lock).QuadPart, 0xFFFFFFFF);
    assert_int_equal(large.QuadPart, 0x100000000);
    assert_int_equal(ExInterlockedAddUlong(&small, (ULONG)-2, &lock), 7);
    assert_int_equal(small, 5);
}

static void damaged_links_are_139(void **state)
{
    KSPIN_LOCK own = 0;
    LIST_ENTRY head, a;
    InitializeListHead(&head);
    ExInterlockedInsertHeadList(&head, &a, &own);
    a.Blink = &a;
    assert_true(BUGCHECKS(ExInterlockedRemoveHeadList(&head, &own)));
    assert_int_equal(HostBugCheck.Code, KERNEL_SECURITY_CHECK_FAILURE);
    assert_int_equal(HostBugCheck.Parameter[0], 3);
}

// The entries of an idle list serve a request that would fail otherwise.
static void entries_are_freed_when_memory_is_short(void **state)
{
    NPAGED_LOOKASIDE_LIST list;
    PVOID block[64];
    ExInitializeNPagedLookasideList(&list, NULL, NULL, POOL_NX_ALLOCATION, 40000, TEST_TAG, 0);
    list.L.Depth = 64;
    for (int i = 0; i < 64; i++)
        block[i] = ExAllocatePoolWithTag(NonPagedPoolNx, 40000, TEST_TAG);
    for (int i = 0; i < 64; i++)
        InterlockedPushEntrySList(&list.L.ListHead, block[i]);
    fake_mm_page_limit = fake_mm_pages_in_use + 8;
    PVOID large = ExAllocatePoolWithTag(NonPagedPoolNx, 500000, TEST_TAG);
    assert_non_null(large);
    assert_int_equal(ExQueryDepthSList(&list.L.ListHead), 0);
    fake_mm_page_limit = ~(SIZE_T)0;
    ExFreePool(large);
    ExDeleteNPagedLookasideList(&list);
}

static int start(void **state)
{
    fake_mm_start();
    ExInitializePool();
    ExInitializeLookaside();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_list_is_empty_and_its_first_allocation_misses),
        cmocka_unit_test(flags_choose_the_pool),
        cmocka_unit_test(entries_are_freed_when_memory_is_short),
        cmocka_unit_test(a_free_above_depth_goes_to_the_pool),
        cmocka_unit_test(paged_lists_give_way_below_dispatch_level),
        cmocka_unit_test(a_flushed_list_stays_in_use),
        cmocka_unit_test(demand_makes_a_list_grow_and_idleness_shrinks_it),
        cmocka_unit_test(more_demand_never_gives_a_smaller_depth),
        cmocka_unit_test(own_routines_get_the_list_and_its_flags),
        cmocka_unit_test(wrong_pool_types_and_flags_are_refused),
        cmocka_unit_test(a_second_initialisation_is_c4_ca),
        cmocka_unit_test(a_second_deletion_is_c4_cb),
        cmocka_unit_test(a_driver_that_leaves_a_list_is_told),
        cmocka_unit_test(interlocked_lists_keep_both_ends),
        cmocka_unit_test(interlocked_single_lists_are_stacks),
        cmocka_unit_test(interlocked_additions_return_the_old_value),
        cmocka_unit_test(damaged_links_are_139),
        cmocka_unit_test(a_list_that_vanished_with_its_memory_is_c4_cc),
    };
    return cmocka_run_group_tests_name("lookaside", tests, start, NULL);
}
