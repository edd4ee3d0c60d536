// SPDX-License-Identifier: MIT
// i386: resuming at a CONTEXT, and copies that may fault.
#include "offsets.h"

    .text

// DECLSPEC_NORETURN VOID KeContinue(const CONTEXT *Context)
// A return to the kernel does not load the stack pointer, so the return frame, and what has to be
// loaded last, is written where the resumed code's stack ends.
    .globl  KeContinue
KeContinue:
    cli
    movl    4(%esp), %eax
    movl    CX_ESP(%eax), %edx
    subl    $20, %edx
    movl    CX_EFLAGS(%eax), %ecx
    movl    %ecx, 16(%edx)
    movl    $0x08, 12(%edx)         // KGDT_R0_CODE
    movl    CX_EIP(%eax), %ecx
    movl    %ecx, 8(%edx)
    movl    CX_EAX(%eax), %ecx
    movl    %ecx, 4(%edx)
    movl    CX_EDX(%eax), %ecx
    movl    %ecx, (%edx)
    movl    CX_ECX(%eax), %ecx
    movl    CX_EBX(%eax), %ebx
    movl    CX_ESI(%eax), %esi
    movl    CX_EDI(%eax), %edi
    movl    CX_EBP(%eax), %ebp
    movl    %edx, %esp
    popl    %edx
    popl    %eax
    iretl

// BOOLEAN KeSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length)
    .globl  KeSafeCopy
KeSafeCopy:
    pushl   %ebp
    movl    %esp, %ebp
    pushl   %esi
    pushl   %edi
    movl    8(%ebp), %edi
    movl    12(%ebp), %esi
    movl    16(%ebp), %ecx
    movl    $1, %eax
1:  rep movsb
2:  popl    %edi
    popl    %esi
    popl    %ebp
    ret
3:  xorl    %eax, %eax
    jmp     2b

    .section .fixup.table, "a", @progbits
    .long   1b, 3b

    .section .note.GNU-stack, "", @progbits
