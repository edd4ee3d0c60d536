/* SPDX-License-Identifier: MIT
 *
 * Where every processor but the first begins: from real mode to PAE paging and the kernel.
 */
#include "../trampoline.inc"
    movl AT_STACK(%ebx), %esp
    xorl %ebp, %ebp
    pushl AT_CONTEXT(%ebx)
    pushl $0 /* no return address */
    jmp *AT_ENTRY(%ebx)

    .balign 8
TrampolineGdt:
    .quad 0
    .quad 0x00CF9B000000FFFF /* 08: code, 32-bit, 4 GiB */
    .quad 0x00CF93000000FFFF /* 10: data, 4 GiB */
TrampolineGdtRegister:
    .short TrampolineGdtRegister - TrampolineGdt - 1
TrampolineGdtBase:
    .long TrampolineGdt - BootTrampoline
TrampolineTo32:
    .long Trampoline32 - BootTrampoline
    .short SELECTOR_CODE32
BootTrampolineEnd:

    .balign 2
BootTrampolineFixups:
    .short TrampolineGdtBase - BootTrampoline, TrampolineTo32 - BootTrampoline, 0

    .section .note.GNU-stack, "", @progbits
