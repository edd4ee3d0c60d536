// SPDX-License-Identifier: MIT
// The parts of the pool's fast path, amd64.
//
// A block is taken out of this processor's cache, or put into it, by a sequence that starts again
// when it is interrupted: it is listed in the restart table (kernel/ke/restart.c) from its first
// instruction up to the one that commits. Started again, it finds out anew which processor it is
// on and what its cache holds. So its inputs stay in their registers until the commit, and what it
// stores before that must mean nothing, or the same the second time. Up to there, as many registers
// are in use as need not be saved: hence their names below.
//
// Counting is a step of its own behind the commit: any processor's counter will do, since only the
// sums are used, if the address is made and the instruction done without others in between.
//
// On the host a thread is a processor that nothing interrupts, and plain C takes the sequences'
// place (tests/host/include/host_pool.h).
#pragma once

#include "../poolp.h"

#ifdef LOOKASIDE_HOST
#include "host_pool.h"
#else
// ---- sequences ---------------------------------------------------------------------------------
#define POOL_RESTART(From, To, At)                                                                 \
    ".pushsection .restart.table, \"a\"\n\t"                                                       \
    ".quad " From ", " To ", " At "\n\t"                                                           \
    ".popsection\n\t"

// From 1 to 2, which counts, from 1; the counting, interrupted before it is done, with the cells of
// the processor that it is on by then.
#define POOL_RESTARTS                                                                              \
    ".subsection 1\n"                                                                              \
    "3:\t"                                                                                         \
    "movq %%gs:%c[Cells], %[cell]\n"                                                               \
    "4:\t"                                                                                         \
    "jmp 2b\n\t"                                                                                   \
    ".previous\n\t"                                                                               \
    POOL_RESTART("1b", "2b", "1b")                                                                 \
    POOL_RESTART("2b", "2b + 1", "3b")                                                             \
    POOL_RESTART("4b", "4b + 1", "3b")

#define POOL_SEQUENCE_OFFSETS                                                                      \
    [Cells] "i"(FIELD_OFFSET(KPCR, Prcb.PoolProcessor)),                                           \
    [Cache] "i"(FIELD_OFFSET(POOL_CELL, Cache)), [Irql] "i"(FIELD_OFFSET(POOL_CACHE, Irql)),       \
    [Block] "i"(FIELD_OFFSET(POOL_CACHE, Slot) + FIELD_OFFSET(POOL_SLOT, Block)),                  \
    [Record] "i"(FIELD_OFFSET(POOL_CACHE, Slot) + FIELD_OFFSET(POOL_SLOT, Record))

C_ASSERT(POOL_CELL_UNIT == 8 && FIELD_OFFSET(POOL_CELL, Identity) == 0);
C_ASSERT(sizeof(POOL_SLOT) == 16 && FIELD_OFFSET(POOL_CACHE, Top) == 0);
C_ASSERT(FIELD_OFFSET(POOL_RECORD, Size) == FIELD_OFFSET(POOL_RECORD, Cell) + sizeof(USHORT));

// The block on top of the cache behind the cell at Place, and its record.
FORCEINLINE POOL_RESULT ExpPopHere(ULONG64 Identity, ULONG_PTR Place, POOL_SLOT *Slot)
{
    // There are just enough registers that need not be saved; left alone, GCC takes another.
    register ULONG_PTR Where __asm__("r10") = Place;
    register PVOID Cell __asm__("r11"), Cache __asm__("r8"), Block __asm__("rax");
    register POOL_RECORD *Record __asm__("r9");
    __asm__ volatile goto("1:\t"
                          "movq %%gs:%c[Cells], %[cell]\n\t"
                          "cmpq %[identity], (%[cell],%[place],8)\n\t"
                          "jne %l[Slow]\n\t"
                          "movq %%cr8, %[block]\n\t"
                          "movq %c[Cache](%[cell],%[place],8), %[cache]\n\t"
                          "cmpb %b[block], %c[Irql](%[cache])\n\t"
                          "jb %l[Slow]\n\t"
                          "movq (%[cache]), %[block]\n\t"
                          "testq %[block], %[block]\n\t"
                          "je %l[Slow]\n\t"
                          "movq %c[Record]-16(%[cache],%[block]), %[record]\n\t"
                          "movq %c[Block]-16(%[cache],%[block]), %[block]\n\t"
                          "subq $16, (%[cache])\n"  // commits
                          "2:\t"
                          "subq $1, %c[Left](%[cell],%[place],8)\n\t"
                          "je %l[Ended]\n\t"
                          POOL_RESTARTS
                          : [cell] "=&r"(Cell), [cache] "=&r"(Cache), [block] "=&r"(Block),
                            [record] "=&r"(Record)
                          : [identity] "r"(Identity), [place] "r"(Where), POOL_SEQUENCE_OFFSETS,
                            [Left] "i"(FIELD_OFFSET(POOL_CELL, Left))
                          : "cc", "memory"
                          : Slow, Ended);
    *Slot = (POOL_SLOT){Block, Record};
    return PoolDone;
Ended:
    *Slot = (POOL_SLOT){Block, Record};
    return PoolEnded;
Slow:
    return PoolSlow;
}

// Where the running routine will return to, in memory: in a sequence's input it takes no register.
#define KiReturnSlot() ((const ULONG *)__builtin_dwarf_cfa() - 2)

// The block goes on top of the cache behind the cell at Place, and is marked free, by whoever
// called the routine that this is a part of.
FORCEINLINE POOL_RESULT ExpPushHere(ULONG Tag, ULONG_PTR Place, PVOID Block, POOL_RECORD *Record)
{
    register ULONG_PTR Where __asm__("rax") = Place;
    register POOL_RECORD *Freed __asm__("r9") = Record;
    register PVOID Cell __asm__("r8"), Top __asm__("r10"), Cache __asm__("r11");
    __asm__ volatile goto("1:\t"
                          "movq %%gs:%c[Cells], %[cell]\n\t"
                          "cmpl %k[tag], %c[Tag](%[cell],%[place],8)\n\t"
                          "jne %l[Slow]\n\t"
                          "movq %c[Cache](%[cell],%[place],8), %[cache]\n\t"
                          "movq %%cr8, %[top]\n\t"
                          "cmpb %b[top], %c[Irql](%[cache])\n\t"
                          "jb %l[Slow]\n\t"
                          "movl %[caller], %k[top]\n\t"
                          "movl %k[top], %c[Caller](%[record])\n\t"
                          "movq (%[cache]), %[top]\n\t"
                          "cmpq %c[Limit](%[cache]), %[top]\n\t"
                          "je %l[Full]\n\t"
                          "andl $0xFFFE, %c[Mark](%[record])\n\t"  // of Cell and Size: free
                          "movq %[block], %c[Block](%[cache],%[top])\n\t"
                          "movq %[record], %c[Record](%[cache],%[top])\n\t"
                          "addq $16, (%[cache])\n"  // commits
                          "2:\t"
                          "addq $1, %c[Frees](%[cell],%[place],8)\n\t"
                          POOL_RESTARTS
                          : [cell] "=&r"(Cell), [top] "=&r"(Top), [cache] "=&r"(Cache)
                          : [tag] "r"(Tag), [place] "r"(Where), [block] "r"(Block),
                            [record] "r"(Freed), [caller] "m"(*KiReturnSlot()),
                            POOL_SEQUENCE_OFFSETS,
                            [Tag] "i"(FIELD_OFFSET(POOL_CELL, Tag)),
                            [Frees] "i"(FIELD_OFFSET(POOL_CELL, Frees)),
                            [Limit] "i"(FIELD_OFFSET(POOL_CACHE, Limit)),
                            [Caller] "i"(FIELD_OFFSET(POOL_RECORD, Caller)),
                            [Mark] "i"(FIELD_OFFSET(POOL_RECORD, Cell))
                          : "cc", "memory"
                          : Slow, Full);
    return PoolDone;
Full:
    return PoolFull;
Slow:
    return PoolSlow;
}
#endif

// ---- around them -------------------------------------------------------------------------------
// A block that was taken becomes the caller's. Its cell and size are one store: the free that may
// follow at once reads them as one word.
FORCEINLINE PVOID ExpFinishBlock(const POOL_SLOT *Slot, ULONG_PTR Cell, SIZE_T Bytes,
                                 ULONG_PTR Caller)
{
    ExpNoteCaller(Slot->Record, Caller);
    ExpCheckFreed(Slot->Block, ExpClassSize[ExpClassOfSize[(Bytes - 1) / POOL_SIZE_UNIT]]);
    *ExpGuardOf(Slot->Block, Bytes) = ExpGuardFor(Slot->Block);
    Slot->Record->Owner = (ULONG)Bytes << 16 | (ULONG)Cell;
    return Slot->Block;
}

// The descriptor of the page that an address lies in; NULL: it is in no pool.
FORCEINLINE const POOL_PAGE *ExpPageToFree(PVOID P)
{
    ULONG_PTR Offset = (ULONG_PTR)P - ExpPool[0].Base;
    if (__builtin_expect(Offset < ExpReadShared(ExpPool[0].Limit), 1))
        return ExpPageOfOffset(&ExpPool[0], Offset);
    Offset = (ULONG_PTR)P - ExpPool[1].Base;
    if (__builtin_expect(Offset < ExpReadShared(ExpPool[1].Limit), 1))
        return ExpPageOfOffset(&ExpPool[1], Offset);
    Offset = (ULONG_PTR)P - ExpPool[2].Base;
    if (__builtin_expect(Offset < ExpReadShared(ExpPool[2].Limit), 1))
        return ExpPageOfOffset(&ExpPool[2], Offset);
    return NULL;
}

#define POOL_RECORD_SHIFT (POOL_CALLERS ? 3 : 2)

C_ASSERT(sizeof(POOL_RECORD) == 1u << POOL_RECORD_SHIFT);
C_ASSERT(POOL_GRANULARITY >= 1u << POOL_RECORD_SHIFT);

// The record of a block in a page of small ones; NULL: no block starts there.
FORCEINLINE POOL_RECORD *ExpRecordAt(ULONG Reciprocal, POOL_RECORD *Records, PVOID P)
{
    ULONG64 Product = (ULONG64)Reciprocal * POOL_OFFSET(P);
    if (__builtin_expect((ULONG)Product >= Reciprocal, 0))
        return NULL;
    // The block's number times a record's size: what is below the number is less than the
    // reciprocal, at most a 16th, so that the bits in between are zero.
    ULONG_PTR Offset = Product >> (32 - POOL_RECORD_SHIFT);
    POOL_RECORD *Record = (POOL_RECORD *)((ULONG_PTR)Records + Offset);
    if (Record == NULL)
        __builtin_unreachable();
    return Record;
}

// The record of a small block whose address and guard are in order; NULL: look closer. Of a free
// block this looks at the first bytes; that it is free is found when its tag is compared.
FORCEINLINE POOL_RECORD *ExpRecordInPage(const POOL_PAGE *Page, PVOID P)
{
    POOL_RECORD *Record = ExpRecordAt(Page->Reciprocal, Page->Records, P);
    if (__builtin_expect(Record == NULL, 0))
        return NULL;
    ULONG Size = Record->Size;
    return __builtin_expect(*ExpGuardOf(P, Size) == ExpGuardFor(P), 1) ? Record : NULL;
}

FORCEINLINE POOL_RECORD *ExpRecordToFree(PVOID P)
{
    const POOL_PAGE *Page = ExpPageToFree(P);
    return __builtin_expect(Page != NULL, 1) ? ExpRecordInPage(Page, P) : NULL;
}
