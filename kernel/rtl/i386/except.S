// SPDX-License-Identifier: MIT
// i386: calls of exception handlers, the raising of exceptions, and the handler of Microsoft's C.
//
// Handlers are strangers' code of C convention. They may be reached by a call from the kernel, so
// everything that the C convention preserves is saved here, whatever they do with it.

#define RECORD_FLAGS     4     // EXCEPTION_RECORD.ExceptionFlags
#define UNWINDING        0x66  // any of the unwinding flags
#define CONTINUE_SEARCH  1     // EXCEPTION_DISPOSITION
#define NESTED_EXCEPTION 2
#define COLLIDED_UNWIND  3

#define CONTEXT_FULL 0x10007
#define CONTEXT_GS  0x8C
#define CONTEXT_FS  0x90
#define CONTEXT_ES  0x94
#define CONTEXT_DS  0x98
#define CONTEXT_EDI 0x9C
#define CONTEXT_ESI 0xA0
#define CONTEXT_EBX 0xA4
#define CONTEXT_EDX 0xA8
#define CONTEXT_ECX 0xAC
#define CONTEXT_EAX 0xB0
#define CONTEXT_EBP 0xB4
#define CONTEXT_EIP 0xB8
#define CONTEXT_CS  0xBC
#define CONTEXT_EFL 0xC0
#define CONTEXT_ESP 0xC4
#define CONTEXT_SS  0xC8

        .text

// Handler(Record, Registration, Context, DispatcherContext) below a registration of our own:
//   -4(%ebp) Registration, for our handler   -8 its handler   -12 link
.macro  call_handler Name, Handler
        .globl  \Name
        .type   \Name, @function
\Name:
        pushl   %ebp
        movl    %esp, %ebp
        pushl   12(%ebp)
        pushl   $\Handler
        pushl   %fs:0
        movl    %esp, %fs:0
        pushl   %ebx
        pushl   %esi
        pushl   %edi
        pushl   20(%ebp)
        pushl   16(%ebp)
        pushl   12(%ebp)
        pushl   8(%ebp)
        movl    12(%ebp), %eax
        cld
        call    *4(%eax)
        movl    -24(%ebp), %edi
        movl    -20(%ebp), %esi
        movl    -16(%ebp), %ebx
        movl    -12(%ebp), %edx
        movl    %edx, %fs:0
        leave
        ret
.endm
        call_handler RtlpCallExceptionHandler, RtlpNestedHandler
        call_handler RtlpCallUnwindHandler, RtlpCollidedHandler

// An exception came up in a handler that was being asked: tell which registration that was. When
// the frame is only being unwound, it has nothing to clean up.
RtlpNestedHandler:
        movl    4(%esp), %ecx
        movl    $CONTINUE_SEARCH, %eax
        testl   $UNWINDING, RECORD_FLAGS(%ecx)
        jnz     1f
        movl    $NESTED_EXCEPTION, %eax
        jmp     2f
// An unwind came to a handler that was cleaning up for an older unwind: go on where that one was.
RtlpCollidedHandler:
        movl    4(%esp), %ecx
        movl    $CONTINUE_SEARCH, %eax
        testl   $UNWINDING, RECORD_FLAGS(%ecx)
        jz      1f
        movl    $COLLIDED_UNWIND, %eax
2:      movl    8(%esp), %ecx           // our registration; the one meant is kept behind it
        movl    8(%ecx), %ecx
        movl    16(%esp), %edx
        movl    %ecx, (%edx)
1:      ret

// VOID NTAPI RtlRaiseException(PEXCEPTION_RECORD): raises in the caller, with its registers.
// Returns, by RtlpRestoreContext, when a handler says to continue. IRQL: any. Source: Windows
// developer documentation, RtlRaiseException.
        .globl  RtlRaiseException
        .type   RtlRaiseException, @function
RtlRaiseException:
        pushfl
        pushal
        cld
        pushl   %esp
        call    RtlpRaise

// VOID NTAPI RtlCaptureContext(PCONTEXT Context): the caller's registers as they are after the
// return.
        .globl  RtlCaptureContext
        .type   RtlCaptureContext, @function
RtlCaptureContext:
        pushl   %ebx
        movl    8(%esp), %ebx
        movl    $CONTEXT_FULL, (%ebx)
        movl    %edi, CONTEXT_EDI(%ebx)
        movl    %esi, CONTEXT_ESI(%ebx)
        movl    %edx, CONTEXT_EDX(%ebx)
        movl    %ecx, CONTEXT_ECX(%ebx)
        movl    %eax, CONTEXT_EAX(%ebx)
        movl    %ebp, CONTEXT_EBP(%ebx)
        popl    CONTEXT_EBX(%ebx)
        pushl   CONTEXT_EBX(%ebx)
        pushfl
        popl    CONTEXT_EFL(%ebx)
        movl    4(%esp), %eax
        movl    %eax, CONTEXT_EIP(%ebx)
        leal    12(%esp), %eax
        movl    %eax, CONTEXT_ESP(%ebx)
        movl    %cs, %eax
        movl    %eax, CONTEXT_CS(%ebx)
        movl    %ss, %eax
        movl    %eax, CONTEXT_SS(%ebx)
        movl    %ds, %eax
        movl    %eax, CONTEXT_DS(%ebx)
        movl    %es, %eax
        movl    %eax, CONTEXT_ES(%ebx)
        movl    %fs, %eax
        movl    %eax, CONTEXT_FS(%ebx)
        movl    %gs, %eax
        movl    %eax, CONTEXT_GS(%ebx)
        movl    CONTEXT_EAX(%ebx), %eax
        popl    %ebx
        ret     $4

// VOID RtlpRestoreContext(const CONTEXT *): loads the registers and goes on; no return. What must
// be loaded last is carried over on the new stack, below its pointer.
        .globl  RtlpRestoreContext
        .type   RtlpRestoreContext, @function
RtlpRestoreContext:
        movl    4(%esp), %ebx
        movl    CONTEXT_ESP(%ebx), %edx
        movl    CONTEXT_EIP(%ebx), %eax
        movl    CONTEXT_EFL(%ebx), %ecx
        movl    CONTEXT_EDI(%ebx), %edi
        movl    CONTEXT_ESI(%ebx), %esi
        movl    CONTEXT_EBP(%ebx), %ebp
        pushl   CONTEXT_EAX(%ebx)
        pushl   CONTEXT_ECX(%ebx)
        pushl   CONTEXT_EDX(%ebx)
        pushl   CONTEXT_EBX(%ebx)
        popl    -24(%edx)               // these four lie below Context and are copied upwards
        popl    -20(%edx)
        popl    -16(%edx)
        popl    -12(%edx)
        movl    %ecx, -8(%edx)
        movl    %eax, -4(%edx)
        leal    -24(%edx), %esp
        popl    %ebx
        popl    %edx
        popl    %ecx
        popl    %eax
        popfl
        ret

// ---- Microsoft's C ----------------------------------------------------------------------------
//
// A function with __try keeps below its frame pointer, from ebp - 24 up:
//
//   saved esp, pointer to EXCEPTION_POINTERS, link, handler (this one), scope table, try level
//
// The try level is the index of the scope that execution is in, -1 for none. A scope is three
// words: the enclosing level, the filter (0: a __finally), the block. Filters and blocks use the
// function's frame pointer. Offsets below are from the registration, which is the link; the frame
// pointer is +16. Source: M. Pietrek, MSJ January 1997.

#define TABLE      8
#define LEVEL      12
#define FRAME      16
#define POINTERS   -4
#define STACK      -8
#define NO_LEVEL   -1
#define CONTINUE_EXECUTION 0

// EXCEPTION_DISPOSITION CDECL _except_handler3(Record, Registration, Context, DispatcherContext)
        .globl  _except_handler3
        .type   _except_handler3, @function
_except_handler3:
        pushl   %ebp
        movl    %esp, %ebp
        subl    $8, %esp                // EXCEPTION_POINTERS
        pushl   %ebx
        pushl   %esi
        pushl   %edi
        movl    8(%ebp), %eax
        movl    12(%ebp), %ebx
        testl   $UNWINDING, RECORD_FLAGS(%eax)
        jnz     .Lunwind
        movl    %eax, -8(%ebp)
        movl    16(%ebp), %eax
        movl    %eax, -4(%ebp)
        leal    -8(%ebp), %eax
        movl    %eax, POINTERS(%ebx)
        movl    LEVEL(%ebx), %esi
.Lnext_level:
        cmpl    $NO_LEVEL, %esi
        je      .Lsearch_on
        movl    TABLE(%ebx), %edi
        leal    (%esi, %esi, 2), %ecx
        movl    4(%edi, %ecx, 4), %eax
        testl   %eax, %eax
        jz      .Louter_level
        pushl   %esi
        pushl   %ebp
        leal    FRAME(%ebx), %ebp
        call    *%eax
        popl    %ebp
        popl    %esi
        movl    12(%ebp), %ebx          // the filter owes nobody these
        testl   %eax, %eax
        jz      .Louter_level
        js      .Lcontinue
// Taken: unwind what lies below, then the inner levels, and enter the block, which never returns
// here.
        pushl   %ebx
        call    _global_unwind2
        addl    $4, %esp
        leal    FRAME(%ebx), %ebp
        pushl   %esi
        pushl   %ebx
        call    _local_unwind2
        addl    $8, %esp
        movl    TABLE(%ebx), %edi
        leal    (%esi, %esi, 2), %ecx
        movl    (%edi, %ecx, 4), %eax
        movl    %eax, LEVEL(%ebx)
        movl    8(%edi, %ecx, 4), %eax
        call    *%eax                   // reloads esp from its frame
.Louter_level:
        movl    TABLE(%ebx), %edi
        leal    (%esi, %esi, 2), %ecx
        movl    (%edi, %ecx, 4), %esi
        jmp     .Lnext_level
.Lcontinue:
        movl    $CONTINUE_EXECUTION, %eax
        jmp     .Ldone
.Lunwind:
        pushl   %ebp
        leal    FRAME(%ebx), %ebp
        pushl   $NO_LEVEL
        pushl   %ebx
        call    _local_unwind2
        addl    $8, %esp
        popl    %ebp
.Lsearch_on:
        movl    $CONTINUE_SEARCH, %eax
.Ldone:
        popl    %edi
        popl    %esi
        popl    %ebx
        leave
        ret

// VOID CDECL _global_unwind2(Registration): unwinds the registrations below this one.
        .globl  _global_unwind2
        .type   _global_unwind2, @function
_global_unwind2:
        pushl   %ebp
        movl    %esp, %ebp
        pushl   $0
        pushl   $0
        pushl   $.Lunwound
        pushl   8(%ebp)
        call    RtlUnwind
.Lunwound:
        popl    %ebp
        ret

// VOID CDECL _local_unwind2(Registration, Level): runs the __finally blocks of the levels inside
// Level, in the frame that ebp names. Each level is left before its block runs, so that none runs
// twice; an unwind out of such a block ends the one here (RtlpLocalHandler).
        .globl  _local_unwind2
        .type   _local_unwind2, @function
_local_unwind2:
        pushl   %ebx
        pushl   %esi
        pushl   %edi
        movl    16(%esp), %ebx
        movl    20(%esp), %eax
        pushl   %eax                    // 12(registration): Level
        pushl   %ebx                    // 8: Registration
        pushl   $RtlpLocalHandler
        pushl   %fs:0
        movl    %esp, %fs:0
.Lnext_block:
        movl    8(%esp), %ebx
        movl    LEVEL(%ebx), %esi
        cmpl    $NO_LEVEL, %esi
        je      .Lblocks_done
        cmpl    12(%esp), %esi
        je      .Lblocks_done
        movl    TABLE(%ebx), %edi
        leal    (%esi, %esi, 2), %ecx
        movl    (%edi, %ecx, 4), %eax
        movl    %eax, LEVEL(%ebx)
        cmpl    $0, 4(%edi, %ecx, 4)
        jne     .Lnext_block
        pushl   %ebp
        call    *8(%edi, %ecx, 4)
        popl    %ebp
        jmp     .Lnext_block
.Lblocks_done:
        popl    %fs:0
        addl    $12, %esp
        popl    %edi
        popl    %esi
        popl    %ebx
        ret

// An exception or unwind out of a __finally block that _local_unwind2 runs.
RtlpLocalHandler:
        movl    4(%esp), %ecx
        movl    $CONTINUE_SEARCH, %eax
        testl   $UNWINDING, RECORD_FLAGS(%ecx)
        jz      1f
        movl    8(%esp), %ecx
        movl    8(%ecx), %ecx
        movl    16(%esp), %edx
        movl    %ecx, (%edx)
        movl    $COLLIDED_UNWIND, %eax
1:      ret
