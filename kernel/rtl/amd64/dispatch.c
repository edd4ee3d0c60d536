// SPDX-License-Identifier: MIT
// amd64's structured exceptions: the search for a handler and the unwinding to it.
//
// An exception goes through two walks up the stack. The first (RtlpDispatch) asks each frame's
// handler what to do; the exception's own context stays untouched. When a handler takes it, that
// handler itself starts the second walk (RtlUnwindEx), which lets every frame below clean up and
// then continues in the handler's function with the registers that function had.
//
// A walk meets three kinds of code: driver code, unwound by .pdata; kernel code, by .eh_frame;
// and frames of these walks themselves, when a handler has raised an exception in turn. Those are
// known by their return addresses (except.S) and treated so:
//
//   RtlpDispatcherReturn        above lies the code that an exception interrupted: the walk goes on
//                               with its context, whatever the trap's own frame looks like
//   RtlpExceptionHandlerReturn  a handler was being asked: the search goes on with
//                               EXCEPTION_NESTED_CALL up to the frame of that handler
//   RtlpUnwindHandlerReturn     a handler was cleaning up: what lies between is unwound already, so
//                               the walk goes on with the frame and scope where the older one was
//
// A walk that cannot go on (code without a description, a stack that does not ascend) ends the
// search; nobody has taken the exception then.
//
// Source: "x64 exception handling" (Microsoft C++ documentation), "Structured exception handling"
// (Windows developer documentation), M. Pietrek in MSJ January 1997.
#include "rtlu.h"

#define MAXIMUM_FRAMES 4096u

C_ASSERT(FIELD_OFFSET(CONTEXT, ContextFlags) == 0x30);
C_ASSERT(FIELD_OFFSET(CONTEXT, MxCsr) == 0x34);
C_ASSERT(FIELD_OFFSET(CONTEXT, SegCs) == 0x38);
C_ASSERT(FIELD_OFFSET(CONTEXT, SegSs) == 0x42);
C_ASSERT(FIELD_OFFSET(CONTEXT, EFlags) == 0x44);
C_ASSERT(FIELD_OFFSET(CONTEXT, Rax) == 0x78);
C_ASSERT(FIELD_OFFSET(CONTEXT, R8) == 0xB8);
C_ASSERT(FIELD_OFFSET(CONTEXT, Rip) == 0xF8);
C_ASSERT(FIELD_OFFSET(CONTEXT, FltSave) == 0x100);
C_ASSERT(FIELD_OFFSET(DISPATCHER_CONTEXT, LanguageHandler) == 0x30);

// ---- one step ---------------------------------------------------------------------------------

// A walk's place: Current is the frame looked at, Caller the one above it.
typedef struct _RTLP_WALK {
    PCONTEXT Current;
    CONTEXT Caller;
    BOOLEAN Exact, CallerExact;    // Rip is where execution stood, not where a call returns to
    BOOLEAN InDriver;              // Dispatcher describes the frame
    DISPATCHER_CONTEXT Dispatcher;
    ULONG Frames;
} RTLP_WALK, *PRTLP_WALK;

static BOOLEAN RtlpIsAt(const CONTEXT *Context, const UCHAR *Label)
{
    return Context->Rip == (ULONG64)Label;
}

// What a marked frame keeps at Offset.
static ULONG64 RtlpSavedWord(const CONTEXT *Context, ULONG Offset)
{
    return *(const ULONG64 *)(Context->Rsp + Offset);
}

static PDISPATCHER_CONTEXT RtlpSavedDispatcher(const CONTEXT *Context)
{
    return (PDISPATCHER_CONTEXT)RtlpSavedWord(Context, SAVED_DISPATCHER);
}

static BOOLEAN RtlpUnwindLeaf(PCONTEXT Context)
{
    if (!RtlpSafeCopy(&Context->Rip, (const VOID *)Context->Rsp, sizeof(ULONG64)))
        return FALSE;
    Context->Rsp += sizeof(ULONG64);
    return TRUE;
}

static BOOLEAN RtlpUnwindDriverFrame(PRTLP_WALK Walk, const RTL_IMAGE *Image, ULONG HandlerType)
{
    PDISPATCHER_CONTEXT Dispatcher = &Walk->Dispatcher;

    Walk->InDriver = TRUE;
    Dispatcher->ControlPc = Walk->Current->Rip;
    Dispatcher->ImageBase = Image->Base;
    Dispatcher->FunctionEntry = RtlpFindFunction(Image, Dispatcher->ControlPc);
    Dispatcher->EstablisherFrame = Walk->Current->Rsp;
    Dispatcher->ContextRecord = Walk->Current;
    Dispatcher->LanguageHandler = NULL;
    if (Dispatcher->FunctionEntry == NULL)
        return RtlpUnwindLeaf(&Walk->Caller);
    return RtlpVirtualUnwind(HandlerType, Image->Base, Dispatcher->ControlPc,
                             Dispatcher->FunctionEntry, &Walk->Caller, &Dispatcher->HandlerData,
                             &Dispatcher->EstablisherFrame, NULL, &Dispatcher->LanguageHandler);
}

// Finds the caller of the current frame, and the frame's handler if it is a driver's.
static BOOLEAN RtlpWalkFrame(PRTLP_WALK Walk, ULONG HandlerType)
{
    RTL_IMAGE Image;
    BOOLEAN Good = TRUE;

    Walk->InDriver = FALSE;
    Walk->CallerExact = FALSE;
    Walk->Caller = *Walk->Current;
    if (RtlpIsAt(Walk->Current, RtlpDispatcherReturn)) {
        Walk->Caller = *(const CONTEXT *)RtlpSavedWord(Walk->Current, SAVED_CONTEXT);
        Walk->CallerExact = (BOOLEAN)RtlpSavedWord(Walk->Current, SAVED_EXACT);
    } else if (RtlpFindImage(Walk->Current->Rip, &Image)) {
        Good = RtlpUnwindDriverFrame(Walk, &Image, HandlerType);
    } else {
        Good = RtlpUnwindKernelFrame(&Walk->Caller, Walk->Exact);
    }
    return Good && Walk->Caller.Rsp > Walk->Current->Rsp && (Walk->Caller.Rsp & 7) == 0 &&
           (Walk->Dispatcher.EstablisherFrame & 7) == 0 && ++Walk->Frames < MAXIMUM_FRAMES;
}

static VOID RtlpGoToCaller(PRTLP_WALK Walk)
{
    *Walk->Current = Walk->Caller;
    Walk->Exact = Walk->CallerExact;
    Walk->Dispatcher.ScopeIndex = 0;
}

// An older unwind had come to this frame and scope.
static VOID RtlpGoToCollision(PRTLP_WALK Walk)
{
    PDISPATCHER_CONTEXT Older = RtlpSavedDispatcher(Walk->Current);
    ULONG ScopeIndex = Older->ScopeIndex;

    *Walk->Current = *Older->ContextRecord;
    Walk->Exact = FALSE;
    Walk->Dispatcher.ScopeIndex = ScopeIndex;
}

// ---- the search -------------------------------------------------------------------------------

typedef struct _RTLP_SEARCH {
    RTLP_WALK Walk;
    PEXCEPTION_RECORD Record;
    PCONTEXT Context;
    ULONG Flags;
    ULONG64 NestedFrame;  // EXCEPTION_NESTED_CALL holds below and at this frame
} RTLP_SEARCH, *PRTLP_SEARCH;

static VOID RtlpNoteNesting(PRTLP_SEARCH Search, ULONG64 Frame)
{
    Search->Flags |= EXCEPTION_NESTED_CALL;
    if (Frame > Search->NestedFrame)
        Search->NestedFrame = Frame;
}

// Asks the frame's handler. Returns TRUE when execution is to continue.
static BOOLEAN RtlpAskHandler(PRTLP_SEARCH Search)
{
    PDISPATCHER_CONTEXT Dispatcher = &Search->Walk.Dispatcher;
    ULONG64 Frame = Dispatcher->EstablisherFrame;
    EXCEPTION_DISPOSITION Disposition;

    Search->Record->ExceptionFlags = Search->Flags;
    Disposition = RtlpCallExceptionHandler(Search->Record, Frame, Search->Context, Dispatcher);
    Search->Flags |= Search->Record->ExceptionFlags & EXCEPTION_NONCONTINUABLE;
    if (Frame == Search->NestedFrame) {
        Search->Flags &= ~(ULONG)EXCEPTION_NESTED_CALL;
        Search->NestedFrame = 0;
    }
    switch (Disposition) {
    case ExceptionContinueExecution:
        if ((Search->Flags & EXCEPTION_NONCONTINUABLE) != 0)
            RtlpRaiseAbout(STATUS_NONCONTINUABLE_EXCEPTION, Search->Record);
        return TRUE;
    case ExceptionContinueSearch:
        return FALSE;
    case ExceptionNestedException:
        RtlpNoteNesting(Search, Dispatcher->EstablisherFrame);
        return FALSE;
    default:
        RtlpRaiseAbout(STATUS_INVALID_DISPOSITION, Search->Record);
    }
}

static BOOLEAN RtlpSearch(PRTLP_SEARCH Search)
{
    PRTLP_WALK Walk = &Search->Walk;

    for (;;) {
        if (RtlpIsAt(Walk->Current, RtlpUnwindHandlerReturn)) {
            RtlpGoToCollision(Walk);
            continue;
        }
        if (RtlpIsAt(Walk->Current, RtlpExceptionHandlerReturn))
            RtlpNoteNesting(Search, RtlpSavedDispatcher(Walk->Current)->EstablisherFrame);
        if (!RtlpWalkFrame(Walk, UNW_FLAG_EHANDLER))
            return FALSE;
        if (Walk->InDriver && Walk->Dispatcher.LanguageHandler != NULL && RtlpAskHandler(Search))
            return TRUE;
        RtlpGoToCaller(Walk);
    }
}

BOOLEAN RtlpDispatch(PEXCEPTION_RECORD Record, PCONTEXT Context, BOOLEAN Exact)
{
    CONTEXT Current = *Context;
    RTLP_SEARCH Search;

    memset(&Search, 0, sizeof(Search));
    Search.Walk.Current = &Current;
    Search.Walk.Exact = Exact;
    Search.Record = Record;
    Search.Context = Context;
    Search.Flags = Record->ExceptionFlags & EXCEPTION_NONCONTINUABLE;
    if (RtlpSearch(&Search))
        return TRUE;
    Record->ExceptionFlags = Search.Flags;
    return FALSE;
}

BOOLEAN RtlDispatchException(PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    return RtlpCallDispatcher(Record, Context, TRUE);
}

// ---- raising ----------------------------------------------------------------------------------

static DECLSPEC_NORETURN VOID RtlpRaise(PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    Record->ExceptionAddress = (PVOID)Context->Rip;
    if (RtlpCallDispatcher(Record, Context, FALSE))
        RtlpRestoreContext(Context);
    RtlpUnhandled(Record, Context);
}

// Makes the context of a kernel function that of the function's caller.
static VOID RtlpLeaveKernelFrame(PCONTEXT Context)
{
    if (!RtlpUnwindKernelFrame(Context, FALSE))
        Context->Rip = 0;
}

// Raises an exception in the caller. Returns when a handler says to continue. IRQL: any.
// Source: Windows developer documentation, RtlRaiseException.
VOID NTAPI RtlRaiseException(PEXCEPTION_RECORD ExceptionRecord)
{
    CONTEXT Context;

    RtlCaptureContext(&Context);
    RtlpLeaveKernelFrame(&Context);
    RtlpRaise(ExceptionRecord, &Context);
}
EXPORT(RtlRaiseException, EXPORT_ANY_IRQL, ON_WINNT);

// Raises Status in the caller, not to be continued. IRQL: any.
// Source: Windows driver documentation, ExRaiseStatus.
DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = Status, .ExceptionFlags = EXCEPTION_NONCONTINUABLE};
    CONTEXT Context;

    RtlCaptureContext(&Context);
    RtlpLeaveKernelFrame(&Context);
    RtlpRaise(&Record, &Context);
}
EXPORT(RtlRaiseStatus, EXPORT_ANY_IRQL, ON_NTIFS);

// ---- unwinding --------------------------------------------------------------------------------

typedef struct _RTLP_GOAL {
    ULONG64 Frame;  // 0: as far as there are frames
    ULONG64 Ip;
    PVOID ReturnValue;
    PEXCEPTION_RECORD Record;
    PCONTEXT Context;
} RTLP_GOAL;

// Lets the current frame clean up. Flags: EXCEPTION_TARGET_UNWIND when this is the last one.
static VOID RtlpCleanUpFrame(PRTLP_WALK Walk, const RTLP_GOAL *Goal, ULONG Flags)
{
    PDISPATCHER_CONTEXT Dispatcher = &Walk->Dispatcher;
    EXCEPTION_DISPOSITION Disposition;

    Dispatcher->TargetIp = Goal->Ip;
    Walk->Current->Rax = (ULONG64)Goal->ReturnValue;
    Goal->Record->ExceptionFlags |= Flags;
    Disposition = RtlpCallUnwindHandler(Goal->Record, Dispatcher->EstablisherFrame, Goal->Context,
                                        Dispatcher);
    if (Disposition != ExceptionContinueSearch)
        RtlpRaiseAbout(STATUS_INVALID_DISPOSITION, Goal->Record);
    Goal->Record->ExceptionFlags &= ~(ULONG)(EXCEPTION_COLLIDED_UNWIND | EXCEPTION_TARGET_UNWIND);
}

// Whether the current frame is where the unwinding ends. To have gone past it is an error.
static BOOLEAN RtlpIsTarget(const RTLP_WALK *Walk, const RTLP_GOAL *Goal)
{
    if (!Walk->InDriver || Goal->Frame == 0)
        return FALSE;
    if (Walk->Dispatcher.EstablisherFrame > Goal->Frame)
        RtlpRaiseAbout(STATUS_INVALID_UNWIND_TARGET, Goal->Record);
    return Walk->Dispatcher.EstablisherFrame == Goal->Frame;
}

static VOID RtlpUnwindFrames(PRTLP_WALK Walk, const RTLP_GOAL *Goal)
{
    for (;;) {
        if (RtlpIsAt(Walk->Current, RtlpUnwindHandlerReturn)) {
            RtlpGoToCollision(Walk);
            Goal->Record->ExceptionFlags |= EXCEPTION_COLLIDED_UNWIND;
        }
        if (!RtlpWalkFrame(Walk, UNW_FLAG_UHANDLER))
            RtlpRaiseAbout(STATUS_BAD_STACK, Goal->Record);
        BOOLEAN Target = RtlpIsTarget(Walk, Goal);
        if (Walk->InDriver && Walk->Dispatcher.LanguageHandler != NULL)
            RtlpCleanUpFrame(Walk, Goal, Target ? EXCEPTION_TARGET_UNWIND : 0);
        if (Target)
            return;
        RtlpGoToCaller(Walk);
    }
}

// Unwinds to the frame TargetFrame and continues at TargetIp in its function with ReturnValue in
// rax, letting every frame on the way clean up. ExceptionRecord NULL: STATUS_UNWIND.
// OriginalContext is working space. IRQL: any. Fails: raises STATUS_BAD_STACK,
// STATUS_INVALID_UNWIND_TARGET. Source: Windows developer documentation, RtlUnwindEx.
VOID NTAPI RtlUnwindEx(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord,
                       PVOID ReturnValue, PCONTEXT OriginalContext,
                       PUNWIND_HISTORY_TABLE HistoryTable)
{
    EXCEPTION_RECORD Unwind = {.ExceptionCode = STATUS_UNWIND};
    RTLP_GOAL Goal = {(ULONG64)TargetFrame, (ULONG64)TargetIp, ReturnValue, ExceptionRecord,
                      OriginalContext};
    RTLP_WALK Walk;

    memset(&Walk, 0, sizeof(Walk));
    Walk.Current = OriginalContext;
    Walk.Dispatcher.HistoryTable = HistoryTable;
    RtlCaptureContext(OriginalContext);
    if (ExceptionRecord == NULL) {
        Unwind.ExceptionAddress = __builtin_return_address(0);
        Goal.Record = &Unwind;
    }
    Goal.Record->ExceptionFlags |= EXCEPTION_UNWINDING;
    if (TargetFrame == NULL)
        Goal.Record->ExceptionFlags |= EXCEPTION_EXIT_UNWIND;
    RtlpUnwindFrames(&Walk, &Goal);
    OriginalContext->Rax = (ULONG64)ReturnValue;
    OriginalContext->Rip = (ULONG64)TargetIp;
    RtlpRestoreContext(OriginalContext);
}
EXPORT(RtlUnwindEx, EXPORT_ANY_IRQL, ON_WINNT);

// The same with working space of its own. IRQL: any.
// Source: Windows developer documentation, RtlUnwind.
VOID NTAPI RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord,
                     PVOID ReturnValue)
{
    CONTEXT Context;
    RtlUnwindEx(TargetFrame, TargetIp, ExceptionRecord, ReturnValue, &Context, NULL);
}
EXPORT(RtlUnwind, EXPORT_ANY_IRQL, ON_WINNT);

EXPORT(RtlCaptureContext, EXPORT_ANY_IRQL, ON_WINNT);

// ---- backtraces -------------------------------------------------------------------------------

// Kernel code that has no description still has frame pointers.
static BOOLEAN RtlpFollowFramePointer(PCONTEXT Context)
{
    ULONG64 Link[2];

    if (Context->Rbp < Context->Rsp || (Context->Rbp & 7) != 0 ||
        !RtlpSafeCopy(Link, (const VOID *)Context->Rbp, sizeof(Link)))
        return FALSE;
    Context->Rsp = Context->Rbp + sizeof(Link);
    Context->Rbp = Link[0];
    Context->Rip = Link[1];
    return TRUE;
}

static BOOLEAN RtlpStepDriverFrame(PCONTEXT Context, const RTL_IMAGE *Image)
{
    PRUNTIME_FUNCTION Function = RtlpFindFunction(Image, Context->Rip);
    PEXCEPTION_ROUTINE Handler;
    ULONG64 Frame;
    PVOID Data;

    if (Function == NULL)
        return RtlpUnwindLeaf(Context);
    return RtlpVirtualUnwind(UNW_FLAG_NHANDLER, Image->Base, Context->Rip, Function, Context, &Data,
                             &Frame, NULL, &Handler);
}

BOOLEAN RtlStepFrame(PCONTEXT Context)
{
    ULONG64 Rsp = Context->Rsp;
    CONTEXT Caller = *Context;
    RTL_IMAGE Image;
    BOOLEAN Good;

    if (RtlpFindImage(Context->Rip, &Image))
        Good = RtlpStepDriverFrame(&Caller, &Image);
    else
        Good = RtlpUnwindKernelFrame(&Caller, FALSE);
    if (!Good) {
        Caller = *Context;
        Good = RtlpFollowFramePointer(&Caller);
    }
    if (!Good || Caller.Rsp <= Rsp)
        return FALSE;
    *Context = Caller;
    return TRUE;
}
