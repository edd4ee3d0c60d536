// SPDX-License-Identifier: MIT
// Links: kernel/hal/counter.c
//
// Processors whose time stamp counters differ: a new one is set right where that is possible, and
// where it is not, time is one for all and never goes back. Each processor is a thread.
#include "kernel/hal/halp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <pthread.h>
#include <cmocka.h>

#define READERS 3u
#define READS   20000u
#define CLOSE   50000000  // what a loaded host may put between two reads of two threads

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;
HALP_ACPI HalpAcpi;
BOOLEAN HalpLocksBroken;

static __thread LONG64 Offset;  // of this processor's counter
static __thread ULONG Writes;
static BOOLEAN Adjustable, Fixed;  // TSC_ADJUST is there; the counter takes no value

// ---- the processor ------------------------------------------------------------------------------

ULONG64 HostReadTsc(VOID)
{
    return __builtin_ia32_rdtsc() + (ULONG64)Offset;
}

ULONG64 HostReadMsr(ULONG Msr)
{
    assert_int_equal(Msr, 0x3B);
    return (ULONG64)Offset;
}

VOID HostWriteMsr(ULONG Msr, ULONG64 Value)
{
    Writes++;
    assert_int_equal(Msr, Adjustable ? 0x3B : 0x10);
    if (!Fixed)
        Offset = (LONG64)(Adjustable ? Value : Value - __builtin_ia32_rdtsc());
}

VOID HostCpuid(ULONG Leaf, ULONG Registers[4])
{
    Registers[0] = 7;
    Registers[1] = Leaf == 7 && Adjustable ? 2 : 0;
}

PVOID HalMapPhysical(ULONG64 Address, SIZE_T Length, BOOLEAN Cached)
{
    return NULL;
}

// ---- two processors -----------------------------------------------------------------------------

typedef struct _NEWCOMER {
    LONG64 Before, After;  // how far its counter is from the first one's
    ULONG Writes;
} NEWCOMER;

static void *follow(void *Context)
{
    NEWCOMER *Newcomer = Context;
    Offset = Newcomer->Before;
    HalFollowCounter();
    Newcomer->After = Offset;
    Newcomer->Writes = Writes;
    return NULL;
}

static NEWCOMER start(LONG64 Before)
{
    NEWCOMER Newcomer = {Before, 0, 0};
    pthread_t Thread;
    assert_int_equal(pthread_create(&Thread, NULL, follow, &Newcomer), 0);
    HalLeadCounter();
    assert_int_equal(pthread_join(Thread, NULL), 0);
    return Newcomer;
}

static void expect_set_right(LONG64 Before)
{
    NEWCOMER Newcomer = start(Before);
    assert_int_equal(Newcomer.Writes, 1);
    assert_true(Newcomer.After > -CLOSE && Newcomer.After < CLOSE);
}

// No test says that equal counters are never touched: on a loaded host nobody can tell.
static void a_counter_that_is_behind_or_ahead_is_set_right(void **state)
{
    Adjustable = FALSE;
    expect_set_right(-1000000000000);
    expect_set_right(+1000000000000);
}

static void it_is_set_right_by_what_is_added_to_it(void **state)
{
    Adjustable = TRUE;
    expect_set_right(-1000000000000);
    expect_set_right(+1000000000000);
    Adjustable = FALSE;
}

// ---- counters that cannot be set ----------------------------------------------------------------

static volatile ULONG64 Newest;  // the largest time that any processor has seen

static void *read_time(void *Context)
{
    Offset = *(LONG64 *)Context;
    for (ULONG i = 0; i < READS; i++) {
        ULONG64 Before = __atomic_load_n(&Newest, __ATOMIC_SEQ_CST);
        ULONG64 Now = HalQueryCounter();
        assert_true(Now >= Before);
        while (Now > Before &&
               !__atomic_compare_exchange_n(&Newest, &Before, Now, FALSE, __ATOMIC_SEQ_CST,
                                            __ATOMIC_SEQ_CST))
            ;
    }
    return NULL;
}

static void time_is_one_for_all_where_counters_cannot_be_set(void **state)
{
    LONG64 Offsets[READERS] = {0, -1000000000000, 5000000};
    pthread_t Threads[READERS];
    Fixed = TRUE;
    NEWCOMER Newcomer = start(Offsets[1]);
    assert_true(Newcomer.After == Offsets[1]);
    for (ULONG i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&Threads[i], NULL, read_time, &Offsets[i]), 0);
    for (ULONG i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(Threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_that_is_behind_or_ahead_is_set_right),
        cmocka_unit_test(it_is_set_right_by_what_is_added_to_it),
        cmocka_unit_test(time_is_one_for_all_where_counters_cannot_be_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
