// SPDX-License-Identifier: MIT
// Sequenced singly linked lists, amd64: lock-free push, pop and flush.
//
// The header is two words that one cmpxchg16b compares and replaces: the first entry, and depth (16
// bits) with a sequence number (48 bits) above it. Every push adds one to both; a pop takes one
// from the depth. A pop reads the first entry's link before it owns the entry. If others pop it and
// push it again meanwhile, the sequence number differs and the exchange fails (ABA). If they pop it
// and its memory is given back, the read may fault: the fix-up table sends it to a reload. Should
// the header then still say the same, the list itself is damaged, and the read is repeated where
// its fault is reported.
//
// Nothing here can be left out. cmpxchg16b takes six registers, one of which the caller keeps: four
// moves, two of them there and back. Two words are read and the entry's link is written or read,
// two words are made, one branch closes the loop, one more asks whether there is an entry, and the
// old first entry is returned: 12 instructions to push, 13 to pop, and with their calls and
// arguments 30 for a pair. (i386 writes its register pair out and back: 32.)
//
// Entries have to be 16-byte aligned; the checked build looks (LA-67).
//
// A list whose depth passes 65535 carries into the sequence number and comes back on the way down.
//
// IRQL: any. Arguments: list, entry. Host tests assemble the same code for the System V convention.
#ifdef LOOKASIDE_HOST
#define LIST  %rdi
#define ENTRY %rsi
#define TABLE_FLAGS "aw"                // a position-independent program relocates it
#else
#define LIST  %rcx
#define ENTRY %rdx
#define TABLE_FLAGS "a"
#endif

        .text

// PSLIST_ENTRY ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
// Returns the entry that was first, NULL when the list was empty.
        .globl  ExpInterlockedPushEntrySList
        .type   ExpInterlockedPushEntrySList, @function
        .p2align 4
ExpInterlockedPushEntrySList:
#if DBG && !defined(LOOKASIDE_HOST)
        testb   $15, %dl
        jnz     ExpRefuseMisalignedEntry
#endif
        movq    LIST, %r8
        movq    ENTRY, %rcx             // the new first entry
        movq    %rbx, %r9
        movq    8(%r8), %rdx            // the old one
        movq    (%r8), %rax             // depth and sequence
1:      movq    %rdx, (%rcx)
        leaq    0x10001(%rax), %rbx
        lock cmpxchg16b (%r8)
        jne     1b
        movq    %rdx, %rax
        movq    %r9, %rbx
        ret
        .size   ExpInterlockedPushEntrySList, . - ExpInterlockedPushEntrySList

// PSLIST_ENTRY ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead)
// Returns the entry that was first, NULL when the list is empty.
        .globl  ExpInterlockedPopEntrySList
        .type   ExpInterlockedPopEntrySList, @function
        .p2align 4
ExpInterlockedPopEntrySList:
        movq    LIST, %r8
        movq    %rbx, %r9
.Lreload:
        movq    8(%r8), %rdx            // the first entry
        movq    (%r8), %rax             // depth and sequence
1:      testq   %rdx, %rdx
        jz      2f
.Lread: movq    (%rdx), %rcx            // its link; may be gone already
3:      leaq    -1(%rax), %rbx
        lock cmpxchg16b (%r8)
        jne     1b
2:      movq    %rdx, %rax
        movq    %r9, %rbx
        ret
.Lfaulted:
        cmpq    8(%r8), %rdx
        jne     .Lreload
        cmpq    (%r8), %rax
        jne     .Lreload
        .globl  ExpInterlockedPopEntrySListFault
ExpInterlockedPopEntrySListFault:
        movq    (%rdx), %rcx            // nobody else changed it: the list is damaged
        jmp     3b
        .size   ExpInterlockedPopEntrySList, . - ExpInterlockedPopEntrySList

// PSLIST_ENTRY ExpInterlockedFlushSList(PSLIST_HEADER ListHead)
// Takes all entries; returns the first, which is linked to the others, NULL when the list was
// empty.
        .globl  ExpInterlockedFlushSList
        .type   ExpInterlockedFlushSList, @function
        .p2align 4
ExpInterlockedFlushSList:
        movq    LIST, %r8
        movq    %rbx, %r9
        movq    8(%r8), %rdx
        movq    (%r8), %rax
1:      testq   %rdx, %rdx
        jz      2f
        movq    %rax, %rbx
        xorw    %bx, %bx                // depth 0, the sequence stays
        xorl    %ecx, %ecx
        lock cmpxchg16b (%r8)
        jne     1b
2:      movq    %rdx, %rax
        movq    %r9, %rbx
        ret
        .size   ExpInterlockedFlushSList, . - ExpInterlockedFlushSList

// USHORT ExQueryDepthSList(PSLIST_HEADER ListHead)
        .globl  ExQueryDepthSList
        .type   ExQueryDepthSList, @function
        .p2align 4
ExQueryDepthSList:
        movzwl  (LIST), %eax
        ret
        .size   ExQueryDepthSList, . - ExQueryDepthSList

// PSLIST_ENTRY FirstEntrySList(const SLIST_HEADER *ListHead)
        .globl  FirstEntrySList
        .type   FirstEntrySList, @function
        .p2align 4
FirstEntrySList:
        movq    8(LIST), %rax
        ret
        .size   FirstEntrySList, . - FirstEntrySList

        .section .fixup.table, TABLE_FLAGS
        .balign 8
        .quad   .Lread, .Lfaulted

        .section .note.GNU-stack, "", @progbits
