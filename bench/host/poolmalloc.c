// SPDX-License-Identifier: MIT
// libpoolmalloc.so: the kernel's pool as malloc, for LD_PRELOAD.
//
// Problem. An allocator is as good as the programs that run on it. The pool's own tests are ours;
// gcc's, python's and a database's patterns are not, and there are other allocators to compare with
// side by side.
//
// Idea. The pool's sources as they are (mm/pool*.c), with a thread for a processor: each thread has
// its own cells and caches, handed on to a later one when it ends. Everything is one tag in the
// nonpaged pool. All misuse that the pool sees ends the program with the sentence that names it.
//
// malloc and free are the fast path once more, in fewer instructions and cache lines, since the tag
// and the type are known: a thread finds its cell by the size that is asked for, without hashing;
// what a free needs to know of a page is in an array of its own, of 16 bytes a page; a record is
// the owner and the size, nobody's call site; and a guard is made from its block's address.
//
// Alignment up to a page is the pool's own; beyond that a larger block is taken, and a short list
// remembers which address inside it was given out.
//
// Limits. THREADS at a time; a further one's requests fail.
//
// Observability: bench/host/alloc.c measures it; tests/system/test_malloc.py runs programs on it.
#include "hostkernel.h"
#include "mm/amd64/poolfast.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED    __attribute__((visibility("default")))
#define THREADS     POOL_PROCESSORS
#define MALLOC_TAG  0x636C614Du  // "Malc"
#define CACHE_LINE  64u
#define ALIASES     1024u

EXPORTED void *malloc(size_t size);
EXPORTED void free(void *block);
EXPORTED void *calloc(size_t count, size_t size);
EXPORTED void *realloc(void *block, size_t size);
EXPORTED void *reallocarray(void *block, size_t count, size_t size);
EXPORTED void *memalign(size_t alignment, size_t size);
EXPORTED void *aligned_alloc(size_t alignment, size_t size);
EXPORTED int posix_memalign(void **block, size_t alignment, size_t size);
EXPORTED void *valloc(size_t size);
EXPORTED void *pvalloc(size_t size);
EXPORTED size_t malloc_usable_size(void *block);

// Until a thread has a processor its cells are nobody's: no identity is theirs, and they have no
// blocks, so all requests come to the slow path. Never written.
static UCHAR no_cells[(MAXUSHORT + 1u) * POOL_CELL_UNIT + sizeof(POOL_CELL)];
static POOL_CACHE no_cache;
static POOL_CELL no_cell = {.Cache = &no_cache};

__thread PVOID PmCells = no_cells;

// The thread's cells of the sizes that it has asked for, and their places.
#define UNIT_OF(Size) (((Size) + POOL_SIZE_UNIT - 1) / POOL_SIZE_UNIT)
#define UNITS         (UNIT_OF(POOL_SMALL_LIMIT) + 1)

static __thread struct {
    POOL_CELL *cell[UNITS];
    USHORT place[UNITS];
} mine = {.cell = {[0 ... UNITS - 1] = &no_cell}};

// ---- threads -----------------------------------------------------------------------------------
static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t thread_key;
static ULONG idle_number[THREADS], idle_count, next_number;
static int started;

// The cells and caches of a thread that ends wait for the next one.
static void end_thread(void *number)
{
    pthread_mutex_lock(&start_lock);
    PmCells = no_cells;
    for (size_t unit = 0; unit < UNITS; unit++)
        mine.cell[unit] = &no_cell;
    idle_number[idle_count++] = (ULONG)(ULONG_PTR)number - 1;
    pthread_mutex_unlock(&start_lock);
}

static int start_pool(void)
{
    if (!PmStartMemory())
        return 0;
    ExInitializePool();
    PmCells = HostPrcb.PoolProcessor;
    next_number = 1;
    return 1;
}

static int adopt_number(ULONG number, int is_new)
{
    HostPrcb.ProcessorNumber = (UCHAR)number;
    if (is_new && !ExInitializePoolProcessor(&HostPrcb))
        return 0;
    PmCells = ExpPoolProcessor[number]->Cells;
    return 1;
}

// Called with the lock held. The number of the processor that this thread is from now on; -1: none.
static int take_number(void)
{
    if (started)
        return idle_count != 0       ? adopt_number(idle_number[idle_count - 1], 0)
                                         ? (int)idle_number[--idle_count]
                                         : -1
               : next_number < THREADS ? adopt_number(next_number, 1) ? (int)next_number++ : -1
                                       : -1;
    started = start_pool();
    return started ? 0 : -1;
}

static __attribute__((noinline)) int start_thread(void)
{
    pthread_mutex_lock(&start_lock);
    int first = !started, number = take_number();
    pthread_mutex_unlock(&start_lock);
    if (first && number >= 0) {
        pthread_key_create(&thread_key, end_thread);
        PmWatchForks();
    }
    if (number >= 0)
        pthread_setspecific(thread_key, (void *)(ULONG_PTR)(number + 1));
    return number >= 0;
}

#define READY() (PmCells != no_cells || start_thread())

// ---- addresses inside larger blocks ------------------------------------------------------------
static struct { void *given, *block; } alias[ALIASES];
static volatile ULONG aliases;
static KSPIN_LOCK alias_lock;

static int remember_alias(void *given, void *block)
{
    int done = 0;
    KiAcquireLockAtDpcLevel(&alias_lock);
    for (ULONG i = 0; i < ALIASES && !done; i++)
        if (alias[i].given == NULL) {
            alias[i].given = given;
            alias[i].block = block;
            aliases++;
            done = 1;
        }
    KiReleaseLockFromDpcLevel(&alias_lock);
    return done;
}

// The block in which an address was given out; the address itself when it is a block's start.
static void *block_of(void *given, int forget)
{
    void *block = given;
    if (__builtin_expect(aliases == 0 || BYTE_OFFSET(given) != 0, 1))
        return given;
    KiAcquireLockAtDpcLevel(&alias_lock);
    for (ULONG i = 0; i < ALIASES; i++)
        if (alias[i].given == given) {
            block = alias[i].block;
            if (forget) {
                alias[i].given = NULL;
                aliases--;
            }
        }
    KiReleaseLockFromDpcLevel(&alias_lock);
    return block;
}

// ---- malloc ------------------------------------------------------------------------------------
static __attribute__((noinline)) void *refuse(void)
{
    errno = ENOMEM;
    return NULL;
}

static void note_place(size_t size)
{
    ULONG64 identity = ExpIdentity(MALLOC_TAG, NonPagedPoolNx | ExpSizeKey[size]);
    ULONG place = ExpReadShared(ExpBucket[ExpBucketOf(identity)]);
    if (place == 0 || ExpCellHere(place)->Identity != identity)
        return;
    mine.cell[UNIT_OF(size)] = ExpCellHere(place);
    mine.place[UNIT_OF(size)] = (USHORT)place;
}

static __attribute__((noinline)) void *allocate_slowly(size_t size)
{
    if (!READY())
        return refuse();
    void *block = ExAllocatePoolWithTag(NonPagedPoolNx, size != 0 ? size : 1, MALLOC_TAG);
    if (block == NULL)
        return refuse();
    if (size - 1 < POOL_SMALL_LIMIT)
        note_place(size);
    return block;
}

static __attribute__((noinline)) void *allocate_ended(size_t size, ULONG_PTR place, PVOID block,
                                                      POOL_RECORD *record)
{
    ExpPutBack((USHORT)place, block, record);
    return allocate_slowly(size);
}

// 0 bytes are no cell's.
void *malloc(size_t size)
{
    POOL_SLOT slot;
    if (__builtin_expect(size > POOL_SMALL_LIMIT, 0))
        return allocate_slowly(size);
    ULONG_PTR place = mine.place[UNIT_OF(size)];
    POOL_RESULT result = ExpPopFrom(mine.cell[UNIT_OF(size)], &slot);
    if (__builtin_expect(result == PoolSlow, 0))
        return allocate_slowly(size);
    if (__builtin_expect(result == PoolEnded, 0))
        return allocate_ended(size, place, slot.Block, slot.Record);
    return ExpFinishBlock(&slot, place, size, 0);
}

static __attribute__((noinline)) void free_slowly(void *block)
{
    if (block != NULL && READY())
        ExFreePoolWithTag(block_of(block, 1), MALLOC_TAG);
}

// All blocks are in one pool. An address inside a larger block is no small block's: block_of is not
// asked here.
void free(void *block)
{
    ULONG_PTR offset = (ULONG_PTR)block - PmHeap.Base;
    if (__builtin_expect(offset >= PmHeap.Size, 0))
        return free_slowly(block);
    const PM_PAGE *page = PmPageOfOffset(offset);
    POOL_RECORD *record = ExpRecordAt(page->Reciprocal, page->Records, block);
    if (__builtin_expect(record == NULL, 0))
        return free_slowly(block);
    ULONG owner = record->Owner;
    if (__builtin_expect(*ExpGuardOf(block, owner >> 16) != ExpGuardFor(block), 0) ||
        __builtin_expect(ExpPushHere(MALLOC_TAG, (USHORT)owner, block, record) != PoolDone, 0))
        free_slowly(block);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return refuse();
    void *block = malloc(bytes);
    return block != NULL ? memset(block, 0, bytes) : NULL;
}

static size_t size_of(void *block)
{
    EX_POOL_BLOCK found;
    void *start = block_of(block, 0);
    if (!ExQueryPoolBlock(start, &found))
        return 0;
    return found.Size - (size_t)((char *)block - (char *)start);
}

size_t malloc_usable_size(void *block)
{
    return block != NULL ? size_of(block) : 0;
}

void *realloc(void *block, size_t size)
{
    if (block == NULL)
        return malloc(size);
    size_t old = size_of(block);
    if (size <= old && size > old / 2)
        return block;
    void *moved = malloc(size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, block, old < size ? old : size);
    free(block);
    return moved;
}

void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? refuse() : realloc(block, bytes);
}

// ---- aligned -----------------------------------------------------------------------------------
static void *align_beyond_a_page(size_t alignment, size_t size)
{
    if (size + alignment < size)
        return refuse();
    char *block = malloc(size + alignment);
    if (block == NULL)
        return NULL;
    char *given = (char *)(((ULONG_PTR)block + alignment - 1) & ~(alignment - 1));
    if (given == block || remember_alias(given, block))
        return given;
    free(block);
    return refuse();
}

void *memalign(size_t alignment, size_t size)
{
    if (alignment <= MEMORY_ALLOCATION_ALIGNMENT)
        return malloc(size);
    if (alignment > PAGE_SIZE)
        return align_beyond_a_page(alignment, size);
    if (alignment > CACHE_LINE)
        return malloc(size < PAGE_SIZE ? PAGE_SIZE : size);
    if (!READY())
        return refuse();
    void *block = ExAllocatePoolWithTag(NonPagedPoolNxCacheAligned, size != 0 ? size : 1,
                                        MALLOC_TAG);
    return block != NULL ? block : refuse();
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    void *given = memalign(alignment, size);
    if (given == NULL)
        return ENOMEM;
    *block = given;
    return 0;
}

void *valloc(size_t size)
{
    return memalign(PAGE_SIZE, size);
}

void *pvalloc(size_t size)
{
    return memalign(PAGE_SIZE, ROUND_TO_PAGES(size));
}
