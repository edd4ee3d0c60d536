// SPDX-License-Identifier: MIT
// mm on amd64: four levels, an entry is one store.
#pragma once

#define MI_SELF_MAP_LEVELS     4u
#define MI_PTE_OFFSET_MASK     0x7FFFFFFFF8ull
#define MI_PAGED_POOL_EXECUTES FALSE

FORCEINLINE BOOLEAN MiIsCanonical(ULONG_PTR Address)
{
    return (ULONG_PTR)((LONG64)(Address << 16) >> 16) == Address;
}

FORCEINLINE ULONG64 MiReadPte(const MMPTE *Pte)
{
    return *(volatile const ULONG64 *)&Pte->Long;
}

// From invalid to valid, from valid to invalid, from valid to valid.
FORCEINLINE VOID MiWriteValidPte(PMMPTE Pte, ULONG64 Value)
{
    *(volatile ULONG64 *)&Pte->Long = Value;
}
FORCEINLINE VOID MiWriteInvalidPte(PMMPTE Pte, ULONG64 Value)
{
    *(volatile ULONG64 *)&Pte->Long = Value;
}
FORCEINLINE VOID MiReplacePte(PMMPTE Pte, ULONG64 Value)
{
    *(volatile ULONG64 *)&Pte->Long = Value;
}

// The same for the next page frame.
FORCEINLINE ULONG64 MiNextPte(ULONG64 Value)
{
    return Value + PAGE_SIZE;
}
