// SPDX-License-Identifier: MIT
// The C runtime's printf routines as drivers import them, over the kernel's own formatting
// (format.c).
//
// They are Microsoft's, not ISO C's: the bounded ones write no terminator when the text fills or
// overflows the buffer, and return -1 when it overflows. Wide forms count WCHARs.
#include "rtl.h"
#include "rtlp.h"

// Collects text in a buffer of either width, up to Room units, and counts what did not fit.
typedef struct _RTLP_BUFFER_TARGET {
    RTLP_FORMAT_TARGET Header;
    CHAR *Narrow;
    WCHAR *Wide;
    SIZE_T Room;
} RTLP_BUFFER_TARGET;

static VOID RtlpPutByte(RTLP_BUFFER_TARGET *This, CHAR Unit)
{
    if (This->Header.Count < This->Room)
        This->Narrow[This->Header.Count] = Unit;
    This->Header.Count++;
}

static VOID RtlpPutWord(RTLP_BUFFER_TARGET *This, WCHAR Unit)
{
    if (This->Header.Count < This->Room)
        This->Wide[This->Header.Count] = Unit;
    This->Header.Count++;
}

static VOID RtlpNarrowFromNarrow(PRTLP_FORMAT_TARGET Target, const CHAR *Text, SIZE_T Length)
{
    RTLP_BUFFER_TARGET *This = CONTAINING_RECORD(Target, RTLP_BUFFER_TARGET, Header);
    for (SIZE_T i = 0; i < Length; i++)
        RtlpPutByte(This, Text[i]);
}

static VOID RtlpNarrowFromWide(PRTLP_FORMAT_TARGET Target, const WCHAR *Text, SIZE_T Length)
{
    CHAR Units[4];
    for (SIZE_T Position = 0; Position < Length;)
        RtlpNarrowFromNarrow(Target, Units,
                             RtlpWriteUtf8(RtlpReadUtf16(Text, Length, &Position), Units));
}

static VOID RtlpWideFromWide(PRTLP_FORMAT_TARGET Target, const WCHAR *Text, SIZE_T Length)
{
    RTLP_BUFFER_TARGET *This = CONTAINING_RECORD(Target, RTLP_BUFFER_TARGET, Header);
    for (SIZE_T i = 0; i < Length; i++)
        RtlpPutWord(This, Text[i]);
}

static VOID RtlpWideFromNarrow(PRTLP_FORMAT_TARGET Target, const CHAR *Text, SIZE_T Length)
{
    const UCHAR *Bytes = (const UCHAR *)Text;
    WCHAR Units[2];
    for (SIZE_T Position = 0; Position < Length;)
        RtlpWideFromWide(Target, Units,
                         RtlpWriteUtf16(RtlpReadUtf8(Bytes, Length, &Position), Units));
}

// Microsoft's rule: -1 when the text overflows, a terminator only when there is room left for one.
static int RtlpFinish(RTLP_BUFFER_TARGET *This)
{
    SIZE_T Count = This->Header.Count;

    if (Count < This->Room && This->Narrow != NULL)
        This->Narrow[Count] = 0;
    if (Count < This->Room && This->Wide != NULL)
        This->Wide[Count] = 0;
    return Count > This->Room ? -1 : (int)Count;
}

// Formats into at most Count bytes. Returns the bytes written without terminator, -1 when the
// text is longer. IRQL: any when all is resident. Source: Microsoft C runtime.
int _vsnprintf(char *Buffer, size_t Count, const char *Format, va_list Arguments)
{
    RTLP_BUFFER_TARGET Target = {{RtlpNarrowFromNarrow, RtlpNarrowFromWide, 0},
                                 Buffer, NULL, Count};

    RtlpFormat(&Target.Header, Format, FALSE, Arguments);
    return RtlpFinish(&Target);
}
EXPORT(_vsnprintf, EXPORT_ANY_IRQL, ON_MSCRT);

int _snprintf(char *Buffer, size_t Count, const char *Format, ...)
{
    va_list Arguments;

    va_start(Arguments, Format);
    int Length = _vsnprintf(Buffer, Count, Format, Arguments);
    va_end(Arguments);
    return Length;
}
EXPORT(_snprintf, EXPORT_ANY_IRQL, ON_MSCRT);

// The same without a bound. IRQL: any when all is resident. Source: ISO C.
int vsprintf(char *Buffer, const char *Format, va_list Arguments)
{
    return _vsnprintf(Buffer, MAXLONG, Format, Arguments);
}
EXPORT(vsprintf, EXPORT_ANY_IRQL, ON_CRT);

int sprintf(char *Buffer, const char *Format, ...)
{
    va_list Arguments;

    va_start(Arguments, Format);
    int Length = vsprintf(Buffer, Format, Arguments);
    va_end(Arguments);
    return Length;
}
EXPORT(sprintf, EXPORT_ANY_IRQL, ON_CRT);

// Formats into at most Count WCHARs; in the wide Format %s means wide text. Returns the WCHARs
// written without terminator, -1 when the text is longer. IRQL: any when all is resident. Source:
// Microsoft C runtime.
int _vsnwprintf(WCHAR *Buffer, size_t Count, const WCHAR *Format, va_list Arguments)
{
    RTLP_BUFFER_TARGET Target = {{RtlpWideFromNarrow, RtlpWideFromWide, 0},
                                 NULL, Buffer, Count};

    RtlpFormat(&Target.Header, Format, TRUE, Arguments);
    return RtlpFinish(&Target);
}
EXPORT(_vsnwprintf, EXPORT_ANY_IRQL, ON_MSCRT);

int _snwprintf(WCHAR *Buffer, size_t Count, const WCHAR *Format, ...)
{
    va_list Arguments;

    va_start(Arguments, Format);
    int Length = _vsnwprintf(Buffer, Count, Format, Arguments);
    va_end(Arguments);
    return Length;
}
EXPORT(_snwprintf, EXPORT_ANY_IRQL, ON_MSCRT);

// The same without a bound (NT's kernel has the form without a count). IRQL: any when all is
// resident. Source: Microsoft C runtime.
int swprintf(WCHAR *Buffer, const WCHAR *Format, ...)
{
    va_list Arguments;

    va_start(Arguments, Format);
    int Length = _vsnwprintf(Buffer, MAXLONG, Format, Arguments);
    va_end(Arguments);
    return Length;
}
EXPORT(swprintf, EXPORT_ANY_IRQL, ON_MSCRT);
