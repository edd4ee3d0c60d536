// SPDX-License-Identifier: MIT
// Links: boot/multiboot1.c boot/multiboot2.c boot/module.c boot/display.c
// Links: boot/acpi.c boot/memory.c boot/text.c
//
// Any report of a boot loader: boot/ reads nothing outside it and never gives the kernel a block
// that breaks loader.h. The first byte chooses the multiboot, the rest is memory at REPORT.
#include "boot_fake.h"

#define REPORT 0x10000u

#define CHECK(Condition) do { if (!(Condition)) abort(); } while (0)

static BOOT_MAP Map;
static LOADER_BLOCK Block;

static void check_memory(void)
{
    ULONG64 End = 0;

    CHECK(Block.MemoryCount <= LOADER_MAX_MEMORY);
    for (ULONG i = 0; i < Block.MemoryCount; i++) {
        CHECK(Block.Memory[i].Base >= End && Block.Memory[i].Length > 0);
        CHECK(((Block.Memory[i].Base | Block.Memory[i].Length) & (BOOT_PAGE - 1)) == 0);
        End = Block.Memory[i].Base + Block.Memory[i].Length;
        CHECK(End <= BOOT_MAX_PHYSICAL);
    }
}

static void check_modules(void)
{
    for (ULONG i = 0; i < Block.ModuleCount; i++) {
        const LOADER_MODULE *Module = &Block.Module[i];

        CHECK(Module->Name[0] && strlen(Module->Name) < sizeof(Module->Name));
        CHECK(strlen(Module->Arguments) < sizeof(Module->Arguments));
        CHECK(Module->Base % BOOT_PAGE == 0 && Module->Base + Module->Length <= 1ull << 32);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    const CHAR *Failure;

    if (Size == 0)
        return 0;
    memset(&Block, 0, sizeof(Block));
    Map.Count = Map.Lost = 0;
    Block.KernelBase = 0x200000;
    Block.KernelEnd = 0x300000;
    FakeMemory(REPORT, Data + 1, (ULONG)Size - 1);
    Failure = Data[0] & 1 ? BootParseMultiboot1(REPORT, &Block, &Map)
                          : BootParseMultiboot2(REPORT, &Block, &Map);
    CHECK(strlen(Block.CommandLine) < LOADER_COMMAND_LINE);
    CHECK(strlen(Block.LoaderName) < LOADER_NAME);
    CHECK(Block.ModuleCount <= LOADER_MAX_MODULES);
    if (!Failure && !BootCheckModules(&Block) && !BootBuildMemory(&Map, &Block)) {
        BootFindRsdp(&Block);
        check_memory();
        check_modules();
    }
    FakeFree();
    return 0;
}
