// SPDX-License-Identifier: MIT
// One character at a time between UTF-8 and UTF-16.
//
// Both readers accept any input and always advance: an ill-formed unit reads as U+FFFD, so a loop
// over them ends and what they return can always be written in the other form.
#include "rtl.h"
#include "rtlp.h"

#define REPLACEMENT 0xFFFDu

ULONG RtlpReadUtf16(const WCHAR *Text, SIZE_T Length, SIZE_T *Position)
{
    ULONG Unit = Text[(*Position)++];

    if (Unit < 0xD800 || Unit > 0xDFFF)
        return Unit;
    if (Unit > 0xDBFF || *Position == Length || (Text[*Position] & 0xFC00) != 0xDC00)
        return REPLACEMENT;
    return 0x10000 + ((Unit & 0x3FF) << 10) + (Text[(*Position)++] & 0x3FF);
}

// The shortest form of a character has this many bytes; a longer one is ill-formed.
static ULONG RtlpUtf8Length(ULONG Character)
{
    return Character < 0x80 ? 1 : Character < 0x800 ? 2 : Character < 0x10000 ? 3 : 4;
}

ULONG RtlpReadUtf8(const UCHAR *Text, SIZE_T Length, SIZE_T *Position)
{
    SIZE_T Start = (*Position)++;
    ULONG Lead = Text[Start];
    ULONG Bytes = Lead < 0xE0 ? 2 : Lead < 0xF0 ? 3 : 4;
    ULONG Character = Lead & (0x7F >> Bytes);

    if (Lead < 0x80)
        return Lead;
    if (Lead < 0xC2 || Lead > 0xF4 || Length - Start < Bytes)
        return REPLACEMENT;
    for (ULONG i = 1; i < Bytes; i++) {
        if ((Text[Start + i] & 0xC0) != 0x80)
            return REPLACEMENT;
        Character = Character << 6 | (Text[Start + i] & 0x3F);
    }
    if (RtlpUtf8Length(Character) != Bytes || Character > 0x10FFFF ||
        (Character & ~0x7FFu) == 0xD800)
        return REPLACEMENT;
    *Position = Start + Bytes;
    return Character;
}

ULONG RtlpWriteUtf8(ULONG Character, CHAR *Units)
{
    static const UCHAR LeadBits[] = {0, 0, 0xC0, 0xE0, 0xF0};
    ULONG Bytes = RtlpUtf8Length(Character);

    for (ULONG i = Bytes - 1; i != 0; i--) {
        Units[i] = (CHAR)(0x80 | (Character & 0x3F));
        Character >>= 6;
    }
    Units[0] = (CHAR)(LeadBits[Bytes] | Character);
    return Bytes;
}

ULONG RtlpWriteUtf16(ULONG Character, WCHAR *Units)
{
    if (Character < 0x10000) {
        Units[0] = (WCHAR)Character;
        return 1;
    }
    Units[0] = (WCHAR)(0xD800 + ((Character - 0x10000) >> 10));
    Units[1] = (WCHAR)(0xDC00 + (Character & 0x3FF));
    return 2;
}
