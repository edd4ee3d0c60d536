// SPDX-License-Identifier: MIT
// Links: kernel/hal/apic.c kernel/hal/processor.c kernel/hal/option.c
//
// The local APIC in both of its modes, over fake registers: which mode is chosen, that it is
// reached by switches that a processor allows, and that commands go to whom they are meant for.
#include "kernel/hal/halp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <cmocka.h>

#define MSR_BASE 0x1Bu
#define ADDRESS  0xFEE00000u
#define ON       0x800u
#define EXTENDED 0x400u
#define COMMANDS 16u

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;
HALP_ACPI HalpAcpi;
BOOLEAN HalpApicDelivers = TRUE, HalpLocksBroken;
ULONG64 HalCounterFrequency = 1000000;
const LOADER_BLOCK *HalpLoaderBlock;

static LOADER_BLOCK Loader;
static UCHAR Registers[0x400] __attribute__((aligned(16)));
static ULONG64 Base, Command[COMMANDS];
static ULONG CommandCount, Capable, Id;
static BOOLEAN Locked;
static char Log[1024];

// ---- the processor ------------------------------------------------------------------------------

VOID HostCpuid(ULONG Leaf, ULONG Registers[4])
{
    if (Leaf == 0)
        Registers[0] = 7;
    if (Leaf == 1)
        Registers[2] = Capable << 21;
    if (Leaf == 7)
        Registers[3] = (ULONG)Locked << 29;
}

ULONG64 HostReadMsr(ULONG Msr)
{
    if (Msr == MSR_BASE)
        return Base;
    if (Msr == 0x10A)
        return 1ull << 21;
    if (Msr == 0xBD)
        return Locked;
    assert_true(Msr >= 0x800 && Msr < 0x840); // any other would be an exception
    assert_int_equal(Base & (ON | EXTENDED), ON | EXTENDED);
    return Msr == 0x802 ? Id : 0;
}

// The switches that the architecture allows; any other is an exception.
static void switch_mode(ULONG64 New)
{
    ULONG Old = Base & (ON | EXTENDED), To = New & (ON | EXTENDED);
    assert_true(To != EXTENDED);
    assert_false(Old == (ON | EXTENDED) && To == ON);
    assert_false(Old == 0 && To == (ON | EXTENDED));
    assert_false(Locked && Old == (ON | EXTENDED) && To != Old);
    assert_int_equal(New & ~0xFFFull, ADDRESS);
    Base = New;
}

VOID HostWriteMsr(ULONG Msr, ULONG64 Value)
{
    if (Msr == MSR_BASE) {
        switch_mode(Value);
        return;
    }
    assert_int_equal(Base & (ON | EXTENDED), ON | EXTENDED);
    assert_true(Msr >= 0x800 && Msr < 0x840 && Msr != 0x802 && Msr != 0x80E && Msr != 0x831);
    assert_true(Msr == 0x830 || Value >> 32 == 0);
    if (Msr == 0x830 || Msr == 0x83F)
        Command[CommandCount++ % COMMANDS] = Value;
}

// ---- the rest of hal ----------------------------------------------------------------------------

PVOID HalMapPhysical(ULONG64 Address, SIZE_T Length, BOOLEAN Cached)
{
    assert_int_equal(Address, ADDRESS);
    assert_false(Cached);
    return Registers;
}

VOID HalpNameVector(ULONG Vector, const char *Name)
{
}

VOID HalpAcceptAllPriorities(VOID)
{
}

VOID HalpStartLocalClock(VOID)
{
}

VOID HalStallExecution(ULONG Microseconds)
{
}

ULONG64 HalQueryCounter(VOID)
{
    static ULONG64 Counter;
    return Counter += 1000;
}

ULONG HalpSoftwareVector(KIRQL Irql)
{
    return 0x10u * Irql;
}

int _stricmp(const char *First, const char *Second)
{
    return strcasecmp(First, Second);
}

int _strnicmp(const char *First, const char *Second, size_t Count)
{
    return strncasecmp(First, Second, Count);
}

VOID KdLog(const char *Component, const char *Format, ...)
{
    SIZE_T Used = strlen(Log);
    va_list Arguments;
    va_start(Arguments, Format);
    vsnprintf(Log + Used, sizeof(Log) - Used, Format, Arguments);
    va_end(Arguments);
}

static int power_on(void **state)
{
    memset(Registers, 0, sizeof(Registers));
    memset(&HalpAcpi, 0, sizeof(HalpAcpi));
    memset(&Loader, 0, sizeof(Loader));
    HalpLoaderBlock = &Loader;
    HalpX2Apic = FALSE;
    Base = ADDRESS | ON;
    CommandCount = Id = 0;
    Capable = 1;
    Locked = FALSE;
    Log[0] = '\0';
    return 0;
}

static void start(const ULONG *Ids, ULONG Count)
{
    memcpy(HalpAcpi.ApicId, Ids, Count * sizeof(*Ids));
    HalpAcpi.ProcessorCount = Count;
    Id = Ids[0];
    *(ULONG *)(Registers + APIC_ID) = Ids[0] << 24;
    assert_true(HalpApicInitialize(FALSE));
}

#define START(...)                                                                                 \
    start((const ULONG[]){__VA_ARGS__}, sizeof((const ULONG[]){__VA_ARGS__}) / sizeof(ULONG))

// ---- the choice ---------------------------------------------------------------------------------

static void a_processor_with_small_ids_stays_in_xapic_mode(void **state)
{
    START(0, 2, 254);
    assert_false(HalpX2Apic);
    assert_int_equal(Base & (ON | EXTENDED), ON);
    assert_string_equal(Log, "");
}

static void a_large_id_needs_x2apic_mode(void **state)
{
    START(0, 255);
    assert_true(HalpX2Apic);
    assert_int_equal(Base & (ON | EXTENDED), ON | EXTENDED);
}

static void what_firmware_switched_on_stays_on(void **state)
{
    Base |= EXTENDED;
    START(7, 8);
    assert_true(HalpX2Apic);
    assert_int_equal(HalpApicId(), 7);
}

static void the_option_asks_for_it(void **state)
{
    strcpy(Loader.CommandLine, "/X2APICPOLICY=enable");
    START(0, 1);
    assert_true(HalpX2Apic);
    power_on(state);
    strcpy(Loader.CommandLine, "/X2APICPOLICY=enable");
    Capable = 0;
    START(0, 1);
    assert_false(HalpX2Apic);
}

static void the_option_goes_back_by_way_of_off(void **state)
{
    Base |= EXTENDED;
    strcpy(Loader.CommandLine, "/X2APICPOLICY=disable");
    START(0, 1);
    assert_false(HalpX2Apic);
    assert_int_equal(Base & (ON | EXTENDED), ON);
}

static void a_locked_mode_is_kept_whatever_the_option_says(void **state)
{
    Base |= EXTENDED;
    Locked = TRUE;
    strcpy(Loader.CommandLine, "/X2APICPOLICY=disable");
    START(0, 1);
    assert_true(HalpX2Apic);
}

static void large_ids_without_x2apic_are_left_out_in_words(void **state)
{
    ULONG Index = 0, ApicId = 0;
    Capable = 0;
    START(0, 300, 2, 255);
    assert_false(HalpX2Apic);
    assert_non_null(strstr(Log, "not used: 2"));
    assert_true(HalEnumerateProcessor(&Index, &ApicId));
    assert_int_equal(ApicId, 2);
    assert_false(HalEnumerateProcessor(&Index, &ApicId));
}

static void a_first_processor_that_devices_cannot_reach_is_named(void **state)
{
    START(300, 301);
    assert_non_null(strstr(Log, "its APIC id is 300"));
}

// ---- commands -----------------------------------------------------------------------------------

static void expect_memory_command(ULONG Destination, ULONG Expected)
{
    assert_int_equal(*(ULONG *)(Registers + APIC_COMMAND_HIGH), Destination << 24);
    assert_int_equal(*(ULONG *)(Registers + APIC_COMMAND), Expected);
}

static void an_xapic_command_is_two_registers_in_memory(void **state)
{
    START(0, 5);
    HalpApicSend(5, APIC_COMMAND_INIT);
    expect_memory_command(5, APIC_COMMAND_INIT);
    HalpApicSendSelf(0x41);
    assert_int_equal(*(ULONG *)(Registers + APIC_COMMAND), APIC_COMMAND_SELF | 0x41);
    assert_int_equal(CommandCount, 0);
}

static void an_x2apic_command_is_one_msr_with_32_bits_of_id(void **state)
{
    START(0, 0x12345);
    HalpApicSend(0x12345, APIC_COMMAND_STARTUP | 8);
    assert_int_equal(CommandCount, 1);
    assert_true(Command[0] == (0x12345ull << 32 | APIC_COMMAND_STARTUP | 8));
    HalpApicSendSelf(0x41);
    assert_int_equal(Command[1], 0x41);
    assert_int_equal(*(ULONG *)(Registers + APIC_COMMAND), 0);
}

// Processor Number has its APIC id from the hardware.
static void run_processor(ULONG Number, ULONG ApicId)
{
    Id = ApicId;
    *(ULONG *)(Registers + APIC_ID) = ApicId << 24;
    HalInitializeProcessor(Number);
}

static void a_set_of_the_first_eight_is_one_logical_command(void **state)
{
    START(0, 4, 8, 12);
    run_processor(1, 4);
    run_processor(2, 8);
    assert_int_equal(*(ULONG *)(Registers + APIC_LOGICAL_ID), 4u << 24);
    HalSendIpi(6, 1);
    expect_memory_command(6, IPI_VECTOR | APIC_COMMAND_LOGICAL);
    run_processor(3, 12);
    HalEndProcessorStart();
    HalSendIpi(0xE, 1);
    expect_memory_command(0, IPI_VECTOR | APIC_COMMAND_OTHERS);
    HalSendIpi(8, 1);
    expect_memory_command(12, IPI_VECTOR);
}

static void a_set_in_x2apic_mode_is_one_command_a_cluster(void **state)
{
    START(0, 1, 17, 300, 303, 99);
    run_processor(1, 1);
    run_processor(2, 17);
    run_processor(3, 300);
    run_processor(4, 303);
    HalEndProcessorStart(); // one of them has not been started
    CommandCount = 0;
    HalSendIpi(0x1E, 1);
    assert_int_equal(CommandCount, 3);
    assert_true(Command[0] == (2ull << 32 | IPI_VECTOR | APIC_COMMAND_LOGICAL));
    assert_true(Command[1] == (0x10002ull << 32 | IPI_VECTOR | APIC_COMMAND_LOGICAL));
    assert_true(Command[2] == (0x129000ull << 32 | IPI_VECTOR | APIC_COMMAND_LOGICAL));
    HalSendNmi(0x18); // one by one
    assert_int_equal(CommandCount, 5);
    assert_true(Command[3] == (300ull << 32 | APIC_COMMAND_NMI));
    assert_true(Command[4] == (303ull << 32 | APIC_COMMAND_NMI));
}

static void an_error_is_counted_said_and_ended(void **state)
{
    ULONG Before = HalpApicErrors();
    START(0);
    *(ULONG *)(Registers + APIC_EOI) = 1;
    HalpApicHandleError();
    assert_int_equal(HalpApicErrors(), Before + 1);
    assert_non_null(strstr(Log, "local APIC error"));
    assert_int_equal(*(ULONG *)(Registers + APIC_EOI), 0);
    for (ULONG i = 0; i < 100; i++)
        HalpApicHandleError();
    assert_int_equal(HalpApicErrors(), Before + 101);
    assert_true(strlen(Log) < sizeof(Log) - 64);  // a storm of them does not fill the log
}

#define TEST(Name) cmocka_unit_test_setup(Name, power_on)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_processor_with_small_ids_stays_in_xapic_mode),
        TEST(a_large_id_needs_x2apic_mode),
        TEST(what_firmware_switched_on_stays_on),
        TEST(the_option_asks_for_it),
        TEST(the_option_goes_back_by_way_of_off),
        TEST(a_locked_mode_is_kept_whatever_the_option_says),
        TEST(large_ids_without_x2apic_are_left_out_in_words),
        TEST(a_first_processor_that_devices_cannot_reach_is_named),
        TEST(an_xapic_command_is_two_registers_in_memory),
        TEST(an_x2apic_command_is_one_msr_with_32_bits_of_id),
        TEST(a_set_of_the_first_eight_is_one_logical_command),
        TEST(a_set_in_x2apic_mode_is_one_command_a_cluster),
        TEST(an_error_is_counted_said_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
