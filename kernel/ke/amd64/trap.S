// SPDX-License-Identifier: MIT
// amd64: the way into and out of the kernel for traps and interrupts.
//
// 256 stubs, 16 bytes apart, leave an error code (the processor's or 0) and their vector on the
// stack and join one of three paths:
//     KiTrapEntry       exceptions and NT's software interrupts -> KiDispatchTrap
//     KiInterruptEntry  device, clock and other APIC interrupts -> KiInterrupt
//     KiFatalEntry      NMI, double fault, machine check, on their own stacks -> KiDispatchFatal
// Each builds a KTRAP_FRAME (arch.h) and links it into the chain of frame pointers. GS is swapped
// when the processor came from user mode. A fatal trap can hit between entry and swap, when the
// code segment tells nothing, so its path looks at the GS base itself: the kernel's has the top bit
// set.
//
// Debuggers find the interrupted code by the .cfi directives: the canonical frame address is the
// end of the trap frame, and every register, the stack pointer too, is where the frame has it. They
// go into .debug_frame alone; the kernel's own walks know trap frames when they see them.
//
// The DPC self-interrupt has an entry of its own, since it is the road from every queued DPC to its
// routine: it saves what a C function may destroy and nothing else, and switches to the DPC stack.
#include "offsets.h"

#define MSR_GS_BASE 0xC0000101
#define DISPATCH    2

    .cfi_sections .debug_frame
    .text

// From here on rsp is at a KTRAP_FRAME.
    .macro BEGIN_FRAME_CFI
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa rsp, TF_SIZE
    .cfi_offset rip, TF_CS-8-TF_SIZE
    .cfi_offset rsp, TF_CS+16-TF_SIZE
    .cfi_offset rbp, TF_RBP-TF_SIZE
    .cfi_offset rax, TF_RAX-TF_SIZE
    .cfi_offset rcx, TF_RCX-TF_SIZE
    .cfi_offset rdx, TF_RDX-TF_SIZE
    .cfi_offset rbx, TF_RBX-TF_SIZE
    .cfi_offset rsi, TF_RSI-TF_SIZE
    .cfi_offset rdi, TF_RDI-TF_SIZE
    .cfi_offset r8, TF_R8-TF_SIZE
    .cfi_offset r9, TF_R9-TF_SIZE
    .cfi_offset r10, TF_R10-TF_SIZE
    .cfi_offset r11, TF_R11-TF_SIZE
    .cfi_offset r12, TF_R12-TF_SIZE
    .cfi_offset r13, TF_R13-TF_SIZE
    .cfi_offset r14, TF_R14-TF_SIZE
    .cfi_offset r15, TF_R15-TF_SIZE
    .endm

// A function that keeps the caller's rbp and makes its own the frame pointer; from behind that on.
    .macro BEGIN_POINTER_CFI
    .cfi_startproc simple
    .cfi_def_cfa rbp, 16
    .cfi_offset rip, -8
    .cfi_offset rbp, -16
    .cfi_val_offset rsp, 0
    .endm

// The rest of KTRAP_FRAME, below Vector and ErrorCode.
    .macro SAVE_FRAME
    pushq   16(%rsp)
    pushq   %rbp
    movq    %rsp, %rbp
    subq    $TF_RBP, %rsp
    movq    %rax, TF_RAX(%rsp)
    movq    %rcx, TF_RCX(%rsp)
    movq    %rdx, TF_RDX(%rsp)
    movq    %rbx, TF_RBX(%rsp)
    movq    %rsi, TF_RSI(%rsp)
    movq    %rdi, TF_RDI(%rsp)
    movq    %r8, TF_R8(%rsp)
    movq    %r9, TF_R9(%rsp)
    movq    %r10, TF_R10(%rsp)
    movq    %r11, TF_R11(%rsp)
    movq    %r12, TF_R12(%rsp)
    movq    %r13, TF_R13(%rsp)
    movq    %r14, TF_R14(%rsp)
    movq    %r15, TF_R15(%rsp)
    movq    %cr8, %rax
    movl    %eax, TF_IRQL(%rsp)
    SAVE_XMM TF_XMM0, TF_MXCSR
    cld
    .endm

    .macro SAVE_XMM xmm, mxcsr
    movaps  %xmm0, \xmm(%rsp)
    movaps  %xmm1, \xmm+0x10(%rsp)
    movaps  %xmm2, \xmm+0x20(%rsp)
    movaps  %xmm3, \xmm+0x30(%rsp)
    movaps  %xmm4, \xmm+0x40(%rsp)
    movaps  %xmm5, \xmm+0x50(%rsp)
    stmxcsr \mxcsr(%rsp)
    ldmxcsr KiInitialMxCsr(%rip)
    .endm

    .macro LOAD_XMM xmm, mxcsr
    ldmxcsr \mxcsr(%rsp)
    movaps  \xmm(%rsp), %xmm0
    movaps  \xmm+0x10(%rsp), %xmm1
    movaps  \xmm+0x20(%rsp), %xmm2
    movaps  \xmm+0x30(%rsp), %xmm3
    movaps  \xmm+0x40(%rsp), %xmm4
    movaps  \xmm+0x50(%rsp), %xmm5
    .endm

    .macro SWAP_GS_IF_USER cs
    testb   $3, \cs(%rsp)
    jz      7f
    swapgs
7:
    .endm

    .p2align 4
KiTrapEntry:
    SAVE_FRAME
    BEGIN_FRAME_CFI
    SWAP_GS_IF_USER TF_CS
    movq    %cr2, %rax
    movq    %rax, TF_CR2(%rsp)
    movq    %rsp, %rcx
    call    KiDispatchTrap
    jmp     KiTrapExit
    .cfi_endproc

    .p2align 4
KiInterruptEntry:
    SAVE_FRAME
    BEGIN_FRAME_CFI
    SWAP_GS_IF_USER TF_CS
    movq    %rsp, %rcx
    call    KiInterrupt

// Out again, to what the frame says: handlers may have changed it. Interrupts are off here.
KiTrapExit:
    SWAP_GS_IF_USER TF_CS
KiRestoreFrame:
    LOAD_XMM TF_XMM0, TF_MXCSR
    movq    TF_R15(%rsp), %r15
    movq    TF_R14(%rsp), %r14
    movq    TF_R13(%rsp), %r13
    movq    TF_R12(%rsp), %r12
    movq    TF_R11(%rsp), %r11
    movq    TF_R10(%rsp), %r10
    movq    TF_R9(%rsp), %r9
    movq    TF_R8(%rsp), %r8
    movq    TF_RDI(%rsp), %rdi
    movq    TF_RSI(%rsp), %rsi
    movq    TF_RBX(%rsp), %rbx
    movq    TF_RDX(%rsp), %rdx
    movq    TF_RCX(%rsp), %rcx
    movq    TF_RAX(%rsp), %rax
    movq    TF_RBP(%rsp), %rbp
    .cfi_endproc
    addq    $TF_CS-8, %rsp
    iretq

    .p2align 4
KiFatalEntry:
    SAVE_FRAME
    BEGIN_FRAME_CFI
    movq    %cr2, %rax
    movq    %rax, TF_CR2(%rsp)
    movl    $MSR_GS_BASE, %ecx
    rdmsr
    xorl    %ebx, %ebx
    testl   %edx, %edx
    js      1f
    swapgs
    incl    %ebx
1:  movq    %rsp, %rcx
    call    KiDispatchFatal
    testl   %ebx, %ebx
    jz      KiRestoreFrame
    swapgs
    jmp     KiRestoreFrame
    .cfi_endproc

// Frame: home space, xmm0-5, MXCSR and IRQL, the seven volatile registers, rbp: 0xC8 bytes below
// rip.
#define DF_XMM0  0x20
#define DF_MXCSR 0x80
#define DF_IRQL  0x84
#define DF_REGS  0x88
#define DF_SIZE  0xC0
    .globl KiDpcEntry
    .p2align 4
KiDpcEntry:
    pushq   %rbp
    movq    %rsp, %rbp
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa rbp, 48
    .cfi_offset rip, -40
    .cfi_offset rsp, -16
    .cfi_offset rbp, -48
    subq    $DF_SIZE, %rsp
    movq    %rax, DF_REGS(%rsp)
    movq    %rcx, DF_REGS+0x08(%rsp)
    movq    %rdx, DF_REGS+0x10(%rsp)
    movq    %r8, DF_REGS+0x18(%rsp)
    movq    %r9, DF_REGS+0x20(%rsp)
    movq    %r10, DF_REGS+0x28(%rsp)
    movq    %r11, DF_REGS+0x30(%rsp)
    SWAP_GS_IF_USER DF_SIZE+0x10
    SAVE_XMM DF_XMM0, DF_MXCSR
    cld
    movq    %cr8, %rax
    movl    %eax, DF_IRQL(%rsp)
    movl    $DISPATCH, %eax
    movq    %rax, %cr8
    movq    8(%rbp), %rcx           // a sequence that was interrupted starts again
    cmpq    $RestartTextStart, %rcx
    jb      4f
    cmpq    $RestartTextEnd, %rcx
    jb      5f
4:
    cmpb    $0, %gs:PCR_DPC_ACTIVE
    jne     1f                      // KiRetireDpcs reports it, on the stack it happened on
    movq    %gs:PCR_DPC_STACK, %rsp
1:  call    KiDpcInterrupt
    leaq    -DF_SIZE(%rbp), %rsp
    cmpb    $0, %gs:PCR_RESCHEDULE
    jne     3f
2:  movl    DF_IRQL(%rsp), %eax
    movq    %rax, %cr8
    LOAD_XMM DF_XMM0, DF_MXCSR
    SWAP_GS_IF_USER DF_SIZE+0x10
    movq    DF_REGS(%rsp), %rax
    movq    DF_REGS+0x08(%rsp), %rcx
    movq    DF_REGS+0x10(%rsp), %rdx
    movq    DF_REGS+0x18(%rsp), %r8
    movq    DF_REGS+0x20(%rsp), %r9
    movq    DF_REGS+0x28(%rsp), %r10
    movq    DF_REGS+0x30(%rsp), %r11
    leave
    iretq
3:  call    KiDispatchSwitch        // another thread is due; this one goes on here when it is again
    jmp     2b
5:  call    KiRestartPoint
    movq    %rax, 8(%rbp)
    jmp     4b
    .cfi_endproc

// VOID KiRunOnDpcStack(VOID): the same switch for callers that are at DISPATCH_LEVEL already.
    .globl KiRunOnDpcStack
    .p2align 4
KiRunOnDpcStack:
    pushq   %rbp
    movq    %rsp, %rbp
    BEGIN_POINTER_CFI
    subq    $0x20, %rsp
    cmpb    $0, %gs:PCR_DPC_ACTIVE
    jne     1f
    movq    %gs:PCR_DPC_STACK, %rsp
1:  call    KiRetireDpcs
    .cfi_endproc
    leave
    ret

// One stub a vector; KiTrapStubs[vector] is at KiTrapStubs + 16 * vector.
    .globl KiTrapStubs
    .p2align 4
KiTrapStubs:
    .set    vector, 0
    .rept   256
    .p2align 4
    .set    coded, vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    .if     !coded && vector != 29 && vector != 30
    pushq   $0
    .endif
    pushq   $vector
    .if     vector == 2 || vector == 8 || vector == 18
    jmp     KiFatalEntry
    .elseif vector < 31 || vector == 0x29 || vector == 0x2C
    jmp     KiTrapEntry
    .else
    jmp     KiInterruptEntry
    .endif
    .set    vector, vector + 1
    .endr

    .section .note.GNU-stack, "", @progbits
