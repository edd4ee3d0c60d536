// SPDX-License-Identifier: MIT
// rtl as a driver reaches it: by import, with its compiler's calling conventions.
//
// What the routines compute is tested on the host (tests/host/test_rtl_*.c); here, that they are
// there, are called right on both architectures, and work with the pool behind them.
#include "guest.h"

#include <stdarg.h>
#include <stdio.h>

NTSYSAPI NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW Information);
NTSYSAPI NTSTATUS NTAPI RtlStringFromGUID(REFGUID Guid, PUNICODE_STRING String);
NTSYSAPI USHORT NTAPI RtlCaptureStackBackTrace(ULONG Skip, ULONG Count, PVOID *Frames, PULONG Hash);
NTSYSAPI ULONG NTAPI RtlRandomEx(PULONG Seed);
NTSYSAPI PVOID NTAPI RtlPcToFileHeader(PVOID Pc, PVOID *Base);

#ifdef __x86_64__
#include "rtl/amd64.h"
#else
#include "rtl/i386.h"
#endif

#define WIDE(Text) RTL_CONSTANT_STRING(Text)

static CHAR Text[128];

static const char *Format(const char *Pattern, ...)
{
    va_list Arguments;
    va_start(Arguments, Pattern);
    _vsnprintf(Text, sizeof(Text), Pattern, Arguments);
    va_end(Arguments);
    return Text;
}

static VOID PrintfPrintsNtsTypes(VOID)
{
    UNICODE_STRING Wide = WIDE(L"wide");
    ANSI_STRING Narrow = RTL_CONSTANT_STRING("narrow");
    WCHAR Out[32];

    CHECK(strcmp(Format("%wZ %Z %ws %S", &Wide, &Narrow, L"ab", L"cd"), "wide narrow ab cd") == 0);
    CHECK(strcmp(Format("%I64x %d %hu", 0x123456789ABCDEFull, -5, 0x1FFFF),
                 "123456789abcdef -5 65535") == 0);
    CHECK(strcmp(Format("%p", (PVOID)(ULONG_PTR)0xABC),
                 sizeof(PVOID) == 8 ? "0000000000000ABC" : "00000ABC") == 0);
    CHECK(strcmp(Format("%f|%d", 1.5, 7), "f|7") == 0);  // no floating point, nothing shifts
    CHECK_EQUAL(_snwprintf(Out, 32, L"%s-%hs-%u", L"a", "b", 9), 5);
    CHECK(RtlCompareMemory(Out, L"a-b-9", 12) == 12);
}

static VOID ConvertedStringsComeFromThePoolAndGoBack(VOID)
{
    ANSI_STRING Narrow;
    UNICODE_STRING Wide, Number;
    WCHAR Digits[16];
    ULONG Value;
    GUID Guid = {1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}};

    RtlInitAnsiString(&Narrow, "\\Device\\Test");
    CHECK_EQUAL(RtlAnsiStringToUnicodeString(&Wide, &Narrow, TRUE), STATUS_SUCCESS);
    CHECK_EQUAL(Wide.Length, 24);
    RtlFreeUnicodeString(&Wide);
    CHECK(Wide.Buffer == NULL);
    CHECK_EQUAL(RtlStringFromGUID(&Guid, &Wide), STATUS_SUCCESS);
    CHECK_EQUAL(Wide.Length, 76);
    RtlFreeUnicodeString(&Wide);
    Number.Buffer = Digits;
    Number.MaximumLength = sizeof(Digits);
    CHECK_EQUAL(RtlIntegerToUnicodeString(0xBEEF, 16, &Number), STATUS_SUCCESS);
    CHECK_EQUAL(RtlUnicodeStringToInteger(&Number, 16, &Value), STATUS_SUCCESS);
    CHECK_EQUAL(Value, 0xBEEF);
}

static VOID MemoryRoutinesCopeWithOverlap(VOID)
{
    UCHAR Bytes[64];
    for (ULONG i = 0; i < 64; i++)
        Bytes[i] = (UCHAR)i;
    RtlMoveMemory(Bytes + 8, Bytes, 40);
    CHECK_EQUAL(Bytes[47], 39);
    CHECK_EQUAL(Bytes[8], 0);
    RtlMoveMemory(Bytes, Bytes + 8, 40);
    CHECK_EQUAL(Bytes[39], 39);
    RtlFillMemory(Bytes, 64, 7);
    CHECK_EQUAL(RtlCompareMemory(Bytes, Bytes + 32, 32), 32);
}

static RTL_GENERIC_COMPARE_RESULTS NTAPI Compare(PRTL_AVL_TABLE Table, PVOID First, PVOID Second)
{
    ULONG A = *(PULONG)First, B = *(PULONG)Second;
    UNREFERENCED_PARAMETER(Table);
    return A < B ? GenericLessThan : A > B ? GenericGreaterThan : GenericEqual;
}

static PVOID NTAPI Allocate(PRTL_AVL_TABLE Table, CLONG Size)
{
    UNREFERENCED_PARAMETER(Table);
    return ExAllocatePoolWithTag(PagedPool, Size, 'lbtT');
}

static VOID NTAPI Release(PRTL_AVL_TABLE Table, PVOID Buffer)
{
    UNREFERENCED_PARAMETER(Table);
    ExFreePoolWithTag(Buffer, 'lbtT');
}

static VOID TablesCallTheirOwnersRoutines(VOID)
{
    RTL_AVL_TABLE Table;
    BOOLEAN New;
    ULONG Sum = 0;

    RtlInitializeGenericTableAvl(&Table, Compare, Allocate, Release, NULL);
    for (ULONG i = 0; i < 100; i++)
        RtlInsertElementGenericTableAvl(&Table, &i, sizeof(i), &New);
    CHECK_EQUAL(RtlNumberGenericTableElementsAvl(&Table), 100);
    for (PULONG p = RtlEnumerateGenericTableAvl(&Table, TRUE); p != NULL;
         p = RtlEnumerateGenericTableAvl(&Table, FALSE))
        Sum = Sum * 3 + *p;
    CHECK(Sum != 0);
    for (ULONG i = 0; i < 100; i++)
        CHECK(RtlDeleteElementGenericTableAvl(&Table, &i));
    CHECK(RtlIsGenericTableEmptyAvl(&Table));
}

static VOID BitmapsAndTimesWork(VOID)
{
    ULONG Bits[2];
    RTL_BITMAP Map;
    LARGE_INTEGER Time = {.QuadPart = 125911584000000000ll};  // 1 January 2000
    TIME_FIELDS Fields;

    RtlInitializeBitMap(&Map, Bits, 50);
    RtlClearAllBits(&Map);
    CHECK_EQUAL(RtlFindClearBitsAndSet(&Map, 45, 2), 2);
    CHECK_EQUAL(RtlNumberOfSetBits(&Map), 45);
    CHECK_EQUAL(RtlFindClearBits(&Map, 4, 0), (ULONG)-1);
    RtlTimeToTimeFields(&Time, &Fields);
    CHECK_EQUAL(Fields.Year, 2000);
    CHECK_EQUAL(Fields.Month, 1);
    CHECK_EQUAL(Fields.Weekday, 6);
}

static VOID AllWaysTellOneVersion(VOID)
{
    RTL_OSVERSIONINFOW Information = {.dwOSVersionInfoSize = sizeof(Information)};
    ULONG Major, Minor, Build;

    CHECK_EQUAL(RtlGetVersion(&Information), STATUS_SUCCESS);
    PsGetVersion(&Major, &Minor, &Build, NULL);
    CHECK_EQUAL(Information.dwMajorVersion, Major);
    CHECK_EQUAL(Information.dwMinorVersion, Minor);
    CHECK_EQUAL(Information.dwBuildNumber, Build);
    CHECK_EQUAL(SharedUserData->NtMajorVersion, Major);
    CHECK_EQUAL(SharedUserData->NtMinorVersion, Minor);
}

static VOID ABacktraceBeginsInTheCaller(VOID)
{
    PVOID Frames[8], Base = NULL;
    ULONG Hash = 0, Seed = 1;

    CHECK(RtlCaptureStackBackTrace(0, 8, Frames, &Hash) >= 2);
    CHECK((ULONG_PTR)Frames[0] - (ULONG_PTR)ABacktraceBeginsInTheCaller < 0x200);
    CHECK(RtlRandomEx(&Seed) < 0x7FFFFFFF && Seed != 1);
#ifdef __x86_64__
    CHECK(RtlPcToFileHeader(Frames[0], &Base) == Base && *(PUSHORT)Base == 0x5A4D);
#else
    CHECK(Base == NULL);
#endif
}

static const GUEST_CASE Cases[] = {
    {"printf prints NT's types", PrintfPrintsNtsTypes},
    {"converted strings come from the pool and go back", ConvertedStringsComeFromThePoolAndGoBack},
    {"memory routines cope with overlap", MemoryRoutinesCopeWithOverlap},
    {"tables call their owner's routines", TablesCallTheirOwnersRoutines},
    {"bitmaps and times work", BitmapsAndTimesWork},
    {"all ways tell one version", AllWaysTellOneVersion},
    {"a backtrace begins in the caller", ABacktraceBeginsInTheCaller},
    {"the compiler's own routines keep their conventions", CompilerRoutinesKeepTheirConventions},
};
GUEST_DRIVER(Cases)
