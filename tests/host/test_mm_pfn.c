// SPDX-License-Identifier: MIT
// Links: mm/pfn.c mm/chunk.c mm/run.c mm/ram.c mm/check.c tests/host/fake_ke.c
//
// Physical pages: the loader's memory map, the database filled chunk by chunk, allocation and free,
// contiguous pages. The database is real memory; that a part of it is mapped is a flag for each of
// its pages, and nothing may touch a part that is not.
#include "mm/mi.h"
#include "pool.h"
#include "fake_ke.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#define MAX_PAGES      0x10000000ull // 1 TiB
#define DATABASE_BYTES (MAX_PAGES * sizeof(MMPFN))
#define MIB(n)         ((ULONG64)(n) << 20)
#define GIB(n)         ((ULONG64)(n) << 30)

MM_REGION MiRegion[MmRegionMaximum];
ULONG MiTablePages;
ULONG64 MiNoExecute, MiGlobal, MiCacheBits[MmMaximumCacheType];

static UCHAR *database;
static unsigned char *mapped; // one for each page of the database
static LOADER_BLOCK *block;
static ULONG zeroed_pages;
static PFN_NUMBER zeroed_last;

// ---- what mm/pte.c and mm/system.c do -----------------------------------------------------------
static SIZE_T database_page(const VOID *Address)
{
    return ((ULONG_PTR)Address - (ULONG_PTR)database) / PAGE_SIZE;
}

BOOLEAN MiIsChunkPopulated(PFN_NUMBER Chunk)
{
    return mapped[database_page(&MiPfnDatabase[Chunk * MI_CHUNK_PAGES])];
}

// A table for each 2 MiB of database, the first also needs one above it.
BOOLEAN MiEnsureTables(ULONG_PTR Address, MI_SUPPLY_ROUTINE *Supply, PVOID Context)
{
    static unsigned char table[DATABASE_BYTES / LARGE_PAGE_SIZE + 1];
    SIZE_T index = (Address - (ULONG_PTR)database) / LARGE_PAGE_SIZE;
    if (MiTablePages == 0) {
        memset(table, 0, sizeof(table));
        assert_true(Supply(Context) != MM_NO_PAGE);
        MiTablePages++;
    }
    if (!table[index]) {
        if (Supply(Context) == MM_NO_PAGE)
            return FALSE;
        table[index] = 1;
        MiTablePages++;
    }
    return TRUE;
}

// What a processor without the lock sees of a chunk that is being populated.
static void look_at_chunk(PFN_NUMBER first)
{
    PFN_NUMBER found;
    for (ULONG i = 0; MiIsChunkPopulated(MI_CHUNK_OF(first)) && i < MI_CHUNK_DATABASE_PAGES; i++)
        assert_true(mapped[database_page(MiPfn(first)) + i]);
    for (PFN_NUMBER page = first; page < first + MI_CHUNK_PAGES; page++) {
        assert_int_equal(MiQueryPageState(page), MiRamState(page));
        assert_int_equal(MiQueryPages(page, 1, &found) == MiPageNone,
                         page > MiHighestPage || MiRamState(page) == MiPageNone);
    }
}

VOID MiMapPages(PVOID Base, PFN_NUMBER Page, SIZE_T Pages, ULONG Protection,
                MEMORY_CACHING_TYPE Cache)
{
    assert_int_equal(Pages, 1);
    assert_false(mapped[database_page(Base)]);
    assert_int_equal(MiRamState(Page), MiPageFree);
    mapped[database_page(Base)] = 1;
    if (Page != zeroed_last)
        memset(Base, 0xA5, PAGE_SIZE);
    look_at_chunk(database_page(Base) / MI_CHUNK_DATABASE_PAGES * MI_CHUNK_PAGES);
}

VOID MiZeroPage(PFN_NUMBER Page)
{
    zeroed_pages++;
    zeroed_last = Page;
}

BOOLEAN MiQueryMapping(ULONG_PTR Address, MI_MAPPING *Mapping)
{
    return FALSE;
}

PVOID ExAllocatePoolFor(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller)
{
    return malloc(NumberOfBytes);
}

MI_RANGE *MiRangeOf(MM_REGION_TYPE Type)
{
    return NULL;
}

BOOLEAN MiCheckRange(const MI_RANGE *Range, const char **What)
{
    return TRUE;
}

// ---- machines -----------------------------------------------------------------------------------
static void forget_everything(void)
{
    // MAP_FIXED again gives fresh zero pages without touching 12 GiB.
    database =
        mmap(database, DATABASE_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (database ? MAP_FIXED : 0), -1, 0);
    mapped = mmap(mapped, DATABASE_BYTES / PAGE_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (mapped ? MAP_FIXED : 0), -1, 0);
    assert_ptr_not_equal(database, MAP_FAILED);
    memset(&MiBootProcessor, 0, sizeof(MiBootProcessor));
    memset(MiUntouched, 0, sizeof(MiUntouched));
    MiFreeList = (MI_PAGE_LIST){MI_LIST_END, 0, MiPageFree};
    MiZeroedList = (MI_PAGE_LIST){MI_LIST_END, 0, MiPageZeroed};
    MiPfnLock = 0;
    HostLocksHeld = 0;
    HostIrql = PASSIVE_LEVEL;
    MiTablePages = MiPfnPages = zeroed_pages = 0;
    MiRegion[MmRegionPfnDatabase].Base = (ULONG_PTR)database;
    MiRegion[MmRegionPfnDatabase].Size = DATABASE_BYTES;
    HostPrcb.MmProcessor = MiProcessors[0] = &MiBootProcessor;
    block->MemoryCount = 0;
}

static void add(ULONG64 base, ULONG64 length, LOADER_MEMORY_TYPE type)
{
    block->Memory[block->MemoryCount++] = (LOADER_MEMORY){base, length, type, 0};
}

static void boot(const char *options)
{
    HostOptions = options;
    MiInitializeRam(block, MAX_PAGES);
    MiInitializePfnDatabase();
    assert_true(MmCheckIntegrity());
}

// As QEMU's, with the kernel at 2 MiB and a module behind it.
static void add_pc(ULONG64 bytes)
{
    ULONG64 low = bytes < GIB(3) ? bytes : GIB(3);
    add(0, 0x9F000, LoaderMemoryFree);
    add(0x9F000, 0x61000, LoaderMemoryReserved);
    add(MIB(1), MIB(1), LoaderMemoryFree);
    add(MIB(2), MIB(2), LoaderMemoryLoaded);
    add(MIB(4), low - MIB(4) - 0x20000, LoaderMemoryFree);
    add(low - 0x20000, 0x20000, LoaderMemoryFirmware);
    if (bytes > low)
        add(GIB(4), bytes - low, LoaderMemoryFree);
}

static int start(void **state)
{
    if (block == NULL)
        block = calloc(1, sizeof(*block));
    forget_everything();
    return 0;
}

static PFN_NUMBER allocate_all(PFN_NUMBER **pages)
{
    PFN_NUMBER count = 0, room = MiCountPages(MiPageFree) + MiCountPages(MiPageZeroed), page;
    *pages = calloc(room, sizeof(PFN_NUMBER));
    while ((page = MmAllocatePage(MM_PAGE_ANY)) != MM_NO_PAGE) {
        assert_true(count < room);
        (*pages)[count++] = page;
    }
    return count;
}

// ---- tests --------------------------------------------------------------------------------------
static void all_states_together_are_all_of_ram(void **state)
{
    add_pc(MIB(64));
    add(GIB(5), MIB(1), LoaderMemoryBad);
    boot("");
    assert_int_equal(MiCountPages(MiPageBad), 256);
    assert_int_equal(MiCountPages(MiPageActive) + MiCountPages(MiPageFree) + 256, MiTotalPages);
    for (int i = 0; i < 5000; i++)
        MmAllocatePage(i % 3 ? MM_PAGE_ANY : MM_PAGE_ZEROED);
    assert_true(MmCheckIntegrity());
}

static void start_touches_one_chunk_however_much_ram_there_is(void **state)
{
    add_pc(GIB(1020));
    boot("");
    assert_int_equal(MiPfnPages, MI_CHUNK_DATABASE_PAGES);
    assert_int_equal(MiHighestPage, (GIB(1021) >> PAGE_SHIFT) - 1);
    assert_true(MmAllocatePage(MM_PAGE_ANY) > (GIB(1020) >> PAGE_SHIFT));
}

static void the_highest_pages_go_first(void **state)
{
    add_pc(MIB(64));
    boot("");
    PFN_NUMBER previous = MmAllocatePage(MM_PAGE_ANY);
    assert_true(previous > (MIB(62) >> PAGE_SHIFT));
    for (int i = 0; i < 10000; i++)
        previous = MmAllocatePage(MM_PAGE_ANY);
    assert_true(previous < (MIB(64) >> PAGE_SHIFT) - 10000 && previous > (MIB(20) >> PAGE_SHIFT));
}

static void every_page_can_be_had_once_and_given_back(void **state)
{
    PFN_NUMBER *pages;
    add_pc(MIB(16));
    boot("");
    PFN_NUMBER count = allocate_all(&pages);
    assert_int_equal(MiCountPages(MiPageFree), 0);
    assert_int_equal(MiUntouched[MiPageFree], 0);
    assert_true(count > (MIB(13) >> PAGE_SHIFT));
    assert_true(MmCheckIntegrity());
    unsigned char *seen = calloc(MiHighestPage + 1, 1);
    for (PFN_NUMBER i = 0; i < count; i++) {
        assert_false(seen[pages[i]]);
        seen[pages[i]] = 1;
        assert_int_equal(MiRamState(pages[i]), MiPageFree);
    }
    for (PFN_NUMBER i = 0; i < count; i++)
        MmFreePage(pages[i]);
    assert_int_equal(MiCountPages(MiPageFree), count);
    assert_true(MmCheckIntegrity());
    free(seen);
    free(pages);
}

static void the_map_may_have_holes_and_slivers(void **state)
{
    add(PAGE_SIZE, 5 * PAGE_SIZE, LoaderMemoryFree);        // too little of a chunk
    add(MIB(3), MIB(2) + 15 * PAGE_SIZE, LoaderMemoryFree); // ends 15 pages into one
    add(MIB(8), MIB(2), LoaderMemoryFree);
    add(MIB(10), 3 * PAGE_SIZE, LoaderMemoryBad);
    add(MIB(10) + 3 * PAGE_SIZE, 20 * PAGE_SIZE, LoaderMemoryFree);
    add(MIB(10) + 23 * PAGE_SIZE, PAGE_SIZE, LoaderMemoryFirmware);
    add(MIB(10) + 24 * PAGE_SIZE, 3 * PAGE_SIZE, LoaderMemoryFree);
    boot("");
    assert_int_equal(MiCountRam(0, MiHighestPage + 1, MiPageFree), 256 + 256 + 15 + 512 + 23);
    assert_int_equal(MiTotalPages, 256 + 256 + 15 + 512 + 23 + 3);
    PFN_NUMBER *pages;
    allocate_all(&pages);
    assert_true(MmCheckIntegrity());
    free(pages);
}

static void slivers_are_left_out_of_the_count(void **state)
{
    add(MIB(4), 8 * PAGE_SIZE, LoaderMemoryFree);
    add(MIB(8) - 10 * PAGE_SIZE, MIB(2), LoaderMemoryFree);
    boot("");
    assert_int_equal(MiTotalPages, 512 - 10);
    assert_int_equal(MiLowestPage, MIB(8) >> PAGE_SHIFT);
}

static void maxmem_and_burnmemory_leave_ram_out(void **state)
{
    add_pc(MIB(64));
    boot("MAXMEM=32");
    assert_int_equal(MiHighestPage, (MIB(32) >> PAGE_SHIFT) - 1);
    start(state);
    add_pc(MIB(64));
    boot("");
    PFN_NUMBER all = MiTotalPages;
    start(state);
    add_pc(MIB(64));
    boot("BURNMEMORY=48");
    assert_int_equal(MiTotalPages, all - (MIB(48) >> PAGE_SHIFT));
    start(state);
    add_pc(MIB(64));
    boot("MAXMEM=32M");
    assert_int_equal(MiHighestPage, (MIB(32) >> PAGE_SHIFT) - 1);
}

static void a_page_cannot_be_freed_twice(void **state)
{
    add_pc(MIB(16));
    boot("");
    PFN_NUMBER page = MmAllocatePage(MM_PAGE_ANY);
    MmFreePage(page);
    assert_true(BUGCHECKS(MmFreePage(page)));
    assert_int_equal(HostBugCheck.Code, PFN_LIST_CORRUPT);
    assert_int_equal(HostBugCheck.Parameter[0], 0x99);
    assert_int_equal(HostBugCheck.Parameter[1], page);
    assert_int_equal(HostBugCheck.Parameter[2], MiPageFree);
}

static void what_is_no_allocated_page_cannot_be_freed(void **state)
{
    add_pc(MIB(16));
    boot("");
    assert_true(BUGCHECKS(MmFreePage(MiHighestPage + 1)));
    assert_int_equal(HostBugCheck.Code, PFN_LIST_CORRUPT);
    // The first page of the top chunk holds the chunk's own entries.
    assert_true(BUGCHECKS(MmFreePage(MiHighestPage / MI_CHUNK_PAGES * MI_CHUNK_PAGES)));
    assert_int_equal(HostBugCheck.Code, PFN_LIST_CORRUPT);
}

static void a_page_locked_for_io_cannot_be_freed(void **state)
{
    add_pc(MIB(16));
    boot("");
    PFN_NUMBER page = MmAllocatePage(MM_PAGE_ANY);
    MiPfn(page)->u3.ReferenceCount = 2;
    assert_true(BUGCHECKS(MmFreePage(page)));
    assert_int_equal(HostBugCheck.Parameter[0], 0x9A);
    assert_int_equal(HostBugCheck.Parameter[3], 2);
}

static void zeroed_pages_are_zeroed_once(void **state)
{
    add_pc(MIB(16));
    boot("");
    zeroed_pages = 0;
    assert_int_equal(MmZeroFreePages(10), 10);
    assert_int_equal(zeroed_pages, 10);
    assert_int_equal(MiCountPages(MiPageZeroed), 10);
    assert_true(MmCheckIntegrity());
    for (int i = 0; i < 10; i++)
        assert_true(MmAllocatePage(MM_PAGE_ZEROED) != MM_NO_PAGE);
    assert_int_equal(zeroed_pages, 10);
    assert_true(MmAllocatePage(MM_PAGE_ZEROED) != MM_NO_PAGE);
    assert_int_equal(zeroed_pages, 11);
}

static void the_last_zeroed_page_serves_who_needs_no_zeros(void **state)
{
    PFN_NUMBER *pages;
    add_pc(MIB(16));
    boot("");
    MmZeroFreePages(100);
    PFN_NUMBER room = MiCountPages(MiPageFree) + MiCountPages(MiPageZeroed);
    assert_true(allocate_all(&pages) > room - 64);
    assert_int_equal(MiCountPages(MiPageZeroed), 0);
    assert_true(MmCheckIntegrity());
    free(pages);
}

static void image_pages_become_free_again(void **state)
{
    add_pc(MIB(16));
    boot("");
    PFN_NUMBER free_before = MiCountPages(MiPageFree), image = MIB(2) >> PAGE_SHIFT;
    assert_int_equal(MiReleaseLoadedPages(image, 40), 40);
    assert_int_equal(MiReleaseLoadedPages(image, 40), 0);
    assert_int_equal(MiCountPages(MiPageFree), free_before + 40);
    assert_int_equal(MiLoadedPages, 512 - 40);
    assert_true(MmCheckIntegrity());
    assert_int_equal(MiAllocateContiguousPages(8, image, image + 39, 0), image + 32);
    assert_int_equal(MiReleaseLoadedPages(image + 40, 100), 100);
    assert_true(MmCheckIntegrity());
}

static void ram_is_listed_in_runs(void **state)
{
    add_pc(GIB(4));
    boot("");
    PPHYSICAL_MEMORY_RANGE run = MmGetPhysicalMemoryRanges();
    assert_int_equal(run[0].BaseAddress.QuadPart, PAGE_SIZE);
    assert_int_equal(run[0].NumberOfBytes.QuadPart, 0x9E000);
    assert_int_equal(run[1].BaseAddress.QuadPart, MIB(1));
    assert_int_equal(run[1].NumberOfBytes.QuadPart, GIB(3) - MIB(1) - 0x20000);
    assert_int_equal(run[2].BaseAddress.QuadPart, GIB(4));
    assert_int_equal(run[2].NumberOfBytes.QuadPart, GIB(1));
    assert_int_equal(run[3].NumberOfBytes.QuadPart, 0);
    free(run);
}

// ---- contiguous ---------------------------------------------------------------------------------
static void a_contiguous_run_may_be_far_longer_than_a_chunk(void **state)
{
    add_pc(GIB(2));
    boot("");
    PFN_NUMBER pages = MIB(512) >> PAGE_SHIFT;
    PFN_NUMBER first = MiAllocateContiguousPages(pages, 0, MM_NO_PAGE - 1, 0);
    assert_true(first != MM_NO_PAGE);
    for (PFN_NUMBER i = first; i < first + pages; i++)
        assert_int_equal(MiPfn(i)->u3.State, MiPageActive);
    assert_true(MmCheckIntegrity());
    for (PFN_NUMBER i = first; i < first + pages; i++)
        MmFreePage(i);
    assert_true(MmCheckIntegrity());
}

static int is_free(PFN_NUMBER page)
{
    if (!MiIsChunkPopulated(MI_CHUNK_OF(page)))
        return MiRamState(page) == MiPageFree;
    return (MiPfn(page)->u3.State == MiPageFree || MiPfn(page)->u3.State == MiPageZeroed) &&
           !MiPfn(page)->u3.Cached;
}

// The highest run, page by page.
static PFN_NUMBER highest_run(PFN_NUMBER count, PFN_NUMBER low, PFN_NUMBER high,
                              PFN_NUMBER boundary)
{
    PFN_NUMBER run = 0;
    if (high > MiHighestPage)
        high = MiHighestPage;
    for (PFN_NUMBER page = high + 1; page-- > low;) {
        run = is_free(page) ? run + 1 : 0;
        if (run >= count && (boundary == 0 || page / boundary == (page + count - 1) / boundary))
            return page;
    }
    return MM_NO_PAGE;
}

// Blocks of a few sizes come and go, limited and not; each is the highest there is.
// Entries of most chunks lie in another's: what was all taken page by page and is free again holds
// runs longer than a chunk.
static void long_runs_are_there_after_all_of_ram_was_in_use(void **state)
{
    static PFN_NUMBER taken[GIB(1) >> PAGE_SHIFT];
    static const struct { ULONG ram, run; } machines[] = {{16, 4}, {24, 6}, {96, 14}, {1000, 14}};
    for (int i = 0; i < 4; i++) {
        PFN_NUMBER count = 0, page, run = MIB(machines[i].run) >> PAGE_SHIFT;
        forget_everything();
        add_pc(MIB(machines[i].ram));
        boot("");
        while ((page = MmAllocatePage(MM_PAGE_ANY)) != MM_NO_PAGE)
            taken[count++] = page;
        assert_int_equal(MiAllocateContiguousPages(2, 0, MM_NO_PAGE - 1, 0), MM_NO_PAGE);
        while (count != 0)
            MmFreePage(taken[--count]);
        assert_true(MiAllocateContiguousPages(run, 0, MM_NO_PAGE - 1, 0) != MM_NO_PAGE);
        assert_true(MmCheckIntegrity());
    }
}

// For the entries of chunks that contiguous runs populate, too: in the end no page is left over.
static void what_was_set_aside_is_used(void **state)
{
    PFN_NUMBER taken = 0, fixed = 0;
    add_pc(MIB(64));
    boot("");
    while (MiAllocateContiguousPages(256, 0, MM_NO_PAGE - 1, 0) != MM_NO_PAGE)
        taken += 256;
    while (MmAllocatePage(MM_PAGE_ANY) != MM_NO_PAGE)
        taken++;
    for (PFN_NUMBER page = 0; page <= MiHighestPage; page++)
        fixed += MiIsInDatabase(page) && MiQueryPageState(page) == MiPageActive &&
                 MiPfn(page)->u3.Fixed;
    assert_int_equal(fixed, MiPfnPages + MiTablePages);
    assert_int_equal(MiCountPages(MiPageFree) + MiCountPages(MiPageZeroed), 0);
    assert_true(taken > MIB(60) >> PAGE_SHIFT);
}

static void the_highest_run_is_taken(void **state)
{
    static struct {
        PFN_NUMBER first, count;
    } held[300];
    size_t count = 0;
    add_pc(MIB(32));
    boot("");
    srand(7);
    for (int i = 0; i < 3000; i++) {
        if (count < 300 && rand() % 2) {
            PFN_NUMBER pages = 1 + rand() % (i % 8 ? 12 : 300);
            PFN_NUMBER high = i % 3 ? MM_NO_PAGE - 1 : (PFN_NUMBER)rand() % 0x2000;
            PFN_NUMBER boundary = i % 5 ? 0 : 32;
            PFN_NUMBER expected = highest_run(pages, 1, high, boundary);
            PFN_NUMBER first = MiAllocateContiguousPages(pages, 1, high, boundary);
            if (expected == MM_NO_PAGE)
                continue;
            assert_int_equal(first, expected);
            held[count].first = first;
            held[count++].count = pages;
        } else if (count != 0) {
            size_t victim = (size_t)rand() % count;
            for (PFN_NUMBER page = 0; page < held[victim].count; page++)
                MmFreePage(held[victim].first + page);
            held[victim] = held[--count];
        }
    }
    assert_true(MmCheckIntegrity());
}

static void limits_and_boundary_hold_for_every_page(void **state)
{
    add_pc(MIB(64));
    boot("");
    srand(1);
    for (int i = 0; i < 3000; i++) {
        PFN_NUMBER count = 1 + rand() % (i % 10 ? 16 : 700);
        PFN_NUMBER low = rand() % 0x4000, high = low + rand() % 0x4000;
        PFN_NUMBER boundary = i % 3 ? 0 : (PFN_NUMBER)1 << (rand() % 12);
        PFN_NUMBER first = MiAllocateContiguousPages(count, low, high, boundary);
        if (first == MM_NO_PAGE)
            continue;
        assert_true(first >= low && first + count - 1 <= high);
        if (boundary != 0)
            assert_int_equal(first / boundary, (first + count - 1) / boundary);
        if (i % 4 == 0)
            continue;
        for (PFN_NUMBER page = first; page < first + count; page++)
            MmFreePage(page);
    }
    assert_true(MmCheckIntegrity());
}

static void low_memory_is_there_for_those_who_need_it(void **state)
{
    add_pc(GIB(8));
    boot("");
    for (int i = 0; i < 20000; i++)
        MmAllocatePage(MM_PAGE_ANY);
    PFN_NUMBER page = MiAllocateContiguousPages(1, 0, 0xFF, 0); // below 1 MiB
    assert_true(page >= 1 && page < 0x9F);
    page = MiAllocateContiguousPages(16, 0, 0xFFF, 0); // below 16 MiB
    assert_true(page < 0x1000 - 15);
    assert_true(MmCheckIntegrity());
}

static void there_is_no_run_where_there_is_no_ram(void **state)
{
    add_pc(GIB(8));
    boot("");
    PFN_NUMBER hole = GIB(3) >> PAGE_SHIFT, above = GIB(4) >> PAGE_SHIFT;
    assert_int_equal(MiAllocateContiguousPages(1, hole, above - 1, 0), MM_NO_PAGE);
    assert_int_equal(MiAllocateContiguousPages(2, above - 1, above, 0), MM_NO_PAGE);
    assert_int_equal(MiAllocateContiguousPages(1, above - 1, above, 0), above);
    assert_int_equal(MiAllocateContiguousPages(GIB(6) >> PAGE_SHIFT, 0, MM_NO_PAGE - 1, 0),
                     MM_NO_PAGE);
    assert_true(MmCheckIntegrity());
}

// The model: a page the test holds, or not. After every step the database must agree with itself.
static void any_sequence_keeps_the_database_consistent(void **state)
{
    static struct {
        PFN_NUMBER first, count;
    } held[2000];
    for (unsigned seed = 1; seed <= 10; seed++) {
        size_t count = 0;
        start(state);
        add_pc(MIB(16 + 8 * (seed % 3)));
        boot("");
        srand(seed);
        for (int step = 0; step < 3000; step++) {
            int action = rand() % 100;
            if (action < 50 && count < 2000) {
                PFN_NUMBER page = MmAllocatePage(rand() & 1);
                if (page != MM_NO_PAGE)
                    held[count].first = page, held[count++].count = 1;
            } else if (action < 60 && count < 2000) {
                PFN_NUMBER pages = 1 + rand() % 100;
                PFN_NUMBER first = MiAllocateContiguousPages(pages, 0, rand() % 0x2000, 0);
                if (first != MM_NO_PAGE)
                    held[count].first = first, held[count++].count = pages;
            } else if (action < 65) {
                MmZeroFreePages(rand() % 20);
            } else if (count != 0) {
                size_t victim = (size_t)rand() % count;
                for (PFN_NUMBER i = 0; i < held[victim].count; i++)
                    MmFreePage(held[victim].first + i);
                held[victim] = held[--count];
            }
            if (step % 50 == 0)
                assert_true(MmCheckIntegrity());
        }
        assert_true(MmCheckIntegrity());
        assert_int_equal(HostLocksHeld, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_states_together_are_all_of_ram, start),
        cmocka_unit_test_setup(start_touches_one_chunk_however_much_ram_there_is, start),
        cmocka_unit_test_setup(the_highest_pages_go_first, start),
        cmocka_unit_test_setup(every_page_can_be_had_once_and_given_back, start),
        cmocka_unit_test_setup(the_map_may_have_holes_and_slivers, start),
        cmocka_unit_test_setup(slivers_are_left_out_of_the_count, start),
        cmocka_unit_test_setup(maxmem_and_burnmemory_leave_ram_out, start),
        cmocka_unit_test_setup(a_page_cannot_be_freed_twice, start),
        cmocka_unit_test_setup(what_is_no_allocated_page_cannot_be_freed, start),
        cmocka_unit_test_setup(a_page_locked_for_io_cannot_be_freed, start),
        cmocka_unit_test_setup(zeroed_pages_are_zeroed_once, start),
        cmocka_unit_test_setup(the_last_zeroed_page_serves_who_needs_no_zeros, start),
        cmocka_unit_test_setup(image_pages_become_free_again, start),
        cmocka_unit_test_setup(ram_is_listed_in_runs, start),
        cmocka_unit_test_setup(a_contiguous_run_may_be_far_longer_than_a_chunk, start),
        cmocka_unit_test_setup(long_runs_are_there_after_all_of_ram_was_in_use, start),
        cmocka_unit_test_setup(what_was_set_aside_is_used, start),
        cmocka_unit_test_setup(the_highest_run_is_taken, start),
        cmocka_unit_test_setup(limits_and_boundary_hold_for_every_page, start),
        cmocka_unit_test_setup(low_memory_is_there_for_those_who_need_it, start),
        cmocka_unit_test_setup(there_is_no_run_where_there_is_no_ram, start),
        cmocka_unit_test_setup(any_sequence_keeps_the_database_consistent, start),
    };
    return cmocka_run_group_tests_name("mm: physical pages", tests, NULL, NULL);
}
