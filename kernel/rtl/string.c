// SPDX-License-Identifier: MIT
// C's string routines for 8-bit text, under the names drivers import.
//
// Case and classes are ASCII's: the code page is UTF-8, where a byte above 0x7F is never a
// character of its own.
#include "export.h"
#include "rtl.h"
#include "rtlp.h"

#define ON_CRT "C standard library (ISO C), provided to drivers by ntoskrnl.exe"
#define ON_MSCRT "Microsoft C runtime reference, provided to drivers by ntoskrnl.exe"

size_t strlen(const char *String)
{
    const char *End = String;
    while (*End != 0)
        End++;
    return (size_t)(End - String);
}
EXPORT(strlen, EXPORT_ANY_IRQL, ON_CRT);

size_t strnlen(const char *String, size_t Maximum)
{
    size_t Length = 0;
    while (Length < Maximum && String[Length] != 0)
        Length++;
    return Length;
}
EXPORT(strnlen, EXPORT_ANY_IRQL, ON_MSCRT);

int strcmp(const char *First, const char *Second)
{
    return strncmp(First, Second, ~(size_t)0);
}
EXPORT(strcmp, EXPORT_ANY_IRQL, ON_CRT);

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

int _stricmp(const char *First, const char *Second)
{
    return _strnicmp(First, Second, ~(size_t)0);
}
EXPORT(_stricmp, EXPORT_ANY_IRQL, ON_MSCRT);
