// SPDX-License-Identifier: MIT
// Links: kernel/hal/interrupt.c kernel/hal/amd64/vector.c kernel/rtl/format.c kernel/rtl/utf.c
//
// Vectors: who gets which, and what their service does to the controllers, which are recorders
// here.
#include "kernel/hal/halp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define LINES 64u

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;

HALP_ACPI HalpAcpi;
ULONG HalClockVector = CLOCK_VECTOR;
volatile UCHAR *HalpApic;
BOOLEAN HalpX2Apic;
ULONG HalpBootApicId = 3;
BOOLEAN HalpLocksBroken;

static UCHAR ApicRegisters[0x400];
static BOOLEAN Masked[LINES];
static ULONG Programmed[LINES], Receiver[LINES], Ended[LINES];
static BOOLEAN Spurious;
static BOOLEAN IoApicThere;

// ---- the machine --------------------------------------------------------------------------------

static BOOLEAN resolve(ULONG Level, PULONG Line)
{
    *Line = Level == 9 ? 20 : Level;  // as an override does
    return *Line < LINES;
}

static BOOLEAN program(ULONG Line, ULONG Vector, KINTERRUPT_MODE Mode, ULONG ApicId, BOOLEAN *Level)
{
    Programmed[Line] = Vector;
    Receiver[Line] = ApicId;
    *Level = Mode == LevelSensitive;
    return TRUE;
}

static VOID set_mask(ULONG Line, BOOLEAN Mask)
{
    Masked[Line] = Mask;
}

static VOID describe(ULONG Line, char *Buffer, SIZE_T Size)
{
    RtlFormat(Buffer, Size, "line %u", Line);
}

const HALP_CONTROLLER HalpIoApicController = {"I/O APIC", resolve, program, set_mask, describe};
const HALP_CONTROLLER HalpPicController = {"8259", resolve, program, set_mask, describe};

BOOLEAN HalpApicExists(VOID)
{
    return TRUE;
}

BOOLEAN HalpApicInitialize(BOOLEAN LegacyThrough)
{
    HalpApic = ApicRegisters;
    return TRUE;
}

ULONG HalpIoApicInitialize(VOID)
{
    return IoApicThere;
}

BOOLEAN HalpPicIsSpurious(ULONG Irq)
{
    return Spurious;
}

VOID HalpPicEnd(ULONG Irq)
{
    Ended[Irq]++;
}

VOID HalpPicInitialize(VOID)
{
}
VOID HalpPicReport(VOID)
{
}
VOID HalpIoApicReport(VOID)
{
}
VOID HalpApicHandleError(VOID)
{
}
VOID HalpApicSendSelf(ULONG Vector)
{
}
VOID KdPrintf(const char *Format, ...)
{
}

ULONG HalpApicId(VOID)
{
    return HalpBootApicId;
}

ULONG HalQueryApicId(ULONG Number)
{
    return HalpBootApicId + Number;
}

KAFFINITY HalpReachableProcessors(VOID)
{
    return 0xF;
}

ULONG HalpApicErrors(VOID)
{
    return 0;
}

BOOLEAN HalpQueryOption(const LOADER_BLOCK *Block, const char *Name, char *Value, SIZE_T Size)
{
    return FALSE;
}

VOID KdAssertionFailed(const char *Expression, const char *File, ULONG Line)
{
    abort();
}

static void start(BOOLEAN IoApic)
{
    static LOADER_BLOCK Block;
    memset(HalpVectors, 0, sizeof(HalpVectors));
    memset(Programmed, 0, sizeof(Programmed));
    memset(Ended, 0, sizeof(Ended));
    memset(Masked, TRUE, sizeof(Masked));
    Spurious = FALSE;
    IoApicThere = IoApic;
    HalpAcpi.IoApicCount = 1;
    HalpController = &HalpPicController;
    HalpInitializeInterrupts(&Block);
}

static int with_io_apic(void **state)
{
    start(TRUE);
    return 0;
}

static int with_8259(void **state)
{
    start(FALSE);
    return 0;
}

// ---- the promises -------------------------------------------------------------------------------

static void a_line_has_the_same_vector_for_everybody(void **state)
{
    KIRQL First, Second;
    ULONG Vector = HalAllocateLineVector(11, &First);
    assert_int_equal(HalAllocateLineVector(11, &Second), Vector);
    assert_int_equal(First, Second);
    assert_int_not_equal(HalAllocateLineVector(10, &Second), Vector);
}

static void two_levels_of_one_line_share_its_vector(void **state)
{
    KIRQL Irql;
    assert_int_equal(HalAllocateLineVector(9, &Irql), HalAllocateLineVector(20, &Irql));
}

static void a_vector_lies_in_its_irql(void **state)
{
    for (ULONG Line = 0; Line < LINES; Line++) {
        KIRQL Irql;
        ULONG Vector = HalAllocateLineVector(Line, &Irql);
        assert_int_equal(Vector >> 4, Irql);
        assert_true(Irql >= DIRQL_FIRST && Irql <= DIRQL_LAST);
    }
}

static void a_level_that_no_controller_has_gets_no_vector(void **state)
{
    KIRQL Irql;
    assert_int_equal(HalAllocateLineVector(LINES, &Irql), 0);
    assert_int_equal(HalAllocateLineVector(0xFFFFFFFF, &Irql), 0);
}

static void message_vectors_are_distinct_until_there_are_no_more(void **state)
{
    UCHAR Seen[HAL_VECTOR_COUNT] = {0};
    ULONG64 Address;
    ULONG Data, Vector, Count = 0;
    KIRQL Irql;
    while ((Vector = HalAllocateMessageVector(&Irql)) != 0) {
        assert_int_equal(Seen[Vector]++, 0);
        assert_int_equal(Vector >> 4, Irql);
        HalComposeMessage(Vector, 2, &Address, &Data);
        assert_int_equal(Address, 0xFEE05000);
        assert_int_equal(Data, Vector);
        Count++;
    }
    assert_int_equal(Count, (DIRQL_LAST - DIRQL_FIRST + 1) * 16);
    HalFreeMessageVector(0x55);
    assert_int_equal(HalAllocateMessageVector(&Irql), 0x55);
}

static void an_interrupt_opens_with_its_own_irql_only(void **state)
{
    KIRQL Irql;
    ULONG Vector = HalAllocateLineVector(11, &Irql);
    assert_false(HalEnableSystemInterrupt(Vector, (KIRQL)(Irql + 1), LevelSensitive, 1));
    assert_false(HalEnableSystemInterrupt(Vector + 1, Irql, LevelSensitive, 1));
    assert_false(HalEnableSystemInterrupt(0x1000, Irql, LevelSensitive, 1));
    assert_true(Masked[11]);
    assert_true(HalEnableSystemInterrupt(Vector, Irql, LevelSensitive, 1));
    assert_false(Masked[11]);
    assert_int_equal(Programmed[11], Vector);
    assert_int_equal(Receiver[11], 4);
    assert_true(HalEnableSystemInterrupt(Vector, Irql, LevelSensitive, 2));
    assert_int_equal(Receiver[11], 5);
    assert_false(Masked[11]);
    HalDisableSystemInterrupt(Vector, Irql);
    assert_true(Masked[11]);
}

static void an_8259_line_is_closed_from_arrival_to_the_end_of_service(void **state)
{
    KIRQL Irql;
    ULONG Vector = HalAllocateLineVector(5, &Irql);
    assert_true(HalEnableSystemInterrupt(Vector, Irql, Latched, 1));
    assert_int_equal(HalAcknowledgeLegacyInterrupt(5), Vector);
    assert_true(Masked[5]);
    assert_int_equal(Ended[5], 1);
    assert_true(HalBeginSystemInterrupt(Vector));
    assert_true(Masked[5]);
    HalEndSystemInterrupt(Vector);
    assert_false(Masked[5]);
}

static void a_line_disconnected_by_its_service_routine_stays_closed(void **state)
{
    KIRQL Irql;
    ULONG Vector = HalAllocateLineVector(5, &Irql);
    HalEnableSystemInterrupt(Vector, Irql, Latched, 1);
    HalAcknowledgeLegacyInterrupt(5);
    HalDisableSystemInterrupt(Vector, Irql);
    HalEndSystemInterrupt(Vector);
    assert_true(Masked[5]);
}

static void a_spurious_8259_interrupt_is_nobodys(void **state)
{
    ULONG Before = HalpSpuriousInterrupts();
    KIRQL Irql;
    ULONG Vector = HalAllocateLineVector(7, &Irql);
    HalEnableSystemInterrupt(Vector, Irql, Latched, 1);
    Spurious = TRUE;
    assert_int_equal(HalAcknowledgeLegacyInterrupt(7), 0);
    assert_int_equal(Ended[7], 0);
    assert_false(Masked[7]);
    assert_int_equal(HalpSpuriousInterrupts(), Before + 1);
}

static void an_8259_input_that_nobody_wants_is_closed(void **state)
{
    assert_int_equal(HalAcknowledgeLegacyInterrupt(4), 0);
    assert_true(Masked[4]);
    assert_int_equal(Ended[4], 1);
}

static void spurious_local_apic_interrupts_are_not_ended(void **state)
{
    ULONG Before = HalpSpuriousInterrupts();
    assert_false(HalBeginSystemInterrupt(SPURIOUS_VECTOR));
    assert_true(HalBeginSystemInterrupt(0x40));
    assert_int_equal(HalpSpuriousInterrupts(), Before + 1);
}

#define WITH_IO_APIC(Name) cmocka_unit_test_setup(Name, with_io_apic)
#define WITH_8259(Name)    cmocka_unit_test_setup(Name, with_8259)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_IO_APIC(a_line_has_the_same_vector_for_everybody),
        WITH_IO_APIC(two_levels_of_one_line_share_its_vector),
        WITH_IO_APIC(a_vector_lies_in_its_irql),
        WITH_IO_APIC(a_level_that_no_controller_has_gets_no_vector),
        WITH_IO_APIC(message_vectors_are_distinct_until_there_are_no_more),
        WITH_IO_APIC(an_interrupt_opens_with_its_own_irql_only),
        WITH_IO_APIC(spurious_local_apic_interrupts_are_not_ended),
        WITH_8259(an_8259_line_is_closed_from_arrival_to_the_end_of_service),
        WITH_8259(a_line_disconnected_by_its_service_routine_stays_closed),
        WITH_8259(a_spurious_8259_interrupt_is_nobodys),
        WITH_8259(an_8259_input_that_nobody_wants_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
