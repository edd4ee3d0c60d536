// SPDX-License-Identifier: MIT
// Counted strings: UNICODE_STRING and STRING (ANSI_STRING).
//
// Lengths are bytes and exclude a terminator. Nothing here requires one; where a result has room
// for one, it gets one, so that it can also be used as a C string.
#include "rtl.h"
#include "rtlp.h"

#define MAXIMUM_UNICODE_LENGTH 0xFFFCu  // leaves room for a terminator and is even

// ---- initialising -----------------------------------------------------------------------------

// Makes String describe the terminated text at Source; NULL makes it empty. Text beyond 65,532
// bytes is left out. IRQL: any when Source is resident. Source: Windows driver documentation.
VOID NTAPI RtlInitUnicodeString(PUNICODE_STRING String, PCWSTR Source)
{
    SIZE_T Length = Source == NULL ? 0 : wcslen(Source) * sizeof(WCHAR);

    if (Length > MAXIMUM_UNICODE_LENGTH)
        Length = MAXIMUM_UNICODE_LENGTH;
    String->Length = (USHORT)Length;
    String->MaximumLength = Source == NULL ? 0 : (USHORT)(Length + sizeof(WCHAR));
    String->Buffer = (PWSTR)Source;
}
EXPORT(RtlInitUnicodeString, EXPORT_ANY_IRQL, ON_WDM);

// The same, but text that is too long is refused. IRQL: any when Source is resident.
// Fails: STATUS_NAME_TOO_LONG, String unchanged. Source: Windows driver documentation.
NTSTATUS NTAPI RtlInitUnicodeStringEx(PUNICODE_STRING String, PCWSTR Source)
{
    if (Source != NULL && wcslen(Source) * sizeof(WCHAR) > MAXIMUM_UNICODE_LENGTH)
        return STATUS_NAME_TOO_LONG;
    RtlInitUnicodeString(String, Source);
    return STATUS_SUCCESS;
}
EXPORT(RtlInitUnicodeStringEx, EXPORT_ANY_IRQL, ON_NTIFS);

// Makes String describe the terminated 8-bit text at Source; NULL makes it empty. Text beyond
// 65,534 bytes is left out. IRQL: any when Source is resident. Source: Windows driver
// documentation.
VOID NTAPI RtlInitAnsiString(PANSI_STRING String, PCSZ Source)
{
    SIZE_T Length = Source == NULL ? 0 : strlen(Source);

    if (Length > MAXUSHORT - 1)
        Length = MAXUSHORT - 1;
    String->Length = (USHORT)Length;
    String->MaximumLength = Source == NULL ? 0 : (USHORT)(Length + 1);
    String->Buffer = (PCHAR)Source;
}
EXPORT(RtlInitAnsiString, EXPORT_ANY_IRQL, ON_WDM);

// The same routine by its other name. IRQL: any. Source: Windows driver documentation.
VOID NTAPI RtlInitString(PSTRING String, PCSZ Source)
{
    RtlInitAnsiString(String, Source);
}
EXPORT(RtlInitString, EXPORT_ANY_IRQL, ON_WDM);

// ---- copying and appending --------------------------------------------------------------------

static VOID RtlpTerminate(PUNICODE_STRING String)
{
    if (String->Length + sizeof(WCHAR) <= String->MaximumLength)
        String->Buffer[String->Length / sizeof(WCHAR)] = 0;
}

// Copies as much of Source (NULL: nothing) as Destination has room for. IRQL: any when both are
// resident. Source: Windows driver documentation.
VOID NTAPI RtlCopyUnicodeString(PUNICODE_STRING Destination, PCUNICODE_STRING Source)
{
    USHORT Length = Source == NULL ? 0 : Source->Length;

    if (Length > Destination->MaximumLength)
        Length = Destination->MaximumLength;
    if (Length != 0)
        memmove(Destination->Buffer, Source->Buffer, Length);
    Destination->Length = Length;
    if (Source != NULL)
        RtlpTerminate(Destination);
}
EXPORT(RtlCopyUnicodeString, EXPORT_ANY_IRQL, ON_WDM);

// The same for 8-bit strings. IRQL: any when both are resident. Source: Windows driver
// documentation.
VOID NTAPI RtlCopyString(PSTRING Destination, const STRING *Source)
{
    USHORT Length = Source == NULL ? 0 : Source->Length;

    if (Length > Destination->MaximumLength)
        Length = Destination->MaximumLength;
    if (Length != 0)
        memmove(Destination->Buffer, Source->Buffer, Length);
    Destination->Length = Length;
}
EXPORT(RtlCopyString, EXPORT_ANY_IRQL, ON_NTDDK);

static NTSTATUS RtlpAppend(PUNICODE_STRING Destination, const WCHAR *Text, SIZE_T Length)
{
    if (Length > (SIZE_T)Destination->MaximumLength - Destination->Length)
        return STATUS_BUFFER_TOO_SMALL;
    if (Length != 0)
        memmove((PUCHAR)Destination->Buffer + Destination->Length, Text, Length);
    Destination->Length = (USHORT)(Destination->Length + Length);
    RtlpTerminate(Destination);
    return STATUS_SUCCESS;
}

// Appends terminated text (NULL: nothing). IRQL: any when all is resident.
// Fails: STATUS_BUFFER_TOO_SMALL, Destination unchanged. Source: Windows driver documentation.
NTSTATUS NTAPI RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source)
{
    if (Source == NULL)
        return STATUS_SUCCESS;
    return RtlpAppend(Destination, Source, wcslen(Source) * sizeof(WCHAR));
}
EXPORT(RtlAppendUnicodeToString, EXPORT_ANY_IRQL, ON_WDM);

// Appends a counted string. IRQL: any when all is resident.
// Fails: STATUS_BUFFER_TOO_SMALL, Destination unchanged. Source: Windows driver documentation.
NTSTATUS NTAPI RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source)
{
    if (Source->Length == 0)
        return STATUS_SUCCESS;
    return RtlpAppend(Destination, Source->Buffer, Source->Length);
}
EXPORT(RtlAppendUnicodeStringToString, EXPORT_ANY_IRQL, ON_WDM);

// ---- comparing --------------------------------------------------------------------------------

// The difference at the first place where Count WCHARs differ, 0 when they are equal.
static LONG RtlpCompareWide(const WCHAR *A, const WCHAR *B, SIZE_T Count, BOOLEAN CaseInSensitive)
{
    for (SIZE_T i = 0; i < Count; i++) {
        if (A[i] == B[i])
            continue;
        LONG Difference = CaseInSensitive ? RtlUpcaseUnicodeChar(A[i]) - RtlUpcaseUnicodeChar(B[i])
                                          : A[i] - B[i];
        if (Difference != 0)
            return Difference;
    }
    return 0;
}

// Orders two strings: below 0, 0 or above 0. A string comes before its continuations.
// IRQL: any when both are resident. Source: Windows driver documentation.
LONG NTAPI RtlCompareUnicodeString(PCUNICODE_STRING First, PCUNICODE_STRING Second,
                                   BOOLEAN CaseInSensitive)
{
    USHORT Common = First->Length < Second->Length ? First->Length : Second->Length;
    LONG Difference = RtlpCompareWide(First->Buffer, Second->Buffer, Common / sizeof(WCHAR),
                                      CaseInSensitive);
    return Difference != 0 ? Difference : First->Length - Second->Length;
}
EXPORT(RtlCompareUnicodeString, EXPORT_ANY_IRQL, ON_WDM);

// Whether two strings are equal. IRQL: any when both are resident.
// Source: Windows driver documentation.
BOOLEAN NTAPI RtlEqualUnicodeString(PCUNICODE_STRING First, PCUNICODE_STRING Second,
                                    BOOLEAN CaseInSensitive)
{
    return First->Length == Second->Length &&
           RtlCompareUnicodeString(First, Second, CaseInSensitive) == 0;
}
EXPORT(RtlEqualUnicodeString, EXPORT_ANY_IRQL, ON_WDM);

// Whether Second starts with First. IRQL: any when both are resident.
// Source: Windows driver documentation.
BOOLEAN NTAPI RtlPrefixUnicodeString(PCUNICODE_STRING First, PCUNICODE_STRING Second,
                                     BOOLEAN CaseInSensitive)
{
    return First->Length <= Second->Length &&
           RtlpCompareWide(First->Buffer, Second->Buffer, First->Length / sizeof(WCHAR),
                           CaseInSensitive) == 0;
}
EXPORT(RtlPrefixUnicodeString, EXPORT_ANY_IRQL, ON_NTDDK);

static LONG RtlpCompareNarrow(const CHAR *A, const CHAR *B, SIZE_T Count, BOOLEAN CaseInSensitive)
{
    for (SIZE_T i = 0; i < Count; i++) {
        int First = (UCHAR)A[i], Second = (UCHAR)B[i];
        if (CaseInSensitive) {
            First = RtlpUpperAscii(First);
            Second = RtlpUpperAscii(Second);
        }
        if (First != Second)
            return First - Second;
    }
    return 0;
}

// Orders two 8-bit strings: below 0, 0 or above 0. IRQL: any when both are resident.
// Source: Windows driver documentation.
LONG NTAPI RtlCompareString(const STRING *First, const STRING *Second, BOOLEAN CaseInSensitive)
{
    USHORT Common = First->Length < Second->Length ? First->Length : Second->Length;
    LONG Difference = RtlpCompareNarrow(First->Buffer, Second->Buffer, Common, CaseInSensitive);
    return Difference != 0 ? Difference : First->Length - Second->Length;
}
EXPORT(RtlCompareString, EXPORT_ANY_IRQL, ON_NTDDK);

// Whether two 8-bit strings are equal. IRQL: any when both are resident.
// Source: Windows driver documentation.
BOOLEAN NTAPI RtlEqualString(const STRING *First, const STRING *Second, BOOLEAN CaseInSensitive)
{
    return First->Length == Second->Length && RtlCompareString(First, Second, CaseInSensitive) == 0;
}
EXPORT(RtlEqualString, EXPORT_ANY_IRQL, ON_NTDDK);

// ---- case -------------------------------------------------------------------------------------

// Room for Length bytes in Destination: its own, or allocated for its owner to free.
static NTSTATUS RtlpPrepare(PUNICODE_STRING Destination, USHORT Length, BOOLEAN Allocate,
                            PVOID Caller)
{
    if (Allocate) {
        Destination->Buffer = RtlpAllocate(Length, Caller);
        if (Destination->Buffer == NULL)
            return STATUS_NO_MEMORY;
        Destination->MaximumLength = Length;
    } else if (Length > Destination->MaximumLength) {
        return STATUS_BUFFER_OVERFLOW;
    }
    Destination->Length = Length;
    return STATUS_SUCCESS;
}

// Writes Source in capitals to Destination, whose buffer is allocated (paged pool, to be freed with
// RtlFreeUnicodeString) when AllocateDestination. IRQL: PASSIVE_LEVEL.
// Fails: STATUS_NO_MEMORY, STATUS_BUFFER_OVERFLOW. Source: Windows driver documentation.
NTSTATUS NTAPI RtlUpcaseUnicodeString(PUNICODE_STRING Destination, PCUNICODE_STRING Source,
                                      BOOLEAN AllocateDestination)
{
    NTSTATUS Status = RtlpPrepare(Destination, Source->Length, AllocateDestination,
                                  __builtin_return_address(0));
    if (!NT_SUCCESS(Status))
        return Status;
    for (SIZE_T i = 0; i < Source->Length / sizeof(WCHAR); i++)
        Destination->Buffer[i] = RtlUpcaseUnicodeChar(Source->Buffer[i]);
    return STATUS_SUCCESS;
}
EXPORT(RtlUpcaseUnicodeString, PASSIVE_LEVEL, ON_NTIFS);

// The same with small letters. IRQL: PASSIVE_LEVEL.
// Fails: STATUS_NO_MEMORY, STATUS_BUFFER_OVERFLOW. Source: Windows driver documentation.
NTSTATUS NTAPI RtlDowncaseUnicodeString(PUNICODE_STRING Destination, PCUNICODE_STRING Source,
                                        BOOLEAN AllocateDestination)
{
    NTSTATUS Status = RtlpPrepare(Destination, Source->Length, AllocateDestination,
                                  __builtin_return_address(0));
    if (!NT_SUCCESS(Status))
        return Status;
    for (SIZE_T i = 0; i < Source->Length / sizeof(WCHAR); i++)
        Destination->Buffer[i] = RtlDowncaseUnicodeChar(Source->Buffer[i]);
    return STATUS_SUCCESS;
}
EXPORT(RtlDowncaseUnicodeString, PASSIVE_LEVEL, ON_NTIFS);

// Writes Source in capitals to Destination, as far as there is room. IRQL: any when both are
// resident. Source: Windows driver documentation.
VOID NTAPI RtlUpperString(PSTRING Destination, const STRING *Source)
{
    USHORT Length = Source->Length;

    if (Length > Destination->MaximumLength)
        Length = Destination->MaximumLength;
    for (USHORT i = 0; i < Length; i++)
        Destination->Buffer[i] = (CHAR)RtlpUpperAscii((UCHAR)Source->Buffer[i]);
    Destination->Length = Length;
}
EXPORT(RtlUpperString, EXPORT_ANY_IRQL, ON_NTIFS);
