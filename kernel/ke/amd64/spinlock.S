// SPDX-License-Identifier: MIT
// amd64: the spin lock pair that drivers call most, by hand: 15 instructions, no frame.
//
// The lock takes the holder's KPRCB address, so that a second acquisition and a foreign release are
// seen at no cost. Most acquire at PASSIVE_LEVEL, which is 0: the value of a free lock, and so what
// cmpxchg compares with, and what it leaves in rax to be returned. The release takes the address
// out by xor: what remains is 0 if it was there. The rare ways out build a frame and call C.
#include "offsets.h"

#define DISPATCH 2

#if !DBG // the checked build has them in lock.c

    .text

// KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
    .globl KeAcquireSpinLockRaiseToDpc
    .p2align 4
KeAcquireSpinLockRaiseToDpc:
    movq    %cr8, %rax
    movl    $DISPATCH, %edx
    testl   %eax, %eax
    jne     2f
    movq    %rdx, %cr8
    movq    %gs:PCR_PRCB, %rdx
    lock cmpxchgq %rdx, (%rcx)
    jne     1f
    ret
1:  xorl    %r8d, %r8d
    jmp     3f
2:  movl    %eax, %r8d
    cmpl    %edx, %eax
    ja      KiAcquireTooHigh
    movq    %rdx, %cr8
    movq    %gs:PCR_PRCB, %rdx
    xorl    %eax, %eax
    lock cmpxchgq %rdx, (%rcx)
    jne     3f
    movl    %r8d, %eax
    ret
3:  movq    (%rsp), %rdx
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
    xorq    %rax, (%rcx)
    jne     4f
    movzbl  %dl, %edx
    movq    %rdx, %cr8
    ret
4:  xorq    %rax, (%rcx)
    movq    (%rsp), %rdx
    pushq   %rbp
    movq    %rsp, %rbp
    subq    $0x20, %rsp
    call    KiSpinLockNotOwned
#endif

    .section .note.GNU-stack, "", @progbits
