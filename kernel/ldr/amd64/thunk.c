// SPDX-License-Identifier: MIT
// amd64: the code of an import trap.
#include "../ldrp.h"

VOID LdrpTrapEntry(VOID);

// mov eax, Index; mov r11, LdrpTrapEntry; jmp r11
VOID LdrpWriteThunk(UCHAR *Code, ULONG Index)
{
    ULONG64 Target = (ULONG64)LdrpTrapEntry;

    Code[0] = 0xB8;
    memcpy(Code + 1, &Index, 4);
    Code[5] = 0x49;
    Code[6] = 0xBB;
    memcpy(Code + 7, &Target, 8);
    memcpy(Code + 15, "\x41\xFF\xE3", 3);
}

// A frame as a called function makes it, so that a backtrace leads to the call site.
__asm__(".text\n"
        "LdrpTrapEntry:\n"
        "    pushq %rbp\n"
        "    movq %rsp, %rbp\n"
        "    movl %eax, %ecx\n"
        "    movq 8(%rbp), %rdx\n"
        "    andq $-16, %rsp\n"
        "    subq $32, %rsp\n"
        "    call LdrpImportTrapped\n");
