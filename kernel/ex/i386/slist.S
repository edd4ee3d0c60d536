// SPDX-License-Identifier: MIT
// Sequenced singly linked lists, i386: lock-free push, pop and flush.
//
// As on amd64 (kernel/ex/amd64/slist.S), with a header of 8 bytes for cmpxchg8b: the first entry,
// then depth and sequence number, 16 bits each.
//
// IRQL: any. Fastcall: list in ecx, entry in edx; the old forms with a lock have it as the last
// argument and never look at it.

        .text

        .macro  push_entry, pop_bytes
        pushl   %ebx
        pushl   %esi
        movl    %ecx, %esi
        movl    %edx, %ebx              // the new first entry
        movl    4(%esi), %edx           // depth and sequence
        movl    (%esi), %eax            // the old first entry
1:      movl    %eax, (%ebx)
        leal    0x10001(%edx), %ecx
        lock cmpxchg8b (%esi)
        jne     1b
        popl    %esi
        popl    %ebx
        ret     \pop_bytes
        .endm

// PSLIST_ENTRY FASTCALL InterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
        .globl  InterlockedPushEntrySList
        .type   InterlockedPushEntrySList, @function
        .p2align 4
InterlockedPushEntrySList:
        push_entry $0
        .size   InterlockedPushEntrySList, . - InterlockedPushEntrySList

// PSLIST_ENTRY FASTCALL ExInterlockedPushEntrySList(ListHead, ListEntry, PKSPIN_LOCK Lock)
        .globl  ExInterlockedPushEntrySList
        .type   ExInterlockedPushEntrySList, @function
        .p2align 4
ExInterlockedPushEntrySList:
        push_entry $4
        .size   ExInterlockedPushEntrySList, . - ExInterlockedPushEntrySList

// PSLIST_ENTRY FASTCALL InterlockedPopEntrySList(PSLIST_HEADER ListHead)
// PSLIST_ENTRY FASTCALL ExInterlockedPopEntrySList(PSLIST_HEADER ListHead, PKSPIN_LOCK Lock)
        .globl  InterlockedPopEntrySList, ExInterlockedPopEntrySList
        .type   InterlockedPopEntrySList, @function
        .type   ExInterlockedPopEntrySList, @function
        .p2align 4
InterlockedPopEntrySList:
ExInterlockedPopEntrySList:
        pushl   %ebx
        pushl   %esi
        movl    %ecx, %esi
.Lreload:
        movl    4(%esi), %edx           // depth and sequence
        movl    (%esi), %eax            // the first entry
1:      testl   %eax, %eax
        jz      2f
.Lread: movl    (%eax), %ebx            // its link; may be gone already
3:      leal    -1(%edx), %ecx
        lock cmpxchg8b (%esi)
        jne     1b
2:      popl    %esi
        popl    %ebx
        ret
.Lfaulted:
        cmpl    (%esi), %eax
        jne     .Lreload
        cmpl    4(%esi), %edx
        jne     .Lreload
        .globl  ExpInterlockedPopEntrySListFault
ExpInterlockedPopEntrySListFault:
        movl    (%eax), %ebx            // nobody else changed it: the list is damaged
        jmp     3b
        .size   InterlockedPopEntrySList, . - InterlockedPopEntrySList

// PSLIST_ENTRY FASTCALL ExInterlockedFlushSList(PSLIST_HEADER ListHead)
        .globl  ExInterlockedFlushSList
        .type   ExInterlockedFlushSList, @function
        .p2align 4
ExInterlockedFlushSList:
        pushl   %ebx
        pushl   %esi
        movl    %ecx, %esi
        movl    4(%esi), %edx
        movl    (%esi), %eax
1:      testl   %eax, %eax
        jz      2f
        xorl    %ebx, %ebx
        movl    %edx, %ecx
        xorw    %cx, %cx                // depth 0, the sequence stays
        lock cmpxchg8b (%esi)
        jne     1b
2:      popl    %esi
        popl    %ebx
        ret
        .size   ExInterlockedFlushSList, . - ExInterlockedFlushSList

        .section .fixup.table, "a"
        .balign 4
        .long   .Lread, .Lfaulted

        .section .note.GNU-stack, "", @progbits
