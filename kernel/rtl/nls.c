// SPDX-License-Identifier: MIT
// Conversion between 8-bit and UTF-16 strings, and the memory that converted strings live in.
//
// The system's ANSI and OEM code pages are both UTF-8 (65001). It is a multi-byte code page,
// which NlsMbCodePageTag tells drivers: the size macros of the DDK headers then call the Rtlx
// routines instead of assuming one byte a character. What is ill-formed converts to U+FFFD.
//
// The pool stands above rtl, so it registers itself (RtlRegisterAllocator). The caller's address
// goes with each allocation: a string that a driver forgets counts as that driver's leak, not as
// rtl's.
#include "rtl.h"
#include "rtlp.h"

#define STRING_TAG 'grtS'  // "Strg"

BOOLEAN NlsMbCodePageTag = TRUE;
EXPORT_VARIABLE(NlsMbCodePageTag, ON_NTIFS);
BOOLEAN NlsMbOemCodePageTag = TRUE;
EXPORT_VARIABLE(NlsMbOemCodePageTag, ON_NTIFS);

// ---- memory -----------------------------------------------------------------------------------

static RTL_ALLOCATE_ROUTINE *RtlpAllocateRoutine;
static RTL_FREE_ROUTINE *RtlpFreeRoutine;

VOID RtlRegisterAllocator(RTL_ALLOCATE_ROUTINE *Allocate, RTL_FREE_ROUTINE *Free)
{
    RtlpAllocateRoutine = Allocate;
    RtlpFreeRoutine = Free;
}

PVOID RtlpAllocate(SIZE_T Length, PVOID Caller)
{
    return RtlpAllocateRoutine(Length == 0 ? 1 : Length, STRING_TAG, (ULONG_PTR)Caller);
}

VOID RtlpFree(PVOID Memory, PVOID Caller)
{
    RtlpFreeRoutine(Memory, (ULONG_PTR)Caller);
}

// Frees the buffer that a conversion routine allocated for String, and empties it.
// IRQL: PASSIVE_LEVEL. Source: Windows driver documentation.
VOID NTAPI RtlFreeUnicodeString(PUNICODE_STRING String)
{
    if (String->Buffer != NULL)
        RtlpFree(String->Buffer, __builtin_return_address(0));
    memset(String, 0, sizeof(*String));
}
EXPORT(RtlFreeUnicodeString, PASSIVE_LEVEL, ON_WDM);

// The same for 8-bit strings. IRQL: PASSIVE_LEVEL. Source: Windows driver documentation.
VOID NTAPI RtlFreeAnsiString(PANSI_STRING String)
{
    if (String->Buffer != NULL)
        RtlpFree(String->Buffer, __builtin_return_address(0));
    memset(String, 0, sizeof(*String));
}
EXPORT(RtlFreeAnsiString, PASSIVE_LEVEL, ON_WDM);
EXPORT_AS(RtlFreeOemString, RtlFreeAnsiString, PASSIVE_LEVEL, 0, ON_NTIFS);

// ---- from 8 bits to 16 ------------------------------------------------------------------------

// Converts as much as fits. Returns the bytes of the converted text; with no Wide, of all of it.
static SIZE_T RtlpWiden(WCHAR *Wide, SIZE_T Room, const CHAR *Text, SIZE_T Length)
{
    SIZE_T Position = 0, Used = 0;

    while (Position < Length) {
        WCHAR Units[2];
        SIZE_T Bytes = RtlpWriteUtf16(RtlpReadUtf8((const UCHAR *)Text, Length, &Position), Units) *
                       sizeof(WCHAR);
        if (Wide != NULL && Bytes > Room - Used)
            break;
        if (Wide != NULL)
            memcpy((PUCHAR)Wide + Used, Units, Bytes);
        Used += Bytes;
    }
    return Used;
}

// Bytes that String needs in UTF-16, with a terminator. IRQL: PASSIVE_LEVEL.
// Source: Windows driver documentation.
ULONG NTAPI RtlxAnsiStringToUnicodeSize(const STRING *String)
{
    return (ULONG)(RtlpWiden(NULL, 0, String->Buffer, String->Length) + sizeof(WCHAR));
}
EXPORT(RtlxAnsiStringToUnicodeSize, PASSIVE_LEVEL, ON_WDM);
EXPORT_AS(RtlxOemStringToUnicodeSize, RtlxAnsiStringToUnicodeSize, PASSIVE_LEVEL, 0, ON_NTIFS);

// Converts Source into Destination and terminates it. AllocateDestination: into a buffer from paged
// pool, to be freed with RtlFreeUnicodeString. IRQL: PASSIVE_LEVEL.
// Fails: STATUS_NO_MEMORY, STATUS_BUFFER_OVERFLOW, STATUS_INVALID_PARAMETER_2 (too long for a
// UNICODE_STRING). Source: Windows driver documentation.
NTSTATUS NTAPI RtlAnsiStringToUnicodeString(PUNICODE_STRING Destination, const STRING *Source,
                                            BOOLEAN AllocateDestination)
{
    ULONG Size = RtlxAnsiStringToUnicodeSize(Source);

    if (Size > MAXUSHORT)
        return STATUS_INVALID_PARAMETER_2;
    if (AllocateDestination) {
        Destination->Buffer = RtlpAllocate(Size, __builtin_return_address(0));
        if (Destination->Buffer == NULL)
            return STATUS_NO_MEMORY;
        Destination->MaximumLength = (USHORT)Size;
    } else if (Size > Destination->MaximumLength) {
        return STATUS_BUFFER_OVERFLOW;
    }
    Destination->Length = (USHORT)(Size - sizeof(WCHAR));
    RtlpWiden(Destination->Buffer, Destination->Length, Source->Buffer, Source->Length);
    Destination->Buffer[Destination->Length / sizeof(WCHAR)] = 0;
    return STATUS_SUCCESS;
}
EXPORT(RtlAnsiStringToUnicodeString, PASSIVE_LEVEL, ON_WDM);
EXPORT_AS(RtlOemStringToUnicodeString, RtlAnsiStringToUnicodeString, PASSIVE_LEVEL, 0, ON_NTIFS);

// Converts Length bytes of Text into at most Room bytes at Wide, without terminator. *Used (may be
// NULL) receives the bytes written. IRQL: PASSIVE_LEVEL. Source: Windows driver documentation.
NTSTATUS NTAPI RtlMultiByteToUnicodeN(PWSTR Wide, ULONG Room, PULONG Used, const CHAR *Text,
                                      ULONG Length)
{
    ULONG Written = (ULONG)RtlpWiden(Wide, Room, Text, Length);

    if (Used != NULL)
        *Used = Written;
    return STATUS_SUCCESS;
}
EXPORT(RtlMultiByteToUnicodeN, PASSIVE_LEVEL, ON_NTIFS);
EXPORT_AS(RtlOemToUnicodeN, RtlMultiByteToUnicodeN, PASSIVE_LEVEL, 0, ON_NTIFS);

// *Size receives the bytes that Length bytes of Text need in UTF-16. IRQL: PASSIVE_LEVEL.
// Source: Windows driver documentation.
NTSTATUS NTAPI RtlMultiByteToUnicodeSize(PULONG Size, const CHAR *Text, ULONG Length)
{
    *Size = (ULONG)RtlpWiden(NULL, 0, Text, Length);
    return STATUS_SUCCESS;
}
EXPORT(RtlMultiByteToUnicodeSize, PASSIVE_LEVEL, ON_NTIFS);

// ---- from 16 bits to 8 ------------------------------------------------------------------------

static SIZE_T RtlpNarrow(CHAR *Text, SIZE_T Room, const WCHAR *Wide, SIZE_T Length)
{
    SIZE_T Position = 0, Used = 0;

    while (Position < Length / sizeof(WCHAR)) {
        CHAR Units[4];
        ULONG Character = RtlpReadUtf16(Wide, Length / sizeof(WCHAR), &Position);
        SIZE_T Bytes = RtlpWriteUtf8(Character, Units);
        if (Text != NULL && Bytes > Room - Used)
            break;
        if (Text != NULL)
            memcpy(Text + Used, Units, Bytes);
        Used += Bytes;
    }
    return Used;
}

// Bytes that String needs in the 8-bit code page, with a terminator. IRQL: PASSIVE_LEVEL.
// Source: Windows driver documentation.
ULONG NTAPI RtlxUnicodeStringToAnsiSize(PCUNICODE_STRING String)
{
    return (ULONG)(RtlpNarrow(NULL, 0, String->Buffer, String->Length) + 1);
}
EXPORT(RtlxUnicodeStringToAnsiSize, PASSIVE_LEVEL, ON_WDM);
EXPORT_AS(RtlxUnicodeStringToOemSize, RtlxUnicodeStringToAnsiSize, PASSIVE_LEVEL, 0, ON_NTIFS);

// Converts Source into Destination and terminates it. AllocateDestination: into a buffer from paged
// pool, to be freed with RtlFreeAnsiString. A buffer that is too small receives what fits.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_NO_MEMORY, STATUS_BUFFER_OVERFLOW, STATUS_INVALID_PARAMETER_2
// (too long for a STRING). Source: Windows driver documentation.
NTSTATUS NTAPI RtlUnicodeStringToAnsiString(PANSI_STRING Destination, PCUNICODE_STRING Source,
                                            BOOLEAN AllocateDestination)
{
    ULONG Size = RtlxUnicodeStringToAnsiSize(Source);

    if (Size > MAXUSHORT)
        return STATUS_INVALID_PARAMETER_2;
    if (AllocateDestination) {
        Destination->Buffer = RtlpAllocate(Size, __builtin_return_address(0));
        if (Destination->Buffer == NULL)
            return STATUS_NO_MEMORY;
        Destination->MaximumLength = (USHORT)Size;
    } else if (Destination->MaximumLength == 0) {
        return STATUS_BUFFER_OVERFLOW;
    }
    Destination->Length = (USHORT)RtlpNarrow(Destination->Buffer, Destination->MaximumLength - 1u,
                                             Source->Buffer, Source->Length);
    Destination->Buffer[Destination->Length] = 0;
    return Destination->Length + 1u < Size ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}
EXPORT(RtlUnicodeStringToAnsiString, PASSIVE_LEVEL, ON_WDM);
EXPORT_AS(RtlUnicodeStringToOemString, RtlUnicodeStringToAnsiString, PASSIVE_LEVEL, 0, ON_NTIFS);

// Converts Length bytes of Wide into at most Room bytes at Text, without terminator. *Used (may be
// NULL) receives the bytes written. IRQL: PASSIVE_LEVEL. Source: Windows driver documentation.
NTSTATUS NTAPI RtlUnicodeToMultiByteN(PCHAR Text, ULONG Room, PULONG Used, PCWSTR Wide,
                                      ULONG Length)
{
    ULONG Written = (ULONG)RtlpNarrow(Text, Room, Wide, Length);

    if (Used != NULL)
        *Used = Written;
    return STATUS_SUCCESS;
}
EXPORT(RtlUnicodeToMultiByteN, PASSIVE_LEVEL, ON_NTIFS);
EXPORT_AS(RtlUnicodeToOemN, RtlUnicodeToMultiByteN, PASSIVE_LEVEL, 0, ON_NTIFS);

// *Size receives the bytes that Length bytes of Wide need in the 8-bit code page.
// IRQL: PASSIVE_LEVEL. Source: Windows driver documentation.
NTSTATUS NTAPI RtlUnicodeToMultiByteSize(PULONG Size, PCWSTR Wide, ULONG Length)
{
    *Size = (ULONG)RtlpNarrow(NULL, 0, Wide, Length);
    return STATUS_SUCCESS;
}
EXPORT(RtlUnicodeToMultiByteSize, PASSIVE_LEVEL, ON_NTIFS);

// Whether the code page has *Character: UTF-8 has all but half a surrogate pair. IRQL:
// PASSIVE_LEVEL. Source: Windows driver documentation.
BOOLEAN NTAPI RtlIsValidOemCharacter(PWSTR Character)
{
    return (*Character & 0xF800) != 0xD800;
}
EXPORT(RtlIsValidOemCharacter, PASSIVE_LEVEL, ON_NTIFS);
