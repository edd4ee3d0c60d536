// SPDX-License-Identifier: MIT
// __C_specific_handler: what C's __try, __except and __finally come down to on amd64.
//
// A function with such blocks has this handler and a table of scopes, inner ones first:
//
//   __except   begin, end, filter (1: always takes the exception), where the block starts
//   __finally  begin, end, the block as a function, 0
//
// During the search, filters of the scopes around the program counter are asked in order. During
// the unwinding, their __finally blocks run, up to the scope that unwinding ends in. ScopeIndex
// remembers how far that got: an exception raised by a __finally block must not run the same
// block again.
//
// Source: "x64 exception handling" (Microsoft C++ documentation) and the scope table's
// declaration in the public SDK and mingw-w64 headers.
#include "rtlu.h"

typedef LONG RTLP_FILTER(PEXCEPTION_POINTERS Pointers, ULONG64 EstablisherFrame);
typedef VOID RTLP_TERMINATION(BOOLEAN Abnormal, ULONG64 EstablisherFrame);

#define FILTER_ALWAYS 1u

EXCEPTION_DISPOSITION NTAPI __C_specific_handler(PEXCEPTION_RECORD ExceptionRecord,
                                                 PVOID EstablisherFrame, PCONTEXT ContextRecord,
                                                 PVOID DispatcherContext);

static LONG RtlpAskFilter(PDISPATCHER_CONTEXT Dispatcher, ULONG Filter, PEXCEPTION_RECORD Record,
                          PCONTEXT Context)
{
    EXCEPTION_POINTERS Pointers = {Record, Context};

    if (Filter == FILTER_ALWAYS)
        return EXCEPTION_EXECUTE_HANDLER;
    RTLP_FILTER *Routine = (RTLP_FILTER *)(Dispatcher->ImageBase + Filter);
    return Routine(&Pointers, Dispatcher->EstablisherFrame);
}

// Unwinds to the frame and continues there at Block, with the exception's code in rax.
static VOID RtlpEnterBlock(PDISPATCHER_CONTEXT Dispatcher, ULONG Block, PEXCEPTION_RECORD Record)
{
    RtlUnwindEx((PVOID)Dispatcher->EstablisherFrame, (PVOID)(Dispatcher->ImageBase + Block), Record,
                (PVOID)(ULONG64)(ULONG)Record->ExceptionCode, Dispatcher->ContextRecord,
                Dispatcher->HistoryTable);
}

static EXCEPTION_DISPOSITION RtlpSearchScopes(PDISPATCHER_CONTEXT Dispatcher,
                                              PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    const SCOPE_TABLE_AMD64 *Table = Dispatcher->HandlerData;
    ULONG64 Pc = Dispatcher->ControlPc - Dispatcher->ImageBase;

    for (ULONG i = Dispatcher->ScopeIndex; i < Table->Count; i++) {
        ULONG Filter = Table->ScopeRecord[i].HandlerAddress;
        ULONG Block = Table->ScopeRecord[i].JumpTarget;
        if (Pc < Table->ScopeRecord[i].BeginAddress || Pc >= Table->ScopeRecord[i].EndAddress ||
            Block == 0)
            continue;
        LONG Answer = RtlpAskFilter(Dispatcher, Filter, Record, Context);
        if (Answer < 0)
            return ExceptionContinueExecution;
        if (Answer > 0)
            RtlpEnterBlock(Dispatcher, Block, Record);
    }
    return ExceptionContinueSearch;
}

static EXCEPTION_DISPOSITION RtlpUnwindScopes(PDISPATCHER_CONTEXT Dispatcher,
                                              PEXCEPTION_RECORD Record)
{
    const SCOPE_TABLE_AMD64 *Table = Dispatcher->HandlerData;
    ULONG64 Pc = Dispatcher->ControlPc - Dispatcher->ImageBase;
    ULONG64 Target = Dispatcher->TargetIp - Dispatcher->ImageBase;
    BOOLEAN Last = (Record->ExceptionFlags & EXCEPTION_TARGET_UNWIND) != 0;

    while (Dispatcher->ScopeIndex < Table->Count) {
        ULONG i = Dispatcher->ScopeIndex++;
        ULONG Begin = Table->ScopeRecord[i].BeginAddress, End = Table->ScopeRecord[i].EndAddress;
        if (Pc < Begin || Pc >= End)
            continue;
        if (Last && Target >= Begin && Target < End)
            break;  // the unwinding ends inside this scope
        if (Table->ScopeRecord[i].JumpTarget != 0) {
            if (Last && Target == Table->ScopeRecord[i].JumpTarget)
                break;
            continue;
        }
        ((RTLP_TERMINATION *)(Dispatcher->ImageBase + Table->ScopeRecord[i].HandlerAddress))(
            TRUE, Dispatcher->EstablisherFrame);
    }
    return ExceptionContinueSearch;
}

// The handler of C functions with __try blocks, named by their unwind information. IRQL: any.
// Source: "x64 exception handling" (Microsoft C++ documentation).
EXCEPTION_DISPOSITION NTAPI __C_specific_handler(PEXCEPTION_RECORD ExceptionRecord,
                                                 PVOID EstablisherFrame, PCONTEXT ContextRecord,
                                                 PVOID DispatcherContext)
{
    if ((ExceptionRecord->ExceptionFlags & EXCEPTION_UNWIND) != 0)
        return RtlpUnwindScopes(DispatcherContext, ExceptionRecord);
    return RtlpSearchScopes(DispatcherContext, ExceptionRecord, ContextRecord);
}
EXPORT(__C_specific_handler, EXPORT_ANY_IRQL, ON_WINNT);

// Leaves a __try block in the frame EstablisherFrame for TargetIp, as a return or goto out of one
// does: what lies between cleans up. IRQL: any. Source: Microsoft C++ compiler.
VOID _local_unwind(PVOID EstablisherFrame, PVOID TargetIp);
VOID _local_unwind(PVOID EstablisherFrame, PVOID TargetIp)
{
    RtlUnwind(EstablisherFrame, TargetIp, NULL, NULL);
}
EXPORT(_local_unwind, EXPORT_ANY_IRQL, "support routine of the Microsoft C++ compiler");

// compiler.S: not callable from C.
VOID __chkstk(VOID);
EXPORT(__chkstk, EXPORT_ANY_IRQL, "x64 stack usage, Microsoft C++ documentation");
