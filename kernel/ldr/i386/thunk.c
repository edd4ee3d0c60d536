// SPDX-License-Identifier: MIT
// i386: the code of an import trap.
#include "../ldrp.h"

VOID LdrpTrapEntry(VOID);

// mov eax, Index; jmp LdrpTrapEntry
VOID LdrpWriteThunk(UCHAR *Code, ULONG Index)
{
    ULONG Displacement = (ULONG)LdrpTrapEntry - ((ULONG)Code + 10);

    Code[0] = 0xB8;
    memcpy(Code + 1, &Index, 4);
    Code[5] = 0xE9;
    memcpy(Code + 6, &Displacement, 4);
}

// A frame as a called function makes it, so that a backtrace leads to the call site.
__asm__(".text\n"
        "LdrpTrapEntry:\n"
        "    pushl %ebp\n"
        "    movl %esp, %ebp\n"
        "    pushl 4(%ebp)\n"
        "    pushl %eax\n"
        "    call LdrpImportTrapped\n");
