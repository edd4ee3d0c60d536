// SPDX-License-Identifier: MIT
// NT's printf: one engine behind the log, DbgPrint and the C runtime's printf routines.
//
// A conversion is %[flags][width][.precision][size]type. What differs from ISO C:
//
//   size    h hh l ll w I (pointer sized) I32 I64 z t j; L is accepted and means nothing
//   type    d i u o x X p   numbers; p is all digits of a pointer, capital, without 0x
//           c C s S         text; S and C have the other width than the format itself
//           Z               counted, by pointer: %Z an ANSI_STRING, %wZ and %lZ a UNICODE_STRING
//           n               takes its argument and stores nothing
//           a e f g A E F G the kernel has no floating point: the letter itself, eight bytes taken
//
// hs and ws name a width outright, ls is wide. A NULL string, or a counted one without buffer, is
// "(null)". An unknown type prints itself. Precision limits text in its own units (bytes or
// WCHARs) and text without terminator is fine when a precision ends it.
//
// The engine never allocates, keeps all state on the stack and runs at any IRQL: it walks the
// format once and hands pieces to a target (RTLP_FORMAT_TARGET) which knows the width of what it
// collects. What a driver passes as arguments is read as NT reads it, without a check: a bad
// pointer faults in here.
#include "rtl.h"
#include "rtlp.h"

#define WIDTH_LIMIT 0x7FFF  // no field or precision is longer

typedef enum _RTLP_SIZE {
    SizeInt,
    SizeChar,
    SizeShort,
    SizeLong,
    SizeWide,
    SizeLongLong
} RTLP_SIZE;

typedef struct _RTLP_FORMATTER {
    PRTLP_FORMAT_TARGET Target;
    const CHAR *Narrow;    // the format, at the next unit; one of the two
    const WCHAR *Wide;
    va_list Arguments;
    // the conversion at hand
    BOOLEAN Left, Plus, Blank, Alternate, Zero;
    BOOLEAN HasPrecision;
    SIZE_T Width, Precision;
    RTLP_SIZE Size;
} RTLP_FORMATTER, *PRTLP_FORMATTER;

static ULONG RtlpPeekUnit(const RTLP_FORMATTER *Formatter)
{
    return Formatter->Wide != NULL ? *Formatter->Wide : (UCHAR)*Formatter->Narrow;
}

static VOID RtlpSkipUnits(PRTLP_FORMATTER Formatter, SIZE_T Units)
{
    if (Formatter->Wide != NULL)
        Formatter->Wide += Units;
    else
        Formatter->Narrow += Units;
}

static BOOLEAN RtlpAcceptUnit(PRTLP_FORMATTER Formatter, CHAR Unit)
{
    if (RtlpPeekUnit(Formatter) != (ULONG)Unit)
        return FALSE;
    RtlpSkipUnits(Formatter, 1);
    return TRUE;
}

// ---- output -----------------------------------------------------------------------------------

static VOID RtlpPutFill(PRTLP_FORMATTER Formatter, CHAR Fill, SIZE_T Count)
{
    static const CHAR Blanks[] = "                ", Zeros[] = "0000000000000000";
    const CHAR *Text = Fill == '0' ? Zeros : Blanks;

    while (Count != 0) {
        SIZE_T Piece = Count < sizeof(Zeros) - 1 ? Count : sizeof(Zeros) - 1;
        Formatter->Target->PutNarrow(Formatter->Target, Text, Piece);
        Count -= Piece;
    }
}

static VOID RtlpPutText(PRTLP_FORMATTER Formatter, const VOID *Text, SIZE_T Length, BOOLEAN Wide)
{
    SIZE_T Fill = Formatter->Width > Length ? Formatter->Width - Length : 0;
    PRTLP_FORMAT_TARGET Target = Formatter->Target;

    if (!Formatter->Left)
        RtlpPutFill(Formatter, Formatter->Zero ? '0' : ' ', Fill);
    if (Wide)
        Target->PutWide(Target, Text, Length);
    else
        Target->PutNarrow(Target, Text, Length);
    if (Formatter->Left)
        RtlpPutFill(Formatter, ' ', Fill);
}

// ---- numbers ----------------------------------------------------------------------------------

// Digits of Value, right aligned before End. Returns the first. 64-bit division is left to the few
// numbers that need it: on i386 it is a routine.
static CHAR *RtlpDigits(ULONG64 Value, ULONG Base, BOOLEAN Capital, CHAR *End)
{
    const CHAR *Digits = Capital ? "0123456789ABCDEF" : "0123456789abcdef";

    while (Value > 0xFFFFFFFF) {
        *--End = Digits[Value % Base];
        Value /= Base;
    }
    for (ULONG Rest = (ULONG)Value; Rest != 0; Rest /= Base)
        *--End = Digits[Rest % Base];
    return End;
}

// Prefix and digits with precision and padding: blanks, prefix, zeros, digits, blanks.
static VOID RtlpPutNumber(PRTLP_FORMATTER Formatter, const CHAR *Prefix, ULONG64 Value, ULONG Base,
                          BOOLEAN Capital)
{
    CHAR Buffer[24], *End = Buffer + sizeof(Buffer);
    CHAR *Digits = RtlpDigits(Value, Base, Capital, End);
    SIZE_T Length = (SIZE_T)(End - Digits), PrefixLength = strlen(Prefix);
    SIZE_T Minimum = Formatter->HasPrecision ? Formatter->Precision : 1;

    if (Base == 8 && Formatter->Alternate && Minimum <= Length)
        Minimum = Length + 1;
    if (Formatter->Zero && !Formatter->Left && !Formatter->HasPrecision &&
        Formatter->Width > PrefixLength + Minimum)
        Minimum = Formatter->Width - PrefixLength;
    SIZE_T Zeros = Minimum > Length ? Minimum - Length : 0;
    SIZE_T Total = PrefixLength + Zeros + Length;
    SIZE_T Fill = Formatter->Width > Total ? Formatter->Width - Total : 0;

    RtlpPutFill(Formatter, ' ', Formatter->Left ? 0 : Fill);
    Formatter->Target->PutNarrow(Formatter->Target, Prefix, PrefixLength);
    RtlpPutFill(Formatter, '0', Zeros);
    Formatter->Target->PutNarrow(Formatter->Target, Digits, Length);
    RtlpPutFill(Formatter, ' ', Formatter->Left ? Fill : 0);
}

static ULONG64 RtlpTakeUnsigned(PRTLP_FORMATTER Formatter)
{
    if (Formatter->Size == SizeLongLong)
        return va_arg(Formatter->Arguments, ULONG64);
    ULONG Value = va_arg(Formatter->Arguments, ULONG);
    if (Formatter->Size == SizeShort)
        return (USHORT)Value;
    return Formatter->Size == SizeChar ? (UCHAR)Value : Value;
}

static LONG64 RtlpTakeSigned(PRTLP_FORMATTER Formatter)
{
    if (Formatter->Size == SizeLongLong)
        return va_arg(Formatter->Arguments, LONG64);
    LONG Value = va_arg(Formatter->Arguments, LONG);
    if (Formatter->Size == SizeShort)
        return (SHORT)Value;
    return Formatter->Size == SizeChar ? (SCHAR)Value : Value;
}

static VOID RtlpFormatSigned(PRTLP_FORMATTER Formatter)
{
    LONG64 Value = RtlpTakeSigned(Formatter);
    const CHAR *Sign = Value < 0 ? "-" : Formatter->Plus ? "+" : Formatter->Blank ? " " : "";
    RtlpPutNumber(Formatter, Sign, Value < 0 ? 0 - (ULONG64)Value : (ULONG64)Value, 10, FALSE);
}

static VOID RtlpFormatHexadecimal(PRTLP_FORMATTER Formatter, BOOLEAN Capital)
{
    ULONG64 Value = RtlpTakeUnsigned(Formatter);
    const CHAR *Prefix = !Formatter->Alternate || Value == 0 ? "" : Capital ? "0X" : "0x";
    RtlpPutNumber(Formatter, Prefix, Value, 16, Capital);
}

static VOID RtlpFormatPointer(PRTLP_FORMATTER Formatter)
{
    ULONG_PTR Value = (ULONG_PTR)va_arg(Formatter->Arguments, PVOID);
    Formatter->HasPrecision = TRUE;
    Formatter->Precision = 2 * sizeof(PVOID);
    RtlpPutNumber(Formatter, Formatter->Alternate ? "0X" : "", Value, 16, TRUE);
}

// ---- text -------------------------------------------------------------------------------------

// Whether %s or %c (Other: %S or %C) means wide text here.
static BOOLEAN RtlpMeansWide(const RTLP_FORMATTER *Formatter, BOOLEAN Other)
{
    if (Formatter->Size == SizeShort)
        return FALSE;
    if (Formatter->Size == SizeWide || Formatter->Size == SizeLong)
        return TRUE;
    return (Formatter->Wide != NULL) != Other;
}

static VOID RtlpFormatCharacter(PRTLP_FORMATTER Formatter, BOOLEAN Other)
{
    BOOLEAN Wide = RtlpMeansWide(Formatter, Other);
    int Value = va_arg(Formatter->Arguments, int);
    WCHAR WideUnit = (WCHAR)Value;
    CHAR NarrowUnit = (CHAR)Value;

    RtlpPutText(Formatter, Wide ? (const VOID *)&WideUnit : &NarrowUnit, 1, Wide);
}

static SIZE_T RtlpTextLength(const VOID *Text, BOOLEAN Wide, SIZE_T Limit)
{
    SIZE_T Length = 0;

    if (Wide)
        while (Length < Limit && ((const WCHAR *)Text)[Length] != 0)
            Length++;
    else
        Length = strnlen(Text, Limit);
    return Length;
}

static VOID RtlpFormatString(PRTLP_FORMATTER Formatter, BOOLEAN Other)
{
    BOOLEAN Wide = RtlpMeansWide(Formatter, Other);
    const VOID *Text = va_arg(Formatter->Arguments, const VOID *);

    if (Text == NULL) {
        Text = "(null)";
        Wide = FALSE;
    }
    SIZE_T Limit = Formatter->HasPrecision ? Formatter->Precision : MAXSIZE_T;
    RtlpPutText(Formatter, Text, RtlpTextLength(Text, Wide, Limit), Wide);
}

// STRING and UNICODE_STRING have one layout; only the meaning of Length's bytes differs.
static VOID RtlpFormatCounted(PRTLP_FORMATTER Formatter)
{
    BOOLEAN Wide = Formatter->Size == SizeWide || Formatter->Size == SizeLong;
    const STRING *String = va_arg(Formatter->Arguments, const STRING *);
    const VOID *Text = String != NULL ? String->Buffer : NULL;
    SIZE_T Length = Text == NULL ? 6 : Wide ? String->Length / sizeof(WCHAR) : String->Length;

    if (Text == NULL)
        Wide = FALSE;
    if (Formatter->HasPrecision && Formatter->Precision < Length)
        Length = Formatter->Precision;
    RtlpPutText(Formatter, Text == NULL ? "(null)" : Text, Length, Wide);
}

// ---- the format -------------------------------------------------------------------------------

static VOID RtlpReadFlags(PRTLP_FORMATTER Formatter)
{
    for (;;) {
        if (RtlpAcceptUnit(Formatter, '-'))
            Formatter->Left = TRUE;
        else if (RtlpAcceptUnit(Formatter, '+'))
            Formatter->Plus = TRUE;
        else if (RtlpAcceptUnit(Formatter, ' '))
            Formatter->Blank = TRUE;
        else if (RtlpAcceptUnit(Formatter, '#'))
            Formatter->Alternate = TRUE;
        else if (RtlpAcceptUnit(Formatter, '0'))
            Formatter->Zero = TRUE;
        else
            return;
    }
}

// A number or, by *, an argument.
static int RtlpReadCount(PRTLP_FORMATTER Formatter)
{
    int Count = 0;

    if (RtlpAcceptUnit(Formatter, '*')) {
        Count = va_arg(Formatter->Arguments, int);
        return Count > WIDTH_LIMIT ? WIDTH_LIMIT : Count < -WIDTH_LIMIT ? -WIDTH_LIMIT : Count;
    }
    for (;;) {
        ULONG Digit = RtlpPeekUnit(Formatter) - '0';
        if (Digit > 9)
            return Count;
        Count = Count * 10 + (int)Digit;
        Count = Count > WIDTH_LIMIT ? WIDTH_LIMIT : Count;
        RtlpSkipUnits(Formatter, 1);
    }
}

static VOID RtlpReadWidth(PRTLP_FORMATTER Formatter)
{
    int Width = RtlpReadCount(Formatter);
    int Precision;

    if (Width < 0)
        Formatter->Left = TRUE;
    Formatter->Width = (SIZE_T)(Width < 0 ? -Width : Width);
    if (!RtlpAcceptUnit(Formatter, '.'))
        return;
    Precision = RtlpReadCount(Formatter);
    Formatter->HasPrecision = Precision >= 0;
    Formatter->Precision = (SIZE_T)(Precision < 0 ? 0 : Precision);
}

// After I: 32, 64 or nothing, which means the size of a pointer.
static RTLP_SIZE RtlpReadPointerSize(PRTLP_FORMATTER Formatter)
{
    RTLP_SIZE Size = sizeof(PVOID) == 8 ? SizeLongLong : SizeInt;
    const CHAR *Digits = RtlpPeekUnit(Formatter) == '6' ? "64" : "32";
    BOOLEAN Matches = Formatter->Wide != NULL
                          ? Formatter->Wide[0] == Digits[0] && Formatter->Wide[1] == Digits[1]
                          : Formatter->Narrow[0] == Digits[0] && Formatter->Narrow[1] == Digits[1];
    if (!Matches)
        return Size;
    RtlpSkipUnits(Formatter, 2);
    return Digits[0] == '6' ? SizeLongLong : SizeInt;
}

static VOID RtlpReadSize(PRTLP_FORMATTER Formatter)
{
    for (;;) {
        if (RtlpAcceptUnit(Formatter, 'h'))
            Formatter->Size = Formatter->Size == SizeShort ? SizeChar : SizeShort;
        else if (RtlpAcceptUnit(Formatter, 'l'))
            Formatter->Size = Formatter->Size == SizeLong ? SizeLongLong : SizeLong;
        else if (RtlpAcceptUnit(Formatter, 'w'))
            Formatter->Size = SizeWide;
        else if (RtlpAcceptUnit(Formatter, 'j'))
            Formatter->Size = SizeLongLong;
        else if (RtlpAcceptUnit(Formatter, 'I'))
            Formatter->Size = RtlpReadPointerSize(Formatter);
        else if (RtlpAcceptUnit(Formatter, 'z') || RtlpAcceptUnit(Formatter, 't'))
            Formatter->Size = sizeof(PVOID) == 8 ? SizeLongLong : SizeInt;
        else if (!RtlpAcceptUnit(Formatter, 'L'))
            return;
    }
}

// Takes the argument of a floating-point or %n conversion out of the way.
static VOID RtlpSkipArgument(PRTLP_FORMATTER Formatter, ULONG Type)
{
    CHAR Letter = (CHAR)Type;

    if (Type == 'n') {
        (void)va_arg(Formatter->Arguments, PVOID);
        return;
    }
    (void)va_arg(Formatter->Arguments, ULONG64);
    Formatter->Target->PutNarrow(Formatter->Target, &Letter, 1);
}

static VOID RtlpPutUnknown(PRTLP_FORMATTER Formatter, ULONG Type)
{
    WCHAR WideUnit = (WCHAR)Type;
    CHAR NarrowUnit = (CHAR)Type;

    if (Formatter->Wide != NULL)
        Formatter->Target->PutWide(Formatter->Target, &WideUnit, 1);
    else
        Formatter->Target->PutNarrow(Formatter->Target, &NarrowUnit, 1);
}

static VOID RtlpFormatType(PRTLP_FORMATTER Formatter, ULONG Type)
{
    switch (Type) {
    case 'd':
    case 'i':
        RtlpFormatSigned(Formatter);
        break;
    case 'u':
        RtlpPutNumber(Formatter, "", RtlpTakeUnsigned(Formatter), 10, FALSE);
        break;
    case 'o':
        RtlpPutNumber(Formatter, "", RtlpTakeUnsigned(Formatter), 8, FALSE);
        break;
    case 'x':
    case 'X':
        RtlpFormatHexadecimal(Formatter, Type == 'X');
        break;
    case 'p':
        RtlpFormatPointer(Formatter);
        break;
    case 'c':
    case 'C':
        RtlpFormatCharacter(Formatter, Type == 'C');
        break;
    case 's':
    case 'S':
        RtlpFormatString(Formatter, Type == 'S');
        break;
    case 'Z':
        RtlpFormatCounted(Formatter);
        break;
    case 'n':
    case 'a': case 'e': case 'f': case 'g':
    case 'A': case 'E': case 'F': case 'G':
        RtlpSkipArgument(Formatter, Type);
        break;
    default:
        RtlpPutUnknown(Formatter, Type);
    }
}

// Hands over the text before the next '%' or the end.
static VOID RtlpPutLiteral(PRTLP_FORMATTER Formatter)
{
    PRTLP_FORMAT_TARGET Target = Formatter->Target;
    const CHAR *Narrow = Formatter->Narrow;
    const WCHAR *Wide = Formatter->Wide;

    while (RtlpPeekUnit(Formatter) != 0 && RtlpPeekUnit(Formatter) != '%')
        RtlpSkipUnits(Formatter, 1);
    if (Wide != NULL)
        Target->PutWide(Target, Wide, (SIZE_T)(Formatter->Wide - Wide));
    else
        Target->PutNarrow(Target, Narrow, (SIZE_T)(Formatter->Narrow - Narrow));
}

static VOID RtlpConvert(PRTLP_FORMATTER Formatter)
{
    ULONG Type;

    Formatter->Left = Formatter->Plus = Formatter->Blank = FALSE;
    Formatter->Alternate = Formatter->Zero = Formatter->HasPrecision = FALSE;
    Formatter->Width = Formatter->Precision = 0;
    Formatter->Size = SizeInt;
    RtlpReadFlags(Formatter);
    RtlpReadWidth(Formatter);
    RtlpReadSize(Formatter);
    Type = RtlpPeekUnit(Formatter);
    if (Type == 0)
        return;
    RtlpSkipUnits(Formatter, 1);
    RtlpFormatType(Formatter, Type);
}

VOID RtlpFormat(PRTLP_FORMAT_TARGET Target, const VOID *Format, BOOLEAN WideFormat,
                va_list Arguments)
{
    RTLP_FORMATTER Formatter = {.Target = Target};

    Formatter.Wide = WideFormat ? Format : NULL;
    Formatter.Narrow = WideFormat ? NULL : Format;
    va_copy(Formatter.Arguments, Arguments);
    for (;;) {
        RtlpPutLiteral(&Formatter);
        if (!RtlpAcceptUnit(&Formatter, '%'))
            break;
        RtlpConvert(&Formatter);
    }
    va_end(Formatter.Arguments);
}

// ---- 8-bit targets ----------------------------------------------------------------------------

typedef struct _RTLP_SINK_TARGET {
    RTLP_FORMAT_TARGET Header;
    RTL_FORMAT_SINK *Sink;
    PVOID Context;
} RTLP_SINK_TARGET;

static VOID RtlpSinkNarrow(PRTLP_FORMAT_TARGET Target, const CHAR *Text, SIZE_T Length)
{
    RTLP_SINK_TARGET *This = CONTAINING_RECORD(Target, RTLP_SINK_TARGET, Header);

    Target->Count += Length;
    if (Length != 0)
        This->Sink(This->Context, Text, Length);
}

static VOID RtlpSinkWide(PRTLP_FORMAT_TARGET Target, const WCHAR *Text, SIZE_T Length)
{
    CHAR Buffer[64];
    SIZE_T Used = 0, Position = 0;

    while (Position < Length) {
        Used += RtlpWriteUtf8(RtlpReadUtf16(Text, Length, &Position), Buffer + Used);
        if (Used > sizeof(Buffer) - 4) {
            RtlpSinkNarrow(Target, Buffer, Used);
            Used = 0;
        }
    }
    RtlpSinkNarrow(Target, Buffer, Used);
}

int RtlFormatToSink(RTL_FORMAT_SINK *Sink, void *Context, const char *Format, va_list Arguments)
{
    RTLP_SINK_TARGET Target = {{RtlpSinkNarrow, RtlpSinkWide, 0}, Sink, Context};

    RtlpFormat(&Target.Header, Format, FALSE, Arguments);
    return Target.Header.Count > MAXLONG ? MAXLONG : (int)Target.Header.Count;
}

typedef struct _RTLP_BOUNDED {
    char *At, *Last;  // Last is kept for the NUL
} RTLP_BOUNDED;

static void RtlpPutBounded(void *Context, const char *Text, SIZE_T Length)
{
    RTLP_BOUNDED *Bounded = Context;
    SIZE_T Room = (SIZE_T)(Bounded->Last - Bounded->At);

    if (Length > Room)
        Length = Room;
    memcpy(Bounded->At, Text, Length);
    Bounded->At += Length;
}

int RtlFormatV(char *Buffer, SIZE_T Size, const char *Format, va_list Arguments)
{
    char None;
    RTLP_BOUNDED Bounded = {&None, &None};

    if (Size != 0) {
        Bounded.At = Buffer;
        Bounded.Last = Buffer + Size - 1;
    }
    int Length = RtlFormatToSink(RtlpPutBounded, &Bounded, Format, Arguments);
    *Bounded.At = 0;
    return Length;
}

int RtlFormat(char *Buffer, SIZE_T Size, const char *Format, ...)
{
    va_list Arguments;

    va_start(Arguments, Format);
    int Length = RtlFormatV(Buffer, Size, Format, Arguments);
    va_end(Arguments);
    return Length;
}
