// SPDX-License-Identifier: MIT
// Registers as a CONTEXT, and the frames that the exception walk recognises by their return
// address.
//
// Offsets are CONTEXT's (nt/ketypes.h); dispatch.c asserts those used here.

#define CONTEXT_FLAGS 0x30
#define CONTEXT_MXCSR 0x34
#define CONTEXT_CS    0x38
#define CONTEXT_SS    0x42
#define CONTEXT_EFL   0x44
#define CONTEXT_RAX   0x78
#define CONTEXT_RCX   0x80
#define CONTEXT_RDX   0x88
#define CONTEXT_RBX   0x90
#define CONTEXT_RSP   0x98
#define CONTEXT_RBP   0xA0
#define CONTEXT_RSI   0xA8
#define CONTEXT_RDI   0xB0
#define CONTEXT_R8    0xB8
#define CONTEXT_RIP   0xF8
#define CONTEXT_FLT   0x100
#define CONTEXT_FULL  0x10000F  // with segments

        .text

// VOID RtlCaptureContext(PCONTEXT Context): the caller's registers as they are after the return.
        .globl  RtlCaptureContext
        .type   RtlCaptureContext, @function
RtlCaptureContext:
        .cfi_startproc
        pushfq
        .cfi_adjust_cfa_offset 8
        movl    $CONTEXT_FULL, CONTEXT_FLAGS(%rcx)
        movq    %rax, CONTEXT_RAX(%rcx)
        movq    %rcx, CONTEXT_RCX(%rcx)
        movq    %rdx, CONTEXT_RDX(%rcx)
        movq    %rbx, CONTEXT_RBX(%rcx)
        movq    %rbp, CONTEXT_RBP(%rcx)
        movq    %rsi, CONTEXT_RSI(%rcx)
        movq    %rdi, CONTEXT_RDI(%rcx)
        movq    %r8, CONTEXT_R8(%rcx)
        movq    %r9, CONTEXT_R8 + 0x08(%rcx)
        movq    %r10, CONTEXT_R8 + 0x10(%rcx)
        movq    %r11, CONTEXT_R8 + 0x18(%rcx)
        movq    %r12, CONTEXT_R8 + 0x20(%rcx)
        movq    %r13, CONTEXT_R8 + 0x28(%rcx)
        movq    %r14, CONTEXT_R8 + 0x30(%rcx)
        movq    %r15, CONTEXT_R8 + 0x38(%rcx)
        movw    %cs, CONTEXT_CS(%rcx)
        movw    %ds, CONTEXT_CS + 2(%rcx)
        movw    %es, CONTEXT_CS + 4(%rcx)
        movw    %fs, CONTEXT_CS + 6(%rcx)
        movw    %gs, CONTEXT_CS + 8(%rcx)
        movw    %ss, CONTEXT_SS(%rcx)
        fxsave64 CONTEXT_FLT(%rcx)
        stmxcsr CONTEXT_MXCSR(%rcx)
        movq    (%rsp), %rax
        movl    %eax, CONTEXT_EFL(%rcx)
        movq    8(%rsp), %rax
        movq    %rax, CONTEXT_RIP(%rcx)
        leaq    16(%rsp), %rax
        movq    %rax, CONTEXT_RSP(%rcx)
        movq    CONTEXT_RAX(%rcx), %rax
        popfq
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc

// VOID RtlpRestoreContext(const CONTEXT *Context): all registers but the data segments; no return.
// An iretq frame is built below the current stack, so Context may lie anywhere.
        .globl  RtlpRestoreContext
        .type   RtlpRestoreContext, @function
RtlpRestoreContext:
        fxrstor64 CONTEXT_FLT(%rcx)
        ldmxcsr CONTEXT_MXCSR(%rcx)
        movzwl  CONTEXT_SS(%rcx), %eax
        pushq   %rax
        pushq   CONTEXT_RSP(%rcx)
        movl    CONTEXT_EFL(%rcx), %eax
        pushq   %rax
        movzwl  CONTEXT_CS(%rcx), %eax
        pushq   %rax
        pushq   CONTEXT_RIP(%rcx)
        movq    CONTEXT_RAX(%rcx), %rax
        movq    CONTEXT_RDX(%rcx), %rdx
        movq    CONTEXT_RBX(%rcx), %rbx
        movq    CONTEXT_RBP(%rcx), %rbp
        movq    CONTEXT_RSI(%rcx), %rsi
        movq    CONTEXT_RDI(%rcx), %rdi
        movq    CONTEXT_R8(%rcx), %r8
        movq    CONTEXT_R8 + 0x08(%rcx), %r9
        movq    CONTEXT_R8 + 0x10(%rcx), %r10
        movq    CONTEXT_R8 + 0x18(%rcx), %r11
        movq    CONTEXT_R8 + 0x20(%rcx), %r12
        movq    CONTEXT_R8 + 0x28(%rcx), %r13
        movq    CONTEXT_R8 + 0x30(%rcx), %r14
        movq    CONTEXT_R8 + 0x38(%rcx), %r15
        movq    CONTEXT_RCX(%rcx), %rcx
        iretq

// A frame with room for what the walk looks for: 0x20 bytes of home space, then two words.
.macro  marked_frame Name, ReturnLabel, First, Second, Target:vararg
        .globl  \Name, \ReturnLabel
        .type   \Name, @function
\Name:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        subq    $0x30, %rsp
        movq    \First, 0x20(%rsp)
        movq    \Second, 0x28(%rsp)
        call    \Target
\ReturnLabel:
        leave
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
.endm

// Handler(Record, EstablisherFrame, Context, Dispatcher), Dispatcher kept for a nested exception.
#define HANDLER 0x30
        marked_frame RtlpCallExceptionHandler, RtlpExceptionHandlerReturn, %r9, %r8, *HANDLER(%r9)
        marked_frame RtlpCallUnwindHandler, RtlpUnwindHandlerReturn, %r9, %r8, *HANDLER(%r9)

// RtlpDispatch(Record, Context, Exact), Context kept: the walk goes on in the interrupted code.
        marked_frame RtlpCallDispatcher, RtlpDispatcherReturn, %rdx, %r8, RtlpDispatch
