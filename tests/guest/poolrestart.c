// SPDX-License-Identifier: MIT
// The pool's fast path is interrupted where it can be, by code that uses the same blocks.
//
// Allocation and free take no lock and raise no IRQL: interrupted, they start again. So on every
// processor a thread allocates and frees blocks of one tag and size as fast as it can, while timers
// and DPCs from the other processors interrupt it and do the same. A sequence that went on where it
// was would hand a block to two owners, put one into the cache twice or lose a count. The first two
// show in the blocks, whose bytes say whose they are; counts are compared at the end by !poolval,
// which tests/system/test_pool.py asks for. It also runs this with instructions for a clock, where
// the interrupts move through the code instruction by instruction.
#include "crew.h"

#define TAG         'rtsR'
#define TICKS       1000u // of all processors
#define BLOCKS      24u
#define BYTES       56u // one class, whatever is asked for above 40
#define STEPS       6u  // of an interrupting routine
#define MILLISECOND 10000

typedef struct _OWNER {
    PUCHAR Block[BLOCKS];
    ULONG Random;
    UCHAR Name;
} OWNER;

// A processor's.
typedef struct _SITE {
    OWNER Thread, Timer, Call;
    KTIMER Clock;
    KDPC TimerDpc, CallDpc;
    volatile LONG Ticks, Calls;
} SITE;

static SITE Sites[CREW_MAXIMUM];
static ULONG Processors;
static volatile LONG Wrong;

static ULONG Next(OWNER *Owner)
{
    Owner->Random = Owner->Random * 1664525u + 1013904223u;
    return Owner->Random >> 8;
}

static VOID Give(OWNER *Owner, PUCHAR *Place)
{
    for (ULONG i = 0; i < 40; i++)
        if ((*Place)[i] != Owner->Name) {
            InterlockedIncrement(&Wrong);
            break;
        }
    ExFreePoolWithTag(*Place, TAG);
    *Place = NULL;
}

static VOID Take(OWNER *Owner, PUCHAR *Place)
{
    *Place = ExAllocatePoolWithTag(NonPagedPool, BYTES - Next(Owner) % 16, TAG);
    if (*Place == NULL)
        InterlockedIncrement(&Wrong);
    else
        RtlFillMemory(*Place, 40, Owner->Name);
}

// A block at random changes its state. The bytes are few: most of the time goes into the pool.
static VOID Step(OWNER *Owner)
{
    PUCHAR *Place = &Owner->Block[Next(Owner) % BLOCKS];

    if (*Place != NULL)
        Give(Owner, Place);
    else
        Take(Owner, Place);
}

static VOID Pairs(VOID)
{
    ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPool, BYTES, TAG), TAG);
    ExFreePool(ExAllocatePoolWithTag(NonPagedPool, BYTES, TAG));
}

static VOID NTAPI OnTimer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    SITE *Site = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    for (ULONG i = 0; i < STEPS; i++)
        Step(&Site->Timer);
    Pairs();
    InterlockedIncrement(&Site->Ticks);
}

static VOID NTAPI OnCall(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    SITE *Site = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    for (ULONG i = 0; i < STEPS; i++)
        Step(&Site->Call);
    InterlockedIncrement(&Site->Calls);
}

static BOOLEAN Done(VOID)
{
    for (ULONG i = 0; i < Processors; i++)
        if ((ULONG)Sites[i].Ticks < TICKS / Processors)
            return FALSE;
    return TRUE;
}

static VOID NTAPI Work(PVOID Context)
{
    ULONG Number = (ULONG)(ULONG_PTR)Context;
    SITE *Site = &Sites[Number];

    KeSetSystemAffinityThread((KAFFINITY)1 << Number);
    while (!Done()) {
        for (ULONG i = 0; i < 16; i++)
            Pairs();
        for (ULONG i = 0; i < 8; i++)
            Step(&Site->Thread);
        if (Processors > 1)
            KeInsertQueueDpc(&Sites[(Number + 1) % Processors].CallDpc, NULL, NULL);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID Open(SITE *Site, ULONG Number)
{
    LARGE_INTEGER Soon = {.QuadPart = -MILLISECOND};

    Site->Thread.Name = (UCHAR)(3 * Number + 1);
    Site->Timer.Name = (UCHAR)(3 * Number + 2);
    Site->Call.Name = (UCHAR)(3 * Number + 3);
    KeInitializeDpc(&Site->CallDpc, OnCall, Site);
    KeInitializeDpc(&Site->TimerDpc, OnTimer, Site);
    KeSetImportanceDpc(&Site->CallDpc, HighImportance);
    KeSetTargetProcessorDpc(&Site->CallDpc, (CCHAR)Number);
    KeSetTargetProcessorDpc(&Site->TimerDpc, (CCHAR)Number);
    KeInitializeTimer(&Site->Clock);
    KeSetTimerEx(&Site->Clock, Soon, 1, &Site->TimerDpc);
}

static VOID GiveAll(OWNER *Owner)
{
    for (ULONG i = 0; i < BLOCKS; i++)
        if (Owner->Block[i] != NULL)
            Give(Owner, &Owner->Block[i]);
}

static VOID Close(SITE *Site)
{
    GiveAll(&Site->Thread);
    GiveAll(&Site->Timer);
    GiveAll(&Site->Call);
}

static VOID InterruptedSequencesStartAgain(VOID)
{
    CREW Crew = {.Count = 0};

    Processors = min((ULONG)KeNumberProcessors, CREW_MAXIMUM);
    ExSetTimerResolution(MILLISECOND, TRUE);
    for (ULONG i = 0; i < Processors; i++)
        Open(&Sites[i], i);
    for (ULONG i = 0; i < Processors; i++)
        CrewAdd(&Crew, Work, (PVOID)(ULONG_PTR)i);
    CrewJoin(&Crew);
    for (ULONG i = 0; i < Processors; i++)
        KeCancelTimer(&Sites[i].Clock);
    KeFlushQueuedDpcs();
    ExSetTimerResolution(0, FALSE);
    for (ULONG i = 0; i < Processors; i++) {
        CHECK(Processors == 1 || Sites[i].Calls > 0);
        Close(&Sites[i]);
    }
    CHECK_EQUAL(Wrong, 0);
}

static const GUEST_CASE Cases[] = {
    {"a pool call that is interrupted by others starts again", InterruptedSequencesStartAgain},
};
GUEST_DRIVER(Cases)
