// SPDX-License-Identifier: MIT
// Boot modules: drivers and data the loader put into memory beside the kernel.
//
// A module's line is its file name and arguments for it ("/drivers/edu.sys verbose"). The range a
// loader gives is believed only after it was checked: the kernel reads modules without looking
// again.

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
