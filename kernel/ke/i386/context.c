// SPDX-License-Identifier: MIT
// i386: a trap frame as the CONTEXT that exception handlers see. Floating point is left where it
// is, in the processor: the kernel uses none, and drivers save it before they do.
#include "../ki.h"

VOID KeContextFromTrapFrame(const KTRAP_FRAME *Frame, PCONTEXT Context)
{
    memset(Context, 0, sizeof(*Context));
    Context->ContextFlags = CONTEXT_FULL;
    Context->SegGs = Frame->SegGs & 0xFFFF;
    Context->SegFs = Frame->SegFs & 0xFFFF;
    Context->SegEs = Frame->SegEs & 0xFFFF;
    Context->SegDs = Frame->SegDs & 0xFFFF;
    Context->Edi = Frame->Edi;
    Context->Esi = Frame->Esi;
    Context->Ebx = Frame->Ebx;
    Context->Edx = Frame->Edx;
    Context->Ecx = Frame->Ecx;
    Context->Eax = Frame->Eax;
    Context->Ebp = Frame->Ebp;
    Context->Eip = Frame->Eip;
    Context->SegCs = Frame->SegCs & 0xFFFF;
    Context->EFlags = Frame->EFlags;
    Context->Esp = Frame->HardwareEsp;
    Context->SegSs = KGDT_R0_DATA;
}

VOID KeContextToTrapFrame(const CONTEXT *Context, PKTRAP_FRAME Frame)
{
    Frame->SegGs = Context->SegGs;
    Frame->SegFs = Context->SegFs;
    Frame->SegEs = Context->SegEs;
    Frame->SegDs = Context->SegDs;
    Frame->Edi = Context->Edi;
    Frame->Esi = Context->Esi;
    Frame->Ebx = Context->Ebx;
    Frame->Edx = Context->Edx;
    Frame->Ecx = Context->Ecx;
    Frame->Eax = Context->Eax;
    Frame->Ebp = Context->Ebp;
    Frame->Eip = Context->Eip;
    Frame->SegCs = Context->SegCs;
    Frame->EFlags = Context->EFlags;
    Frame->HardwareEsp = Context->Esp;
}
