// SPDX-License-Identifier: MIT
// amd64: the stack of a thread that has not run yet.
#include "../ki.h"
#include "offsets.h"

// What KiSwapContext leaves on the stack.
typedef struct _KI_SWITCH_FRAME {
    M128A Xmm[10]; // xmm6 to xmm15
    ULONG MxCsr, Fill;
    ULONG64 R15, R14, R13, R12, Rdi, Rsi, Rbx, Rbp;
    ULONG64 ReturnAddress;
} KI_SWITCH_FRAME;

extern const UCHAR KiThreadEntry[];

VOID KiInitializeContext(PKTHREAD Thread)
{
    // Shadow space for KiStartThread, then the frame, so that the stack is aligned at
    // KiThreadEntry.
    PUCHAR Top = (PUCHAR)Thread->StackBase - 0x20;
    KI_SWITCH_FRAME *Frame =
        (KI_SWITCH_FRAME *)(Top - RTL_SIZEOF_THROUGH_FIELD(KI_SWITCH_FRAME, ReturnAddress));

    memset(Frame, 0, RTL_SIZEOF_THROUGH_FIELD(KI_SWITCH_FRAME, ReturnAddress));
    Frame->MxCsr = KiInitialMxCsr;
    Frame->ReturnAddress = (ULONG64)KiThreadEntry;
    Thread->KernelStack = Frame;
}

VOID KiThreadFrame(PKTHREAD Thread, PKTRAP_FRAME Frame)
{
    KI_SWITCH_FRAME *Switch = Thread->KernelStack;

    memset(Frame, 0, sizeof(*Frame));
    Frame->Rip = Switch->ReturnAddress;
    Frame->Rbp = Switch->Rbp;
    Frame->Rbx = Switch->Rbx;
    Frame->Rsi = Switch->Rsi;
    Frame->Rdi = Switch->Rdi;
    Frame->R12 = Switch->R12;
    Frame->R13 = Switch->R13;
    Frame->R14 = Switch->R14;
    Frame->R15 = Switch->R15;
    Frame->Rsp = (ULONG64)(&Switch->ReturnAddress + 1);
}

C_ASSERT(FIELD_OFFSET(KI_SWITCH_FRAME, Xmm) == SF_XMM6);
C_ASSERT(FIELD_OFFSET(KI_SWITCH_FRAME, MxCsr) == SF_MXCSR);
C_ASSERT(RTL_SIZEOF_THROUGH_FIELD(KI_SWITCH_FRAME, ReturnAddress) % 16 == 0);
C_ASSERT(FIELD_OFFSET(KTHREAD, KernelStack) == TH_KERNEL_STACK);
C_ASSERT(FIELD_OFFSET(KTHREAD, InContext) == TH_IN_CONTEXT);
