/* SPDX-License-Identifier: MIT
 *
 * Where every processor but the first begins: from real mode to long mode and the kernel.
 */
#include "../trampoline.inc"
    ljmp *(TrampolineTo64 - BootTrampoline)(%ebx)

    .code64
Trampoline64:
    movq AT_STACK(%rbx), %rsp
    movq AT_CONTEXT(%rbx), %rcx
    xorl %ebp, %ebp
    pushq $0 /* no return address */
    jmp *AT_ENTRY(%rbx)

    .balign 8
TrampolineGdt:
    .quad 0
    .quad 0x00CF9B000000FFFF /* 08: code, 32-bit, 4 GiB */
    .quad 0x00CF93000000FFFF /* 10: data, 4 GiB */
    .quad 0x00AF9B000000FFFF /* 18: code, 64-bit */
TrampolineGdtRegister:
    .short TrampolineGdtRegister - TrampolineGdt - 1
TrampolineGdtBase:
    .long TrampolineGdt - BootTrampoline
TrampolineTo32:
    .long Trampoline32 - BootTrampoline
    .short SELECTOR_CODE32
TrampolineTo64:
    .long Trampoline64 - BootTrampoline
    .short SELECTOR_CODE64
BootTrampolineEnd:

    .balign 2
BootTrampolineFixups:
    .short TrampolineGdtBase - BootTrampoline, TrampolineTo32 - BootTrampoline
    .short TrampolineTo64 - BootTrampoline, 0

    .section .note.GNU-stack, "", @progbits
