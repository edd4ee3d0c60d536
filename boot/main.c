// SPDX-License-Identifier: MIT
// From the boot loader's jump to the kernel's.
//
// entry.S calls BootMain in 32-bit mode, paging off, with what the loader left in two registers.
// BootMain fills the loader block, which lies in the kernel's own memory, and the first page
// tables, and returns; entry.S then switches paging on and jumps to KiBootEntry. Everything
// that can be wrong with a machine is found before that, where it can still be told in plain words.

#include "boot.h"
#include "multiboot.h"

#define EXIT_STATUS 0x15u  // what QEMU's exit device gets: 0x10 + status 5

static BOOT_MAP Map;

// A pointer to physical memory, which without paging is the address itself.
const void *BootMap(ULONG64 Address, ULONG Length)
{
    return Address + Length > 1ull << 32 ? NULL : (const void *)(ULONG)Address;
}

static const CHAR *ParseLoader(ULONG Magic, ULONG Info, PLOADER_BLOCK Block)
{
    if (Magic == MULTIBOOT1_MAGIC)
        return BootParseMultiboot1(Info, Block, &Map);
    if (Magic == MULTIBOOT2_MAGIC)
        return BootParseMultiboot2(Info, Block, &Map);
    BootSetDefaultDisplay(Block);
    return BootFailure("The boot loader is not a multiboot loader (its magic number is 0x%x).",
                       Magic);
}

static void StartBlock(PLOADER_BLOCK Block)
{
    Block->Magic = LOADER_BLOCK_MAGIC;
    Block->Size = sizeof(*Block);
    Block->BootTime = BootReadTimeStamp();
    Block->KernelBase = (ULONG)BootImageStart;
    Block->KernelEnd = (ULONG)KernelImageEndPhysical;
}

// Magic and Info: EAX and EBX at entry. Returns only if all is well.
void BootMain(ULONG Magic, ULONG Info)
{
    PLOADER_BLOCK Block = &LoaderBlockPhysical;
    const CHAR *Failure;

    // Step                                             needs -> gives
    StartBlock(Block);                                  // a zeroed image -> the time
    BootInstallTraps();                                 // -> messages, not triple faults
    if ((Failure = ParseLoader(Magic, Info, Block)) ||  // -> consoles, options, modules, claims
        (Failure = BootCheckProcessor()) ||             // -> BootNoExecute
        (Failure = BootCheckModules(Block)) ||          // modules
        (Failure = BootBuildMemory(&Map, Block)))       // claims, modules -> the memory map
        BootStop(Failure);
    BootTakeOptions(Block);                             // modules -> options from options.txt
    BootFindRsdp(Block);                                // what the loader passed -> ACPI's root
    BootClaimTrampoline(&Map, Block);                   // the memory map -> a page below 1 MiB
    BootPlaceTrampoline((ULONG)Block->TrampolinePage);  // that page -> where processors begin
    BootBuildPageTables((ULONG)Block->KernelEnd);       // BootNoExecute -> page tables
}

static void __attribute__((noreturn)) Halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

// Shows Message and halts; under `lookaside run` it ends QEMU instead. An exception on the way
// leads here again, and then to the halt alone.
void BootStop(const CHAR *Message)
{
    static CHAR Text[1024];
    static BOOLEAN Stopping;
    PLOADER_BLOCK Block = &LoaderBlockPhysical;
    ULONG Port;
    BOOLEAN Exit = BootOptionNumber(Block->CommandLine, "/EXITPORT=", &Port);

    if (Stopping)
        Halt();
    Stopping = TRUE;
    BootFormat(Text, sizeof(Text), "Lookaside cannot start.\n%s\n%s", Message,
               Exit ? "verdict: 5 the machine cannot run the kernel\n"
                    : "The machine is halted and may be switched off.\n");
    BootPrint(&Block->Display, Text);
    if (Exit)
        BootOut32((USHORT)Port, EXIT_STATUS);
    Halt();
}
