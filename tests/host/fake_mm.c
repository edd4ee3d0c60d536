// SPDX-License-Identifier: MIT
// mm for host tests: regions of reserved address space, pages that are there or fault, and as few
// of them as a test wants.
//
// Lowest address first, like the real one. Everything not committed has no access, so that a stray
// touch ends the test.
#include "fake_mm.h"

#include "no_tlb.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GIB            (1ull << 30)
#define FAKE_RAM_PAGES (GIB >> PAGE_SHIFT)

typedef struct {
    MM_REGION region;
    unsigned char *reserved;  // a byte a page
    SIZE_T first_free;        // no free page below
} FAKE_REGION;

BOOLEAN fake_mm_all_code_is_a_driver;
SIZE_T fake_mm_page_limit = ~(SIZE_T)0, fake_mm_pages_in_use, fake_mm_fail_at;

static FAKE_REGION regions[] = {
    {.region = {MmRegionNonPagedPool, "nonpaged pool", 0, 1 * GIB}},
    {.region = {MmRegionNonPagedPoolExecute, "executable nonpaged pool", 0, GIB / 4}},
    {.region = {MmRegionPagedPool, "paged pool", 0, 1 * GIB}},
    {.region = {MmRegionBookkeeping, "bookkeeping", 0, 4 * GIB}},
    {.region = {MmRegionSpecialPool, "special pool", 0, 4 * GIB}},
    {.region = {MmRegionSystemImages, "drivers", 0xFFFFF80000000000ull, GIB}},
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fake_mm_start(void)
{
    for (size_t i = 0; i < 5; i++) {
        FAKE_REGION *r = &regions[i];
        void *base = mmap(NULL, r->region.Size, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED)
            abort();
        r->region.Base = (ULONG_PTR)base;
        r->reserved = calloc(r->region.Size >> PAGE_SHIFT, 1);
    }
}

static FAKE_REGION *find(ULONG_PTR address)
{
    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
        if (address - regions[i].region.Base < regions[i].region.Size)
            return &regions[i];
    return NULL;
}

const MM_REGION *MmFindRegion(const VOID *Address)
{
    FAKE_REGION *r = find((ULONG_PTR)Address);
    return r != NULL ? &r->region : NULL;
}

const MM_REGION *MmGetRegion(MM_REGION_TYPE Type)
{
    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
        if (regions[i].region.Type == Type)
            return &regions[i].region;
    return NULL;
}

static PVOID reserve(FAKE_REGION *r, SIZE_T pages)
{
    SIZE_T count = r->region.Size >> PAGE_SHIFT, run = 0;
    for (SIZE_T i = r->first_free; i < count; i++) {
        run = r->reserved[i] ? 0 : run + 1;
        if (run == pages) {
            SIZE_T start = i + 1 - pages;
            memset(r->reserved + start, 1, pages);
            while (r->first_free < count && r->reserved[r->first_free])
                r->first_free++;
            return (PVOID)(r->region.Base + (start << PAGE_SHIFT));
        }
    }
    return NULL;
}

PVOID MmReserveSystemRange(MM_REGION_TYPE Region, SIZE_T Pages)
{
    pthread_mutex_lock(&lock);
    PVOID range = reserve(find(MmGetRegion(Region)->Base), Pages);
    pthread_mutex_unlock(&lock);
    return range;
}

VOID MmReleaseSystemRange(PVOID Base, SIZE_T Pages)
{
    pthread_mutex_lock(&lock);
    FAKE_REGION *r = find((ULONG_PTR)Base);
    SIZE_T start = ((ULONG_PTR)Base - r->region.Base) >> PAGE_SHIFT;
    memset(r->reserved + start, 0, Pages);
    if (start < r->first_free)
        r->first_free = start;
    pthread_mutex_unlock(&lock);
}

BOOLEAN MmCommitSystemRange(PVOID Base, SIZE_T Pages, ULONG Protection, ULONG PageFlags)
{
    pthread_mutex_lock(&lock);
    BOOLEAN done = fake_mm_pages_in_use + Pages <= fake_mm_page_limit;
    if (fake_mm_fail_at != 0 && --fake_mm_fail_at == 0)
        done = FALSE;
    if (done && mprotect(Base, Pages << PAGE_SHIFT, PROT_READ | PROT_WRITE) != 0)
        abort();
    if (done)
        fake_mm_pages_in_use += Pages;
    pthread_mutex_unlock(&lock);
    return done;
}

VOID MmDecommitSystemRange(PVOID Base, SIZE_T Pages)
{
    pthread_mutex_lock(&lock);
    // A fresh mapping: the content is gone and any touch faults.
    if (mmap(Base, Pages << PAGE_SHIFT, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != Base)
        abort();
    fake_mm_pages_in_use -= Pages;
    pthread_mutex_unlock(&lock);
}

VOID MmExplainFault(ULONG_PTR Pc, const char *Explanation)
{
}

// A fresh mapping reads as zeroes too.
VOID MmReplaceSystemPage(MM_FLUSH *Flush, PVOID Base)
{
    pthread_mutex_lock(&lock);
    if (mmap(Base, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
             -1, 0) != Base)
        abort();
    fake_mm_pages_in_use--;
    pthread_mutex_unlock(&lock);
}

BOOLEAN MmRestoreSystemPage(MM_FLUSH *Flush, PVOID Base)
{
    MmFlushLater(Flush, Base, 1);
    return MmCommitSystemRange(Base, 1, MM_READ | MM_WRITE, MM_PAGE_ZEROED);
}

// Memory outside the regions is the test's own.
BOOLEAN MmIsMapped(const VOID *Address, ULONG Protection)
{
    FAKE_REGION *r = find((ULONG_PTR)Address);
    unsigned char resident;
    return r == NULL || mincore(PAGE_ALIGN(Address), PAGE_SIZE, &resident) == 0;
}

VOID MmQueryStatistics(MM_STATISTICS *Statistics)
{
    *Statistics = (MM_STATISTICS){.TotalPages = FAKE_RAM_PAGES,
                                  .ActivePages = fake_mm_pages_in_use};
}

ULONG64 MmQueryAvailablePages(ULONG64 *Total)
{
    pthread_mutex_lock(&lock);
    SIZE_T in_use = fake_mm_pages_in_use;
    pthread_mutex_unlock(&lock);
    *Total = fake_mm_page_limit < FAKE_RAM_PAGES ? fake_mm_page_limit : FAKE_RAM_PAGES;
    return *Total > in_use ? *Total - in_use : 0;
}

BOOLEAN MmIsDriverAddress(ULONG_PTR Address)
{
    return fake_mm_all_code_is_a_driver;
}

ULONG MmPoolProtection(MM_REGION_TYPE Pool)
{
    return MM_READ | MM_WRITE;
}

PVOID MmReserveSpecialPool(SIZE_T Pages)
{
    return MmReserveSystemRange(MmRegionSpecialPool, Pages);
}

PVOID MmAllocatePoolPages(MM_REGION_TYPE Pool, SIZE_T Pages)
{
    PVOID range = MmReserveSystemRange(Pool, Pages);
    if (range != NULL && !MmCommitSystemRange(range, Pages, MM_READ | MM_WRITE, MM_PAGE_ANY)) {
        MmReleaseSystemRange(range, Pages);
        return NULL;
    }
    return range;
}

VOID MmFreePoolPages(PVOID Base, SIZE_T Pages)
{
    MmDecommitSystemRange(Base, Pages);
    MmReleaseSystemRange(Base, Pages);
}
