// SPDX-License-Identifier: MIT
// i386: the way into and out of the kernel for traps and interrupts.
//
// 256 stubs, 16 bytes apart, leave an error code (the processor's or 0) and their vector on the
// stack and join one of two paths: KiTrapEntry (exceptions and NT's software interrupts ->
// KiDispatchTrap) and KiInterruptEntry (-> KiInterrupt). Each builds a KTRAP_FRAME (arch.h) and
// links it into the chain of frame pointers. Segments are loaded only when the processor came from
// user mode; in the kernel they are always right. fs:[0] is emptied, so that an exception in a
// service routine finds no handler of whatever code was interrupted.
//
// Debuggers find the interrupted code by the .cfi directives: the canonical frame address is the
// end of the trap frame as the kernel's own traps leave it, and every register, the stack pointer
// too, is where the frame has it.
//
// Double fault and NMI are tasks of their own (processor.c): the processor saves the interrupted
// registers into the current TSS, and needs no stack of the interrupted code.
#include "offsets.h"

#define KGDT_R3_DATA 0x23  // with RPL 3, as NT has it in DS and ES
#define KGDT_R0_PCR  0x30

    .cfi_sections .debug_frame
    .text

// From here on esp is at a KTRAP_FRAME.
    .macro BEGIN_FRAME_CFI
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa esp, TF_SIZE
    .cfi_offset eip, TF_CS-4-TF_SIZE
    .cfi_offset esp, TF_HARDWARE_ESP-TF_SIZE
    .cfi_offset ebp, TF_EBP-TF_SIZE
    .cfi_offset edi, TF_EDI-TF_SIZE
    .cfi_offset esi, TF_EDI+4-TF_SIZE
    .cfi_offset ebx, TF_EDI+8-TF_SIZE
    .cfi_offset edx, TF_EDI+12-TF_SIZE
    .cfi_offset ecx, TF_EDI+16-TF_SIZE
    .cfi_offset eax, TF_EDI+20-TF_SIZE
    .endm

    .macro SAVE_FRAME
    pushl   8(%esp)
    pushl   %ebp
    movl    %esp, %ebp
    pushl   %eax
    pushl   %ecx
    pushl   %edx
    pushl   %ebx
    pushl   %esi
    pushl   %edi
    pushl   %ds
    pushl   %es
    pushl   %fs
    pushl   %gs
    leal    TF_CS-TF_EBP+8(%ebp), %eax      // where a trap from the kernel left the stack
    testb   $3, TF_CS-TF_EBP(%ebp)
    jz      7f
    movl    $KGDT_R3_DATA, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    $KGDT_R0_PCR, %eax
    movl    %eax, %fs
    movl    TF_CS-TF_EBP+8(%ebp), %eax      // the user's stack pointer
7:  pushl   %eax
    pushl   %fs:PCR_EXCEPTION_LIST
    movl    $-1, %fs:PCR_EXCEPTION_LIST
    cld
    .endm

    .p2align 4
KiTrapEntry:
    SAVE_FRAME
    movl    %cr2, %eax
    pushl   %eax
    movzbl  %fs:PCR_IRQL, %eax
    pushl   %eax
    BEGIN_FRAME_CFI
    movl    %esp, %ecx
    call    KiDispatchTrap
    jmp     KiTrapExit
    .cfi_endproc

    .p2align 4
KiInterruptEntry:
    SAVE_FRAME
    pushl   $0
    movzbl  %fs:PCR_IRQL, %eax
    pushl   %eax
    BEGIN_FRAME_CFI
    movl    %esp, %ecx
    call    KiInterrupt

// Out again, to what the frame says. Interrupts are off here.
KiTrapExit:
    movl    TF_EXCEPTION_LIST(%esp), %eax
    movl    %eax, %fs:PCR_EXCEPTION_LIST
    .cfi_endproc
    addl    $TF_SEGS, %esp
    testb   $3, TF_CS-TF_SEGS(%esp)
    jz      1f
    popl    %gs
    popl    %fs
    popl    %es
    popl    %ds
    jmp     2f
1:  addl    $16, %esp
2:  popl    %edi
    popl    %esi
    popl    %ebx
    popl    %edx
    popl    %ecx
    popl    %eax
    popl    %ebp
    addl    $12, %esp
    iretl

// The tasks. A task gate enters with the registers of its TSS, on its own stack, which for the
// double fault holds the error code. When KiFatalTask returns, an NMI was handled: the nested-task
// return goes back, and the next NMI resumes behind it.
    .globl  KiDoubleFaultTask, KiNmiTask
KiDoubleFaultTask:
    movl    $8, %ecx
    call    KiFatalTask
KiNmiTask:
    movl    $2, %ecx
    call    KiFatalTask
    iretl
    jmp     KiNmiTask

// VOID KiRunOnDpcStack(VOID): IRQL: DISPATCH_LEVEL, interrupts off.
    .globl  KiRunOnDpcStack
    .p2align 4
KiRunOnDpcStack:
    pushl   %ebp
    movl    %esp, %ebp
    .cfi_startproc simple
    .cfi_def_cfa ebp, 8
    .cfi_offset eip, -4
    .cfi_offset ebp, -8
    .cfi_val_offset esp, 0
    cmpb    $0, %fs:PCR_DPC_ACTIVE
    jne     1f                      // KiRetireDpcs reports it, on the stack it happened on
    movl    %fs:PCR_DPC_STACK, %esp
1:  call    KiRetireDpcs
    .cfi_endproc
    leave
    ret

// One stub a vector; KiTrapStubs[vector] is at KiTrapStubs + 16 * vector.
    .globl  KiTrapStubs
    .p2align 4
KiTrapStubs:
    .set    vector, 0
    .rept   256
    .p2align 4
    .if     vector != 8 && !(vector >= 10 && vector <= 14) && vector != 17 && vector != 21
    pushl   $0
    .endif
    pushl   $vector
    .if     vector < 32 || vector == 0x29 || vector == 0x2C
    jmp     KiTrapEntry
    .else
    jmp     KiInterruptEntry
    .endif
    .set    vector, vector + 1
    .endr

    .section .note.GNU-stack, "", @progbits
