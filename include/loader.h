// SPDX-License-Identifier: MIT
// The loader block: everything the kernel is told by firmware and boot loader.
//
// boot/ runs in 32-bit mode with paging off, reads whichever loader started the machine (multiboot
// 1 or 2), normalises what it says, and leaves the result here. Nothing after boot/ knows which
// loader it was, and nothing in the block points into loader memory except the physical ranges of
// modules.
//
// The structure is compiled both by 32-bit boot code and by the 64-bit kernel, so it holds only
// fixed-width integers with natural alignment and no pointers. All addresses are physical.
#pragma once

#include "nt/ntdef.h"

#define LOADER_MAX_MEMORY   256u // ranges after normalisation; more than any firmware reports
#define LOADER_MAX_MODULES  64u
#define LOADER_COMMAND_LINE 2048u
#define LOADER_NAME         64u
#define LOADER_RSDP         36u // bytes of an ACPI RSDP of revision 2

// What a physical range is. Numerically higher wins where ranges of the firmware's map overlap.
typedef enum _LOADER_MEMORY_TYPE {
    LoaderMemoryFree = 1,     // RAM, contents unspecified
    LoaderMemoryFirmware = 2, // RAM that holds ACPI tables or loader data; kept
    LoaderMemoryLoaded = 3,   // RAM that holds the kernel image or a module
    LoaderMemoryBad = 4,      // RAM reported defective; never touched
    LoaderMemoryReserved = 5, // not RAM, or not ours
} LOADER_MEMORY_TYPE;

typedef struct _LOADER_MEMORY {
    ULONG64 Base;   // bytes, page aligned
    ULONG64 Length; // bytes, a multiple of the page size, never zero
    ULONG Type;     // LOADER_MEMORY_TYPE
    ULONG Reserved;
} LOADER_MEMORY, *PLOADER_MEMORY;

typedef struct _LOADER_MODULE {
    ULONG64 Base;                    // first byte; page aligned by every loader we accept
    ULONG64 Length;                  // bytes
    CHAR Name[LOADER_NAME];          // file name without its path, NUL terminated
    CHAR Arguments[4 * LOADER_NAME]; // what followed the name on the module's line
} LOADER_MODULE, *PLOADER_MODULE;

typedef enum _LOADER_DISPLAY_TYPE {
    LoaderDisplayNone = 0,
    LoaderDisplayText = 1,        // VGA text at 0xB8000
    LoaderDisplayFramebuffer = 2, // direct-colour linear framebuffer
} LOADER_DISPLAY_TYPE;

typedef struct _LOADER_DISPLAY {
    ULONG64 Base;        // physical address of the first pixel or character cell
    ULONG Type;          // LOADER_DISPLAY_TYPE
    ULONG Pitch;         // bytes from one line to the next
    ULONG Width, Height; // pixels, or characters in text mode
    ULONG BitsPerPixel;
    UCHAR RedPosition, RedSize;
    UCHAR GreenPosition, GreenSize;
    UCHAR BluePosition, BlueSize;
    UCHAR Reserved[2];
} LOADER_DISPLAY, *PLOADER_DISPLAY;

// What a processor that starts is told, at the end of the trampoline's page; the kernel fills it
// in. The code in that page is boot/'s (boot/trampoline.inc).
#define LOADER_TRAMPOLINE_OFFSET 0xF00u

typedef struct _LOADER_TRAMPOLINE {
    ULONG64 Entry;         // virtual address to begin at, never to return from
    ULONG64 Stack;         // virtual: its stack pointer
    ULONG64 Context;       // its only argument
    ULONG64 Cr3;           // below 4 GiB; maps this page at its own address
    ULONG Cr0, Cr4;        // with paging on
    ULONG Efer, HasEfer;   // i386: not every processor has the register
    volatile ULONG Ticket; // 1: whoever exchanges it for 0 may start
    ULONG Reserved;
} LOADER_TRAMPOLINE, *PLOADER_TRAMPOLINE;

#define LOADER_BLOCK_MAGIC 0x4B4F4F4Cu // "LOOK"

typedef struct _LOADER_BLOCK {
    ULONG Magic;                           // LOADER_BLOCK_MAGIC
    ULONG Size;                            // sizeof(LOADER_BLOCK), checked by the kernel
    CHAR LoaderName[LOADER_NAME];          // "GRUB 2.06", "qemu"; for the log only
    CHAR CommandLine[LOADER_COMMAND_LINE]; // the kernel's options, without its file name
    ULONG64 KernelBase, KernelEnd;         // the loaded image, page aligned
    ULONG64 BootTime;                      // TSC at the kernel's first instruction
    ULONG64 RsdpAddress;                   // ACPI RSDP; 0 when none was found
    ULONG64 EfiSystemTable;                // 0 on a BIOS machine
    ULONG64 TrampolinePage;                // below 1 MiB, kept for starting processors; 0: none
    ULONG MemoryCount;
    ULONG ModuleCount;
    UCHAR Rsdp[40]; // a loader's copy; RsdpAddress then points here
    LOADER_DISPLAY Display;
    LOADER_MEMORY Memory[LOADER_MAX_MEMORY]; // sorted by Base, never overlapping
    LOADER_MODULE Module[LOADER_MAX_MODULES];
} LOADER_BLOCK, *PLOADER_BLOCK;
