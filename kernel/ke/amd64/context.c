// SPDX-License-Identifier: MIT
// amd64: a trap frame as the CONTEXT that exception handlers see.
#include "../ki.h"

// The kernel uses no floating point, so the FXSAVE image taken here is still the interrupted code's
// but for MXCSR and the volatile XMM registers, which drivers' handlers may have used since; the
// frame has those.
static VOID KiContextFloat(const KTRAP_FRAME *Frame, PCONTEXT Context)
{
    __asm__ volatile("fxsave64 %0" : "=m"(Context->FltSave));
    Context->MxCsr = Context->FltSave.MxCsr = Frame->MxCsr;
    for (ULONG i = 0; i < RTL_NUMBER_OF(Frame->Xmm); i++)
        Context->FltSave.XmmRegisters[i] = Frame->Xmm[i];
}

static VOID KiContextInteger(const KTRAP_FRAME *Frame, PCONTEXT Context)
{
    Context->Rax = Frame->Rax;
    Context->Rcx = Frame->Rcx;
    Context->Rdx = Frame->Rdx;
    Context->Rbx = Frame->Rbx;
    Context->Rbp = Frame->Rbp;
    Context->Rsi = Frame->Rsi;
    Context->Rdi = Frame->Rdi;
    Context->R8 = Frame->R8;
    Context->R9 = Frame->R9;
    Context->R10 = Frame->R10;
    Context->R11 = Frame->R11;
    Context->R12 = Frame->R12;
    Context->R13 = Frame->R13;
    Context->R14 = Frame->R14;
    Context->R15 = Frame->R15;
}

VOID KeContextFromTrapFrame(const KTRAP_FRAME *Frame, PCONTEXT Context)
{
    memset(Context, 0, sizeof(*Context));
    Context->ContextFlags = CONTEXT_FULL | CONTEXT_SEGMENTS;
    Context->Rip = Frame->Rip;
    Context->Rsp = Frame->Rsp;
    Context->EFlags = (ULONG)Frame->EFlags;
    Context->SegCs = (USHORT)Frame->SegCs;
    Context->SegSs = (USHORT)Frame->SegSs;
    Context->SegDs = Context->SegEs = KGDT_R3_DATA | 3;
    Context->SegFs = KGDT_R3_CMTEB | 3;
    Context->SegGs = KGDT_R3_DATA | 3;
    KiContextInteger(Frame, Context);
    KiContextFloat(Frame, Context);
}

VOID KeContextToTrapFrame(const CONTEXT *Context, PKTRAP_FRAME Frame)
{
    Frame->Rax = Context->Rax;
    Frame->Rcx = Context->Rcx;
    Frame->Rdx = Context->Rdx;
    Frame->Rbx = Context->Rbx;
    Frame->Rbp = Context->Rbp;
    Frame->Rsi = Context->Rsi;
    Frame->Rdi = Context->Rdi;
    Frame->R8 = Context->R8;
    Frame->R9 = Context->R9;
    Frame->R10 = Context->R10;
    Frame->R11 = Context->R11;
    Frame->R12 = Context->R12;
    Frame->R13 = Context->R13;
    Frame->R14 = Context->R14;
    Frame->R15 = Context->R15;
    Frame->Rip = Context->Rip;
    Frame->Rsp = Context->Rsp;
    Frame->EFlags = Context->EFlags;
    Frame->SegCs = Context->SegCs;
    Frame->SegSs = Context->SegSs;
}
