// SPDX-License-Identifier: MIT
// i386: compiler support routines with register conventions of their own (compiler.c has the
// others).

        .text

// Quotient and remainder of two 64-bit numbers on the stack, which are popped: quotient in edx:eax,
// remainder in ebx:ecx. IRQL: any. Source: Microsoft C++ compiler.
.macro  divide Name, Routine
        .globl  \Name
        .type   \Name, @function
\Name:
        subl    $8, %esp                // the remainder
        movl    %esp, %ecx
        pushl   %ecx
        pushl   28(%esp)                // divisor, high half first
        pushl   28(%esp)
        pushl   28(%esp)                // dividend
        pushl   28(%esp)
        call    \Routine
        popl    %ecx
        popl    %ebx
        ret     $16
.endm
        divide  _alldvrm, RtlpSignedDivide
        divide  _aulldvrm, RtlpUnsignedDivide

// Shifts of edx:eax by cl; 64 and more shift everything out. IRQL: any. Source: Microsoft C++
// compiler.
        .globl  _allshl, _allshr, _aullshr
        .type   _allshl, @function
_allshl:
        cmpb    $64, %cl
        jae     .Lzero
        cmpb    $32, %cl
        jae     1f
        shldl   %cl, %eax, %edx
        shll    %cl, %eax
        ret
1:      movl    %eax, %edx
        xorl    %eax, %eax
        shll    %cl, %edx               // the processor takes cl modulo 32
        ret
.Lzero: xorl    %eax, %eax
        xorl    %edx, %edx
        ret

        .type   _aullshr, @function
_aullshr:
        cmpb    $64, %cl
        jae     .Lzero
        cmpb    $32, %cl
        jae     1f
        shrdl   %cl, %edx, %eax
        shrl    %cl, %edx
        ret
1:      movl    %edx, %eax
        xorl    %edx, %edx
        shrl    %cl, %eax
        ret

        .type   _allshr, @function
_allshr:
        cmpb    $64, %cl
        jae     2f
        cmpb    $32, %cl
        jae     1f
        shrdl   %cl, %edx, %eax
        sarl    %cl, %edx
        ret
1:      movl    %edx, %eax
        sarl    $31, %edx
        sarl    %cl, %eax
        ret
2:      sarl    $31, %edx
        movl    %edx, %eax
        ret

// Takes eax bytes from the stack, touching each page in order so that the guard page is met, not
// jumped over. Changes eax alone. The last steps leave nothing below the stack pointer that still
// counts. IRQL: any. Source: Microsoft C++ compiler.
        .globl  _chkstk
        .type   _chkstk, @function
_chkstk:
        pushl   %ecx
        leal    8(%esp), %ecx           // the caller's stack pointer
1:      cmpl    $4096, %eax
        jb      2f
        subl    $4096, %ecx
        testl   %eax, (%ecx)
        subl    $4096, %eax
        jmp     1b
2:      subl    %eax, %ecx
        testl   %eax, (%ecx)
        movl    4(%esp), %eax
        xchgl   %ecx, (%esp)
        movl    (%esp), %esp
        jmp     *%eax

// The same for a block that is to be aligned to 8 or 16 bytes: eax is raised by what the new stack
// pointer would be off.
.macro  aligned_probe Name, Mask
        .globl  \Name
        .type   \Name, @function
\Name:
        pushl   %ecx
        leal    8(%esp), %ecx
        subl    %eax, %ecx
        andl    $\Mask, %ecx
        addl    %ecx, %eax
        popl    %ecx
        jmp     _chkstk
.endm
        aligned_probe _alloca_probe_8, 7
        aligned_probe _alloca_probe_16, 15
