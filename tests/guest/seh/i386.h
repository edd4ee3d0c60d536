// SPDX-License-Identifier: MIT
// i386: functions with __try blocks as Microsoft's compiler makes them: a registration on the
// chain at fs:[0] that names _except_handler3, with a table of scopes and the level that
// execution is in.

#define SEH_AX(Context) ((Context)->Eax)
#define SEH_PRESERVED "ebx", "esi", "edi", "memory"

// mingw-w64's library has this routine with six arguments too many in its name.
extern VOID NTAPI (*SehRaiseImport)(PEXCEPTION_RECORD) __asm__("__imp__RtlRaiseException@24");

static VOID SehRaise(PEXCEPTION_RECORD Record)
{
    SehRaiseImport(Record);
}

// Below ebp: level -4, table -8, handler -12, link -16, exception pointers -20, saved esp -24.
__asm__(
    "        .macro  seh_enter Table\n"
    "        pushl   %ebp\n"
    "        movl    %esp, %ebp\n"
    "        pushl   $-1\n"
    "        pushl   $\\Table\n"
    "        pushl   $__except_handler3\n"
    "        pushl   %fs:0\n"
    "        movl    %esp, %fs:0\n"
    "        subl    $8, %esp\n"
    "        pushl   %ebx\n"
    "        pushl   %esi\n"
    "        pushl   %edi\n"
    "        movl    %esp, -24(%ebp)\n"
    "        .endm\n"
    "        .macro  seh_leave\n"
    "        movl    -16(%ebp), %ecx\n"
    "        movl    %ecx, %fs:0\n"
    "        movl    -28(%ebp), %ebx\n"
    "        movl    -32(%ebp), %esi\n"
    "        movl    -36(%ebp), %edi\n"
    "        leave\n"
    "        .endm\n"

    "        .text\n"
    "        .globl  _SehTry\n"
    "_SehTry:\n"
    "        seh_enter SehTryScopes\n"
    "        movl    $0, -4(%ebp)\n"
    "        pushl   12(%ebp)\n"
    "        call    *8(%ebp)\n"
    "        addl    $4, %esp\n"
    "        movl    $-1, -4(%ebp)\n"
    "        xorl    %eax, %eax\n"
    "1:      seh_leave\n"
    "        ret\n"
    "SehTryFilter:\n"
    "        movl    -20(%ebp), %eax\n"
    "        movl    (%eax), %ecx\n"
    "        movl    (%ecx), %ecx\n"
    "        movl    %ecx, 8(%ebp)\n"  // the code, kept where Body was
    "        pushl   %eax\n"
    "        call    *16(%ebp)\n"
    "        addl    $4, %esp\n"
    "        xorl    %ebx, %ebx\n"     // a filter need not preserve anything but ebp
    "        xorl    %esi, %esi\n"
    "        xorl    %edi, %edi\n"
    "        ret\n"
    "SehTryBlock:\n"
    "        movl    -24(%ebp), %esp\n"
    "        movl    $-1, -4(%ebp)\n"
    "        movl    8(%ebp), %eax\n"
    "        jmp     1b\n"

    "        .globl  _SehFinally\n"
    "_SehFinally:\n"
    "        seh_enter SehFinallyScopes\n"
    "        movl    $0, -4(%ebp)\n"
    "        pushl   12(%ebp)\n"
    "        call    *8(%ebp)\n"
    "        addl    $4, %esp\n"
    "        movl    $-1, -4(%ebp)\n"
    "        pushl   $0\n"
    "        call    *16(%ebp)\n"
    "        addl    $4, %esp\n"
    "        seh_leave\n"
    "        ret\n"
    "SehFinallyBlock:\n"
    "        pushl   $1\n"
    "        call    *16(%ebp)\n"
    "        addl    $4, %esp\n"
    "        ret\n"

    "        .globl  _SehCheckRegisters\n"
    "_SehCheckRegisters:\n"
    "        pushl   %ebx\n"
    "        pushl   %esi\n"
    "        pushl   %edi\n"
    "        movl    $0x1111, %ebx\n"
    "        movl    $0x2222, %esi\n"
    "        movl    $0x3333, %edi\n"
    "        call    *16(%esp)\n"
    "        xorl    %eax, %eax\n"
    "        cmpl    $0x1111, %ebx\n"
    "        setne   %al\n"
    "        cmpl    $0x2222, %esi\n"
    "        je      2f\n"
    "        incl    %eax\n"
    "2:      cmpl    $0x3333, %edi\n"
    "        je      3f\n"
    "        incl    %eax\n"
    "3:      popl    %edi\n"
    "        popl    %esi\n"
    "        popl    %ebx\n"
    "        ret\n"

    "        .section .rdata, \"dr\"\n"
    "        .p2align 2\n"
    "SehTryScopes:\n"
    "        .long   -1, SehTryFilter, SehTryBlock\n"
    "SehFinallyScopes:\n"
    "        .long   -1, 0, SehFinallyBlock\n"
    "        .text\n");
