// SPDX-License-Identifier: MIT
// i386: where the pool's fast path (poolfast.S) jumps to with what is not usual. The arguments are
// where the caller put them, and the return address is the caller's.
#include "../poolp.h"

#include "poolfast.h"

C_ASSERT(FIELD_OFFSET(KPCR, Irql) == PCR_IRQL);
C_ASSERT(FIELD_OFFSET(KPCR, PrcbData.PoolProcessor) == PCR_CELLS);
C_ASSERT(FIELD_OFFSET(POOL_CELL, Key) == CELL_KEY && FIELD_OFFSET(POOL_CELL, Tag) == CELL_TAG);
C_ASSERT(FIELD_OFFSET(POOL_CELL, Left) == CELL_LEFT);
C_ASSERT(FIELD_OFFSET(POOL_CELL, Frees) == CELL_FREES);
C_ASSERT(FIELD_OFFSET(POOL_CELL, Cache) == CELL_CACHE && POOL_CELL_UNIT == 8);
C_ASSERT(FIELD_OFFSET(POOL_CACHE, Top) == 0 && FIELD_OFFSET(POOL_CACHE, Limit) == CACHE_LIMIT);
C_ASSERT(FIELD_OFFSET(POOL_CACHE, Irql) == CACHE_IRQL && sizeof(POOL_SLOT) == 8);
C_ASSERT(FIELD_OFFSET(POOL_CACHE, Slot[0].Block) == CACHE_BLOCK);
C_ASSERT(FIELD_OFFSET(POOL_CACHE, Slot[0].Record) == CACHE_RECORD);
C_ASSERT(FIELD_OFFSET(POOL_RECORD, Caller) == 0 && sizeof(POOL_RECORD) == 8);
C_ASSERT(FIELD_OFFSET(POOL_RECORD, Cell) == RECORD_CELL);
C_ASSERT(FIELD_OFFSET(POOL_RECORD, Size) == RECORD_SIZE);
C_ASSERT(FIELD_OFFSET(POOL_PAGE, Reciprocal) == PAGE_RECIPROCAL && sizeof(POOL_PAGE) == 64);
C_ASSERT(FIELD_OFFSET(POOL_PAGE, Records) == PAGE_RECORDS);
C_ASSERT(FIELD_OFFSET(POOL, Base) == POOL_BASE && FIELD_OFFSET(POOL, Limit) == POOL_LIMIT);
C_ASSERT(FIELD_OFFSET(POOL, Pages) == POOL_PAGES && sizeof(POOL) == POOL_BYTES);
C_ASSERT(POOL_SMALL_LIMIT == 2040 && POOL_SIZE_UNIT == 8 && PoolCount == 3);
C_ASSERT(POOL_HASH_FACTOR == 0x9E3779B1u && POOL_HASH_SHIFT == 20);

PVOID NTAPI ExpAllocateEntry(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag);
PVOID FASTCALL ExpAllocateEndedEntry(PVOID Block, POOL_RECORD *Record, POOL_TYPE Type, SIZE_T Bytes,
                                     ULONG Tag);
VOID NTAPI ExpFreeEntry(PVOID P, ULONG Tag);
VOID NTAPI ExpFreeAnyEntry(PVOID P);
VOID FASTCALL ExpFreeFullEntry(PVOID Block, POOL_RECORD *Record, PVOID P, ULONG Tag);
VOID FASTCALL ExpFreeAnyFullEntry(PVOID Block, POOL_RECORD *Record, PVOID P);

PVOID NTAPI ExpAllocateEntry(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag)
{
    if (Bytes > POOL_SMALL_LIMIT)
        return ExpAllocateRun(Type, Bytes, Tag, KiReturnAddress());
    return ExpAllocateSlow(Type, Bytes, Tag, KiReturnAddress());
}

// The block was taken and counted, and with it its cell's period ended: it goes back.
PVOID FASTCALL ExpAllocateEndedEntry(PVOID Block, POOL_RECORD *Record, POOL_TYPE Type, SIZE_T Bytes,
                                     ULONG Tag)
{
    ULONG64 Identity = ExpIdentity(Tag, (ULONG)Type | ExpSizeKey[Bytes]);
    ExpPutBack(ExpBucket[ExpBucketOf(Identity)], Block, Record);
    return ExpAllocateSlow(Type, Bytes, Tag, KiReturnAddress());
}

VOID NTAPI ExpFreeEntry(PVOID P, ULONG Tag)
{
    ExpFreeRun(P, Tag, KiReturnAddress());
}

VOID NTAPI ExpFreeAnyEntry(PVOID P)
{
    ExpFreeRun(P, 0, KiReturnAddress());
}

// All is in order, but the cache is full, or the cell trapped.
VOID FASTCALL ExpFreeFullEntry(PVOID Block, POOL_RECORD *Record, PVOID P, ULONG Tag)
{
    ExpPushOrFlush(Block, Record, KiReturnAddress());
}

VOID FASTCALL ExpFreeAnyFullEntry(PVOID Block, POOL_RECORD *Record, PVOID P)
{
    ExpPushOrFlush(Block, Record, KiReturnAddress());
}

VOID NTAPI ExFreePool2(PVOID P, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                       ULONG ExtendedParametersCount)
{
    ExpFreeSlow(P, Tag, KiReturnAddress());
}
