// SPDX-License-Identifier: MIT
// The structures by which multiboot loaders report.
// Source: Multiboot Specification 0.6.96; Multiboot2 Specification 2.0 (gnu.org/software/grub).
#pragma once

#include "nt/ntdef.h"

#define MULTIBOOT1_MAGIC 0x2BADB002u  // in EAX at entry
#define MULTIBOOT2_MAGIC 0x36D76289u

#define PACKED __attribute__((packed))

// Bits of MULTIBOOT1_INFO.Flags: which fields are valid.
#define MULTIBOOT1_MEMORY       0x0001u
#define MULTIBOOT1_COMMAND_LINE 0x0004u
#define MULTIBOOT1_MODULES      0x0008u
#define MULTIBOOT1_MAP          0x0040u
#define MULTIBOOT1_LOADER_NAME  0x0200u
#define MULTIBOOT1_FRAMEBUFFER  0x1000u

typedef struct PACKED _MULTIBOOT1_INFO {
    ULONG Flags;
    ULONG LowerKilobytes, UpperKilobytes;  // from 0, from 1 MiB
    ULONG BootDevice;
    ULONG CommandLine;
    ULONG ModuleCount, Modules;
    ULONG Symbols[4];
    ULONG MapLength, Map;
    ULONG DrivesLength, Drives;
    ULONG ConfigurationTable;
    ULONG LoaderName;
    ULONG ApmTable;
    UCHAR Vbe[16];
} MULTIBOOT1_INFO;

// Both multiboots describe the display alike; this follows MULTIBOOT1_INFO or a tag's head. The
// text of the first specification forgets the reserved bytes that its own header file, and GRUB,
// have.
typedef struct PACKED _MULTIBOOT_FRAMEBUFFER {
    ULONG64 Address;
    ULONG Pitch, Width, Height;
    UCHAR BitsPerPixel;
    UCHAR Type;  // MULTIBOOT_FRAMEBUFFER_*
    UCHAR Reserved[2];
    UCHAR RedPosition, RedSize, GreenPosition, GreenSize, BluePosition, BlueSize;
} MULTIBOOT_FRAMEBUFFER;

#define MULTIBOOT_FRAMEBUFFER_HEAD 24u  // bytes without the colours, which text mode does not have

#define MULTIBOOT_FRAMEBUFFER_INDEXED 0
#define MULTIBOOT_FRAMEBUFFER_RGB     1
#define MULTIBOOT_FRAMEBUFFER_TEXT    2

typedef struct PACKED _MULTIBOOT1_MODULE {
    ULONG Start, End;
    ULONG Line;
    ULONG Reserved;
} MULTIBOOT1_MODULE;

typedef struct PACKED _MULTIBOOT1_MAP {
    ULONG Size;  // of what follows
    ULONG64 Base, Length;
    ULONG Type;
} MULTIBOOT1_MAP_ENTRY;

typedef struct PACKED _MULTIBOOT2_INFO {
    ULONG Size, Reserved;
} MULTIBOOT2_INFO;

typedef struct PACKED _MULTIBOOT2_TAG {
    ULONG Type;
    ULONG Size;  // of the tag with this head, without the padding to 8 bytes
} MULTIBOOT2_TAG;

typedef enum _MULTIBOOT2_TAG_TYPE {
    Multiboot2End = 0,
    Multiboot2CommandLine = 1,
    Multiboot2LoaderName = 2,
    Multiboot2Module = 3,
    Multiboot2Memory = 4,
    Multiboot2Map = 6,
    Multiboot2Framebuffer = 8,
    Multiboot2EfiTable32 = 11,
    Multiboot2EfiTable64 = 12,
    Multiboot2RsdpOld = 14,
    Multiboot2RsdpNew = 15,
    Multiboot2EfiMap = 17,
} MULTIBOOT2_TAG_TYPE;

typedef struct PACKED _MULTIBOOT2_MAP {
    ULONG EntrySize, EntryVersion;
} MULTIBOOT2_MAP;

typedef struct PACKED _MULTIBOOT2_MAP_ENTRY {
    ULONG64 Base, Length;
    ULONG Type, Reserved;
} MULTIBOOT2_MAP_ENTRY;

// Source: UEFI Specification 2.10, EFI_BOOT_SERVICES.GetMemoryMap.
typedef struct PACKED _EFI_MEMORY {
    ULONG Type, Reserved;
    ULONG64 Base, VirtualBase, Pages, Attributes;
} EFI_MEMORY;
