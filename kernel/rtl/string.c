// SPDX-License-Identifier: MIT
// C's string routines for 8-bit text, under the names drivers import.
//
// Case and classes are ASCII's: the code page is UTF-8, where a byte above 0x7F is never a
// character of its own.
#include "rtl.h"
#include "rtlp.h"

// Bytes in front of String's terminator. IRQL: any. Source: ISO C.
size_t strlen(const char *String)
{
    const char *End = String;
    while (*End != 0)
        End++;
    return (size_t)(End - String);
}
EXPORT(strlen, EXPORT_ANY_IRQL, ON_CRT);

// The same, but looks at no more than Maximum bytes. IRQL: any. Source: Microsoft C runtime.
size_t strnlen(const char *String, size_t Maximum)
{
    size_t Length = 0;
    while (Length < Maximum && String[Length] != 0)
        Length++;
    return Length;
}
EXPORT(strnlen, EXPORT_ANY_IRQL, ON_MSCRT);

// Orders two strings as unsigned bytes: -1, 0 or 1. IRQL: any. Source: ISO C.
int strcmp(const char *First, const char *Second)
{
    return strncmp(First, Second, ~(size_t)0);
}
EXPORT(strcmp, EXPORT_ANY_IRQL, ON_CRT);

// The same for at most Length bytes of each. IRQL: any. Source: ISO C.
int strncmp(const char *First, const char *Second, size_t Length)
{
    for (; Length != 0; First++, Second++, Length--) {
        if (*First != *Second)
            return (UCHAR)*First < (UCHAR)*Second ? -1 : 1;
        if (*First == 0)
            break;
    }
    return 0;
}
EXPORT(strncmp, EXPORT_ANY_IRQL, ON_CRT);

// The first place of Character (0: the terminator) in String. Fails: NULL. IRQL: any. Source: ISO
// C.
char *strchr(const char *String, int Character)
{
    for (;; String++) {
        if (*String == (char)Character)
            return (char *)String;
        if (*String == 0)
            return NULL;
    }
}
EXPORT(strchr, EXPORT_ANY_IRQL, ON_CRT);

// The last place of Character (0: the terminator) in String. Fails: NULL. IRQL: any. Source: ISO C.
char *strrchr(const char *String, int Character)
{
    const char *Found = NULL;
    for (;; String++) {
        if (*String == (char)Character)
            Found = String;
        if (*String == 0)
            return (char *)Found;
    }
}
EXPORT(strrchr, EXPORT_ANY_IRQL, ON_CRT);

// The first place of Part in String. Fails: NULL. IRQL: any. Source: ISO C.
char *strstr(const char *String, const char *Part)
{
    size_t Length = strlen(Part);
    for (;; String++) {
        if (strncmp(String, Part, Length) == 0)
            return (char *)String;
        if (*String == 0)
            return NULL;
    }
}
EXPORT(strstr, EXPORT_ANY_IRQL, ON_CRT);

// Orders at most Length bytes of two strings, letters A to Z as a to z: -1, 0 or 1. IRQL: any.
// Source: Microsoft C runtime.
int _strnicmp(const char *First, const char *Second, size_t Length)
{
    for (; Length != 0; First++, Second++, Length--) {
        int A = RtlpLowerAscii((UCHAR)*First), B = RtlpLowerAscii((UCHAR)*Second);
        if (A != B)
            return A < B ? -1 : 1;
        if (A == 0)
            break;
    }
    return 0;
}
EXPORT(_strnicmp, EXPORT_ANY_IRQL, ON_MSCRT);

// The same for whole strings. IRQL: any. Source: Microsoft C runtime.
int _stricmp(const char *First, const char *Second)
{
    return _strnicmp(First, Second, ~(size_t)0);
}
EXPORT(_stricmp, EXPORT_ANY_IRQL, ON_MSCRT);

// ---- writing ----------------------------------------------------------------------------------

// Copies String with its terminator. Returns Destination. IRQL: any. Source: ISO C.
char *strcpy(char *Destination, const char *String)
{
    return memcpy(Destination, String, strlen(String) + 1);
}
EXPORT(strcpy, EXPORT_ANY_IRQL, ON_CRT);

// Copies at most Length bytes and fills the rest of Length with zeros; there is no terminator when
// String has Length bytes or more. Returns Destination. IRQL: any. Source: ISO C.
char *strncpy(char *Destination, const char *String, size_t Length)
{
    size_t Used = strnlen(String, Length);
    memcpy(Destination, String, Used);
    memset(Destination + Used, 0, Length - Used);
    return Destination;
}
EXPORT(strncpy, EXPORT_ANY_IRQL, ON_CRT);

// Appends String. Returns Destination. IRQL: any. Source: ISO C.
char *strcat(char *Destination, const char *String)
{
    strcpy(Destination + strlen(Destination), String);
    return Destination;
}
EXPORT(strcat, EXPORT_ANY_IRQL, ON_CRT);

// Appends at most Length bytes of String, and a terminator. Returns Destination. IRQL: any.
// Source: ISO C.
char *strncat(char *Destination, const char *String, size_t Length)
{
    char *End = Destination + strlen(Destination);
    size_t Used = strnlen(String, Length);
    memcpy(End, String, Used);
    End[Used] = 0;
    return Destination;
}
EXPORT(strncat, EXPORT_ANY_IRQL, ON_CRT);

// Makes every byte of String equal to Character. Returns String. IRQL: any.
// Source: Microsoft C runtime.
char *_strset(char *String, int Character)
{
    return memset(String, Character, strlen(String));
}
EXPORT(_strset, EXPORT_ANY_IRQL, ON_MSCRT);

// Reverses String in place. Returns String. IRQL: any. Source: Microsoft C runtime.
char *_strrev(char *String)
{
    size_t Low = 0, High = strlen(String);
    while (Low + 1 < High) {
        char Kept = String[Low];
        String[Low++] = String[--High];
        String[High] = Kept;
    }
    return String;
}
EXPORT(_strrev, EXPORT_ANY_IRQL, ON_MSCRT);

// Makes A to Z small, in place. Returns String. IRQL: any. Source: Microsoft C runtime.
char *_strlwr(char *String)
{
    for (char *At = String; *At != 0; At++)
        *At = (char)RtlpLowerAscii((UCHAR)*At);
    return String;
}
EXPORT(_strlwr, EXPORT_ANY_IRQL, ON_MSCRT);

// Makes a to z capital, in place. Returns String. IRQL: any. Source: Microsoft C runtime.
char *_strupr(char *String)
{
    for (char *At = String; *At != 0; At++)
        *At = (char)RtlpUpperAscii((UCHAR)*At);
    return String;
}
EXPORT(_strupr, EXPORT_ANY_IRQL, ON_MSCRT);

// ---- sets of characters -----------------------------------------------------------------------

static size_t RtlpSpan(const char *String, const char *Set, BOOLEAN Inside)
{
    size_t Length = 0;
    while (String[Length] != 0 && (strchr(Set, String[Length]) != NULL) == Inside)
        Length++;
    return Length;
}

// Bytes at the start of String that are all in Set. IRQL: any. Source: ISO C.
size_t strspn(const char *String, const char *Set)
{
    return RtlpSpan(String, Set, TRUE);
}
EXPORT(strspn, EXPORT_ANY_IRQL, ON_CRT);

// The first byte of String that is in Set. Fails: NULL. IRQL: any. Source: ISO C.
char *strpbrk(const char *String, const char *Set)
{
    const char *At = String + RtlpSpan(String, Set, FALSE);
    return *At != 0 ? (char *)At : NULL;
}
EXPORT(strpbrk, EXPORT_ANY_IRQL, ON_CRT);

// ---- single characters ------------------------------------------------------------------------

// Each tells whether Character belongs to a class of ASCII. IRQL: any. Source: ISO C.
int isdigit(int Character)
{
    return Character >= '0' && Character <= '9';
}
EXPORT(isdigit, EXPORT_ANY_IRQL, ON_CRT);

int islower(int Character)
{
    return Character >= 'a' && Character <= 'z';
}
EXPORT(islower, EXPORT_ANY_IRQL, ON_CRT);

int isupper(int Character)
{
    return Character >= 'A' && Character <= 'Z';
}
EXPORT(isupper, EXPORT_ANY_IRQL, ON_CRT);

int isspace(int Character)
{
    return Character == ' ' || (Character >= 9 && Character <= 13);
}
EXPORT(isspace, EXPORT_ANY_IRQL, ON_CRT);

int isprint(int Character)
{
    return Character >= ' ' && Character <= '~';
}
EXPORT(isprint, EXPORT_ANY_IRQL, ON_CRT);

int isxdigit(int Character)
{
    int Lower = RtlpLowerAscii(Character);
    return isdigit(Character) || (Lower >= 'a' && Lower <= 'f');
}
EXPORT(isxdigit, EXPORT_ANY_IRQL, ON_CRT);

// A capital letter's small one, or Character itself. IRQL: any. Source: ISO C.
int tolower(int Character)
{
    return RtlpLowerAscii(Character);
}
EXPORT(tolower, EXPORT_ANY_IRQL, ON_CRT);

// A small letter's capital, or Character itself. IRQL: any. Source: ISO C.
int toupper(int Character)
{
    return RtlpUpperAscii(Character);
}
EXPORT(toupper, EXPORT_ANY_IRQL, ON_CRT);

// ---- numbers ----------------------------------------------------------------------------------

static ULONG64 RtlpDecimal(const char *String)
{
    ULONG64 Value = 0;
    BOOLEAN Negative;

    while (isspace((UCHAR)*String))
        String++;
    Negative = *String == '-';
    if (*String == '-' || *String == '+')
        String++;
    for (; isdigit(*String); String++)
        Value = Value * 10 + (ULONG64)(*String - '0');
    return Negative ? 0 - Value : Value;
}

// Not in rtl.h: the host C library's atol has another type.
LONG atol(const char *String);

// The decimal number at the start of String, after blanks and a sign; 0 where there is none, the
// low bits where it is too large. IRQL: any. Source: ISO C.
int atoi(const char *String)
{
    return (int)RtlpDecimal(String);
}
EXPORT(atoi, EXPORT_ANY_IRQL, ON_CRT);

LONG atol(const char *String)
{
    return (LONG)RtlpDecimal(String);
}
EXPORT(atol, EXPORT_ANY_IRQL, ON_CRT);

// The same with 64 bits. IRQL: any. Source: Microsoft C runtime.
LONG64 _atoi64(const char *String)
{
    return (LONG64)RtlpDecimal(String);
}
EXPORT(_atoi64, EXPORT_ANY_IRQL, ON_MSCRT);
