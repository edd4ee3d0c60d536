// SPDX-License-Identifier: MIT
// GUIDs as text: {01234567-89ab-cdef-0123-456789abcdef}.
#include "rtl.h"
#include "rtlp.h"

#define GUID_LENGTH 38u

// The bytes of a GUID in the order of its digits, and where the text has a dash.
static const UCHAR RtlpGuidBytes[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

static BOOLEAN RtlpDashBefore(ULONG Byte)
{
    return Byte == 4 || Byte == 6 || Byte == 8 || Byte == 10;
}

// Writes Guid as text into String, in a terminated buffer from paged pool to be freed with
// RtlFreeUnicodeString. IRQL: PASSIVE_LEVEL. Fails: STATUS_NO_MEMORY.
// Source: Windows driver documentation.
NTSTATUS NTAPI RtlStringFromGUID(const GUID *Guid, PUNICODE_STRING String)
{
    const UCHAR *Bytes = (const UCHAR *)Guid;
    WCHAR *At = RtlpAllocate((GUID_LENGTH + 1) * sizeof(WCHAR), __builtin_return_address(0));

    if (At == NULL)
        return STATUS_NO_MEMORY;
    String->Buffer = At;
    String->Length = GUID_LENGTH * sizeof(WCHAR);
    String->MaximumLength = String->Length + sizeof(WCHAR);
    *At++ = '{';
    for (ULONG i = 0; i < sizeof(GUID); i++) {
        if (RtlpDashBefore(i))
            *At++ = '-';
        *At++ = (UCHAR)"0123456789abcdef"[Bytes[RtlpGuidBytes[i]] >> 4];
        *At++ = (UCHAR)"0123456789abcdef"[Bytes[RtlpGuidBytes[i]] & 15];
    }
    *At++ = '}';
    *At = 0;
    return STATUS_SUCCESS;
}
EXPORT(RtlStringFromGUID, PASSIVE_LEVEL, ON_WDM);

static ULONG RtlpHexDigit(WCHAR Unit)
{
    if (Unit >= '0' && Unit <= '9')
        return Unit - '0';
    Unit |= 0x20;
    return Unit >= 'a' && Unit <= 'f' ? Unit - 'a' + 10u : 16;
}

// Reads a GUID from text. IRQL: PASSIVE_LEVEL. Fails: STATUS_INVALID_PARAMETER when it is not one.
// Source: Windows driver documentation.
NTSTATUS NTAPI RtlGUIDFromString(PCUNICODE_STRING String, GUID *Guid)
{
    const WCHAR *At = String->Buffer;
    UCHAR *Bytes = (UCHAR *)Guid;

    if (String->Length < GUID_LENGTH * sizeof(WCHAR) || At[0] != '{' || At[GUID_LENGTH - 1] != '}')
        return STATUS_INVALID_PARAMETER;
    At++;
    for (ULONG i = 0; i < sizeof(GUID); i++) {
        if (RtlpDashBefore(i) && *At++ != '-')
            return STATUS_INVALID_PARAMETER;
        ULONG High = RtlpHexDigit(At[0]), Low = RtlpHexDigit(At[1]);
        if (High > 15 || Low > 15)
            return STATUS_INVALID_PARAMETER;
        Bytes[RtlpGuidBytes[i]] = (UCHAR)(High << 4 | Low);
        At += 2;
    }
    return STATUS_SUCCESS;
}
EXPORT(RtlGUIDFromString, PASSIVE_LEVEL, ON_WDM);
