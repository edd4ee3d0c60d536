// SPDX-License-Identifier: MIT
// Boot modules: drivers and data the loader put into memory beside the kernel.
//
// A module's line is its file name and arguments for it ("/drivers/edu.sys verbose"). The range a
// loader gives is believed only after it was checked: the kernel reads modules without looking
// again.
//
// A module named options.txt is no module but text: what somebody wrote into a file on the stick
// instead of a boot loader's configuration. Its words go in front of the command line, where they
// win over the same options behind them, and the module is forgotten.

#include "boot.h"

static BOOLEAN IsBlank(CHAR Character)
{
    return Character == ' ' || Character == '\t';
}

// Copies the last component of the first word; returns what follows the word.
static const CHAR *SplitName(const CHAR *Line, CHAR *Name)
{
    ULONG Count = 0;

    while (IsBlank(*Line))
        Line++;
    for (; *Line && !IsBlank(*Line); Line++) {
        if (*Line == '/' || *Line == '\\')
            Count = 0;
        else if (Count < LOADER_NAME - 1)
            Name[Count++] = *Line;
    }
    Name[Count] = 0;
    while (IsBlank(*Line))
        Line++;
    return Line;
}

// GRUB passes an empty line where its configuration repeats no name after the file.
static void SetModuleLine(PLOADER_MODULE Module, const CHAR *Line, ULONG Number)
{
    ULONG Count = 0;

    Line = SplitName(Line, Module->Name);
    if (Module->Name[0] == 0)
        BootFormat(Module->Name, sizeof(Module->Name), "module%u", Number);
    for (; Line[Count] && Count < sizeof(Module->Arguments) - 1; Count++)
        Module->Arguments[Count] = Line[Count];
    Module->Arguments[Count] = 0;
}

// Adds the module at [Start, End); Line is NUL terminated. Fails where Start or End make no sense.
const CHAR *BootAddModule(PLOADER_BLOCK Block, ULONG64 Start, ULONG64 End, const CHAR *Line)
{
    LOADER_MODULE *Module = &Block->Module[Block->ModuleCount];

    if (Block->ModuleCount == LOADER_MAX_MODULES)
        return BootFailure("There are more than %u boot modules.", LOADER_MAX_MODULES);
    SetModuleLine(Module, Line, ++Block->ModuleCount);
    if (Start & (BOOT_PAGE - 1))
        return BootFailure("Module %u (%s) does not begin on a page, but at 0x%llx.",
                           Block->ModuleCount, Module->Name, Start);
    if (End < Start)
        return BootFailure("Module %u (%s) begins at 0x%llx but ends at 0x%llx.",
                           Block->ModuleCount, Module->Name, Start, End);
    Module->Base = Start;
    Module->Length = End - Start;
    return NULL;
}

static BOOLEAN Overlap(const LOADER_MODULE *Module, ULONG64 Base, ULONG64 End)
{
    return Module->Base < End && Base < Module->Base + Module->Length;
}

// Fails where modules lie on each other or on the kernel.
const CHAR *BootCheckModules(const LOADER_BLOCK *Block)
{
    const LOADER_MODULE *Module = Block->Module;

    for (ULONG i = 0; i < Block->ModuleCount; i++) {
        if (Overlap(&Module[i], Block->KernelBase, Block->KernelEnd))
            return BootFailure("Module %u (%s) was loaded over the kernel.", i + 1, Module[i].Name);
        for (ULONG j = 0; j < i; j++)
            if (Overlap(&Module[i], Module[j].Base, Module[j].Base + Module[j].Length))
                return BootFailure("Modules %u (%s) and %u (%s) were loaded over each other.",
                                   j + 1, Module[j].Name, i + 1, Module[i].Name);
    }
    return NULL;
}

static BOOLEAN IsOptionsFile(const LOADER_MODULE *Module)
{
    static const CHAR Name[] = "options.txt";
    ULONG i = 0;

    while (i < sizeof(Name) && BootUpper(Module->Name[i]) == BootUpper(Name[i]))
        i++;
    return i == sizeof(Name);
}

static BOOLEAN IsGraphic(CHAR Character)
{
    return Character > ' ' && Character < 0x7F;
}

// Appends the text's words to Line, one blank behind each. A line that starts with # is a comment.
// What editors leave besides (line ends of any kind, a byte order mark) counts as blanks.
static ULONG AppendWords(CHAR *Line, ULONG Count, const CHAR *Text, ULONG Length)
{
    BOOLEAN Comment = FALSE, LineStart = TRUE;

    for (ULONG i = 0; i < Length && Count < LOADER_COMMAND_LINE - 2; i++) {
        if (Text[i] == '\n' || Text[i] == '\r') {
            Comment = FALSE;
            LineStart = TRUE;
        } else if (LineStart && IsGraphic(Text[i])) {
            Comment = Text[i] == '#';
            LineStart = FALSE;
        }
        if (IsGraphic(Text[i]) && !Comment)
            Line[Count++] = Text[i];
        else if (Count && Line[Count - 1] != ' ')
            Line[Count++] = ' ';
    }
    if (Count && Line[Count - 1] != ' ')
        Line[Count++] = ' ';
    return Count;
}

static void ForgetModule(PLOADER_BLOCK Block, ULONG Index)
{
    Block->ModuleCount--;
    for (ULONG i = Index; i < Block->ModuleCount; i++)
        Block->Module[i] = Block->Module[i + 1];
}

static void PutInFront(CHAR *CommandLine, CHAR *Words, ULONG Count)
{
    for (ULONG i = 0; CommandLine[i] && Count < LOADER_COMMAND_LINE - 1; i++)
        Words[Count++] = CommandLine[i];
    Words[Count] = 0;
    for (ULONG i = 0; i <= Count; i++)
        CommandLine[i] = Words[i];
}

// Puts the text of every module named options.txt in front of the command line.
void BootTakeOptions(PLOADER_BLOCK Block)
{
    static CHAR Words[LOADER_COMMAND_LINE];
    const LOADER_MODULE *Module;
    const CHAR *Text;
    ULONG Count = 0, i = 0;

    while (i < Block->ModuleCount) {
        Module = &Block->Module[i];
        if (!IsOptionsFile(Module)) {
            i++;
            continue;
        }
        Text = BootMap(Module->Base, (ULONG)Module->Length);
        if (Text)
            Count = AppendWords(Words, Count, Text, (ULONG)Module->Length);
        ForgetModule(Block, i);
    }
    PutInFront(Block->CommandLine, Words, Count);
}
