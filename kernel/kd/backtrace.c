// SPDX-License-Identifier: MIT
// Stack walks through kernel and driver code.
//
// The kernel is compiled with frame pointers, so its frames are a linked list at Fp. Driver code is
// whatever a stranger's compiler made of it: on amd64 its unwind tables say how to step (rtl's
// RtlStepFrame), on i386 the stack is searched for return addresses (i386/frame.c). Every read goes
// through KeSafeCopy and every step must go up the stack, so a walk over a damaged stack ends
// instead of faulting or looping.
#include "kdp.h"

static BOOLEAN KdpStepKernelFrame(KD_FRAME *Frame)
{
    ULONG_PTR Link[2];

    if (Frame->Fp < Frame->Sp || (Frame->Fp & (sizeof(PVOID) - 1)) != 0 ||
        !KeSafeCopy(Link, (const VOID *)Frame->Fp, sizeof(Link)))
        return FALSE;
    Frame->Sp = Frame->Fp + sizeof(Link);
    Frame->Fp = Link[0];
    Frame->Pc = Link[1];
    return TRUE;
}

static BOOLEAN KdpIsCode(ULONG_PTR Address)
{
    return KdpIsKernelCode(Address) || LdrDriverOfAddress(Address) != NULL;
}

// A call through a bad pointer went where no code is: all it left is the return address on top.
static BOOLEAN KdpStepStrayCall(KD_FRAME *Frame)
{
    ULONG_PTR Caller;

    if (KdpIsCode(Frame->Pc) || !KeSafeCopy(&Caller, (const VOID *)Frame->Sp, sizeof(Caller)) ||
        !KdpIsCode(Caller))
        return FALSE;
    Frame->Pc = Caller;
    Frame->Sp += sizeof(Caller);
    return TRUE;
}

static BOOLEAN KdpStep(KD_FRAME *Frame)
{
    ULONG_PTR Sp = Frame->Sp;
    BOOLEAN Stepped = KdpIsKernelCode(Frame->Pc)
                          ? KdpStepKernelFrame(Frame)
                          : KdpStepStrayCall(Frame) || KdpStepDriverFrame(Frame);
    return Stepped && Frame->Sp > Sp && Frame->Pc != 0;
}

ULONG KdCaptureBacktrace(const KTRAP_FRAME *TrapFrame, ULONG Skip, ULONG_PTR *Frames, ULONG Count)
{
    ULONG Stored = 0;
    KD_FRAME Frame;

    if (TrapFrame != NULL) {
        Frame = (KD_FRAME){TRAP_PC(TrapFrame), TRAP_SP(TrapFrame), TRAP_FP(TrapFrame)};
    } else {
        Frame.Fp = (ULONG_PTR)__builtin_frame_address(0);
        Frame.Sp = Frame.Fp;
        Frame.Pc = (ULONG_PTR)KdCaptureBacktrace;
        if (!KdpStep(&Frame))
            return 0;
    }
    do {
        if (Skip != 0)
            Skip--;
        else if (Stored < Count)
            Frames[Stored++] = Frame.Pc;
    } while (Stored < Count && KdpStep(&Frame));
    return Stored;
}

VOID KdBacktrace(const KTRAP_FRAME *TrapFrame)
{
    ULONG_PTR Frames[32];
    char Name[160];
    ULONG Count =
        KdCaptureBacktrace(TrapFrame, TrapFrame == NULL ? 1 : 0, Frames, RTL_NUMBER_OF(Frames));

    for (ULONG i = 0; i < Count; i++) {
        // A return address may lie behind the last instruction of its function: name the call
        // instead.
        BOOLEAN Exact = i == 0 && TrapFrame != NULL;
        BOOLEAN Known = KdSymbolize(Exact ? Frames[i] : Frames[i] - 1, Name, sizeof(Name));
        KdPrintf("    #%-2u %s 0x%p\n", i, Known ? Name : "unknown code", (PVOID)Frames[i]);
        if (!Known && i != 0)
            break;
    }
}
