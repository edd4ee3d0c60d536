// SPDX-License-Identifier: MIT
// Links: kernel/ex/worker.c tests/host/fake_ke.c
//
// Work items that are left behind: each is found once, and only under the lock that keeps the queue
// still, since workers of other drivers take and queue items meanwhile. So they do here, whenever a
// queue is read without it.
#include "kernel/ex/exp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

extern LEAK_ROUTINE *const LeakSource_workitems;

#define ITEMS 6
static WORK_QUEUE_ITEM item[ITEMS];
static int unlocked_reads;

static NTSTATUS make_thread(PKSTART_ROUTINE Routine, PVOID Context, KPRIORITY Priority,
                            const char *Name)
{
    return STATUS_SUCCESS;
}

// ---- ke -----------------------------------------------------------------------------------------
VOID NTAPI KeInitializeQueue(PRKQUEUE Queue, ULONG Count)
{
    InitializeListHead(&Queue->EntryListHead);
}

LONG NTAPI KeInsertQueue(PRKQUEUE Queue, PLIST_ENTRY Entry)
{
    InsertTailList(&Queue->EntryListHead, Entry);
    return 0;
}

PLIST_ENTRY KeFindQueueEntry(PKQUEUE Queue, KE_QUEUE_TEST *Test, PVOID Context)
{
    for (PLIST_ENTRY entry = Queue->EntryListHead.Flink; entry != &Queue->EntryListHead;
         entry = entry->Flink)
        if (Test(entry, Context))
            return entry;
    return NULL;
}

// A worker has been faster, and the item is on no queue any more.
BOOLEAN KeSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length)
{
    unlocked_reads++;
    return FALSE;
}

LONG NTAPI KeReadStateQueue(PRKQUEUE Queue) { return 0; }
VOID NTAPI ExpBalanceThread(PVOID Context) {}

PLIST_ENTRY NTAPI KeRemoveQueue(PRKQUEUE Queue, KPROCESSOR_MODE WaitMode, PLARGE_INTEGER Timeout)
{
    abort();
}

// ---- the test -----------------------------------------------------------------------------------
static VOID NTAPI mine(PVOID Context) {}
static VOID NTAPI others(PVOID Context) {}

static void what_is_queued_is_found_once_and_under_the_lock(void **state)
{
    ExInitializeWorkers(make_thread);
    for (int i = 0; i < ITEMS; i++) {
        item[i].WorkerRoutine = i % 2 ? mine : others;
        ExQueueWorkItem(&item[i], (WORK_QUEUE_TYPE)(i % 3));
    }
    assert_int_equal(LeakSource_workitems((ULONG_PTR)mine, (ULONG_PTR)mine + 1), ITEMS / 2);
    assert_int_equal(unlocked_reads, 0);
    assert_ptr_equal(ExpFindWorkItem((ULONG_PTR)&item[4], (ULONG_PTR)&item[5]), &item[4].List);
    assert_null(ExpFindWorkItem((ULONG_PTR)&item[ITEMS], (ULONG_PTR)&item[ITEMS] + 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_queued_is_found_once_and_under_the_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
