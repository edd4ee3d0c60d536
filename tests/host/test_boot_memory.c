// SPDX-License-Identifier: MIT
// Links: boot/memory.c boot/text.c
//
// The memory map that the kernel believes, against a model that looks at one page at a time.
#include "boot_fake.h"

#include <cmocka.h>

#define PAGES   96
#define MIB     0x100000ull
#define MACHINE (64 * MIB)

static BOOT_MAP Map;
static LOADER_BLOCK Block;

static int empty(void **state)
{
    memset(&Map, 0, sizeof(Map));
    memset(&Block, 0, sizeof(Block));
    FakeFree();
    return 0;
}

static int release(void **state)
{
    FakeFree();
    return 0;
}

// What the map says of the page at Address; 0: nothing.
static ULONG type_at(ULONG64 Address)
{
    for (ULONG i = 0; i < Block.MemoryCount; i++)
        if (Address >= Block.Memory[i].Base &&
            Address - Block.Memory[i].Base < Block.Memory[i].Length)
            return Block.Memory[i].Type;
    return 0;
}

static void assert_well_formed(void)
{
    assert_true(Block.MemoryCount <= LOADER_MAX_MEMORY);
    for (ULONG i = 0; i < Block.MemoryCount; i++) {
        const LOADER_MEMORY *Range = &Block.Memory[i];

        assert_true(Range->Length > 0);
        assert_int_equal((Range->Base | Range->Length) & (BOOT_PAGE - 1), 0);
        assert_in_range(Range->Type, LoaderMemoryFree, LoaderMemoryReserved);
        if (i == 0)
            continue;
        assert_true(Range[-1].Base + Range[-1].Length <= Range->Base);
        if (Range[-1].Base + Range[-1].Length == Range->Base)
            assert_int_not_equal(Range[-1].Type, Range->Type);
    }
}

// The model: what a page is after claims on [Base, Base + Length) of each Type.
typedef struct {
    ULONG64 Base, Length;
    ULONG Type;
} CLAIM;

static ULONG model(const CLAIM *Claims, ULONG Count, ULONG64 Page)
{
    ULONG Type = 0;

    for (ULONG i = 0; i < Count; i++) {
        ULONG64 Base = Claims[i].Base, End = Base + Claims[i].Length;
        BOOLEAN Covers = Base <= Page && End >= Page + BOOT_PAGE;
        BOOLEAN Touches = Base < Page + BOOT_PAGE && End > Page && Base < End;

        if ((Claims[i].Type == LoaderMemoryFree ? Covers : Touches) && Claims[i].Type > Type)
            Type = Claims[i].Type;
    }
    return Type;
}

static void any_claims_give_what_a_page_by_page_model_gives(void **state)
{
    CLAIM Claims[24];

    srand(1);
    for (int Round = 0; Round < 20000; Round++) {
        ULONG Count = (ULONG)rand() % 24;

        Map.Count = 0;
        for (ULONG i = 0; i < Count; i++) {
            ULONG Grain = rand() % 2 ? BOOT_PAGE : 1;

            Claims[i].Base = (ULONG)rand() % (PAGES * BOOT_PAGE) / Grain * Grain;
            Claims[i].Length = (ULONG)rand() % (PAGES * BOOT_PAGE - Claims[i].Base) / Grain * Grain;
            Claims[i].Type = 1 + (ULONG)rand() % 5;
            BootAddMemory(&Map, Claims[i].Base, Claims[i].Length, Claims[i].Type);
        }
        BootNormalizeMemory(&Map, &Block);
        assert_well_formed();
        for (ULONG64 Page = 0; Page < PAGES * BOOT_PAGE; Page += BOOT_PAGE)
            assert_int_equal(type_at(Page), model(Claims, Count, Page));
    }
}

static void a_map_too_long_forgets_no_loaded_page_and_invents_no_free_one(void **state)
{
    srand(2);
    for (ULONG Page = 0; Page < 1000; Page++) {
        ULONG Type = Page % 20 == 7 ? LoaderMemoryLoaded : 1 + (ULONG)rand() % 5;

        if (Type == LoaderMemoryLoaded && Page % 20 != 7)
            Type = LoaderMemoryFree;
        BootAddMemory(&Map, Page * 2ull * BOOT_PAGE, BOOT_PAGE, Type);
    }
    BootNormalizeMemory(&Map, &Block);
    assert_well_formed();
    assert_int_equal(Block.MemoryCount, LOADER_MAX_MEMORY);
    for (ULONG i = 0; i < Map.Count; i++) {
        ULONG Type = type_at(Map.Range[i].Base);

        assert_true(Type == 0 || Type == Map.Range[i].Type);
        if (Map.Range[i].Type == LoaderMemoryLoaded)
            assert_int_equal(Type, LoaderMemoryLoaded);
    }
}

static void the_largest_free_ranges_survive_a_map_too_long(void **state)
{
    for (ULONG i = 0; i < 600; i++)
        BootAddMemory(&Map, i * 4 * MIB, BOOT_PAGE * (1 + i), LoaderMemoryFree);
    BootNormalizeMemory(&Map, &Block);
    assert_int_equal(Block.MemoryCount, LOADER_MAX_MEMORY);
    assert_int_equal(Block.Memory[0].Length, BOOT_PAGE * (600 - LOADER_MAX_MEMORY + 1));
}

static void claims_beyond_the_address_space_are_cut(void **state)
{
    BootAddMemory(&Map, 0x100000000ull, ~0ull, LoaderMemoryFree);
    BootAddMemory(&Map, 1ull << 60, 1ull << 20, LoaderMemoryFree);
    BootAddMemory(&Map, ~0ull, ~0ull, LoaderMemoryReserved);
    BootNormalizeMemory(&Map, &Block);
    assert_int_equal(Block.MemoryCount, 1);
    assert_int_equal(Block.Memory[0].Base, 0x100000000ull);
    assert_int_equal(Block.Memory[0].Length, BOOT_MAX_PHYSICAL - 0x100000000ull);
}

static void firmware_types_are_told_apart(void **state)
{
    static const ULONG Expected[] = {
        LoaderMemoryReserved, LoaderMemoryFree, LoaderMemoryReserved, LoaderMemoryFirmware,
        LoaderMemoryFirmware, LoaderMemoryBad, LoaderMemoryReserved, LoaderMemoryReserved,
    };

    for (ULONG i = 0; i < 8; i++)
        BootAddFirmwareMemory(&Map, i * BOOT_PAGE, BOOT_PAGE, i);
    BootNormalizeMemory(&Map, &Block);
    for (ULONG i = 0; i < 8; i++)
        assert_int_equal(type_at(i * BOOT_PAGE), Expected[i]);
}

// Unusable, disabled, persistent, PRAM, and numbers that nobody has given a meaning: none is RAM to
// use, and each wins over RAM that is said to be there too.
static void memory_of_odd_types_is_left_alone(void **state)
{
    static const ULONG Odd[] = {5, 6, 7, 12, 14, 128, 0x7FFFFFFF, 0xF0000000, 0xFFFFFFFF};

    BootAddFirmwareMemory(&Map, 0x100000000, 0x100000000, 1);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Odd); i++)
        BootAddFirmwareMemory(&Map, 0x140000800 + i * 2 * BOOT_PAGE, 0x100, Odd[i]);
    BootNormalizeMemory(&Map, &Block);
    assert_well_formed();
    for (ULONG i = 0; i < RTL_NUMBER_OF(Odd); i++) {
        ULONG64 Address = 0x140000000 + i * 2 * BOOT_PAGE;
        assert_int_not_equal(type_at(Address), LoaderMemoryFree);
        assert_int_equal(type_at(Address + BOOT_PAGE), LoaderMemoryFree);
    }
}

// A machine of 64 MiB with the kernel at 2 MiB.
static void start_machine(void)
{
    BootAddMemory(&Map, 0, MACHINE, LoaderMemoryFree);
    Block.KernelBase = 2 * MIB;
    Block.KernelEnd = 3 * MIB;
}

static void page_0_and_the_hole_below_1_mib_are_never_given_out(void **state)
{
    start_machine();
    assert_null(BootBuildMemory(&Map, &Block));
    assert_well_formed();
    assert_int_equal(type_at(0), LoaderMemoryReserved);
    assert_int_equal(type_at(BOOT_PAGE), LoaderMemoryFree);
    assert_int_equal(type_at(0x9F000), LoaderMemoryFree);
    for (ULONG64 Page = 0xA0000; Page < MIB; Page += BOOT_PAGE)
        assert_int_equal(type_at(Page), LoaderMemoryReserved);
}

static void the_extended_bios_data_area_is_kept_on_a_bios_machine(void **state)
{
    static const USHORT Segment = 0x9FC0;

    FakeMemory(0x40E, &Segment, sizeof(Segment));
    start_machine();
    assert_null(BootBuildMemory(&Map, &Block));
    assert_int_equal(type_at(0x9E000), LoaderMemoryFree);
    assert_int_equal(type_at(0x9F000), LoaderMemoryReserved);
}

static void no_bios_data_is_looked_for_on_an_efi_machine(void **state)
{
    static const USHORT Segment = 0x8000;

    FakeMemory(0x40E, &Segment, sizeof(Segment));
    Block.EfiSystemTable = 0x1000;
    start_machine();
    assert_null(BootBuildMemory(&Map, &Block));
    assert_int_equal(type_at(0x80000), LoaderMemoryFree);
}

static void a_nonsensical_bios_data_area_is_ignored(void **state)
{
    static const USHORT Segment = 0x0040;

    FakeMemory(0x40E, &Segment, sizeof(Segment));
    start_machine();
    assert_null(BootBuildMemory(&Map, &Block));
    assert_int_equal(type_at(BOOT_PAGE), LoaderMemoryFree);
}

static void kernel_and_modules_are_kept(void **state)
{
    start_machine();
    Block.ModuleCount = 2;
    Block.Module[0] = (LOADER_MODULE){ .Base = 4 * MIB, .Length = 1 };
    Block.Module[1] = (LOADER_MODULE){ .Base = 5 * MIB, .Length = 0 };
    assert_null(BootBuildMemory(&Map, &Block));
    assert_int_equal(type_at(2 * MIB), LoaderMemoryLoaded);
    assert_int_equal(type_at(3 * MIB - BOOT_PAGE), LoaderMemoryLoaded);
    assert_int_equal(type_at(3 * MIB), LoaderMemoryFree);
    assert_int_equal(type_at(4 * MIB), LoaderMemoryLoaded);
    assert_int_equal(type_at(4 * MIB + BOOT_PAGE), LoaderMemoryFree);
    assert_int_equal(type_at(5 * MIB), LoaderMemoryFree);
}

static void a_module_outside_memory_is_refused(void **state)
{
    start_machine();
    Block.ModuleCount = 1;
    Block.Module[0] = (LOADER_MODULE){ .Base = MACHINE - BOOT_PAGE, .Length = BOOT_PAGE + 1 };
    strcpy(Block.Module[0].Name, "edu.sys");
    assert_string_equal(BootBuildMemory(&Map, &Block),
                        "Module 1 (edu.sys) was loaded at 0x3fff000-0x4000001, which is not all "
                        "memory.");
}

static void a_module_in_reserved_memory_is_refused(void **state)
{
    start_machine();
    BootAddMemory(&Map, 8 * MIB, MIB, LoaderMemoryReserved);
    Block.ModuleCount = 1;
    Block.Module[0] = (LOADER_MODULE){ .Base = 7 * MIB, .Length = MIB + 1 };
    assert_non_null(BootBuildMemory(&Map, &Block));
}

static void a_module_may_span_free_and_firmware_memory(void **state)
{
    start_machine();
    BootAddMemory(&Map, 8 * MIB, MIB, LoaderMemoryFirmware);
    Block.ModuleCount = 1;
    Block.Module[0] = (LOADER_MODULE){ .Base = 7 * MIB, .Length = 3 * MIB };
    assert_null(BootBuildMemory(&Map, &Block));
    assert_int_equal(type_at(8 * MIB), LoaderMemoryLoaded);
}

static void a_kernel_outside_memory_is_refused(void **state)
{
    start_machine();
    BootAddMemory(&Map, 2 * MIB + BOOT_PAGE, 1, LoaderMemoryBad);
    assert_non_null(BootBuildMemory(&Map, &Block));
}

static void too_little_memory_is_told_with_what_is_there(void **state)
{
    BootAddMemory(&Map, 0, 4 * MIB, LoaderMemoryFree);
    assert_string_equal(BootBuildMemory(&Map, &Block),
                        "There is too little memory: 8 MiB are needed, 3708 KiB are reported.");
}

static void a_machine_of_8_mib_is_enough_though_it_reports_less(void **state)
{
    BootAddMemory(&Map, 0, 8 * MIB - 128 * 1024, LoaderMemoryFree);
    Block.KernelBase = 2 * MIB;
    Block.KernelEnd = 3 * MIB;
    assert_null(BootBuildMemory(&Map, &Block));
}

static void no_map_at_all_is_too_little_memory(void **state)
{
    assert_non_null(BootBuildMemory(&Map, &Block));
}

static void more_claims_than_fit_are_an_error(void **state)
{
    start_machine();
    for (ULONG i = 0; i < BOOT_MAX_RANGES; i++)
        BootAddMemory(&Map, 0x100000000ull + i * 2ull * BOOT_PAGE, BOOT_PAGE, LoaderMemoryReserved);
    assert_non_null(BootBuildMemory(&Map, &Block));
}

#define TEST(Name) cmocka_unit_test_setup_teardown(Name, empty, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_claims_give_what_a_page_by_page_model_gives),
        TEST(a_map_too_long_forgets_no_loaded_page_and_invents_no_free_one),
        TEST(the_largest_free_ranges_survive_a_map_too_long),
        TEST(claims_beyond_the_address_space_are_cut),
        TEST(firmware_types_are_told_apart),
        TEST(memory_of_odd_types_is_left_alone),
        TEST(page_0_and_the_hole_below_1_mib_are_never_given_out),
        TEST(the_extended_bios_data_area_is_kept_on_a_bios_machine),
        TEST(no_bios_data_is_looked_for_on_an_efi_machine),
        TEST(a_nonsensical_bios_data_area_is_ignored),
        TEST(kernel_and_modules_are_kept),
        TEST(a_module_outside_memory_is_refused),
        TEST(a_module_in_reserved_memory_is_refused),
        TEST(a_module_may_span_free_and_firmware_memory),
        TEST(a_kernel_outside_memory_is_refused),
        TEST(too_little_memory_is_told_with_what_is_there),
        TEST(a_machine_of_8_mib_is_enough_though_it_reports_less),
        TEST(no_map_at_all_is_too_little_memory),
        TEST(more_claims_than_fit_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
