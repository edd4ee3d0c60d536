// SPDX-License-Identifier: MIT
// i386's structured exceptions: the chain of registrations that starts at fs:[0].
//
// A function that handles exceptions keeps a registration (link, handler) in its frame and on the
// chain. An exception asks the handlers from the newest on. The one that takes it calls
// RtlUnwind, which asks those below to clean up and takes them off the chain, and then jumps to
// its code itself: it knows its frame pointer by the registration's address, and needs no other
// register. So kernel frames between the fault and the driver need no description here.
//
// The chain lives on the stack, where a driver's overrun reaches it. A registration is followed
// only if it is aligned, lies above the one before and above the interrupted stack pointer with
// nothing unmapped between, and its handler is not on the stack; otherwise the search ends,
// nobody having taken the exception.
//
// A handler that is being asked runs below a registration of the dispatcher's (except.S), which
// makes an exception inside it known as nested, or during an unwind as collided.
//
// Source: M. Pietrek, "A Crash Course on the Depths of Win32 Structured Exception Handling", MSJ
// January 1997; Windows developer documentation.
#include "rtlx.h"

#define STACK_REACH 0x10000u  // no registration lies further above the stack pointer

C_ASSERT(FIELD_OFFSET(CONTEXT, SegGs) == 0x8C);
C_ASSERT(FIELD_OFFSET(CONTEXT, Edi) == 0x9C);
C_ASSERT(FIELD_OFFSET(CONTEXT, Ebp) == 0xB4);
C_ASSERT(FIELD_OFFSET(CONTEXT, Esp) == 0xC4);

// ---- the chain --------------------------------------------------------------------------------

// Whether [Sp, Address + Length) is one run of readable memory.
static BOOLEAN RtlpIsOnStack(ULONG Sp, ULONG Address, ULONG Length)
{
    UCHAR Byte;

    if (Address < Sp || Address - Sp > STACK_REACH)
        return FALSE;
    for (ULONG Page = Address & ~(PAGE_SIZE - 1u); Page >= Sp; Page -= PAGE_SIZE)
        if (!RtlpSafeCopy(&Byte, (const VOID *)Page, 1))
            return FALSE;
    return RtlpSafeCopy(&Byte, (const VOID *)(Address + Length - 1), 1);
}

// Reads a registration that must lie above Sp. Fails: FALSE when it cannot be one.
static BOOLEAN RtlpReadRegistration(PEXCEPTION_REGISTRATION_RECORD At, ULONG Sp,
                                    PEXCEPTION_REGISTRATION_RECORD Copy)
{
    return ((ULONG)At & 3) == 0 && RtlpIsOnStack(Sp, (ULONG)At, sizeof(*At)) &&
           RtlpSafeCopy(Copy, At, sizeof(*Copy)) &&
           !RtlpIsOnStack(Sp, (ULONG)Copy->Handler, 1);
}

// ---- the search -------------------------------------------------------------------------------

// Asks one handler. Returns TRUE when execution is to continue.
static BOOLEAN RtlpAskHandler(PEXCEPTION_RECORD Record, PEXCEPTION_REGISTRATION_RECORD Registration,
                              PCONTEXT Context, PEXCEPTION_REGISTRATION_RECORD *Nested)
{
    PVOID Found = NULL;
    EXCEPTION_DISPOSITION Disposition =
        RtlpCallExceptionHandler(Record, Registration, Context, &Found);

    if (*Nested == Registration) {
        Record->ExceptionFlags &= ~(ULONG)EXCEPTION_NESTED_CALL;
        *Nested = NULL;
    }
    switch (Disposition) {
    case ExceptionContinueExecution:
        if ((Record->ExceptionFlags & EXCEPTION_NONCONTINUABLE) != 0)
            RtlpRaiseAbout(STATUS_NONCONTINUABLE_EXCEPTION, Record);
        return TRUE;
    case ExceptionContinueSearch:
        return FALSE;
    case ExceptionNestedException:
        Record->ExceptionFlags |= EXCEPTION_NESTED_CALL;
        if (Found > (PVOID)*Nested)
            *Nested = Found;
        return FALSE;
    default:
        RtlpRaiseAbout(STATUS_INVALID_DISPOSITION, Record);
    }
}

BOOLEAN RtlDispatchException(PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    PEXCEPTION_REGISTRATION_RECORD At = RtlpReadChain(), Nested = NULL;
    EXCEPTION_REGISTRATION_RECORD Copy;
    // The dispatcher's own registrations lie below the interrupted stack pointer, but not below
    // this.
    ULONG Sp = (ULONG)__builtin_frame_address(0);

    Record->ExceptionFlags &= EXCEPTION_NONCONTINUABLE;
    while (At != EXCEPTION_CHAIN_END) {
        if (!RtlpReadRegistration(At, Sp, &Copy)) {
            Record->ExceptionFlags |= EXCEPTION_STACK_INVALID;
            return FALSE;
        }
        if (RtlpAskHandler(Record, At, Context, &Nested))
            return TRUE;
        Sp = (ULONG)(At + 1);
        At = Copy.Next;
    }
    return FALSE;
}

// ---- raising ----------------------------------------------------------------------------------

static VOID RtlpCaptureSegments(PCONTEXT Context)
{
    USHORT Cs, Ss, Ds, Es, Fs, Gs;

    __asm__("movw %%cs, %0" : "=r"(Cs));
    __asm__("movw %%ss, %0" : "=r"(Ss));
    __asm__("movw %%ds, %0" : "=r"(Ds));
    __asm__("movw %%es, %0" : "=r"(Es));
    __asm__("movw %%fs, %0" : "=r"(Fs));
    __asm__("movw %%gs, %0" : "=r"(Gs));
    Context->SegCs = Cs;
    Context->SegSs = Ss;
    Context->SegDs = Ds;
    Context->SegEs = Es;
    Context->SegFs = Fs;
    Context->SegGs = Gs;
}

static DECLSPEC_NORETURN VOID RtlpRaiseAt(PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    Context->ContextFlags = CONTEXT_FULL;
    RtlpCaptureSegments(Context);
    Record->ExceptionAddress = (PVOID)Context->Eip;
    if (RtlDispatchException(Record, Context))
        RtlpRestoreContext(Context);
    RtlpUnhandled(Record, Context);
}

DECLSPEC_NORETURN VOID CDECL RtlpRaise(PRTLP_RAISE_FRAME Frame)
{
    CONTEXT Context;

    memset(&Context, 0, sizeof(Context));
    Context.Edi = Frame->Edi;
    Context.Esi = Frame->Esi;
    Context.Ebp = Frame->Ebp;
    Context.Ebx = Frame->Ebx;
    Context.Edx = Frame->Edx;
    Context.Ecx = Frame->Ecx;
    Context.Eax = Frame->Eax;
    Context.EFlags = Frame->EFlags;
    Context.Eip = Frame->ReturnAddress;
    Context.Esp = (ULONG)(Frame + 1);
    RtlpRaiseAt(Frame->Record, &Context);
}
EXPORT(RtlRaiseException, EXPORT_ANY_IRQL, ON_WINNT);

// Raises Status in the caller, not to be continued. IRQL: any.
// Source: Windows driver documentation, ExRaiseStatus.
DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = Status, .ExceptionFlags = EXCEPTION_NONCONTINUABLE};
    const ULONG *Frame = __builtin_frame_address(0);  // caller's ebp, return address, argument
    CONTEXT Context;

    // Nothing continues there, so that the other registers do not matter.
    memset(&Context, 0, sizeof(Context));
    __asm__ volatile("pushfl; popl %0" : "=r"(Context.EFlags));
    Context.Ebp = Frame[0];
    Context.Eip = Frame[1];
    Context.Esp = (ULONG)(Frame + 3);
    RtlpRaiseAt(&Record, &Context);
}
EXPORT(RtlRaiseStatus, EXPORT_ANY_IRQL, ON_NTIFS);

// ---- unwinding --------------------------------------------------------------------------------

// Lets one registration clean up. A handler that was itself being called by an older unwind answers
// with the registration which that one had come to; the unwinding goes on there.
static VOID RtlpCleanUp(PEXCEPTION_RECORD Record, PEXCEPTION_REGISTRATION_RECORD *At,
                        PCONTEXT Context)
{
    PVOID Found = NULL;

    switch (RtlpCallUnwindHandler(Record, *At, Context, &Found)) {
    case ExceptionContinueSearch:
        break;
    case ExceptionCollidedUnwind:
        *At = Found;
        break;
    default:
        RtlpRaiseAbout(STATUS_INVALID_DISPOSITION, Record);
    }
}

static VOID RtlpUnwindChain(PVOID TargetFrame, PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    EXCEPTION_REGISTRATION_RECORD Copy;
    ULONG Sp = (ULONG)__builtin_frame_address(0);

    for (;;) {
        PEXCEPTION_REGISTRATION_RECORD At = RtlpReadChain();
        if (At == EXCEPTION_CHAIN_END || At == TargetFrame)
            return;
        if (TargetFrame != NULL && (PVOID)At > TargetFrame)
            RtlpRaiseAbout(STATUS_INVALID_UNWIND_TARGET, Record);
        if (!RtlpReadRegistration(At, Sp, &Copy))
            RtlpRaiseAbout(STATUS_BAD_STACK, Record);
        RtlpCleanUp(Record, &At, Context);
        RtlpWriteChain(At->Next);
    }
}

// Takes the registrations below TargetFrame (NULL: all) off the chain, letting each clean up, and
// returns to the caller with ReturnValue in eax; TargetIp is that same place and not looked at.
// ExceptionRecord NULL: STATUS_UNWIND. IRQL: any.
// Fails: raises STATUS_BAD_STACK, STATUS_INVALID_UNWIND_TARGET.
// Source: M. Pietrek, MSJ January 1997; Windows developer documentation, RtlUnwind.
PVOID NTAPI RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord,
                      PVOID ReturnValue)
{
    EXCEPTION_RECORD Unwind = {.ExceptionCode = STATUS_UNWIND};
    PEXCEPTION_RECORD Record = ExceptionRecord != NULL ? ExceptionRecord : &Unwind;
    const ULONG *Frame = __builtin_frame_address(0);
    CONTEXT Context;

    memset(&Context, 0, sizeof(Context));
    Context.ContextFlags = CONTEXT_CONTROL | CONTEXT_SEGMENTS;
    RtlpCaptureSegments(&Context);
    Context.Ebp = Frame[0];
    Context.Eip = Frame[1];
    Context.Esp = (ULONG)(Frame + 6);
    Context.Eax = (ULONG)ReturnValue;
    if (ExceptionRecord == NULL)
        Unwind.ExceptionAddress = (PVOID)Context.Eip;
    Record->ExceptionFlags |= EXCEPTION_UNWINDING;
    if (TargetFrame == NULL)
        Record->ExceptionFlags |= EXCEPTION_EXIT_UNWIND;
    RtlpUnwindChain(TargetFrame, Record, &Context);
    return ReturnValue;
}
EXPORT(RtlUnwind, EXPORT_ANY_IRQL, ON_WINNT);

// ---- in assembly (except.S) -------------------------------------------------------------------

EXPORT(RtlCaptureContext, EXPORT_ANY_IRQL, ON_WINNT);

// The handler of Microsoft's C functions with __try. IRQL: any. Source: M. Pietrek, MSJ January
// 1997.
EXCEPTION_DISPOSITION CDECL _except_handler3(PEXCEPTION_RECORD Record,
                                             PEXCEPTION_REGISTRATION_RECORD Registration,
                                             PCONTEXT Context, PVOID DispatcherContext);
EXPORT(_except_handler3, EXPORT_ANY_IRQL, "M. Pietrek, MSJ January 1997");

// Unwinds the registrations below one. IRQL: any. Source: M. Pietrek, MSJ January 1997.
VOID CDECL _global_unwind2(PEXCEPTION_REGISTRATION_RECORD Registration);
EXPORT(_global_unwind2, EXPORT_ANY_IRQL, "M. Pietrek, MSJ January 1997");

// Runs the __finally blocks inside Level. IRQL: any. Source: M. Pietrek, MSJ January 1997.
VOID CDECL _local_unwind2(PEXCEPTION_REGISTRATION_RECORD Registration, LONG Level);
EXPORT(_local_unwind2, EXPORT_ANY_IRQL, "M. Pietrek, MSJ January 1997");
