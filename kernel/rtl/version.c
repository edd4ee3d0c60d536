// SPDX-License-Identifier: MIT
// What version the system says it is, and drivers' questions about it.
//
// The answer is settled once at start (/OSVERSION=); every documented way of asking tells the same.
#include "rtl.h"
#include "rtlp.h"

RTL_OSVERSIONINFOEXW RtlReportedVersion = {
    .dwMajorVersion = 6,
    .dwMinorVersion = 1,
    .dwBuildNumber = 7601,
    .dwPlatformId = 2,  // VER_PLATFORM_WIN32_NT
    .szCSDVersion = L"Service Pack 1",
    .wServicePackMajor = 1,
    .wProductType = NtProductWinNt,
};

VOID RtlSetReportedVersion(ULONG Major, ULONG Minor, ULONG Build, ULONG ServicePack)
{
    UNICODE_STRING Name = {0, sizeof(RtlReportedVersion.szCSDVersion),
                           RtlReportedVersion.szCSDVersion};
    UNICODE_STRING Digits;

    RtlReportedVersion.dwMajorVersion = Major;
    RtlReportedVersion.dwMinorVersion = Minor;
    RtlReportedVersion.dwBuildNumber = Build;
    RtlReportedVersion.wServicePackMajor = (USHORT)ServicePack;
    memset(Name.Buffer, 0, Name.MaximumLength);
    if (ServicePack == 0)
        return;
    RtlAppendUnicodeToString(&Name, L"Service Pack ");
    Digits = (UNICODE_STRING){0, (USHORT)(Name.MaximumLength - Name.Length),
                              Name.Buffer + Name.Length / sizeof(WCHAR)};
    RtlIntegerToUnicodeString(ServicePack, 10, &Digits);
}

// Fills an RTL_OSVERSIONINFOW or, by its dwOSVersionInfoSize, an RTL_OSVERSIONINFOEXW.
// IRQL: any (documented: PASSIVE_LEVEL). Source: Windows driver documentation.
NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW Information)
{
    ULONG Size = Information->dwOSVersionInfoSize;
    BOOLEAN Extended = Size == sizeof(RTL_OSVERSIONINFOEXW);

    memcpy(Information, &RtlReportedVersion, Extended ? Size : sizeof(RTL_OSVERSIONINFOW));
    Information->dwOSVersionInfoSize = Size;
    return STATUS_SUCCESS;
}
EXPORT(RtlGetVersion, EXPORT_ANY_IRQL, ON_WDM);

// Tells major and minor version, build number and service pack (any may be NULL; CsdVersion's
// buffer is not the caller's and not to be freed). Returns TRUE for the checked build. IRQL: any
// (documented: PASSIVE_LEVEL). Source: Windows driver documentation.
BOOLEAN NTAPI PsGetVersion(PULONG MajorVersion, PULONG MinorVersion, PULONG BuildNumber,
                           PUNICODE_STRING CsdVersion)
{
    if (MajorVersion != NULL)
        *MajorVersion = RtlReportedVersion.dwMajorVersion;
    if (MinorVersion != NULL)
        *MinorVersion = RtlReportedVersion.dwMinorVersion;
    if (BuildNumber != NULL)
        *BuildNumber = RtlReportedVersion.dwBuildNumber;
    if (CsdVersion != NULL)
        RtlInitUnicodeString(CsdVersion, RtlReportedVersion.szCSDVersion);
    return DBG != 0;
}
EXPORT(PsGetVersion, EXPORT_ANY_IRQL, ON_NTDDK);

// ---- conditions -------------------------------------------------------------------------------
// A condition mask keeps three bits for each field that may be compared, in this order.

enum {
    VER_MINORVERSION = 0x01, VER_MAJORVERSION = 0x02, VER_BUILDNUMBER = 0x04, VER_PLATFORMID = 0x08,
    VER_SERVICEPACKMINOR = 0x10, VER_SERVICEPACKMAJOR = 0x20, VER_SUITENAME = 0x40,
    VER_PRODUCT_TYPE = 0x80, VER_ALL = 0xFF
};
enum { VER_EQUAL = 1, VER_GREATER, VER_GREATER_EQUAL, VER_LESS, VER_LESS_EQUAL, VER_AND, VER_OR };

#define CONDITION_BITS 3u
#define CONDITION_MASK 7u

// Adds a condition for the field of the highest bit in TypeMask to ConditionMask. IRQL: any.
// Source: Windows driver documentation.
ULONG64 NTAPI VerSetConditionMask(ULONG64 ConditionMask, ULONG TypeMask, UCHAR Condition)
{
    TypeMask &= VER_ALL;
    if (TypeMask == 0)
        return 0;
    ULONG Shift = (31u - (ULONG)__builtin_clz(TypeMask)) * CONDITION_BITS;
    return ConditionMask | (ULONG64)(Condition & CONDITION_MASK) << Shift;
}
EXPORT(VerSetConditionMask, EXPORT_ANY_IRQL, ON_NTDDK);

static ULONG RtlpConditionOf(ULONG64 ConditionMask, ULONG Type)
{
    return (ULONG)(ConditionMask >> ((ULONG)__builtin_ctz(Type) * CONDITION_BITS)) & CONDITION_MASK;
}

static BOOLEAN RtlpCompareField(ULONG Condition, ULONG Actual, ULONG Wanted)
{
    switch (Condition) {
    case VER_EQUAL:
        return Actual == Wanted;
    case VER_GREATER:
        return Actual > Wanted;
    case VER_GREATER_EQUAL:
        return Actual >= Wanted;
    case VER_LESS:
        return Actual < Wanted;
    case VER_LESS_EQUAL:
        return Actual <= Wanted;
    default:
        return FALSE;
    }
}

static BOOLEAN RtlpCompareSuites(ULONG Condition, USHORT Actual, USHORT Wanted)
{
    return Condition == VER_AND ? (Actual & Wanted) == Wanted
                                : Condition == VER_OR && (Actual & Wanted) != 0;
}

typedef struct _RTLP_VERSION_FIELD {
    ULONG Type;
    ULONG Actual, Wanted;
} RTLP_VERSION_FIELD;

// Major, minor and service pack are one number in parts: the first part that differs decides.
static BOOLEAN RtlpVerifyRelease(PRTL_OSVERSIONINFOEXW Wanted, ULONG TypeMask,
                                 ULONG64 ConditionMask)
{
    const RTL_OSVERSIONINFOEXW *Actual = &RtlReportedVersion;
    const RTLP_VERSION_FIELD Fields[] = {
        {VER_MAJORVERSION, Actual->dwMajorVersion, Wanted->dwMajorVersion},
        {VER_MINORVERSION, Actual->dwMinorVersion, Wanted->dwMinorVersion},
        {VER_SERVICEPACKMAJOR, Actual->wServicePackMajor, Wanted->wServicePackMajor},
        {VER_SERVICEPACKMINOR, Actual->wServicePackMinor, Wanted->wServicePackMinor},
    };
    BOOLEAN Holds = TRUE;

    for (ULONG i = 0; i < RTL_NUMBER_OF(Fields); i++) {
        const RTLP_VERSION_FIELD *Field = &Fields[i];
        if ((TypeMask & Field->Type) == 0)
            continue;
        ULONG Condition = RtlpConditionOf(ConditionMask, Field->Type);
        Holds = RtlpCompareField(Condition, Field->Actual, Field->Wanted);
        if (Field->Actual != Field->Wanted)
            return Holds;
    }
    return Holds;
}

// Whether the reported version satisfies Wanted: the fields in TypeMask under the conditions that
// VerSetConditionMask put together. IRQL: any (documented: PASSIVE_LEVEL).
// Fails: STATUS_REVISION_MISMATCH, STATUS_INVALID_PARAMETER (no field to compare).
// Source: Windows driver documentation.
NTSTATUS NTAPI RtlVerifyVersionInfo(PRTL_OSVERSIONINFOEXW Wanted, ULONG TypeMask,
                                    ULONG64 ConditionMask)
{
    const RTL_OSVERSIONINFOEXW *Actual = &RtlReportedVersion;
    const RTLP_VERSION_FIELD Single[] = {
        {VER_BUILDNUMBER, Actual->dwBuildNumber, Wanted->dwBuildNumber},
        {VER_PLATFORMID, Actual->dwPlatformId, Wanted->dwPlatformId},
        {VER_PRODUCT_TYPE, Actual->wProductType, Wanted->wProductType},
    };

    if ((TypeMask & VER_ALL) == 0)
        return STATUS_INVALID_PARAMETER;
    for (ULONG i = 0; i < RTL_NUMBER_OF(Single); i++)
        if ((TypeMask & Single[i].Type) != 0 &&
            !RtlpCompareField(RtlpConditionOf(ConditionMask, Single[i].Type), Single[i].Actual,
                              Single[i].Wanted))
            return STATUS_REVISION_MISMATCH;
    if ((TypeMask & VER_SUITENAME) != 0 &&
        !RtlpCompareSuites(RtlpConditionOf(ConditionMask, VER_SUITENAME), Actual->wSuiteMask,
                           Wanted->wSuiteMask))
        return STATUS_REVISION_MISMATCH;
    if (!RtlpVerifyRelease(Wanted, TypeMask, ConditionMask))
        return STATUS_REVISION_MISMATCH;
    return STATUS_SUCCESS;
}
EXPORT(RtlVerifyVersionInfo, EXPORT_ANY_IRQL, ON_WDM);
