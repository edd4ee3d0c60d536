// SPDX-License-Identifier: MIT
// Links: kernel/ps/thread.c kernel/ob/object.c tests/host/fake_ke.c
//
// Creating system threads: whatever fails, nothing is left of the thread, and its process counts
// those that run and no others.
#include "kernel/ps/psp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static EPROCESS system_process;
PEPROCESS PsInitialSystemProcess = &system_process;
static int fail_object, fail_stack, fail_handle;
static int objects, stacks, started;
static PETHREAD handle_object;

// ---- what it calls ------------------------------------------------------------------------------
PVOID ExAllocatePoolOnBehalf(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller)
{
    if (fail_object)
        return NULL;
    objects++;
    return malloc(NumberOfBytes);
}

VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    objects--;
    free(P);
}

VOID NTAPI ExFreePool(PVOID P) { free(P); }
BOOLEAN KeSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length) { return FALSE; }

PVOID MmCreateKernelStack(SIZE_T Pages)
{
    if (fail_stack)
        return NULL;
    stacks++;
    return (PUCHAR)malloc(Pages * PAGE_SIZE) + Pages * PAGE_SIZE;
}

VOID MmDeleteKernelStack(PVOID StackBase, SIZE_T Pages)
{
    stacks--;
    free((PUCHAR)StackBase - Pages * PAGE_SIZE);
}

VOID KeInitializeThread(PKTHREAD Thread, const KE_THREAD *What)
{
    Thread->StackBase = What->StackBase;
}

VOID KeStartThread(PKTHREAD Thread) { started++; }

NTSTATUS ObCreateHandle(PVOID Object, ACCESS_MASK Access, ULONG Attributes, ULONG_PTR Caller,
                        PHANDLE Handle)
{
    if (fail_handle)
        return STATUS_INSUFFICIENT_RESOURCES;
    ObfReferenceObject(Object);
    handle_object = Object;
    *Handle = (HANDLE)4;
    return STATUS_SUCCESS;
}

BOOLEAN PspIsSystemProcess(HANDLE ProcessHandle) { return ProcessHandle == NULL; }
VOID NTAPI ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType) {}
BOOLEAN KeThreadHasLeft(const KTHREAD *Thread) { return TRUE; }
PKAPC KeFlushApc(PKTHREAD Thread, KPROCESSOR_MODE Mode) { return NULL; }
DECLSPEC_NORETURN VOID KeTerminateThread(KPRIORITY Increment) { abort(); }

NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON Reason, KPROCESSOR_MODE Mode,
                                     BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE Mode, BOOLEAN Alertable,
                                      PLARGE_INTEGER Interval)
{
    return STATUS_SUCCESS;
}

// ---- the tests ----------------------------------------------------------------------------------
static VOID NTAPI routine(PVOID Context) {}

static NTSTATUS create(HANDLE Process)
{
    HANDLE Handle;
    return PsCreateSystemThread(&Handle, 0x1FFFFF, NULL, Process, NULL, routine, NULL);
}

static void what_fails_leaves_nothing(void **state)
{
    int *const failure[] = {&fail_object, &fail_stack, &fail_handle};

    for (unsigned i = 0; i < 3; i++) {
        *failure[i] = 1;
        assert_int_equal(create(NULL), STATUS_INSUFFICIENT_RESOURCES);
        *failure[i] = 0;
        assert_int_equal(objects, 0);
        assert_int_equal(stacks, 0);
        assert_int_equal(started, 0);
        assert_int_equal(system_process.ActiveThreads, 0);
    }
    assert_int_equal(create((HANDLE)0x1234), STATUS_INVALID_HANDLE);
    assert_int_equal(system_process.ActiveThreads, 0);
}

static void a_thread_that_runs_is_counted(void **state)
{
    assert_int_equal(create(NULL), STATUS_SUCCESS);
    assert_int_equal(started, 1);
    assert_int_equal(system_process.ActiveThreads, 1);
    ObfDereferenceObject(handle_object); // the handle's, then the thread's own
    ObfDereferenceObject(handle_object);
    assert_int_equal(objects, 0);
    assert_int_equal(stacks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fails_leaves_nothing),
        cmocka_unit_test(a_thread_that_runs_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
