// SPDX-License-Identifier: MIT
// amd64: from one thread to another, and where a new one begins.
//
// A switch is a call, so the volatile registers are the caller's business: a preempted thread's
// lie in the frame of the interrupt that preempted it. What a callee has to keep is kept here:
// the integer registers, xmm6 to xmm15 and MXCSR. Drivers use XMM, the kernel does not, so
// nothing else of it changes.
//
// Once InContext of the old thread is cleared another processor may take it up, stack and all.
// From there until the new thread's stack is loaded this code touches no stack, and interrupts
// are off. So two processors that take up each other's threads wait for each other only before
// that point, not behind it.
#include "offsets.h"

    .cfi_sections .debug_frame
    .text

// VOID KiSwapContext(PKTHREAD Old, PKTHREAD New): IRQL: DISPATCH_LEVEL, interrupts off. Returns
// when Old is switched to again, perhaps on another processor.
    .globl  KiSwapContext
    .p2align 4
KiSwapContext:
    pushq   %rbp
    movq    %rsp, %rbp
    pushq   %rbx
    pushq   %rsi
    pushq   %rdi
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    subq    $SF_MXCSR+8, %rsp
    movaps  %xmm6, SF_XMM6(%rsp)
    movaps  %xmm7, SF_XMM6+0x10(%rsp)
    movaps  %xmm8, SF_XMM6+0x20(%rsp)
    movaps  %xmm9, SF_XMM6+0x30(%rsp)
    movaps  %xmm10, SF_XMM6+0x40(%rsp)
    movaps  %xmm11, SF_XMM6+0x50(%rsp)
    movaps  %xmm12, SF_XMM6+0x60(%rsp)
    movaps  %xmm13, SF_XMM6+0x70(%rsp)
    movaps  %xmm14, SF_XMM6+0x80(%rsp)
    movaps  %xmm15, SF_XMM6+0x90(%rsp)
    stmxcsr SF_MXCSR(%rsp)
    movq    %rsp, TH_KERNEL_STACK(%rcx)
    movb    $0, TH_IN_CONTEXT(%rcx)
1:  cmpb    $0, TH_IN_CONTEXT(%rdx)
    jne     2f
    movb    $1, TH_IN_CONTEXT(%rdx)
    movq    %rdx, %gs:PCR_CURRENT_THREAD
    movq    TH_KERNEL_STACK(%rdx), %rsp
    ldmxcsr SF_MXCSR(%rsp)
    movaps  SF_XMM6(%rsp), %xmm6
    movaps  SF_XMM6+0x10(%rsp), %xmm7
    movaps  SF_XMM6+0x20(%rsp), %xmm8
    movaps  SF_XMM6+0x30(%rsp), %xmm9
    movaps  SF_XMM6+0x40(%rsp), %xmm10
    movaps  SF_XMM6+0x50(%rsp), %xmm11
    movaps  SF_XMM6+0x60(%rsp), %xmm12
    movaps  SF_XMM6+0x70(%rsp), %xmm13
    movaps  SF_XMM6+0x80(%rsp), %xmm14
    movaps  SF_XMM6+0x90(%rsp), %xmm15
    addq    $SF_MXCSR+8, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rdi
    popq    %rsi
    popq    %rbx
    popq    %rbp
    ret
2:  pause
    jmp     1b

// Where KiSwapContext returns to in a new thread: rsp is 16-byte aligned with shadow space
// above, rbp 0.
    .globl  KiThreadEntry
KiThreadEntry:
    .cfi_startproc simple
    .cfi_def_cfa rsp, 0
    .cfi_undefined rip      // for debuggers: the outermost frame
    call    KiStartThread
    nop                     // the return address is inside
    .cfi_endproc

// VOID KeCallOnStack(PKE_STACK_ROUTINE Routine, PVOID Parameter, PVOID StackBase)
    .globl  KeCallOnStack
    .p2align 4
KeCallOnStack:
    pushq   %rbp
    movq    %rsp, %rbp
    .cfi_startproc simple
    .cfi_def_cfa rbp, 16
    .cfi_offset rip, -8
    .cfi_offset rbp, -16
    .cfi_val_offset rsp, 0
    leaq    -0x20(%r8), %rsp
    movq    %rcx, %rax
    movq    %rdx, %rcx
    call    *%rax
    .cfi_endproc
    leave
    ret

    .section .note.GNU-stack, "", @progbits
