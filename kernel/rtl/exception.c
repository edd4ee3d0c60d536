// SPDX-License-Identifier: MIT
// Structured exceptions: what both architectures share.
//
// How an exception finds its handler is the architecture's business (amd64/dispatch.c,
// i386/dispatch.c). Here are what those need from above, and the routines by which drivers raise
// one on purpose. All of them raise in their caller: a driver's __except sees its own call as the
// place.
#include "rtl.h"
#include "rtlp.h"

static RTL_PLATFORM RtlpPlatform;

VOID RtlInitializeExceptions(const RTL_PLATFORM *Platform)
{
    RtlpPlatform = *Platform;
}

BOOLEAN RtlpSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length)
{
    return RtlpPlatform.SafeCopy != NULL && RtlpPlatform.SafeCopy(Destination, Source, Length);
}

BOOLEAN RtlpFindImage(ULONG_PTR Address, PRTL_IMAGE Image)
{
    return RtlpPlatform.FindImage != NULL && RtlpPlatform.FindImage(Address, Image);
}

DECLSPEC_NORETURN VOID RtlpUnhandled(PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    for (;;)
        RtlpPlatform.Unhandled(Record, Context);
}

DECLSPEC_NORETURN VOID RtlpRaiseAbout(NTSTATUS Status, PEXCEPTION_RECORD Record)
{
    EXCEPTION_RECORD About = {.ExceptionCode = Status,
                              .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
                              .ExceptionRecord = Record};
    for (;;)
        RtlRaiseException(&About);
}

// ---- raising ----------------------------------------------------------------------------------

// Raises Status, not to be continued. IRQL: any. Source: Windows driver documentation.
DECLSPEC_NORETURN VOID NTAPI ExRaiseStatus(NTSTATUS Status)
{
    RtlRaiseStatus(Status);
}
EXPORT(ExRaiseStatus, EXPORT_ANY_IRQL, ON_NTDDK);

// Raises STATUS_ACCESS_VIOLATION. IRQL: any. Source: Windows driver documentation.
DECLSPEC_NORETURN VOID NTAPI ExRaiseAccessViolation(VOID)
{
    RtlRaiseStatus(STATUS_ACCESS_VIOLATION);
}
EXPORT(ExRaiseAccessViolation, EXPORT_ANY_IRQL, ON_NTDDK);

// Raises STATUS_DATATYPE_MISALIGNMENT. IRQL: any. Source: Windows driver documentation.
DECLSPEC_NORETURN VOID NTAPI ExRaiseDatatypeMisalignment(VOID)
{
    RtlRaiseStatus(STATUS_DATATYPE_MISALIGNMENT);
}
EXPORT(ExRaiseDatatypeMisalignment, EXPORT_ANY_IRQL, ON_NTDDK);

EXPORT_AS(ExRaiseException, RtlRaiseException, EXPORT_ANY_IRQL, 0, ON_NTIFS);

// ---- probing ----------------------------------------------------------------------------------

static VOID RtlpProbeRange(ULONG_PTR Address, SIZE_T Length, ULONG Alignment)
{
    if ((Address & (Alignment - 1)) != 0)
        RtlRaiseStatus(STATUS_DATATYPE_MISALIGNMENT);
    if (Address + Length < Address || Address + Length > RtlpPlatform.UserLimit)
        RtlRaiseStatus(STATUS_ACCESS_VIOLATION);
}

// Checks that Length bytes at Address lie in user space and Address is aligned; touches nothing. A
// Length of 0 is always right. IRQL: <= APC_LEVEL.
// Fails: raises STATUS_ACCESS_VIOLATION, STATUS_DATATYPE_MISALIGNMENT.
// Source: Windows driver documentation.
VOID NTAPI ProbeForRead(const VOID *Address, SIZE_T Length, ULONG Alignment)
{
    if (Length != 0)
        RtlpProbeRange((ULONG_PTR)Address, Length, Alignment);
}
EXPORT(ProbeForRead, APC_LEVEL, ON_WDM);

// The same, and that each page of them can be written: one byte of each is read and written back,
// so what is not there is faulted in, and what may not be written raises. IRQL: <= APC_LEVEL.
// Fails: raises STATUS_ACCESS_VIOLATION, STATUS_DATATYPE_MISALIGNMENT. Source: Windows driver
// documentation.
VOID NTAPI ProbeForWrite(PVOID Address, SIZE_T Length, ULONG Alignment)
{
    ULONG_PTR At = (ULONG_PTR)Address, End = At + Length;

    if (Length == 0)
        return;
    RtlpProbeRange(At, Length, Alignment);
    for (; At < End; At = (At & ~(ULONG_PTR)(PAGE_SIZE - 1)) + PAGE_SIZE)
        *(volatile UCHAR *)At = *(volatile UCHAR *)At;
}
EXPORT(ProbeForWrite, APC_LEVEL, ON_WDM);

// ---- images -----------------------------------------------------------------------------------

// The base of the driver image that Pc lies in, also in *Base. IRQL: any.
// Fails: NULL when it is in none. Source: Windows developer documentation, RtlPcToFileHeader.
PVOID NTAPI RtlPcToFileHeader(PVOID Pc, PVOID *Base)
{
    RTL_IMAGE Image;

    *Base = RtlpFindImage((ULONG_PTR)Pc, &Image) ? (PVOID)Image.Base : NULL;
    return *Base;
}
EXPORT(RtlPcToFileHeader, EXPORT_ANY_IRQL, ON_WINNT);
