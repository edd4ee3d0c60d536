// SPDX-License-Identifier: MIT
// Rundown protection, with one count and with one for every processor.
#include "crew.h"

static EX_RUNDOWN_REF Ref;
static PEX_RUNDOWN_REF_CACHE_AWARE Aware;

static VOID NobodyIsLetInAfterwards(VOID)
{
    ExInitializeRundownProtection(&Ref);
    CHECK(ExAcquireRundownProtection(&Ref));
    CHECK(ExAcquireRundownProtectionEx(&Ref, 3));
    ExReleaseRundownProtection(&Ref);
    ExReleaseRundownProtectionEx(&Ref, 3);
    ExWaitForRundownProtectionRelease(&Ref);
    CHECK(!ExAcquireRundownProtection(&Ref));
    CHECK(!ExAcquireRundownProtectionEx(&Ref, 2));
    ExWaitForRundownProtectionRelease(&Ref); // nothing more to wait for
    ExReInitializeRundownProtection(&Ref);
    CHECK(ExAcquireRundownProtection(&Ref));
    ExReleaseRundownProtection(&Ref);
    ExRundownCompleted(&Ref);
    CHECK(!ExAcquireRundownProtection(&Ref));
}

static VOID NTAPI RunDown(PVOID Context)
{
    ExWaitForRundownProtectionRelease(&Ref);
    KeSetEvent(Context, 0, FALSE);
}

static VOID TheWaitEndsWithTheLastUse(VOID)
{
    CREW Crew = {.Count = 0};
    KEVENT Done;

    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    ExInitializeRundownProtection(&Ref);
    CHECK(ExAcquireRundownProtectionEx(&Ref, 2));
    CrewAdd(&Crew, RunDown, &Done);
    while (ExAcquireRundownProtection(&Ref)) { // until it has begun
        ExReleaseRundownProtection(&Ref);
        CrewPause();
    }
    CHECK_EQUAL(KeReadStateEvent(&Done), 0);
    ExReleaseRundownProtection(&Ref);
    CHECK_EQUAL(KeReadStateEvent(&Done), 0);
    ExReleaseRundownProtection(&Ref);
    CrewJoin(&Crew);
    CHECK(KeReadStateEvent(&Done) != 0);
}

// ---- users against a rundown --------------------------------------------------------------------
static volatile LONG Inside, Gone, Late;

static VOID NTAPI UseUntilClosed(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (ExAcquireRundownProtection(&Ref)) {
        InterlockedIncrement(&Inside);
        if (Gone)
            InterlockedIncrement(&Late);
        CrewYield();
        InterlockedDecrement(&Inside);
        ExReleaseRundownProtection(&Ref);
    }
}

static VOID NTAPI UseAwareUntilClosed(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (ExAcquireRundownProtectionCacheAware(Aware)) {
        InterlockedIncrement(&Inside);
        if (Gone)
            InterlockedIncrement(&Late);
        CrewYield(); // perhaps to another processor
        InterlockedDecrement(&Inside);
        ExReleaseRundownProtectionCacheAware(Aware);
    }
}

static VOID NobodyIsInsideAfterTheWait(VOID)
{
    for (ULONG i = 0; i < 8; i++) {
        CREW Crew = {.Count = 0};
        Inside = Gone = Late = 0;
        ExInitializeRundownProtection(&Ref);
        CrewFill(&Crew, UseUntilClosed, NULL);
        CrewPause();
        ExWaitForRundownProtectionRelease(&Ref);
        CHECK_EQUAL(Inside, 0);
        Gone = 1;
        CrewJoin(&Crew);
        CHECK_EQUAL(Late, 0);
    }
}

// Closed and opened again under threads that come and go all the time.
static VOID NTAPI UseUntilStopped(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (!Gone) {
        if (!ExAcquireRundownProtection(&Ref)) {
            CrewYield();
            continue;
        }
        InterlockedIncrement(&Inside);
        CrewYield();
        InterlockedDecrement(&Inside);
        ExReleaseRundownProtection(&Ref);
    }
}

static VOID OpenedAgainItServesAgain(VOID)
{
    CREW Crew = {.Count = 0};

    Inside = Gone = 0;
    ExInitializeRundownProtection(&Ref);
    CrewFill(&Crew, UseUntilStopped, NULL);
    for (ULONG i = 0; i < 200; i++) {
        if (i % 4 == 0)
            CREW_UNTIL(Inside != 0);
        ExWaitForRundownProtectionRelease(&Ref);
        CHECK_EQUAL(Inside, 0);
        ExWaitForRundownProtectionRelease(&Ref); // run down already: it returns
        if (i % 2)
            ExRundownCompleted(&Ref);
        CHECK_EQUAL(Inside, 0);
        ExReInitializeRundownProtection(&Ref);
    }
    Gone = 1;
    CrewJoin(&Crew);
}

static VOID TheCacheAwareKindToo(VOID)
{
    Aware = ExAllocateCacheAwareRundownProtection(NonPagedPool, 'nwdR');
    CHECK(Aware != NULL);
    if (Aware == NULL)
        return;
    for (ULONG i = 0; i < 8; i++) {
        CREW Crew = {.Count = 0};
        Inside = Gone = Late = 0;
        CrewFill(&Crew, UseAwareUntilClosed, NULL);
        CrewPause();
        ExWaitForRundownProtectionReleaseCacheAware(Aware);
        CHECK_EQUAL(Inside, 0);
        Gone = 1;
        CrewJoin(&Crew);
        CHECK_EQUAL(Late, 0);
        ExRundownCompletedCacheAware(Aware);
        ExReInitializeRundownProtectionCacheAware(Aware);
    }
    ExFreeCacheAwareRundownProtection(Aware);
}

static VOID TheCallersMemoryServes(VOID)
{
    SIZE_T Size = ExSizeOfRundownProtectionCacheAware();

    Aware = ExAllocatePoolWithTag(NonPagedPool, Size, 'nwdR');
    CHECK(Aware != NULL);
    if (Aware == NULL)
        return;
    ExInitializeRundownProtectionCacheAware(Aware, Size);
    CHECK(ExAcquireRundownProtectionCacheAwareEx(Aware, 5));
    ExReleaseRundownProtectionCacheAware(Aware);
    ExReleaseRundownProtectionCacheAwareEx(Aware, 4);
    ExWaitForRundownProtectionReleaseCacheAware(Aware);
    CHECK(!ExAcquireRundownProtectionCacheAware(Aware));
    ExFreePoolWithTag(Aware, 'nwdR');
}

static const GUEST_CASE Cases[] = {
    {"nobody is let in after a rundown", NobodyIsLetInAfterwards},
    {"the wait ends with the last use", TheWaitEndsWithTheLastUse},
    {"nobody is inside after the wait", NobodyIsInsideAfterTheWait},
    {"opened again, it serves again", OpenedAgainItServesAgain},
    {"nor with a count for every processor", TheCacheAwareKindToo},
    {"a cache-aware reference in the caller's memory", TheCallersMemoryServes},
};
GUEST_DRIVER(Cases)
