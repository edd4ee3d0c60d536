// SPDX-License-Identifier: MIT
// Drivers that do one of many things: which, says the name that the driver was loaded under. The
// last part of its registry path is that name without .sys: whoever runs such a driver copies it.
#pragma once

#include <ntddk.h>

// The driver's name as 8-bit text, cut to Size.
static inline VOID ReadOwnName(PUNICODE_STRING RegistryPath, char *Name, ULONG Size)
{
    ULONG Length = RegistryPath->Length / sizeof(WCHAR), Start = Length, i;
    while (Start != 0 && RegistryPath->Buffer[Start - 1] != '\\')
        Start--;
    for (i = 0; Start + i < Length && i + 1 < Size; i++)
        Name[i] = (char)RegistryPath->Buffer[Start + i];
    Name[i] = 0;
}

// Takes Word and the dash behind it off the start of *Text. FALSE: something else stands there.
static inline BOOLEAN TakeWord(const char **Text, const char *Word)
{
    const char *Rest = *Text;
    for (; *Word != 0; Word++, Rest++)
        if (*Rest != *Word)
            return FALSE;
    if (*Rest != '-' && *Rest != 0 && *Rest != '.')
        return FALSE;
    *Text = Rest + (*Rest == '-');
    return TRUE;
}

// The number that *Text starts with, and the dash behind it.
static inline ULONG TakeNumber(const char **Text)
{
    ULONG Number = 0;
    for (; **Text >= '0' && **Text <= '9'; ++*Text)
        Number = Number * 10 + (ULONG)(**Text - '0');
    *Text += **Text == '-';
    return Number;
}
