// SPDX-License-Identifier: MIT
// The pool's fast path, amd64: ExAllocatePoolWithTag and ExFreePoolWithTag as they nearly always
// go.
//
// mm/pool.c tells what a cell and a cache are, and why nothing is locked and no IRQL raised here;
// poolfast.h has the parts. Everything that is not usual ends in the slow path, by a jump. i386
// does the same in assembly (mm/i386/poolfast.S).
#include "poolfast.h"

// Leaf routines that must stay short do without a frame where every call they make is a jump: with
// arguments in registers. A backtrace misses nothing then.
#ifdef __clang__
#define POOL_HOT __attribute__((POOL_SECTION))
#else
#define POOL_HOT                                                                                   \
    __attribute__((optimize("omit-frame-pointer", "optimize-sibling-calls"), POOL_SECTION))
#endif
#define POOL_SECTION section(".text.restart")  // where code that starts again has to be

// ---- allocation --------------------------------------------------------------------------------
// A request's type and tag are in its cell's identity, and there is no register to spare for what
// is rarely needed again. (Bits of a type that a class's code word has too are not found; they made
// no difference.)
static DECLSPEC_NOINLINE PVOID ExpAllocateIdentity(ULONG64 Identity, SIZE_T Bytes,
                                                   ULONG_PTR Caller)
{
    ULONG Type = (ULONG)Identity & ~ExpSizeKey[Bytes];
    return ExpAllocateSlow((POOL_TYPE)Type, Bytes, (ULONG)(Identity >> 32), Caller);
}

// A block was taken and counted, and with it its cell's period ended: it goes back, and the slow
// path allocates.
static DECLSPEC_NOINLINE PVOID ExpAllocateEnded(ULONG64 Identity, SIZE_T Bytes, PVOID Block,
                                                POOL_RECORD *Record)
{
    ExpPutBack(ExpBucket[ExpBucketOf(Identity)], Block, Record);
    return ExpAllocateIdentity(Identity, Bytes, KiReturnAddress());
}

POOL_HOT PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    POOL_SLOT Slot;
    if (__builtin_expect(NumberOfBytes > POOL_SMALL_LIMIT, 0))
        return ExpAllocateRun(PoolType, NumberOfBytes, Tag, KiReturnAddress());
    ULONG Key = (ULONG)PoolType | ExpSizeKey[NumberOfBytes];
    ULONG64 Identity = ExpIdentity(Tag, Key);
    ULONG_PTR Cell = ExpReadShared(ExpBucket[ExpBucketOf(Identity)]);
    __asm__("" : "+r"(Cell));  // GCC would keep it twice, as a word and as half of one
    POOL_RESULT Result = ExpPopHere(Identity, Cell, &Slot);
    if (__builtin_expect(Result == PoolSlow, 0))
        return ExpAllocateIdentity(Identity, NumberOfBytes, KiReturnAddress());
    if (__builtin_expect(Result == PoolEnded, 0))
        return ExpAllocateEnded(Identity, NumberOfBytes, Slot.Block, Slot.Record);
    return ExpFinishBlock(&Slot, Cell, NumberOfBytes, KiReturnAddress());
}

// ---- free --------------------------------------------------------------------------------------
// The checked build fills the block, once its tag and the IRQL have proved right.
FORCEINLINE BOOLEAN ExpFillIfOwned(PVOID P, const POOL_RECORD *Record, ULONG Tag)
{
#if DBG
    const POOL_OWNER *Owner = ExpOwnerOf(Record->Cell);
    if (Record->Size == 0 || !ExpTagMatches(Owner, Tag) ||
        KiGetIrql() > ExpTrap[Owner->Pool].Irql)
        return FALSE;
    KeCheckFreedMemory(P, Owner->Size);
    ExpFillFreed(P, Owner->Size);
#endif
    return TRUE;
}

// The checked build has looked at the tag already, and not found it when the guard was filled.
FORCEINLINE ULONG ExpTagToCompare(const POOL_RECORD *Record, ULONG Tag, BOOLEAN AnyTag)
{
    return AnyTag || DBG ? ExpOwnerOf(Record->Cell)->Tag : Tag;
}

// The return address is not read before it is needed: there is no register for it.
FORCEINLINE VOID ExpFree(PVOID P, ULONG Tag, BOOLEAN AnyTag)
{
    POOL_RECORD *Record = ExpRecordToFree(P);
    if (__builtin_expect(Record == NULL || !ExpFillIfOwned(P, Record, Tag), 0))
        return ExpFreeRun(P, Tag, KiReturnAddress());
    ULONG Cell = Record->Cell;
    POOL_RESULT Result = ExpPushHere(ExpTagToCompare(Record, Tag, AnyTag), Cell, P, Record);
    if (__builtin_expect(Result == PoolSlow, 0))
        return ExpFreeSlow(P, Tag, KiReturnAddress());
    if (__builtin_expect(Result == PoolFull, 0))
        return ExpPushOrFlush(P, Record, KiReturnAddress());
}

POOL_HOT VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    ExpFree(P, Tag, FALSE);
}

POOL_HOT VOID NTAPI ExFreePool(PVOID P)
{
    ExpFree(P, 0, TRUE);
}

POOL_HOT VOID NTAPI ExFreePool2(PVOID P, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                                ULONG ExtendedParametersCount)
{
    ExpFree(P, Tag, FALSE);
}
