// SPDX-License-Identifier: MIT
// The sequences of mm/amd64/poolfast.c, for the host: a thread is a processor, and nothing
// interrupts it there. In C.
#pragma once

// The block on top of the cache behind a cell that was found to be the right one.
FORCEINLINE POOL_RESULT ExpPopFrom(POOL_CELL *Cell, POOL_SLOT *Slot)
{
    POOL_CACHE *Cache = Cell->Cache;
    LONG_PTR Top = Cache->Top - (LONG_PTR)sizeof(POOL_SLOT);
    if (__builtin_expect(Top < 0, 0))
        return PoolSlow;
    *Slot = *ExpSlot(Cache, Top);
    Cache->Top = Top;
    return __builtin_expect(ExpCountDown(&Cell->Left), 0) ? PoolEnded : PoolDone;
}

FORCEINLINE POOL_RESULT ExpPopHere(ULONG64 Identity, ULONG_PTR Place, POOL_SLOT *Slot)
{
    POOL_CELL *Cell = ExpCellAt(KiReadPoolProcessor(), (ULONG)Place);
    if (__builtin_expect(Cell->Identity != Identity || KiGetIrql() > Cell->Cache->Irql, 0))
        return PoolSlow;
    return ExpPopFrom(Cell, Slot);
}

FORCEINLINE POOL_RESULT ExpPushHere(ULONG Tag, ULONG_PTR Place, PVOID Block, POOL_RECORD *Record)
{
    POOL_CELL *Cell = ExpCellAt(KiReadPoolProcessor(), (ULONG)Place);
    POOL_CACHE *Cache = Cell->Cache;
    if (__builtin_expect(Cell->Tag != Tag || KiGetIrql() > Cache->Irql, 0))
        return PoolSlow;
    LONG_PTR Top = Cache->Top;
    if (__builtin_expect(Top == Cache->Limit, 0))
        return PoolFull;
    ExpNoteCaller(Record, KiReturnAddress());
    Record->Owner = (ULONG)Place & ~POOL_CELL_LIVE;
    ExpSlot(Cache, Top)->Block = Block;
    ExpSlot(Cache, Top)->Record = Record;
    Cache->Top = Top + (LONG_PTR)sizeof(POOL_SLOT);
    ExpCountUp(&Cell->Frees);
    return PoolDone;
}
