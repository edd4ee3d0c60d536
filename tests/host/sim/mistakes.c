// SPDX-License-Identifier: MIT
// What drivers must not do, one mistake a run: each stops the system with the code and parameters
// that its routine promises ("Fails:"), the checked build's included.
//
// Thread 0 makes the mistake in place of its work. tests/guest/broken shows some of them from end
// to end, with the driver and its line named; here is every form of every routine.
#include "sim.h"

#include "ex.h"
#include "ob.h"

#include <stdlib.h>

#define VIOLATION DRIVER_VERIFIER_DETECTED_VIOLATION
#define ANY       SIM_ANYTHING
#define AT(thing) ((ULONG_PTR)(thing))

// What is private to files, or that only drivers call.
VOID NTAPI KeRaiseIrql(KIRQL NewIrql, PKIRQL OldIrql);
VOID NTAPI KeLowerIrql(KIRQL NewIrql);
KIRQL NTAPI KeRaiseIrqlToSynchLevel(VOID);
VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);
VOID FASTCALL KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql);
KIRQL FASTCALL KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock);
VOID FASTCALL KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE Handle);
VOID FASTCALL KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE Handle);
KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt);
VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql);
KIRQL NTAPI ExAcquireSpinLockShared(volatile LONG *SpinLock);
VOID NTAPI ExReleaseSpinLockShared(volatile LONG *SpinLock, KIRQL OldIrql);
KIRQL NTAPI ExAcquireSpinLockExclusive(volatile LONG *SpinLock);
VOID NTAPI ExReleaseSpinLockExclusive(volatile LONG *SpinLock, KIRQL OldIrql);
VOID NTAPI KeSetTargetProcessorDpc(PKDPC Dpc, CCHAR Number);
KAFFINITY NTAPI KeSetAffinityThread(PKTHREAD Thread, KAFFINITY Affinity);

PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return malloc(NumberOfBytes);
}

PVOID ExAllocatePoolFor(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller)
{
    return malloc(NumberOfBytes);
}

VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag) { free(P); }
VOID KePrintHeldSpinLocks(VOID) {}

static PKTHREAD self(void) { return &sim_thread[0].tcb; }

// ---- IRQL ---------------------------------------------------------------------------------------
static KIRQL irql;

static void raise_to_lower(void)
{
    KeRaiseIrql(CLOCK_LEVEL, &irql);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
}

static void fast_raise_to_lower(void)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    KfRaiseIrql(APC_LEVEL);
}

static void raise_to_dpc_from_above(void)
{
    KfRaiseIrql(SYNCH_LEVEL);
    KeRaiseIrqlToDpcLevel();
}

static void raise_to_synch_from_above(void)
{
    KfRaiseIrql(HIGH_LEVEL);
    KeRaiseIrqlToSynchLevel();
}

static void raise_to_none(void) { KfRaiseIrql(HIGH_LEVEL + 1); }
static void lower_to_higher(void) { KeLowerIrql(DISPATCH_LEVEL); }
static void fast_lower_to_higher(void) { KfLowerIrql(APC_LEVEL); }

// ---- spin locks ---------------------------------------------------------------------------------
static KSPIN_LOCK lock;
static volatile LONG rw_lock;
static KLOCK_QUEUE_HANDLE queue_handle[2];
static KINTERRUPT interrupt = {.ActualLock = &lock, .SynchronizeIrql = 5};

static void at_dpc_twice(void)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeAcquireSpinLockAtDpcLevel(&lock);
}

static void at_dpc_not_held(void)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    KeReleaseSpinLockFromDpcLevel(&lock);
}

static void for_dpc_twice(void)
{
    KeAcquireSpinLockForDpc(&lock);
    KeAcquireSpinLockForDpc(&lock);
}

static void for_dpc_not_held(void)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    KeReleaseSpinLockForDpc(&lock, PASSIVE_LEVEL);
}

static void queued_twice(void)
{
    KeAcquireInStackQueuedSpinLock(&lock, &queue_handle[0]);
    KeAcquireInStackQueuedSpinLock(&lock, &queue_handle[1]);
}

static void queued_given_back_twice(void)
{
    KeAcquireInStackQueuedSpinLock(&lock, &queue_handle[0]);
    KeReleaseInStackQueuedSpinLock(&queue_handle[0]);
    KfRaiseIrql(DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLock(&queue_handle[0]);
}

static void interrupt_lock_twice(void)
{
    KeAcquireInterruptSpinLock(&interrupt);
    KeAcquireInterruptSpinLock(&interrupt);
}

static void interrupt_lock_not_held(void)
{
    KfRaiseIrql(interrupt.SynchronizeIrql);
    KeReleaseInterruptSpinLock(&interrupt, PASSIVE_LEVEL);
}

static void share_not_held(void)
{
    KfRaiseIrql(DISPATCH_LEVEL);
    ExReleaseSpinLockShared(&rw_lock, PASSIVE_LEVEL);
}

static void exclusive_not_held(void)
{
    KIRQL before = ExAcquireSpinLockShared(&rw_lock);
    ExReleaseSpinLockExclusive(&rw_lock, before);
}

static void exclusive_twice(void)
{
    ExAcquireSpinLockExclusive(&rw_lock);
    ExAcquireSpinLockExclusive(&rw_lock);
}

static void share_of_exclusive(void)
{
    ExAcquireSpinLockExclusive(&rw_lock);
    ExAcquireSpinLockShared(&rw_lock);
}

// ---- threads, DPCs, waits -----------------------------------------------------------------------
static KDPC dpc;
static KEVENT event;
static PVOID objects[MAXIMUM_WAIT_OBJECTS + 1];
static KWAIT_BLOCK blocks[MAXIMUM_WAIT_OBJECTS + 1];

static void region_not_entered(void) { KeLeaveCriticalRegion(); }

static void guarded_region_not_entered(void)
{
    KeEnterCriticalRegion();
    KeLeaveGuardedRegion();
}

static void affinity_of_none(void) { KeSetAffinityThread(self(), (KAFFINITY)1 << 40); }

static void dpc_for_none(void)
{
    KeInitializeDpc(&dpc, NULL, NULL);
    KeSetTargetProcessorDpc(&dpc, 17);
    KeInsertQueueDpc(&dpc, NULL, NULL);
}

static void wait_for(ULONG count, PKWAIT_BLOCK array)
{
    KeInitializeEvent(&event, NotificationEvent, TRUE);
    for (ULONG i = 0; i < count; i++)
        objects[i] = &event;
    KeWaitForMultipleObjects(count, objects, WaitAny, Executive, KernelMode, FALSE, NULL, array);
}

static void wait_for_four_without_blocks(void) { wait_for(THREAD_WAIT_OBJECTS + 1, NULL); }
static void wait_for_sixty_five(void) { wait_for(MAXIMUM_WAIT_OBJECTS + 1, blocks); }
static void wait_for_nothing(void) { wait_for(0, blocks); }

static void wait_at_dispatch(void)
{
    KeInitializeEvent(&event, NotificationEvent, TRUE); // though it would not have to wait
    KfRaiseIrql(DISPATCH_LEVEL);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
}

static void delay_at_dispatch(void)
{
    LARGE_INTEGER moment = {.QuadPart = -1};

    KfRaiseIrql(DISPATCH_LEVEL);
    KeDelayExecutionThread(KernelMode, FALSE, &moment);
}

// ---- mutexes ------------------------------------------------------------------------------------
static FAST_MUTEX mutex;
static KGUARDED_MUTEX guarded;

static void make_mutex(void)
{
    mutex.Count = 1;
    mutex.Owner = NULL;
    KeInitializeEvent(&mutex.Event, SynchronizationEvent, FALSE);
}

static void fast_mutex_at_dispatch(void)
{
    make_mutex();
    KfRaiseIrql(DISPATCH_LEVEL);
    ExAcquireFastMutex(&mutex);
}

static void fast_mutex_tried_at_dispatch(void)
{
    make_mutex();
    KfRaiseIrql(DISPATCH_LEVEL);
    ExTryToAcquireFastMutex(&mutex);
}

static void fast_mutex_twice(void)
{
    make_mutex();
    ExAcquireFastMutex(&mutex);
    ExAcquireFastMutex(&mutex);
}

static void fast_mutex_not_held(void)
{
    make_mutex();
    KfRaiseIrql(APC_LEVEL);
    ExReleaseFastMutex(&mutex);
}

static void fast_mutex_of_another(void)
{
    make_mutex();
    mutex.Owner = &sim_thread[1].tcb;
    KfRaiseIrql(APC_LEVEL);
    ExReleaseFastMutex(&mutex);
}

static void fast_mutex_released_below(void)
{
    make_mutex();
    ExAcquireFastMutex(&mutex);
    KfLowerIrql(PASSIVE_LEVEL);
    ExReleaseFastMutex(&mutex);
}

static void unsafe_mutex_with_apcs(void)
{
    make_mutex();
    ExAcquireFastMutexUnsafe(&mutex);
}

static void unsafe_mutex_not_held(void)
{
    make_mutex();
    KeEnterCriticalRegion();
    ExReleaseFastMutexUnsafe(&mutex);
}

static void guarded_mutex_twice(void)
{
    KeInitializeGuardedMutex(&guarded);
    KeAcquireGuardedMutex(&guarded);
    KeAcquireGuardedMutex(&guarded);
}

static void guarded_mutex_not_held(void)
{
    KeInitializeGuardedMutex(&guarded);
    KeEnterGuardedRegion();
    KeReleaseGuardedMutex(&guarded);
}

static void unsafe_guarded_mutex_with_apcs(void)
{
    KeInitializeGuardedMutex(&guarded);
    KeAcquireGuardedMutexUnsafe(&guarded);
}

static void unsafe_guarded_mutex_not_held(void)
{
    KeInitializeGuardedMutex(&guarded);
    KeEnterGuardedRegion();
    KeReleaseGuardedMutexUnsafe(&guarded);
}

// ---- push locks, rundown ------------------------------------------------------------------------
static EX_PUSH_LOCK push;
static EX_RUNDOWN_REF rundown;

static void push_with_apcs(void) { ExAcquirePushLockExclusiveEx(&push, 0); }
static void push_share_with_apcs(void) { ExAcquirePushLockSharedEx(&push, 0); }

static void push_released_with_apcs(void)
{
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusiveEx(&push, 0);
    KeLeaveCriticalRegion();
    ExReleasePushLockExclusiveEx(&push, 0);
}

static void push_not_held(void)
{
    KeEnterCriticalRegion();
    ExReleasePushLockExclusiveEx(&push, 0);
}

static void push_share_released_as_all(void)
{
    KeEnterCriticalRegion();
    ExAcquirePushLockSharedEx(&push, 0);
    ExReleasePushLockExclusiveEx(&push, 0);
}

static void push_all_released_as_share(void)
{
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusiveEx(&push, 0);
    ExReleasePushLockSharedEx(&push, 0);
}

static void push_either_not_held(void)
{
    KeEnterCriticalRegion();
    ExReleasePushLockEx(&push, 0);
}

static void rundown_not_held(void)
{
    ExInitializeRundownProtection(&rundown);
    ExReleaseRundownProtection(&rundown);
}

static void rundown_too_many_released(void)
{
    ExInitializeRundownProtection(&rundown);
    ExAcquireRundownProtectionEx(&rundown, 2);
    ExReleaseRundownProtectionEx(&rundown, 3);
}

// ---- resources ----------------------------------------------------------------------------------
static ERESOURCE resource;

static void make_resource(void)
{
    ExInitializeResourceLite(&resource);
    KeEnterCriticalRegion();
}

static void resource_with_apcs(void)
{
    ExInitializeResourceLite(&resource);
    ExAcquireResourceSharedLite(&resource, TRUE);
}

static void resource_released_with_apcs(void)
{
    make_resource();
    ExAcquireResourceSharedLite(&resource, TRUE);
    KeLeaveCriticalRegion();
    ExReleaseResourceLite(&resource);
}

static void resource_not_owned(void)
{
    make_resource();
    ExReleaseResourceLite(&resource);
}

static void resource_released_too_often(void)
{
    make_resource();
    ExAcquireResourceExclusiveLite(&resource, TRUE);
    ExAcquireResourceSharedLite(&resource, TRUE);
    for (int i = 0; i < 3; i++)
        ExReleaseResourceLite(&resource);
}

static void resource_released_for_another(void)
{
    make_resource();
    ExAcquireResourceExclusiveLite(&resource, TRUE);
    ExReleaseResourceForThreadLite(&resource, AT(&sim_thread[1].tcb));
}

static void resource_and_region_not_owned(void)
{
    make_resource();
    ExReleaseResourceAndLeaveCriticalRegion(&resource);
}

static void share_converted(void)
{
    make_resource();
    ExAcquireResourceSharedLite(&resource, TRUE);
    ExConvertExclusiveToSharedLite(&resource);
}

static void another_owner_converted(void)
{
    make_resource();
    ExAcquireResourceExclusiveLite(&resource, TRUE);
    ExSetResourceOwnerPointer(&resource, (PVOID)(AT(&resource) | 3));
    ExConvertExclusiveToSharedLite(&resource);
}

static void owner_set_by_none(void)
{
    make_resource();
    ExSetResourceOwnerPointer(&resource, (PVOID)(AT(&resource) | 3));
}

static void owner_set_twice(void)
{
    make_resource();
    ExAcquireResourceExclusiveLite(&resource, TRUE);
    ExSetResourceOwnerPointerEx(&resource, (PVOID)(AT(&resource) | 3), 0);
    ExSetResourceOwnerPointerEx(&resource, (PVOID)(AT(&resource) | 3), 0);
}

static void wait_for_oneself(void)
{
    make_resource();
    ExAcquireResourceSharedLite(&resource, TRUE);
    ExAcquireResourceExclusiveLite(&resource, TRUE);
}

static void resource_made_twice(void)
{
    make_resource();
    ExInitializeResourceLite(&resource);
}

static void resource_deleted_twice(void)
{
    make_resource();
    ExDeleteResourceLite(&resource);
    ExDeleteResourceLite(&resource);
}

static void resource_deleted_while_owned(void)
{
    make_resource();
    ExAcquireResourceExclusiveLite(&resource, TRUE);
    ExDeleteResourceLite(&resource);
}

// ---- all of them --------------------------------------------------------------------------------
#define SELF  AT(&sim_thread[0].tcb)
#define OTHER AT(&sim_thread[1].tcb)
#define LOCK  AT(&lock)
#define RW    AT(&rw_lock)
#define MUTEX AT(&mutex)
#define GUARD AT(&guarded)
#define PUSH  AT(&push)
#define ERES  AT(&resource)

#define MISTAKE(name, ...) {#name, name, __VA_ARGS__}

const SIM_MISTAKE sim_mistakes[] = {
    MISTAKE(raise_to_lower, IRQL_NOT_GREATER_OR_EQUAL, {CLOCK_LEVEL, DISPATCH_LEVEL, 0, ANY}),
    MISTAKE(fast_raise_to_lower, IRQL_NOT_GREATER_OR_EQUAL, {DISPATCH_LEVEL, APC_LEVEL, 0, ANY}),
    MISTAKE(raise_to_dpc_from_above, IRQL_NOT_GREATER_OR_EQUAL,
            {SYNCH_LEVEL, DISPATCH_LEVEL, 0, ANY}),
    MISTAKE(raise_to_synch_from_above, IRQL_NOT_GREATER_OR_EQUAL,
            {HIGH_LEVEL, SYNCH_LEVEL, 0, ANY}),
    MISTAKE(raise_to_none, IRQL_NOT_GREATER_OR_EQUAL, {PASSIVE_LEVEL, HIGH_LEVEL + 1, 0, ANY}),
    MISTAKE(lower_to_higher, IRQL_NOT_LESS_OR_EQUAL, {PASSIVE_LEVEL, DISPATCH_LEVEL, 0, ANY}),
    MISTAKE(fast_lower_to_higher, IRQL_NOT_LESS_OR_EQUAL, {PASSIVE_LEVEL, APC_LEVEL, 0, ANY}),
    MISTAKE(at_dpc_twice, SPIN_LOCK_ALREADY_OWNED, {LOCK, ANY, 0, ANY}),
    MISTAKE(at_dpc_not_held, SPIN_LOCK_NOT_OWNED, {LOCK, 0, 0, ANY}),
    MISTAKE(for_dpc_twice, SPIN_LOCK_ALREADY_OWNED, {LOCK, ANY, 0, ANY}),
    MISTAKE(for_dpc_not_held, SPIN_LOCK_NOT_OWNED, {LOCK, 0, 0, ANY}),
    MISTAKE(queued_twice, SPIN_LOCK_ALREADY_OWNED, {LOCK, ANY, 0, ANY}),
    MISTAKE(queued_given_back_twice, SPIN_LOCK_NOT_OWNED, {LOCK, 0, 0, ANY}),
    MISTAKE(interrupt_lock_twice, SPIN_LOCK_ALREADY_OWNED, {LOCK, ANY, 0, ANY}),
    MISTAKE(interrupt_lock_not_held, SPIN_LOCK_NOT_OWNED, {LOCK, 0, 0, ANY}),
    MISTAKE(share_not_held, SPIN_LOCK_NOT_OWNED, {RW, 0, 0, ANY}),
    MISTAKE(exclusive_not_held, SPIN_LOCK_NOT_OWNED, {RW, 1, 0, ANY}),
    MISTAKE(exclusive_twice, SPIN_LOCK_ALREADY_OWNED, {RW, 0x80000000u, 0, ANY}),
    MISTAKE(share_of_exclusive, SPIN_LOCK_ALREADY_OWNED, {RW, 0x80000000u, 0, ANY}),
    MISTAKE(region_not_entered, APC_INDEX_MISMATCH, {ANY, 0, 0, 0}),
    MISTAKE(guarded_region_not_entered, APC_INDEX_MISMATCH, {ANY, 0xFFFF, 0, 0}),
    MISTAKE(affinity_of_none, INVALID_AFFINITY_SET, {SELF, (ULONG_PTR)1 << 40, 1, 0}),
    MISTAKE(dpc_for_none, TIMER_OR_DPC_INVALID, {3, AT(&dpc), 17, 0}),
    MISTAKE(wait_for_four_without_blocks, MAXIMUM_WAIT_OBJECTS_EXCEEDED,
            {THREAD_WAIT_OBJECTS + 1, 0, 0, ANY}),
    MISTAKE(wait_for_sixty_five, MAXIMUM_WAIT_OBJECTS_EXCEEDED,
            {MAXIMUM_WAIT_OBJECTS + 1, 0, 0, ANY}),
    MISTAKE(wait_for_nothing, MAXIMUM_WAIT_OBJECTS_EXCEEDED, {0, 0, 0, ANY}),
    MISTAKE(wait_at_dispatch, IRQL_NOT_LESS_OR_EQUAL, {AT(&event), DISPATCH_LEVEL, 0, ANY}),
    MISTAKE(delay_at_dispatch, IRQL_NOT_LESS_OR_EQUAL, {ANY, DISPATCH_LEVEL, 0, ANY}),
    MISTAKE(fast_mutex_at_dispatch, VIOLATION, {0x33, DISPATCH_LEVEL, MUTEX, 0}),
    MISTAKE(fast_mutex_tried_at_dispatch, VIOLATION, {0x33, DISPATCH_LEVEL, MUTEX, 0}),
    MISTAKE(fast_mutex_twice, VIOLATION, {0x1000, MUTEX, 0, 0}),
    MISTAKE(fast_mutex_not_held, VIOLATION, {0x1007, MUTEX, 0, 0}),
    MISTAKE(fast_mutex_of_another, VIOLATION, {0x1004, MUTEX, OTHER, SELF}),
    MISTAKE(fast_mutex_released_below, VIOLATION, {0x34, PASSIVE_LEVEL, MUTEX, 0}),
    MISTAKE(unsafe_mutex_with_apcs, VIOLATION, {0x39, PASSIVE_LEVEL, 0, MUTEX}),
    MISTAKE(unsafe_mutex_not_held, VIOLATION, {0x1007, MUTEX, 0, 0}),
    MISTAKE(guarded_mutex_twice, VIOLATION, {0x1000, GUARD, 0, 0}),
    MISTAKE(guarded_mutex_not_held, VIOLATION, {0x1007, GUARD, 0, 0}),
    MISTAKE(unsafe_guarded_mutex_with_apcs, VIOLATION, {0x39, PASSIVE_LEVEL, 0, GUARD}),
    MISTAKE(unsafe_guarded_mutex_not_held, VIOLATION, {0x1007, GUARD, 0, 0}),
    MISTAKE(push_with_apcs, VIOLATION, {0xEA, PASSIVE_LEVEL, 0, PUSH}),
    MISTAKE(push_share_with_apcs, VIOLATION, {0xEA, PASSIVE_LEVEL, 0, PUSH}),
    MISTAKE(push_released_with_apcs, VIOLATION, {0xEB, PASSIVE_LEVEL, 0, PUSH}),
    MISTAKE(push_not_held, VIOLATION, {0x1007, PUSH, 0, 0}),
    MISTAKE(push_share_released_as_all, VIOLATION, {0x1007, PUSH, 0, 0}),
    MISTAKE(push_all_released_as_share, VIOLATION, {0x1007, PUSH, 0, 0}),
    MISTAKE(push_either_not_held, VIOLATION, {0x1007, PUSH, 0, 0}),
    MISTAKE(rundown_not_held, VIOLATION, {0x1007, AT(&rundown), 0, 0}),
    MISTAKE(rundown_too_many_released, VIOLATION, {0x1007, AT(&rundown), 0, 0}),
    MISTAKE(resource_with_apcs, VIOLATION, {0x37, PASSIVE_LEVEL, 0, ERES}),
    MISTAKE(resource_released_with_apcs, VIOLATION, {0x38, PASSIVE_LEVEL, 0, ERES}),
    MISTAKE(resource_not_owned, RESOURCE_NOT_OWNED, {ERES, SELF, 0, ANY}),
    MISTAKE(resource_released_too_often, RESOURCE_NOT_OWNED, {ERES, SELF, 0, ANY}),
    MISTAKE(resource_released_for_another, RESOURCE_NOT_OWNED, {ERES, OTHER, 0, ANY}),
    MISTAKE(resource_and_region_not_owned, RESOURCE_NOT_OWNED, {ERES, SELF, 0, ANY}),
    MISTAKE(share_converted, RESOURCE_NOT_OWNED, {ERES, SELF, 0, ANY}),
    MISTAKE(another_owner_converted, RESOURCE_NOT_OWNED, {ERES, SELF, 0, ANY}),
    MISTAKE(owner_set_by_none, RESOURCE_NOT_OWNED, {ERES, SELF, 0, ANY}),
    MISTAKE(owner_set_twice, RESOURCE_NOT_OWNED, {ERES, SELF, 0, ANY}),
    MISTAKE(wait_for_oneself, VIOLATION, {0x1000, ERES, 0, 0}),
    MISTAKE(resource_made_twice, VIOLATION, {0xD0, ERES, 0, 0}),
    MISTAKE(resource_deleted_twice, VIOLATION, {0xD1, ERES, 0, 0}),
    MISTAKE(resource_deleted_while_owned, VIOLATION, {0x100B, ERES, SELF, 0}),
};
const unsigned sim_mistake_count = RTL_NUMBER_OF(sim_mistakes);
