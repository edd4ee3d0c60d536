/* SPDX-License-Identifier: MIT
 *
 * Entry of the 64-bit image: 32-bit start, then long mode and the jump to KiBootEntry.
 */
#include "../entry.inc"

/* From 32-bit mode to the kernel: page tables, long mode, 64-bit code, high addresses. */
BootEnterKernel:
    movl $(CR4_PAE | CR4_PGE), %eax
    movl %eax, %cr4
    movl $BootPageTablesPhysical, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $(EFER_LME | EFER_NXE), %eax
    wrmsr
    movl %cr0, %eax
    orl $(CR0_PG | CR0_WP), %eax
    movl %eax, %cr0
    ljmp $SELECTOR_CODE64, $BootLongMode

    .code64
BootLongMode:
    movabsq $KiBootStack + KERNEL_STACK_SIZE - 32, %rsp /* the callee's home space */
    pushq $0 /* no return address */
    xorl %ebp, %ebp
    movabsq $KeLoaderBlockStorage, %rcx
    movabsq $KiBootEntry, %rax
    jmp *%rax
