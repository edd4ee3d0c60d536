/* SPDX-License-Identifier: MIT
 *
 * Entry of the 32-bit image: start, then PAE paging and the jump to KiBootEntry.
 */
#include "../entry.inc"

/* NX where there is any. LME goes: 64-bit firmware may have left it, and with PAE paging it would
 * mean long mode. EFER exists exactly where NX or long mode does. */
BootSetEfer:
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb 1f
    movl $0x80000001, %eax
    cpuid
    testl $0x20100000, %edx
    jz 1f
    movl $MSR_EFER, %ecx
    rdmsr
    andl $~(EFER_LME | EFER_NXE), %eax
    cmpl $0, BootNoExecute
    je 2f
    orl $EFER_NXE, %eax
2:  wrmsr
1:  ret

/* Global pages, if the processor has them. */
BootSetCr4:
    movl $1, %eax
    cpuid
    movl $CR4_PAE, %eax
    testl $0x2000, %edx
    jz 1f
    orl $CR4_PGE, %eax
1:  movl %eax, %cr4
    ret

BootEnterKernel:
    call BootSetEfer
    call BootSetCr4
    movl $BootPdptPhysical, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $(CR0_PG | CR0_WP), %eax
    movl %eax, %cr0
    movl $KiBootStack + KERNEL_STACK_SIZE, %esp
    xorl %ebp, %ebp
    pushl $KeLoaderBlockStorage
    pushl $0 /* no return address */
    movl $KiBootEntry, %eax
    jmp *%eax
