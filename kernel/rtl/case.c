// SPDX-License-Identifier: MIT
// Small and capital letters of UTF-16 text.
//
// Only characters that are each other's counterpart are mapped (see casetable.py), one unit to
// one unit, so the length of a text never changes and comparison without case is an equivalence.
#include "rtl.h"
#include "casetable.h"
#include "rtlp.h"

static WCHAR RtlpMapCase(const RTLP_CASE_RUN *Runs, ULONG Count, WCHAR Character)
{
    ULONG Low = 0, High = Count;

    while (Low < High) {
        ULONG Middle = (Low + High) / 2;
        const RTLP_CASE_RUN *Run = &Runs[Middle];
        if (Character < Run->First)
            High = Middle;
        else if (Character > Run->Last)
            Low = Middle + 1;
        else
            return (Character - Run->First) % Run->Step == 0 ? (WCHAR)(Character + Run->Distance)
                                                             : Character;
    }
    return Character;
}

// The capital form of Character, or Character itself. IRQL: any.
// Source: Windows driver documentation.
WCHAR NTAPI RtlUpcaseUnicodeChar(WCHAR Character)
{
    if (Character < 0x80)
        return (WCHAR)RtlpUpperAscii(Character);
    return RtlpMapCase(RtlpToCapital, RTL_NUMBER_OF(RtlpToCapital), Character);
}
EXPORT(RtlUpcaseUnicodeChar, EXPORT_ANY_IRQL, ON_NTIFS);

// The small form of Character, or Character itself. IRQL: any.
// Source: Windows driver documentation.
WCHAR NTAPI RtlDowncaseUnicodeChar(WCHAR Character)
{
    if (Character < 0x80)
        return (WCHAR)RtlpLowerAscii(Character);
    return RtlpMapCase(RtlpToSmall, RTL_NUMBER_OF(RtlpToSmall), Character);
}
EXPORT(RtlDowncaseUnicodeChar, EXPORT_ANY_IRQL, ON_NTIFS);

// The capital form of an 8-bit character, which is ASCII's here. IRQL: any.
// Source: Windows driver documentation.
CHAR NTAPI RtlUpperChar(CHAR Character)
{
    return (CHAR)RtlpUpperAscii((UCHAR)Character);
}
EXPORT(RtlUpperChar, EXPORT_ANY_IRQL, ON_NTIFS);
