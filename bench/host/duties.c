// SPDX-License-Identifier: MIT
// What each of the pool's duties costs an allocator, as little as it can be.
//
// Problem. The pool is compared with allocators that look at nothing when a block is freed. Is what
// it costs more the price of its duties, or its own fault?
//
// Idea. An allocator for bench/host/alloc.c and nothing else, with the pool's classes and pages and
// hardly anything more: one thread, no tags, no counters, nothing given back. Compiled four times,
// each with one duty more (DUTY):
//
//   0  bare    Free blocks are linked through themselves; a page says which class it is of.
//   1  record  Who owns a block and how long it is lies apart from it, is found by its address, and
//              is compared when it is freed: twice, or an address inside a block, is noticed.
//   2  guard   Eight bytes behind the last that was asked for are written, and compared at free.
//   3  apart   Free blocks are listed apart from them: who writes to a freed block changes nothing
//              of the allocator's.
//
// The last has the pool's duties but for tags, counts, several threads, and giving back. So what
// bench/mallocs.py prints of these is a floor: the bare one is about as fast as the best allocator,
// and what each duty adds to it is added to any. Most of it is memory: for a record and a guard, a
// free waits for two lines more.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORTED     __attribute__((visibility("default")))
#define UNLIKELY(X)  __builtin_expect(!!(X), 0)
#define HEAP_BYTES   (256ull << 20)
#define HEAP_PAGES   (HEAP_BYTES >> POOL_PAGE_SHIFT)
#define PAGE_BYTES   (1u << POOL_PAGE_SHIFT)
#define LARGE_BYTES  (16u << 20)  // never given back
#define DEPTH        65536u       // free blocks of a class, where they are listed apart
#define GUARD_BYTES  8u
#define GUARD_OF(B)  ((uint64_t)(uintptr_t)(B) + 0x5D6B7C8Du)
#define OFFSET_OF(B) ((uintptr_t)(B) - heap)

EXPORTED void *malloc(size_t size);
EXPORTED void free(void *block);
EXPORTED void *calloc(size_t count, size_t size);

typedef uint64_t __attribute__((aligned(1), may_alias)) guard_word;

typedef struct _RECORD { uint16_t class, size; } RECORD;  // size 0: free
typedef struct _PAGE { uint32_t reciprocal, class : 6, records : 26; } PAGE;
typedef struct _SLOT { char *block; RECORD *record; } SLOT;

static const uint16_t class_size[POOL_CLASSES] = {POOL_CLASS_SIZES};
static uint8_t class_of[POOL_SMALL_LIMIT / GUARD_BYTES + 2];  // by (bytes + 7) / 8
static uintptr_t heap;
static uint32_t pages, records;
static PAGE page[HEAP_PAGES];
static RECORD record[HEAP_BYTES / 64];
static char large[LARGE_BYTES];
static size_t large_used;

// The place of a block's record among those of its page, times 2^32; what is below is less than the
// reciprocal exactly where a block begins.
static inline uint64_t number_of(const PAGE *of, uintptr_t offset)
{
    return (uint64_t)of->reciprocal * (offset % PAGE_BYTES);
}

// ---- free blocks -------------------------------------------------------------------------------
#if DUTY >= 3
static SLOT slot[POOL_CLASSES][DEPTH];
static uint32_t slots[POOL_CLASSES];

static inline int is_empty(unsigned class)
{
    return slots[class] == 0;
}

static inline void push(unsigned class, char *block, RECORD *of)
{
    slot[class][slots[class]++] = (SLOT){block, of};
}

static inline SLOT pop(unsigned class)
{
    return slot[class][--slots[class]];
}
#else
static char *first[POOL_CLASSES];

static RECORD *record_of(const char *block)
{
    uintptr_t offset = OFFSET_OF(block);
    const PAGE *of = &page[offset >> POOL_PAGE_SHIFT];
    return &record[of->records + (number_of(of, offset) >> 32)];
}

static inline int is_empty(unsigned class)
{
    return first[class] == NULL;
}

static inline void push(unsigned class, char *block, RECORD *of)
{
    *(char **)block = first[class];
    first[class] = block;
}

static inline SLOT pop(unsigned class)
{
    SLOT taken = {first[class], DUTY >= 1 ? record_of(first[class]) : NULL};
    first[class] = *(char **)taken.block;
    return taken;
}
#endif

static void start(void)
{
    void *base = mmap(NULL, HEAP_BYTES + PAGE_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        abort();
    heap = ((uintptr_t)base + PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1);
    for (unsigned unit = 1, class = 0; unit < sizeof(class_of); unit++) {
        while (class_size[class] < (unit + 1) * GUARD_BYTES)
            class++;
        class_of[unit] = (uint8_t)class;
    }
}

static __attribute__((noinline)) void add_page(unsigned class)
{
    if (heap == 0 || pages == HEAP_PAGES)
        abort();
    unsigned size = class_size[class], blocks = PAGE_BYTES / size;
    page[pages] = (PAGE){(uint32_t)((1ull << 32) / size + 1), class & 63, records & 0x3FFFFFF};
    char *block = (char *)heap + (size_t)pages++ * PAGE_BYTES;
    for (unsigned i = 0; i < blocks; i++)
        push(class, block + (size_t)i * size, &record[records + i]);
    records += blocks;
}

// ---- malloc ------------------------------------------------------------------------------------
static __attribute__((noinline)) void *allocate_large(size_t size)
{
    if (heap == 0)
        start();
    if (size <= POOL_SMALL_LIMIT)
        return malloc(size + (size == 0));
    char *block = large + large_used;
    large_used += (size + 63) & ~(size_t)63;
    if (large_used > LARGE_BYTES)
        abort();
    return block;
}

void *malloc(size_t size)
{
    if (UNLIKELY(size - 1 >= POOL_SMALL_LIMIT) || UNLIKELY(heap == 0))
        return allocate_large(size);
    unsigned class = class_of[(size + GUARD_BYTES - 1) / GUARD_BYTES];
    if (UNLIKELY(is_empty(class)))
        add_page(class);
    SLOT taken = pop(class);
    if (DUTY >= 1)
        *taken.record = (RECORD){(uint16_t)class, (uint16_t)size};
    if (DUTY >= 2)
        *(guard_word *)(taken.block + size) = GUARD_OF(taken.block);
    return taken.block;
}

void free(void *block)
{
    uintptr_t offset = OFFSET_OF(block);
    if (UNLIKELY(offset >= HEAP_BYTES))
        return;  // a large one, or NULL
    const PAGE *of = &page[offset >> POOL_PAGE_SHIFT];
    unsigned class = of->class;
    RECORD *found = NULL;
    if (DUTY >= 1) {
        uint64_t number = number_of(of, offset);
        found = &record[of->records + (number >> 32)];
        RECORD was = *found;
        if (UNLIKELY((uint32_t)number >= of->reciprocal) || UNLIKELY(was.size == 0))
            abort();
        if (DUTY >= 2 &&
            UNLIKELY(*(guard_word *)((char *)block + was.size) != GUARD_OF(block)))
            abort();
        class = was.class;
        *found = (RECORD){was.class, 0};
    }
    push(class, block, found);
}

void *calloc(size_t count, size_t size)
{
    return memset(malloc(count * size), 0, count * size);
}
