// SPDX-License-Identifier: MIT
// What the parts of i386's exception handling share.
#pragma once

#include "rtl.h"
#include "../rtlp.h"

// The registers that RtlRaiseException finds, from low to high addresses.
typedef struct _RTLP_RAISE_FRAME {
    ULONG Edi, Esi, Ebp, Esp, Ebx, Edx, Ecx, Eax;  // pushal's order; Esp is the one before it
    ULONG EFlags;
    ULONG ReturnAddress;
    PEXCEPTION_RECORD Record;  // the argument
} RTLP_RAISE_FRAME, *PRTLP_RAISE_FRAME;

// except.S. A handler runs below a registration of its own that notices when it raises an
// exception.
EXCEPTION_DISPOSITION CDECL RtlpCallExceptionHandler(PEXCEPTION_RECORD Record,
                                                     PEXCEPTION_REGISTRATION_RECORD Registration,
                                                     PCONTEXT Context, PVOID *DispatcherContext);
EXCEPTION_DISPOSITION CDECL RtlpCallUnwindHandler(PEXCEPTION_RECORD Record,
                                                  PEXCEPTION_REGISTRATION_RECORD Registration,
                                                  PCONTEXT Context, PVOID *DispatcherContext);

// dispatch.c, called by RtlRaiseException.
DECLSPEC_NORETURN VOID CDECL RtlpRaise(PRTLP_RAISE_FRAME Frame);

FORCEINLINE PEXCEPTION_REGISTRATION_RECORD RtlpReadChain(VOID)
{
    PEXCEPTION_REGISTRATION_RECORD Head;
    __asm__ volatile("movl %%fs:0, %0" : "=r"(Head)::"memory");
    return Head;
}

FORCEINLINE VOID RtlpWriteChain(PEXCEPTION_REGISTRATION_RECORD Head)
{
    __asm__ volatile("movl %0, %%fs:0" ::"r"(Head) : "memory");
}
