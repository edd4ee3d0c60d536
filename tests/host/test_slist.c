// SPDX-License-Identifier: MIT
// Links: kernel/ex/amd64/slist.S
//
// Sequenced lists are last in, first out, count what they hold, survive ABA, and lose nothing among
// four threads. The code is the kernel's own assembly.
#include "ex.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void pops_come_in_reverse_order_of_pushes(void **state)
{
    SLIST_HEADER list = {0};
    SLIST_ENTRY entry[100];
    assert_null(ExpInterlockedPopEntrySList(&list));
    for (int i = 0; i < 100; i++) {
        assert_ptr_equal(ExpInterlockedPushEntrySList(&list, &entry[i]),
                         i == 0 ? NULL : &entry[i - 1]);
        assert_int_equal(ExQueryDepthSList(&list), i + 1);
        assert_ptr_equal(FirstEntrySList(&list), &entry[i]);
    }
    for (int i = 99; i >= 0; i--)
        assert_ptr_equal(ExpInterlockedPopEntrySList(&list), &entry[i]);
    assert_null(ExpInterlockedPopEntrySList(&list));
    assert_int_equal(ExQueryDepthSList(&list), 0);
}

static void a_flush_takes_the_whole_chain(void **state)
{
    SLIST_HEADER list = {0};
    SLIST_ENTRY entry[10];
    assert_null(ExpInterlockedFlushSList(&list));
    for (int i = 0; i < 10; i++)
        ExpInterlockedPushEntrySList(&list, &entry[i]);
    PSLIST_ENTRY chain = ExpInterlockedFlushSList(&list);
    for (int i = 9; i >= 0; i--, chain = chain->Next)
        assert_ptr_equal(chain, &entry[i]);
    assert_null(chain);
    assert_int_equal(ExQueryDepthSList(&list), 0);
    assert_null(FirstEntrySList(&list));
}

static void the_sequence_number_moves_with_every_push(void **state)
{
    SLIST_HEADER list = {0};
    SLIST_ENTRY a, b;
    ExpInterlockedPushEntrySList(&list, &a);
    ULONGLONG before = list.Header16.Sequence;
    ExpInterlockedPushEntrySList(&list, &b);
    ExpInterlockedPopEntrySList(&list);
    ExpInterlockedPopEntrySList(&list);
    ExpInterlockedPushEntrySList(&list, &a);
    assert_ptr_equal(FirstEntrySList(&list), &a);
    assert_true(list.Header16.Sequence > before);
}

static void a_list_longer_than_its_counter_still_holds_everything(void **state)
{
    SLIST_HEADER list = {0};
    SLIST_ENTRY *entry = aligned_alloc(16, 70000 * sizeof(SLIST_ENTRY));
    for (int i = 0; i < 70000; i++)
        ExpInterlockedPushEntrySList(&list, &entry[i]);
    for (int i = 69999; i >= 0; i--)
        assert_ptr_equal(ExpInterlockedPopEntrySList(&list), &entry[i]);
    assert_int_equal(ExQueryDepthSList(&list), 0);
    free(entry);
}

// ---- threads -----------------------------------------------------------------------------------
#define THREADS 4
#define ENTRIES 16 // few, so that the same ones come back all the time

typedef struct { SLIST_ENTRY link; volatile LONG owners; } TEST_ENTRY;

static SLIST_HEADER shared;
static TEST_ENTRY entries[ENTRIES];

static void *exchange(void *argument)
{
    for (int i = 0; i < 300000; i++) {
        TEST_ENTRY *entry = (TEST_ENTRY *)ExpInterlockedPopEntrySList(&shared);
        if (entry == NULL)
            continue;
        if (__atomic_add_fetch(&entry->owners, 1, __ATOMIC_SEQ_CST) != 1)
            abort();
        __atomic_sub_fetch(&entry->owners, 1, __ATOMIC_SEQ_CST);
        ExpInterlockedPushEntrySList(&shared, &entry->link);
    }
    return NULL;
}

static void an_entry_never_has_two_owners(void **state)
{
    pthread_t thread[THREADS];
    for (int i = 0; i < ENTRIES; i++)
        ExpInterlockedPushEntrySList(&shared, &entries[i].link);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, exchange, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(ExQueryDepthSList(&shared), ENTRIES);
    for (int i = 0; i < ENTRIES; i++)
        assert_non_null(ExpInterlockedPopEntrySList(&shared));
    assert_null(ExpInterlockedPopEntrySList(&shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pops_come_in_reverse_order_of_pushes),
        cmocka_unit_test(a_flush_takes_the_whole_chain),
        cmocka_unit_test(the_sequence_number_moves_with_every_push),
        cmocka_unit_test(a_list_longer_than_its_counter_still_holds_everything),
        cmocka_unit_test(an_entry_never_has_two_owners),
    };
    return cmocka_run_group_tests_name("slist", tests, NULL, NULL);
}
