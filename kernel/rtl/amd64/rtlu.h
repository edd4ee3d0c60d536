// SPDX-License-Identifier: MIT
// What the parts of amd64's exception handling share.
#pragma once

#include "rtl.h"
#include "../rtlp.h"

typedef const RUNTIME_FUNCTION *PCRUNTIME_FUNCTION;

// unwind.c: driver code, by .pdata. RtlpVirtualUnwind is RtlVirtualUnwind that tells whether it
// worked.
PRUNTIME_FUNCTION RtlpFindFunction(const RTL_IMAGE *Image, ULONG64 Pc);
BOOLEAN RtlpVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 Pc,
                          PCRUNTIME_FUNCTION Function, PCONTEXT Context, PVOID *HandlerData,
                          PULONG64 EstablisherFrame, PKNONVOLATILE_CONTEXT_POINTERS Pointers,
                          PEXCEPTION_ROUTINE *Handler);

// except.S. A handler is called with its DISPATCHER_CONTEXT kept at Rsp + SAVED_DISPATCHER of the
// frame that returns to the label; a dispatch keeps the interrupted CONTEXT, and whether its Rip
// is exact.
EXCEPTION_DISPOSITION RtlpCallExceptionHandler(PEXCEPTION_RECORD Record, ULONG64 EstablisherFrame,
                                               PCONTEXT Context, PDISPATCHER_CONTEXT Dispatcher);
EXCEPTION_DISPOSITION RtlpCallUnwindHandler(PEXCEPTION_RECORD Record, ULONG64 EstablisherFrame,
                                            PCONTEXT Context, PDISPATCHER_CONTEXT Dispatcher);
BOOLEAN RtlpCallDispatcher(PEXCEPTION_RECORD Record, PCONTEXT Context, BOOLEAN Exact);
extern const UCHAR RtlpExceptionHandlerReturn[], RtlpUnwindHandlerReturn[], RtlpDispatcherReturn[];
#define SAVED_DISPATCHER 0x20
#define SAVED_CONTEXT    0x20
#define SAVED_EXACT      0x28

// dispatch.c, called by RtlpCallDispatcher.
BOOLEAN RtlpDispatch(PEXCEPTION_RECORD Record, PCONTEXT Context, BOOLEAN Exact);

// cfi.c: kernel code, by .eh_frame. Exact: Pc is the next instruction, not a return address.
BOOLEAN RtlpUnwindKernelFrame(PCONTEXT Context, BOOLEAN Exact);
