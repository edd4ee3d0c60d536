// SPDX-License-Identifier: MIT
// Fast mutexes and guarded mutexes.
#include "crew.h"

#define ROUNDS 200u

static FAST_MUTEX Fast;
static KGUARDED_MUTEX Guarded;
static CREW_PAIR Pair;

static VOID FastMutexRaisesToApcLevel(VOID)
{
    ExInitializeFastMutex(&Fast);
    ExAcquireFastMutex(&Fast);
    CHECK_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    CHECK(KeAreAllApcsDisabled());
    ExReleaseFastMutex(&Fast);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID FastMutexRestoresTheIrqlBefore(VOID)
{
    KIRQL OldIrql;

    ExInitializeFastMutex(&Fast);
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    ExAcquireFastMutex(&Fast);
    ExReleaseFastMutex(&Fast);
    CHECK_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(OldIrql);
}

static VOID NTAPI TryFast(PVOID Context)
{
    *(BOOLEAN *)Context = ExTryToAcquireFastMutex(&Fast);
    if (*(BOOLEAN *)Context)
        ExReleaseFastMutex(&Fast);
}

static BOOLEAN OtherThreadCan(PKSTART_ROUTINE Try)
{
    CREW Crew = {.Count = 0};
    BOOLEAN Could = 2;

    CrewAdd(&Crew, Try, &Could);
    CrewJoin(&Crew);
    return Could;
}

static VOID FastMutexTriesWithoutWaiting(VOID)
{
    ExInitializeFastMutex(&Fast);
    CHECK(OtherThreadCan(TryFast));
    CHECK(ExTryToAcquireFastMutex(&Fast));
    CHECK_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    CHECK(!ExTryToAcquireFastMutex(&Fast));
    CHECK_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    ExReleaseFastMutex(&Fast);
    CHECK(OtherThreadCan(TryFast));
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID UnsafeFastMutexLeavesTheIrql(VOID)
{
    ExInitializeFastMutex(&Fast);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Fast);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    CHECK(!OtherThreadCan(TryFast));
    ExReleaseFastMutexUnsafe(&Fast);
    KeLeaveCriticalRegion();
    CHECK(OtherThreadCan(TryFast));
}

static VOID NTAPI CountUnderFast(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < ROUNDS; i++) {
        ExAcquireFastMutex(&Fast);
        CrewCount(&Pair, i);
        ExReleaseFastMutex(&Fast);
    }
}

static VOID CheckCounted(PKSTART_ROUTINE Routine)
{
    CREW Crew = {.Count = 0};
    ULONG Threads;

    RtlZeroMemory(&Pair, sizeof(Pair));
    CrewFill(&Crew, Routine, NULL);
    Threads = Crew.Count;
    CrewJoin(&Crew);
    CHECK_EQUAL(Pair.First, Threads * ROUNDS);
    CHECK_EQUAL(Pair.Second, Threads * ROUNDS);
    CHECK_EQUAL(Pair.Torn, 0);
}

static VOID FastMutexExcludes(VOID)
{
    ExInitializeFastMutex(&Fast);
    CheckCounted(CountUnderFast);
    CHECK(Fast.Contention != 0);
    CHECK(ExTryToAcquireFastMutex(&Fast));
    ExReleaseFastMutex(&Fast);
}

// ---- guarded mutexes ----------------------------------------------------------------------------
static VOID GuardedMutexEntersAGuardedRegion(VOID)
{
    KeInitializeGuardedMutex(&Guarded);
    KeAcquireGuardedMutex(&Guarded);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    CHECK(KeAreAllApcsDisabled());
    KeReleaseGuardedMutex(&Guarded);
    CHECK(!KeAreAllApcsDisabled());
}

static VOID NTAPI TryGuarded(PVOID Context)
{
    *(BOOLEAN *)Context = KeTryToAcquireGuardedMutex(&Guarded);
    CHECK_EQUAL(KeAreAllApcsDisabled(), *(BOOLEAN *)Context);
    if (*(BOOLEAN *)Context)
        KeReleaseGuardedMutex(&Guarded);
}

static VOID GuardedMutexTriesWithoutWaiting(VOID)
{
    KeInitializeGuardedMutex(&Guarded);
    CHECK(OtherThreadCan(TryGuarded));
    CHECK(KeTryToAcquireGuardedMutex(&Guarded));
    CHECK(!OtherThreadCan(TryGuarded));
    KeReleaseGuardedMutex(&Guarded);
    CHECK(OtherThreadCan(TryGuarded));
}

static VOID UnsafeGuardedMutexLeavesTheRegion(VOID)
{
    KeInitializeGuardedMutex(&Guarded);
    KeEnterGuardedRegion();
    KeAcquireGuardedMutexUnsafe(&Guarded);
    CHECK(!OtherThreadCan(TryGuarded));
    KeReleaseGuardedMutexUnsafe(&Guarded);
    CHECK(KeAreAllApcsDisabled());
    KeLeaveGuardedRegion();
    CHECK(!KeAreAllApcsDisabled());
}

static VOID NTAPI CountUnderGuarded(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeAcquireGuardedMutex(&Guarded);
        CrewCount(&Pair, i);
        KeReleaseGuardedMutex(&Guarded);
    }
}

static VOID GuardedMutexExcludes(VOID)
{
    KeInitializeGuardedMutex(&Guarded);
    CheckCounted(CountUnderGuarded);
    CHECK(Guarded.Contention != 0);
}

// ---- handing over -------------------------------------------------------------------------------
static LONG NextPlace;

static VOID NTAPI TakeAPlace(PVOID Context)
{
    ExAcquireFastMutex(&Fast);
    *(LONG *)Context = NextPlace++;
    ExReleaseFastMutex(&Fast);
}

// The mutex goes to who came first, though others run before.
static VOID WaitersAreServedInOrder(VOID)
{
    CREW Crew = {.Count = 0};
    LONG Place[4];

    NextPlace = 0;
    ExInitializeFastMutex(&Fast);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Fast);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Place); i++) {
        CrewAdd(&Crew, TakeAPlace, &Place[i]);
        CREW_UNTIL(CrewWaiters(&Fast.Event.Header) == i + 1);
    }
    ExReleaseFastMutexUnsafe(&Fast);
    KeLeaveCriticalRegion();
    CrewJoin(&Crew);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Place); i++)
        CHECK_EQUAL(Place[i], (LONG)i);
}

static const GUEST_CASE Cases[] = {
    {"a fast mutex raises its owner to APC_LEVEL", FastMutexRaisesToApcLevel},
    {"a fast mutex restores the IRQL from before", FastMutexRestoresTheIrqlBefore},
    {"ExTryToAcquireFastMutex does not wait", FastMutexTriesWithoutWaiting},
    {"the Unsafe routines leave the IRQL alone", UnsafeFastMutexLeavesTheIrql},
    {"one thread at a time owns a fast mutex", FastMutexExcludes},
    {"a guarded mutex puts its owner into a guarded region", GuardedMutexEntersAGuardedRegion},
    {"KeTryToAcquireGuardedMutex does not wait", GuardedMutexTriesWithoutWaiting},
    {"the Unsafe routines leave the region alone", UnsafeGuardedMutexLeavesTheRegion},
    {"one thread at a time owns a guarded mutex", GuardedMutexExcludes},
    {"waiters get the mutex in the order they came", WaitersAreServedInOrder},
};
GUEST_DRIVER(Cases)
