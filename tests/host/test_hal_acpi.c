// SPDX-License-Identifier: MIT
// Links: kernel/hal/acpi.c
//
// What ACPI's tables say arrives in HALP_ACPI; what is damaged or makes no sense does not.
#include "acpi_image.h"

#include <cmocka.h>

#define IMAGE_SIZE 0x4000u
#define ROOT       0x100u
#define XSDT       0x200u
#define RSDT       0x300u
#define TABLES     0x400u

static UCHAR Image[IMAGE_SIZE];
static HALP_ACPI Acpi;
static ULONG NextTable, TableCount;

static void put(ULONG Address, ULONG64 Value, ULONG Size)
{
    memcpy(Image + Address, &Value, Size);
}

static void seal(ULONG Address, ULONG Length, ULONG Checksum)
{
    repair(Image + Address, Length, Checksum);
}

static void make_header(ULONG Address, const char *Signature, ULONG Length, UCHAR Revision)
{
    memcpy(Image + Address, Signature, 4);
    put(Address + 4, Length, 4);
    Image[Address + 8] = Revision;
    seal(Address, Length, 9);
}

// Room for a table, listed in both root tables. Its address.
static ULONG new_table(const char *Signature, ULONG Length, UCHAR Revision)
{
    ULONG Address = NextTable;
    NextTable += (Length + 63) & ~63u;
    put(XSDT + 36 + 8 * TableCount, Address, 8);
    put(RSDT + 36 + 4 * TableCount, Address, 4);
    TableCount++;
    make_header(Address, Signature, Length, Revision);
    return Address;
}

static void make_root(UCHAR Revision)
{
    memcpy(Image + ROOT, "RSD PTR ", 8);
    Image[ROOT + 15] = Revision;
    put(ROOT + 16, RSDT, 4);
    put(ROOT + 20, 36, 4);
    put(ROOT + 24, XSDT, 8);
    seal(ROOT, 20, 8);
    seal(ROOT, 36, 32);
    make_header(XSDT, "XSDT", 36 + 8 * TableCount, 1);
    make_header(RSDT, "RSDT", 36 + 4 * TableCount, 1);
}

static int empty(void **state)
{
    memset(Image, 0, sizeof(Image));
    memset(&Acpi, 0xAA, sizeof(Acpi));
    Memory = Image;
    MemorySize = sizeof(Image);
    NextTable = TABLES;
    TableCount = Mappings = 0;
    return 0;
}

static int all_unmapped(void **state)
{
    assert_int_equal(Mappings, 0);
    return 0;
}

static void load(void)
{
    make_root(2);
    assert_true(HalpAcpiLoad(&Acpi, ROOT));
}

// ---- root ---------------------------------------------------------------------------------------

static void no_root_pointer_is_no_acpi(void **state)
{
    assert_false(HalpAcpiLoad(&Acpi, 0));
    assert_false(HalpAcpiLoad(&Acpi, ROOT));
    assert_false(HalpAcpiLoad(&Acpi, IMAGE_SIZE + 1));
    assert_int_equal(Acpi.TableCount, 0);
    assert_false(Acpi.HasMadt);
}

static void a_damaged_root_pointer_is_no_acpi(void **state)
{
    make_root(2);
    Image[ROOT + 17] ^= 1;
    assert_false(HalpAcpiLoad(&Acpi, ROOT));
}

static void an_old_root_pointer_leads_to_the_rsdt(void **state)
{
    new_table("HPET", 56, 1);
    make_root(0);
    Image[XSDT] = 'Y';
    assert_true(HalpAcpiLoad(&Acpi, ROOT));
    assert_int_equal(Acpi.TableCount, 1);
}

static void a_damaged_xsdt_leads_to_the_rsdt(void **state)
{
    new_table("HPET", 56, 1);
    make_root(2);
    Image[XSDT + 20] ^= 0x40;
    assert_true(HalpAcpiLoad(&Acpi, ROOT));
    assert_int_equal(Acpi.TableCount, 1);
}

static void a_table_with_a_bad_checksum_is_passed_over(void **state)
{
    ULONG Hpet = new_table("HPET", 56, 1);
    put(Hpet + 44, 0xFED00000, 8);  // not sealed again
    new_table("WAET", 40, 1);
    load();
    assert_int_equal(Acpi.TableCount, 1);
    assert_string_equal(Acpi.Table[0].Signature, "WAET");
    assert_int_equal(Acpi.HpetAddress, 0);
}

static void a_table_of_absurd_length_is_passed_over(void **state)
{
    static const ULONG Lengths[] = {0, 8, 35, ACPI_MAX_LENGTH + 1, 0xFFFFFFFF};
    for (ULONG i = 0; i < RTL_NUMBER_OF(Lengths); i++)
        put(new_table("APIC", 64, 1) + 4, Lengths[i], 4);
    load();
    assert_int_equal(Acpi.TableCount, 0);
}

// ---- MADT ---------------------------------------------------------------------------------------

static ULONG add_entry(ULONG Address, const UCHAR *Entry)
{
    memcpy(Image + Address, Entry, Entry[1]);
    return Address + Entry[1];
}

static ULONG make_madt(ULONG Length)
{
    ULONG Madt = new_table("APIC", Length, 3);
    put(Madt + 36, 0xFEE00000, 4);
    put(Madt + 40, 1, 4);
    return Madt;
}

static void the_madt_describes_the_interrupt_controllers(void **state)
{
    ULONG Madt = make_madt(44 + 8 + 8 + 12 + 10 + 8 + 6), At = Madt + 44;
    At = add_entry(At, (UCHAR[]){0, 8, 0, 5, 1, 0, 0, 0});
    At = add_entry(At, (UCHAR[]){0, 8, 1, 6, 0, 0, 0, 0});  // not enabled
    At = add_entry(At, (UCHAR[]){1, 12, 9, 0, 0, 0, 0xC0, 0xFE, 24, 0, 0, 0});
    At = add_entry(At, (UCHAR[]){2, 10, 0, 9, 20, 0, 0, 0, 0x0F, 0});
    At = add_entry(At, (UCHAR[]){3, 8, 5, 0, 23, 0, 0, 0});
    At = add_entry(At, (UCHAR[]){4, 6, 0xFF, 5, 0, 1});
    seal(Madt, At - Madt, 9);
    load();
    assert_true(Acpi.HasMadt && Acpi.HasLegacyPics);
    assert_int_equal(Acpi.LocalApicAddress, 0xFEE00000);
    assert_int_equal(Acpi.ProcessorCount, 1);
    assert_int_equal(Acpi.ApicId[0], 5);
    assert_int_equal(Acpi.IoApicCount, 1);
    assert_int_equal(Acpi.IoApic[0].Address, 0xFEC00000);
    assert_int_equal(Acpi.IoApic[0].GsiBase, 24);
    assert_int_equal(Acpi.OverrideCount, 1);
    assert_int_equal(Acpi.Override[0].Source, 9);
    assert_int_equal(Acpi.Override[0].Gsi, 20);
    assert_int_equal(Acpi.Override[0].Flags, ACPI_ACTIVE_LOW | ACPI_LEVEL);
    assert_int_equal(Acpi.NmiCount, 2);
    assert_int_equal(Acpi.Nmi[0].Input, 23);
    assert_true(Acpi.Nmi[1].Local && Acpi.Nmi[1].Input == 1);
}

static void apic_ids_above_255_and_gaps_are_kept(void **state)
{
    ULONG Madt = make_madt(44 + 2 * 8 + 3 * 16), At = Madt + 44;
    At = add_entry(At, (UCHAR[]){0, 8, 0, 0, 1, 0, 0, 0});
    At = add_entry(At, (UCHAR[]){0, 8, 1, 0xFE, 1, 0, 0, 0});
    At = add_entry(At, (UCHAR[]){9, 16, 0, 0, 0x2C, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0});
    At = add_entry(At, (UCHAR[]){9, 16, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0});  // not enabled
    At = add_entry(At, (UCHAR[]){9, 16, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 4, 0, 0, 0});
    seal(Madt, At - Madt, 9);
    load();
    assert_int_equal(Acpi.ProcessorCount, 4);
    assert_int_equal(Acpi.ApicId[1], 0xFE);
    assert_int_equal(Acpi.ApicId[2], 300);
    assert_int_equal(Acpi.ApicId[3], 0x10000);
}

static void a_processor_that_is_listed_twice_or_is_nobody_counts_once_or_not(void **state)
{
    ULONG Madt = make_madt(44 + 2 * 8 + 2 * 16), At = Madt + 44;
    At = add_entry(At, (UCHAR[]){0, 8, 0, 4, 1, 0, 0, 0});
    At = add_entry(At, (UCHAR[]){0, 8, 1, 0xFF, 1, 0, 0, 0});
    At = add_entry(At, (UCHAR[]){9, 16, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
    At = add_entry(At,
                   (UCHAR[]){9, 16, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 9, 0, 0, 0});
    seal(Madt, At - Madt, 9);
    load();
    assert_int_equal(Acpi.ProcessorCount, 1);
    assert_int_equal(Acpi.ApicId[0], 4);
}

static void the_madt_may_move_the_local_apics_above_4_gib(void **state)
{
    ULONG Madt = make_madt(44 + 12);
    add_entry(Madt + 44, (UCHAR[]){5, 12, 0, 0, 0, 0, 0, 0xD0, 0x12, 0, 0, 0});
    seal(Madt, 56, 9);
    load();
    assert_int_equal(Acpi.LocalApicAddress, 0x12D0000000);
}

static void an_entry_without_length_ends_the_madt(void **state)
{
    ULONG Madt = make_madt(44 + 32);
    add_entry(Madt + 44, (UCHAR[]){0, 8, 0, 5, 1, 0, 0, 0});
    Image[Madt + 52] = 0;
    Image[Madt + 53] = 0;
    seal(Madt, 76, 9);
    load();
    assert_int_equal(Acpi.ProcessorCount, 1);
}

static void an_entry_that_ends_outside_the_madt_is_ignored(void **state)
{
    ULONG Madt = make_madt(44 + 6);
    Image[Madt + 44] = 1;
    Image[Madt + 45] = 12;
    seal(Madt, 50, 9);
    load();
    assert_int_equal(Acpi.IoApicCount, 0);
}

static void more_entries_than_there_is_room_for_are_dropped(void **state)
{
    ULONG Madt = make_madt(44 + 12 * 40), At = Madt + 44;
    for (UCHAR i = 0; i < 40; i++)
        At = add_entry(At, (UCHAR[]){1, 12, i, 0, 0, 0, 0xC0, 0xFE, i, 0, 0, 0});
    seal(Madt, At - Madt, 9);
    load();
    assert_int_equal(Acpi.IoApicCount, ACPI_MAX_IO_APICS);
}

// ---- FADT and DSDT ------------------------------------------------------------------------------

static ULONG make_fadt(ULONG Length, UCHAR Revision)
{
    ULONG Fadt = new_table("FACP", Length, Revision);
    put(Fadt + 46, 9, 2);
    put(Fadt + 64, 0x604, 4);
    put(Fadt + 76, 0x608, 4);
    put(Fadt + 112, 1u << 8 | 1u << 10, 4);
    return Fadt;
}

static void the_fadt_names_timer_reset_and_power_register(void **state)
{
    ULONG Fadt = make_fadt(268, 5);
    put(Fadt + 108, 0x32, 1);
    put(Fadt + 109, ACPI_BOOT_8042 | ACPI_BOOT_NO_VGA, 2);
    put(Fadt + 116, ACPI_SPACE_IO, 1);
    put(Fadt + 120, 0xCF9, 8);
    put(Fadt + 128, 6, 1);
    seal(Fadt, 268, 9);
    load();
    assert_true(Acpi.HasFadt && Acpi.PmTimerWide);
    assert_int_equal(Acpi.PmTimerPort, 0x608);
    assert_int_equal(Acpi.Pm1aControl.Address, 0x604);
    assert_int_equal(Acpi.Pm1bControl.Address, 0);
    assert_int_equal(Acpi.Reset.Address, 0xCF9);
    assert_int_equal(Acpi.ResetValue, 6);
    assert_int_equal(Acpi.Century, 0x32);
    assert_int_equal(Acpi.SciInterrupt, 9);
    assert_int_equal(Acpi.BootFlags, ACPI_BOOT_8042 | ACPI_BOOT_NO_VGA);
}

static void an_old_fadt_has_an_i8042_and_no_fields_behind_its_end(void **state)
{
    ULONG Fadt = make_fadt(116, 1);
    seal(Fadt, 116, 9);
    load();
    assert_int_equal(Acpi.BootFlags, ACPI_BOOT_8042);
    assert_int_equal(Acpi.Reset.Address, 0);
    assert_int_equal(Acpi.Pm1aControl.Address, 0x604);
}

static void load_with_dsdt(const UCHAR *Aml, ULONG Length)
{
    ULONG Fadt = make_fadt(268, 3), Dsdt = NextTable;
    put(Fadt + 140, Dsdt, 8);
    seal(Fadt, 268, 9);
    memcpy(Image + Dsdt + ACPI_HEADER_LENGTH, Aml, Length);
    make_header(Dsdt, "DSDT", ACPI_HEADER_LENGTH + Length, 2);
    load();
}

static void s5_is_found_by_its_name(void **state)
{
    static const UCHAR Aml[] = {0x10, 0x20, '\\', 0x08, '_',  'S',  '5',  '_',
                                0x12, 0x08, 0x04, 0x0A, 0x05, 0x01, 0x00, 0x00};
    load_with_dsdt(Aml, sizeof(Aml));
    assert_true(Acpi.HasS5);
    assert_int_equal(Acpi.S5TypeA, 5);
    assert_int_equal(Acpi.S5TypeB, 1);
}

static void s5_with_a_root_prefix_and_a_long_package_length_is_found(void **state)
{
    static const UCHAR Aml[] = {0x00, 0x08, '\\', '_',  'S',  '5',  '_',  0x12, 0x4A, 0x00,
                                0x02, 0x0B, 0x07, 0x00, 0x0C, 0x06, 0x00, 0x00, 0x00};
    load_with_dsdt(Aml, sizeof(Aml));
    assert_true(Acpi.HasS5);
    assert_int_equal(Acpi.S5TypeA, 7);
    assert_int_equal(Acpi.S5TypeB, 6);
}

static void s5_as_a_method_or_cut_off_is_none(void **state)
{
    static const UCHAR Method[] = {0x14, 0x08, '_', 'S', '5', '_', 0x00, 0xA4, 0x00, 0x00};
    static const UCHAR Cut[] = {0x00, 0x08, '_', 'S', '5', '_', 0x12, 0xC6, 0x04, 0x0A};
    load_with_dsdt(Method, sizeof(Method));
    assert_false(Acpi.HasS5);
    empty(state);
    load_with_dsdt(Cut, sizeof(Cut));
    assert_false(Acpi.HasS5);
}

#define TEST(Name) cmocka_unit_test_setup_teardown(Name, empty, all_unmapped)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_root_pointer_is_no_acpi),
        TEST(a_damaged_root_pointer_is_no_acpi),
        TEST(an_old_root_pointer_leads_to_the_rsdt),
        TEST(a_damaged_xsdt_leads_to_the_rsdt),
        TEST(a_table_with_a_bad_checksum_is_passed_over),
        TEST(a_table_of_absurd_length_is_passed_over),
        TEST(the_madt_describes_the_interrupt_controllers),
        TEST(apic_ids_above_255_and_gaps_are_kept),
        TEST(a_processor_that_is_listed_twice_or_is_nobody_counts_once_or_not),
        TEST(the_madt_may_move_the_local_apics_above_4_gib),
        TEST(an_entry_without_length_ends_the_madt),
        TEST(an_entry_that_ends_outside_the_madt_is_ignored),
        TEST(more_entries_than_there_is_room_for_are_dropped),
        TEST(the_fadt_names_timer_reset_and_power_register),
        TEST(an_old_fadt_has_an_i8042_and_no_fields_behind_its_end),
        TEST(s5_is_found_by_its_name),
        TEST(s5_with_a_root_prefix_and_a_long_package_length_is_found),
        TEST(s5_as_a_method_or_cut_off_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
