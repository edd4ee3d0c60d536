// SPDX-License-Identifier: MIT
// amd64: resuming at a CONTEXT, and copies that may fault.
#include "offsets.h"

    .text

// DECLSPEC_NORETURN VOID KeContinue(const CONTEXT *Context) The interrupt return frame is built
// here, below the CONTEXT, so nothing that still counts is written.
    .globl KeContinue
KeContinue:
    cli
    fxrstor64 CX_FLTSAVE(%rcx)
    ldmxcsr CX_MXCSR(%rcx)
    pushq   $0x18                   // KGDT_R0_DATA
    pushq   CX_RSP(%rcx)
    movl    CX_EFLAGS(%rcx), %eax
    pushq   %rax
    pushq   $0x10                   // KGDT_R0_CODE
    pushq   CX_RIP(%rcx)
    movq    CX_RAX(%rcx), %rax
    movq    CX_RDX(%rcx), %rdx
    movq    CX_RBX(%rcx), %rbx
    movq    CX_RBP(%rcx), %rbp
    movq    CX_RSI(%rcx), %rsi
    movq    CX_RDI(%rcx), %rdi
    movq    CX_R8(%rcx), %r8
    movq    CX_R9(%rcx), %r9
    movq    CX_R10(%rcx), %r10
    movq    CX_R11(%rcx), %r11
    movq    CX_R12(%rcx), %r12
    movq    CX_R13(%rcx), %r13
    movq    CX_R14(%rcx), %r14
    movq    CX_R15(%rcx), %r15
    movq    CX_RCX(%rcx), %rcx
    iretq

// BOOLEAN KeSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length)
    .globl KeSafeCopy
KeSafeCopy:
    pushq   %rbp
    movq    %rsp, %rbp
    movq    %rsi, %r9
    movq    %rdi, %r10
    movq    %rcx, %rdi
    movq    %rdx, %rsi
    movq    %r8, %rcx
    movl    $1, %eax
1:  rep movsb
2:  movq    %r9, %rsi
    movq    %r10, %rdi
    popq    %rbp
    ret
3:  xorl    %eax, %eax
    jmp     2b

    .section .fixup.table, "a", @progbits
    .quad   1b, 3b

    .section .note.GNU-stack, "", @progbits
