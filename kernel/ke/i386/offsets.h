// SPDX-License-Identifier: MIT
// i386: structure offsets for assembly; processor.c asserts each against the C declaration.
#pragma once

#define TF_SIZE_BELOW_EBP 0x38  // what of KTRAP_FRAME lies below Ebp
#define TF_EXCEPTION_LIST 0x08
#define TF_SEGS           0x10
#define TF_EDI            0x20
#define TF_EBP            0x38
#define TF_CS             0x4C
#define TF_HARDWARE_ESP   0x0C
#define TF_SIZE           0x54  // without what only a trap from user mode has

#define PCR_EXCEPTION_LIST 0x00
#define PCR_PRCB       0x20
#define PCR_IRQL       0x24
#define PCR_IRR        0x28
#define PCR_DPC_STACK  0x134
#define PCR_DPC_ACTIVE 0x138
#define PCR_STACK_BASE 0x04
#define PCR_STACK_LIMIT 0x08
#define PCR_CURRENT_THREAD 0x124

#define TH_KERNEL_STACK 0x10
#define TH_IN_CONTEXT   0x14
#define TH_STACK_BASE   0x18
#define TH_STACK_LIMIT  0x1C

#define CX_EDI        0x9C
#define CX_ESI        0xA0
#define CX_EBX        0xA4
#define CX_EDX        0xA8
#define CX_ECX        0xAC
#define CX_EAX        0xB0
#define CX_EBP        0xB4
#define CX_EIP        0xB8
#define CX_EFLAGS     0xC0
#define CX_ESP        0xC4
