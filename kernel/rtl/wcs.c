// SPDX-License-Identifier: MIT
// C's string routines for UTF-16 text, under the names drivers import.
//
// Order is that of the 16-bit units. Routines that ignore case do so as NT's unicode strings do
// (RtlUpcaseUnicodeChar), which for ASCII is the C locale's answer.
#include "rtl.h"
#include "rtlp.h"

// WCHARs in front of String's terminator. IRQL: any. Source: ISO C.
size_t wcslen(const WCHAR *String)
{
    const WCHAR *End = String;
    while (*End != 0)
        End++;
    return (size_t)(End - String);
}
EXPORT(wcslen, EXPORT_ANY_IRQL, ON_CRT);

// The same, but looks at no more than Maximum WCHARs. IRQL: any. Source: Microsoft C runtime.
size_t wcsnlen(const WCHAR *String, size_t Maximum)
{
    size_t Length = 0;
    while (Length < Maximum && String[Length] != 0)
        Length++;
    return Length;
}
EXPORT(wcsnlen, EXPORT_ANY_IRQL, ON_MSCRT);

// Copies String with its terminator. Returns Destination. IRQL: any. Source: ISO C.
WCHAR *wcscpy(WCHAR *Destination, const WCHAR *String)
{
    return memcpy(Destination, String, (wcslen(String) + 1) * sizeof(WCHAR));
}
EXPORT(wcscpy, EXPORT_ANY_IRQL, ON_CRT);

// Copies at most Length WCHARs and fills the rest of Length with zeros; there is no terminator when
// String has Length WCHARs or more. Returns Destination. IRQL: any. Source: ISO C.
WCHAR *wcsncpy(WCHAR *Destination, const WCHAR *String, size_t Length)
{
    size_t Used = wcsnlen(String, Length);
    memcpy(Destination, String, Used * sizeof(WCHAR));
    memset(Destination + Used, 0, (Length - Used) * sizeof(WCHAR));
    return Destination;
}
EXPORT(wcsncpy, EXPORT_ANY_IRQL, ON_CRT);

// Appends String. Returns Destination. IRQL: any. Source: ISO C.
WCHAR *wcscat(WCHAR *Destination, const WCHAR *String)
{
    wcscpy(Destination + wcslen(Destination), String);
    return Destination;
}
EXPORT(wcscat, EXPORT_ANY_IRQL, ON_CRT);

// Appends at most Length WCHARs of String, and a terminator. Returns Destination. IRQL: any.
// Source: ISO C.
WCHAR *wcsncat(WCHAR *Destination, const WCHAR *String, size_t Length)
{
    WCHAR *End = Destination + wcslen(Destination);
    size_t Used = wcsnlen(String, Length);
    memcpy(End, String, Used * sizeof(WCHAR));
    End[Used] = 0;
    return Destination;
}
EXPORT(wcsncat, EXPORT_ANY_IRQL, ON_CRT);

// Orders at most Length WCHARs of two strings: -1, 0 or 1. IRQL: any. Source: ISO C.
int wcsncmp(const WCHAR *First, const WCHAR *Second, size_t Length)
{
    for (; Length != 0; First++, Second++, Length--) {
        if (*First != *Second)
            return *First < *Second ? -1 : 1;
        if (*First == 0)
            break;
    }
    return 0;
}
EXPORT(wcsncmp, EXPORT_ANY_IRQL, ON_CRT);

// The same for whole strings. IRQL: any. Source: ISO C.
int wcscmp(const WCHAR *First, const WCHAR *Second)
{
    return wcsncmp(First, Second, ~(size_t)0);
}
EXPORT(wcscmp, EXPORT_ANY_IRQL, ON_CRT);

// The same, small and capital letters alike. IRQL: any. Source: Microsoft C runtime.
int _wcsnicmp(const WCHAR *First, const WCHAR *Second, size_t Length)
{
    for (; Length != 0; First++, Second++, Length--) {
        WCHAR A = RtlDowncaseUnicodeChar(*First), B = RtlDowncaseUnicodeChar(*Second);
        if (A != B)
            return A < B ? -1 : 1;
        if (A == 0)
            break;
    }
    return 0;
}
EXPORT(_wcsnicmp, EXPORT_ANY_IRQL, ON_MSCRT);

int _wcsicmp(const WCHAR *First, const WCHAR *Second)
{
    return _wcsnicmp(First, Second, ~(size_t)0);
}
EXPORT(_wcsicmp, EXPORT_ANY_IRQL, ON_MSCRT);

// The first place of Character (0: the terminator) in String. Fails: NULL. IRQL: any. Source: ISO
// C.
WCHAR *wcschr(const WCHAR *String, WCHAR Character)
{
    for (;; String++) {
        if (*String == Character)
            return (WCHAR *)String;
        if (*String == 0)
            return NULL;
    }
}
EXPORT(wcschr, EXPORT_ANY_IRQL, ON_CRT);

// The last place of Character (0: the terminator) in String. Fails: NULL. IRQL: any. Source: ISO C.
WCHAR *wcsrchr(const WCHAR *String, WCHAR Character)
{
    const WCHAR *Found = NULL;
    for (;; String++) {
        if (*String == Character)
            Found = String;
        if (*String == 0)
            return (WCHAR *)Found;
    }
}
EXPORT(wcsrchr, EXPORT_ANY_IRQL, ON_CRT);

// The first place of Part in String. Fails: NULL. IRQL: any. Source: ISO C.
WCHAR *wcsstr(const WCHAR *String, const WCHAR *Part)
{
    size_t Length = wcslen(Part);
    for (;; String++) {
        if (wcsncmp(String, Part, Length) == 0)
            return (WCHAR *)String;
        if (*String == 0)
            return NULL;
    }
}
EXPORT(wcsstr, EXPORT_ANY_IRQL, ON_CRT);

// WCHARs at the start of String that are all in Set. IRQL: any. Source: ISO C.
size_t wcsspn(const WCHAR *String, const WCHAR *Set)
{
    size_t Length = 0;
    while (String[Length] != 0 && wcschr(Set, String[Length]) != NULL)
        Length++;
    return Length;
}
EXPORT(wcsspn, EXPORT_ANY_IRQL, ON_CRT);

// WCHARs at the start of String of which none is in Set. IRQL: any. Source: ISO C.
size_t wcscspn(const WCHAR *String, const WCHAR *Set)
{
    size_t Length = 0;
    while (String[Length] != 0 && wcschr(Set, String[Length]) == NULL)
        Length++;
    return Length;
}
EXPORT(wcscspn, EXPORT_ANY_IRQL, ON_CRT);

// Makes letters small, in place. Returns String. IRQL: any. Source: Microsoft C runtime.
WCHAR *_wcslwr(WCHAR *String)
{
    for (WCHAR *At = String; *At != 0; At++)
        *At = RtlDowncaseUnicodeChar(*At);
    return String;
}
EXPORT(_wcslwr, EXPORT_ANY_IRQL, ON_MSCRT);

// Makes letters capital, in place. Returns String. IRQL: any. Source: Microsoft C runtime.
WCHAR *_wcsupr(WCHAR *String)
{
    for (WCHAR *At = String; *At != 0; At++)
        *At = RtlUpcaseUnicodeChar(*At);
    return String;
}
EXPORT(_wcsupr, EXPORT_ANY_IRQL, ON_MSCRT);

// Makes every WCHAR of String equal to Character. Returns String. IRQL: any.
// Source: Microsoft C runtime.
WCHAR *_wcsset(WCHAR *String, WCHAR Character)
{
    for (WCHAR *At = String; *At != 0; At++)
        *At = Character;
    return String;
}
EXPORT(_wcsset, EXPORT_ANY_IRQL, ON_MSCRT);

// Reverses String in place. Returns String. IRQL: any. Source: Microsoft C runtime.
WCHAR *_wcsrev(WCHAR *String)
{
    size_t Low = 0, High = wcslen(String);
    while (Low + 1 < High) {
        WCHAR Kept = String[Low];
        String[Low++] = String[--High];
        String[High] = Kept;
    }
    return String;
}
EXPORT(_wcsrev, EXPORT_ANY_IRQL, ON_MSCRT);
