// SPDX-License-Identifier: MIT
// System threads: their life, priorities, preemption, and what a switch keeps.
#include "guest.h"

NTSYSAPI NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable,
                                              PLARGE_INTEGER Timeout);

#define MILLISECONDS(n) (-10000LL * (n))

static NTSTATUS Start(PKSTART_ROUTINE Routine, PVOID Context, PVOID *Thread)
{
    HANDLE Handle;
    NTSTATUS Status =
        PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routine, Context);

    *Thread = NULL;
    if (!NT_SUCCESS(Status))
        return Status;
    Status = ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, Thread,
                                       NULL);
    ZwClose(Handle);
    return Status;
}

static VOID Join(PVOID Thread)
{
    CHECK_EQUAL(KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ObDereferenceObject(Thread);
}

static VOID Delay(LONG Milliseconds)
{
    LARGE_INTEGER Interval;

    Interval.QuadPart = MILLISECONDS(Milliseconds);
    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

// ---- life ---------------------------------------------------------------------------------------
static ULONG Ran;
static KIRQL RanAt;
static PKTHREAD RanIn;

static VOID NTAPI Note(PVOID Context)
{
    Ran = (ULONG)(ULONG_PTR)Context;
    RanAt = KeGetCurrentIrql();
    RanIn = KeGetCurrentThread();
}

static VOID NTAPI NoteAndTerminate(PVOID Context)
{
    Note(Context);
    PsTerminateSystemThread(STATUS_UNSUCCESSFUL);
    Ran = 0;
}

static VOID ThreadRunsAtPassiveLevel(VOID)
{
    PVOID Thread;

    CHECK_EQUAL(Start(Note, (PVOID)7, &Thread), STATUS_SUCCESS);
    Join(Thread);
    CHECK_EQUAL(Ran, 7);
    CHECK_EQUAL(RanAt, PASSIVE_LEVEL);
    CHECK(RanIn == Thread);
    CHECK(RanIn != KeGetCurrentThread());
}

static VOID TerminateDoesNotReturn(VOID)
{
    PVOID Thread;

    CHECK_EQUAL(Start(NoteAndTerminate, (PVOID)8, &Thread), STATUS_SUCCESS);
    Join(Thread);
    CHECK_EQUAL(Ran, 8);
}

static VOID AnEndedThreadStaysSignalled(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    PVOID Thread;

    CHECK_EQUAL(Start(Note, NULL, &Thread), STATUS_SUCCESS);
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    CHECK_EQUAL(KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS);
    Join(Thread);
}

static VOID HandleWaitsToo(VOID)
{
    HANDLE Handle;
    CLIENT_ID Id;

    CHECK_EQUAL(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, &Id, Note, (PVOID)9),
                STATUS_SUCCESS);
    CHECK_EQUAL(ZwWaitForSingleObject(Handle, FALSE, NULL), STATUS_SUCCESS);
    CHECK_EQUAL(Ran, 9);
    CHECK_EQUAL((ULONG_PTR)Id.UniqueProcess, (ULONG_PTR)PsGetCurrentProcessId());
    CHECK(Id.UniqueThread != PsGetCurrentThreadId());
    CHECK_EQUAL(ZwClose(Handle), STATUS_SUCCESS);
    CHECK_EQUAL(ZwClose(Handle), STATUS_INVALID_HANDLE);
}

#define MANY 64

static LONG Alive;

static VOID NTAPI CountOne(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&Alive);
    Delay(1);
}

static VOID ManyThreadsLiveAtOnce(VOID)
{
    PVOID Threads[MANY];

    Alive = 0;
    for (ULONG i = 0; i < MANY; i++)
        CHECK_EQUAL(Start(CountOne, NULL, &Threads[i]), STATUS_SUCCESS);
    for (ULONG i = 0; i < MANY; i++)
        Join(Threads[i]);
    CHECK_EQUAL(Alive, MANY);
}

// ---- switching ----------------------------------------------------------------------------------
typedef struct _PING {
    KEVENT Ping, Pong;
    ULONG Rounds, Count;
} PING;

static VOID NTAPI Ponger(PVOID Context)
{
    PING *p = Context;

    for (ULONG i = 0; i < p->Rounds; i++) {
        KeWaitForSingleObject(&p->Ping, Executive, KernelMode, FALSE, NULL);
        p->Count++;
        KeSetEvent(&p->Pong, IO_NO_INCREMENT, FALSE);
    }
}

static VOID TwoThreadsPingPong(VOID)
{
    PING p = {.Rounds = KeNumberProcessors == 1 ? 10000 : 1000};  // an emulated IPI takes its time
    PVOID Thread;

    KeInitializeEvent(&p.Ping, SynchronizationEvent, FALSE);
    KeInitializeEvent(&p.Pong, SynchronizationEvent, FALSE);
    CHECK_EQUAL(Start(Ponger, &p, &Thread), STATUS_SUCCESS);
    for (ULONG i = 0; i < p.Rounds; i++) {
        KeSetEvent(&p.Ping, IO_NO_INCREMENT, FALSE);
        KeWaitForSingleObject(&p.Pong, Executive, KernelMode, FALSE, NULL);
    }
    Join(Thread);
    CHECK_EQUAL(p.Count, p.Rounds);
}

#ifdef _M_AMD64
// Fills xmm6 to xmm15 with a pattern, lets Wait run, and looks again.
static ULONG KeepsXmm(VOID (*Wait)(VOID), ULONG64 Pattern)
{
    ULONG64 Seen[20] __attribute__((aligned(16)));
    ULONG Wrong = 0;

    __asm__ volatile(
        "movq %1, %%xmm6\n\tmovq %1, %%xmm7\n\tmovq %1, %%xmm8\n\tmovq %1, %%xmm9\n\t"
        "movq %1, %%xmm10\n\tmovq %1, %%xmm11\n\tmovq %1, %%xmm12\n\tmovq %1, %%xmm13\n\t"
        "movq %1, %%xmm14\n\tmovq %1, %%xmm15\n\t"
        "subq $0x20, %%rsp\n\tcall *%0\n\taddq $0x20, %%rsp\n\t"
        "movaps %%xmm6, (%2)\n\tmovaps %%xmm7, 16(%2)\n\tmovaps %%xmm8, 32(%2)\n\t"
        "movaps %%xmm9, 48(%2)\n\tmovaps %%xmm10, 64(%2)\n\tmovaps %%xmm11, 80(%2)\n\t"
        "movaps %%xmm12, 96(%2)\n\tmovaps %%xmm13, 112(%2)\n\tmovaps %%xmm14, 128(%2)\n\t"
        "movaps %%xmm15, 144(%2)"
        :
        : "r"(Wait), "r"(Pattern), "b"(Seen)
        : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
          "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
          "xmm15", "memory");
    for (ULONG i = 0; i < 20; i += 2)
        Wrong += Seen[i] != Pattern;
    return Wrong;
}

static VOID WaitABit(VOID)
{
    Delay(1);
}

static volatile ULONG64 Spins;

static VOID SpinABit(VOID)
{
    ULONGLONG End = KeQueryInterruptTime() + 10000 * 50;

    while (KeQueryInterruptTime() < End)
        Spins++;
}

static LONG WrongRegisters;

static VOID NTAPI UseXmm(PVOID Context)
{
    ULONG64 Pattern = 0x0101010101010101ull * (ULONG_PTR)Context;

    for (ULONG i = 0; i < 3; i++) {
        InterlockedExchangeAdd(&WrongRegisters, (LONG)KeepsXmm(WaitABit, Pattern));
        InterlockedExchangeAdd(&WrongRegisters, (LONG)KeepsXmm(SpinABit, Pattern));
    }
}

static VOID SwitchKeepsXmm(VOID)
{
    PVOID Threads[4];

    WrongRegisters = 0;
    for (ULONG i = 0; i < 4; i++)
        CHECK_EQUAL(Start(UseXmm, (PVOID)(ULONG_PTR)(i + 1), &Threads[i]), STATUS_SUCCESS);
    for (ULONG i = 0; i < 4; i++)
        Join(Threads[i]);
    CHECK_EQUAL(WrongRegisters, 0);
}

// xmm0 is volatile across calls, but not across an interrupt that preempts the thread.
static VOID NTAPI SpinInXmm0(PVOID Context)
{
    ULONG64 Pattern = 0x1111111111111111ull * (ULONG_PTR)Context, Seen;
    ULONGLONG End = KeQueryInterruptTime() + 10000 * 100;

    while (KeQueryInterruptTime() < End) {
        __asm__ volatile("movq %1, %%xmm0\n\tmovl $100000, %%ecx\n1:\tdecl %%ecx\n\tjnz 1b\n\t"
                         "movq %%xmm0, %0"
                         : "=r"(Seen)
                         : "r"(Pattern)
                         : "ecx", "xmm0");
        if (Seen != Pattern)
            InterlockedIncrement(&WrongRegisters);
    }
}

static VOID PreemptionKeepsXmm0(VOID)
{
    PVOID Threads[3];

    WrongRegisters = 0;
    for (ULONG i = 0; i < 3; i++)
        CHECK_EQUAL(Start(SpinInXmm0, (PVOID)(ULONG_PTR)(i + 1), &Threads[i]), STATUS_SUCCESS);
    for (ULONG i = 0; i < 3; i++)
        Join(Threads[i]);
    CHECK_EQUAL(WrongRegisters, 0);
}
#else
static LONG WrongValues;

static VOID NTAPI UseFloat(PVOID Context)
{
    KFLOATING_SAVE Save;
    double Sum = 0, Step = (double)(LONG)(ULONG_PTR)Context;

    if (!NT_SUCCESS(KeSaveFloatingPointState(&Save))) {
        InterlockedIncrement(&WrongValues);
        return;
    }
    for (ULONG i = 0; i < 20; i++) {
        Sum += Step;
        Delay(1);
    }
    if (Sum != 20 * Step)
        InterlockedIncrement(&WrongValues);
    KeRestoreFloatingPointState(&Save);
}

static VOID SwitchKeepsSavedFloatingPoint(VOID)
{
    PVOID Threads[4];

    WrongValues = 0;
    for (ULONG i = 0; i < 4; i++)
        CHECK_EQUAL(Start(UseFloat, (PVOID)(ULONG_PTR)(i + 1), &Threads[i]), STATUS_SUCCESS);
    for (ULONG i = 0; i < 4; i++)
        Join(Threads[i]);
    CHECK_EQUAL(WrongValues, 0);
}
#endif

// ---- priorities ---------------------------------------------------------------------------------
static volatile LONG Order[8];
static LONG OrderCount;
static KEVENT Gate;

static VOID NTAPI RunInOrder(PVOID Context)
{
    KeSetPriorityThread(KeGetCurrentThread(), (KPRIORITY)(ULONG_PTR)Context);
    KeWaitForSingleObject(&Gate, Executive, KernelMode, FALSE, NULL);
    Order[InterlockedIncrement(&OrderCount) - 1] = (LONG)(ULONG_PTR)Context;
}

static VOID HigherPrioritiesRunFirst(VOID)
{
    static const ULONG Priorities[] = {9, 12, 10, 17};
    KPRIORITY Mine = KeQueryPriorityThread(KeGetCurrentThread());
    PVOID Threads[4];

    if (KeNumberProcessors != 1)
        return; // one after the other only on one processor
    KeInitializeEvent(&Gate, NotificationEvent, FALSE);
    OrderCount = 0;
    for (ULONG i = 0; i < 4; i++)
        CHECK_EQUAL(Start(RunInOrder, (PVOID)(ULONG_PTR)Priorities[i], &Threads[i]),
                    STATUS_SUCCESS);
    Delay(40);
    KeSetPriorityThread(KeGetCurrentThread(), 20);
    KeSetEvent(&Gate, 0, FALSE);
    CHECK_EQUAL(OrderCount, 0);
    KeSetPriorityThread(KeGetCurrentThread(), Mine);
    CHECK_EQUAL(OrderCount, 4);
    for (ULONG i = 0; i < 4; i++)
        Join(Threads[i]);
    CHECK_EQUAL(Order[0], 17);
    CHECK_EQUAL(Order[1], 12);
    CHECK_EQUAL(Order[2], 10);
    CHECK_EQUAL(Order[3], 9);
}

static volatile LONG Turns[2];
static volatile LONG StopTurns;

static VOID NTAPI TakeTurns(PVOID Context)
{
    while (!StopTurns)
        Turns[(ULONG_PTR)Context]++;
}

static VOID EqualPrioritiesTakeTurns(VOID)
{
    PVOID Threads[2];

    StopTurns = 0;
    Turns[0] = Turns[1] = 0;
    for (ULONG i = 0; i < 2; i++)
        CHECK_EQUAL(Start(TakeTurns, (PVOID)(ULONG_PTR)i, &Threads[i]), STATUS_SUCCESS);
    for (ULONG i = 0; (Turns[0] == 0 || Turns[1] == 0) && i < 3000; i++)
        Delay(10);  // a processor may be a thread that the host lets wait
    CHECK(Turns[0] != 0);
    CHECK(Turns[1] != 0);
    StopTurns = 1;
    Join(Threads[0]);
    Join(Threads[1]);
}

static VOID SetPriorityReturnsTheOldOne(VOID)
{
    KPRIORITY Mine = KeQueryPriorityThread(KeGetCurrentThread());

    CHECK_EQUAL(KeSetPriorityThread(KeGetCurrentThread(), LOW_REALTIME_PRIORITY), Mine);
    CHECK_EQUAL(KeQueryPriorityThread(KeGetCurrentThread()), LOW_REALTIME_PRIORITY);
    CHECK_EQUAL(KeSetPriorityThread(KeGetCurrentThread(), Mine), LOW_REALTIME_PRIORITY);
}

static volatile LONG StarvedRan;

static VOID NTAPI Starved(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeSetPriorityThread(KeGetCurrentThread(), 2);
    StarvedRan = 1;
}

static VOID NTAPI Hog(PVOID Context)
{
    ULONGLONG End = KeQueryInterruptTime() + 10000000ull * 30;

    UNREFERENCED_PARAMETER(Context);
    while (!StarvedRan && KeQueryInterruptTime() < End)
        ;
}

// A thread of priority 2 beside one of 8 that never waits gets its turn all the same.
static VOID StarvedThreadsAreRelieved(VOID)
{
    PVOID Low, High;

    if (KeNumberProcessors != 1)
        return;
    StarvedRan = 0;
    KeSetPriorityThread(KeGetCurrentThread(), 10);
    CHECK_EQUAL(Start(Hog, NULL, &High), STATUS_SUCCESS);
    CHECK_EQUAL(Start(Starved, NULL, &Low), STATUS_SUCCESS);
    KeSetPriorityThread(Low, 2);
    Join(Low);
    CHECK_EQUAL(StarvedRan, 1);
    Join(High);
    KeSetPriorityThread(KeGetCurrentThread(), 8);
}

// ---- stacks -------------------------------------------------------------------------------------
static VOID StackLimitsHoldTheStack(VOID)
{
    ULONG_PTR Low, High, Here = (ULONG_PTR)&Low;

    IoGetStackLimits(&Low, &High);
    CHECK(Here > Low && Here < High);
    CHECK(High - Low >= (sizeof(PVOID) == 8 ? 24u : 12u) * 1024);
    CHECK(IoGetRemainingStackSize() < High - Low);
    CHECK(IoGetRemainingStackSize() > 4096);
}

static const GUEST_CASE Cases[] = {
    {"a system thread runs at PASSIVE_LEVEL in a thread of its own", ThreadRunsAtPassiveLevel},
    {"PsTerminateSystemThread does not return", TerminateDoesNotReturn},
    {"an ended thread stays signalled", AnEndedThreadStaysSignalled},
    {"a thread's handle can be waited for and is closed once", HandleWaitsToo},
    {"64 threads live at once", ManyThreadsLiveAtOnce},
    {"two threads pass the turn to each other by events", TwoThreadsPingPong},
#ifdef _M_AMD64
    {"a switch keeps xmm6 to xmm15", SwitchKeepsXmm},
    {"a preemption keeps xmm0", PreemptionKeepsXmm0},
#else
    {"a switch keeps a saved floating point state", SwitchKeepsSavedFloatingPoint},
#endif
    {"higher priorities run first", HigherPrioritiesRunFirst},
    {"equal priorities take turns", EqualPrioritiesTakeTurns},
    {"KeSetPriorityThread returns the old priority", SetPriorityReturnsTheOldOne},
    {"a starved thread is relieved", StarvedThreadsAreRelieved},
    {"ST-05 the stack limits hold the stack", StackLimitsHoldTheStack},
};
GUEST_DRIVER(Cases)
