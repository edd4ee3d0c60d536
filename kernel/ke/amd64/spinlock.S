// SPDX-License-Identifier: MIT
// amd64: the spin lock pair that drivers call most, by hand: 18 instructions, no frame.
//
// The lock takes the holder's KPRCB address, so that a second acquisition and a foreign release are
// seen at no cost. The rare ways out build a frame and call C.
#include "offsets.h"

#define DISPATCH 2

#if !DBG // the checked build has them in lock.c

    .text

// KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
    .globl KeAcquireSpinLockRaiseToDpc
    .p2align 4
KeAcquireSpinLockRaiseToDpc:
    movq    %cr8, %r8
    movl    $DISPATCH, %edx
    cmpl    %edx, %r8d
    ja      KiAcquireTooHigh
    movq    %rdx, %cr8
    movq    %gs:PCR_PRCB, %rdx
    xorl    %eax, %eax
    lock cmpxchgq %rdx, (%rcx)
    jne     1f
    movl    %r8d, %eax
    ret
1:  movq    (%rsp), %rdx
    pushq   %rbp
    movq    %rsp, %rbp
    subq    $0x30, %rsp
    movq    %r8, 0x20(%rsp)
    call    KiWaitForSpinLock
    movq    0x20(%rsp), %rax
    leave
    ret

KiAcquireTooHigh:
    movq    (%rsp), %r9
    pushq   %rbp
    movq    %rsp, %rbp
    subq    $0x20, %rsp
    movl    %r8d, %ecx
    movq    %r9, %r8
    call    KiBadRaise

// VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
    .globl KeReleaseSpinLock
    .p2align 4
KeReleaseSpinLock:
    movq    %gs:PCR_PRCB, %rax
    cmpq    %rax, (%rcx)
    jne     2f
    movq    $0, (%rcx)
    movzbl  %dl, %edx
    movq    %rdx, %cr8
    ret
2:  movq    (%rsp), %rdx
    pushq   %rbp
    movq    %rsp, %rbp
    subq    $0x20, %rsp
    call    KiSpinLockNotOwned
#endif

    .section .note.GNU-stack, "", @progbits
