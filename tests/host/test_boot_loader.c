// SPDX-License-Identifier: MIT
// Links: boot/multiboot1.c boot/multiboot2.c boot/module.c boot/display.c
// Links: boot/acpi.c boot/memory.c boot/text.c
//
// What the two multiboot loaders report arrives in the loader block; what makes no sense does not.
#include "boot_fake.h"

#include <cmocka.h>

#include "boot/multiboot.h"

#define REPORT 0x10000u

static BOOT_MAP Map;
static LOADER_BLOCK Block;
static UCHAR Report[8192];
static ULONG ReportLength;

static int empty(void **state)
{
    memset(&Map, 0, sizeof(Map));
    memset(&Block, 0, sizeof(Block));
    memset(Report, 0, sizeof(Report));
    ReportLength = sizeof(MULTIBOOT2_INFO);
    return 0;
}

static int release(void **state)
{
    FakeFree();
    return 0;
}

// ---- command line, options and formats ----------------------------------------------------------

static void expect_command_line(const CHAR *Given, const CHAR *Kept)
{
    BootSetCommandLine(&Block, Given);
    assert_string_equal(Block.CommandLine, Kept);
}

static void the_kernels_file_name_is_no_option(void **state)
{
    expect_command_line("build/amd64/free/lookaside.boot /RUN /3GB", "/RUN /3GB");
    expect_command_line("/boot/lookaside.elf /RUN", "/RUN");
    expect_command_line("/lookaside.elf", "");
    expect_command_line("lookaside.elf", "");
    expect_command_line("  C:\\kernel.elf   /SOS ", "/SOS ");
}

static void a_first_word_that_is_an_option_is_kept(void **state)
{
    expect_command_line("/3GB /RUN", "/3GB /RUN");
    expect_command_line("/EXITPORT=0xF4", "/EXITPORT=0xF4");
    expect_command_line("/MONITOR=\"!pte 1; run a/b.sys\"", "/MONITOR=\"!pte 1; run a/b.sys\"");
    expect_command_line("\"/MONITOR=run rtc\" /RUN", "\"/MONITOR=run rtc\" /RUN");
    expect_command_line("\"/RUN\"", "\"/RUN\"");
    expect_command_line("", "");
    expect_command_line("   ", "");
}

static void a_long_command_line_is_cut_not_overrun(void **state)
{
    static CHAR Line[2 * LOADER_COMMAND_LINE];

    memset(Line, 'A', sizeof(Line) - 1);
    memcpy(Line, "/X=", 3);
    BootSetCommandLine(&Block, Line);
    assert_int_equal(strlen(Block.CommandLine), LOADER_COMMAND_LINE - 1);
}

static void a_numeric_option_is_found_in_any_case_and_base(void **state)
{
    ULONG Value = 0;

    assert_true(BootOptionNumber("/RUN /exitport=0xf4 /X", "/EXITPORT=", &Value));
    assert_int_equal(Value, 0xF4);
    assert_true(BootOptionNumber("/EXITPORT=244", "/EXITPORT=", &Value));
    assert_int_equal(Value, 244);
}

static void what_is_no_number_or_only_part_of_a_word_is_no_option(void **state)
{
    ULONG Value = 7;

    assert_false(BootOptionNumber("", "/EXITPORT=", &Value));
    assert_false(BootOptionNumber("/EXITPORT=", "/EXITPORT=", &Value));
    assert_false(BootOptionNumber("/EXITPORT=0x", "/EXITPORT=", &Value));
    assert_false(BootOptionNumber("/EXITPORT=12f", "/EXITPORT=", &Value));
    assert_false(BootOptionNumber("/EXITPORT=12;", "/EXITPORT=", &Value));
    assert_false(BootOptionNumber("a/EXITPORT=12", "/EXITPORT=", &Value));
    assert_false(BootOptionNumber("/EXITPOR", "/EXITPORT=", &Value));
}

static void messages_are_formatted_and_cut(void **state)
{
    CHAR Text[64];

    BootFormat(Text, sizeof(Text), "%s %u %x %llx %%", "a", 0u, 0xABCu, 0x123456789ABCDEFull);
    assert_string_equal(Text, "a 0 abc 123456789abcdef %");
    BootFormat(Text, sizeof(Text), "%u %x %llx", 4294967295u, 0u, 0ull);
    assert_string_equal(Text, "4294967295 0 0");
    assert_int_equal(BootFormat(Text, 5, "%s", "abcdef"), 4);
    assert_string_equal(Text, "abcd");
}

// ---- modules ------------------------------------------------------------------------------------

static void a_modules_line_is_split_into_name_and_arguments(void **state)
{
    assert_null(BootAddModule(&Block, 0x400000, 0x400123, "/drivers/edu.sys  verbose level=2"));
    assert_null(BootAddModule(&Block, 0x500000, 0x500000, "a.sys"));
    assert_string_equal(Block.Module[0].Name, "edu.sys");
    assert_string_equal(Block.Module[0].Arguments, "verbose level=2");
    assert_int_equal(Block.Module[0].Length, 0x123);
    assert_string_equal(Block.Module[1].Name, "a.sys");
    assert_string_equal(Block.Module[1].Arguments, "");
}

static void a_module_without_a_name_gets_one(void **state)
{
    assert_null(BootAddModule(&Block, 0x400000, 0x400123, ""));
    assert_null(BootAddModule(&Block, 0x500000, 0x500123, "dir/ x"));
    assert_string_equal(Block.Module[0].Name, "module1");
    assert_string_equal(Block.Module[1].Name, "module2");
}

static void a_modules_long_line_is_cut(void **state)
{
    CHAR Line[600];

    memset(Line, 'n', sizeof(Line) - 1);
    Line[100] = ' ';
    Line[sizeof(Line) - 1] = 0;
    assert_null(BootAddModule(&Block, 0x400000, 0x400123, Line));
    assert_int_equal(strlen(Block.Module[0].Name), LOADER_NAME - 1);
    assert_int_equal(strlen(Block.Module[0].Arguments), sizeof(Block.Module[0].Arguments) - 1);
}

static void a_module_off_a_page_or_backwards_is_refused(void **state)
{
    assert_string_equal(BootAddModule(&Block, 0x400010, 0x400123, "a.sys"),
                        "Module 1 (a.sys) does not begin on a page, but at 0x400010.");
    assert_string_equal(BootAddModule(&Block, 0x400000, 0x3FFFFF, "b.sys"),
                        "Module 2 (b.sys) begins at 0x400000 but ends at 0x3fffff.");
}

static void one_module_too_many_is_refused(void **state)
{
    for (ULONG i = 0; i < LOADER_MAX_MODULES; i++)
        assert_null(BootAddModule(&Block, i * 0x1000, i * 0x1000 + 1, "a"));
    assert_non_null(BootAddModule(&Block, 0, 1, "a"));
    assert_int_equal(Block.ModuleCount, LOADER_MAX_MODULES);
}

static void modules_over_each_other_or_the_kernel_are_refused(void **state)
{
    Block.KernelBase = 0x200000;
    Block.KernelEnd = 0x300000;
    assert_null(BootAddModule(&Block, 0x300000, 0x302000, "a.sys"));
    assert_null(BootCheckModules(&Block));
    assert_null(BootAddModule(&Block, 0x301000, 0x301001, "b.sys"));
    assert_string_equal(BootCheckModules(&Block),
                        "Modules 1 (a.sys) and 2 (b.sys) were loaded over each other.");
    Block.ModuleCount = 1;
    Block.Module[0].Base = 0x2FF000;
    assert_string_equal(BootCheckModules(&Block), "Module 1 (a.sys) was loaded over the kernel.");
}

static void add_options_file(const CHAR *Name, const CHAR *Text)
{
    ULONG64 Base = 0x400000 + Block.ModuleCount * 0x1000;

    FakeMemory(Base, Text, (ULONG)strlen(Text));
    assert_null(BootAddModule(&Block, Base, Base + strlen(Text), Name));
}

static void words_from_options_txt_come_first_and_are_no_module(void **state)
{
    assert_null(BootAddModule(&Block, 0x300000, 0x300001, "a.sys"));
    add_options_file("(hd0,msdos1)/OPTIONS.TXT",
                     "\xEF\xBB\xBF# a comment\r\n/SOS\t/MAXMEM=64\r\n  # /PIC\r\n/3GB");
    assert_null(BootAddModule(&Block, 0x500000, 0x500001, "b.sys"));
    BootSetCommandLine(&Block, "/MAXMEM=128 /RUN");
    BootTakeOptions(&Block);
    assert_string_equal(Block.CommandLine, "/SOS /MAXMEM=64 /3GB /MAXMEM=128 /RUN");
    assert_int_equal(Block.ModuleCount, 2);
    assert_string_equal(Block.Module[1].Name, "b.sys");
}

static void an_empty_options_txt_changes_nothing(void **state)
{
    add_options_file("options.txt", "");
    add_options_file("options.txt.sys", "/NO");
    BootSetCommandLine(&Block, "/RUN");
    BootTakeOptions(&Block);
    assert_string_equal(Block.CommandLine, "/RUN");
    assert_int_equal(Block.ModuleCount, 1);
}

static void a_long_options_txt_is_cut_not_overrun(void **state)
{
    static CHAR Long[2 * LOADER_COMMAND_LINE];

    memset(Long, 'x', sizeof(Long) - 1);
    add_options_file("options.txt", Long);
    BootSetCommandLine(&Block, "/RUN");
    BootTakeOptions(&Block);
    assert_in_range(strlen(Block.CommandLine), LOADER_COMMAND_LINE - 2, LOADER_COMMAND_LINE - 1);
}

// ---- multiboot 1 --------------------------------------------------------------------------------

typedef struct PACKED {
    MULTIBOOT1_INFO Info;
    MULTIBOOT_FRAMEBUFFER Framebuffer;
    MULTIBOOT1_MODULE Module[2];
    MULTIBOOT1_MAP_ENTRY Map[3];
    CHAR CommandLine[32], Loader[8], Line[2][32];
} REPORT1;

#define AT(Field) (REPORT + (ULONG)offsetof(REPORT1, Field))

static const MULTIBOOT_FRAMEBUFFER Framebuffer = {
    .Address = 0xFD000000, .Pitch = 4096, .Width = 1024, .Height = 768, .BitsPerPixel = 32,
    .Type = MULTIBOOT_FRAMEBUFFER_RGB,
    .RedPosition = 16, .RedSize = 8, .GreenPosition = 8, .GreenSize = 8, .BlueSize = 8,
};

static REPORT1 *make_report1(void)
{
    REPORT1 *Made = (REPORT1 *)Report;

    *Made = (REPORT1){
        .Info = { .Flags = MULTIBOOT1_MAP | MULTIBOOT1_MODULES | MULTIBOOT1_COMMAND_LINE |
                           MULTIBOOT1_LOADER_NAME | MULTIBOOT1_FRAMEBUFFER,
                  .CommandLine = AT(CommandLine), .ModuleCount = 2, .Modules = AT(Module),
                  .MapLength = sizeof(Made->Map), .Map = AT(Map), .LoaderName = AT(Loader) },
        .Framebuffer = Framebuffer,
        .Module = { { 0x400000, 0x401000, AT(Line[0]), 0 },
                    { 0x500000, 0x500001, AT(Line[1]), 0 } },
        .Map = { { 20, 0, 0xA0000, 1 },
                 { 20, 0x100000, 0x3F00000, 1 },
                 { 20, 0x80000000, 0x1000, 2 } },
        .CommandLine = "lookaside.boot /RUN", .Loader = "qemu", .Line = { "a.sys one", "x/b.sys" },
    };
    return Made;
}

static const CHAR *parse1(ULONG Length)
{
    FakeMemory(REPORT, Report, Length);
    return BootParseMultiboot1(REPORT, &Block, &Map);
}

static void everything_multiboot_1_reports_arrives(void **state)
{
    make_report1();
    assert_null(parse1(sizeof(REPORT1)));
    assert_string_equal(Block.CommandLine, "/RUN");
    assert_string_equal(Block.LoaderName, "qemu");
    assert_int_equal(Block.ModuleCount, 2);
    assert_string_equal(Block.Module[0].Arguments, "one");
    assert_string_equal(Block.Module[1].Name, "b.sys");
    assert_int_equal(Map.Count, 3);
    assert_int_equal(Map.Range[1].End, 0x4000000);
    assert_int_equal(Block.Display.Type, LoaderDisplayFramebuffer);
    assert_int_equal(Block.Display.Width, 1024);
    assert_int_equal(Block.Display.RedPosition, 16);
}

static void without_a_map_the_two_sizes_count(void **state)
{
    REPORT1 *Made = make_report1();

    Made->Info.Flags = MULTIBOOT1_MEMORY;
    Made->Info.LowerKilobytes = 639;
    Made->Info.UpperKilobytes = 65536;
    assert_null(parse1(sizeof(Made->Info)));
    assert_int_equal(Map.Count, 2);
    assert_int_equal(Map.Range[0].End, 0x9F000);
    assert_int_equal(Map.Range[1].End, 0x4100000);
}

static void a_map_cut_short_ends_where_its_memory_ends(void **state)
{
    make_report1();
    assert_non_null(BootParseMultiboot1(REPORT, &Block, &Map));
    assert_null(parse1(offsetof(REPORT1, Map[1])));
    assert_int_equal(Map.Count, 1);
}

static void a_map_entry_of_no_size_ends_the_map(void **state)
{
    make_report1()->Map[1].Size = 0;
    assert_null(parse1(sizeof(REPORT1)));
    assert_int_equal(Map.Count, 1);
}

static void a_module_list_outside_memory_is_refused(void **state)
{
    make_report1()->Info.Modules = 0x7FFFFFFF;
    assert_non_null(parse1(sizeof(REPORT1)));
}

// ---- display ------------------------------------------------------------------------------------

static ULONG display_type(const MULTIBOOT_FRAMEBUFFER *Given)
{
    memset(&Block.Display, 0, sizeof(Block.Display));
    BootSetFramebuffer(&Block, Given, sizeof(*Given));
    return Block.Display.Type;
}

static void a_framebuffer_that_makes_no_sense_is_none(void **state)
{
    MULTIBOOT_FRAMEBUFFER Good = Framebuffer, Bad;

    assert_int_equal(display_type(&Good), LoaderDisplayFramebuffer);
    Bad = Good, Bad.Address = 0;
    assert_int_equal(display_type(&Bad), LoaderDisplayNone);
    Bad = Good, Bad.Pitch = 4095;
    assert_int_equal(display_type(&Bad), LoaderDisplayNone);
    Bad = Good, Bad.BitsPerPixel = 8;
    assert_int_equal(display_type(&Bad), LoaderDisplayNone);
    Bad = Good, Bad.Width = 0;
    assert_int_equal(display_type(&Bad), LoaderDisplayNone);
    Bad = Good, Bad.Height = 0xFFFFFFFF;
    assert_int_equal(display_type(&Bad), LoaderDisplayNone);
    Bad = Good, Bad.Type = MULTIBOOT_FRAMEBUFFER_INDEXED, Bad.BitsPerPixel = 8;
    assert_int_equal(display_type(&Bad), LoaderDisplayFramebuffer);  // 256 colours
    Bad = Good, Bad.Type = MULTIBOOT_FRAMEBUFFER_INDEXED;
    assert_int_equal(display_type(&Bad), LoaderDisplayNone);
}

static void colours_that_make_no_sense_become_the_usual_ones(void **state)
{
    MULTIBOOT_FRAMEBUFFER Odd = Framebuffer;

    Odd.RedSize = 0;
    assert_int_equal(display_type(&Odd), LoaderDisplayFramebuffer);
    assert_int_equal(Block.Display.RedSize, 8);
    Odd.BitsPerPixel = 16;
    assert_int_equal(display_type(&Odd), LoaderDisplayFramebuffer);
    assert_int_equal(Block.Display.RedPosition, 11);
    assert_int_equal(Block.Display.GreenSize, 6);
}

static void a_silent_loader_on_a_bios_machine_leaves_vga_text(void **state)
{
    UCHAR *Mode = FakeMemory(0x449, NULL, 1);

    BootSetDefaultDisplay(&Block);
    assert_int_equal(Block.Display.Type, LoaderDisplayNone);
    *Mode = 3;
    BootSetDefaultDisplay(&Block);
    assert_int_equal(Block.Display.Type, LoaderDisplayText);
    assert_int_equal(Block.Display.Base, 0xB8000);
    assert_int_equal(Block.Display.Width, 80);
}

// ---- multiboot 2 --------------------------------------------------------------------------------

static void tag(ULONG Type, const void *Bytes, ULONG Length)
{
    MULTIBOOT2_TAG Head = { Type, (ULONG)sizeof(Head) + Length };

    memcpy(Report + ReportLength, &Head, sizeof(Head));
    memcpy(Report + ReportLength + sizeof(Head), Bytes, Length);
    ReportLength = (ReportLength + Head.Size + 7) & ~7u;
}

static void module_tag(ULONG Start, ULONG End, const CHAR *Line)
{
    struct {
        ULONG Start, End;
        CHAR Line[64];
    } Body = { Start, End, "" };

    strcpy(Body.Line, Line);
    tag(Multiboot2Module, &Body, 8 + (ULONG)strlen(Line) + 1);
}

static const CHAR *parse2(void)
{
    MULTIBOOT2_INFO Head = { ReportLength, 0 };

    memcpy(Report, &Head, sizeof(Head));
    FakeMemory(REPORT, Report, ReportLength);
    return BootParseMultiboot2(REPORT, &Block, &Map);
}

static void end_and_parse2(void)
{
    tag(Multiboot2End, "", 0);
    assert_null(parse2());
}

static void vga_text_needs_no_colours(void **state)
{
    MULTIBOOT_FRAMEBUFFER Text = { .Address = 0xB8000, .Type = MULTIBOOT_FRAMEBUFFER_TEXT };

    tag(Multiboot2Framebuffer, &Text, MULTIBOOT_FRAMEBUFFER_HEAD);
    end_and_parse2();
    assert_int_equal(Block.Display.Type, LoaderDisplayText);
}

// 64-bit BARs put video memory there; what no processor addresses is no display.
static void a_framebuffer_may_lie_above_4_gib(void **state)
{
    MULTIBOOT_FRAMEBUFFER High = Framebuffer;

    High.Address = 0x3812345000;
    tag(Multiboot2Framebuffer, &High, sizeof(High));
    end_and_parse2();
    assert_int_equal(Block.Display.Type, LoaderDisplayFramebuffer);
    assert_int_equal(Block.Display.Base, 0x3812345000);
    High.Address = BOOT_MAX_PHYSICAL;
    assert_int_equal(display_type(&High), LoaderDisplayNone);
}

static void everything_multiboot_2_reports_arrives(void **state)
{
    static const ULONG64 SystemTable = 0x123456789A;
    static const struct {
        MULTIBOOT2_MAP Head;
        MULTIBOOT2_MAP_ENTRY Entry[2];
    } Ranges = { { 24, 0 }, { { 0, 0xA0000, 1, 0 }, { 0x100000, 0x3F00000, 1, 0 } } };

    tag(Multiboot2CommandLine, "/RUN", 5);
    tag(Multiboot2LoaderName, "GRUB 2.06", 10);
    tag(Multiboot2Map, &Ranges, sizeof(Ranges));
    tag(Multiboot2Framebuffer, &Framebuffer, sizeof(Framebuffer));
    tag(Multiboot2EfiTable64, &SystemTable, sizeof(SystemTable));
    module_tag(0x400000, 0x401000, "a.sys one");
    tag(99, "unknown", 7);
    module_tag(0x500000, 0x500001, "");
    end_and_parse2();
    assert_string_equal(Block.CommandLine, "/RUN");
    assert_string_equal(Block.LoaderName, "GRUB 2.06");
    assert_int_equal(Block.EfiSystemTable, SystemTable);
    assert_int_equal(Block.Display.Height, 768);
    assert_int_equal(Block.Display.GreenPosition, 8);
    assert_int_equal(Map.Count, 2);
    assert_int_equal(Block.ModuleCount, 2);
    assert_string_equal(Block.Module[1].Name, "module2");
}

static void map_entries_may_grow(void **state)
{
    static const struct {
        ULONG Size, Version;
        struct {
            MULTIBOOT2_MAP_ENTRY Known;
            ULONG64 More;
        } Entry[2];
    } Ranges = { 32, 1, { { { 0, 0x1000, 1, 0 }, 9 }, { { 0x2000, 0x1000, 2, 0 }, 9 } } };

    tag(Multiboot2Map, &Ranges, sizeof(Ranges));
    end_and_parse2();
    assert_int_equal(Map.Count, 2);
    assert_int_equal(Map.Range[1].Base, 0x2000);
}

static void a_map_with_entries_too_small_is_no_map(void **state)
{
    static const ULONG Ranges[12] = { 0 };

    tag(Multiboot2Map, Ranges, sizeof(Ranges));
    end_and_parse2();
    assert_int_equal(Map.Count, 0);
}

static void the_efi_map_counts_where_there_is_no_other(void **state)
{
    static const struct {
        MULTIBOOT2_MAP Head;
        EFI_MEMORY Entry[4];
    } Ranges = { { sizeof(EFI_MEMORY), 1 },
                 { { 7, 0, 0x100000, 0, 16, 0 }, { 5, 0, 0x200000, 0, 1, 0 },
                   { 9, 0, 0x300000, 0, 1, 0 }, { 4, 0, 0x400000, 0, ~0ull, 0 } } };

    tag(Multiboot2EfiMap, &Ranges, sizeof(Ranges));
    end_and_parse2();
    assert_int_equal(Map.Count, 4);
    assert_int_equal(Map.Range[0].Type, LoaderMemoryFree);
    assert_int_equal(Map.Range[0].End, 0x110000);
    assert_int_equal(Map.Range[1].Type, LoaderMemoryReserved);
    assert_int_equal(Map.Range[2].Type, LoaderMemoryFirmware);
    assert_int_equal(Map.Range[3].End, BOOT_MAX_PHYSICAL);
}

static void a_report_without_an_end_is_refused(void **state)
{
    tag(Multiboot2CommandLine, "/RUN", 5);
    assert_string_equal(parse2(), "The boot loader's information is damaged at byte 24 of 24.");
}

static void a_tag_longer_than_the_report_is_refused(void **state)
{
    MULTIBOOT2_TAG *Tag = (MULTIBOOT2_TAG *)(Report + ReportLength);

    tag(Multiboot2CommandLine, "/RUN", 5);
    tag(Multiboot2End, "", 0);
    Tag->Size = 0xFFFFFFF8;
    assert_non_null(parse2());
    assert_string_equal(Block.CommandLine, "");
}

static void a_report_nowhere_is_refused(void **state)
{
    assert_non_null(BootParseMultiboot2(0, &Block, &Map));
    assert_non_null(BootParseMultiboot2(REPORT, &Block, &Map));
    assert_non_null(BootParseMultiboot1(0, &Block, &Map));
}

// ---- ACPI ---------------------------------------------------------------------------------------

static void make_rsdp(UCHAR *Rsdp, UCHAR Revision)
{
    memset(Rsdp, 0, LOADER_RSDP);
    memcpy(Rsdp, "RSD PTR ", 8);
    Rsdp[15] = Revision;
    for (ULONG i = 0; i < 20; i++)
        Rsdp[8] -= i == 8 ? 0 : Rsdp[i];
    if (Revision < 2)
        return;
    Rsdp[20] = LOADER_RSDP;
    Rsdp[32] = (UCHAR)-LOADER_RSDP;
}

static void the_newest_rsdp_a_loader_passes_is_copied(void **state)
{
    UCHAR Old[LOADER_RSDP], New[LOADER_RSDP];

    make_rsdp(Old, 0);
    make_rsdp(New, 2);
    tag(Multiboot2RsdpOld, Old, 20);
    tag(Multiboot2RsdpNew, New, 36);
    end_and_parse2();
    assert_int_equal(Block.RsdpAddress, (ULONG_PTR)Block.Rsdp);
    assert_memory_equal(Block.Rsdp, New, LOADER_RSDP);
}

static void a_damaged_rsdp_gives_way_to_the_other(void **state)
{
    UCHAR Old[LOADER_RSDP], New[LOADER_RSDP];

    make_rsdp(Old, 0);
    make_rsdp(New, 2);
    New[30] ^= 1;
    tag(Multiboot2RsdpOld, Old, 20);
    tag(Multiboot2RsdpNew, New, 36);
    end_and_parse2();
    assert_memory_equal(Block.Rsdp, Old, 20);
}

static void a_bios_machines_rsdp_is_found_in_its_two_places(void **state)
{
    static const USHORT Segment = 0x9FC0;
    UCHAR *Ebda = FakeMemory(0x9FC00, NULL, 1024), *Bios = FakeMemory(0xE0000, NULL, 0x20000);

    FakeMemory(0x40E, &Segment, sizeof(Segment));
    BootFindRsdp(&Block);
    assert_int_equal(Block.RsdpAddress, 0);
    make_rsdp(Bios + 0x1FFD0, 0);
    BootFindRsdp(&Block);
    assert_int_equal(Block.RsdpAddress, 0xFFFD0);
    Block.RsdpAddress = 0;
    make_rsdp(Ebda + 0x20, 2);
    BootFindRsdp(&Block);
    assert_int_equal(Block.RsdpAddress, 0x9FC20);
}

static void an_rsdp_in_the_last_20_bytes_of_the_bios_is_found(void **state)
{
    UCHAR *Bios = FakeMemory(0xE0000, NULL, 0x20000), Rsdp[LOADER_RSDP];

    make_rsdp(Rsdp, 0);
    memcpy(Bios + 0x1FFE0, Rsdp, 20);
    BootFindRsdp(&Block);
    assert_int_equal(Block.RsdpAddress, 0xFFFE0);
}

static void an_efi_machine_is_not_searched_for_an_rsdp(void **state)
{
    make_rsdp(FakeMemory(0xE0000, NULL, 0x20000), 2);
    Block.EfiSystemTable = 1;
    BootFindRsdp(&Block);
    assert_int_equal(Block.RsdpAddress, 0);
}

#define TEST(Name) cmocka_unit_test_setup_teardown(Name, empty, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_kernels_file_name_is_no_option),
        TEST(a_first_word_that_is_an_option_is_kept),
        TEST(a_long_command_line_is_cut_not_overrun),
        TEST(a_numeric_option_is_found_in_any_case_and_base),
        TEST(what_is_no_number_or_only_part_of_a_word_is_no_option),
        TEST(messages_are_formatted_and_cut),
        TEST(a_modules_line_is_split_into_name_and_arguments),
        TEST(a_module_without_a_name_gets_one),
        TEST(a_modules_long_line_is_cut),
        TEST(a_module_off_a_page_or_backwards_is_refused),
        TEST(one_module_too_many_is_refused),
        TEST(modules_over_each_other_or_the_kernel_are_refused),
        TEST(words_from_options_txt_come_first_and_are_no_module),
        TEST(an_empty_options_txt_changes_nothing),
        TEST(a_long_options_txt_is_cut_not_overrun),
        TEST(everything_multiboot_1_reports_arrives),
        TEST(without_a_map_the_two_sizes_count),
        TEST(a_map_cut_short_ends_where_its_memory_ends),
        TEST(a_map_entry_of_no_size_ends_the_map),
        TEST(a_module_list_outside_memory_is_refused),
        TEST(a_framebuffer_that_makes_no_sense_is_none),
        TEST(colours_that_make_no_sense_become_the_usual_ones),
        TEST(vga_text_needs_no_colours),
        TEST(a_framebuffer_may_lie_above_4_gib),
        TEST(a_silent_loader_on_a_bios_machine_leaves_vga_text),
        TEST(everything_multiboot_2_reports_arrives),
        TEST(map_entries_may_grow),
        TEST(a_map_with_entries_too_small_is_no_map),
        TEST(the_efi_map_counts_where_there_is_no_other),
        TEST(a_report_without_an_end_is_refused),
        TEST(a_tag_longer_than_the_report_is_refused),
        TEST(a_report_nowhere_is_refused),
        TEST(the_newest_rsdp_a_loader_passes_is_copied),
        TEST(a_damaged_rsdp_gives_way_to_the_other),
        TEST(a_bios_machines_rsdp_is_found_in_its_two_places),
        TEST(an_rsdp_in_the_last_20_bytes_of_the_bios_is_found),
        TEST(an_efi_machine_is_not_searched_for_an_rsdp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
