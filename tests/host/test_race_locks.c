// SPDX-License-Identifier: MIT
// Links: kernel/ke/lock.c kernel/ke/queuedlock.c kernel/ke/rwlock.c kernel/ex/amd64/slist.S
//
// Spin locks of all kinds and SLISTs among threads that really run at the same time, under the
// thread sanitizer: what a lock protects is plain memory, so a lock that let two in, or published
// too little, is a data race. The code is the kernel's own; a thread is a processor. SLISTs are
// assembly, which the sanitizer does not see: it is told that a push publishes and a pop acquires,
// and then finds out whether an entry ever had two owners.
#include "ex.h"
#include "../../kernel/ke/ki.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define THREADS 2
#define ROUNDS  20000
#define TURNS   1000 // where threads take turns, which costs what their host likes

VOID __tsan_acquire(VOID *address);
VOID __tsan_release(VOID *address);

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;
volatile CCHAR KeNumberProcessors = THREADS;
volatile KAFFINITY KeActiveProcessors;
PKPRCB KiProcessorBlock[MAXIMUM_PROCESSORS];

DECLSPEC_NORETURN VOID KiBugCheck(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                  ULONG_PTR P4, PKTRAP_FRAME Frame, const char *Sentence)
{
    abort();
}

// No queue lies on a thread's own stack twice.
VOID KeQueryStack(ULONG_PTR *Limit, ULONG_PTR *Base) { *Limit = *Base = 0; }

DECLSPEC_NORETURN VOID FASTCALL KiBadRaise(KIRQL Current, KIRQL Requested, ULONG_PTR Caller)
{
    abort();
}

DECLSPEC_NORETURN VOID FASTCALL KiBadLower(KIRQL Current, KIRQL Requested, ULONG_PTR Caller)
{
    abort();
}

VOID KiServeCalls(PKPRCB Prcb)
{
}

BOOLEAN KdSymbolize(ULONG_PTR Address, char *Buffer, SIZE_T Size) { abort(); }
VOID KdLog(const char *Component, const char *Format, ...) { abort(); }
int RtlFormat(char *Buffer, SIZE_T Size, const char *Format, ...) { abort(); }

typedef volatile LONG *PEX_SPIN_LOCK;
KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock);
VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);
KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock);
VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);
LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock);
BOOLEAN FASTCALL KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
VOID FASTCALL KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);
VOID FASTCALL KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle);

// ---- what is protected: plain memory ------------------------------------------------------------
static struct { long first, second; } pair;

static void change(void)
{
    if (pair.first != pair.second)
        abort();
    pair.first++;
    pair.second++;
}

static void look(void)
{
    if (pair.first != pair.second)
        abort();
}

static void among_threads(void *(*routine)(void *), long expected)
{
    pthread_t thread[THREADS];
    pair.first = pair.second = 0;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, routine, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(pair.first, expected);
    assert_int_equal(pair.second, expected);
}

// ---- spin locks ---------------------------------------------------------------------------------
static KSPIN_LOCK lock;

static void *with_spin_lock(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            HostIrql = DISPATCH_LEVEL;
            while (!KeTryToAcquireSpinLockAtDpcLevel(&lock))
                KiPause();
            change();
            KiReleaseLockFromDpcLevel(&lock);
            HostIrql = PASSIVE_LEVEL;
        } else {
            KIRQL before = KiAcquireLock(&lock);
            change();
            KiReleaseLock(&lock, before);
        }
    }
    return argument;
}

static void a_spin_lock_lets_one_in(void **state)
{
    KeInitializeSpinLock(&lock);
    among_threads(with_spin_lock, (long)THREADS * ROUNDS);
}

static void *with_queued_lock(void *argument)
{
    for (int i = 0; i < TURNS; i++) {
        KLOCK_QUEUE_HANDLE handle;
        KeAcquireInStackQueuedSpinLock(&lock, &handle);
        change();
        KeReleaseInStackQueuedSpinLock(&handle);
    }
    return argument;
}

static void a_queued_spin_lock_lets_one_in(void **state)
{
    KeInitializeSpinLock(&lock);
    among_threads(with_queued_lock, (long)THREADS * TURNS);
}

static volatile LONG rw_lock;
static long converted;
static pthread_barrier_t all_are_there;

// Nobody acquires twice, so no wait may be taken for one without end.
static void *with_rw_lock(void *number)
{
    HostPrcb.ProcessorNumber = (ULONG)(ULONG_PTR)number;
    HostPrcb.ProcessorMask = (KAFFINITY)1 << HostPrcb.ProcessorNumber;
    KiInitializeRwLocks(&HostPrcb);
    KiProcessorBlock[HostPrcb.ProcessorNumber] = &HostPrcb;
    __atomic_fetch_or(&KeActiveProcessors, HostPrcb.ProcessorMask, __ATOMIC_SEQ_CST);
    pthread_barrier_wait(&all_are_there);
    for (int i = 0; i < ROUNDS; i++) {
        KIRQL before;
        if (i % 4 == 0) {
            before = ExAcquireSpinLockExclusive(&rw_lock);
            change();
            ExReleaseSpinLockExclusive(&rw_lock, before);
            continue;
        }
        before = ExAcquireSpinLockShared(&rw_lock);
        look();
        if (i % 4 == 1 && ExTryConvertSharedSpinLockExclusive(&rw_lock)) {
            converted++;
            change();
            ExReleaseSpinLockExclusive(&rw_lock, before);
        } else {
            ExReleaseSpinLockShared(&rw_lock, before);
        }
    }
    pthread_barrier_wait(&all_are_there); // a processor does not go while others look at it
    return number;
}

static void readers_never_see_a_writer(void **state)
{
    pthread_t thread[THREADS];
    pair.first = pair.second = converted = 0;
    pthread_barrier_init(&all_are_there, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, with_rw_lock, (void *)(ULONG_PTR)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(pair.first, (long)THREADS * ((ROUNDS + 3) / 4) + converted);
    pthread_barrier_destroy(&all_are_there);
    assert_int_equal(rw_lock, 0);
}

// ---- SLISTs -------------------------------------------------------------------------------------
#define ENTRIES 16

typedef struct { SLIST_ENTRY link; long uses; } entry_t;

static SLIST_HEADER list;
static entry_t entries[ENTRIES];

static void put(entry_t *entry)
{
    __tsan_release(entry);
    ExpInterlockedPushEntrySList(&list, &entry->link);
}

static entry_t *get(void)
{
    entry_t *entry = (entry_t *)ExpInterlockedPopEntrySList(&list);
    if (entry != NULL)
        __tsan_acquire(entry);
    return entry;
}

static void *exchange(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        entry_t *entry = get();
        if (entry == NULL)
            continue;
        entry->uses++;
        put(entry);
    }
    return argument;
}

static void an_entry_never_has_two_owners(void **state)
{
    long uses = 0;
    for (int i = 0; i < ENTRIES; i++)
        put(&entries[i]);
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, exchange, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < ENTRIES; i++) {
        entry_t *entry = get();
        assert_non_null(entry);
        uses += entry->uses;
    }
    assert_null(get());
    assert_true(uses > 0 && uses <= (long)THREADS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spin_lock_lets_one_in),
        cmocka_unit_test(a_queued_spin_lock_lets_one_in),
        cmocka_unit_test(readers_never_see_a_writer),
        cmocka_unit_test(an_entry_never_has_two_owners),
    };
    return cmocka_run_group_tests_name("race_locks", tests, NULL, NULL);
}
