// SPDX-License-Identifier: MIT
// i386: the spin lock pair that drivers call most, by hand and without a frame.
//
// The lock takes the holder's KPRCB address, so that a second acquisition and a foreign release are
// seen at no cost. Most acquire at PASSIVE_LEVEL, which is 0: the value of a free lock, and so what
// cmpxchg compares with, and what it leaves in eax to be returned. The release takes the address
// out by xor: what remains is 0 if it was there. The rare ways out build a frame and call C.
#include "offsets.h"

#define DISPATCH 2

#if !DBG // the checked build has them in lock.c

    .text

// KIRQL FASTCALL KfAcquireSpinLock(PKSPIN_LOCK SpinLock)
    .globl  KfAcquireSpinLock
    .p2align 4
KfAcquireSpinLock:
    movzbl  %fs:PCR_IRQL, %eax
    testl   %eax, %eax
    jne     2f
    movb    $DISPATCH, %fs:PCR_IRQL
    movl    %fs:PCR_PRCB, %edx
    lock cmpxchgl %edx, (%ecx)
    jne     1f
    ret
1:  xorl    %eax, %eax
    pushl   %eax
    jmp     3f
2:  cmpl    $DISPATCH, %eax
    ja      KiAcquireTooHigh
    movb    $DISPATCH, %fs:PCR_IRQL
    pushl   %eax
    movl    %fs:PCR_PRCB, %edx
    xorl    %eax, %eax
    lock cmpxchgl %edx, (%ecx)
    jne     3f
    popl    %eax
    ret
3:  movl    4(%esp), %edx
    pushl   %ebp
    movl    %esp, %ebp
    call    KiWaitForSpinLock
    popl    %ebp
    popl    %eax
    ret

KiAcquireTooHigh:
    pushl   %ebp
    movl    %esp, %ebp
    pushl   4(%ebp)
    movl    %eax, %ecx
    movl    $DISPATCH, %edx
    call    KiBadRaise

// VOID FASTCALL KfReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
    .globl  KfReleaseSpinLock
    .p2align 4
KfReleaseSpinLock:
    movl    %fs:PCR_PRCB, %eax
    xorl    %eax, (%ecx)
    jne     4f
    movb    %dl, %fs:PCR_IRQL
    cmpl    $0, %fs:PCR_IRR
    jne     5f
    ret
4:  xorl    %eax, (%ecx)
    pushl   %ebp
    movl    %esp, %ebp
    pushl   4(%ebp)
    pushl   %ecx
    call    KiSpinLockNotOwned
5:  pushl   %ebp
    movl    %esp, %ebp
    movzbl  %dl, %ecx
    call    KiReplayInterrupts
    popl    %ebp
    ret
#endif

    .section .note.GNU-stack, "", @progbits
