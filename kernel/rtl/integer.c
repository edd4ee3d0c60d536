// SPDX-License-Identifier: MIT
// Numbers as text and text as numbers.
#include "rtl.h"
#include "rtlp.h"

#define DIGITS 64  // of a 64-bit number in base 2

// Digits of Value, right aligned before End. Returns the first, NULL when there is no such base.
static CHAR *RtlpWriteInteger(ULONG64 Value, ULONG Base, CHAR *End)
{
    if (Base == 0)
        Base = 10;
    if (Base != 2 && Base != 8 && Base != 10 && Base != 16)
        return NULL;
    do {
        *--End = "0123456789ABCDEF"[Value % Base];
        Value /= Base;
    } while (Value != 0);
    return End;
}

// Writes Value in Base (2, 8, 10, 16; 0 means 10) to String, with a terminator if there is room.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_BUFFER_OVERFLOW, STATUS_INVALID_PARAMETER (base).
// Source: Windows driver documentation.
NTSTATUS NTAPI RtlInt64ToUnicodeString(ULONG64 Value, ULONG Base, PUNICODE_STRING String)
{
    CHAR Buffer[DIGITS], *End = Buffer + DIGITS;
    CHAR *Digits = RtlpWriteInteger(Value, Base, End);
    SIZE_T Count = (SIZE_T)(End - Digits);

    if (Digits == NULL)
        return STATUS_INVALID_PARAMETER;
    if (Count * sizeof(WCHAR) > String->MaximumLength)
        return STATUS_BUFFER_OVERFLOW;
    for (SIZE_T i = 0; i < Count; i++)
        String->Buffer[i] = (UCHAR)Digits[i];
    String->Length = (USHORT)(Count * sizeof(WCHAR));
    if (String->Length + sizeof(WCHAR) <= String->MaximumLength)
        String->Buffer[Count] = 0;
    return STATUS_SUCCESS;
}
EXPORT(RtlInt64ToUnicodeString, PASSIVE_LEVEL, ON_WDM);

// The same for 32 bits. IRQL: PASSIVE_LEVEL. Fails: STATUS_BUFFER_OVERFLOW,
// STATUS_INVALID_PARAMETER. Source: Windows driver documentation.
NTSTATUS NTAPI RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String)
{
    return RtlInt64ToUnicodeString(Value, Base, String);
}
EXPORT(RtlIntegerToUnicodeString, PASSIVE_LEVEL, ON_WDM);

// Characters of a number, one at a time from either kind of text; 0 at the end.
typedef struct _RTLP_NUMBER_TEXT {
    const CHAR *Narrow;
    const WCHAR *Wide;
    SIZE_T Left;
} RTLP_NUMBER_TEXT;

static ULONG RtlpPeek(const RTLP_NUMBER_TEXT *Text)
{
    if (Text->Left == 0)
        return 0;
    return Text->Wide != NULL ? *Text->Wide : (UCHAR)*Text->Narrow;
}

static VOID RtlpAdvance(RTLP_NUMBER_TEXT *Text)
{
    Text->Left--;
    if (Text->Wide != NULL)
        Text->Wide++;
    else
        Text->Narrow++;
}

static ULONG RtlpBaseOfLetter(ULONG Letter)
{
    return Letter == 'x' ? 16 : Letter == 'o' ? 8 : Letter == 'b' ? 2 : 0;
}

// With Base 0 a prefix 0x, 0o or 0b names the base, and none means 10.
static ULONG RtlpReadBase(RTLP_NUMBER_TEXT *Text, ULONG Base)
{
    RTLP_NUMBER_TEXT Next = *Text;

    if (Base != 0 || RtlpPeek(Text) != '0')
        return Base == 0 ? 10 : Base;
    RtlpAdvance(&Next);
    Base = RtlpBaseOfLetter(RtlpPeek(&Next));
    if (Base == 0)
        return 10;
    RtlpAdvance(&Next);
    *Text = Next;
    return Base;
}

// Blanks, a sign, a prefix, digits; it ends at the first character that is no digit.
static NTSTATUS RtlpReadInteger(RTLP_NUMBER_TEXT *Text, ULONG Base, PULONG Value)
{
    ULONG Result = 0;
    BOOLEAN Negative = FALSE;

    if (Base != 0 && Base != 2 && Base != 8 && Base != 10 && Base != 16)
        return STATUS_INVALID_PARAMETER;
    while (RtlpPeek(Text) != 0 && RtlpPeek(Text) <= ' ')
        RtlpAdvance(Text);
    if (RtlpPeek(Text) == '-' || RtlpPeek(Text) == '+') {
        Negative = RtlpPeek(Text) == '-';
        RtlpAdvance(Text);
    }
    Base = RtlpReadBase(Text, Base);
    for (;; RtlpAdvance(Text)) {
        int Unit = RtlpLowerAscii((int)RtlpPeek(Text));
        ULONG Digit = Unit >= 'a' && Unit <= 'f' ? (ULONG)Unit - 'a' + 10 : (ULONG)Unit - '0';
        if (Digit >= Base)
            break;
        Result = Result * Base + Digit;
    }
    *Value = Negative ? 0 - Result : Result;
    return STATUS_SUCCESS;
}

// Reads the number at the start of String into *Value: blanks, a sign and, with Base 0, a prefix
// (0x, 0o, 0b) may precede it; 0 where there is none, the low 32 bits where it is too large.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_INVALID_PARAMETER (base not 0, 2, 8, 10 or 16). Source:
// Windows driver documentation.
NTSTATUS NTAPI RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value)
{
    RTLP_NUMBER_TEXT Text = {NULL, String->Buffer, String->Length / sizeof(WCHAR)};
    return RtlpReadInteger(&Text, Base, Value);
}
EXPORT(RtlUnicodeStringToInteger, PASSIVE_LEVEL, ON_WDM);

// The same for terminated 8-bit text. IRQL: any when String is resident.
// Fails: STATUS_INVALID_PARAMETER (base). Source: Windows driver documentation.
NTSTATUS NTAPI RtlCharToInteger(PCSZ String, ULONG Base, PULONG Value)
{
    RTLP_NUMBER_TEXT Text = {String, NULL, strlen(String)};
    return RtlpReadInteger(&Text, Base, Value);
}
EXPORT(RtlCharToInteger, EXPORT_ANY_IRQL, ON_NTIFS);
