// SPDX-License-Identifier: MIT
// The pool's private structures. mm/pool.c tells how they work together.
//
// Lock order (all at DISPATCH_LEVEL): cell lock -> class lock -> pool's growth lock -> record lock
// -> mm. At most one class lock is held at a time.
#pragma once

#include "mm.h"
#include "pool.h"
#include "rtl.h"

// ---- sizes -------------------------------------------------------------------------------------
#define POOL_GRANULARITY   16u    // block sizes are multiples; also the alignment of every block
#define POOL_GUARD         8u     // bytes watched behind every block
#define POOL_CLASS_LARGE   POOL_CLASSES  // the class of requests that take whole pages
#define POOL_CACHE_BATCH   128u   // blocks that move between a cache and the pages at a time
#define POOL_IDLE_SHARE    64u    // of RAM may be empty pages that wait in a pool
#define POOL_LOW_SHARE     16u    // of RAM or address space is left by requests of low priority
#define POOL_NORMAL_SHARE  64u    // and by those of normal priority
#define POOL_SPARE_BATCH   16u    // single pages that are taken from mm at a time
#define POOL_RUN_PAGES     16u    // large blocks of up to so many pages are cached by processors
#define POOL_RUN_DEPTH     7u     // so many of one length at most

// What libpoolmalloc.so has otherwise (bench/host/include/poolsizes.h). A pool's page is a
// machine's here: drivers are promised that no block of a page or less crosses one.
#ifndef POOL_PAGE_SHIFT
#define POOL_PAGE_SHIFT    PAGE_SHIFT
#define POOL_MAP_WORDS     4u     // 64 blocks each: the most that a page is cut into
#define POOL_SMALL_LIMIT   2040u  // larger requests take whole pages
#define POOL_CLASSES       30u
#define POOL_CLASS_SIZES   16,  32,  48,  64,  80,  96,  112, 128, 144, 160, 176, 192, 208, 224,   \
                           240, 256, 272, 288, 304, 336, 368, 400, 448, 512, 576, 672, 816, 1024,  \
                           1360, 2048
#define POOL_CACHE_DEPTH(Size) (32768u / (Size))  // blocks of a class that a processor caches
#define POOL_CACHE_MOST    508u   // but not more than this: two pages hold such a cache
#define POOL_CACHE_LEAST   32u    // nor fewer than this
#define POOL_CLASS_IDLE    MAXULONG  // empty pages that a class keeps to itself
#define POOL_BORROW        0u     // how many classes up a block may come from, before a new page
#define POOL_SPARE_PAGES   64u    // single pages that a pool keeps at most, mapped and unused
#define POOL_PEAKS         TRUE   // are tags' peaks wanted?
#define POOL_CALLERS       TRUE   // and call sites of small blocks?
#define POOL_PROCESSORS    (8u * sizeof(KAFFINITY))
#endif

#define POOL_PAGE_SIZE    (1u << POOL_PAGE_SHIFT)
#define POOL_OFFSET(P)    ((ULONG)((ULONG_PTR)(P) & (POOL_PAGE_SIZE - 1)))  // in its page
#define POOL_PAGES_OF(Bytes) (((Bytes) >> POOL_PAGE_SHIFT) + (POOL_OFFSET(Bytes) != 0))

#define POOL_CELL_LIMIT    16384u
#define POOL_CELL_SPARE    128u   // the last cells are for the overflow tag
#define POOL_BUCKETS       4096u

#define POOL_TAG_NONE      0x656E6F4Eu  // "None": calls without a tag
#define POOL_TAG_PROTECTED 0x80000000u  // a bit of a tag: PL-47
#define POOL_TAG_OVERFLOW  0x6C66764Fu  // "Ovfl": stands for all tags when there are too many

typedef enum _POOL_INDEX { PoolNonPagedExecute, PoolNonPagedNx, PoolPaged, PoolCount } POOL_INDEX;

// What another processor publishes or changes meanwhile. On x86 a plain load of a word is what this
// takes; said to the compiler, it costs the fast paths an instruction, so only the sanitizer is
// told.
#ifdef __SANITIZE_THREAD__
#define ExpReadShared(Field)         __atomic_load_n(&(Field), __ATOMIC_ACQUIRE)
#define ExpWriteShared(Field, Value) __atomic_store_n(&(Field), (Value), __ATOMIC_RELEASE)
#else
#define ExpReadShared(Field)         (Field)
#define ExpWriteShared(Field, Value) ((Field) = (Value))
#endif

// The same where it costs nothing; and for what is changed under a lock and read without it.
#define ExpLoad(Field)         __atomic_load_n(&(Field), __ATOMIC_ACQUIRE)
#define ExpStore(Field, Value) __atomic_store_n(&(Field), (Value), __ATOMIC_RELEASE)

// ---- what is known of one block ----------------------------------------------------------------
// Kept in the bookkeeping region, one array a page, so that no overrun of a block can reach it.
typedef struct _POOL_RECORD {
#if POOL_CALLERS
    ULONG Caller;  // call site of the allocation or, when free, of the free: see ExpExpandCaller
#endif
    union {
        ULONG Owner;      // the two below
        struct {
            USHORT Cell;  // place of its owner's; free: the last one's, without POOL_CELL_LIVE
            USHORT Size;  // bytes asked for; 0: the block is free
        };
    };
} POOL_RECORD;

#if POOL_CALLERS
#define ExpNoteCaller(Record, From) ((Record)->Caller = (ULONG)(From))
#define ExpNotedCaller(Record)      ((Record)->Caller)
#else
#define ExpNoteCaller(Record, From) ((void)(From))
#define ExpNotedCaller(Record)      ((void)(Record), 0u)
#endif

C_ASSERT(sizeof(POOL_RECORD) == (POOL_CALLERS ? 8 : 4));
C_ASSERT(POOL_SMALL_LIMIT <= MAXUSHORT && POOL_PAGE_SHIFT >= PAGE_SHIFT);

// Classes are looked up by (bytes - 1) / 8, which tells them apart since the guard has 8 bytes.
#define POOL_SIZE_UNIT  8u
#define POOL_SIZE_UNITS (POOL_SMALL_LIMIT / POOL_SIZE_UNIT)

C_ASSERT(POOL_GUARD == POOL_SIZE_UNIT && POOL_GRANULARITY % POOL_SIZE_UNIT == 0);

// ---- what is known of one page -----------------------------------------------------------------
typedef enum _POOL_PAGE_STATE {
    PoolPageNone,        // not the pool's
    PoolPageSmall,       // cut into blocks of one class
    PoolPageLarge,       // first page of a block of whole pages
    PoolPageLargeTail,   // a further page of one
    PoolPageLargeFreed,  // was the first page of one, and is not the pool's any more
} POOL_PAGE_STATE;

typedef struct _POOL_PAGE {
    ULONG Reciprocal;          // 2^32 / BlockSize rounded up; 0 unless PoolPageSmall
    USHORT BlockSize;          // bytes
    UCHAR Class;
    UCHAR State;               // POOL_PAGE_STATE
    ULONG Next, Previous; // in the class's list of pages with free blocks: page numbers, 0 ends
    union {
        POOL_RECORD *Records;  // one for each block
        ULONG_PTR Caller;      // large: call site of the allocation or the free
    };
    USHORT FreeCount;          // blocks in FreeMap; those in processors' caches are not free here
    USHORT BlockCount;
    USHORT Cell;               // large
    BOOLEAN Listed;            // in the class's list
    UCHAR Taken;               // in a group's first: see mm/poolbook.c
    DECLSPEC_ALIGN(8) union {
        ULONG64 FreeMap[POOL_MAP_WORDS];  // a bit for each free block
        struct {
            SIZE_T Bytes;      // large: as asked for
            SIZE_T Pages;
        };
        ULONG Head;            // large tail: number of the first page
    };
} POOL_PAGE;

C_ASSERT(sizeof(POOL_PAGE) == 32 + 8 * POOL_MAP_WORDS);

// A page became one of small blocks, or is none any more: for what keeps a free path of its own.
#ifndef ExpNotePage
#define ExpNotePage(Pool, Page) ((void)0)
#endif

#define POOL_GROUP_PAGES (PAGE_SIZE / sizeof(POOL_PAGE))  // whose descriptors fill a page: a group

// ---- a pool ------------------------------------------------------------------------------------
typedef struct DECLSPEC_ALIGN(64) _POOL_CLASS {
    KSPIN_LOCK Lock;   // guards the list and the pages in it
    ULONG First;       // page with free blocks that is used next; 0: none
    ULONG Last;        // empty pages are put here
    ULONG EmptyPages;  // pages in the list without an allocated block
    ULONG Random;      // where in a page blocks are taken from next
} POOL_CLASS;

typedef struct _POOL {
    ULONG_PTR Base;               // of the region
    ULONG_PTR Limit;              // bytes of the region whose pages have descriptors
    POOL_PAGE *Pages;             // descriptors; a page's number is its distance from Base, plus 1
    ULONG_PTR Size;               // bytes of the region
    MM_REGION_TYPE Region;
    POOL_TYPE Type;
    KSPIN_LOCK GrowthLock;        // guards Limit, groups' counts and the one below
    ULONG_PTR EmptyGroups;        // groups of descriptors that are committed and describe no page
    KSPIN_LOCK SpareLock;         // guards the two below
    ULONG SpareCount;
    ULONG Spare[POOL_SPARE_PAGES]; // numbers of pages that wait to be used
    ULONG_PTR EmptyPages;         // of all classes; atomic
    ULONG_PTR PageCount;          // taken from mm, spare ones included; atomic
    POOL_CLASS Class[POOL_CLASSES];
} POOL;

// ---- counters and caches of one processor ------------------------------------------------------
typedef struct _POOL_SLOT {
    PVOID Block;
    POOL_RECORD *Record;
} POOL_SLOT;

// A stack of free blocks. Top and Limit are in bytes, which saves the fast path a multiplication.
typedef struct _POOL_CACHE {
    LONG_PTR Top;    // of the slots in use
    LONG_PTR Limit;  // of all slots
    KIRQL Irql;      // the highest at which blocks of its pool may be allocated and freed
    BOOLEAN Used;    // blocks came or went since the last trim
    POOL_SLOT Slot[];
} POOL_CACHE;

C_ASSERT(POOL_PAGE_SHIFT != PAGE_SHIFT ||
         sizeof(POOL_CACHE) + POOL_CACHE_MOST * sizeof(POOL_SLOT) <= 2 * PAGE_SIZE);

FORCEINLINE POOL_SLOT *ExpSlot(POOL_CACHE *Cache, LONG_PTR Position)
{
    return (POOL_SLOT *)((ULONG_PTR)Cache->Slot + (ULONG_PTR)Position);
}

FORCEINLINE ULONG ExpCached(const POOL_CACHE *Cache)
{
    return (ULONG)((ULONG_PTR)Cache->Top / sizeof(POOL_SLOT));
}

// Requests of one tag, pool and class on one processor: what the fast path needs, and no more.
// Left counts down, so that every so many allocations one is looked at: a new period is granted,
// and the allocation may be a sample for special pool.
//
// Cache comes last: what is before a cell is the end of another.
typedef struct DECLSPEC_ALIGN(8) _POOL_CELL {
    union {
        ULONG64 Identity;    // the same on all processors
        struct {
            ULONG Key;       // pool type and class, see ExpClassKey
            ULONG Tag;
        };
    };
    ULONG_PTR Left;          // until the slow path is to look at one
    ULONG_PTR Frees;         // on this processor, since start, modulo the word
    UCHAR Fill[24 - 3 * sizeof(PVOID)];
    POOL_CACHE *Cache;       // this processor's, or a trap; NULL: large blocks, not watched
} POOL_CELL;

// A cell is named by its place. That is its distance from where a processor's PoolProcessor points,
// in units by which an instruction scales an index (ExpCellAt). A freed block names its last owner
// without POOL_CELL_LIVE, or place 0 if it never had one. That is 8 bytes before a cell, and where
// the tag would be is the end of another: a pointer's upper half, which no tag is equal to. So a
// tag is compared in vain at a free block, and the fast path needs no other test. (Were it equal
// after all, what would be the cache is a small number, and reading there stops the system.)
#define POOL_CELL_UNIT  8u
#define POOL_CELL_STEP  (sizeof(POOL_CELL) / POOL_CELL_UNIT)
#define POOL_CELL_LIVE  1u  // in every place, and not in that of a free block's last owner
#define POOL_CELL_FIRST POOL_CELL_LIVE  // the cell that is nobody's
#define POOL_CELLS_SKIP (sizeof(POOL_CELL) - POOL_CELL_UNIT)  // what PoolProcessor is behind a page

C_ASSERT(sizeof(POOL_CELL) == 32 && POOL_CELL_STEP % 2 == 0);
C_ASSERT(FIELD_OFFSET(POOL_CELL, Cache) == sizeof(POOL_CELL) - sizeof(PVOID));
C_ASSERT(POOL_CELL_LIMIT * POOL_CELL_STEP <= MAXUSHORT + 1u);

#ifdef __x86_64__
#define POOL_DECREMENT "subq $1, %0"
#define POOL_INCREMENT "addq $1, %0"
#else
#define POOL_DECREMENT "subl $1, %0"
#define POOL_INCREMENT "addl $1, %0"
#endif

// One instruction: another processor that sums sees the counter before it or after it. A relaxed
// store in C would take three.
FORCEINLINE VOID ExpCountUp(ULONG_PTR *Counter)
{
    __asm__(POOL_INCREMENT : "+m"(*Counter)::"cc");
}

// TRUE: it has come to its end. In assembly, since the compiler makes four instructions of it.
FORCEINLINE BOOLEAN ExpCountDown(ULONG_PTR *Left)
{
    BOOLEAN Ended;
    __asm__(POOL_DECREMENT : "+m"(*Left), "=@ccz"(Ended));
    return Ended;
}

// The rest of a processor's cell.
typedef struct _POOL_CELL_REST {
    ULONG64 Granted;   // allocations on this processor since start are Granted - Left
    ULONG LargePages;  // large: reserved minus given back on this processor, modulo 2^32
} POOL_CELL_REST;

// What is known of a cell besides: whom it stands for. One for all processors.
typedef struct _POOL_OWNER {
    ULONG Tag, Key;
    PVOID Process;       // charged for the blocks, NULL: nobody; such a cell is trapped
    USHORT Place;        // of the cell
    USHORT Size;         // of a block, bytes; 0 for large ones
    UCHAR Pool;          // POOL_INDEX
    UCHAR Class;
    USHORT Next;         // in the bucket's chain
    USHORT NextOfTag;    // further cell of the same tag
    USHORT FirstOfTag;
    ULONG LargeHigh;     // the most LargePages that a processor had at a time
    ULONG_PTR NonPagedPeak, PagedPeak;  // bytes; in a tag's first cell; atomic
} POOL_OWNER;

// Large blocks of one length that are free on one processor, by their first pages.
typedef struct _POOL_RUNS {
    UCHAR Count;
    BOOLEAN Used;  // since the last trim
    POOL_PAGE *First[POOL_RUN_DEPTH];
} POOL_RUNS;

// What a processor has. Its KPRCB's PoolProcessor points at the cells.
typedef struct _POOL_PROCESSOR {
    PUCHAR Cells;                                 // see ExpCellAt; POOL_CELL_LIMIT reserved
    POOL_CELL_REST *Rest;                         // as many
    ULONG CellsCommitted, RestCommitted;          // bytes of these
    POOL_CACHE *Cache[PoolCount][POOL_CLASSES];   // NULL until the class is first used
    POOL_RUNS Runs[PoolCount][POOL_RUN_PAGES];    // by length in pages, minus 1
    KDPC TrimDpc;                                 // trims the caches there
    volatile BOOLEAN TrimAll;                     // all of them, not only what was not used
} POOL_PROCESSOR;

// ---- state -------------------------------------------------------------------------------------
extern POOL ExpPool[PoolCount];
extern POOL_PROCESSOR *ExpPoolProcessor[];   // by processor number; NULL: not started
extern const USHORT ExpClassSize[POOL_CLASSES + 1];
extern UCHAR ExpClassOfSize[POOL_SIZE_UNITS];
extern ULONG ExpSizeKey[POOL_SMALL_LIMIT + 1];   // by bytes: its class's code word
extern ULONG ExpClassKey[POOL_CLASSES + 1];
extern USHORT ExpBucket[POOL_BUCKETS];
extern POOL_OWNER *ExpOwners;
extern ULONG ExpCellEnd;                     // places below it are in use, that of cell 0 included
extern POOL_CACHE ExpTrap[PoolCount];        // no blocks, and room for none: of trapped cells
extern ULONG64 ExpGuard;                    // what the guards hold
extern const EX_POOL_QUOTA *ExpQuota;        // NULL: there are no processes yet
extern ULONG_PTR ExpZeroByteRequests, ExpPoolFailures;
extern ULONG_PTR ExpBookkeepingPages;

FORCEINLINE POOL_CELL *ExpCellAt(PUCHAR Cells, ULONG Place)
{
    return (POOL_CELL *)(Cells + (SIZE_T)Place * POOL_CELL_UNIT);
}

// This processor's cell at a place. IRQL: DISPATCH_LEVEL.
FORCEINLINE POOL_CELL *ExpCellHere(ULONG Place)
{
    return ExpCellAt(KiReadPoolProcessor(), Place);
}

FORCEINLINE POOL_OWNER *ExpOwnerOf(ULONG Place)
{
    return &ExpOwners[Place / POOL_CELL_STEP];
}

FORCEINLINE POOL_PROCESSOR *ExpCurrentProcessor(VOID)
{
    return ExpPoolProcessor[KeGetCurrentPrcb()->ProcessorNumber];
}

FORCEINLINE POOL_CELL_REST *ExpRestOf(const POOL_PROCESSOR *Processor, ULONG Place)
{
    return &Processor->Rest[Place / POOL_CELL_STEP];
}

FORCEINLINE ULONG64 ExpAllocsOf(const POOL_PROCESSOR *Processor, ULONG Place)
{
    return ExpReadShared(ExpRestOf(Processor, Place)->Granted)
         - (ULONG64)(LONG_PTR)ExpLoad(ExpCellAt(Processor->Cells, Place)->Left);
}

FORCEINLINE BOOLEAN ExpIsTrapped(const POOL_CELL *Cell)
{
    return Cell->Cache->Limit == 0;
}

FORCEINLINE VOID ExpMarkFree(POOL_RECORD *Record)
{
    ExpStore(Record->Cell, (USHORT)(Record->Cell & ~POOL_CELL_LIVE));
    ExpStore(Record->Size, 0);
}

FORCEINLINE ULONG64 ExpIdentity(ULONG Tag, ULONG Key)
{
    return (ULONG64)Tag << 32 | Key;
}

// Key: the pool type as drivers pass it (its modifiers stripped) in the low 11 bits, a code word
// for the class above. All code words have ten bits set, so that stray bits in a type never turn
// one into another.
#define POOL_KEY_TYPE_BITS 11
#define POOL_KEY_CHARGED   2u  // with it the type is that of no request: blocks a process pays for

FORCEINLINE ULONG ExpPageNumber(const POOL *Pool, const POOL_PAGE *Page)
{
    return (ULONG)(Page - Pool->Pages) + 1;
}

FORCEINLINE POOL_PAGE *ExpPageOfNumber(const POOL *Pool, ULONG Number)
{
    return &Pool->Pages[Number - 1];
}

FORCEINLINE POOL_PAGE *ExpPageOfOffset(const POOL *Pool, ULONG_PTR Offset)
{
    ULONG_PTR Distance = Offset >> (POOL_PAGE_SHIFT - 6) & ~(ULONG_PTR)(sizeof(POOL_PAGE) - 1);
    POOL_PAGE *Page = (POOL_PAGE *)((ULONG_PTR)Pool->Pages + Distance);
    if (Page == NULL)
        __builtin_unreachable();
    return Page;
}

FORCEINLINE ULONG_PTR ExpPageAddress(const POOL *Pool, const POOL_PAGE *Page)
{
    return Pool->Base + ((ULONG_PTR)(Page - Pool->Pages) << POOL_PAGE_SHIFT);
}

// The pool in whose described part Address lies, or NULL.
FORCEINLINE POOL *ExpPoolOfAddress(ULONG_PTR Address)
{
    for (ULONG Index = 0; Index < PoolCount; Index++)
        if (Address - ExpPool[Index].Base < ExpLoad(ExpPool[Index].Limit))
            return &ExpPool[Index];
    return NULL;
}

// A full code address from the 32 bits that records keep of it.
ULONG_PTR ExpExpandCaller(ULONG Caller);

// What became of an attempt on this processor's cache: done; or done, and the cell's period is at
// its end; there is no room; or the slow path is to see the request, since the cell is not the one,
// the IRQL is too high or the cache empty.
typedef enum _POOL_RESULT { PoolDone, PoolEnded, PoolFull, PoolSlow } POOL_RESULT;

#ifdef _AMD64_
#include "amd64/poolarch.h"
#else
#include "i386/poolarch.h"
#endif

// ---- a request ---------------------------------------------------------------------------------
#define POOL_SESSION 32u  // pool type: in the space of the current session

typedef struct _POOL_REQUEST {
    POOL_TYPE Type;
    SIZE_T Bytes;
    ULONG Tag;
    EX_POOL_PRIORITY Priority;
    ULONG_PTR Caller;  // the code that asked
    PVOID Process;     // that pays for the block, or NULL
    BOOLEAN Special;   // special pool would be welcome
} POOL_REQUEST;

// pool.c. A checked request's block. Misuse is a bugcheck. Fails: NULL, nothing is raised.
PVOID ExpAllocate(POOL_REQUEST *Request);
POOL_INDEX ExpPoolOfType(POOL_TYPE Type);
// Where the fast paths jump to: everything that they do not do.
DECLSPEC_NOINLINE PVOID ExpAllocateSlow(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag, ULONG_PTR Caller);
DECLSPEC_NOINLINE VOID ExpFreeSlow(PVOID P, ULONG Tag, ULONG_PTR Caller);
// A block whose free was found to be in order goes into the cache, which is full or a trap.
DECLSPEC_NOINLINE VOID ExpPushOrFlush(PVOID Block, POOL_RECORD *Record, ULONG_PTR Caller);
// A block that was taken and counted goes back, as if it had not been.
DECLSPEC_NOINLINE VOID ExpPutBack(USHORT Cell, PVOID Block, POOL_RECORD *Record);
ULONG ExpClassOfRequest(POOL_TYPE Type, SIZE_T Bytes);

// A process gets back what it paid for a block of Bytes, if the cell is such a one.
FORCEINLINE VOID ExpReturnCharge(const POOL_OWNER *Owner, SIZE_T Bytes)
{
    if (Owner->Process != NULL)
        ExpQuota->Return(Owner->Process, ExpPool[Owner->Pool].Type, Bytes);
}

// ---- guards ------------------------------------------------------------------------------------
typedef ULONG64 __attribute__((aligned(1), may_alias)) POOL_GUARD_WORD;

FORCEINLINE POOL_GUARD_WORD *ExpGuardOf(PVOID Block, SIZE_T Bytes)
{
    return (POOL_GUARD_WORD *)((ULONG_PTR)Block + Bytes);
}

// A block of whole pages has a guard when its last page has room for it.
FORCEINLINE BOOLEAN ExpIsLargeGuarded(SIZE_T Bytes)
{
    return BYTE_OFFSET(Bytes + POOL_GUARD - 1) >= POOL_GUARD;
}

C_ASSERT(sizeof(POOL_GUARD_WORD) == POOL_GUARD);

// What the guard of a block holds: the same for all, and a secret.
#ifndef ExpGuardFor
#define ExpGuardFor(Block) ((void)(Block), ExpGuard)
#endif

// ---- poolspecial.c: blocks alone in a page -----------------------------------------------------
typedef struct _POOL_SPECIAL {
    PVOID Block;
    ULONG Bytes, Tag;
    ULONG_PTR Caller, FreedBy;
    BOOLEAN Freed;
    BOOLEAN Guard;  // the address asked for lies in the guard behind or before the block
} POOL_SPECIAL;

extern SIZE_T ExpSpecialLive[PoolCount];
extern ULONG_PTR ExpSpecialServed, ExpSpecialMissed;

BOOLEAN ExpInitializeSpecial(VOID);  // Fails: no address space
PVOID ExpAllocateSpecial(const POOL_REQUEST *Request, USHORT Cell);
BOOLEAN ExpIsSpecial(const VOID *Address);
VOID ExpFreeSpecial(PVOID P, ULONG Tag, ULONG_PTR Caller);
// What is known of the block that an address is in, or behind. IRQL: any; no lock.
BOOLEAN ExpQuerySpecial(const VOID *Address, POOL_SPECIAL *Special);
BOOLEAN ExpQuerySpecialBlock(const VOID *Address, EX_POOL_BLOCK *Block);
typedef VOID POOL_VISITOR(const EX_POOL_BLOCK *Block, PVOID Context);
VOID ExpVisitSpecial(POOL_VISITOR *Visit, PVOID Context);  // all that are allocated

// ---- poolquery.c -------------------------------------------------------------------------------
VOID ExpVisitAllocated(POOL_VISITOR *Visit, PVOID Context);
VOID ExpPrintBlock(const EX_POOL_BLOCK *Block, BOOLEAN Wanted);  // a line; Wanted: with its stack

// ---- poolverify.c: who is watched more closely -------------------------------------------------
extern BOOLEAN ExpSpecialUnderrun;  // the default side
VOID ExpInitializeVerifier(VOID);  // options -> what cells are trapped
VOID ExpStartVerifier(VOID);       // pools -> special pool
BOOLEAN ExpIsWatched(ULONG Tag);                       // are cells of this tag trapped?
BOOLEAN ExpWantsSpecial(const POOL_REQUEST *Request);  // by option; samples not counted
ULONG_PTR ExpSamplePeriod(VOID);  // how many allocations of a cell until one is looked at
BOOLEAN ExpIsSampling(VOID);

// ---- pooltrack.c: call stacks of live blocks ---------------------------------------------------
extern BOOLEAN ExpTracking;
VOID ExpTrack(PVOID Block, const POOL_REQUEST *Request);
VOID ExpUntrack(PVOID Block, ULONG_PTR Caller);
typedef VOID POOL_SAY(const char *Line);
VOID ExpSayTrace(PVOID Block, POOL_SAY *Say);  // the callers of the allocation's call site
// Who allocated a block that may have been freed since; 0: nobody knows.
ULONG_PTR ExpAllocatorOf(PVOID Block);
VOID ExpLogHistory(PVOID Block);  // for a bugcheck: both stacks, if they are known
VOID ExpPrintDrivers(VOID);       // how much each driver has, and had at most

// ---- poolname.c: what tags stand for -----------------------------------------------------------
BOOLEAN ExpHasTagNames(VOID);
// "binary - description", or that nobody knows: FALSE.
BOOLEAN ExpDescribeTag(ULONG Tag, char *Buffer, SIZE_T Size);

// ---- poolpage.c: pages and their blocks --------------------------------------------------------
BOOLEAN ExpInitializePages(VOID);
// Moves blocks between the pages and this processor's cache. IRQL: DISPATCH_LEVEL.
BOOLEAN ExpRefill(POOL *Pool, ULONG Class, POOL_CACHE *Cache);
VOID ExpFlush(POOL *Pool, ULONG Class, POOL_CACHE *Cache, ULONG Count);
POOL_CACHE *ExpCreateCache(ULONG Pool, ULONG Class);
// Everything that is not in use goes back to mm; returns how many pages did.
ULONG ExpReclaim(POOL *Pool);
// Waits until other processors have given back what ExpReclaim asked of them. IRQL: <= APC_LEVEL.
VOID ExpAwaitTrims(VOID);
// Is there so much memory that a request of this priority may have some of it? IRQL: any.
BOOLEAN ExpIsPlentyFor(const POOL *Pool, const POOL_REQUEST *Request);
KDEFERRED_ROUTINE ExpTrimDpc;
// Pages of a pool, with descriptors. IRQL: DISPATCH_LEVEL. Fails: NULL.
POOL_PAGE *ExpGetPages(POOL *Pool, SIZE_T Pages);
VOID ExpPutPages(POOL *Pool, POOL_PAGE *Page, SIZE_T Pages);

// ---- poollarge.c: blocks of whole pages --------------------------------------------------------
// The fast path; what it does not do, ExpAllocateSlow and ExpFreeSlow do.
PVOID ExpAllocateRun(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag, ULONG_PTR Caller);
VOID ExpFreeRun(PVOID P, ULONG Tag, ULONG_PTR Caller);
// The rest at DISPATCH_LEVEL. A block for a cell, counted. Fails: NULL.
PVOID ExpAllocateLarge(USHORT Cell, SIZE_T Bytes, ULONG_PTR Caller);
// IRQL: <= DISPATCH_LEVEL.
VOID ExpFreeLarge(POOL *Pool, POOL_PAGE *Page, PVOID P, ULONG Tag, ULONG_PTR Caller);
// This processor's runs go back: those of lengths that were not used lately, or all.
VOID ExpReleaseRuns(POOL_PROCESSOR *Processor, POOL *Pool, BOOLEAN All);

// ---- poolbook.c: memory for descriptors, records and what else the pools know ------------------
extern ULONG_PTR ExpRecordPages, ExpEmptyRecordPages;  // committed; of these, without a record

BOOLEAN ExpInitializeRecords(VOID);
// Zeroed memory for bookkeeping that is never given back. IRQL: <= DISPATCH_LEVEL. Fails: NULL.
PVOID ExpAllocateBookkeeping(SIZE_T Bytes);
// Makes [Start, Start + Bytes) of a reserved array usable; whole pages. Fails: FALSE.
BOOLEAN ExpCommitBookkeeping(PVOID Start, SIZE_T Bytes);
// All below at DISPATCH_LEVEL. An array of at least Blocks zeroed records. Fails: NULL.
POOL_RECORD *ExpAllocateRecords(ULONG Blocks);
VOID ExpFreeRecords(POOL_RECORD *Records);
// The pool's Pages pages at Offset in its region get descriptors, or need them no longer. A
// descriptor that was never needed, or has gone back, reads as zeroes. Fails: FALSE.
BOOLEAN ExpDescribePages(POOL *Pool, ULONG_PTR Offset, SIZE_T Pages);
VOID ExpForgetPages(POOL *Pool, ULONG_PTR Offset, SIZE_T Pages);
// What is empty goes back to mm until Keep pages of it are left.
VOID ExpReleaseGroups(POOL *Pool, ULONG_PTR Keep, MM_FLUSH *Flush);
VOID ExpReleaseRecordPages(ULONG_PTR Keep);
// Between these two no records go back: for those who look at blocks that are not their own, and
// take no lock. IRQL: any.
VOID ExpHoldBookkeeping(VOID);
VOID ExpLetGoOfBookkeeping(VOID);

// ---- pooltag.c: cells --------------------------------------------------------------------------
// The cell of a tag, pool, class and charged process (NULL: none), made when it is new. Fails: 0
// when memory is used up.
VOID ExpNotePeak(USHORT Cell);  // of the cell's tag
VOID ExpNotePeaks(VOID);        // of all
VOID ExpNoteLargePeak(USHORT Cell, ULONG Pages);  // the same, when LargeHigh was passed
USHORT ExpFindCell(ULONG Tag, POOL_INDEX Pool, ULONG Class, PVOID Process);

typedef struct _POOL_TAG_TEXT { char Text[5]; } POOL_TAG_TEXT;
POOL_TAG_TEXT ExpTagText(ULONG Tag);  // a dot for what cannot be printed
BOOLEAN ExpIsTagLike(ULONG Tag, const char *Pattern);  // with ? and *; ends at NUL, blank or comma

FORCEINLINE BOOLEAN ExpTagMatches(const POOL_OWNER *Owner, ULONG Tag)
{
    return Tag == 0 || Owner->Tag == Tag || Owner->Tag == POOL_TAG_OVERFLOW;
}

// ---- poolbug.c: what is wrong with a request ---------------------------------------------------
VOID ExpCheckRequest(const POOL_REQUEST *Request);
VOID ExpCheckQuotaRequest(const POOL_REQUEST *Request);  // besides
DECLSPEC_NORETURN VOID ExpReportFreeIrql(PVOID P, POOL_TYPE Type, KIRQL Irql, ULONG_PTR Caller);
DECLSPEC_NORETURN VOID ExpReportTag(PVOID P, const POOL_OWNER *Owner, ULONG Tag,
                                    ULONG_PTR AllocatedBy, ULONG_PTR Caller);
DECLSPEC_NORETURN VOID ExpReportOverrun(PVOID P, SIZE_T Bytes, const POOL_OWNER *Owner,
                                        ULONG_PTR AllocatedBy, ULONG_PTR Caller);
DECLSPEC_NORETURN VOID ExpReportBadPointer(PVOID P, ULONG_PTR Caller);
DECLSPEC_NORETURN VOID ExpReportFreedWrite(PVOID P, PVOID Where);
DECLSPEC_NORETURN VOID ExpReportSpecialFree(PVOID P, const POOL_SPECIAL *Special, ULONG_PTR Caller);
DECLSPEC_NORETURN VOID ExpReportSpecialPointer(PVOID P, const POOL_SPECIAL *Special, ULONG Kind,
                                               ULONG_PTR Caller);
DECLSPEC_NORETURN VOID ExpReportSpecialIrql(const POOL_SPECIAL *Special, POOL_TYPE Type, KIRQL Irql,
                                            ULONG_PTR Caller);
DECLSPEC_NORETURN VOID ExpReportSpecialPattern(const POOL_SPECIAL *Special, PVOID Where,
                                               UCHAR Pattern, ULONG Kind, ULONG_PTR Caller);
// Where an address that was touched lies. Returns the length, as RtlFormat.
int ExpSayWhereInSpecial(char *Buffer, SIZE_T Size, ULONG_PTR Address, const POOL_SPECIAL *Special);

// ---- poolcheck.c -------------------------------------------------------------------------------
// The checked build fills free blocks and looks at them when they are used again.
#if DBG
VOID ExpFillFreed(PVOID P, SIZE_T Bytes);
VOID ExpCheckFreed(PVOID P, SIZE_T Bytes);
#else
#define ExpFillFreed(P, Bytes)  ((void)(P), (void)(Bytes))
#define ExpCheckFreed(P, Bytes) ((void)(P), (void)(Bytes))
#endif
