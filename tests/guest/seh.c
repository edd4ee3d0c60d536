// SPDX-License-Identifier: MIT
// Structured exceptions, as a driver's handlers see them.
//
// GCC has no __try, so three routines stand for it; seh/ has them in assembly for each
// architecture, in the form that Microsoft's compiler gives such functions:
//
//   SehTry(Body, Argument, Filter)      __try { Body(Argument); } __except (Filter(pointers)) { }
//                                       returns 0, or the exception's code when the filter took it
//   SehFinally(Body, Argument, Block)   __try { Body(Argument); } __finally { Block(abnormal); }
//   SehCheckRegisters(Routine)          calls Routine with known values in all registers that a
//                                       function must preserve. Returns how many came back changed
#include "guest.h"

typedef VOID SEH_BODY(PVOID Argument);
typedef LONG SEH_FILTER(PEXCEPTION_POINTERS Pointers);
typedef VOID SEH_BLOCK(BOOLEAN Abnormal);

NTSTATUS SehTry(SEH_BODY *Body, PVOID Argument, SEH_FILTER *Filter);
VOID SehFinally(SEH_BODY *Body, PVOID Argument, SEH_BLOCK *Block);
ULONG SehCheckRegisters(VOID (*Routine)(VOID));

#ifdef __x86_64__
#include "seh/amd64.h"
#else
#include "seh/i386.h"
#endif

#ifndef EXCEPTION_NESTED_CALL
#define EXCEPTION_NESTED_CALL 0x10
#endif
#define UNMAPPED ((volatile ULONG *)0x10000)  // user space, where nothing is

// What filters and blocks saw, in order.
static CHAR Seen[64];
static EXCEPTION_RECORD SeenRecord;

static VOID Note(CHAR What)
{
    SIZE_T Length = strlen(Seen);
    if (Length + 1 < sizeof(Seen)) {
        Seen[Length] = What;
        Seen[Length + 1] = 0;
    }
}

static VOID Begin(VOID)
{
    Seen[0] = 0;
    RtlZeroMemory(&SeenRecord, sizeof(SeenRecord));
}

static LONG Take(PEXCEPTION_POINTERS Pointers)
{
    Note('t');
    SeenRecord = *Pointers->ExceptionRecord;
    return EXCEPTION_EXECUTE_HANDLER;
}

static LONG PassOn(PEXCEPTION_POINTERS Pointers)
{
    UNREFERENCED_PARAMETER(Pointers);
    Note('p');
    return EXCEPTION_CONTINUE_SEARCH;
}

static VOID Finished(BOOLEAN Abnormal)
{
    Note(Abnormal ? 'F' : 'f');
}

// ---- bodies -----------------------------------------------------------------------------------

static VOID Nothing(PVOID Argument)
{
    UNREFERENCED_PARAMETER(Argument);
}

static VOID Read(PVOID Argument)
{
    (void)*(volatile ULONG *)Argument;
}

static VOID Write(PVOID Argument)
{
    *(volatile ULONG *)Argument = 1;
}

static VOID Raise(PVOID Argument)
{
    ExRaiseStatus((NTSTATUS)(LONG_PTR)Argument);
}

static VOID Copy(PVOID Argument)
{
    UCHAR Buffer[512];
    RtlCopyMemory(Buffer, Argument, sizeof(Buffer));
}

static VOID Break(PVOID Argument)
{
    UNREFERENCED_PARAMETER(Argument);
    __asm__ volatile("int3");
}

static VOID Divide(PVOID Argument)
{
    ULONG Low = 1, High = 0;
    __asm__ volatile("divl %2" : "+a"(Low), "+d"(High) : "r"((ULONG)(ULONG_PTR)Argument));
}

static VOID Illegal(PVOID Argument)
{
    UNREFERENCED_PARAMETER(Argument);
    __asm__ volatile("ud2");
}

static SEH_BODY *volatile Deeper;

static VOID Deep(PVOID Argument)
{
    volatile UCHAR Frame[200];
    ULONG Depth = (ULONG)(ULONG_PTR)Argument;

    Frame[Depth] = 1;
    if (Depth == 0)
        Raise((PVOID)(LONG_PTR)STATUS_CANCELLED);
    Deeper((PVOID)(ULONG_PTR)(Depth - 1));
    Note(Frame[Depth] == 1 ? '?' : '!');  // not reached
}

// ---- the search -------------------------------------------------------------------------------

static VOID ABodyThatReturnsIsNoException(VOID)
{
    Begin();
    CHECK_EQUAL(SehTry(Nothing, NULL, Take), 0);
    CHECK(strcmp(Seen, "") == 0);
}

static VOID AFaultReachesTheFilter(VOID)
{
    Begin();
    CHECK_EQUAL((ULONG)SehTry(Read, (PVOID)UNMAPPED, Take), (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK(strcmp(Seen, "t") == 0);
    CHECK_EQUAL(SeenRecord.NumberParameters, 2);
    CHECK_EQUAL(SeenRecord.ExceptionInformation[0], 0);
    CHECK_EQUAL(SeenRecord.ExceptionInformation[1], (ULONG_PTR)UNMAPPED);
    CHECK_EQUAL((ULONG)SehTry(Write, (PVOID)UNMAPPED, Take), (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK_EQUAL(SeenRecord.ExceptionInformation[0], 1);
}

static VOID EachTrapHasItsCode(VOID)
{
    Begin();
    CHECK_EQUAL((ULONG)SehTry(Break, NULL, Take), (ULONG)STATUS_BREAKPOINT);
    CHECK_EQUAL(*(PUCHAR)SeenRecord.ExceptionAddress, 0xCC);
    CHECK_EQUAL((ULONG)SehTry(Divide, NULL, Take), (ULONG)STATUS_INTEGER_DIVIDE_BY_ZERO);
    CHECK_EQUAL((ULONG)SehTry(Illegal, NULL, Take), (ULONG)STATUS_ILLEGAL_INSTRUCTION);
}

static VOID AFaultInTheKernelsCopyReachesTheFilter(VOID)
{
    Begin();
    CHECK_EQUAL((ULONG)SehTry(Copy, (PVOID)UNMAPPED, Take), (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK(strcmp(Seen, "t") == 0);
}

static VOID ARaisedStatusReachesTheFilter(VOID)
{
    Begin();
    CHECK_EQUAL((ULONG)SehTry(Raise, (PVOID)(LONG_PTR)STATUS_CANCELLED, Take),
                (ULONG)STATUS_CANCELLED);
    CHECK_EQUAL(SeenRecord.ExceptionFlags & EXCEPTION_NONCONTINUABLE, EXCEPTION_NONCONTINUABLE);
    Deeper = Deep;
    CHECK_EQUAL((ULONG)SehTry(Deep, (PVOID)12, Take), (ULONG)STATUS_CANCELLED);
    CHECK(strcmp(Seen, "tt") == 0);
}

static VOID ProbeWrong(PVOID Argument)
{
    switch ((ULONG_PTR)Argument) {
    case 0:
        ProbeForRead((PVOID)0x10002, 8, 4);
        break;
    case 1:
        ProbeForRead(&Seen, 8, 1);
        break;
    case 2:
        ProbeForWrite((PVOID)UNMAPPED, 8, 4);
        break;
    default:
        ProbeForRead((PVOID)UNMAPPED, 8, 4);
        ProbeForRead((PVOID)0x10002, 0, 4);
    }
}

static VOID ProbesRaiseForWrongAddresses(VOID)
{
    CHECK_EQUAL((ULONG)SehTry(ProbeWrong, (PVOID)0, Take), (ULONG)STATUS_DATATYPE_MISALIGNMENT);
    CHECK_EQUAL((ULONG)SehTry(ProbeWrong, (PVOID)1, Take), (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK_EQUAL((ULONG)SehTry(ProbeWrong, (PVOID)2, Take), (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK_EQUAL((ULONG)SehTry(ProbeWrong, (PVOID)3, Take), 0);
}

static VOID AllocateTooMuch(PVOID Argument)
{
    UNREFERENCED_PARAMETER(Argument);
    ExAllocatePoolWithTag(NonPagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE, (SIZE_T)1 << 30, 'heST');
}

static VOID AFailedAllocationRaisesWhenAskedTo(VOID)
{
    CHECK_EQUAL((ULONG)SehTry(AllocateTooMuch, NULL, Take), (ULONG)STATUS_INSUFFICIENT_RESOURCES);
}

// ---- continuing -------------------------------------------------------------------------------

static ULONG Good = 5;

static LONG Repair(PEXCEPTION_POINTERS Pointers)
{
    Note('r');
    SEH_AX(Pointers->ContextRecord) = (ULONG_PTR)&Good;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static VOID ReadThroughAx(PVOID Argument)
{
    ULONG Value;
    __asm__ volatile("movl (%1), %0" : "=r"(Value), "+a"(Argument));
    if (Value == Good)
        Note('g');
}

static VOID AFilterMayRepairAndContinue(VOID)
{
    Begin();
    CHECK_EQUAL(SehTry(ReadThroughAx, (PVOID)UNMAPPED, Repair), 0);
    CHECK(strcmp(Seen, "rg") == 0);
}

static LONG Resume(PEXCEPTION_POINTERS Pointers)
{
    UNREFERENCED_PARAMETER(Pointers);
    Note('c');
    return EXCEPTION_CONTINUE_EXECUTION;
}

static VOID RaiseContinuable(PVOID Argument)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = (LONG)0xE0001234, .NumberParameters = 1};

    UNREFERENCED_PARAMETER(Argument);
    Record.ExceptionInformation[0] = 77;
    SehRaise(&Record);
    Note('a');
}

static VOID ARaisedExceptionMayBeContinued(VOID)
{
    Begin();
    CHECK_EQUAL(SehTry(RaiseContinuable, NULL, Resume), 0);
    CHECK(strcmp(Seen, "ca") == 0);
    CHECK_EQUAL((ULONG)SehTry(RaiseContinuable, NULL, Take), 0xE0001234);
    CHECK_EQUAL(SeenRecord.ExceptionInformation[0], 77);
}

static LONG ResumeCancelled(PEXCEPTION_POINTERS Pointers)
{
    return Pointers->ExceptionRecord->ExceptionCode == STATUS_CANCELLED
               ? EXCEPTION_CONTINUE_EXECUTION
               : EXCEPTION_CONTINUE_SEARCH;
}

static VOID ContinueWhatMayNot(PVOID Argument)
{
    UNREFERENCED_PARAMETER(Argument);
    SehTry(Raise, (PVOID)(LONG_PTR)STATUS_CANCELLED, ResumeCancelled);
}

static VOID ContinuingWhatMayNotIsAnExceptionItself(VOID)
{
    Begin();
    CHECK_EQUAL((ULONG)SehTry(ContinueWhatMayNot, NULL, Take),
                (ULONG)STATUS_NONCONTINUABLE_EXCEPTION);
    CHECK(SeenRecord.ExceptionRecord != NULL);
}

// ---- unwinding --------------------------------------------------------------------------------

static VOID FinallyAroundRead(PVOID Argument)
{
    SehFinally(Read, Argument, Finished);
}

static VOID PassOnAroundFinally(PVOID Argument)
{
    SehTry(FinallyAroundRead, Argument, PassOn);
}

static VOID FinallyAroundPassOn(PVOID Argument)
{
    SehFinally(PassOnAroundFinally, Argument, Finished);
}

static VOID FinallyRunsOnBothWays(VOID)
{
    Begin();
    SehFinally(Nothing, NULL, Finished);
    CHECK(strcmp(Seen, "f") == 0);
    Begin();
    CHECK_EQUAL((ULONG)SehTry(FinallyAroundPassOn, (PVOID)UNMAPPED, Take),
                (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK(strcmp(Seen, "ptFF") == 0);  // first every filter, then what lies between cleans up
}

static VOID FinishBadly(BOOLEAN Abnormal)
{
    Finished(Abnormal);
    Raise((PVOID)(LONG_PTR)STATUS_UNSUCCESSFUL);
}

static VOID BadFinally(PVOID Argument)
{
    SehFinally(FinallyAroundRead, Argument, FinishBadly);
}

static VOID CatchesFirst(PVOID Argument)
{
    SehTry(BadFinally, Argument, PassOn);
}

// The second exception replaces the first; no block runs twice.
static VOID AnExceptionInFinallyCollides(VOID)
{
    Begin();
    CHECK_EQUAL((ULONG)SehTry(CatchesFirst, (PVOID)UNMAPPED, Take), (ULONG)STATUS_UNSUCCESSFUL);
    CHECK(strcmp(Seen, "ptFFpt") == 0);
}

static LONG FailingFilter(PEXCEPTION_POINTERS Pointers)
{
    Note('n');
    if (Pointers->ExceptionRecord->ExceptionCode == STATUS_ACCESS_VIOLATION)
        Raise((PVOID)(LONG_PTR)STATUS_CANCELLED);
    CHECK((Pointers->ExceptionRecord->ExceptionFlags & EXCEPTION_NESTED_CALL) != 0);
    return EXCEPTION_CONTINUE_SEARCH;
}

static VOID FailsInFilter(PVOID Argument)
{
    SehTry(FinallyAroundRead, Argument, FailingFilter);
}

static VOID AnExceptionInAFilterIsNested(VOID)
{
    Begin();
    CHECK_EQUAL((ULONG)SehTry(FailsInFilter, (PVOID)UNMAPPED, Take), (ULONG)STATUS_CANCELLED);
    CHECK(strcmp(Seen, "nntF") == 0);
    CHECK_EQUAL(SeenRecord.ExceptionFlags & EXCEPTION_NESTED_CALL, 0);
}

static LONG HandlesWithin(PEXCEPTION_POINTERS Pointers)
{
    UNREFERENCED_PARAMETER(Pointers);
    Note('h');
    CHECK_EQUAL((ULONG)SehTry(Raise, (PVOID)(LONG_PTR)STATUS_CANCELLED, Take),
                (ULONG)STATUS_CANCELLED);
    return EXCEPTION_EXECUTE_HANDLER;
}

static VOID AFilterMayHandleExceptionsOfItsOwn(VOID)
{
    Begin();
    CHECK_EQUAL((ULONG)SehTry(FinallyAroundRead, (PVOID)UNMAPPED, HandlesWithin),
                (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK(strcmp(Seen, "htF") == 0);
}

static VOID HandleInBlock(BOOLEAN Abnormal)
{
    Finished(Abnormal);
    CHECK_EQUAL((ULONG)SehTry(Read, (PVOID)UNMAPPED, Take), (ULONG)STATUS_ACCESS_VIOLATION);
}

static VOID HandlesInFinally(PVOID Argument)
{
    SehFinally(Read, Argument, HandleInBlock);
}

static VOID AFinallyMayHandleExceptionsOfItsOwn(VOID)
{
    Begin();
    CHECK_EQUAL((ULONG)SehTry(HandlesInFinally, (PVOID)UNMAPPED, Take),
                (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK(strcmp(Seen, "tFt") == 0);
}

static VOID ClobberAndRaise(PVOID Argument)
{
    __asm__ volatile("" ::: SEH_PRESERVED);
    Copy(Argument);
    __asm__ volatile("" ::: SEH_PRESERVED);
}

static VOID FinallyAroundClobber(PVOID Argument)
{
    SehFinally(ClobberAndRaise, Argument, Finished);
}

static VOID RaiseAndReturn(VOID)
{
    SehTry(FinallyAroundClobber, (PVOID)UNMAPPED, Take);
}

static VOID RegistersSurviveAnUnwind(VOID)
{
    Begin();
    CHECK_EQUAL(SehCheckRegisters(RaiseAndReturn), 0);
    CHECK(strcmp(Seen, "tF") == 0);
}

static VOID ExceptionsDoNotUseUpTheStack(VOID)
{
    for (ULONG i = 0; i < 1000; i++) {
        Begin();
        CHECK_EQUAL((ULONG)SehTry(FinallyAroundPassOn, (PVOID)UNMAPPED, Take),
                    (ULONG)STATUS_ACCESS_VIOLATION);
    }
}

// ---- on another stack ---------------------------------------------------------------------------
typedef VOID(NTAPI *CALLOUT)(PVOID Parameter);
NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCallout(CALLOUT Callout, PVOID Parameter,
                                                         SIZE_T Size);

static VOID NTAPI RaiseInside(PVOID Parameter)
{
    ULONG *Taken = Parameter;

    *Taken += (ULONG)SehTry(Read, (PVOID)UNMAPPED, Take) == (ULONG)STATUS_ACCESS_VIOLATION;
    *Taken += (ULONG)SehTry(Raise, (PVOID)(LONG_PTR)STATUS_CANCELLED, Take) ==
              (ULONG)STATUS_CANCELLED;
}

static VOID CallOutInside(PVOID Parameter)
{
    CHECK_EQUAL(KeExpandKernelStackAndCallout(RaiseInside, Parameter, 56 * 1024), STATUS_SUCCESS);
    Raise((PVOID)(LONG_PTR)STATUS_CANCELLED);
}

static VOID HandlersWorkOnALargerStack(VOID)
{
    ULONG Taken = 0;

    CHECK_EQUAL((ULONG)SehTry(CallOutInside, &Taken, Take), (ULONG)STATUS_CANCELLED);
    CHECK_EQUAL(Taken, 2);
}

static const GUEST_CASE Cases[] = {
    {"a body that returns is no exception", ABodyThatReturnsIsNoException},
    {"a fault reaches the filter", AFaultReachesTheFilter},
    {"each trap has its code", EachTrapHasItsCode},
    {"a fault in the kernel's copy reaches the filter", AFaultInTheKernelsCopyReachesTheFilter},
    {"a raised status reaches the filter", ARaisedStatusReachesTheFilter},
    {"probes raise for wrong addresses", ProbesRaiseForWrongAddresses},
    {"a failed allocation raises when asked to", AFailedAllocationRaisesWhenAskedTo},
    {"a filter may repair and continue", AFilterMayRepairAndContinue},
    {"a raised exception may be continued", ARaisedExceptionMayBeContinued},
    {"continuing what may not is an exception itself", ContinuingWhatMayNotIsAnExceptionItself},
    {"finally runs on both ways", FinallyRunsOnBothWays},
    {"an exception in finally collides with the unwind", AnExceptionInFinallyCollides},
    {"an exception in a filter is nested", AnExceptionInAFilterIsNested},
    {"a filter may handle exceptions of its own", AFilterMayHandleExceptionsOfItsOwn},
    {"a finally may handle exceptions of its own", AFinallyMayHandleExceptionsOfItsOwn},
    {"registers survive an unwind", RegistersSurviveAnUnwind},
    {"exceptions do not use up the stack", ExceptionsDoNotUseUpTheStack},
    {"handlers work in a callout on a larger stack, and after it", HandlersWorkOnALargerStack},
};
GUEST_DRIVER(Cases)
