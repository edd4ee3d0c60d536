// SPDX-License-Identifier: MIT
// mm on i386 with PAE: an entry is 64 bits wide and two stores, so their order matters: the half
// with the valid bit is written last when an entry becomes valid and first when it ceases to be.
#pragma once

#define MI_SELF_MAP_LEVELS     2u // the four entries above the directories are fixed
#define MI_PTE_OFFSET_MASK     0x7FFFF8u
#define MI_PAGED_POOL_EXECUTES TRUE

FORCEINLINE BOOLEAN MiIsCanonical(ULONG_PTR Address)
{
    return TRUE;
}

FORCEINLINE ULONG64 MiReadPte(const MMPTE *Pte)
{
    return *(volatile const ULONG64 *)&Pte->Long;
}

FORCEINLINE VOID MiWriteValidPte(PMMPTE Pte, ULONG64 Value)
{
    volatile ULONG *Half = (volatile ULONG *)Pte;
    Half[1] = (ULONG)(Value >> 32);
    Half[0] = (ULONG)Value;
}

FORCEINLINE VOID MiWriteInvalidPte(PMMPTE Pte, ULONG64 Value)
{
    volatile ULONG *Half = (volatile ULONG *)Pte;
    Half[0] = (ULONG)Value;
    Half[1] = (ULONG)(Value >> 32);
}

// Both halves at once: code that runs through this very entry must never see one without the other.
FORCEINLINE VOID MiReplacePte(PMMPTE Pte, ULONG64 Value)
{
    ULONG64 Old;
    do
        Old = Pte->Long;
    while (!__sync_bool_compare_and_swap(&Pte->Long, Old, Value));
}

// The same for the next page frame. Left to itself the compiler adds from the first entry on anew
// for each of several, carry and all, which is three times as much.
FORCEINLINE ULONG64 MiNextPte(ULONG64 Value)
{
    __asm__("addl %1, %%eax\n\tadcl $0, %%edx" : "+A"(Value) : "i"(PAGE_SIZE) : "cc");
    return Value;
}
