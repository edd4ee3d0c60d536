// SPDX-License-Identifier: MIT
// Links: kernel/ob/handle.c kernel/ob/object.c tests/host/fake_ke.c
//
// Handles against a model that is an array: each stands for its object until it is closed and for
// nothing afterwards, references and counts add up, and the table's growth loses nothing.
#include "kernel/ob/obp.h"
#include "fake_ke.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define OBJECTS 8
#define HANDLES 300

static int deleted, allocations, no_memory;
static HANDLE close_meanwhile; // by another processor, while the table's memory is allocated

static void delete_object(PVOID Object) { deleted++; }

static OBJECT_TYPE one_type = {
    .Self = &one_type, .Name = "One", .BodySize = 64, .WaitOffset = OB_NOT_WAITABLE,
    .ValidAccess = 0xFF, .Delete = delete_object};
static OBJECT_TYPE other_type = {
    .Self = &other_type, .Name = "Other", .BodySize = 16, .WaitOffset = OB_NOT_WAITABLE};

PVOID ExAllocatePoolOnBehalf(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller)
{
    HANDLE handle = close_meanwhile;

    if (no_memory)
        return NULL;
    allocations++;
    close_meanwhile = NULL;
    if (handle != NULL)
        assert_int_equal(ZwClose(handle), STATUS_SUCCESS);
    return malloc(NumberOfBytes);
}

BOOLEAN KeSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length) { return FALSE; }

VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag) { free(P); }

static HANDLE open_handle(PVOID object, ULONG attributes)
{
    HANDLE handle = NULL;
    assert_int_equal(ObCreateHandle(object, 1, attributes, 0, &handle), STATUS_SUCCESS);
    return handle;
}

static void check_handle(HANDLE handle, PVOID expected)
{
    PVOID object;
    NTSTATUS status = ObReferenceObjectByHandle(handle, 1, &one_type, KernelMode, &object, NULL);

    assert_int_equal(status, expected != NULL ? STATUS_SUCCESS : STATUS_INVALID_HANDLE);
    assert_ptr_equal(object, expected);
    if (object != NULL)
        ObfDereferenceObject(object);
}

static void a_handle_stands_for_its_object_until_it_is_closed(void **state)
{
    PVOID object[OBJECTS], of[HANDLES] = {NULL};
    HANDLE handle[HANDLES];
    LONG open = 0;

    srand(1);
    deleted = 0;
    for (int i = 0; i < OBJECTS; i++)
        object[i] = ObCreateTypedObject(&one_type, 0);
    for (int step = 0; step < 20000; step++) {
        int at = rand() % HANDLES;
        if (of[at] == NULL) {
            of[at] = object[rand() % OBJECTS];
            handle[at] = open_handle(of[at], rand() % 2 ? OBJ_KERNEL_HANDLE : 0);
            open++;
        } else if (rand() % 2) {
            assert_int_equal(ZwClose(handle[at]), STATUS_SUCCESS);
            check_handle(handle[at], NULL);
            of[at] = NULL;
            open--;
        } else {
            check_handle(handle[at], of[at]);
        }
        assert_int_equal(one_type.HandleCount, open);
    }
    for (int i = 0; i < OBJECTS; i++)
        ObfDereferenceObject(object[i]); // handles keep what is open
    for (int i = 0; i < HANDLES; i++)
        if (of[i] != NULL)
            assert_int_equal(ZwClose(handle[i]), STATUS_SUCCESS);
    assert_int_equal(deleted, OBJECTS);
    assert_int_equal(one_type.HandleCount, 0);
}

static void what_is_no_handle_is_refused(void **state)
{
    PVOID object = ObCreateTypedObject(&one_type, 0), other;
    HANDLE kernel = open_handle(object, OBJ_KERNEL_HANDLE), plain = open_handle(object, 0);

    check_handle(NULL, NULL);
    check_handle((HANDLE)(ULONG_PTR)0x12345678, NULL);
    check_handle((HANDLE)((ULONG_PTR)kernel & 0x7FFFFFFF), NULL);
    assert_int_equal(ZwClose(NULL), STATUS_INVALID_HANDLE);
    assert_int_equal(ObReferenceObjectByHandle(kernel, 1, &other_type, KernelMode, &other, NULL),
                     STATUS_OBJECT_TYPE_MISMATCH);
    assert_int_equal(ObReferenceObjectByHandle(kernel, 1, &one_type, UserMode, &other, NULL),
                     STATUS_INVALID_HANDLE);
    assert_int_equal(ObReferenceObjectByHandle(plain, 2, &one_type, UserMode, &other, NULL),
                     STATUS_ACCESS_DENIED);
    assert_null(other);
    assert_int_equal(ZwClose(kernel), STATUS_SUCCESS);
    assert_int_equal(ZwClose(kernel), STATUS_INVALID_HANDLE);
    assert_int_equal(ZwClose(plain), STATUS_SUCCESS);
    ObfDereferenceObject(object);
}

static int open_until_the_table_grows(PVOID object, HANDLE *handle)
{
    int count = 0, before = allocations;

    do
        handle[count++] = open_handle(object, 0);
    while (allocations == before);
    return count;
}

static void an_entry_freed_while_the_table_grows_is_used_again(void **state)
{
    static HANDLE handle[1 << 16];
    PVOID object = ObCreateTypedObject(&one_type, 0);
    int count = open_until_the_table_grows(object, handle), entries = 2 * (count - 1);

    while (count < entries)
        handle[count++] = open_handle(object, 0);
    close_meanwhile = handle[0];
    handle[count++] = open_handle(object, 0); // grows again
    assert_null(close_meanwhile);
    int before = allocations;
    while (one_type.HandleCount < 2 * entries)
        handle[count++] = open_handle(object, 0);
    assert_int_equal(allocations, before);
    for (int i = 1; i < count; i++)
        assert_int_equal(ZwClose(handle[i]), STATUS_SUCCESS);
    ObfDereferenceObject(object);
}

// A table that cannot grow is as it was.
static void without_memory_nothing_is_made(void **state)
{
    static HANDLE handle[1 << 16];
    PVOID object = ObCreateTypedObject(&one_type, 0);
    int count = open_until_the_table_grows(object, handle), entries = 2 * (count - 1);
    HANDLE none = NULL;

    while (count < entries)
        handle[count++] = open_handle(object, 0);
    no_memory = 1;
    assert_null(ObCreateTypedObject(&one_type, 0));
    assert_int_equal(ObCreateHandle(object, 1, 0, 0, &none), STATUS_INSUFFICIENT_RESOURCES);
    assert_null(none);
    assert_int_equal(one_type.HandleCount, entries);
    assert_int_equal(ZwClose(handle[0]), STATUS_SUCCESS);
    handle[0] = open_handle(object, 0); // there is room again
    no_memory = 0;
    handle[count++] = open_handle(object, 0);
    for (int i = 0; i < count; i++)
        assert_int_equal(ZwClose(handle[i]), STATUS_SUCCESS);
    ObfDereferenceObject(object);
}

static void check_miscounted(PVOID object, LONG_PTR count)
{
    assert_int_equal(HostBugCheck.Code, REFERENCE_BY_POINTER);
    assert_int_equal(HostBugCheck.Parameter[0], (ULONG_PTR)&one_type);
    assert_int_equal(HostBugCheck.Parameter[1], (ULONG_PTR)object);
    assert_int_equal(HostBugCheck.Parameter[2], 3);
    assert_int_equal(HostBugCheck.Parameter[3], (ULONG_PTR)count);
}

static void an_object_that_nobody_holds_stops_the_system(void **state)
{
    static UCHAR memory[OB_HEADER_SIZE + 64] __attribute__((aligned(16)));
    PVOID fixed = ObInitializeStaticObject(memory, &one_type);
    PVOID object = ObCreateTypedObject(&one_type, 0);
    HANDLE handle = open_handle(object, 0);

    assert_true(BUGCHECKS(ObfDereferenceObject(fixed))); // the last one is for ever
    check_miscounted(fixed, 0);
    assert_true(BUGCHECKS(ObfDereferenceObject(fixed)));
    check_miscounted(fixed, -1);
    assert_true(BUGCHECKS(ObfReferenceObject(fixed)));
    check_miscounted(fixed, 0);
    ObfDereferenceObject(object);
    assert_true(BUGCHECKS(ObfDereferenceObject(object))); // the handle's
    check_miscounted(object, 0);
    ((POBJECT_HEADER)object)[-1].PointerCount = 1;
    assert_int_equal(ZwClose(handle), STATUS_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_stands_for_its_object_until_it_is_closed),
        cmocka_unit_test(what_is_no_handle_is_refused),
        cmocka_unit_test(an_entry_freed_while_the_table_grows_is_used_again),
        cmocka_unit_test(without_memory_nothing_is_made),
        cmocka_unit_test(an_object_that_nobody_holds_stops_the_system),
    };
    return cmocka_run_group_tests_name("handles", tests, NULL, NULL);
}
