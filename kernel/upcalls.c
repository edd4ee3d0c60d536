// SPDX-License-Identifier: MIT
// What rtl, the lowest layer, is handed from above: the pool for its strings, and for exceptions
// the traps that feed the dispatcher (ke) and the images it walks (ldr). And what hal's `hwinfo` is
// handed: which driver serves a vector (ke) or drives a PCI function (io). This file, like start.c,
// stands above all of them.
//
// Which faults are offered to handlers: those in driver code, and those in rtl's own code, which
// works on its caller's memory and holds nothing (RtlCopyMemory and its like). A fault anywhere
// else in the kernel happened while locks were held or lists half changed; to unwind from there
// would leave them so, and the fault is reported instead. What the kernel means to raise, it
// raises by RtlRaiseStatus.
#include "ex.h"
#include "hal.h"
#include "io.h"
#include "ldr.h"
#include "mm.h"
#include "pool.h"
#include "rtl.h"

VOID KiConnectRtl(VOID);

extern const UCHAR KernelTextStart[], KernelTextEnd[], RtlTextStart[], RtlTextEnd[];

static BOOLEAN KiIsWithin(ULONG_PTR Address, const UCHAR *Start, const UCHAR *End)
{
    return Address - (ULONG_PTR)Start < (ULONG_PTR)(End - Start);
}

static BOOLEAN KiMayRaise(ULONG_PTR Pc)
{
    return !KiIsWithin(Pc, KernelTextStart, KernelTextEnd) ||
           KiIsWithin(Pc, RtlTextStart, RtlTextEnd);
}

// ke's exception routine: returns only when nobody took the exception.
static VOID KiDispatchException(PEXCEPTION_RECORD Exception, PKTRAP_FRAME Frame)
{
    CONTEXT Context;

    if (!KiMayRaise(TRAP_PC(Frame)))
        return;
    KeContextFromTrapFrame(Frame, &Context);
    if (RtlDispatchException(Exception, &Context))
        KeContinue(&Context);
}

// What software raised and nobody took.
static VOID KiUnhandledException(PEXCEPTION_RECORD Exception, PCONTEXT Context)
{
    KTRAP_FRAME Frame;

    RtlZeroMemory(&Frame, sizeof(Frame));
    KeContextToTrapFrame(Context, &Frame);
    KeExceptionNotHandled(Exception, &Frame);
}

static BOOLEAN KiFindImage(ULONG_PTR Address, PRTL_IMAGE Image)
{
    PLDR_DRIVER Driver = LdrDriverOfAddress(Address);

    if (Driver == NULL)
        return FALSE;
    Image->Base = Driver->Base;
    Image->Size = Driver->Size;
    Image->FunctionTable = Driver->FunctionTable;
    Image->FunctionCount = Driver->FunctionTable != NULL ? Driver->FunctionCount : 0;
    return TRUE;
}

static PVOID KiAllocateString(SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller)
{
    return ExAllocatePoolFor(PagedPool, NumberOfBytes, Tag, Caller);
}

static VOID KiFreeString(PVOID Memory, ULONG_PTR Caller)
{
    ExFreePool(Memory);
}

// ---- hwinfo -------------------------------------------------------------------------------------
static const char *KiDriverName(ULONG_PTR Address)
{
    const LDR_DRIVER *Driver = LdrDriverOfAddress(Address);

    return Driver != NULL ? Driver->Name : NULL;
}

static const char *KiOwnerOfVector(ULONG Vector)
{
    return KiDriverName(KeServiceRoutineOf(Vector));
}

static const char *KiOwnerOfFunction(ULONG Bus, ULONG Device, ULONG Function)
{
    return KiDriverName((ULONG_PTR)IopReporterOf(Bus, Device, Function));
}

static ULONG KiRunningProcessors(VOID)
{
    return (ULONG)KeNumberProcessors;
}

VOID KiConnectRtl(VOID)
{
    static const HAL_OWNERS Owners = {KiOwnerOfVector, KiOwnerOfFunction, KiRunningProcessors};

    const RTL_PLATFORM Platform = {
        .SafeCopy = KeSafeCopy,
        .FindImage = KiFindImage,
        .Unhandled = KiUnhandledException,
        .UserLimit = MmUserProbeAddress,
    };

    HalRegisterOwners(&Owners);
    RtlInitializeExceptions(&Platform);
    RtlRegisterAllocator(KiAllocateString, KiFreeString);
    KeExceptionRoutine = KiDispatchException;
}
