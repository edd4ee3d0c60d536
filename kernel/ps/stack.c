// SPDX-License-Identifier: MIT
// Kernel stacks: how much there is, and more for whoever asks.
//
// A routine that needs more stack than is left is called on a stack of its own,
// KERNEL_LARGE_STACK_SIZE bytes with a guard page, which goes when the routine returns. Meanwhile
// that is the thread's stack: limits, traps and switches know no other. The thread's CalloutFrame
// leads back; a thread must not end in between. Nested calls get another stack each, up to
// MAXIMUM_DEPTH.
//
// Stack and limits change together, at DISPATCH_LEVEL: an APC in between would run on one stack
// with the other's limits, by which its exception handlers and its own callouts go.
//
// Such a stack is a request of the driver's, that may fail on purpose (mm/poolverify.c).
//
// Tests: tests/guest/threads.c, tests/guest/apcs.c, tests/guest/broken/no_memory.c.
#include "pool.h"
#include "psp.h"

#ifdef _AMD64_
#define KERNEL_LARGE_STACK_SIZE 0x12000u
#else
#define KERNEL_LARGE_STACK_SIZE 61440u
#endif
#define MAXIMUM_EXPANSION_SIZE (KERNEL_LARGE_STACK_SIZE - PAGE_SIZE / 2)
#define MAXIMUM_DEPTH          8u
#define STACK_TAG              'tSsP' // of requests that fail on purpose
#define MARGIN                 0x200u // for the frames until the routine's own

typedef struct _PS_CALLOUT {
    struct _PS_CALLOUT *Outer;
    ULONG Depth;
    PVOID StackBase, StackLimit; // of the stack called from
    KE_STACK_ROUTINE *Routine;
    PVOID Parameter;
    KIRQL Irql; // of the caller, and of Routine
} PS_CALLOUT;

// IoGetStackLimits: the bounds of the stack in use, a DPC's included.
// IRQL: any. Source: WDK wdm.h, IoGetStackLimits.
VOID NTAPI IoGetStackLimits(PULONG_PTR LowLimit, PULONG_PTR HighLimit);
VOID NTAPI IoGetStackLimits(PULONG_PTR LowLimit, PULONG_PTR HighLimit)
{
    KeQueryStack(LowLimit, HighLimit);
}
EXPORT(IoGetStackLimits, EXPORT_ANY_IRQL, "WDK wdm.h IoGetStackLimits");

static SIZE_T PspRemainingStack(VOID)
{
    ULONG_PTR Limit, Base;

    KeQueryStack(&Limit, &Base);
    return (ULONG_PTR)__builtin_frame_address(0) - Limit;
}

// IoGetRemainingStackSize: bytes left below the caller.
// IRQL: any. Source: WDK wdm.h, IoGetRemainingStackSize.
ULONG_PTR NTAPI IoGetRemainingStackSize(VOID);
ULONG_PTR NTAPI IoGetRemainingStackSize(VOID)
{
    return PspRemainingStack();
}
EXPORT(IoGetRemainingStackSize, EXPORT_ANY_IRQL, "WDK wdm.h IoGetRemainingStackSize");

// On the new stack, whose limits are the thread's by now.
static VOID NTAPI PspRunCallout(PVOID Parameter)
{
    PS_CALLOUT *Frame = Parameter;

    KiLowerIrql(Frame->Irql);
    Frame->Routine(Frame->Parameter);
    KiRaiseIrql(DISPATCH_LEVEL);
}

static NTSTATUS PspCallOnNewStack(KE_STACK_ROUTINE *Callout, PVOID Parameter, ULONG_PTR Caller)
{
    PKTHREAD Thread = KiCurrentThread();
    PS_CALLOUT Frame = {.Outer = Thread->CalloutFrame,
                        .StackBase = Thread->StackBase,
                        .StackLimit = Thread->StackLimit,
                        .Routine = Callout,
                        .Parameter = Parameter};
    PVOID Stack = NULL;

    Frame.Depth = Frame.Outer != NULL ? Frame.Outer->Depth + 1 : 1;
    if (Frame.Depth > MAXIMUM_DEPTH)
        return STATUS_STACK_OVERFLOW;
    if (!ExFailsOnPurpose(Caller, KERNEL_LARGE_STACK_SIZE, STACK_TAG))
        Stack = MmCreateKernelStack(KERNEL_LARGE_STACK_SIZE / PAGE_SIZE);
    if (Stack == NULL)
        return STATUS_NO_MEMORY;
    Frame.Irql = KiRaiseIrql(DISPATCH_LEVEL);
    Thread->CalloutFrame = &Frame;
    KeSetStack(Stack, (PUCHAR)Stack - KERNEL_LARGE_STACK_SIZE);
    KeCallOnStack(PspRunCallout, &Frame, Stack);
    KeSetStack(Frame.StackBase, Frame.StackLimit);
    Thread->CalloutFrame = Frame.Outer;
    KiLowerIrql(Frame.Irql);
    KeCheckFreedMemory((PUCHAR)Stack - KERNEL_LARGE_STACK_SIZE, KERNEL_LARGE_STACK_SIZE);
    MmDeleteKernelStack(Stack, KERNEL_LARGE_STACK_SIZE / PAGE_SIZE);
    return STATUS_SUCCESS;
}

static BOOLEAN PspIsOnDpcStack(VOID)
{
    return KiGetIrql() >= DISPATCH_LEVEL && KeGetCurrentPrcb()->DpcActive;
}

static NTSTATUS PspExpand(KE_STACK_ROUTINE *Callout, PVOID Parameter, SIZE_T Size, BOOLEAN Wait,
                          ULONG_PTR Caller)
{
    ASSERT_IRQL_AT_MOST(DISPATCH_LEVEL);
    if (Size > MAXIMUM_EXPANSION_SIZE)
        return STATUS_INVALID_PARAMETER_3;
    if (Wait && KiGetIrql() >= DISPATCH_LEVEL)
        return STATUS_INVALID_PARAMETER_4;
    if (PspRemainingStack() >= Size + MARGIN) {
        Callout(Parameter);
        return STATUS_SUCCESS;
    }
    return PspIsOnDpcStack() ? STATUS_STACK_OVERFLOW
                             : PspCallOnNewStack(Callout, Parameter, Caller);
}

// KeExpandKernelStackAndCalloutEx: calls Callout(Parameter) with at least Size bytes of stack.
//   Size     at most MAXIMUM_EXPANSION_SIZE.
//   Wait     whether the routine may wait for memory; FALSE at DISPATCH_LEVEL.
//   Context  NULL.
// IRQL: <= DISPATCH_LEVEL; the same inside Callout. Fails, Callout not called:
// STATUS_INVALID_PARAMETER_3 (Size), STATUS_INVALID_PARAMETER_4 (Wait at DISPATCH_LEVEL),
// STATUS_NO_MEMORY, STATUS_STACK_OVERFLOW (too deep, or in a DPC with too little left). A thread
// that ends inside Callout stops the system. Source: WDK ntddk.h, KeExpandKernelStackAndCalloutEx.
NTSTATUS NTAPI KeExpandKernelStackAndCalloutEx(KE_STACK_ROUTINE *Callout, PVOID Parameter,
                                               SIZE_T Size, BOOLEAN Wait, PVOID Context);
NTSTATUS NTAPI KeExpandKernelStackAndCalloutEx(KE_STACK_ROUTINE *Callout, PVOID Parameter,
                                               SIZE_T Size, BOOLEAN Wait, PVOID Context)
{
    return PspExpand(Callout, Parameter, Size, Wait, KiReturnAddress());
}
EXPORT(KeExpandKernelStackAndCalloutEx, DISPATCH_LEVEL,
       "WDK ntddk.h KeExpandKernelStackAndCalloutEx");

// KeExpandKernelStackAndCallout: the same, which may wait.
// IRQL: <= APC_LEVEL. Source: WDK ntddk.h, KeExpandKernelStackAndCallout.
NTSTATUS NTAPI KeExpandKernelStackAndCallout(KE_STACK_ROUTINE *Callout, PVOID Parameter,
                                             SIZE_T Size);
NTSTATUS NTAPI KeExpandKernelStackAndCallout(KE_STACK_ROUTINE *Callout, PVOID Parameter,
                                             SIZE_T Size)
{
    return PspExpand(Callout, Parameter, Size, KiGetIrql() < DISPATCH_LEVEL, KiReturnAddress());
}
EXPORT(KeExpandKernelStackAndCallout, APC_LEVEL, "WDK ntddk.h KeExpandKernelStackAndCallout");

// KeSetKernelStackSwapEnable: whether the stack may be paged out in UserMode waits. Returns what
// was set before. Stacks are never paged out here; the thread must still not end with it disabled.
// IRQL: <= APC_LEVEL. Source: WDK ntifs.h, KeSetKernelStackSwapEnable.
BOOLEAN NTAPI KeSetKernelStackSwapEnable(BOOLEAN Enable);
BOOLEAN NTAPI KeSetKernelStackSwapEnable(BOOLEAN Enable)
{
    PKTHREAD Thread = KiCurrentThread();
    BOOLEAN Before = !Thread->StackSwapDisabled;

    Thread->StackSwapDisabled = !Enable;
    return Before;
}
EXPORT(KeSetKernelStackSwapEnable, APC_LEVEL, "WDK ntifs.h KeSetKernelStackSwapEnable");
