// SPDX-License-Identifier: MIT
// POOL_RAISE_IF_ALLOCATION_FAILURE: the one case in which an allocation does not return.
#include "poolp.h"

DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status) __attribute__((weak));

DECLSPEC_NORETURN VOID ExpRaisePoolFailure(VOID)
{
    if (RtlRaiseStatus != NULL)
        RtlRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
    KiBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_INSUFFICIENT_RESOURCES,
               KiReturnAddress(), 0, 0, NULL,
               "A pool allocation was to raise an exception, and did.");
}
