// SPDX-License-Identifier: MIT
// amd64: driver frames by their unwind tables, and the registers as a bugcheck prints them.
#include "../kdp.h"

BOOLEAN RtlStepFrame(PCONTEXT Context); // rtl: unwinds one frame by .pdata

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
    KdPrintf("rax=%016llx rbx=%016llx rcx=%016llx rdx=%016llx\n", f->Rax, f->Rbx, f->Rcx, f->Rdx);
    KdPrintf("rsi=%016llx rdi=%016llx rbp=%016llx rsp=%016llx\n", f->Rsi, f->Rdi, f->Rbp, f->Rsp);
    KdPrintf(" r8=%016llx  r9=%016llx r10=%016llx r11=%016llx\n", f->R8, f->R9, f->R10, f->R11);
    KdPrintf("r12=%016llx r13=%016llx r14=%016llx r15=%016llx\n", f->R12, f->R13, f->R14, f->R15);
    KdPrintf("rip=%016llx efl=%08x cs=%04x ss=%04x cr2=%016llx trap %02x error %x\n", f->Rip,
             (ULONG)f->EFlags, (ULONG)f->SegCs, (ULONG)f->SegSs, f->Cr2, (ULONG)f->Vector,
             (ULONG)f->ErrorCode);
}
