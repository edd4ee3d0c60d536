// SPDX-License-Identifier: MIT
// Links: mm/iospace.c mm/ledger.c mm/range.c tests/host/fake_ke.c
//
// Mappings of I/O space against a model that tries every pair: a page has one cache type at a time,
// a mapping has a guard page behind it and nobody else's pages in it, every mapping is known until
// it is undone, and what is kept of those that are undone is given back when space is short.
#include "mm/mi.h"
#include "fake_ke.h"
#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define BASE     0x10000000000ull
#define PAGES    MI_GROUP_PAGES // of address space
#define RAM      64u            // frames below are RAM in use, from here on there is none
#define FREE_RAM 63u            // but for this one
#define FRAMES   128u
#define GUARD    (MM_NO_PAGE - 1)
#define KEPT     16u // the longest mapping whose addresses may be kept

enum { Other, Uncached, Combined }; // kinds of memory that exclude each other
static const MEMORY_CACHING_TYPE types[] = {MmCached, MmNonCached, MmWriteCombined};

typedef struct _MAPPING {
    PUCHAR Base;
    SIZE_T Bytes;
    ULONG64 Physical;
    ULONG Kind;
} MAPPING;

static MI_RANGE range;
static PFN_NUMBER frame[PAGES]; // what each page of address space shows; 0: nothing
static MAPPING live[PAGES];
static ULONG count;
static ULONG misfits, shortages; // mappings that were refused

PFN_NUMBER MiPhysicalLimit = FRAMES;

// ---- mm around it -------------------------------------------------------------------------------
static SIZE_T page_of(const VOID *Address)
{
    assert_in_range((ULONG_PTR)Address, BASE, BASE + PAGES * PAGE_SIZE - 1);
    return ((ULONG_PTR)Address - BASE) / PAGE_SIZE;
}

VOID MiCreateArray(MI_ARRAY *Array, SIZE_T Limit)
{
    Array->Base = calloc(1, Limit);
    Array->Committed = Array->Limit = Limit;
}

BOOLEAN MiGrowArray(MI_ARRAY *Array, SIZE_T Bytes)
{
    return Bytes <= Array->Limit;
}

// As mm/system.c.
PVOID MmReserveSystemRange(MM_REGION_TYPE Region, SIZE_T Pages)
{
    PVOID base = MiReserveRange(&range, Pages);
    return base == NULL && MiReleaseKept() ? MiReserveRange(&range, Pages) : base;
}

VOID MmReleaseSystemRange(PVOID Base, SIZE_T Pages)
{
    for (SIZE_T i = 0; i + 1 < Pages; i++)
        assert_int_equal(frame[page_of(Base) + i], 0);
    frame[page_of(Base) + Pages - 1] = 0;
    assert_true(MiReleaseRange(&range, Base, Pages));
}

BOOLEAN MiMakeTables(PVOID Base, SIZE_T Pages)
{
    return TRUE;
}

VOID MiMapPages(PVOID Base, PFN_NUMBER Page, SIZE_T Pages, ULONG Protection,
                MEMORY_CACHING_TYPE Cache)
{
    for (SIZE_T i = 0; i < Pages; i++) {
        assert_int_equal(frame[page_of(Base) + i], 0);
        frame[page_of(Base) + i] = Page + i;
    }
}

VOID MiUnmapPages(PVOID Base, SIZE_T Pages)
{
    memset(&frame[page_of(Base)], 0, Pages * sizeof(frame[0]));
}

VOID MiMarkGuard(PVOID Page)
{
    assert_int_equal(frame[page_of(Page)], 0);
    frame[page_of(Page)] = GUARD;
}

MI_PAGE_STATE MiQueryPages(PFN_NUMBER First, PFN_NUMBER Count, PFN_NUMBER *Found)
{
    *Found = FREE_RAM;
    if (First <= FREE_RAM && FREE_RAM < First + Count)
        return MiPageFree;
    return First < RAM ? MiPageActive : MiPageNone;
}

BOOLEAN ExFailsOnPurpose(ULONG_PTR Caller, SIZE_T Bytes, ULONG Tag)
{
    return FALSE;
}

// ---- model --------------------------------------------------------------------------------------
static SIZE_T pages_of(ULONG64 Physical, SIZE_T Bytes)
{
    return (SIZE_T)(((Physical + Bytes - 1) >> PAGE_SHIFT) - (Physical >> PAGE_SHIFT)) + 1;
}

static int overlap(const MAPPING *One, ULONG64 Physical, SIZE_T Bytes)
{
    ULONG64 first = Physical >> PAGE_SHIFT, other = One->Physical >> PAGE_SHIFT;
    return other < first + pages_of(Physical, Bytes) &&
           first < other + pages_of(One->Physical, One->Bytes);
}

static int fits(ULONG64 Physical, SIZE_T Bytes, ULONG Kind)
{
    int known = 0;
    for (ULONG i = 0; i < count; i++)
        if (overlap(&live[i], Physical, Bytes)) {
            if (live[i].Kind != Kind)
                return 0;
            known = 1;
        }
    return Physical >> PAGE_SHIFT >= RAM || Kind == Other || known;
}

// Is there room besides what the mappings have? What is kept does not count.
static int has_room(SIZE_T Pages)
{
    static unsigned char used[PAGES];
    SIZE_T run = 0, best = 0;
    memset(used, 0, sizeof(used));
    for (ULONG i = 0; i < count; i++)
        memset(used + page_of(live[i].Base), 1, pages_of(live[i].Physical, live[i].Bytes) + 1);
    for (SIZE_T i = 0; i < PAGES; i++) {
        run = used[i] ? 0 : run + 1;
        best = run > best ? run : best;
    }
    return best > Pages;
}

static int map(ULONG64 Physical, SIZE_T Bytes, ULONG Kind)
{
    PHYSICAL_ADDRESS address = {.QuadPart = (LONGLONG)Physical};
    PUCHAR base = MmMapIoSpace(address, Bytes, types[Kind]);
    SIZE_T pages = pages_of(Physical, Bytes);
    int suits = fits(Physical, Bytes, Kind), room = has_room(pages);
    assert_int_equal(base != NULL, suits && room);
    misfits += !suits;
    shortages += suits && !room;
    if (base == NULL)
        return 0;
    assert_int_equal(BYTE_OFFSET(base), BYTE_OFFSET(Physical));
    for (SIZE_T i = 0; i < pages; i++)
        assert_int_equal(frame[page_of(base) + i], (Physical >> PAGE_SHIFT) + i);
    assert_int_equal(frame[page_of(base) + pages], GUARD);
    live[count++] = (MAPPING){base, Bytes, Physical, Kind};
    return 1;
}

static void unmap(ULONG Which)
{
    SIZE_T first = page_of(live[Which].Base);
    SIZE_T pages = pages_of(live[Which].Physical, live[Which].Bytes);
    for (SIZE_T i = 0; i < pages; i++)
        assert_int_equal(frame[first + i], (live[Which].Physical >> PAGE_SHIFT) + i);
    MmUnmapIoSpace(live[Which].Base, live[Which].Bytes);
    live[Which] = live[--count];
}

extern LEAK_ROUTINE *const LeakSource_MmIoSpace;

static void check(void)
{
    const char *what = NULL;
    SIZE_T used = 0;
    if (!MiCheckRange(&range, &what))
        fail_msg("%s", what);
    for (ULONG i = 0; i < count; i++)
        used += pages_of(live[i].Physical, live[i].Bytes) + 1;
    assert_in_range(range.Used, used, used + (KEPT + 1) * (KEPT + 2) / 2 - 1);
    assert_int_equal(LeakSource_MmIoSpace(0, ~(ULONG_PTR)0), count);
    assert_int_equal(HostLocksHeld, 0);
    assert_int_equal(HostIrql, PASSIVE_LEVEL);
}

static int finish(void **state)
{
    while (count != 0)
        unmap(count - 1);
    check();
    MiReleaseKept();
    assert_int_equal(range.Used, 0);
    assert_false(MiReleaseKept());
    return 0;
}

// ---- tests --------------------------------------------------------------------------------------
#define AT(Frame) ((ULONG64)(Frame) << PAGE_SHIFT)

static void mappings_come_and_go_as_in_the_model(void **state)
{
    srand(1);
    for (ULONG step = 0; step < 60000; step++) {
        ULONG want = step / 6000 % 2 ? 250 : 12; // space is short every other while
        if (count != 0 && (ULONG)rand() % (2 * want) < count) {
            unmap((ULONG)rand() % count);
            continue;
        }
        SIZE_T pages = rand() % 8 == 0 ? 1 + rand() % 24 : 1 + rand() % 3;
        SIZE_T frames = FREE_RAM - 1;
        ULONG64 physical = AT(rand() % 2 ? 1 + rand() % (frames - pages)
                                         : RAM + rand() % (FRAMES - RAM - pages));
        map(physical + rand() % PAGE_SIZE, (pages - 1) * PAGE_SIZE + 1,
            rand() % 16 ? Other : 1 + rand() % 2);
        if (step % 64 == 0)
            check();
    }
    assert_in_range(misfits, 300, 30000);
    assert_in_range(shortages, 300, 30000);
}

static void addresses_are_kept_for_the_next_of_as_many_pages(void **state)
{
    for (SIZE_T pages = 1; pages <= KEPT; pages++) {
        map(AT(RAM), pages * PAGE_SIZE, Uncached);
        PUCHAR base = live[0].Base;
        unmap(0);
        map(AT(RAM + 1), PAGE_SIZE * (pages == 1 ? 2 : 1), Uncached);
        assert_ptr_not_equal(live[0].Base, base);
        map(AT(RAM + 3), pages * PAGE_SIZE, Uncached);
        assert_ptr_equal(live[1].Base, base);
        unmap(1);
        unmap(0);
    }
    check();
}

static void what_is_kept_is_no_loss_of_space(void **state)
{
    for (SIZE_T pages = 1; pages <= KEPT; pages++) {
        map(AT(RAM), pages * PAGE_SIZE, Uncached);
        unmap(0);
    }
    assert_int_not_equal(range.Used, 0);
    for (SIZE_T i = 0; i < PAGES / (KEPT + 2); i++)
        assert_true(map(AT(RAM), (KEPT + 1) * PAGE_SIZE, Uncached));
    assert_false(map(AT(RAM), (KEPT + 1) * PAGE_SIZE, Uncached));
}

static void ram_is_cached_and_in_use(void **state)
{
    PHYSICAL_ADDRESS address = {.QuadPart = AT(FREE_RAM)};
    assert_false(map(AT(1), PAGE_SIZE, Uncached));
    assert_true(map(AT(1), PAGE_SIZE, Other));
    assert_true(BUGCHECKS(MmMapIoSpace(address, 1, MmCached)));
    assert_int_equal(HostBugCheck.Code, MEMORY_MANAGEMENT);
    assert_int_equal(HostBugCheck.Parameter[0], 0x1233);
}

static void a_mapping_is_undone_once_and_whole(void **state)
{
    map(AT(RAM) + 5, 3 * PAGE_SIZE, Uncached);
    PUCHAR base = live[0].Base;
    assert_true(BUGCHECKS(MmUnmapIoSpace(base + 1, 3 * PAGE_SIZE)));
    assert_int_equal(HostBugCheck.Code, SYSTEM_PTE_MISUSE);
    unmap(0);
    assert_true(BUGCHECKS(MmUnmapIoSpace(base, 3 * PAGE_SIZE)));
    assert_int_equal(HostBugCheck.Parameter[0], 0x400);
    map(AT(RAM), PAGE_SIZE, Uncached);
    assert_true(BUGCHECKS(MmUnmapIoSpace(live[0].Base, PAGE_SIZE + 1)));
}

static void what_no_processor_can_address_is_refused(void **state)
{
    PHYSICAL_ADDRESS address = {.QuadPart = AT(FRAMES - 1)};
    assert_null(MmMapIoSpace(address, PAGE_SIZE + 1, MmNonCached));
    assert_null(MmMapIoSpace(address, ~(SIZE_T)0, MmNonCached));
    assert_null(MmMapIoSpace(address, 0, MmNonCached));
    address.QuadPart = (LONGLONG)1 << 60;
    assert_null(MmMapIoSpace(address, 1, MmNonCached));
    assert_true(map(AT(FRAMES - 1), PAGE_SIZE, Uncached));
}

#define TEST(Name) cmocka_unit_test_teardown(Name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mappings_come_and_go_as_in_the_model),
        TEST(addresses_are_kept_for_the_next_of_as_many_pages),
        TEST(what_is_kept_is_no_loss_of_space),
        TEST(ram_is_cached_and_in_use),
        TEST(what_no_processor_can_address_is_refused),
        cmocka_unit_test(a_mapping_is_undone_once_and_whole), // after a bugcheck
    };
    MiInitializeLedger();
    MiInitializeRange(&range, BASE, PAGES * PAGE_SIZE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
