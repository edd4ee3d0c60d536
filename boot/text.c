// SPDX-License-Identifier: MIT
// Strings for boot code: messages, the loader's strings, the command line.
//
// The kernel's own formatting lives above KERNEL_BASE and, on amd64, is 64-bit code: boot cannot
// call it. This is the little that messages before paging need: %s %u %x %llx %%, no widths.

#include "boot.h"

typedef struct _SINK {
    CHAR *Next, *Last;  // *Last is kept for the NUL
} SINK;

static void PutChar(SINK *Sink, CHAR Character)
{
    if (Sink->Next < Sink->Last)
        *Sink->Next++ = Character;
}

static void PutString(SINK *Sink, const CHAR *Text)
{
    while (*Text)
        PutChar(Sink, *Text++);
}

static void PutHex(SINK *Sink, ULONG64 Value)
{
    int Shift = 60;

    while (Shift > 0 && !(Value >> Shift))
        Shift -= 4;
    for (; Shift >= 0; Shift -= 4)
        PutChar(Sink, "0123456789abcdef"[(Value >> Shift) & 15]);
}

static void PutDecimal(SINK *Sink, ULONG Value)
{
    CHAR Digits[10];
    ULONG Count = 0;

    do {
        Digits[Count++] = (CHAR)('0' + Value % 10);
        Value /= 10;
    } while (Value);
    while (Count)
        PutChar(Sink, Digits[--Count]);
}

// Formats into Buffer, which is Size bytes long and always ends up NUL terminated. Returns the
// length.
ULONG BootFormatV(CHAR *Buffer, ULONG Size, const CHAR *Format, va_list Arguments)
{
    SINK Sink = { Buffer, Buffer + Size - 1 };

    for (; *Format; Format++) {
        if (*Format != '%')
            PutChar(&Sink, *Format);
        else if (*++Format == 's')
            PutString(&Sink, va_arg(Arguments, const CHAR *));
        else if (*Format == 'u')
            PutDecimal(&Sink, va_arg(Arguments, ULONG));
        else if (*Format == 'x')
            PutHex(&Sink, va_arg(Arguments, ULONG));
        else if (Format[0] == 'l' && Format[1] == 'l' && *(Format += 2) == 'x')
            PutHex(&Sink, va_arg(Arguments, ULONG64));
        else
            PutChar(&Sink, *Format);
    }
    *Sink.Next = 0;
    return (ULONG)(Sink.Next - Buffer);
}

ULONG BootFormat(CHAR *Buffer, ULONG Size, const CHAR *Format, ...)
{
    va_list Arguments;
    ULONG Length;

    va_start(Arguments, Format);
    Length = BootFormatV(Buffer, Size, Format, Arguments);
    va_end(Arguments);
    return Length;
}

// Makes the sentence a failing step returns. One at a time: the first failure is the last.
const CHAR *BootFailure(const CHAR *Format, ...)
{
    static CHAR Message[512];
    va_list Arguments;

    va_start(Arguments, Format);
    BootFormatV(Message, sizeof(Message), Format, Arguments);
    va_end(Arguments);
    return Message;
}

// Copies a NUL-terminated string of the loader's; what does not fit, or lies where no memory is, is
// cut off.
void BootReadString(ULONG64 Address, CHAR *Buffer, ULONG Size)
{
    ULONG Count = 0;
    const CHAR *Character;

    while (Count < Size - 1 && (Character = BootMap(Address + Count, 1)) && *Character)
        Buffer[Count++] = *Character;
    Buffer[Count] = 0;
}

static BOOLEAN IsBlank(CHAR Character)
{
    return Character == ' ' || Character == '\t' || Character == '\r' || Character == '\n';
}

CHAR BootUpper(CHAR Character)
{
    return Character >= 'a' && Character <= 'z' ? (CHAR)(Character - 32) : Character;
}

static BOOLEAN IsAlphanumeric(CHAR Character)
{
    Character = BootUpper(Character);
    return (Character >= 'A' && Character <= 'Z') || (Character >= '0' && Character <= '9');
}

// An option is a slash, then letters and digits up to '=', a blank, a quote or the end. GRUB quotes
// an option with blanks in it as a whole.
static BOOLEAN IsOption(const CHAR *Word)
{
    if (*Word == '"')
        Word++;
    if (*Word++ != '/')
        return FALSE;
    while (IsAlphanumeric(*Word))
        Word++;
    return *Word == 0 || *Word == '=' || *Word == '"' || IsBlank(*Word);
}

// Loaders differ in whether the line starts with the kernel's file name (QEMU: yes, GRUB 2: no). A
// path looks like an option only in its first character, so the first word itself tells.
void BootSetCommandLine(PLOADER_BLOCK Block, const CHAR *Line)
{
    ULONG Count = 0;

    while (IsBlank(*Line))
        Line++;
    if (!IsOption(Line)) {
        while (*Line && !IsBlank(*Line))
            Line++;
        while (IsBlank(*Line))
            Line++;
    }
    while (Line[Count] && Count < LOADER_COMMAND_LINE - 1) {
        Block->CommandLine[Count] = Line[Count];
        Count++;
    }
    Block->CommandLine[Count] = 0;
}

// The length of Name if Word begins with it in any case, else 0.
static ULONG MatchName(const CHAR *Word, const CHAR *Name)
{
    ULONG Count = 0;

    for (; Name[Count]; Count++)
        if (BootUpper(Word[Count]) != Name[Count])
            return 0;
    return Count;
}

static BOOLEAN ParseNumber(const CHAR *Text, ULONG *Value)
{
    ULONG Base = 10, Digit, Result = 0;
    const CHAR *Start;

    if (Text[0] == '0' && BootUpper(Text[1]) == 'X') {
        Base = 16;
        Text += 2;
    }
    for (Start = Text; IsAlphanumeric(*Text); Text++) {
        Digit = *Text <= '9' ? (ULONG)(*Text - '0') : (ULONG)(BootUpper(*Text) - 'A' + 10);
        if (Digit >= Base)
            return FALSE;
        Result = Result * Base + Digit;
    }
    *Value = Result;
    return Text > Start && (*Text == 0 || IsBlank(*Text));
}

// Finds an option such as "/EXITPORT=" (Name in capitals, with slash and '=') and reads its number,
// decimal or 0x. FALSE where it is absent or no number.
BOOLEAN BootOptionNumber(const CHAR *CommandLine, const CHAR *Name, ULONG *Value)
{
    const CHAR *Word = CommandLine;
    ULONG Length;

    while (*Word) {
        Length = MatchName(Word, Name);
        if (Length)
            return ParseNumber(Word + Length, Value);
        while (*Word && !IsBlank(*Word))
            Word++;
        while (IsBlank(*Word))
            Word++;
    }
    return FALSE;
}
