// SPDX-License-Identifier: MIT
// Resources (ERESOURCE): who gets them, who waits, who is served next.
#include "crew.h"

NTKERNELAPI VOID NTAPI ExDisableResourceBoostLite(PERESOURCE Resource);

static ERESOURCE Resource;

// A thread that acquires in one way, says so, and releases when told.
typedef struct _ACTOR {
    BOOLEAN(NTAPI *Acquire)(PERESOURCE Resource, BOOLEAN Wait);
    BOOLEAN Wait;
    BOOLEAN Got;
    KEVENT Done;    // the acquisition has returned
    KEVENT Release; // it may release
    CREW Crew;
} ACTOR;

static VOID NTAPI Act(PVOID Context)
{
    ACTOR *Actor = Context;

    KeEnterCriticalRegion();
    Actor->Got = Actor->Acquire(&Resource, Actor->Wait);
    KeSetEvent(&Actor->Done, 0, FALSE);
    KeWaitForSingleObject(&Actor->Release, Executive, KernelMode, FALSE, NULL);
    if (Actor->Got)
        ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
}

static VOID Begin(ACTOR *Actor, BOOLEAN(NTAPI *Acquire)(PERESOURCE, BOOLEAN), BOOLEAN Wait)
{
    RtlZeroMemory(Actor, sizeof(*Actor));
    Actor->Acquire = Acquire;
    Actor->Wait = Wait;
    KeInitializeEvent(&Actor->Done, NotificationEvent, FALSE);
    KeInitializeEvent(&Actor->Release, NotificationEvent, FALSE);
    CrewAdd(&Actor->Crew, Act, Actor);
}

static VOID WaitFor(ACTOR *Actor)
{
    KeWaitForSingleObject(&Actor->Done, Executive, KernelMode, FALSE, NULL);
}

static VOID End(ACTOR *Actor)
{
    KeSetEvent(&Actor->Release, 0, FALSE);
    CrewJoin(&Actor->Crew);
}

// Whether another thread gets it without waiting.
static BOOLEAN OthersGet(BOOLEAN(NTAPI *Acquire)(PERESOURCE, BOOLEAN))
{
    ACTOR Actor;

    Begin(&Actor, Acquire, FALSE);
    End(&Actor);
    return Actor.Got;
}

static VOID Make(VOID)
{
    CHECK_EQUAL(ExInitializeResourceLite(&Resource), STATUS_SUCCESS);
    KeEnterCriticalRegion();
}

static VOID Unmake(VOID)
{
    KeLeaveCriticalRegion();
    CHECK_EQUAL(ExDeleteResourceLite(&Resource), STATUS_SUCCESS);
}

static VOID ExclusiveKeepsAllOthersOut(VOID)
{
    Make();
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    CHECK(ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 1);
    CHECK(!OthersGet(ExAcquireResourceExclusiveLite));
    CHECK(!OthersGet(ExAcquireResourceSharedLite));
    CHECK(!OthersGet(ExAcquireSharedStarveExclusive));
    CHECK(!OthersGet(ExAcquireSharedWaitForExclusive));
    ExReleaseResourceLite(&Resource);
    CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 0);
    CHECK(OthersGet(ExAcquireResourceExclusiveLite));
    Unmake();
}

static VOID ExclusiveOwnersAcquireAgain(VOID)
{
    Make();
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    CHECK(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    CHECK(ExAcquireResourceSharedLite(&Resource, FALSE));
    CHECK(ExAcquireSharedWaitForExclusive(&Resource, FALSE));
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 4);
    for (ULONG i = 0; i < 4; i++) {
        CHECK(!OthersGet(ExAcquireResourceSharedLite));
        ExReleaseResourceLite(&Resource);
    }
    CHECK(OthersGet(ExAcquireResourceSharedLite));
    Unmake();
}

static VOID ManyShareAtOnce(VOID)
{
    ACTOR Actor[7];

    Make();
    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    for (ULONG i = 0; i < RTL_NUMBER_OF(Actor); i++) {
        Begin(&Actor[i], ExAcquireResourceSharedLite, TRUE);
        WaitFor(&Actor[i]);
    }
    CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 1);
    CHECK(!OthersGet(ExAcquireResourceExclusiveLite));
    CHECK(!ExAcquireResourceExclusiveLite(&Resource, FALSE)); // a sharer does not either
    for (ULONG i = 0; i < RTL_NUMBER_OF(Actor); i++) {
        CHECK(!OthersGet(ExAcquireResourceExclusiveLite));
        End(&Actor[i]);
    }
    ExReleaseResourceLite(&Resource);
    CHECK(OthersGet(ExAcquireResourceExclusiveLite));
    Unmake();
}

static VOID SharersStayBehindExclusiveWaiters(VOID)
{
    ACTOR Exclusive;

    Make();
    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    Begin(&Exclusive, ExAcquireResourceExclusiveLite, TRUE);
    CREW_UNTIL(ExGetExclusiveWaiterCount(&Resource) == 1);
    CHECK(!OthersGet(ExAcquireResourceSharedLite));
    CHECK(OthersGet(ExAcquireSharedStarveExclusive));
    CHECK(!OthersGet(ExAcquireSharedWaitForExclusive));
    // An owner gets it again, unless it asks to stay behind.
    CHECK(ExAcquireResourceSharedLite(&Resource, FALSE));
    CHECK(!ExAcquireSharedWaitForExclusive(&Resource, FALSE));
    ExReleaseResourceLite(&Resource);
    CHECK_EQUAL(KeReadStateEvent(&Exclusive.Done), 0);
    ExReleaseResourceLite(&Resource);
    WaitFor(&Exclusive);
    CHECK(Exclusive.Got);
    CHECK_EQUAL(ExGetExclusiveWaiterCount(&Resource), 0);
    CHECK(!OthersGet(ExAcquireSharedStarveExclusive));
    End(&Exclusive);
    Unmake();
}

// After an exclusive owner all waiting sharers, after them the next who waits exclusively.
static VOID SharersAndExclusiveOwnersAlternate(VOID)
{
    ACTOR Shared[3], Exclusive[2];

    Make();
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    Begin(&Exclusive[0], ExAcquireResourceExclusiveLite, TRUE);
    CREW_UNTIL(ExGetExclusiveWaiterCount(&Resource) == 1);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Shared); i++)
        Begin(&Shared[i], ExAcquireResourceSharedLite, TRUE);
    CREW_UNTIL(ExGetSharedWaiterCount(&Resource) == RTL_NUMBER_OF(Shared));
    Begin(&Exclusive[1], ExAcquireResourceExclusiveLite, TRUE);
    CREW_UNTIL(ExGetExclusiveWaiterCount(&Resource) == 2);
    ExReleaseResourceLite(&Resource);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Shared); i++)
        WaitFor(&Shared[i]);
    CHECK_EQUAL(ExGetSharedWaiterCount(&Resource), 0);
    CHECK_EQUAL(ExGetExclusiveWaiterCount(&Resource), 2);
    CHECK_EQUAL(KeReadStateEvent(&Exclusive[0].Done), 0);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Shared); i++)
        End(&Shared[i]);
    WaitFor(&Exclusive[0]);
    CHECK_EQUAL(KeReadStateEvent(&Exclusive[1].Done), 0);
    End(&Exclusive[0]);
    WaitFor(&Exclusive[1]);
    End(&Exclusive[1]);
    Unmake();
}

static VOID ConvertingLetsSharersIn(VOID)
{
    ACTOR Shared[2], Exclusive;

    Make();
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    Begin(&Shared[0], ExAcquireResourceSharedLite, TRUE);
    Begin(&Shared[1], ExAcquireResourceSharedLite, TRUE);
    CREW_UNTIL(ExGetSharedWaiterCount(&Resource) == 2);
    Begin(&Exclusive, ExAcquireResourceExclusiveLite, TRUE);
    CREW_UNTIL(ExGetExclusiveWaiterCount(&Resource) == 1);
    ExConvertExclusiveToSharedLite(&Resource);
    WaitFor(&Shared[0]);
    WaitFor(&Shared[1]);
    CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 1);
    CHECK_EQUAL(KeReadStateEvent(&Exclusive.Done), 0);
    End(&Shared[0]);
    End(&Shared[1]);
    ExReleaseResourceLite(&Resource);
    WaitFor(&Exclusive);
    End(&Exclusive);
    Unmake();
}

// What was acquired three times, in either way, is converted as a whole and released as often.
static VOID ConvertingKeepsTheCount(VOID)
{
    Make();
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    ExConvertExclusiveToSharedLite(&Resource);
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 3);
    CHECK(OthersGet(ExAcquireResourceSharedLite));
    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    for (ULONG i = 0; i < 4; i++) {
        CHECK(!OthersGet(ExAcquireResourceExclusiveLite));
        ExReleaseResourceLite(&Resource);
    }
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 0);
    CHECK(OthersGet(ExAcquireResourceExclusiveLite));
    Unmake();
}

// ---- owners -------------------------------------------------------------------------------------
static VOID NTAPI ReleaseForOwner(PVOID Context)
{
    KeEnterCriticalRegion();
    ExReleaseResourceForThreadLite(&Resource, (ERESOURCE_THREAD)Context);
    KeLeaveCriticalRegion();
}

static VOID AnotherThreadReleasesForAnOwner(VOID)
{
    CREW Crew = {.Count = 0};

    Make();
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    CrewAdd(&Crew, ReleaseForOwner, (PVOID)ExGetCurrentResourceThread());
    CrewJoin(&Crew);
    CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK(OthersGet(ExAcquireResourceExclusiveLite));
    Unmake();
}

static VOID OwnerPointersReplaceThreads(VOID)
{
    PVOID Owner = (PVOID)((ULONG_PTR)&Resource | 3);
    CREW Crew = {.Count = 0};

    Make();
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    ExSetResourceOwnerPointer(&Resource, Owner);
    CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK(!ExAcquireResourceSharedLite(&Resource, FALSE));
    CrewAdd(&Crew, ReleaseForOwner, Owner);
    CrewJoin(&Crew);
    // Shares add up.
    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    ExSetResourceOwnerPointer(&Resource, Owner);
    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    ExSetResourceOwnerPointer(&Resource, Owner);
    ExReleaseResourceForThreadLite(&Resource, (ERESOURCE_THREAD)Owner);
    CHECK(!OthersGet(ExAcquireResourceExclusiveLite));
    ExReleaseResourceForThreadLite(&Resource, (ERESOURCE_THREAD)Owner);
    CHECK(OthersGet(ExAcquireResourceExclusiveLite));
    Unmake();
}

#define OWNER_IS_THREAD 1u // FLAG_OWNER_POINTER_IS_THREAD

// A thread is named as the owner that acquired nothing itself, once exclusively and twice shared.
static VOID AnotherThreadBecomesTheOwner(VOID)
{
    VOID(NTAPI * SetOwner)(PERESOURCE, PVOID, ULONG) = (VOID(NTAPI *)(PERESOURCE, PVOID, ULONG))
        GuestFind(L"ExSetResourceOwnerPointerEx");
    ERESOURCE_THREAD Owner;
    ACTOR Actor;

    if (SetOwner == NULL)
        return;
    Make();
    Begin(&Actor, ExAcquireResourceSharedLite, FALSE);
    WaitFor(&Actor); // it shares
    Owner = (ERESOURCE_THREAD)Actor.Crew.Thread[0];
    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    CHECK(ExAcquireResourceSharedLite(&Resource, TRUE));
    SetOwner(&Resource, (PVOID)Owner, OWNER_IS_THREAD);
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 0);
    ExReleaseResourceForThreadLite(&Resource, Owner);
    ExReleaseResourceForThreadLite(&Resource, Owner);
    CHECK(!OthersGet(ExAcquireResourceExclusiveLite)); // its own is left
    End(&Actor);
    CHECK(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    SetOwner(&Resource, (PVOID)((ULONG_PTR)&Resource | 3), 0);
    CHECK(!ExIsResourceAcquiredExclusiveLite(&Resource));
    ExReleaseResourceForThreadLite(&Resource, (ULONG_PTR)&Resource | 3);
    CHECK(OthersGet(ExAcquireResourceExclusiveLite));
    Unmake();
}

// The checked build watches the order in which locks are acquired: Second before Resource here, and
// never the other way.
static VOID OnlyWhatIsHeldMakesAnOrder(VOID)
{
    static ERESOURCE Second;
    PVOID Owner = (PVOID)((ULONG_PTR)&Resource | 3);
    CREW Crew = {.Count = 0};

    Make();
    ExInitializeResourceLite(&Second);
    ExAcquireResourceExclusiveLite(&Second, TRUE);
    ExAcquireResourceSharedLite(&Resource, TRUE);
    ExAcquireResourceExclusiveLite(&Second, TRUE); // its owner already
    ExReleaseResourceLite(&Second);
    ExReleaseResourceLite(&Second);
    CHECK(ExAcquireResourceExclusiveLite(&Second, FALSE)); // would not have waited
    ExReleaseResourceLite(&Second);
    CrewAdd(&Crew, ReleaseForOwner, (PVOID)ExGetCurrentResourceThread());
    CrewJoin(&Crew);
    ExAcquireResourceExclusiveLite(&Second, TRUE);
    ExReleaseResourceLite(&Second);
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    ExSetResourceOwnerPointer(&Resource, Owner);
    ExAcquireResourceExclusiveLite(&Second, TRUE);
    ExReleaseResourceLite(&Second);
    ExReleaseResourceForThreadLite(&Resource, (ERESOURCE_THREAD)Owner);
    ExDeleteResourceLite(&Second);
    Unmake();
}

static VOID RegionFormsEnterAndLeave(VOID)
{
    CHECK_EQUAL(ExInitializeResourceLite(&Resource), STATUS_SUCCESS);
    CHECK(ExEnterCriticalRegionAndAcquireResourceExclusive(&Resource) != NULL);
    CHECK(KeAreApcsDisabled());
    CHECK(ExIsResourceAcquiredExclusiveLite(&Resource));
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    CHECK(!KeAreApcsDisabled());
    ExEnterCriticalRegionAndAcquireResourceShared(&Resource);
    ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(&Resource);
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 2);
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    ExReleaseResourceAndLeaveCriticalRegion(&Resource);
    CHECK(!KeAreApcsDisabled());
    CHECK_EQUAL(ExReinitializeResourceLite(&Resource), STATUS_SUCCESS);
    CHECK_EQUAL(Resource.ContentionCount, 0);
    CHECK_EQUAL(ExDeleteResourceLite(&Resource), STATUS_SUCCESS);
}

// ---- priority -----------------------------------------------------------------------------------
static KPRIORITY WhileOthersWait(BOOLEAN Boost)
{
    KPRIORITY Old = KeSetPriorityThread(KeGetCurrentThread(), 4), Seen;
    ACTOR Actor;

    Make();
    if (!Boost)
        ExDisableResourceBoostLite(&Resource);
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    Begin(&Actor, ExAcquireResourceExclusiveLite, TRUE); // its priority is 8
    CREW_UNTIL(ExGetExclusiveWaiterCount(&Resource) == 1);
    CHECK_EQUAL(ExIsResourceAcquiredSharedLite(&Resource), 1); // once the waiter has let go of it
    Seen = KeQueryPriorityThread(KeGetCurrentThread());
    ExReleaseResourceLite(&Resource);
    WaitFor(&Actor);
    End(&Actor);
    Unmake();
    KeSetPriorityThread(KeGetCurrentThread(), Old);
    return Seen;
}

static VOID WaitersLendTheirPriority(VOID)
{
    CHECK_EQUAL(WhileOthersWait(FALSE), 4);
    CHECK(WhileOthersWait(TRUE) > 4);
}

// ---- many at once -------------------------------------------------------------------------------
#define ROUNDS 150u

static CREW_PAIR Pair;

static VOID NTAPI ReadAndWrite(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeEnterCriticalRegion();
    for (ULONG i = 0; i < ROUNDS; i++) {
        ExAcquireResourceSharedLite(&Resource, TRUE);
        if (Pair.First != Pair.Second)
            InterlockedIncrement((volatile LONG *)&Pair.Torn);
        if (i % 4 == 0)
            CrewYield();
        ExReleaseResourceLite(&Resource);
        ExAcquireResourceExclusiveLite(&Resource, TRUE);
        CrewCount(&Pair, i);
        if (i % 3 == 0)
            ExConvertExclusiveToSharedLite(&Resource);
        ExReleaseResourceLite(&Resource);
    }
    KeLeaveCriticalRegion();
}

static VOID ReadersNeverSeeHalfAChange(VOID)
{
    CREW Crew = {.Count = 0};
    ULONG Threads;

    RtlZeroMemory(&Pair, sizeof(Pair));
    Make();
    CrewFill(&Crew, ReadAndWrite, NULL);
    Threads = Crew.Count;
    CrewJoin(&Crew);
    CHECK_EQUAL(Pair.First, Threads * ROUNDS);
    CHECK_EQUAL(Pair.Torn, 0);
    CHECK(Resource.ContentionCount != 0);
    CHECK(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    ExReleaseResourceLite(&Resource);
    Unmake();
}

static VOID TryingTakesItOrNot(VOID)
{
    BOOLEAN(NTAPI * Try)(PERESOURCE) =
        (BOOLEAN(NTAPI *)(PERESOURCE))GuestFind(L"ExTryToAcquireResourceExclusiveLite");
    ACTOR Actor;

    if (Try == NULL)
        return;
    Make();
    CHECK(Try(&Resource));
    CHECK(Try(&Resource)); // once more
    ExReleaseResourceLite(&Resource);
    ExReleaseResourceLite(&Resource);
    Begin(&Actor, ExAcquireResourceSharedLite, TRUE);
    WaitFor(&Actor);
    CHECK(!Try(&Resource));
    End(&Actor);
    Unmake();
}

static const GUEST_CASE Cases[] = {
    {"an exclusive owner keeps all others out", ExclusiveKeepsAllOthersOut},
    {"an exclusive owner acquires again, in any way", ExclusiveOwnersAcquireAgain},
    {"eight threads share", ManyShareAtOnce},
    {"sharers stay behind who waits exclusively, as they asked", SharersStayBehindExclusiveWaiters},
    {"sharers and exclusive owners take turns", SharersAndExclusiveOwnersAlternate},
    {"converting to shared lets sharers in", ConvertingLetsSharersIn},
    {"converting keeps the count of acquisitions", ConvertingKeepsTheCount},
    {"another thread releases for an owner", AnotherThreadReleasesForAnOwner},
    {"an owner pointer takes the thread's place", OwnerPointersReplaceThreads},
    {"another thread becomes the owner", AnotherThreadBecomesTheOwner},
    {"resources that are not held any more, or only tried for, make no order",
     OnlyWhatIsHeldMakesAnOrder},
    {"the forms with a critical region enter and leave it", RegionFormsEnterAndLeave},
    {"who waits lends its priority to the owner", WaitersLendTheirPriority},
    {"readers never see half a change", ReadersNeverSeeHalfAChange},
    {"trying for all of it takes it or does not wait", TryingTakesItOrNot},
};
GUEST_DRIVER(Cases)
