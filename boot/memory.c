// SPDX-License-Identifier: MIT
// The memory map: from what the firmware says to what the kernel can believe.
//
// Problem: firmware maps are unsorted, overlap, touch the same page from two sides, and now and
// then wrap around the address space. Idea: collect every claim ("these bytes are of this type"),
// ours included, and let the strongest claim win at each address; LOADER_MEMORY_TYPE is ordered for
// that.
//
// Invariants of the result: sorted, disjoint, page aligned, neighbours of one type merged, at most
// LOADER_MAX_MEMORY ranges. A page is Free only if a single claim of RAM covers all of it and no
// other claim touches it. What no range covers is not memory, as far as anyone knows; so where room
// runs out, forgetting a range is always safe, and the smallest of the least valuable are
// forgotten.
//
// A sweep looks at all claims for every boundary: quadratic, but firmware reports a few dozen.

#include "boot.h"

#define BIOS_DATA_EBDA    0x40Eu  // segment of the extended BIOS data area
#define VGA_HOLE          0xA0000u
#define TRAMPOLINE_LOWEST 0x8000u
#define HIGH_MEMORY       0x100000u

enum { E820Ram = 1, E820Reserved, E820AcpiTables, E820AcpiNvs, E820Bad };

static ULONG64 RoundDown(ULONG64 Address)
{
    return Address & ~(ULONG64)(BOOT_PAGE - 1);
}

static ULONG64 RoundUp(ULONG64 Address)
{
    return RoundDown(Address + BOOT_PAGE - 1);
}

// Adds a claim on [Base, Base + Length), in bytes. Free memory shrinks to whole pages, everything
// else grows to them.
void BootAddMemory(PBOOT_MAP Map, ULONG64 Base, ULONG64 Length, ULONG Type)
{
    ULONG64 End;

    if (Length == 0 || Base >= BOOT_MAX_PHYSICAL)
        return;
    End = Length > BOOT_MAX_PHYSICAL - Base ? BOOT_MAX_PHYSICAL : Base + Length;
    Base = Type == LoaderMemoryFree ? RoundUp(Base) : RoundDown(Base);
    End = Type == LoaderMemoryFree ? RoundDown(End) : RoundUp(End);
    if (Base >= End)
        return;
    if (Map->Count == BOOT_MAX_RANGES) {
        Map->Lost++;
        return;
    }
    Map->Range[Map->Count].Base = Base;
    Map->Range[Map->Count].End = End;
    Map->Range[Map->Count++].Type = Type;
}

// As BootAddMemory, with the type as the BIOS (E820), and both multiboots after it, number them.
void BootAddFirmwareMemory(PBOOT_MAP Map, ULONG64 Base, ULONG64 Length, ULONG E820Type)
{
    ULONG Type = LoaderMemoryReserved;

    if (E820Type == E820Ram)
        Type = LoaderMemoryFree;
    else if (E820Type == E820AcpiTables || E820Type == E820AcpiNvs)
        Type = LoaderMemoryFirmware;
    else if (E820Type == E820Bad)
        Type = LoaderMemoryBad;
    BootAddMemory(Map, Base, Length, Type);
}

// The first megabyte as every PC has it, whether the firmware remembered to say so or not. Page 0
// is never given out: it is the null page, and on a BIOS machine holds interrupt vectors and BIOS
// data.
void BootAddLegacyMemory(PBOOT_MAP Map, BOOLEAN Bios)
{
    const USHORT *Segment = BootMap(BIOS_DATA_EBDA, sizeof(*Segment));
    ULONG Ebda = Bios && Segment ? (ULONG)*Segment << 4 : 0;

    BootAddMemory(Map, 0, BOOT_PAGE, LoaderMemoryReserved);
    BootAddMemory(Map, VGA_HOLE, HIGH_MEMORY - VGA_HOLE, LoaderMemoryReserved);
    if (Ebda >= 0x80000 && Ebda < VGA_HOLE)
        BootAddMemory(Map, Ebda, VGA_HOLE - Ebda, LoaderMemoryReserved);
}

// The strongest claim on Address (0: none), and the address up to which nothing changes.
static ULONG TypeAt(const BOOT_MAP *Map, ULONG64 Address, ULONG64 *Next)
{
    ULONG Type = 0;
    ULONG64 Change;

    *Next = BOOT_MAX_PHYSICAL;
    for (ULONG i = 0; i < Map->Count; i++) {
        if (Map->Range[i].End <= Address)
            continue;
        Change = Map->Range[i].Base > Address ? Map->Range[i].Base : Map->Range[i].End;
        if (Change < *Next)
            *Next = Change;
        if (Map->Range[i].Base <= Address && Map->Range[i].Type > Type)
            Type = Map->Range[i].Type;
    }
    return Type;
}

// How much the kernel would miss a range. A reserved one is only information.
static ULONG Value(const LOADER_MEMORY *Range)
{
    static const UCHAR ByType[] = {
        [LoaderMemoryReserved] = 0, [LoaderMemoryBad] = 0, [LoaderMemoryFree] = 1,
        [LoaderMemoryFirmware] = 2, [LoaderMemoryLoaded] = 3,
    };
    return ByType[Range->Type];
}

static void ForgetOne(PLOADER_BLOCK Block)
{
    ULONG Least = 0;
    LOADER_MEMORY *Range = Block->Memory;

    for (ULONG i = 1; i < Block->MemoryCount; i++)
        if (Value(&Range[i]) < Value(&Range[Least]) ||
            (Value(&Range[i]) == Value(&Range[Least]) && Range[i].Length < Range[Least].Length))
            Least = i;
    Block->MemoryCount--;
    for (ULONG i = Least; i < Block->MemoryCount; i++)
        Range[i] = Range[i + 1];
}

static void Append(PLOADER_BLOCK Block, ULONG64 Base, ULONG64 End, ULONG Type)
{
    LOADER_MEMORY *Last = Block->MemoryCount ? &Block->Memory[Block->MemoryCount - 1] : NULL;

    if (Last && Last->Type == Type && Last->Base + Last->Length == Base) {
        Last->Length += End - Base;
        return;
    }
    if (Block->MemoryCount == LOADER_MAX_MEMORY)
        ForgetOne(Block);
    Block->Memory[Block->MemoryCount++] =
        (LOADER_MEMORY){ .Base = Base, .Length = End - Base, .Type = Type };
}

// Fills Block's memory ranges from the claims in Map.
void BootNormalizeMemory(const BOOT_MAP *Map, PLOADER_BLOCK Block)
{
    ULONG64 Address, Next;
    ULONG Type;

    Block->MemoryCount = 0;
    for (Address = 0; Address < BOOT_MAX_PHYSICAL; Address = Next) {
        Type = TypeAt(Map, Address, &Next);
        if (Type)
            Append(Block, Address, Next, Type);
    }
}

// TRUE if every byte of [Base, End) lies in RAM the firmware told of.
static BOOLEAN IsRam(const LOADER_BLOCK *Block, ULONG64 Base, ULONG64 End)
{
    const LOADER_MEMORY *Range = Block->Memory;

    for (ULONG i = 0; i < Block->MemoryCount && Base < End; i++, Range++)
        if (Range->Type <= LoaderMemoryLoaded && Range->Base <= Base)
            if (Range->Base + Range->Length > Base)
                Base = Range->Base + Range->Length;
    return Base >= End;
}

// A machine is sold with 8 MiB and reports a little less, so what is there is rounded up.
static const CHAR *CheckSize(const LOADER_BLOCK *Block)
{
    ULONG64 Bytes = 0;
    ULONG Megabytes;

    for (ULONG i = 0; i < Block->MemoryCount; i++)
        if (Block->Memory[i].Type <= LoaderMemoryLoaded)
            Bytes += Block->Memory[i].Length;
    Megabytes = (ULONG)((Bytes + HIGH_MEMORY - 1) >> 20);
    if (Megabytes >= BOOT_MIN_MEGABYTES)
        return NULL;
    return BootFailure("There is too little memory: %u MiB are needed, %u KiB are reported.",
                       BOOT_MIN_MEGABYTES, (ULONG)(Bytes >> 10));
}

static const CHAR *CheckLoaded(const LOADER_BLOCK *Block)
{
    const LOADER_MODULE *Module = Block->Module;

    if (!IsRam(Block, Block->KernelBase, Block->KernelEnd))
        return BootFailure("The kernel was loaded at 0x%llx-0x%llx, which is not all memory.",
                           Block->KernelBase, Block->KernelEnd);
    for (ULONG i = 0; i < Block->ModuleCount; i++, Module++)
        if (!IsRam(Block, Module->Base, Module->Base + Module->Length))
            return BootFailure("Module %u (%s) was loaded at 0x%llx-0x%llx, which is not all "
                               "memory.", i + 1, Module->Name, Module->Base,
                               Module->Base + Module->Length);
    return NULL;
}

// Makes Block's memory map: checks the firmware's claims in Map against what was loaded, then adds
// the kernel's image and the modules to them.
const CHAR *BootBuildMemory(PBOOT_MAP Map, PLOADER_BLOCK Block)
{
    const CHAR *Failure;

    BootAddLegacyMemory(Map, Block->EfiSystemTable == 0);
    BootNormalizeMemory(Map, Block);
    if ((Failure = CheckSize(Block)) || (Failure = CheckLoaded(Block)))
        return Failure;
    BootAddMemory(Map, Block->KernelBase, Block->KernelEnd - Block->KernelBase, LoaderMemoryLoaded);
    for (ULONG i = 0; i < Block->ModuleCount; i++)
        BootAddMemory(Map, Block->Module[i].Base, Block->Module[i].Length, LoaderMemoryLoaded);
    if (Map->Lost)
        return BootFailure("The memory map has %u entries too many (%u are allowed).", Map->Lost,
                           BOOT_MAX_RANGES);
    BootNormalizeMemory(Map, Block);
    return NULL;
}

// The page that a processor starts in: the lowest free one that no old firmware takes for its own.
static ULONG64 FindTrampolinePage(const LOADER_BLOCK *Block)
{
    for (ULONG i = 0; i < Block->MemoryCount; i++) {
        const LOADER_MEMORY *Range = &Block->Memory[i];
        ULONG64 Page = Range->Base > TRAMPOLINE_LOWEST ? Range->Base : TRAMPOLINE_LOWEST;
        if (Range->Type == LoaderMemoryFree && Page < Range->Base + Range->Length)
            return Page < VGA_HOLE ? Page : 0;
    }
    return 0;
}

// Keeps a page for starting other processors: they begin in real mode. Without one there is only
// this processor.
void BootClaimTrampoline(PBOOT_MAP Map, PLOADER_BLOCK Block)
{
    Block->TrampolinePage = FindTrampolinePage(Block);
    if (Block->TrampolinePage == 0)
        return;
    BootAddMemory(Map, Block->TrampolinePage, BOOT_PAGE, LoaderMemoryFirmware);
    if (Map->Lost)
        Block->TrampolinePage = 0;
    else
        BootNormalizeMemory(Map, Block);
}
