// SPDX-License-Identifier: MIT
// APCs, the regions that keep them away, and callouts on larger stacks.
#include "crew.h"

typedef VOID(NTAPI *NORMAL_ROUTINE)(PVOID Context, PVOID Argument1, PVOID Argument2);
typedef VOID(NTAPI *KERNEL_ROUTINE)(PKAPC Apc, NORMAL_ROUTINE *Normal, PVOID *Context,
                                    PVOID *Argument1, PVOID *Argument2);
typedef VOID(NTAPI *RUNDOWN_ROUTINE)(PKAPC Apc);

NTKERNELAPI VOID NTAPI KeInitializeApc(PKAPC Apc, PKTHREAD Thread, int Environment,
                                       KERNEL_ROUTINE Kernel, RUNDOWN_ROUTINE Rundown,
                                       NORMAL_ROUTINE Normal, KPROCESSOR_MODE Mode, PVOID Context);
NTKERNELAPI BOOLEAN NTAPI KeInsertQueueApc(PKAPC Apc, PVOID Argument1, PVOID Argument2,
                                           KPRIORITY Increment);
NTKERNELAPI BOOLEAN NTAPI KeRemoveQueueApc(PKAPC Apc);

static volatile LONG KernelRan, NormalRan, RundownRan;
static volatile KIRQL KernelIrql, NormalIrql;
static PKTHREAD RanIn;
static PVOID Seen[3];

static VOID NTAPI Kernel(PKAPC Apc, NORMAL_ROUTINE *Normal, PVOID *Context, PVOID *Argument1,
                         PVOID *Argument2)
{
    UNREFERENCED_PARAMETER(Apc);
    UNREFERENCED_PARAMETER(Normal);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KernelIrql = KeGetCurrentIrql();
    RanIn = KeGetCurrentThread();
    InterlockedIncrement(&KernelRan);
}

static VOID NTAPI Normal(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    NormalIrql = KeGetCurrentIrql();
    Seen[0] = Context;
    Seen[1] = Argument1;
    Seen[2] = Argument2;
    InterlockedIncrement(&NormalRan);
}

static VOID NTAPI Rundown(PKAPC Apc)
{
    UNREFERENCED_PARAMETER(Apc);
    InterlockedIncrement(&RundownRan);
}

static VOID Begin(VOID)
{
    KernelRan = NormalRan = RundownRan = 0;
    RanIn = NULL;
}

static VOID InitializeSpecial(PKAPC Apc, PKTHREAD Thread)
{
    KeInitializeApc(Apc, Thread, 0, Kernel, Rundown, NULL, KernelMode, NULL);
}

static VOID InitializeNormal(PKAPC Apc, PKTHREAD Thread)
{
    KeInitializeApc(Apc, Thread, 0, Kernel, Rundown, Normal, KernelMode, &Seen);
}

static VOID ToOneself(VOID)
{
    KAPC Apc;

    Begin();
    InitializeSpecial(&Apc, KeGetCurrentThread());
    CHECK(KeInsertQueueApc(&Apc, NULL, NULL, 0));
    CHECK_EQUAL(KernelRan, 1);
    CHECK_EQUAL(KernelIrql, APC_LEVEL);
    InitializeNormal(&Apc, KeGetCurrentThread());
    CHECK(KeInsertQueueApc(&Apc, &Apc, &Begin, 0));
    CHECK_EQUAL(KernelRan, 2);
    CHECK_EQUAL(NormalRan, 1);
    CHECK_EQUAL(NormalIrql, PASSIVE_LEVEL);
    CHECK(Seen[0] == &Seen && Seen[1] == &Apc && Seen[2] == (PVOID)&Begin);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID RegionsKeepThemAway(VOID)
{
    KAPC Special, Ordinary;
    KIRQL OldIrql;

    Begin();
    InitializeSpecial(&Special, KeGetCurrentThread());
    InitializeNormal(&Ordinary, KeGetCurrentThread());
    KeEnterCriticalRegion();
    KeInsertQueueApc(&Ordinary, NULL, NULL, 0);
    KeInsertQueueApc(&Special, NULL, NULL, 0);
    CHECK_EQUAL(KernelRan, 1); // the special one
    CHECK_EQUAL(NormalRan, 0);
    KeLeaveCriticalRegion();
    CHECK_EQUAL(NormalRan, 1);
    KeEnterGuardedRegion();
    CHECK(KeAreAllApcsDisabled() && KeAreApcsDisabled());
    KeInsertQueueApc(&Special, NULL, NULL, 0);
    CHECK_EQUAL(KernelRan, 2);
    KeLeaveGuardedRegion();
    CHECK_EQUAL(KernelRan, 3);
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    KeInsertQueueApc(&Special, NULL, NULL, 0);
    CHECK_EQUAL(KernelRan, 3);
    KeLowerIrql(OldIrql);
    CHECK_EQUAL(KernelRan, 4);
}

static VOID RemovedOnesDoNotRun(VOID)
{
    KAPC Apc;

    Begin();
    InitializeNormal(&Apc, KeGetCurrentThread());
    KeEnterCriticalRegion();
    CHECK(KeInsertQueueApc(&Apc, NULL, NULL, 0));
    CHECK(!KeInsertQueueApc(&Apc, NULL, NULL, 0)); // queued already
    CHECK(KeRemoveQueueApc(&Apc));
    CHECK(!KeRemoveQueueApc(&Apc));
    KeLeaveCriticalRegion();
    CHECK_EQUAL(KernelRan, 0);
}

// ---- other threads ------------------------------------------------------------------------------
static KEVENT Go;
static volatile NTSTATUS WaitStatus;

static VOID NTAPI WaitForGo(PVOID Mode)
{
    WaitStatus = KeWaitForSingleObject(&Go, Executive, (KPROCESSOR_MODE)(ULONG_PTR)Mode,
                                       Mode != NULL, NULL);
}

static VOID StartWaiter(CREW *Crew, KPROCESSOR_MODE Mode)
{
    KeInitializeEvent(&Go, NotificationEvent, FALSE);
    CrewAdd(Crew, WaitForGo, (PVOID)(ULONG_PTR)Mode);
    CREW_UNTIL(Go.Header.WaitListHead.Flink != &Go.Header.WaitListHead);
}

static VOID WaitingThreadsRunThemAndWaitOn(VOID)
{
    CREW Crew = {.Count = 0};
    KAPC Apc;

    Begin();
    StartWaiter(&Crew, KernelMode);
    InitializeNormal(&Apc, Crew.Thread[0]);
    CHECK(KeInsertQueueApc(&Apc, NULL, NULL, 0));
    CREW_UNTIL(NormalRan == 1);
    CHECK(RanIn == Crew.Thread[0]);
    CREW_UNTIL(Go.Header.WaitListHead.Flink != &Go.Header.WaitListHead); // again
    KeSetEvent(&Go, 0, FALSE);
    CrewJoin(&Crew);
    CHECK_EQUAL(WaitStatus, STATUS_SUCCESS);
}

static VOID UserApcsEndAlertableUserWaits(VOID)
{
    CREW Crew = {.Count = 0};
    KAPC Apc;

    Begin();
    StartWaiter(&Crew, UserMode);
    KeInitializeApc(&Apc, Crew.Thread[0], 0, Kernel, Rundown, Normal, UserMode, NULL);
    CHECK(KeInsertQueueApc(&Apc, NULL, NULL, 0));
    CrewJoin(&Crew);
    CHECK_EQUAL(WaitStatus, STATUS_USER_APC);
    CHECK_EQUAL(NormalRan, 0);  // there is no user mode to run it in
    CHECK_EQUAL(RundownRan, 1); // the thread ended with it queued
}

// Once a user APC is pending it ends every UserMode wait, alertable or not, until it is gone.
static VOID RemovedUserApcsEndNoWait(VOID)
{
    LARGE_INTEGER None = {.QuadPart = 0};
    KEVENT Event;
    KAPC Apc;

    Begin();
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KeInitializeApc(&Apc, KeGetCurrentThread(), 0, Kernel, Rundown, Normal, UserMode, NULL);
    CHECK(KeInsertQueueApc(&Apc, NULL, NULL, 0));
    CHECK_EQUAL(KeWaitForSingleObject(&Event, Executive, UserMode, FALSE, &None), STATUS_TIMEOUT);
    CHECK_EQUAL(KeWaitForSingleObject(&Event, Executive, UserMode, TRUE, &None), STATUS_USER_APC);
    CHECK_EQUAL(KeWaitForSingleObject(&Event, Executive, UserMode, FALSE, &None), STATUS_USER_APC);
    CHECK(KeRemoveQueueApc(&Apc));
    CHECK_EQUAL(KeWaitForSingleObject(&Event, Executive, UserMode, FALSE, &None), STATUS_TIMEOUT);
    CHECK(!KeRemoveQueueApc(&Apc));
    CHECK_EQUAL(KernelRan + RundownRan, 0);
}

// A thread that runs on, on any processor, is interrupted.
static volatile LONG Stop;

static VOID NTAPI RunOn(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (!Stop && KernelRan == 0)
        KeStallExecutionProcessor(1);
}

static VOID RunningThreadsAreInterrupted(VOID)
{
    KPRIORITY Old = KeSetPriorityThread(KeGetCurrentThread(), 10);
    CREW Crew = {.Count = 0};
    KAPC Apc;

    Begin();
    Stop = 0;
    CrewAdd(&Crew, RunOn, NULL);
    CrewPause(); // it runs now
    InitializeSpecial(&Apc, Crew.Thread[0]);
    CHECK(KeInsertQueueApc(&Apc, NULL, NULL, 0));
    CrewJoin(&Crew);
    CHECK_EQUAL(KernelRan, 1);
    CHECK_EQUAL(KernelIrql, APC_LEVEL);
    KeSetPriorityThread(KeGetCurrentThread(), Old);
}

// ---- callouts -----------------------------------------------------------------------------------
typedef VOID(NTAPI *CALLOUT)(PVOID Parameter);
NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCallout(CALLOUT Callout, PVOID Parameter,
                                                         SIZE_T Size);

static ULONG Recurse(ULONG Depth)
{
    volatile UCHAR Space[1024];

    Space[0] = (UCHAR)Depth;
    Space[1023] = 1;
    return Depth == 0 ? 0 : Recurse(Depth - 1) + Space[1023];
}

static VOID NTAPI Deep(PVOID Parameter)
{
    *(ULONG_PTR *)Parameter = IoGetRemainingStackSize();
    CHECK_EQUAL(Recurse(24), 24); // more than any stack has left
    CrewPause();                  // a switch, on this stack
}

static VOID CalloutsRunOnLargerStacks(VOID)
{
    ULONG_PTR Remaining = 0, Low, High, LowAfter, HighAfter;

    IoGetStackLimits(&Low, &High);
    CHECK_EQUAL(KeExpandKernelStackAndCallout(Deep, &Remaining, 32 * 1024), STATUS_SUCCESS);
    CHECK(Remaining >= 31 * 1024);
    IoGetStackLimits(&LowAfter, &HighAfter);
    CHECK(Low == LowAfter && High == HighAfter);
}

// As deep as they nest, each waiting on its own stack; the next is refused.
typedef struct _NEST {
    CREW *Crew;
    ULONG Depth;
    NTSTATUS Refused;
} NEST;

#define MOST_STACK (sizeof(PVOID) == 8 ? 0x12000 - 0x800 : 61440 - 0x800)

static VOID NTAPI Nest(PVOID Parameter)
{
    volatile UCHAR Space[3000]; // so much is not left on a large stack any more
    NEST *Inner = Parameter;
    NTSTATUS Status;
    KAPC Apc;

    Space[0] = Space[2999] = 0;
    Inner->Depth++;
    CrewPause();
    InitializeSpecial(&Apc, KeGetCurrentThread());
    CHECK(KeInsertQueueApc(&Apc, NULL, NULL, 0));
    CHECK_EQUAL(KernelRan, Inner->Depth);
    Status = KeExpandKernelStackAndCallout(Nest, Inner, MOST_STACK);
    if (!NT_SUCCESS(Status))
        Inner->Refused = Status;
    CrewPause();
}

static VOID CalloutsNest(VOID)
{
    NEST Outer = {.Depth = 0, .Refused = STATUS_SUCCESS};
    ULONG_PTR Low, High, LowAfter, HighAfter;

    Begin();
    IoGetStackLimits(&Low, &High);
    CHECK_EQUAL(KeExpandKernelStackAndCallout(Nest, &Outer, MOST_STACK), STATUS_SUCCESS);
    CHECK_EQUAL(Outer.Depth, 8);
    CHECK_EQUAL(Outer.Refused, STATUS_STACK_OVERFLOW);
    IoGetStackLimits(&LowAfter, &HighAfter);
    CHECK(Low == LowAfter && High == HighAfter);
}

// An APC that comes while a callout changes stacks runs on one of the two, and has to find the
// limits of that one: exceptions and callouts of its own go by them.
static volatile LONG Astray, Calling;
static KEVENT Delivered;

static VOID NTAPI LookAtLimits(PKAPC Apc, NORMAL_ROUTINE *Routine, PVOID *Context, PVOID *Argument1,
                               PVOID *Argument2)
{
    ULONG_PTR Low, High, Here = (ULONG_PTR)&Low;

    IoGetStackLimits(&Low, &High);
    if (Here < Low || Here >= High)
        InterlockedIncrement(&Astray);
    Kernel(Apc, Routine, Context, Argument1, Argument2);
    KeSetEvent(&Delivered, 0, FALSE);
}

static VOID NTAPI Return(PVOID Parameter)
{
    UNREFERENCED_PARAMETER(Parameter);
}

static VOID NTAPI CallOut(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (Calling)
        CHECK_EQUAL(KeExpandKernelStackAndCallout(Return, NULL, 56 * 1024), STATUS_SUCCESS);
}

static VOID ApcsFindTheLimitsOfTheirStack(VOID)
{
    KPRIORITY Old = KeSetPriorityThread(KeGetCurrentThread(), 12); // it goes on at once
    CREW Crew = {.Count = 0};
    KAPC Apc;

    Begin();
    Astray = 0;
    Calling = 1;
    KeInitializeEvent(&Delivered, SynchronizationEvent, FALSE);
    CrewAdd(&Crew, CallOut, NULL);
    KeInitializeApc(&Apc, Crew.Thread[0], 0, LookAtLimits, Rundown, NULL, KernelMode, NULL);
    for (ULONG i = 0; i < 3000; i++) {
        CHECK(KeInsertQueueApc(&Apc, NULL, NULL, 0));
        KeWaitForSingleObject(&Delivered, Executive, KernelMode, FALSE, NULL);
        KeStallExecutionProcessor(i % 16);
        if (i % 64 == 0)
            CrewPause(); // on one processor the other gets on meanwhile
    }
    Calling = 0;
    KeSetPriorityThread(KeGetCurrentThread(), Old);
    CrewJoin(&Crew);
    CHECK_EQUAL(KernelRan, 3000);
    CHECK_EQUAL(Astray, 0);
}

// ---- threads that end ---------------------------------------------------------------------------
static VOID NTAPI EndSoon(PVOID Context)
{
    for (ULONG_PTR i = 0; i < (ULONG_PTR)Context % 4; i++)
        CrewYield();
}

// Whatever an ending thread accepted runs or is run down, once; later ones are refused.
static VOID EndingThreadsLoseNoApc(VOID)
{
    static KAPC Apcs[64];
    LONG Accepted = 0;

    Begin();
    for (ULONG i = 0; i < 100; i++) {
        CREW Crew = {.Count = 0};
        ULONG Count = 0;
        CrewAdd(&Crew, EndSoon, (PVOID)(ULONG_PTR)i);
        for (BOOLEAN Taken = TRUE; Taken && Count < RTL_NUMBER_OF(Apcs); Count += Taken) {
            if (Count % 2)
                InitializeSpecial(&Apcs[Count], Crew.Thread[0]);
            else
                InitializeNormal(&Apcs[Count], Crew.Thread[0]);
            Taken = KeInsertQueueApc(&Apcs[Count], NULL, NULL, 0);
        }
        Accepted += (LONG)Count;
        KeWaitForSingleObject(Crew.Thread[0], Executive, KernelMode, FALSE, NULL);
        InitializeSpecial(&Apcs[0], Crew.Thread[0]);
        CHECK(!KeInsertQueueApc(&Apcs[0], NULL, NULL, 0));
        CrewJoin(&Crew);
        CHECK_EQUAL(KernelRan + RundownRan, Accepted);
    }
}

static const GUEST_CASE Cases[] = {
    {"an APC for oneself runs at once", ToOneself},
    {"regions and APC_LEVEL keep APCs away until they end", RegionsKeepThemAway},
    {"a removed APC does not run", RemovedOnesDoNotRun},
    {"a waiting thread runs its APC and waits on", WaitingThreadsRunThemAndWaitOn},
    {"a user APC ends an alertable UserMode wait", UserApcsEndAlertableUserWaits},
    {"a user APC that was removed ends no wait", RemovedUserApcsEndNoWait},
    {"a running thread is interrupted", RunningThreadsAreInterrupted},
    {"a callout runs on a larger stack", CalloutsRunOnLargerStacks},
    {"callouts nest, wait and take APCs, to a limit", CalloutsNest},
    {"an APC finds the limits of the stack it runs on", ApcsFindTheLimitsOfTheirStack},
    {"an ending thread runs or runs down each APC it accepted", EndingThreadsLoseNoApc},
};
GUEST_DRIVER(Cases)
