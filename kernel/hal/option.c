// SPDX-License-Identifier: MIT
// option.c: the few boot options that hal needs before anything else exists.
#include "halp.h"

static BOOLEAN INIT_CODE HalpOptionEnds(char Character)
{
    return Character == '\0' || Character == ' ' || Character == '\t' || Character == '=';
}

// The text behind "/NAME" on the command line, or NULL.
static const char *INIT_CODE HalpFindOption(const char *Line, const char *Name)
{
    SIZE_T Length = strlen(Name);
    for (const char *At = strchr(Line, '/'); At != NULL; At = strchr(At + 1, '/')) {
        BOOLEAN Begins = At == Line || At[-1] == ' ' || At[-1] == '\t';
        if (Begins && _strnicmp(At + 1, Name, Length) == 0 && HalpOptionEnds(At[1 + Length]))
            return At + 1 + Length;
    }
    return NULL;
}

BOOLEAN INIT_CODE HalpQueryOption(const LOADER_BLOCK *Block, const char *Name, char *Value,
                                  SIZE_T Size)
{
    const char *Text = HalpFindOption(Block->CommandLine, Name);
    if (Text == NULL)
        return FALSE;
    if (Value == NULL)
        return TRUE;
    if (*Text == '=')
        Text++;
    SIZE_T Length = 0;
    while (!HalpOptionEnds(Text[Length]) && Length + 1 < Size) {
        Value[Length] = Text[Length];
        Length++;
    }
    Value[Length] = '\0';
    return TRUE;
}

static int INIT_CODE HalpDigit(char Character)
{
    if (Character >= '0' && Character <= '9')
        return Character - '0';
    Character |= 0x20;
    return Character >= 'a' && Character <= 'f' ? Character - 'a' + 10 : 16;
}

ULONG INIT_CODE HalpParseNumber(const char *Text)
{
    ULONG Base = 10, Value = 0;
    if (Text[0] == '0' && (Text[1] | 0x20) == 'x') {
        Base = 16;
        Text += 2;
    }
    for (; *Text != '\0' && (ULONG)HalpDigit(*Text) < Base; Text++)
        Value = Value * Base + (ULONG)HalpDigit(*Text);
    return Value;
}
