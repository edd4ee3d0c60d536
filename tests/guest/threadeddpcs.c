// SPDX-License-Identifier: MIT
// Threaded DPCs: at PASSIVE_LEVEL, on their processor, in order, flushed and removed like others.
#include "crew.h"

NTKERNELAPI KAFFINITY NTAPI KeQueryActiveProcessors(VOID);

static KEVENT Done;
static volatile LONG Ran;
static KIRQL RanAt;
static ULONG RanOn;
static PVOID Seen[3];

static VOID NTAPI Note(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    RanAt = KeGetCurrentIrql();
    RanOn = KeGetCurrentProcessorNumber();
    Seen[0] = Context;
    Seen[1] = Argument1;
    Seen[2] = Argument2;
    InterlockedIncrement(&Ran);
    KeSetEvent(&Done, 0, FALSE);
}

static VOID Wait(VOID)
{
    KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
}

static VOID RunsAtPassiveLevel(VOID)
{
    KDPC Dpc;
    KIRQL OldIrql;

    Ran = 0;
    KeInitializeEvent(&Done, SynchronizationEvent, FALSE);
    KeInitializeThreadedDpc(&Dpc, Note, &Dpc);
    CHECK(KeInsertQueueDpc(&Dpc, &Done, (PVOID)&Ran));
    Wait();
    CHECK_EQUAL(RanAt, PASSIVE_LEVEL);
    CHECK(Seen[0] == &Dpc && Seen[1] == &Done && Seen[2] == (PVOID)&Ran);
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    CHECK(KeInsertQueueDpc(&Dpc, NULL, NULL));
    CHECK(!KeInsertQueueDpc(&Dpc, NULL, NULL)); // queued already
    KeLowerIrql(OldIrql);
    Wait();
    KeFlushQueuedDpcs();
    CHECK_EQUAL(Ran, 2);
}

static VOID RunsOnItsProcessor(VOID)
{
    KDPC Dpc;

    KeInitializeEvent(&Done, SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < (ULONG)KeNumberProcessors; i++) {
        KeInitializeThreadedDpc(&Dpc, Note, NULL);
        KeSetTargetProcessorDpc(&Dpc, (CCHAR)i);
        CHECK(KeInsertQueueDpc(&Dpc, NULL, NULL));
        Wait();
        CHECK_EQUAL(RanOn, i);
    }
}

static VOID FlushingWaitsForThem(VOID)
{
    static KDPC Dpc[16];

    Ran = 0;
    KeInitializeEvent(&Done, SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Dpc); i++) {
        KeInitializeThreadedDpc(&Dpc[i], Note, NULL);
        KeSetTargetProcessorDpc(&Dpc[i], (CCHAR)(i % (ULONG)KeNumberProcessors));
        KeInsertQueueDpc(&Dpc[i], NULL, NULL);
    }
    KeFlushQueuedDpcs();
    CHECK_EQUAL(Ran, RTL_NUMBER_OF(Dpc));
}

static VOID RemovedOnesDoNotRun(VOID)
{
    KDPC Dpc;
    KIRQL OldIrql;

    Ran = 0;
    KeInitializeThreadedDpc(&Dpc, Note, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK(KeInsertQueueDpc(&Dpc, NULL, NULL));
    CHECK(KeRemoveQueueDpc(&Dpc));
    CHECK(!KeRemoveQueueDpc(&Dpc));
    KeLowerIrql(OldIrql);
    KeFlushQueuedDpcs();
    CHECK_EQUAL(Ran, 0);
}

// ---- on the second list -------------------------------------------------------------------------
static KEVENT Begun, Go;

static VOID NTAPI Hold(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(&Begun, 0, FALSE);
    KeWaitForSingleObject(&Go, Executive, KernelMode, FALSE, NULL);
}

static VOID HighImportanceGoesFirst(VOID)
{
    KDPC First, Second, Third, Removed;

    KeInitializeEvent(&Begun, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Go, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Done, SynchronizationEvent, FALSE);
    Ran = 0;
    KeInitializeThreadedDpc(&First, Hold, NULL);
    KeInitializeThreadedDpc(&Second, Note, &Second);
    KeInitializeThreadedDpc(&Third, Hold, NULL);
    KeInitializeThreadedDpc(&Removed, Note, NULL);
    KeSetImportanceDpc(&Third, HighImportance);
    KeSetTargetProcessorDpc(&First, 0);
    KeSetTargetProcessorDpc(&Second, 0);
    KeSetTargetProcessorDpc(&Third, 0);
    KeSetTargetProcessorDpc(&Removed, 0);
    KeInsertQueueDpc(&First, NULL, NULL);
    KeWaitForSingleObject(&Begun, Executive, KernelMode, FALSE, NULL);
    KeInsertQueueDpc(&Second, NULL, NULL);
    KeInsertQueueDpc(&Removed, NULL, NULL);
    KeInsertQueueDpc(&Third, NULL, NULL);
    CREW_UNTIL(KeRemoveQueueDpc(&Removed)); // from either list
    CrewPause();                            // all are on the second list now
    KeSetEvent(&Go, 0, FALSE);
    KeWaitForSingleObject(&Begun, Executive, KernelMode, FALSE, NULL); // the third
    CHECK_EQUAL(Ran, 0);
    KeSetEvent(&Go, 0, FALSE);
    Wait();
    CHECK(Seen[0] == &Second);
    KeFlushQueuedDpcs();
    CHECK_EQUAL(Ran, 1);
}

static const GUEST_CASE Cases[] = {
    {"IR-50 a threaded DPC runs at PASSIVE_LEVEL", RunsAtPassiveLevel},
    {"it runs on its processor", RunsOnItsProcessor},
    {"KeFlushQueuedDpcs waits for threaded DPCs", FlushingWaitsForThem},
    {"a removed one does not run", RemovedOnesDoNotRun},
    {"high importance goes first", HighImportanceGoesFirst},
};
GUEST_DRIVER(Cases)
