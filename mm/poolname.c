// SPDX-License-Identifier: MIT
// What tags stand for: the lines of a pooltag.txt that came as a boot module.
//
// A line is "Tag - binary - description"; the tag may have ? and *; lines that begin with rem or //
// are comments (TT-96). The text stays as it is and is searched from its start for each question:
// they are asked by people. An exact tag is preferred to a pattern.
//
// Observability: !poolused, !pool; tests/host/test_pool_names.c.
#include "poolp.h"

static const char *ExpNames, *ExpNamesEnd;

VOID ExSetPoolTagFile(const char *Text, SIZE_T Length)
{
    ExpNames = Text;
    ExpNamesEnd = Text + Length;
}

BOOLEAN ExpHasTagNames(VOID)
{
    return ExpNames != NULL;
}

typedef struct _TAG_LINE {
    const char *Tag, *Words;  // Words: "binary - description"
    SIZE_T TagLength, WordsLength;
} TAG_LINE;

static BOOLEAN ExpIsBlank(char Letter)
{
    return Letter == ' ' || Letter == '\t' || Letter == '\r';
}

static SIZE_T ExpTrimEnd(const char *Text, SIZE_T Length)
{
    while (Length != 0 && ExpIsBlank(Text[Length - 1]))
        Length--;
    return Length;
}

static BOOLEAN ExpIsComment(const char *Text, SIZE_T Length)
{
    if (Length < 4)
        return TRUE;
    return strncmp(Text, "//", 2) == 0
        || (strncmp(Text + 1, "em", 2) == 0 && (*Text | 0x20) == 'r' && ExpIsBlank(Text[3]));
}

// The parts of one line. FALSE: it has none.
static BOOLEAN ExpReadTagLine(const char *Text, SIZE_T Length, TAG_LINE *Line)
{
    while (Length != 0 && ExpIsBlank(*Text))
        Text++, Length--;
    if (ExpIsComment(Text, Length))
        return FALSE;
    SIZE_T Dash = 1;
    while (Dash + 1 < Length && !(Text[Dash] == '-' && ExpIsBlank(Text[Dash - 1])))
        Dash++;
    if (Dash + 1 >= Length)
        return FALSE;
    Line->Tag = Text;
    Line->TagLength = ExpTrimEnd(Text, Dash);
    for (Dash++; Dash < Length && ExpIsBlank(Text[Dash]);)
        Dash++;
    Line->Words = Text + Dash;
    Line->WordsLength = ExpTrimEnd(Line->Words, Length - Dash);
    return Line->TagLength != 0 && Line->TagLength <= sizeof(ULONG);
}

static BOOLEAN ExpIsPattern(const TAG_LINE *Line)
{
    for (SIZE_T Index = 0; Index < Line->TagLength; Index++)
        if (Line->Tag[Index] == '*' || Line->Tag[Index] == '?')
            return TRUE;
    return FALSE;
}

static BOOLEAN ExpNamesTag(const TAG_LINE *Line, ULONG Tag)
{
    char Pattern[sizeof(ULONG) + 1] = {0};
    memcpy(Pattern, Line->Tag, Line->TagLength);
    return ExpIsTagLike(Tag, Pattern);
}

BOOLEAN ExpDescribeTag(ULONG Tag, char *Buffer, SIZE_T Size)
{
    BOOLEAN Found = FALSE;
    TAG_LINE Line;
    for (const char *Text = ExpNames, *End; Text != NULL && Text < ExpNamesEnd; Text = End + 1) {
        for (End = Text; End < ExpNamesEnd && *End != '\n';)
            End++;
        if (!ExpReadTagLine(Text, (SIZE_T)(End - Text), &Line) || !ExpNamesTag(&Line, Tag))
            continue;
        BOOLEAN Exact = !ExpIsPattern(&Line);
        if (Exact || !Found)
            RtlFormat(Buffer, Size, "%.*s", (int)Line.WordsLength, Line.Words);
        Found = TRUE;
        if (Exact)
            break;
    }
    if (!Found)
        RtlFormat(Buffer, Size, "UNKNOWN pooltag '%s', please update pooltag.txt",
                  ExpTagText(Tag).Text);
    return Found;
}
