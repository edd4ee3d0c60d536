// SPDX-License-Identifier: MIT
// What a multiboot 1 loader (QEMU's -kernel, GRUB's multiboot) reports, put into the loader block.

#include "boot.h"
#include "multiboot.h"

static void ReadMap(const MULTIBOOT1_INFO *Info, PBOOT_MAP Map)
{
    const MULTIBOOT1_MAP_ENTRY *Entry;
    ULONG64 Address = Info->Map, End = Address + Info->MapLength;

    while (Address + sizeof(*Entry) <= End && (Entry = BootMap(Address, sizeof(*Entry)))) {
        if (Entry->Size < sizeof(*Entry) - sizeof(Entry->Size))
            break;
        BootAddFirmwareMemory(Map, Entry->Base, Entry->Length, Entry->Type);
        Address += (ULONG64)Entry->Size + sizeof(Entry->Size);
    }
}

static void ReadMemory(const MULTIBOOT1_INFO *Info, PBOOT_MAP Map)
{
    if (Info->Flags & MULTIBOOT1_MAP) {
        ReadMap(Info, Map);
    } else if (Info->Flags & MULTIBOOT1_MEMORY) {
        BootAddMemory(Map, 0, (ULONG64)Info->LowerKilobytes << 10, LoaderMemoryFree);
        BootAddMemory(Map, 0x100000, (ULONG64)Info->UpperKilobytes << 10, LoaderMemoryFree);
    }
}

static const CHAR *ReadModules(const MULTIBOOT1_INFO *Info, PLOADER_BLOCK Block)
{
    static CHAR Line[sizeof(LOADER_MODULE)];
    const MULTIBOOT1_MODULE *Module;
    const CHAR *Failure = NULL;
    ULONG64 Address = Info->Modules;

    for (ULONG i = 0; i < Info->ModuleCount && !Failure; i++, Address += sizeof(*Module)) {
        Module = BootMap(Address, sizeof(*Module));
        if (!Module)
            return BootFailure("The boot loader's list of modules is damaged.");
        BootReadString(Module->Line, Line, sizeof(Line));
        Failure = BootAddModule(Block, Module->Start, Module->End, Line);
    }
    return Failure;
}

static void ReadDisplay(ULONG Info, const MULTIBOOT1_INFO *Head, PLOADER_BLOCK Block)
{
    const MULTIBOOT_FRAMEBUFFER *Framebuffer;

    Framebuffer = BootMap((ULONG64)Info + sizeof(*Head), sizeof(*Framebuffer));
    if ((Head->Flags & MULTIBOOT1_FRAMEBUFFER) && Framebuffer)
        BootSetFramebuffer(Block, Framebuffer, sizeof(*Framebuffer));
    else
        BootSetDefaultDisplay(Block);
}

static void ReadStrings(const MULTIBOOT1_INFO *Info, PLOADER_BLOCK Block)
{
    static CHAR Line[2 * LOADER_COMMAND_LINE];  // room for the file name in front

    if (Info->Flags & MULTIBOOT1_COMMAND_LINE) {
        BootReadString(Info->CommandLine, Line, sizeof(Line));
        BootSetCommandLine(Block, Line);
    }
    if (Info->Flags & MULTIBOOT1_LOADER_NAME)
        BootReadString(Info->LoaderName, Block->LoaderName, sizeof(Block->LoaderName));
}

// Reads the structure at physical address Info into Block (zeroed before) and Map.
// Fails: the structure or a module makes no sense. Display and options are read first, so that they
// are there to report any failure.
const CHAR *BootParseMultiboot1(ULONG Info, PLOADER_BLOCK Block, PBOOT_MAP Map)
{
    const MULTIBOOT1_INFO *Head = BootMap(Info, sizeof(*Head));

    if (Info == 0 || !Head) {
        BootSetDefaultDisplay(Block);
        return BootFailure("The boot loader passed no information (its address is 0x%x).", Info);
    }
    ReadDisplay(Info, Head, Block);
    ReadStrings(Head, Block);
    ReadMemory(Head, Map);
    return Head->Flags & MULTIBOOT1_MODULES ? ReadModules(Head, Block) : NULL;
}
