// SPDX-License-Identifier: MIT
// Traps: what the processor reports about the running code becomes a retry, an exception or a
// bugcheck.
//
// In order:
//   0. A debugger, where there is one, sees breakpoints first of all, and every exception before
//      its handlers do.
//   1. The fix-up table: kernel code that expects its instruction to fault goes on where it said.
//   2. A page fault is asked of the memory manager, which may make the page present.
//   3. What NT knows as an exception goes to the dispatcher, which finds a handler in the
//   interrupted
//      code. Code at DISPATCH_LEVEL or above has none: it may hold a spin lock that the handler's
//      unwind would leave behind, so NT forbids exceptions there.
//   4. The rest stops the system: KMODE_EXCEPTION_NOT_HANDLED for an exception that nobody took,
//      UNEXPECTED_KERNEL_MODE_TRAP for a trap that is none, and its own code for fast fail.
//
// The routine runs at the interrupted IRQL with interrupts as they were there, and leaves with them
// off. Tests: tests/guest/irql.c and tests/system (one bugcheck each).
#include "ki.h"

KE_PAGE_FAULT_ROUTINE *KePageFaultRoutine;
KE_NON_CANONICAL_ROUTINE *KeNonCanonicalRoutine;
KE_VIOLATION_ROUTINE *KeViolationRoutine;
KE_EXCEPTION_ROUTINE *KeExceptionRoutine;
KE_DEBUG_ROUTINE *KeDebugRoutine;

typedef struct _KI_EXCEPTION {
    NTSTATUS Status;
    UCHAR Length;  // of the instruction, when it is the trap: the exception is reported at it
} KI_EXCEPTION;

// By vector; no status: fatal.
static const KI_EXCEPTION KiExceptions[] = {
    [TRAP_DIVIDE] = {STATUS_INTEGER_DIVIDE_BY_ZERO, 0},
    [TRAP_DEBUG] = {STATUS_SINGLE_STEP, 0},
    [TRAP_BREAKPOINT] = {STATUS_BREAKPOINT, 1},
    [TRAP_OVERFLOW] = {STATUS_INTEGER_OVERFLOW, 0},
    [TRAP_BOUND] = {STATUS_ARRAY_BOUNDS_EXCEEDED, 0},
    [TRAP_INVALID_OPCODE] = {STATUS_ILLEGAL_INSTRUCTION, 0},
    [TRAP_ALIGNMENT] = {STATUS_DATATYPE_MISALIGNMENT, 0},
    [TRAP_ASSERTION] = {STATUS_ASSERTION_FAILURE, 2},
};

static ULONG_PTR KiFindFixup(ULONG_PTR Address)
{
    for (const KE_FIXUP *Fixup = FixupTableStart; Fixup < FixupTableEnd; Fixup++)
        if (Fixup->Fault == Address)
            return Fixup->Fixup;
    return 0;
}

static BOOLEAN KiTryFixup(PKTRAP_FRAME Frame)
{
    ULONG_PTR Fixup;

    if (Frame->Vector < TRAP_SEGMENT_NOT_PRESENT || Frame->Vector > TRAP_PAGE_FAULT)
        return FALSE;
    Fixup = KiFindFixup(TRAP_PC(Frame));
    if (Fixup == 0)
        return FALSE;
    TRAP_PC(Frame) = Fixup;
    return TRUE;
}

// A page fault is told by mm, who touched what; of other exceptions there is only the name.
static const char *KiExceptionSentence(PEXCEPTION_RECORD Exception, PKTRAP_FRAME Frame)
{
    static char Sentence[160];
    BOOLEAN High = KiGetIrql() >= DISPATCH_LEVEL;

    if (Exception->ExceptionCode == STATUS_ACCESS_VIOLATION && Frame->Vector == TRAP_PAGE_FAULT &&
        KeViolationRoutine != NULL)
        return KeViolationRoutine(Frame, Exception);
    RtlFormat(
        Sentence, sizeof(Sentence), "%s was raised %s.", RtlStatusName(Exception->ExceptionCode),
        High ? "at DISPATCH_LEVEL or above, where no handler may run" : "and nobody handled it");
    return Sentence;
}

DECLSPEC_NORETURN VOID KeExceptionNotHandled(PEXCEPTION_RECORD Exception, PKTRAP_FRAME Frame)
{
    KiBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)Exception->ExceptionCode,
               (ULONG_PTR)Exception->ExceptionAddress, Exception->ExceptionInformation[0],
               Exception->ExceptionInformation[1], Frame, KiExceptionSentence(Exception, Frame));
}

// Returns when the frame is to be resumed.
static VOID KiRaiseException(PEXCEPTION_RECORD Exception, PKTRAP_FRAME Frame)
{
    if (KiDebugEvent(KeDebugException, Frame, Exception))
        return;
    if (KiGetIrql() < DISPATCH_LEVEL && KeExceptionRoutine != NULL) {
        KiOpenExceptionChain(Frame);
        KeExceptionRoutine(Exception, Frame);
    }
    KeExceptionNotHandled(Exception, Frame);
}

static VOID KiPageFault(PKTRAP_FRAME Frame, PEXCEPTION_RECORD Exception)
{
    if (KePageFaultRoutine == NULL)
        KiBugCheck(PAGE_FAULT_IN_NONPAGED_AREA, Frame->Cr2, (Frame->ErrorCode & PF_WRITE) != 0,
                   TRAP_PC(Frame), 0, Frame,
                   "A page fault came before there was a memory manager.");
    if (!KePageFaultRoutine(Frame, Frame->Cr2, (ULONG)Frame->ErrorCode, Exception))
        KiRaiseException(Exception, Frame);
}

static DECLSPEC_NORETURN VOID KiUnexpectedTrap(PKTRAP_FRAME Frame)
{
    KiBugCheck(UNEXPECTED_KERNEL_MODE_TRAP, (ULONG_PTR)Frame->Vector, (ULONG_PTR)Frame->ErrorCode,
               0, 0, Frame, NULL);
}

// int 29h: the code in ecx says what was found damaged.
static DECLSPEC_NORETURN VOID KiFastFail(PKTRAP_FRAME Frame, PEXCEPTION_RECORD Exception)
{
    ULONG Code = KiFastFailCode(Frame);

    Exception->ExceptionCode = STATUS_STACK_BUFFER_OVERRUN;
    Exception->ExceptionFlags = EXCEPTION_NONCONTINUABLE;
    Exception->NumberParameters = 1;
    Exception->ExceptionInformation[0] = Code;
    KiBugCheck(KERNEL_SECURITY_CHECK_FAILURE, Code, (ULONG_PTR)Frame, (ULONG_PTR)Exception, 0,
               Frame, NULL);
}

// The x87 says in its status word which unmasked exception it was.
static NTSTATUS KiFloatStatus(ULONG Flags)
{
    static const NTSTATUS Statuses[] = {
        STATUS_FLOAT_INVALID_OPERATION, STATUS_FLOAT_DENORMAL_OPERAND, STATUS_FLOAT_DIVIDE_BY_ZERO,
        STATUS_FLOAT_OVERFLOW, STATUS_FLOAT_UNDERFLOW, STATUS_FLOAT_INEXACT_RESULT,
    };
    for (ULONG i = 0; i < RTL_NUMBER_OF(Statuses); i++)
        if (Flags >> i & 1)
            return Statuses[i];
    return STATUS_FLOAT_INVALID_OPERATION;
}

static NTSTATUS KiFpuStatus(VOID)
{
    USHORT Status, Control;
    __asm__ volatile("fnstsw %0; fnstcw %1; fnclex" : "=m"(Status), "=m"(Control));
    return KiFloatStatus(Status & ~Control);
}

static VOID KiException(PKTRAP_FRAME Frame, PEXCEPTION_RECORD Exception)
{
    const KI_EXCEPTION *Known = &KiExceptions[Frame->Vector];

    TRAP_PC(Frame) -= Known->Length;
    Exception->ExceptionCode = Known->Status;
    Exception->ExceptionAddress = (PVOID)TRAP_PC(Frame);
    if (Frame->Vector == TRAP_BREAKPOINT)
        Exception->NumberParameters = 1;  // the kind of debug service: 0, a plain breakpoint
    KiRaiseException(Exception, Frame);
}

// i386: the return from a task gate (NMI) leaves the processor asking for the floating point state
// to be switched. It is still there.
static BOOLEAN KiResumeFpu(VOID)
{
    if (!(KiReadCr0() & CR0_TS))
        return FALSE;
    __asm__ volatile("clts");
    return TRUE;
}

static VOID KiHandleTrap(PKTRAP_FRAME Frame)
{
    EXCEPTION_RECORD Exception = {.ExceptionAddress = (PVOID)TRAP_PC(Frame)};

    switch (Frame->Vector) {
    case TRAP_PAGE_FAULT:
        KiPageFault(Frame, &Exception);
        return;
    case TRAP_FAST_FAIL:
        KiFastFail(Frame, &Exception);
    case TRAP_PROTECTION:
        if (!KiProtectionException(Frame, &Exception))
            KiUnexpectedTrap(Frame);
        break;
    case TRAP_NO_FPU:
        if (!KiResumeFpu())
            KiUnexpectedTrap(Frame);
        return;
    case TRAP_FPU:
        Exception.ExceptionCode = KiFpuStatus();
        break;
    case TRAP_SIMD:
        Exception.ExceptionCode = STATUS_FLOAT_MULTIPLE_TRAPS;
        break;
    default:
        if (Frame->Vector >= RTL_NUMBER_OF(KiExceptions) || KiExceptions[Frame->Vector].Status == 0)
            KiUnexpectedTrap(Frame);
        KiException(Frame, &Exception);
        return;
    }
    KiRaiseException(&Exception, Frame);
}

VOID FASTCALL KiDispatchTrap(PKTRAP_FRAME Frame)
{
    if (KiTryFixup(Frame))
        return;
    if (Frame->Vector <= TRAP_BREAKPOINT && Frame->Vector != TRAP_DIVIDE &&
        KiDebugEvent(KeDebugTrap, Frame, NULL))
        return;
    KiRestoreInterrupts((TRAP_FLAGS(Frame) & EFLAGS_IF) != 0);
    KiHandleTrap(Frame);
    KiCli();
    KiRestartSequence(Frame);  // others may have run here meanwhile
}
