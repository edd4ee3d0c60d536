// SPDX-License-Identifier: MIT
// Push locks.
#include "crew.h"

#include <lkddk.h>

#define ROUNDS 200u

static EX_PUSH_LOCK Lock;
static CREW_PAIR Pair;

static VOID NTAPI TryShared(PVOID Context)
{
    KeEnterCriticalRegion();
    *(BOOLEAN *)Context = ExTryAcquirePushLockSharedEx(&Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    if (*(BOOLEAN *)Context)
        ExReleasePushLockShared(&Lock);
    KeLeaveCriticalRegion();
}

static VOID NTAPI TryExclusive(PVOID Context)
{
    KeEnterCriticalRegion();
    *(BOOLEAN *)Context = ExTryAcquirePushLockExclusiveEx(&Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    if (*(BOOLEAN *)Context)
        ExReleasePushLockExclusive(&Lock);
    KeLeaveCriticalRegion();
}

static BOOLEAN OthersGet(PKSTART_ROUTINE Try)
{
    CREW Crew = {.Count = 0};
    BOOLEAN Got = 2;

    CrewAdd(&Crew, Try, &Got);
    CrewJoin(&Crew);
    return Got;
}

static VOID ExclusiveKeepsAllOut(VOID)
{
    ExInitializePushLock(&Lock);
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusive(&Lock);
    CHECK(!OthersGet(TryShared));
    CHECK(!OthersGet(TryExclusive));
    ExReleasePushLockExclusive(&Lock);
    CHECK(OthersGet(TryExclusive));
    CHECK_EQUAL(Lock, 0);
    KeLeaveCriticalRegion();
}

static VOID SharedLetsSharersIn(VOID)
{
    ExInitializePushLock(&Lock);
    KeEnterCriticalRegion();
    ExAcquirePushLockShared(&Lock);
    CHECK(OthersGet(TryShared));
    CHECK(!OthersGet(TryExclusive));
    ExReleasePushLockShared(&Lock);
    CHECK(OthersGet(TryExclusive));
    ExAcquirePushLockShared(&Lock);
    ExReleasePushLock(&Lock);
    ExAcquirePushLockExclusive(&Lock);
    ExReleasePushLock(&Lock);
    CHECK_EQUAL(Lock, 0);
    KeLeaveCriticalRegion();
}

// The checked build watches the order in which locks are acquired: Second before Lock here, and
// never the other way.
static VOID NTAPI ReleaseIt(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeEnterCriticalRegion();
    ExReleasePushLockExclusive(&Lock);
    KeLeaveCriticalRegion();
}

static VOID OnlyWhatIsHeldMakesAnOrder(VOID)
{
    static EX_PUSH_LOCK Second;
    CREW Crew = {.Count = 0};

    ExInitializePushLock(&Lock);
    ExInitializePushLock(&Second);
    KeEnterCriticalRegion();
    ExAcquirePushLockShared(&Second);
    ExAcquirePushLockExclusive(&Lock);
    ExReleasePushLock(&Second);
    CHECK(ExTryAcquirePushLockSharedEx(&Second, EX_DEFAULT_PUSH_LOCK_FLAGS));
    ExReleasePushLockShared(&Second);
    CrewAdd(&Crew, ReleaseIt, NULL);
    CrewJoin(&Crew);
    ExAcquirePushLockExclusive(&Second);
    ExReleasePushLockExclusive(&Second);
    CHECK_EQUAL(Lock, 0);
    KeLeaveCriticalRegion();
}

static VOID NTAPI OwnOnce(PVOID Context)
{
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusive(&Lock);
    KeSetEvent(Context, 0, FALSE);
    ExReleasePushLockExclusive(&Lock);
    KeLeaveCriticalRegion();
}

// Nobody overtakes who waits for all of it.
static VOID WaitersAreNotOvertaken(VOID)
{
    CREW Crew = {.Count = 0};
    KEVENT Owned;

    KeInitializeEvent(&Owned, NotificationEvent, FALSE);
    ExInitializePushLock(&Lock);
    KeEnterCriticalRegion();
    ExAcquirePushLockShared(&Lock);
    CrewAdd(&Crew, OwnOnce, &Owned);
    while (OthersGet(TryShared)) // until it waits
        CrewPause();
    CHECK_EQUAL(KeReadStateEvent(&Owned), 0);
    ExReleasePushLockShared(&Lock);
    CrewJoin(&Crew);
    CHECK(KeReadStateEvent(&Owned) != 0);
    CHECK_EQUAL(Lock, 0);
    KeLeaveCriticalRegion();
}

static VOID NTAPI ReadAndWrite(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeEnterCriticalRegion();
    for (ULONG i = 0; i < ROUNDS; i++) {
        ExAcquirePushLockShared(&Lock);
        if (Pair.First != Pair.Second)
            InterlockedIncrement((volatile LONG *)&Pair.Torn);
        if (i % 4 == 0)
            CrewYield();
        ExReleasePushLockShared(&Lock);
        ExAcquirePushLockExclusive(&Lock);
        CrewCount(&Pair, i);
        ExReleasePushLockExclusive(&Lock);
    }
    KeLeaveCriticalRegion();
}

static VOID ReadersNeverSeeHalfAChange(VOID)
{
    CREW Crew = {.Count = 0};
    ULONG Threads;

    RtlZeroMemory(&Pair, sizeof(Pair));
    ExInitializePushLock(&Lock);
    CrewFill(&Crew, ReadAndWrite, NULL);
    Threads = Crew.Count;
    CrewJoin(&Crew);
    CHECK_EQUAL(Pair.First, Threads * ROUNDS);
    CHECK_EQUAL(Pair.Torn, 0);
    CHECK_EQUAL(Lock, 0);
}

static const GUEST_CASE Cases[] = {
    {"an exclusive owner keeps all others out", ExclusiveKeepsAllOut},
    {"a shared lock lets sharers in", SharedLetsSharersIn},
    {"push locks that are not held any more, or only tried for, make no order",
     OnlyWhatIsHeldMakesAnOrder},
    {"who waits is not overtaken", WaitersAreNotOvertaken},
    {"readers never see half a change", ReadersNeverSeeHalfAChange},
};
GUEST_DRIVER(Cases)
