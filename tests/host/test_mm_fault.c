// SPDX-License-Identifier: MIT
// Links: mm/fault.c mm/unloaded.c mm/layout.c mm/amd64/layout.c
// Links: kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_ke.c
//
// Every broken rule has its own bugcheck with the documented parameters, and says in words what
// happened (features.md: PH-41 to PH-46, BC-01 to BC-09, CX-11).
#include "mm/mi.h"
#include "mm/poolp.h"
#include "fake_ke.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define IN_KERNEL 0xFFFFFFFF80212345ull
#define IN_DRIVER 0xFFFFF80000001234ull
#define SYSTEM    0xFFFFFB0000123456ull // nonpaged pool
#define USER      0x0000000012345678ull

static MI_MAPPING mapping;
static KTRAP_FRAME frame;
static EXCEPTION_RECORD exception;

BOOLEAN MiQueryMapping(ULONG_PTR Address, MI_MAPPING *Mapping)
{
    *Mapping = mapping;
    return MiIsCanonical(Address);
}

static POOL_SPECIAL special;
static BOOLEAN is_special;

BOOLEAN ExpQuerySpecial(const VOID *Address, POOL_SPECIAL *Special)
{
    *Special = special;
    return is_special;
}

int ExpSayWhereInSpecial(char *Buffer, SIZE_T Size, ULONG_PTR Address, const POOL_SPECIAL *Special)
{
    return RtlFormat(Buffer, Size, "in block %p", Special->Block);
}

// The frame's stack is not there.
BOOLEAN KeSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length)
{
    return FALSE;
}

MI_RANGE *MiRangeOf(MM_REGION_TYPE Type)
{
    return NULL;
}

static int start(void **state)
{
    memset(&mapping, 0, sizeof(mapping));
    memset(&exception, 0, sizeof(exception));
    HostIrql = PASSIVE_LEVEL;
    frame.Rip = IN_KERNEL;
    MiComputeLayout(0x1000, KERNEL_BASE + 0x400000, FALSE);
    return 0;
}

static void map(ULONG rights)
{
    mapping.Valid = TRUE;
    mapping.Level = 1;
    mapping.Rights = rights;
    mapping.Entry = 0x1234063 & ~(rights & MM_WRITE ? 0 : PTE_WRITE);
}

static BOOLEAN fault(ULONG_PTR address, ULONG error)
{
    return MiPageFault(&frame, address, error, &exception);
}

static void stopped(ULONG code, ULONG_PTR p1, ULONG_PTR p2, ULONG_PTR p3, ULONG_PTR p4,
                    const char *words)
{
    assert_int_equal(HostBugCheck.Code, code);
    assert_int_equal(HostBugCheck.Parameter[0], p1);
    assert_int_equal(HostBugCheck.Parameter[1], p2);
    assert_int_equal(HostBugCheck.Parameter[2], p3);
    assert_int_equal(HostBugCheck.Parameter[3], p4);
    if (strstr(HostBugCheck.Sentence, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", HostBugCheck.Sentence, words);
}

static void at_dispatch_level_a_fault_of_the_kernel_is_0xA(void **state)
{
    HostIrql = DISPATCH_LEVEL;
    assert_true(BUGCHECKS(fault(SYSTEM, 0)));
    stopped(IRQL_NOT_LESS_OR_EQUAL, SYSTEM, 2, 0, IN_KERNEL, "read from 0xFFFFFB0000123456");
    HostIrql = DISPATCH_LEVEL;
    assert_true(BUGCHECKS(fault(SYSTEM, PF_WRITE)));
    stopped(IRQL_NOT_LESS_OR_EQUAL, SYSTEM, 2, 1, IN_KERNEL, "at DISPATCH_LEVEL");
    assert_true(BUGCHECKS(fault(SYSTEM, PF_FETCH)));
    stopped(IRQL_NOT_LESS_OR_EQUAL, SYSTEM, 2, 8, IN_KERNEL, "sent the processor to");
    frame.Rip = 0;
    assert_true(BUGCHECKS(fault(0, PF_FETCH)));
    stopped(DRIVER_IRQL_NOT_LESS_OR_EQUAL, 0, 2, 8, 0, "A pointer to a function was not set");
}

static void at_dispatch_level_a_fault_of_a_driver_is_0xD1(void **state)
{
    HostIrql = 5;
    frame.Rip = IN_DRIVER;
    assert_true(BUGCHECKS(fault(SYSTEM, PF_WRITE)));
    stopped(DRIVER_IRQL_NOT_LESS_OR_EQUAL, SYSTEM, 5, 1, IN_DRIVER, "wrote to");
    assert_true(BUGCHECKS(fault(USER, 0)));
    stopped(DRIVER_IRQL_NOT_LESS_OR_EQUAL, USER, 5, 0, IN_DRIVER, "(user space)");
}

static void what_was_an_unloaded_driver_is_0xCE(void **state)
{
    MmNoteUnloadedDriver("old.sys", IN_DRIVER & ~0xFFFull, 0x2000);
    frame.Rip = IN_DRIVER;
    assert_true(BUGCHECKS(fault(IN_DRIVER, PF_FETCH)));
    stopped(DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, IN_DRIVER, 8, IN_DRIVER, 0,
            "That was old.sys+0x234 until");
    HostIrql = DISPATCH_LEVEL;
    frame.Rip = IN_KERNEL;
    assert_true(BUGCHECKS(fault(IN_DRIVER, PF_WRITE)));
    stopped(DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, IN_DRIVER, 1, IN_KERNEL, 0,
            "wrote to");
    assert_true(BUGCHECKS(fault((IN_DRIVER & ~0xFFFull) + 0x2000, 0))); // behind it
    assert_int_equal(HostBugCheck.Code, IRQL_NOT_LESS_OR_EQUAL);
    MmForgetUnloadedDrivers(IN_DRIVER & ~0xFFFull, 0x1000); // another came
    assert_true(BUGCHECKS(fault(IN_DRIVER, PF_WRITE)));
    assert_int_equal(HostBugCheck.Code, IRQL_NOT_LESS_OR_EQUAL);
}

static void a_special_block_names_itself_whatever_the_irql(void **state)
{
    is_special = TRUE;
    for (volatile int level = PASSIVE_LEVEL; level <= DISPATCH_LEVEL; level += DISPATCH_LEVEL) {
        special = (POOL_SPECIAL){.Block = (PVOID)0x1234, .Guard = TRUE};
        frame.Rip = IN_KERNEL;
        HostIrql = (KIRQL)level;
        assert_true(BUGCHECKS(fault(SYSTEM, PF_WRITE)));
        stopped(PAGE_FAULT_BEYOND_END_OF_ALLOCATION, SYSTEM, 1, IN_KERNEL, 0, "in block");
        frame.Rip = IN_DRIVER;
        assert_true(BUGCHECKS(fault(SYSTEM, 0)));
        stopped(DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION, SYSTEM, 0, IN_DRIVER, 0, "read from");
        special = (POOL_SPECIAL){.Block = (PVOID)0x1234, .Freed = TRUE};
        assert_true(BUGCHECKS(fault(SYSTEM, 0)));
        stopped(DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL, SYSTEM, 0, IN_DRIVER, 0, "in block");
        frame.Rip = IN_KERNEL;
        assert_true(BUGCHECKS(fault(SYSTEM, PF_WRITE)));
        stopped(PAGE_FAULT_IN_FREED_SPECIAL_POOL, SYSTEM, 1, IN_KERNEL, 0, "wrote to");
    }
    is_special = FALSE;
}

static void a_null_pointer_is_called_by_its_name(void **state)
{
    HostIrql = DISPATCH_LEVEL;
    assert_true(BUGCHECKS(fault(0x18, 0)));
    stopped(IRQL_NOT_LESS_OR_EQUAL, 0x18, 2, 0, IN_KERNEL, "NULL");
}

static void below_dispatch_level_invalid_system_memory_is_0x50(void **state)
{
    HostIrql = APC_LEVEL;
    assert_true(BUGCHECKS(fault(SYSTEM, 0)));
    stopped(PAGE_FAULT_IN_NONPAGED_AREA, SYSTEM, 0, IN_KERNEL, 2, "nothing is mapped");
    assert_true(BUGCHECKS(fault(SYSTEM, PF_WRITE)));
    stopped(PAGE_FAULT_IN_NONPAGED_AREA, SYSTEM, 1, IN_KERNEL, 2, "(nonpaged pool)");
    mapping.Entry = PTE_SOFT_FREED;
    assert_true(BUGCHECKS(fault(SYSTEM, PF_WRITE)));
    stopped(PAGE_FAULT_IN_NONPAGED_AREA, SYSTEM, 1, IN_KERNEL, 0, "until it was freed");
    mapping.Entry = PTE_SOFT_GUARD;
    assert_true(BUGCHECKS(fault(SYSTEM, PF_WRITE)));
    stopped(PAGE_FAULT_IN_NONPAGED_AREA, SYSTEM, 1, IN_KERNEL, 2, "guard page");
}

static void an_address_that_is_not_canonical_is_0x50_4(void **state)
{
    ULONG_PTR address = 0x6B6B6B6B6B6B6B6Bull;
    assert_true(BUGCHECKS(MmBugCheckNonCanonical(&frame, address, KE_ACCESS_WRITE)));
    stopped(PAGE_FAULT_IN_NONPAGED_AREA, address, 1, IN_KERNEL, 4, "canonical");
}

static void a_write_to_read_only_system_memory_is_0xBE_at_any_irql(void **state)
{
    map(MM_READ);
    assert_true(BUGCHECKS(fault(SYSTEM, PF_PRESENT | PF_WRITE)));
    stopped(ATTEMPTED_WRITE_TO_READONLY_MEMORY, SYSTEM, (ULONG_PTR)mapping.Entry, 0, 0,
            "read-only");
    HostIrql = DISPATCH_LEVEL;
    assert_true(BUGCHECKS(fault(SYSTEM, PF_PRESENT | PF_WRITE)));
    stopped(ATTEMPTED_WRITE_TO_READONLY_MEMORY, SYSTEM, (ULONG_PTR)mapping.Entry, 0, 0,
            "read-only");
}

static void running_data_is_0xFC_at_any_irql(void **state)
{
    map(MM_READ | MM_WRITE);
    assert_true(BUGCHECKS(fault(SYSTEM, PF_PRESENT | PF_FETCH)));
    stopped(ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, SYSTEM, (ULONG_PTR)mapping.Entry, 0, 0, "code");
    HostIrql = DISPATCH_LEVEL;
    assert_true(BUGCHECKS(fault(SYSTEM, PF_PRESENT | PF_FETCH)));
    stopped(ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, SYSTEM, (ULONG_PTR)mapping.Entry, 0, 0, "code");
}

static void an_invalid_user_address_is_an_exception_below_dispatch_level(void **state)
{
    for (HostIrql = PASSIVE_LEVEL; HostIrql <= APC_LEVEL; HostIrql++) {
        assert_false(fault(USER, PF_WRITE));
        assert_int_equal(exception.ExceptionCode, STATUS_ACCESS_VIOLATION);
        assert_ptr_equal(exception.ExceptionAddress, (PVOID)IN_KERNEL);
        assert_int_equal(exception.NumberParameters, 2);
        assert_int_equal(exception.ExceptionInformation[0], 1);
        assert_int_equal(exception.ExceptionInformation[1], USER);
    }
}

static void an_access_that_is_allowed_by_now_is_retried(void **state)
{
    map(MM_READ | MM_WRITE);
    assert_true(fault(SYSTEM, PF_WRITE));
    HostIrql = DISPATCH_LEVEL;
    assert_true(fault(SYSTEM, PF_PRESENT | PF_WRITE));
}

static void the_kernel_may_not_touch_user_memory_where_smap_forbids_it(void **state)
{
    map(MM_READ | MM_WRITE);
    mapping.Entry |= PTE_USER;
    assert_true(BUGCHECKS(fault(USER, PF_PRESENT)));
    stopped(PAGE_FAULT_IN_NONPAGED_AREA, USER, 0, IN_KERNEL, 0xF, "(user space)");
}

static void a_reserved_bit_means_damaged_page_tables(void **state)
{
    map(MM_READ);
    mapping.Address = (PMMPTE)0xFFFFF68000001000ull;
    mapping.Entry = 0x4001234567890063ull;
    assert_true(BUGCHECKS(fault(SYSTEM, PF_PRESENT | PF_RESERVED)));
    stopped(MEMORY_MANAGEMENT, 0x41792, 0xFFFFF68000001000ull, 0x67890063, 0x40012345,
            "overwritten");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(at_dispatch_level_a_fault_of_the_kernel_is_0xA, start),
        cmocka_unit_test_setup(at_dispatch_level_a_fault_of_a_driver_is_0xD1, start),
        cmocka_unit_test_setup(what_was_an_unloaded_driver_is_0xCE, start),
        cmocka_unit_test_setup(a_special_block_names_itself_whatever_the_irql, start),
        cmocka_unit_test_setup(a_null_pointer_is_called_by_its_name, start),
        cmocka_unit_test_setup(below_dispatch_level_invalid_system_memory_is_0x50, start),
        cmocka_unit_test_setup(an_address_that_is_not_canonical_is_0x50_4, start),
        cmocka_unit_test_setup(a_write_to_read_only_system_memory_is_0xBE_at_any_irql, start),
        cmocka_unit_test_setup(running_data_is_0xFC_at_any_irql, start),
        cmocka_unit_test_setup(an_invalid_user_address_is_an_exception_below_dispatch_level, start),
        cmocka_unit_test_setup(an_access_that_is_allowed_by_now_is_retried, start),
        cmocka_unit_test_setup(the_kernel_may_not_touch_user_memory_where_smap_forbids_it, start),
        cmocka_unit_test_setup(a_reserved_bit_means_damaged_page_tables, start),
    };
    return cmocka_run_group_tests_name("mm: faults", tests, NULL, NULL);
}
