// SPDX-License-Identifier: MIT
// The pool's fast path, i386: ExAllocatePoolWithTag and ExFreePoolWithTag as they nearly always go.
//
// What mm/amd64/poolfast.c does, in assembly: with so few registers, where each value is decides
// how long this is. The arguments stay on the stack until the end, so an allocation that is
// interrupted starts again from them, and every register may change before the commit. What is not
// usual is a jump to mm/i386/poolentry.c with the stack as the caller left it.
//
// The checked build fills and checks freed blocks, which is the slow path's work: it goes there at
// once.
#include "poolfast.h"

    .macro RESTART from, to, at
    .pushsection .restart.table, "a"
    .balign 4
    .long   \from, \to, \at
    .popsection
    .endm

    .macro ROUTINE name
    .globl  \name
    .type   \name, @function
    .p2align 4
\name:
    .endm

    .section .text.restart, "ax", @progbits

// ---- PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) -----
// ecx and edx: key and tag, later cache and its top; eax: the cell's place; ebx: cells, later the
// record.
    ROUTINE ExAllocatePoolWithTag
#if DBG
    jmp     ExpAllocateEntry
#else
    pushl   %ebx
.Lallocate:
    movl    12(%esp), %eax                      // bytes
    cmpl    $POOL_SMALL_LIMIT, %eax
    ja      .Lallocate_slow
    movl    8(%esp), %ecx                       // type
    orl     ExpSizeKey(, %eax, 4), %ecx
    movl    16(%esp), %edx
    leal    (%edx, %ecx), %eax
    imull   $POOL_HASH_FACTOR, %eax, %eax
    shrl    $POOL_HASH_SHIFT, %eax
    movzwl  ExpBucket(%eax, %eax), %eax
    movl    %fs:PCR_CELLS, %ebx
    cmpl    %ecx, CELL_KEY(%ebx, %eax, 8)
    jne     .Lallocate_slow
    cmpl    %edx, CELL_TAG(%ebx, %eax, 8)
    jne     .Lallocate_slow
    movl    CELL_CACHE(%ebx, %eax, 8), %ecx
    movb    %fs:PCR_IRQL, %dl
    cmpb    %dl, CACHE_IRQL(%ecx)
    jb      .Lallocate_slow
    movl    (%ecx), %edx
    testl   %edx, %edx
    je      .Lallocate_slow
    movl    CACHE_RECORD-8(%ecx, %edx), %ebx
    movl    CACHE_BLOCK-8(%ecx, %edx), %edx
    subl    $8, (%ecx)                          // commits
.Lallocated:
    movl    %fs:PCR_CELLS, %ecx
    subl    $1, CELL_LEFT(%ecx, %eax, 8)
.Lcounted:
    je      .Lallocate_ended
    movl    12(%esp), %ecx
    shll    $16, %ecx
    orl     %eax, %ecx
    movl    %ecx, RECORD_CELL(%ebx)             // and its size
    movl    4(%esp), %eax
    movl    %eax, (%ebx)                        // the caller
    movl    12(%esp), %ecx
    movl    %edx, %eax
    movl    ExpGuard, %ebx
    movl    %ebx, (%eax, %ecx)
    movl    ExpGuard+4, %ebx
    movl    %ebx, 4(%eax, %ecx)
    popl    %ebx
    ret     $12
.Lallocate_slow:
    popl    %ebx
    jmp     ExpAllocateEntry
.Lallocate_ended:
    movl    %edx, %ecx
    movl    %ebx, %edx
    popl    %ebx
    jmp     ExpAllocateEndedEntry
    RESTART .Lallocate, .Lallocated, .Lallocate
    RESTART .Lallocated, .Lcounted, .Lallocated
#endif
    .size   ExAllocatePoolWithTag, . - ExAllocatePoolWithTag

// ---- free ---------------------------------------------------------------------------------------
#if !DBG
// Offset of ecx in a pool -> eax; elsewhere: goes to otherwise.
    .macro IN_POOL pool, otherwise
    movl    %ecx, %eax
    subl    ExpPool+\pool*POOL_BYTES+POOL_BASE, %eax
    cmpl    ExpPool+\pool*POOL_BYTES+POOL_LIMIT, %eax
    jae     \otherwise
    shrl    $6, %eax                            // page number * 64
    andl    $-64, %eax
    addl    ExpPool+\pool*POOL_BYTES+POOL_PAGES, %eax
    .endm

// ecx: the block; ebx: its page's descriptor, then its record; eax: its cell's place; edx: cells,
// later the cache's top; esi: the cache. With a tag, it is what the cell's has to be; without, the
// record has to say that the block is allocated.
    .macro FREE slow, tag
    pushl   %ebx
    pushl   %esi
    movl    12(%esp), %ecx
    IN_POOL 0, 11f
10: movl    %eax, %ebx
    movl    %ecx, %eax
    andl    $0xFFF, %eax
    mull    PAGE_RECIPROCAL(%ebx)               // edx: the block's number
    cmpl    PAGE_RECIPROCAL(%ebx), %eax
    jae     13f                                 // not the start of a small block
    movl    PAGE_RECORDS(%ebx), %ebx
    leal    (%ebx, %edx, 8), %ebx
    movzwl  RECORD_SIZE(%ebx), %eax
    movl    ExpGuard, %edx
    cmpl    %edx, (%ecx, %eax)
    jne     13f
    movl    ExpGuard+4, %edx
    cmpl    %edx, 4(%ecx, %eax)
    jne     13f
    movzwl  RECORD_CELL(%ebx), %eax
1:  movl    %fs:PCR_CELLS, %edx
    .if     \tag
    movl    16(%esp), %esi
    cmpl    %esi, CELL_TAG(%edx, %eax, 8)
    jne     13f
    .else
    testb   $1, %al
    je      13f
    .endif
    movl    CELL_CACHE(%edx, %eax, 8), %esi
    movb    %fs:PCR_IRQL, %dl
    cmpb    %dl, CACHE_IRQL(%esi)
    jb      13f
    movl    (%esi), %edx
    cmpl    CACHE_LIMIT(%esi), %edx
    je      14f
    movl    %ecx, CACHE_BLOCK(%esi, %edx)
    movl    %ebx, CACHE_RECORD(%esi, %edx)
    movl    8(%esp), %edx
    movl    %edx, (%ebx)                        // the caller
    andl    $0xFFFE, RECORD_CELL(%ebx)          // of cell and size: free
    addl    $8, (%esi)                          // commits
2:  movl    %fs:PCR_CELLS, %edx
    addl    $1, CELL_FREES(%edx, %eax, 8)
3:  popl    %esi
    popl    %ebx
    ret     $4+4*\tag
11: IN_POOL 1, 12f
    jmp     10b
12: IN_POOL 2, 13f
    jmp     10b
13: popl    %esi
    popl    %ebx
    jmp     \slow
14: movl    %ebx, %edx
    popl    %esi
    popl    %ebx
    .if     \tag
    jmp     ExpFreeFullEntry
    .else
    jmp     ExpFreeAnyFullEntry
    .endif
    RESTART 1b, 2b, 1b
    RESTART 2b, 3b, 2b
    .endm
#endif

// VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag)
    ROUTINE ExFreePoolWithTag
#if DBG
    jmp     ExpFreeEntry
#else
    FREE    ExpFreeEntry, 1
#endif
    .size   ExFreePoolWithTag, . - ExFreePoolWithTag

// VOID NTAPI ExFreePool(PVOID P)
    ROUTINE ExFreePool
#if DBG
    jmp     ExpFreeAnyEntry
#else
    FREE    ExpFreeAnyEntry, 0
#endif
    .size   ExFreePool, . - ExFreePool

    .section .note.GNU-stack, "", @progbits
