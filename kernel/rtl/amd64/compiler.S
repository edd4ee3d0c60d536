// SPDX-License-Identifier: MIT
// amd64: what Microsoft's compiler calls in functions with large stack frames.

        .text

// Touches each page of the rax bytes below the caller's stack pointer in order, so that the guard
// page is met, not jumped over; the caller then subtracts rax itself. Changes no register. IRQL:
// any. Source: "x64 stack usage" (Microsoft C++ documentation).
        .globl  __chkstk
        .type   __chkstk, @function
__chkstk:
        .cfi_startproc
        subq    $16, %rsp
        .cfi_adjust_cfa_offset 16
        movq    %r10, (%rsp)
        movq    %r11, 8(%rsp)
        leaq    24(%rsp), %r11
        movq    %r11, %r10
        subq    %rax, %r10              // where the frame will end
1:      subq    $4096, %r11
        cmpq    %r10, %r11
        jb      2f
        testb   %al, (%r11)
        jmp     1b
2:      movq    (%rsp), %r10
        movq    8(%rsp), %r11
        addq    $16, %rsp
        .cfi_adjust_cfa_offset -16
        ret
        .cfi_endproc
