// SPDX-License-Identifier: MIT
// i386: the stack of a thread that has not run yet.
#include "../ki.h"
#include "offsets.h"

// What KiSwapContext leaves on the stack.
typedef struct _KI_SWITCH_FRAME {
    PVOID ExceptionList;
    ULONG Edi, Esi, Ebx, Ebp;
    ULONG ReturnAddress;
} KI_SWITCH_FRAME;

extern const UCHAR KiThreadEntry[];

#define FLOAT_STATE_SIZE 512u // FXSAVE's image, or FNSAVE's

VOID KiInitializeContext(PKTHREAD Thread)
{
    PUCHAR Top = (PUCHAR)Thread->StackBase - FLOAT_STATE_SIZE;
    KI_SWITCH_FRAME *Frame = (KI_SWITCH_FRAME *)Top - 1;

    memset(Frame, 0, sizeof(*Frame));
    Frame->ExceptionList = EXCEPTION_CHAIN_END;
    Frame->ReturnAddress = (ULONG)KiThreadEntry;
    Thread->FloatState = Top;
    Thread->KernelStack = Frame;
}

VOID KiThreadFrame(PKTHREAD Thread, PKTRAP_FRAME Frame)
{
    KI_SWITCH_FRAME *Switch = Thread->KernelStack;

    memset(Frame, 0, sizeof(*Frame));
    Frame->Eip = Switch->ReturnAddress;
    Frame->Ebp = Switch->Ebp;
    Frame->Ebx = Switch->Ebx;
    Frame->Esi = Switch->Esi;
    Frame->Edi = Switch->Edi;
    Frame->HardwareEsp = (ULONG)(Switch + 1);
}

C_ASSERT(FIELD_OFFSET(KTHREAD, KernelStack) == TH_KERNEL_STACK);
C_ASSERT(FIELD_OFFSET(KTHREAD, InContext) == TH_IN_CONTEXT);
C_ASSERT(FIELD_OFFSET(KTHREAD, StackBase) == TH_STACK_BASE);
C_ASSERT(FIELD_OFFSET(KTHREAD, StackLimit) == TH_STACK_LIMIT);
