// SPDX-License-Identifier: MIT
// Links: kernel/hal/power.c
//
// Reset and power off on machines that heed one way only: each way is tried, in order, with the
// values that it needs, until the machine is gone.
#include "kernel/hal/halp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;
HALP_ACPI HalpAcpi;

static char Events[2048];  // everything that was done, in words
static const char *Heeded; // the last of them that this machine needs; NULL: it heeds nothing
static jmp_buf Gone;
static BOOLEAN Keyboard, Hypervisor, AcpiMode, Deaf;
static UCHAR Memory[8];

static void happen(const char *Format, ...)
{
    SIZE_T Used = strlen(Events);
    va_list Arguments;
    va_start(Arguments, Format);
    vsnprintf(Events + Used, sizeof(Events) - Used, Format, Arguments);
    va_end(Arguments);
    if (Heeded != NULL && strcmp(Events + Used, Heeded) == 0)
        longjmp(Gone, 1);
    assert_true(strlen(Events) + 64 < sizeof(Events));
}

// ---- the machine --------------------------------------------------------------------------------

VOID HostOut(USHORT Port, ULONG Bytes, ULONG Value)
{
    if (Port == HalpAcpi.SmiCommand && Value == HalpAcpi.AcpiEnable && !Deaf)
        AcpiMode = TRUE;
    happen("%x=%x.%u ", Port, Value, Bytes);
}

ULONG HostIn(USHORT Port, ULONG Bytes)
{
    if (Port == 0xCF9)
        return 0x09;
    if (Port == HalpAcpi.Pm1aControl.Address)
        return 0x3C00u | AcpiMode; // another sleep type is still in it
    return 0;
}

VOID HostCpuid(ULONG Leaf, ULONG Registers[4])
{
    Registers[2] = Leaf == 1 && Hypervisor ? 0x80000000u : 0;
}

VOID HostStop(const char *How)
{
    happen("%s", How);
    longjmp(Gone, 1);
}

VOID HalStallExecution(ULONG Microseconds)
{
    if (Memory[0] != 0) {
        UCHAR Value = Memory[0];
        Memory[0] = 0;
        happen("memory=%x ", Value);
    }
}

PVOID HalMapPhysical(ULONG64 Address, SIZE_T Length, BOOLEAN Cached)
{
    assert_false(Cached);
    return Address == 0xFED40000 ? Memory : NULL;
}

ULONG HalWritePci(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, const VOID *Buffer,
                  ULONG Length)
{
    happen("PCI %u:%u.%u %x=%x.%u ", Bus, Device, Function, Offset, *(const UCHAR *)Buffer, Length);
    return Length;
}

BOOLEAN HalpKeyboardController(UCHAR Command)
{
    if (Keyboard)
        happen("i8042=%x ", Command);
    return Keyboard;
}

static int power_on(void **state)
{
    memset(&HalpAcpi, 0, sizeof(HalpAcpi));
    memset(Memory, 0, sizeof(Memory));
    Events[0] = '\0';
    Heeded = NULL;
    Keyboard = TRUE;
    Hypervisor = AcpiMode = Deaf = FALSE;
    return 0;
}

// Whether the machine went away at the event that it heeds, and what had happened until then.
static BOOLEAN goes(const char *Event, VOID (*End)(VOID))
{
    Heeded = Event;
    if (setjmp(Gone) != 0)
        return Event == NULL || strcmp(Events + strlen(Events) - strlen(Event), Event) == 0;
    End();
    return FALSE;
}

static VOID reboot(VOID)
{
    HalReboot();
}

// ---- reset --------------------------------------------------------------------------------------

static void the_register_that_firmware_names_comes_first(void **state)
{
    HalpAcpi.Reset = (ACPI_REGISTER){ACPI_SPACE_IO, 8, 0x64};
    HalpAcpi.ResetValue = 0xFE;
    assert_true(goes("64=fe.1 ", reboot));
    assert_string_equal(Events, "64=fe.1 ");
}

static void it_may_be_in_memory(void **state)
{
    HalpAcpi.Reset = (ACPI_REGISTER){ACPI_SPACE_MEMORY, 8, 0xFED40000};
    HalpAcpi.ResetValue = 0x0E;
    assert_true(goes("memory=e ", reboot));
}

static void it_may_be_in_pci_configuration_space(void **state)
{
    HalpAcpi.Reset = (ACPI_REGISTER){ACPI_SPACE_PCI, 8, 31ull << 32 | 3ull << 16 | 0xAC};
    HalpAcpi.ResetValue = 1;
    assert_true(goes("PCI 0:31.3 ac=1.1 ", reboot));
}

static void the_chipset_is_next(void **state)
{
    HalpAcpi.Reset = (ACPI_REGISTER){ACPI_SPACE_IO, 8, 0x92};
    assert_true(goes("cf9=f.1 ", reboot));
    assert_string_equal(Events, "92=0.1 cf9=b.1 cf9=f.1 "); // other bits kept, both steps
}

static void then_the_keyboard_controller(void **state)
{
    assert_true(goes("i8042=fe ", reboot));
    assert_string_equal(Events, "cf9=b.1 cf9=f.1 i8042=fe ");
}

static void a_triple_fault_is_last(void **state)
{
    Keyboard = FALSE;
    assert_true(goes(NULL, reboot));
    assert_string_equal(Events, "cf9=b.1 cf9=f.1 triple fault");
}

static void a_reset_register_that_cannot_be_reached_is_passed_over(void **state)
{
    HalpAcpi.Reset = (ACPI_REGISTER){ACPI_SPACE_IO, 8, 0x12345};
    assert_true(goes("i8042=fe ", reboot));
    power_on(state);
    HalpAcpi.Reset = (ACPI_REGISTER){ACPI_SPACE_MEMORY, 8, 0x1000}; // not mapped
    assert_true(goes("i8042=fe ", reboot));
    power_on(state);
    HalpAcpi.Reset = (ACPI_REGISTER){0x7F, 8, 0x1000};
    assert_true(goes("i8042=fe ", reboot));
}

// ---- power off ----------------------------------------------------------------------------------

static void give_s5(UCHAR TypeA, UCHAR TypeB)
{
    HalpAcpi.HasS5 = TRUE;
    HalpAcpi.S5TypeA = TypeA;
    HalpAcpi.S5TypeB = TypeB;
}

static void pm1_gets_the_type_and_then_the_order(void **state)
{
    give_s5(5, 0);
    HalpAcpi.Pm1aControl = (ACPI_REGISTER){ACPI_SPACE_IO, 16, 0x604};
    assert_true(goes("604=3400.2 ", HalPowerOff));
    assert_string_equal(Events, "604=1400.2 604=3400.2 "); // no trace of the old type
}

static void firmware_is_asked_for_acpi_mode_first(void **state)
{
    give_s5(7, 0);
    HalpAcpi.Pm1aControl = (ACPI_REGISTER){ACPI_SPACE_IO, 16, 0x604};
    HalpAcpi.SmiCommand = 0xB2;
    HalpAcpi.AcpiEnable = 0xA0;
    assert_true(goes("604=3c01.2 ", HalPowerOff));
    assert_string_equal(Events, "b2=a0.1 604=1c01.2 604=3c01.2 ");
}

static void firmware_that_never_hands_acpi_over_does_not_stop_the_rest(void **state)
{
    give_s5(7, 0);
    HalpAcpi.Pm1aControl = (ACPI_REGISTER){ACPI_SPACE_IO, 16, 0x604};
    HalpAcpi.SmiCommand = 0xB2;
    HalpAcpi.AcpiEnable = 0xA0;
    Deaf = TRUE;
    assert_true(goes("604=3c00.2 ", HalPowerOff));
    assert_string_equal(Events, "b2=a0.1 604=1c00.2 604=3c00.2 ");
}

static void both_halves_of_a_split_register_are_written(void **state)
{
    give_s5(1, 2);
    HalpAcpi.Pm1aControl = (ACPI_REGISTER){ACPI_SPACE_IO, 16, 0x604};
    HalpAcpi.Pm1bControl = (ACPI_REGISTER){ACPI_SPACE_IO, 16, 0x704};
    assert_true(goes("704=2800.2 ", HalPowerOff));
    assert_string_equal(Events, "604=400.2 604=2400.2 704=800.2 704=2800.2 ");
}

static void reduced_hardware_has_a_sleep_control_register(void **state)
{
    give_s5(5, 0);
    HalpAcpi.SleepControl = (ACPI_REGISTER){ACPI_SPACE_MEMORY, 8, 0xFED40000};
    assert_true(goes("memory=34 ", HalPowerOff));
    power_on(state);
    give_s5(5, 0);
    HalpAcpi.SleepControl = (ACPI_REGISTER){ACPI_SPACE_IO, 8, 0x404};
    assert_true(goes("404=34.1 ", HalPowerOff));
}

static void emulators_have_ports_of_their_own(void **state)
{
    Hypervisor = TRUE;
    assert_true(goes("604=2000.2 ", HalPowerOff));
    assert_true(goes("4004=3400.2 ", HalPowerOff));
}

static void without_acpi_nothing_is_written_and_the_caller_is_told(void **state)
{
    assert_false(goes("never", HalPowerOff));
    assert_string_equal(Events, "");
    HalpAcpi.Pm1aControl = (ACPI_REGISTER){ACPI_SPACE_IO, 16, 0x604}; // but no \_S5
    assert_false(goes("never", HalPowerOff));
    assert_string_equal(Events, "");
}

#define TEST(Name) cmocka_unit_test_setup(Name, power_on)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_register_that_firmware_names_comes_first),
        TEST(it_may_be_in_memory),
        TEST(it_may_be_in_pci_configuration_space),
        TEST(the_chipset_is_next),
        TEST(then_the_keyboard_controller),
        TEST(a_triple_fault_is_last),
        TEST(a_reset_register_that_cannot_be_reached_is_passed_over),
        TEST(pm1_gets_the_type_and_then_the_order),
        TEST(firmware_is_asked_for_acpi_mode_first),
        TEST(firmware_that_never_hands_acpi_over_does_not_stop_the_rest),
        TEST(both_halves_of_a_split_register_are_written),
        TEST(reduced_hardware_has_a_sleep_control_register),
        TEST(emulators_have_ports_of_their_own),
        TEST(without_acpi_nothing_is_written_and_the_caller_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
