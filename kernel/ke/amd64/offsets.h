// SPDX-License-Identifier: MIT
// amd64: structure offsets for assembly; processor.c asserts each against the C declaration.
#pragma once

#define TF_XMM0       0x20
#define TF_MXCSR      0x80
#define TF_IRQL       0x84
#define TF_CR2        0x88
#define TF_R15        0x90
#define TF_R14        0x98
#define TF_R13        0xA0
#define TF_R12        0xA8
#define TF_R11        0xB0
#define TF_R10        0xB8
#define TF_R9         0xC0
#define TF_R8         0xC8
#define TF_RDI        0xD0
#define TF_RSI        0xD8
#define TF_RBX        0xE0
#define TF_RDX        0xE8
#define TF_RCX        0xF0
#define TF_RAX        0xF8
#define TF_RBP        0x108
#define TF_CS         0x130
#define TF_SIZE       0x150

#define PCR_PRCB       0x20
#define PCR_DPC_STACK  0x1A0
#define PCR_DPC_ACTIVE 0x1A8
#define PCR_RESCHEDULE 0x1AA
#define PCR_CURRENT_THREAD 0x188

#define TH_KERNEL_STACK 0x18
#define TH_IN_CONTEXT   0x20

#define SF_XMM6       0x00
#define SF_MXCSR      0xA0

#define CX_MXCSR      0x34
#define CX_EFLAGS     0x44
#define CX_RAX        0x78
#define CX_RCX        0x80
#define CX_RDX        0x88
#define CX_RBX        0x90
#define CX_RSP        0x98
#define CX_RBP        0xA0
#define CX_RSI        0xA8
#define CX_RDI        0xB0
#define CX_R8         0xB8
#define CX_R9         0xC0
#define CX_R10        0xC8
#define CX_R11        0xD0
#define CX_R12        0xD8
#define CX_R13        0xE0
#define CX_R14        0xE8
#define CX_R15        0xF0
#define CX_RIP        0xF8
#define CX_FLTSAVE    0x100
