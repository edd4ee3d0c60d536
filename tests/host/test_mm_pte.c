// SPDX-License-Identifier: MIT
// Links: tests/host/fake_ke.c
//
// What page table entries say of caching, and how far they reach, on processors with a page
// attribute table and without, and of every width.
#include "mm/mi.h"
#include "fake_ke.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static ULONG_PTR Cr0, Cr3, Cr4;

#define CONTROL_REGISTER(N)                                                                        \
    static ULONG_PTR KiReadCr##N(VOID)                                                             \
    {                                                                                              \
        return Cr##N;                                                                              \
    }                                                                                              \
    static VOID KiWriteCr##N(ULONG_PTR Value)                                                      \
    {                                                                                              \
        Cr##N = Value;                                                                             \
    }
CONTROL_REGISTER(0)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)

#include "mm/pte.c"

// ---- the processor ------------------------------------------------------------------------------
#define RESET_PAT 0x0007040600070406ull

static struct {
    ULONG Features, Width, LargestExtended; // leaf 1, leaf 80000008
    ULONG64 Pat, Efer;
} Processor;

VOID HostCpuid(ULONG Leaf, ULONG Registers[4])
{
    if (Leaf == 0)
        Registers[0] = 7;
    if (Leaf == 1)
        Registers[3] = Processor.Features;
    if (Leaf == 0x80000000u)
        Registers[0] = Processor.LargestExtended;
    if (Leaf == 0x80000001u && Processor.Efer != 0)
        Registers[3] = 1u << 20;
    if (Leaf == 0x80000008u)
        Registers[0] = Processor.Width | 48u << 8;
}

ULONG64 HostReadMsr(ULONG Msr)
{
    return Msr == MSR_EFER ? Processor.Efer : 0;
}

VOID HostWriteMsr(ULONG Msr, ULONG64 Value)
{
    assert_int_equal(Msr, MSR_PAT);
    assert_true(Processor.Features & 1u << 16); // without one this would be a fault
    Processor.Pat = Value;
}

// ---- mm around it -------------------------------------------------------------------------------
MI_PROCESSOR MiBootProcessor;
PMMPFN MiPfnDatabase;
PFN_NUMBER MiTotalPages;
MM_REGION MiRegion[MmRegionMaximum];

PFN_NUMBER MmAllocatePage(ULONG Flags)
{
    abort();
}

VOID MmFreePage(PFN_NUMBER Page)
{
    abort();
}

BOOLEAN MiReserveExactly(MI_RANGE *Range, PVOID Base, SIZE_T Pages)
{
    abort();
}

BOOLEAN MiReleaseRange(MI_RANGE *Range, PVOID Base, SIZE_T Pages)
{
    abort();
}

MI_RANGE *MiRangeOf(MM_REGION_TYPE Type)
{
    abort();
}

// ---- cache types --------------------------------------------------------------------------------
#define FEATURE_PAT    (1u << 16)
#define FEATURE_PSE36  (1u << 17)
#define FEATURE_GLOBAL (1u << 13)

enum { PatUncached = 0, PatCombined = 1, PatBack = 6, PatUncachedMinus = 7 };

static int reset(void **state)
{
    memset(&Processor, 0, sizeof(Processor));
    Processor.Pat = RESET_PAT;
    Processor.LargestExtended = 0x80000008u;
    Processor.Width = 40;
    return 0;
}

// The memory type that a cache type's entries select.
static ULONG selected(MEMORY_CACHING_TYPE Type)
{
    ULONG64 Bits = MiCacheBits[Type];
    ULONG Index = (Bits & PTE_PWT ? 1 : 0) | (Bits & PTE_PCD ? 2 : 0) | (Bits & PTE_PAT ? 4 : 0);
    return (ULONG)(Processor.Pat >> 8 * Index) & 7;
}

// First, because what a PAT makes possible stays so.
static void without_a_pat_nothing_is_programmed_and_the_mtrrs_decide(void **state)
{
    Processor.Features = FEATURE_GLOBAL;
    MiInitializePageTables();
    assert_int_equal(Processor.Pat, RESET_PAT);
    assert_int_equal(selected(MmCached), PatBack);
    assert_int_equal(selected(MmNonCached), PatUncached);
    assert_int_equal(selected(MmWriteCombined), PatUncachedMinus);
}

static void with_a_pat_each_cache_type_is_what_it_is_called(void **state)
{
    Processor.Features = FEATURE_PAT | FEATURE_GLOBAL;
    MiInitializePageTables();
    assert_int_equal(selected(MmCached), PatBack);
    assert_int_equal(selected(MmNonCached), PatUncached);
    assert_int_equal(selected(MmNonCachedUnordered), PatUncached);
    assert_int_equal(selected(MmWriteCombined), PatCombined);
    assert_int_equal(selected(MmUSWCCached), PatCombined);
    assert_int_equal((ULONG)Processor.Pat, (ULONG)RESET_PAT); // entries made before mean the same
}

static void other_processors_are_programmed_alike(void **state)
{
    Processor.Features = FEATURE_PAT;
    MiEnableProcessorFeatures();
    assert_int_equal(selected(MmWriteCombined), PatCombined);
}

// ---- width --------------------------------------------------------------------------------------
static ULONG64 limit(ULONG Features, ULONG LargestExtended, ULONG Width)
{
    Processor.Features = Features;
    Processor.LargestExtended = LargestExtended;
    Processor.Width = Width;
    MiInitializePageTables();
    return (ULONG64)MiPhysicalLimit << PAGE_SHIFT;
}

static void what_the_processor_cannot_address_is_beyond_the_limit(void **state)
{
    assert_int_equal(limit(0, 0x80000008u, 39), 1ull << 39);
    assert_int_equal(limit(0, 0x80000008u, 52), 1ull << 52);
    assert_int_equal(limit(0, 0x80000008u, 57), 1ull << 52); // more than an entry has room for
    assert_int_equal(limit(FEATURE_PSE36, 0x80000004u, 0), 1ull << 36);
    assert_int_equal(limit(0, 0, 0), 1ull << 32);
}

static void no_execute_is_used_where_the_loader_could_switch_it_on(void **state)
{
    MiInitializePageTables();
    assert_int_equal(MiNoExecute, 0);
    Processor.Efer = EFER_NXE;
    MiInitializePageTables();
    assert_int_equal(MiNoExecute, PTE_NX);
}

#define TEST(Name) cmocka_unit_test_setup(Name, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_pat_nothing_is_programmed_and_the_mtrrs_decide),
        TEST(with_a_pat_each_cache_type_is_what_it_is_called),
        TEST(other_processors_are_programmed_alike),
        TEST(what_the_processor_cannot_address_is_beyond_the_limit),
        TEST(no_execute_is_used_where_the_loader_could_switch_it_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
