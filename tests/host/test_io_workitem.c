// SPDX-License-Identifier: MIT
// Links: kernel/io/workitem.c tests/host/fake_ke.c
//
// Drivers that are unloaded at the same time, while routines of their work items have yet to end:
// each waits for its own, and none is forgotten. Waits are here a thread of the host's each, which
// the test lets go on one at a time; who waits for what is therefore known at every step.
#include "ex.h"
#include "io.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define UNLOADS 3

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int waiting, released[UNLOADS], unloaded;
static PKEVENT waits_for[UNLOADS]; // in the order in which they came
static __thread int self;
static PWORK_QUEUE_ITEM queued[UNLOADS];
static int items;

// ---- ke and ex ----------------------------------------------------------------------------------
NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON Reason, KPROCESSOR_MODE Mode,
                                     BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    PKEVENT event = Object;

    pthread_mutex_lock(&lock);
    if (event->Header.SignalState == 0) {
        waits_for[self] = event;
        waiting++;
        pthread_cond_broadcast(&changed);
        while (!released[self])
            pthread_cond_wait(&changed, &lock);
        released[self] = 0;
    }
    event->Header.SignalState = 0;
    pthread_mutex_unlock(&lock);
    return STATUS_SUCCESS;
}

// Releases one that waits for it, as a synchronization event does.
LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    int i = 0;

    pthread_mutex_lock(&lock);
    while (i < UNLOADS && waits_for[i] != Event)
        i++;
    if (i == UNLOADS) {
        Event->Header.SignalState = 1;
    } else {
        waits_for[i] = NULL;
        waiting--;
        released[i] = 1;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

VOID NTAPI ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType)
{
    queued[items++] = WorkItem;
}

PVOID ExAllocatePoolOnBehalf(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller)
{
    return malloc(NumberOfBytes);
}

VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag) { free(P); }

// ---- the test -----------------------------------------------------------------------------------
static VOID NTAPI routine_0(PDEVICE_OBJECT Device, PVOID Context) {}
static VOID NTAPI routine_1(PDEVICE_OBJECT Device, PVOID Context) {}
static VOID NTAPI routine_2(PDEVICE_OBJECT Device, PVOID Context) {}
static PIO_WORKITEM_ROUTINE routine[UNLOADS] = {(PIO_WORKITEM_ROUTINE)routine_0,
                                                (PIO_WORKITEM_ROUTINE)routine_1,
                                                (PIO_WORKITEM_ROUTINE)routine_2};

// The image of driver n is the first byte of its routine.
static void *unload(void *number)
{
    self = (int)(intptr_t)number;
    IoWaitForWorkItems((ULONG_PTR)routine[self], (ULONG_PTR)routine[self] + 1);
    pthread_mutex_lock(&lock);
    unloaded++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

// Until every unload waits or is done.
static void settle(void)
{
    pthread_mutex_lock(&lock);
    while (waiting + unloaded < UNLOADS)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void every_unload_ends_with_its_own_last_routine(void **state)
{
    PIO_WORKITEM item[UNLOADS];
    pthread_t thread[UNLOADS];

    for (int i = 0; i < UNLOADS; i++) {
        item[i] = IoAllocateWorkItem(NULL);
        IoQueueWorkItem(item[i], routine[i], DelayedWorkQueue, NULL);
    }
    for (int i = 0; i < UNLOADS; i++)
        pthread_create(&thread[i], NULL, unload, (void *)(intptr_t)i);
    settle();
    assert_int_equal(waiting, UNLOADS);
    for (int i = UNLOADS; i-- != 0;) {
        queued[i]->WorkerRoutine(queued[i]->Parameter);
        settle();
        assert_int_equal(unloaded, UNLOADS - i);
        pthread_join(thread[i], NULL);
        IoFreeWorkItem(item[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unload_ends_with_its_own_last_routine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
