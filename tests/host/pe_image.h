// SPDX-License-Identifier: MIT
// A small but whole driver image, built in memory: code, imports by name and ordinal, relocations,
// an export and a forwarder. Tests damage it in one place and see what the loader says.
#pragma once

#include "kernel/ldr/pe.h"
#include "rtl.h"

#define IMAGE_FILE_BYTES 0x1400u
#define IMAGE_BYTES      0x6000u
#define IMAGE_BASE       0x10000ull

// Where things are: RVA, and the same bytes' place in the file.
#define TEXT_RVA  0x1000u
#define TEXT_RAW  0x400u
#define IDATA_RVA 0x2000u
#define IDATA_RAW 0x800u
#define RELOC_RVA 0x3000u
#define RELOC_RAW 0xC00u
#define EDATA_RVA 0x4000u
#define EDATA_RAW 0x1000u
#define BSS_RVA   0x5000u

typedef struct _TEST_IMAGE {
    union {
        UCHAR Bytes[IMAGE_FILE_BYTES];
        ULONG64 Align;
    };
} TEST_IMAGE;

static inline IMAGE_NT_HEADERS *ImageHeaders(TEST_IMAGE *Image)
{
    return (IMAGE_NT_HEADERS *)(Image->Bytes + 0x80);
}

static inline IMAGE_SECTION_HEADER *ImageSection(TEST_IMAGE *Image, ULONG Index)
{
    return (IMAGE_SECTION_HEADER *)(ImageHeaders(Image) + 1) + Index;
}

static inline void ImagePut32(TEST_IMAGE *Image, ULONG Offset, ULONG Value)
{
    memcpy(Image->Bytes + Offset, &Value, sizeof(Value));
}

static inline void ImageAddSection(TEST_IMAGE *Image, ULONG Index, const char *Name, ULONG Rva,
                                   ULONG Raw, ULONG Characteristics)
{
    IMAGE_SECTION_HEADER *Section = ImageSection(Image, Index);

    memcpy(Section->Name, Name, strlen(Name));
    Section->VirtualAddress = Rva;
    Section->Misc.VirtualSize = 0x400;
    Section->PointerToRawData = Raw;
    Section->SizeOfRawData = Raw != 0 ? 0x400 : 0;
    Section->Characteristics = Characteristics;
}

static inline void ImageBuildHeaders(TEST_IMAGE *Image)
{
    IMAGE_DOS_HEADER *Dos = (IMAGE_DOS_HEADER *)Image->Bytes;
    IMAGE_NT_HEADERS *Headers = ImageHeaders(Image);
    IMAGE_OPTIONAL_HEADER *Optional = &Headers->OptionalHeader;

    Dos->e_magic = IMAGE_DOS_SIGNATURE;
    Dos->e_lfanew = 0x80;
    Headers->Signature = IMAGE_NT_SIGNATURE;
    Headers->FileHeader.Machine = IMAGE_FILE_MACHINE_NATIVE;
    Headers->FileHeader.NumberOfSections = 5;
    Headers->FileHeader.SizeOfOptionalHeader = sizeof(*Optional);
    Headers->FileHeader.Characteristics = IMAGE_FILE_EXECUTABLE_IMAGE;
    Optional->Magic = IMAGE_NT_OPTIONAL_HDR_MAGIC;
    Optional->AddressOfEntryPoint = TEXT_RVA + 0x10;
    Optional->ImageBase = IMAGE_BASE;
    Optional->SectionAlignment = 0x1000;
    Optional->FileAlignment = 0x200;
    Optional->SizeOfImage = IMAGE_BYTES;
    Optional->SizeOfHeaders = 0x400;
    Optional->Subsystem = IMAGE_SUBSYSTEM_NATIVE;
    Optional->NumberOfRvaAndSizes = IMAGE_NUMBEROF_DIRECTORY_ENTRIES;
    Optional->DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT] = (IMAGE_DATA_DIRECTORY){IDATA_RVA, 0x28};
    Optional->DataDirectory[IMAGE_DIRECTORY_ENTRY_BASERELOC] =
        (IMAGE_DATA_DIRECTORY){RELOC_RVA, 12};
    Optional->DataDirectory[IMAGE_DIRECTORY_ENTRY_EXPORT] =
        (IMAGE_DATA_DIRECTORY){EDATA_RVA, 0x100};
}

// ntoskrnl.exe: "DbgPrint" and ordinal 7. Names at +0x100, thunks at +0x80 (names) and +0xA0
// (addresses).
static inline void ImageBuildImports(TEST_IMAGE *Image)
{
    IMAGE_IMPORT_DESCRIPTOR *Descriptor = (IMAGE_IMPORT_DESCRIPTOR *)(Image->Bytes + IDATA_RAW);
    ULONG_PTR Thunks[3] = {IDATA_RVA + 0x120, IMAGE_ORDINAL_FLAG | 7, 0};

    Descriptor->OriginalFirstThunk = IDATA_RVA + 0x80;
    Descriptor->FirstThunk = IDATA_RVA + 0xA0;
    Descriptor->Name = IDATA_RVA + 0x100;
    memcpy(Image->Bytes + IDATA_RAW + 0x80, Thunks, sizeof(Thunks));
    memcpy(Image->Bytes + IDATA_RAW + 0xA0, Thunks, sizeof(Thunks));
    memcpy(Image->Bytes + IDATA_RAW + 0x100, "ntoskrnl.exe", 13);
    memcpy(Image->Bytes + IDATA_RAW + 0x122, "DbgPrint", 9);
}

// One block for the page of .text: a fix-up at +0x40, and padding.
static inline void ImageBuildRelocations(TEST_IMAGE *Image)
{
    ULONG_PTR Pointer = (ULONG_PTR)IMAGE_BASE + TEXT_RVA;
    USHORT Entries[2] = {(USHORT)(IMAGE_REL_BASED_DIR64 << 12 | 0x40), 0};

    memcpy(Image->Bytes + TEXT_RAW + 0x40, &Pointer, sizeof(Pointer));
    ImagePut32(Image, RELOC_RAW, TEXT_RVA);
    ImagePut32(Image, RELOC_RAW + 4, 12);
    memcpy(Image->Bytes + RELOC_RAW + 8, Entries, sizeof(Entries));
}

// "Real" at .text+0x20 and "Forwarded", whose address is a string inside the export directory.
static inline void ImageBuildExports(TEST_IMAGE *Image)
{
    IMAGE_EXPORT_DIRECTORY *Exports = (IMAGE_EXPORT_DIRECTORY *)(Image->Bytes + EDATA_RAW);
    USHORT Indices[2] = {1, 0};

    Exports->Base = 5;
    Exports->NumberOfFunctions = 2;
    Exports->NumberOfNames = 2;
    Exports->AddressOfFunctions = EDATA_RVA + 0x40;
    Exports->AddressOfNames = EDATA_RVA + 0x50;
    Exports->AddressOfNameOrdinals = EDATA_RVA + 0x60;
    ImagePut32(Image, EDATA_RAW + 0x40, TEXT_RVA + 0x20);
    ImagePut32(Image, EDATA_RAW + 0x44, EDATA_RVA + 0x90);
    ImagePut32(Image, EDATA_RAW + 0x50, EDATA_RVA + 0x70);
    ImagePut32(Image, EDATA_RAW + 0x54, EDATA_RVA + 0x80);
    memcpy(Image->Bytes + EDATA_RAW + 0x60, Indices, sizeof(Indices));
    memcpy(Image->Bytes + EDATA_RAW + 0x70, "Forwarded", 10);
    memcpy(Image->Bytes + EDATA_RAW + 0x80, "Real", 5);
    memcpy(Image->Bytes + EDATA_RAW + 0x90, "other.Routine", 14);
}

static inline void ImageBuild(TEST_IMAGE *Image)
{
    memset(Image, 0, sizeof(*Image));
    ImageBuildHeaders(Image);
    ImageAddSection(Image, 0, ".text", TEXT_RVA, TEXT_RAW,
                    IMAGE_SCN_CNT_CODE | IMAGE_SCN_MEM_EXECUTE | IMAGE_SCN_MEM_READ);
    ImageAddSection(Image, 1, ".idata", IDATA_RVA, IDATA_RAW,
                    IMAGE_SCN_MEM_READ | IMAGE_SCN_MEM_WRITE);
    ImageAddSection(Image, 2, ".reloc", RELOC_RVA, RELOC_RAW,
                    IMAGE_SCN_MEM_READ | IMAGE_SCN_MEM_DISCARDABLE);
    ImageAddSection(Image, 3, ".edata", EDATA_RVA, EDATA_RAW, IMAGE_SCN_MEM_READ);
    ImageAddSection(Image, 4, ".bss", BSS_RVA, 0, IMAGE_SCN_MEM_READ | IMAGE_SCN_MEM_WRITE);
    ImageBuildImports(Image);
    ImageBuildRelocations(Image);
    ImageBuildExports(Image);
}
