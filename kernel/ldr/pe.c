// SPDX-License-Identifier: MIT
// PE files: checked first, then laid out, relocated and searched for imports.
//
// The file is a stranger's and may be truncated, damaged or made to hurt. The rule that keeps this
// small: every offset is checked against the bytes it points into at the moment it is read, all
// sums are done in 64 bits, and every walk moves strictly forward through a bounded range, so that
// no table can be cyclic. PeOpen looks at the file; everything after it looks at the laid-out
// image, whose size is known.
//
// Sections that are aligned to less than a page, as the XP kit's linker options have it, share
// pages. Such a page gets the rights of all of them, and goes when none of them is needed.
//
// Source: Microsoft, "PE Format". Tests: tests/host/test_ldr_pe.c, tests/host/fuzz_pe.c.
#include "pe.h"
#include "rtl.h"

#define MAX_SECTIONS    96u
#define MAX_IMAGE       (256u << 20)
#define MAX_LIBRARIES   256u
#define LEAST_ALIGNMENT 16u // of sections; drivers of the XP kit have 0x20 or 0x80

#if defined(__x86_64__)
#define RELOCATION_NATIVE IMAGE_REL_BASED_DIR64
#define MACHINE_NAME      "x64"
#else
#define RELOCATION_NATIVE IMAGE_REL_BASED_HIGHLOW
#define MACHINE_NAME      "x86"
#endif

#define REFUSE(Image, ...) (RtlFormat((Image)->Reason, sizeof((Image)->Reason), __VA_ARGS__), FALSE)

// ---- headers ------------------------------------------------------------------------------------

static BOOLEAN PepIsPowerOfTwo(ULONG Value)
{
    return Value != 0 && (Value & (Value - 1)) == 0;
}

static const char *PepMachineName(USHORT Machine)
{
    switch (Machine) {
    case IMAGE_FILE_MACHINE_I386:
        return "x86";
    case IMAGE_FILE_MACHINE_AMD64:
        return "x64";
    case 0xAA64:
        return "ARM64";
    case 0x01C4:
        return "ARM";
    case 0x0200:
        return "Itanium";
    default:
        return "unknown";
    }
}

static BOOLEAN PepCheckFileHeader(PPE_IMAGE Image)
{
    const IMAGE_DOS_HEADER *Dos = (const IMAGE_DOS_HEADER *)Image->File;

    if (Image->Length < sizeof(*Dos) || Dos->e_magic != IMAGE_DOS_SIGNATURE)
        return REFUSE(Image, "it is not a PE file: no MZ header");
    if (Dos->e_lfanew < 0 || (Dos->e_lfanew & 3) != 0 ||
        (ULONG64)Dos->e_lfanew + sizeof(IMAGE_NT_HEADERS32) > Image->Length)
        return REFUSE(Image, "its PE header lies outside the file");
    const IMAGE_NT_HEADERS *Headers = (const IMAGE_NT_HEADERS *)(Image->File + Dos->e_lfanew);
    if (Headers->Signature != IMAGE_NT_SIGNATURE)
        return REFUSE(Image, "it is not a PE file: no PE signature");
    Image->FileHeader = &Headers->FileHeader;
    if (Headers->FileHeader.Machine != IMAGE_FILE_MACHINE_NATIVE)
        return REFUSE(
            Image, "it is built for %s (machine 0x%04X); this kernel runs " MACHINE_NAME " drivers",
            PepMachineName(Headers->FileHeader.Machine), Headers->FileHeader.Machine);
    ULONG64 Sections = (ULONG64)Dos->e_lfanew + FIELD_OFFSET(IMAGE_NT_HEADERS, OptionalHeader) +
                       Headers->FileHeader.SizeOfOptionalHeader;
    ULONG64 End =
        Sections + (ULONG64)Headers->FileHeader.NumberOfSections * sizeof(IMAGE_SECTION_HEADER);
    if (Headers->FileHeader.SizeOfOptionalHeader < sizeof(IMAGE_OPTIONAL_HEADER) ||
        (Headers->FileHeader.SizeOfOptionalHeader & 3) != 0 || End > Image->Length)
        return REFUSE(Image, "its headers are truncated");
    if (Headers->FileHeader.NumberOfSections == 0 ||
        Headers->FileHeader.NumberOfSections > MAX_SECTIONS)
        return REFUSE(Image, "it has %u sections", Headers->FileHeader.NumberOfSections);
    Image->Header = &Headers->OptionalHeader;
    Image->Section = (const IMAGE_SECTION_HEADER *)(Image->File + Sections);
    Image->SectionCount = Headers->FileHeader.NumberOfSections;
    if (Image->Header->SizeOfHeaders < End)
        return REFUSE(Image, "its section table lies outside its headers");
    return TRUE;
}

static BOOLEAN PepCheckOptionalHeader(PPE_IMAGE Image)
{
    const IMAGE_OPTIONAL_HEADER *Header = Image->Header;

    if (Header->Magic != IMAGE_NT_OPTIONAL_HDR_MAGIC)
        return REFUSE(Image, "its optional header has magic 0x%04X", Header->Magic);
    if ((Image->FileHeader->Characteristics & IMAGE_FILE_EXECUTABLE_IMAGE) == 0)
        return REFUSE(Image, "its linker reported errors: it is not marked executable");
    if (Header->Subsystem != IMAGE_SUBSYSTEM_NATIVE)
        return REFUSE(Image, "it is no driver: its subsystem is %u, not native (1)",
                      Header->Subsystem);
    if (!PepIsPowerOfTwo(Header->SectionAlignment) || Header->SectionAlignment < LEAST_ALIGNMENT)
        return REFUSE(Image, "its section alignment is 0x%X", Header->SectionAlignment);
    if (Header->SectionAlignment < PAGE_SIZE && Header->FileAlignment != Header->SectionAlignment)
        return REFUSE(Image,
                      "its sections are aligned to 0x%X in memory and 0x%X in the file; below "
                      "a page (0x1000) both have to be the same",
                      Header->SectionAlignment, Header->FileAlignment);
    if (Header->SizeOfImage == 0 || Header->SizeOfImage > MAX_IMAGE)
        return REFUSE(Image, "its image size is 0x%X bytes", Header->SizeOfImage);
    if (Header->SizeOfHeaders > Image->Length || Header->SizeOfHeaders > Header->SizeOfImage)
        return REFUSE(Image, "its headers reach beyond the file");
    if (Header->NumberOfRvaAndSizes > IMAGE_NUMBEROF_DIRECTORY_ENTRIES)
        return REFUSE(Image, "it claims %u data directories", Header->NumberOfRvaAndSizes);
    Image->Size = ROUND_TO_PAGES((SIZE_T)Header->SizeOfImage);
    return TRUE;
}

static BOOLEAN PepCheckSections(PPE_IMAGE Image)
{
    ULONG64 NextAddress = Image->Header->SizeOfHeaders;

    for (ULONG i = 0; i < Image->SectionCount; i++) {
        const IMAGE_SECTION_HEADER *Section = &Image->Section[i];
        ULONG64 End = (ULONG64)Section->VirtualAddress + PeSectionSize(Section);
        if ((Section->VirtualAddress & (Image->Header->SectionAlignment - 1)) != 0)
            return REFUSE(Image, "section %.8s is not aligned", Section->Name);
        if (Section->VirtualAddress < NextAddress)
            return REFUSE(Image, "section %.8s overlaps what lies before it", Section->Name);
        if (End > Image->Header->SizeOfImage)
            return REFUSE(Image, "section %.8s reaches beyond the image", Section->Name);
        if (Section->SizeOfRawData != 0 && Section->PointerToRawData != 0 &&
            (ULONG64)Section->PointerToRawData + Section->SizeOfRawData > Image->Length)
            return REFUSE(Image, "section %.8s reaches beyond the file", Section->Name);
        NextAddress = End;
    }
    return TRUE;
}

static BOOLEAN PepCheckEntryPoint(PPE_IMAGE Image)
{
    ULONG Entry = Image->Header->AddressOfEntryPoint;

    for (ULONG i = 0; i < Image->SectionCount; i++) {
        const IMAGE_SECTION_HEADER *Section = &Image->Section[i];
        if (Entry >= Section->VirtualAddress &&
            Entry - Section->VirtualAddress < PeSectionSize(Section))
            return (Section->Characteristics & IMAGE_SCN_MEM_EXECUTE) != 0
                       ? TRUE
                       : REFUSE(Image, "its entry point is in section %.8s, which holds no code",
                                Section->Name);
    }
    return REFUSE(Image, "its entry point 0x%X is in no section", Entry);
}

static BOOLEAN PepCheckDirectories(PPE_IMAGE Image)
{
    for (ULONG i = 0; i < Image->Header->NumberOfRvaAndSizes; i++) {
        const IMAGE_DATA_DIRECTORY *Directory = &Image->Header->DataDirectory[i];
        ULONG64 End = (ULONG64)Directory->VirtualAddress + Directory->Size;
        if (i == IMAGE_DIRECTORY_ENTRY_SECURITY || Directory->Size == 0)
            continue; // a file offset, and of no concern to a kernel that asks for no signature
        if (End > Image->Header->SizeOfImage)
            return REFUSE(Image, "data directory %u reaches beyond the image", i);
    }
    return TRUE;
}

ULONG PePageTraits(const PE_IMAGE *Image, ULONG64 Offset)
{
    ULONG Any = 0, All = Offset < Image->Header->SizeOfHeaders ? 0 : IMAGE_SCN_MEM_DISCARDABLE;

    for (ULONG i = 0; i < Image->SectionCount; i++) {
        const IMAGE_SECTION_HEADER *Section = &Image->Section[i];
        ULONG Size = PeSectionSize(Section);
        if (Size == 0 || Section->VirtualAddress >= Offset + PAGE_SIZE ||
            (ULONG64)Section->VirtualAddress + Size <= Offset)
            continue;
        Any |= Section->Characteristics;
        All &= Section->Characteristics;
    }
    return (Any & (IMAGE_SCN_MEM_WRITE | IMAGE_SCN_MEM_EXECUTE)) | (Any != 0 ? All : 0);
}

BOOLEAN PeOpen(PPE_IMAGE Image, const UCHAR *File, SIZE_T Length)
{
    *Image = (PE_IMAGE){.File = File, .Length = Length};
    return PepCheckFileHeader(Image) && PepCheckOptionalHeader(Image) && PepCheckSections(Image) &&
           PepCheckEntryPoint(Image) && PepCheckDirectories(Image);
}

VOID PeCopy(const PE_IMAGE *Image, UCHAR *Memory)
{
    memcpy(Memory, Image->File, Image->Header->SizeOfHeaders);
    for (ULONG i = 0; i < Image->SectionCount; i++) {
        const IMAGE_SECTION_HEADER *Section = &Image->Section[i];
        ULONG Size = PeSectionSize(Section);
        if (Section->PointerToRawData == 0)
            continue;
        memcpy(Memory + Section->VirtualAddress, Image->File + Section->PointerToRawData,
               Size < Section->SizeOfRawData ? Size : Section->SizeOfRawData);
    }
}

static const IMAGE_DATA_DIRECTORY *PepDirectory(const IMAGE_OPTIONAL_HEADER *Header, ULONG Index)
{
    static const IMAGE_DATA_DIRECTORY None;
    return Index < Header->NumberOfRvaAndSizes ? &Header->DataDirectory[Index] : &None;
}

// ---- relocation ---------------------------------------------------------------------------------

// Entries is where the block's fix-ups are in Memory.
static BOOLEAN PepRelocateBlock(PPE_IMAGE Image, UCHAR *Memory, const IMAGE_BASE_RELOCATION *Block,
                                const UCHAR *Entries, ULONG_PTR Delta)
{
    ULONG Count = (ULONG)((Block->SizeOfBlock - sizeof(*Block)) / sizeof(USHORT));
    ULONG_PTR Value;
    USHORT Entry;

    for (ULONG i = 0; i < Count; i++) {
        memcpy(&Entry, Entries + i * sizeof(Entry), sizeof(Entry));
        ULONG64 Offset = (ULONG64)Block->VirtualAddress + (Entry & 0xFFF);
        ULONG Type = Entry >> 12;
        if (Type == IMAGE_REL_BASED_ABSOLUTE)
            continue;
        if (Type != RELOCATION_NATIVE)
            return REFUSE(Image, "it holds a relocation of type %u", Type);
        if (Offset < Image->Header->SizeOfHeaders || Offset + sizeof(Value) > Image->Size)
            return REFUSE(Image, "a relocation lies outside the image's sections");
        memcpy(&Value, Memory + Offset, sizeof(Value));
        Value += Delta;
        memcpy(Memory + Offset, &Value, sizeof(Value));
    }
    return TRUE;
}

BOOLEAN PeRelocate(PPE_IMAGE Image, UCHAR *Memory, ULONG_PTR Base)
{
    const IMAGE_DATA_DIRECTORY *Directory =
        PepDirectory(Image->Header, IMAGE_DIRECTORY_ENTRY_BASERELOC);
    ULONG_PTR Delta = Base - (ULONG_PTR)Image->Header->ImageBase;
    ULONG Offset = 0;

    if (Delta == 0)
        return TRUE;
    // An x64 image without relocations may be position independent: code there is relative to RIP.
    // An x86 image that was stripped of them can only run at its own address.
    if (sizeof(PVOID) == 4 && Directory->Size == 0 &&
        (Image->FileHeader->Characteristics & IMAGE_FILE_RELOCS_STRIPPED) != 0)
        return REFUSE(Image, "its relocations were stripped");
    while (Directory->Size - Offset >= sizeof(IMAGE_BASE_RELOCATION)) {
        const UCHAR *Table = Memory + Directory->VirtualAddress + Offset;
        IMAGE_BASE_RELOCATION Block;
        memcpy(&Block, Table, sizeof(Block));
        if (Block.SizeOfBlock < sizeof(Block) || (Block.SizeOfBlock & 1) != 0 ||
            Block.SizeOfBlock > Directory->Size - Offset)
            return REFUSE(Image, "its relocation table is damaged at offset 0x%X", Offset);
        if (!PepRelocateBlock(Image, Memory, &Block, Table + sizeof(Block), Delta))
            return FALSE;
        Offset += Block.SizeOfBlock;
    }
    return TRUE;
}

// ---- imports ------------------------------------------------------------------------------------

// The string at Offset of a laid-out image, or NULL when it does not end inside.
static const char *PepString(const UCHAR *Memory, SIZE_T Size, ULONG64 Offset)
{
    if (Offset >= Size || memchr(Memory + Offset, 0, (SIZE_T)(Size - Offset)) == NULL)
        return NULL;
    return (const char *)Memory + Offset;
}

static BOOLEAN PepWalkLibrary(PPE_IMAGE Image, UCHAR *Memory,
                              const IMAGE_IMPORT_DESCRIPTOR *Descriptor, const char *Library,
                              PE_IMPORT_ROUTINE *Routine, VOID *Context)
{
    ULONG64 Names = Descriptor->OriginalFirstThunk != 0 ? Descriptor->OriginalFirstThunk
                                                        : Descriptor->FirstThunk;
    ULONG64 Slots = Descriptor->FirstThunk;

    for (;; Names += sizeof(ULONG_PTR), Slots += sizeof(ULONG_PTR)) {
        ULONG_PTR Thunk;
        if (Names + sizeof(Thunk) > Image->Size || Slots + sizeof(Thunk) > Image->Size ||
            Slots < Image->Header->SizeOfHeaders || (Slots & (sizeof(Thunk) - 1)) != 0)
            return REFUSE(Image, "its imports from %.32s leave the image", Library);
        memcpy(&Thunk, Memory + Names, sizeof(Thunk));
        if (Thunk == 0)
            return TRUE;
        BOOLEAN ByOrdinal = IMAGE_SNAP_BY_ORDINAL(Thunk);
        const char *Name =
            ByOrdinal ? NULL
                      : PepString(Memory, Image->Size,
                                  (ULONG64)Thunk + FIELD_OFFSET(IMAGE_IMPORT_BY_NAME, Name));
        if (!ByOrdinal && Name == NULL)
            return REFUSE(Image, "an import's name lies outside the image");
        if (!Routine(Context, Library, Name, ByOrdinal ? (ULONG)IMAGE_ORDINAL(Thunk) : 0,
                     (ULONG_PTR *)(Memory + Slots)))
            return FALSE;
    }
}

BOOLEAN PeWalkImports(PPE_IMAGE Image, UCHAR *Memory, PE_IMPORT_ROUTINE *Routine, VOID *Context)
{
    const IMAGE_DATA_DIRECTORY *Directory =
        PepDirectory(Image->Header, IMAGE_DIRECTORY_ENTRY_IMPORT);
    ULONG64 Offset = Directory->VirtualAddress;

    if (Directory->Size == 0)
        return TRUE;
    for (ULONG i = 0;; i++, Offset += sizeof(IMAGE_IMPORT_DESCRIPTOR)) {
        IMAGE_IMPORT_DESCRIPTOR Descriptor;
        if (i == MAX_LIBRARIES || Offset + sizeof(Descriptor) > Image->Size)
            return REFUSE(Image, "its import table has no end");
        memcpy(&Descriptor, Memory + Offset, sizeof(Descriptor));
        if (Descriptor.Name == 0 && Descriptor.FirstThunk == 0)
            return TRUE;
        const char *Library = PepString(Memory, Image->Size, Descriptor.Name);
        if (Library == NULL)
            return REFUSE(Image, "the name of an imported library lies outside the image");
        if (!PepWalkLibrary(Image, Memory, &Descriptor, Library, Routine, Context))
            return FALSE;
    }
}

// ---- exports ------------------------------------------------------------------------------------

// Index into the function table, or -1.
static LONG64 PepExportIndex(const UCHAR *Memory, SIZE_T Size,
                             const IMAGE_EXPORT_DIRECTORY *Exports, const char *Name, ULONG Ordinal)
{
    ULONG NameOffset;
    USHORT Index;

    if (Name == NULL)
        return (LONG64)Ordinal - Exports->Base;
    for (ULONG i = 0; i < Exports->NumberOfNames; i++) {
        ULONG64 NameSlot = (ULONG64)Exports->AddressOfNames + i * 4ull;
        ULONG64 IndexSlot = (ULONG64)Exports->AddressOfNameOrdinals + i * 2ull;
        if (NameSlot + 4 > Size || IndexSlot + 2 > Size)
            return -1;
        memcpy(&NameOffset, Memory + NameSlot, sizeof(NameOffset));
        memcpy(&Index, Memory + IndexSlot, sizeof(Index));
        const char *Text = PepString(Memory, Size, NameOffset);
        if (Text != NULL && strcmp(Text, Name) == 0)
            return Index;
    }
    return -1;
}

ULONG_PTR PeFindExport(const UCHAR *Memory, SIZE_T Size, const char *Name, ULONG Ordinal,
                       BOOLEAN *Forwarder)
{
    const IMAGE_DOS_HEADER *Dos = (const IMAGE_DOS_HEADER *)Memory;
    const IMAGE_NT_HEADERS *Headers = (const IMAGE_NT_HEADERS *)(Memory + Dos->e_lfanew);
    const IMAGE_DATA_DIRECTORY *Directory =
        PepDirectory(&Headers->OptionalHeader, IMAGE_DIRECTORY_ENTRY_EXPORT);
    ULONG Function;

    *Forwarder = FALSE;
    if (Directory->Size < sizeof(IMAGE_EXPORT_DIRECTORY))
        return 0;
    IMAGE_EXPORT_DIRECTORY Exports;
    memcpy(&Exports, Memory + Directory->VirtualAddress, sizeof(Exports));
    LONG64 Index = PepExportIndex(Memory, Size, &Exports, Name, Ordinal);
    ULONG64 Slot = (ULONG64)Exports.AddressOfFunctions + (ULONG64)Index * 4;
    if (Index < 0 || Index >= (LONG64)Exports.NumberOfFunctions || Slot + 4 > Size)
        return 0;
    memcpy(&Function, Memory + Slot, sizeof(Function));
    *Forwarder = Function >= Directory->VirtualAddress &&
                 Function - Directory->VirtualAddress < Directory->Size;
    return Function == 0 || Function >= Size || *Forwarder ? 0 : (ULONG_PTR)Memory + Function;
}
