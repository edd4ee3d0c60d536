// SPDX-License-Identifier: MIT
// amd64: driver frames by their unwind tables, and the registers as a bugcheck prints them.
#include "../kdp.h"

BOOLEAN RtlStepFrame(PCONTEXT Context);  // rtl: unwinds one frame by .pdata

// Callee-saved registers other than rbp are unknown here; they matter only to functions whose frame
// register is one of them, which compilers do not choose.
BOOLEAN KdpStepDriverFrame(KD_FRAME *Frame)
{
    CONTEXT Context;
    memset(&Context, 0, sizeof(Context));
    Context.Rip = Frame->Pc;
    Context.Rsp = Frame->Sp;
    Context.Rbp = Frame->Fp;
    if (!RtlStepFrame(&Context))
        return FALSE;
    Frame->Pc = Context.Rip;
    Frame->Sp = Context.Rsp;
    Frame->Fp = Context.Rbp;
    return TRUE;
}

VOID KdpPrintRegisters(const KTRAP_FRAME *f)
{
    KdPrintf("rax=%016I64x rbx=%016I64x rcx=%016I64x rdx=%016I64x\n", f->Rax, f->Rbx, f->Rcx, f->Rdx);
    KdPrintf("rsi=%016I64x rdi=%016I64x rbp=%016I64x rsp=%016I64x\n", f->Rsi, f->Rdi, f->Rbp, f->Rsp);
    KdPrintf(" r8=%016I64x  r9=%016I64x r10=%016I64x r11=%016I64x\n", f->R8, f->R9, f->R10, f->R11);
    KdPrintf("r12=%016I64x r13=%016I64x r14=%016I64x r15=%016I64x\n", f->R12, f->R13, f->R14, f->R15);
    KdPrintf("rip=%016I64x efl=%08x cs=%04x ss=%04x cr2=%016I64x trap %02x error %x\n", f->Rip,
             (ULONG)f->EFlags, (ULONG)f->SegCs, (ULONG)f->SegSs, f->Cr2, (ULONG)f->Vector, (ULONG)f->ErrorCode);
}
