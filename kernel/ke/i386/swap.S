// SPDX-License-Identifier: MIT
// i386: from one thread to another, and where a new one begins.
//
// A switch is a call, so the volatile registers are the caller's business: a preempted thread's
// lie in the frame of the interrupt that preempted it. The chain of exception handlers (fs:[0])
// is each thread's own. Floating point is saved by the caller where the thread uses it
// (i386/float.c).
//
// Once InContext of the old thread is cleared another processor may take it up, stack and all.
// From there until the new thread's stack is loaded this code touches no stack, and interrupts
// are off. So two processors that take up each other's threads wait for each other only before
// that point, not behind it.
#include "offsets.h"

    .cfi_sections .debug_frame
    .text

// VOID FASTCALL KiSwapContext(PKTHREAD Old, PKTHREAD New): IRQL: DISPATCH_LEVEL, interrupts off.
// Returns when Old is switched to again, perhaps on another processor.
    .globl  KiSwapContext
    .p2align 4
KiSwapContext:
    pushl   %ebp
    movl    %esp, %ebp
    pushl   %ebx
    pushl   %esi
    pushl   %edi
    pushl   %fs:PCR_EXCEPTION_LIST
    movl    %esp, TH_KERNEL_STACK(%ecx)
    movb    $0, TH_IN_CONTEXT(%ecx)
1:  cmpb    $0, TH_IN_CONTEXT(%edx)
    jne     2f
    movb    $1, TH_IN_CONTEXT(%edx)
    movl    %edx, %fs:PCR_CURRENT_THREAD
    movl    TH_STACK_BASE(%edx), %eax
    movl    %eax, %fs:PCR_STACK_BASE
    movl    TH_STACK_LIMIT(%edx), %eax
    movl    %eax, %fs:PCR_STACK_LIMIT
    movl    TH_KERNEL_STACK(%edx), %esp
    popl    %fs:PCR_EXCEPTION_LIST
    popl    %edi
    popl    %esi
    popl    %ebx
    popl    %ebp
    ret
2:  pause
    jmp     1b

// Where KiSwapContext returns to in a new thread: ebp is 0.
    .globl  KiThreadEntry
KiThreadEntry:
    .cfi_startproc simple
    .cfi_def_cfa esp, 0
    .cfi_undefined eip      // for debuggers: the outermost frame
    call    KiStartThread
    nop                     // the return address is inside
    .cfi_endproc

// VOID KeCallOnStack(PKE_STACK_ROUTINE Routine, PVOID Parameter, PVOID StackBase): no handler of
// the old stack's frames is found from the new one.
    .globl  KeCallOnStack
    .p2align 4
KeCallOnStack:
    pushl   %ebp
    movl    %esp, %ebp
    .cfi_startproc simple
    .cfi_def_cfa ebp, 8
    .cfi_offset eip, -4
    .cfi_offset ebp, -8
    .cfi_val_offset esp, 0
    pushl   %fs:PCR_EXCEPTION_LIST
    movl    $-1, %fs:PCR_EXCEPTION_LIST
    movl    8(%ebp), %eax
    movl    12(%ebp), %edx
    movl    16(%ebp), %esp
    pushl   %edx
    call    *%eax
    .cfi_endproc
    leal    -4(%ebp), %esp
    popl    %fs:PCR_EXCEPTION_LIST
    popl    %ebp
    ret

    .section .note.GNU-stack, "", @progbits
