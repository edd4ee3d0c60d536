// SPDX-License-Identifier: MIT
// What the parts of boot/ offer each other. Nothing outside boot/ and its host tests includes this.
//
// All of boot/ is 32-bit code that runs with paging off, on any processor from the 386 on, until it
// has found that the processor is good enough. It never reads what the loader gave by a pointer of
// its own making: BootMap turns a physical address into a pointer, and the host tests put a BootMap
// of theirs, with a few kilobytes of invented physical memory behind it, in its place.
//
// A step that can fail returns NULL when all is well and otherwise one English sentence, which
// BootMain shows to the user before it halts.
#pragma once

#include <stdarg.h>

#include "loader.h"

#define BOOT_PAGE          4096u
#define BOOT_LARGE_PAGE    0x200000u
#define BOOT_MAX_PHYSICAL  (1ull << 52)  // no x86 processor addresses more
#define BOOT_MAX_RANGES    1024u         // raw ranges: the loader's, ours, the modules'
#define BOOT_MIN_MEGABYTES 8u

// The ranges as they came: page aligned, but in any order and overlapping in any way.
typedef struct _BOOT_MAP {
    ULONG Count;
    ULONG Lost;  // ranges that did not fit; anything but 0 is a failure
    struct {
        ULONG64 Base, End;
        ULONG Type;
    } Range[BOOT_MAX_RANGES];
} BOOT_MAP, *PBOOT_MAP;

// main.c; replaced in host tests. NULL where [Address, Address + Length) is not below 4 GiB.
const void *BootMap(ULONG64 Address, ULONG Length);

// text.c
ULONG BootFormatV(CHAR *Buffer, ULONG Size, const CHAR *Format, va_list Arguments);
ULONG BootFormat(CHAR *Buffer, ULONG Size, const CHAR *Format, ...)
    __attribute__((format(printf, 3, 4)));
const CHAR *BootFailure(const CHAR *Format, ...) __attribute__((format(printf, 1, 2)));
CHAR BootUpper(CHAR Character);
void BootReadString(ULONG64 Address, CHAR *Buffer, ULONG Size);
void BootSetCommandLine(PLOADER_BLOCK Block, const CHAR *Line);
BOOLEAN BootOptionNumber(const CHAR *CommandLine, const CHAR *Name, ULONG *Value);

// memory.c
void BootAddMemory(PBOOT_MAP Map, ULONG64 Base, ULONG64 Length, ULONG Type);
void BootAddFirmwareMemory(PBOOT_MAP Map, ULONG64 Base, ULONG64 Length, ULONG E820Type);
void BootAddLegacyMemory(PBOOT_MAP Map, BOOLEAN Bios);
void BootNormalizeMemory(const BOOT_MAP *Map, PLOADER_BLOCK Block);
const CHAR *BootBuildMemory(PBOOT_MAP Map, PLOADER_BLOCK Block);
void BootClaimTrampoline(PBOOT_MAP Map, PLOADER_BLOCK Block);

// multiboot1.c, multiboot2.c
const CHAR *BootParseMultiboot1(ULONG Info, PLOADER_BLOCK Block, PBOOT_MAP Map);
const CHAR *BootParseMultiboot2(ULONG Info, PLOADER_BLOCK Block, PBOOT_MAP Map);

// module.c
const CHAR *BootAddModule(PLOADER_BLOCK Block, ULONG64 Start, ULONG64 End, const CHAR *Line);
const CHAR *BootCheckModules(const LOADER_BLOCK *Block);
void BootTakeOptions(PLOADER_BLOCK Block);

// display.c
struct _MULTIBOOT_FRAMEBUFFER;
void BootSetFramebuffer(PLOADER_BLOCK Block, const struct _MULTIBOOT_FRAMEBUFFER *Given,
                        ULONG Length);
void BootSetDefaultDisplay(PLOADER_BLOCK Block);

// acpi.c
BOOLEAN BootKeepRsdp(PLOADER_BLOCK Block, const UCHAR *Rsdp, ULONG Length);
void BootFindRsdp(PLOADER_BLOCK Block);

// cpu.c; the table of what must be there is in amd64/ and i386/
typedef struct _BOOT_FEATURE {
    ULONG Leaf;      // of CPUID
    ULONG Register;  // 0 to 3: EAX, EBX, ECX, EDX
    ULONG Bit;
    const CHAR *Name;  // NULL ends the table
} BOOT_FEATURE;

extern const BOOT_FEATURE BootRequiredFeatures[];
extern ULONG BootNoExecute;  // 1 where page-table entries may carry the NX bit
const CHAR *BootCheckProcessor(void);
ULONG64 BootReadTimeStamp(void);

// console.c
void BootPrint(const LOADER_DISPLAY *Display, const CHAR *Text);

// trap.c
void BootInstallTraps(void);

// amd64/paging.c, i386/paging.c
void BootBuildPageTables(ULONG ImageEnd);

// trampoline.c
void BootPlaceTrampoline(ULONG Page);

// main.c
void BootMain(ULONG Magic, ULONG Info);
void BootStop(const CHAR *Message) __attribute__((noreturn));

#ifdef BOOT32
// What boot code, at its physical address, shares with the kernel; made by linker.ld.
extern const UCHAR BootImageStart[], KernelImageEndPhysical[], FontPhysical[];
extern LOADER_BLOCK LoaderBlockPhysical;

static inline void BootOut8(USHORT Port, UCHAR Value)
{
    __asm__ volatile("outb %0, %1" : : "a"(Value), "Nd"(Port));
}

static inline void BootOut32(USHORT Port, ULONG Value)
{
    __asm__ volatile("outl %0, %1" : : "a"(Value), "Nd"(Port));
}

static inline UCHAR BootIn8(USHORT Port)
{
    UCHAR Value;
    __asm__ volatile("inb %1, %0" : "=a"(Value) : "Nd"(Port));
    return Value;
}
#endif
