// SPDX-License-Identifier: MIT
// What a multiboot 2 loader (GRUB) reports, put into the loader block.
//
// The report is a row of tags, each of a type and a size. Display, options and firmware are read in
// a first walk, the memory map and modules in a second, so that its failures can be shown.

#include "boot.h"
#include "multiboot.h"

typedef struct _REPORT {
    const UCHAR *Bytes;
    ULONG Size;
    PLOADER_BLOCK Block;
    PBOOT_MAP Map;
} REPORT;

// The tag at Offset, NULL at the end of the report or where it is damaged.
static const MULTIBOOT2_TAG *TagAt(const REPORT *Report, ULONG Offset)
{
    const MULTIBOOT2_TAG *Tag = (const void *)(Report->Bytes + Offset);

    if (Offset > Report->Size || Report->Size - Offset < sizeof(*Tag))
        return NULL;
    if (Tag->Type == Multiboot2End)
        return NULL;
    return Tag->Size >= sizeof(*Tag) && Tag->Size <= Report->Size - Offset ? Tag : NULL;
}

static const MULTIBOOT2_TAG *NextTag(const REPORT *Report, const MULTIBOOT2_TAG *Tag)
{
    ULONG Offset = (ULONG)((const UCHAR *)Tag - Report->Bytes);

    return TagAt(Report, (Offset + Tag->Size + 7) & ~7u);
}

static const MULTIBOOT2_TAG *FirstTag(const REPORT *Report)
{
    return TagAt(Report, sizeof(MULTIBOOT2_INFO));
}

static const MULTIBOOT2_TAG *FindTag(const REPORT *Report, ULONG Type)
{
    const MULTIBOOT2_TAG *Tag = FirstTag(Report);

    while (Tag && Tag->Type != Type)
        Tag = NextTag(Report, Tag);
    return Tag;
}

// What a tag carries from Offset behind its head on, if there are at least Length bytes of it.
static const void *Payload(const MULTIBOOT2_TAG *Tag, ULONG Offset, ULONG Length)
{
    if (!Tag || Tag->Size - sizeof(*Tag) < Offset + Length)
        return NULL;
    return (const UCHAR *)(Tag + 1) + Offset;
}

// Copies the string that fills the tag from Offset on, at most Size bytes with the NUL.
static void ReadString(const MULTIBOOT2_TAG *Tag, ULONG Offset, CHAR *Buffer, ULONG Size)
{
    const CHAR *Text = Payload(Tag, Offset, 0);
    ULONG Length = Text ? Tag->Size - (ULONG)sizeof(*Tag) - Offset : 0, Count = 0;

    for (; Count < Length && Count < Size - 1 && Text[Count]; Count++)
        Buffer[Count] = Text[Count];
    Buffer[Count] = 0;
}

static void ReadStrings(const REPORT *Report)
{
    static CHAR Line[2 * LOADER_COMMAND_LINE];  // room for a file name in front

    ReadString(FindTag(Report, Multiboot2CommandLine), 0, Line, sizeof(Line));
    BootSetCommandLine(Report->Block, Line);
    ReadString(FindTag(Report, Multiboot2LoaderName), 0, Report->Block->LoaderName, LOADER_NAME);
}

static void ReadEfi(const REPORT *Report)
{
    const ULONG *Table32 = Payload(FindTag(Report, Multiboot2EfiTable32), 0, sizeof(ULONG));
    const ULONG *Table64 = Payload(FindTag(Report, Multiboot2EfiTable64), 0, sizeof(ULONG64));

    if (Table64)
        Report->Block->EfiSystemTable = Table64[0] | (ULONG64)Table64[1] << 32;
    else if (Table32)
        Report->Block->EfiSystemTable = *Table32;
}

static void ReadRsdp(const REPORT *Report)
{
    static const UCHAR Types[] = { Multiboot2RsdpNew, Multiboot2RsdpOld };
    const MULTIBOOT2_TAG *Tag;

    for (ULONG i = 0; i < sizeof(Types); i++) {
        Tag = FindTag(Report, Types[i]);
        if (Tag && BootKeepRsdp(Report->Block, (const UCHAR *)(Tag + 1), Tag->Size - sizeof(*Tag)))
            return;
    }
}

static void ReadDisplay(const REPORT *Report)
{
    const MULTIBOOT2_TAG *Tag = FindTag(Report, Multiboot2Framebuffer);
    const MULTIBOOT_FRAMEBUFFER *Framebuffer = Payload(Tag, 0, MULTIBOOT_FRAMEBUFFER_HEAD);

    if (Framebuffer)
        BootSetFramebuffer(Report->Block, Framebuffer, Tag->Size - sizeof(*Tag));
    else
        BootSetDefaultDisplay(Report->Block);
}

// Calls Add for every whole entry of a table at Offset in the tag; entries may grow in later
// versions, so the table says how long they are.
static void WalkTable(const REPORT *Report, const MULTIBOOT2_TAG *Tag, ULONG EntrySize, ULONG Least,
                      void (*Add)(PBOOT_MAP Map, const void *Entry))
{
    ULONG Offset = sizeof(MULTIBOOT2_MAP), End = Tag->Size - (ULONG)sizeof(*Tag);

    if (EntrySize < Least)
        return;
    for (; Offset <= End && End - Offset >= EntrySize; Offset += EntrySize)
        Add(Report->Map, (const UCHAR *)(Tag + 1) + Offset);
}

static void AddMapEntry(PBOOT_MAP Map, const void *Bytes)
{
    const MULTIBOOT2_MAP_ENTRY *Entry = Bytes;

    BootAddFirmwareMemory(Map, Entry->Base, Entry->Length, Entry->Type);
}

// After boot services have ended, what they and the loader used is free.
static void AddEfiEntry(PBOOT_MAP Map, const void *Bytes)
{
    static const UCHAR Types[] = {
        [1] = LoaderMemoryFree, LoaderMemoryFree,  // the loader's code and data
        [3] = LoaderMemoryFree, LoaderMemoryFree,  // boot services' code and data
        [7] = LoaderMemoryFree, LoaderMemoryBad,
        [9] = LoaderMemoryFirmware, LoaderMemoryFirmware,  // ACPI tables, ACPI NVS
    };
    const EFI_MEMORY *Entry = Bytes;
    ULONG Type = Entry->Type < sizeof(Types) ? Types[Entry->Type] : 0;
    ULONG64 Pages = Entry->Pages < BOOT_MAX_PHYSICAL / BOOT_PAGE ? Entry->Pages
                                                                  : BOOT_MAX_PHYSICAL / BOOT_PAGE;

    BootAddMemory(Map, Entry->Base, Pages * BOOT_PAGE, Type ? Type : LoaderMemoryReserved);
}

// The firmware's map; where the loader has none, the EFI map, and else the two sizes of old.
static void ReadMemory(const REPORT *Report)
{
    const MULTIBOOT2_TAG *Map = FindTag(Report, Multiboot2Map);
    const MULTIBOOT2_TAG *EfiMap = FindTag(Report, Multiboot2EfiMap);
    const MULTIBOOT2_MAP *Head = Payload(Map, 0, sizeof(*Head));
    const MULTIBOOT2_MAP *EfiHead = Payload(EfiMap, 0, sizeof(*EfiHead));
    const ULONG *Kilobytes = Payload(FindTag(Report, Multiboot2Memory), 0, 2 * sizeof(ULONG));

    if (Head) {
        WalkTable(Report, Map, Head->EntrySize, sizeof(MULTIBOOT2_MAP_ENTRY), AddMapEntry);
    } else if (EfiHead) {
        WalkTable(Report, EfiMap, EfiHead->EntrySize, sizeof(EFI_MEMORY), AddEfiEntry);
    } else if (Kilobytes) {
        BootAddMemory(Report->Map, 0, (ULONG64)Kilobytes[0] << 10, LoaderMemoryFree);
        BootAddMemory(Report->Map, 0x100000, (ULONG64)Kilobytes[1] << 10, LoaderMemoryFree);
    }
}

static const CHAR *ReadModules(const REPORT *Report)
{
    static CHAR Line[sizeof(LOADER_MODULE)];
    const MULTIBOOT2_TAG *Tag;
    const CHAR *Failure = NULL;
    const ULONG *Range;

    for (Tag = FirstTag(Report); Tag && !Failure; Tag = NextTag(Report, Tag)) {
        Range = Tag->Type == Multiboot2Module ? Payload(Tag, 0, 2 * sizeof(ULONG)) : NULL;
        if (Range) {
            ReadString(Tag, 2 * sizeof(ULONG), Line, sizeof(Line));
            Failure = BootAddModule(Report->Block, Range[0], Range[1], Line);
        }
    }
    return Failure;
}

// Fails unless the walk over all tags ends at the end tag.
static const CHAR *CheckTags(const REPORT *Report)
{
    const MULTIBOOT2_TAG *Tag;
    ULONG Offset = sizeof(MULTIBOOT2_INFO);

    while ((Tag = TagAt(Report, Offset)))
        Offset = (Offset + Tag->Size + 7) & ~7u;
    if (Offset <= Report->Size && Report->Size - Offset >= sizeof(*Tag)) {
        Tag = (const void *)(Report->Bytes + Offset);
        if (Tag->Type == Multiboot2End)
            return NULL;
    }
    return BootFailure("The boot loader's information is damaged at byte %u of %u.", Offset,
                       Report->Size);
}

// Reads the report at physical address Info into Block (zeroed before) and Map.
// Fails: the report is damaged or a module makes no sense.
const CHAR *BootParseMultiboot2(ULONG Info, PLOADER_BLOCK Block, PBOOT_MAP Map)
{
    const MULTIBOOT2_INFO *Head = BootMap(Info, sizeof(*Head));
    REPORT Report = { .Block = Block, .Map = Map };
    const CHAR *Failure;

    if (Info & 7)
        Head = NULL;
    Report.Bytes = Info && Head && Head->Size >= sizeof(*Head) ? BootMap(Info, Head->Size) : NULL;
    if (!Report.Bytes) {
        BootSetDefaultDisplay(Block);
        return BootFailure("The boot loader passed no information (its address is 0x%x).", Info);
    }
    Report.Size = Head->Size;
    ReadStrings(&Report);
    ReadEfi(&Report);
    ReadDisplay(&Report);
    ReadRsdp(&Report);
    if ((Failure = CheckTags(&Report)))
        return Failure;
    ReadMemory(&Report);
    return ReadModules(&Report);
}
