// SPDX-License-Identifier: MIT
// Calls from processor to processor.
//
// What one processor wants of others falls into three kinds, each with its own way:
//     look at your DPCs, at NextThread, at your APCs   the software interrupt of that level, sent
//                                                      there (KiRequestRemoteDispatch)
//     run this now, I wait                             here
//     stop                                             an NMI (freeze.c)
//
// A caller writes what is to be done into the Call of its own KPRCB, with a bit in Waiting for each
// receiver, sets its own bit in each receiver's CallsFrom, and interrupts those in which no bit was
// set: where one was, an interrupt is on its way already and will find this one too. A receiver
// takes all bits at once, carries out each caller's Call, and takes its own bit out of that
// caller's Waiting: the last use of the Call. So nothing is allocated, no lock is held, callers do
// not wait for each other, and several calls cost a busy receiver one interrupt.
//
// Nobody waits for ever:
//   - A caller is at IPI_LEVEL while it waits, so that its own Call is not used again by a service
//     routine on top of it, and serves calls of others meanwhile (KiPauseAndServe). Two processors
//     that call each other serve each other.
//   - A receiver may have interrupts off or be at or above IPI_LEVEL: the call waits until that is
//     over. It must not be over only when somebody who waits for the receiver goes on. Therefore a
//     lock that is ever waited for with interrupts off is only ever held with interrupts off, in a
//     section that calls nobody: its holder cannot be interrupted by a call that then waits for the
//     waiter. In ke these are ReadyLock and DpcLock, and the time from the moment when others may
//     choose a thread to the moment when its registers are saved (sched.c). A processor that waits
//     for a spin lock serves calls too, which covers drivers that break this rule.
//
// KeIpiGenericCall is such a call whose routine first waits until all have arrived. The initiators
// take turns; one that waits for its turn serves calls.
//
// A processor that has failed, or that a driver keeps with interrupts off, never answers. Whoever
// has waited for it too long stops the system: CLOCK_WATCHDOG_TIMEOUT (the time in clock ticks, 0,
// the KPRCB and the number of the processor that does not answer), and the NMI of the bugcheck
// shows where it is. Only time in which the caller itself runs is counted, so that neither a
// debugger nor an emulator's busy host makes it too long. /CLOCKWATCHDOG=SECONDS sets the limit, 0:
// none.
//
// amd64: IPI_VECTOR is of class 14, CR8 holds it back at IPI_LEVEL. i386: it is held when it comes
// at or above IPI_LEVEL, and replayed; by then CallsFrom may be empty.
//
// Tests: tests/guest/smp.c, tests/guest/broken/deaf_*.c. The users: mm's TLB (mm/pte.c).
#include "ki.h"

#define ANSWER_SECONDS 60u
#define ROUNDS_A_LOOK  1024u

static ULONG KiAnswerLimit; // seconds, 0: none

static KIRQL KiRaiseToIpiLevel(VOID)
{
    KIRQL OldIrql = KiGetIrql();

    if (OldIrql < IPI_LEVEL)
        KiSetIrql(IPI_LEVEL);
    return OldIrql;
}

static VOID KiLowerFromIpiLevel(KIRQL OldIrql)
{
    if (OldIrql < IPI_LEVEL)
        KiLowerIrql(OldIrql);
}

// ---- receiving ----------------------------------------------------------------------------------
VOID KiServeCalls(PKPRCB Prcb)
{
    KIRQL OldIrql = KiRaiseToIpiLevel();
    KAFFINITY From = __atomic_exchange_n(&Prcb->CallsFrom, 0, __ATOMIC_SEQ_CST);

    for (; From != 0; From &= From - 1) {
        KI_CALL *Call = &KiProcessorBlock[__builtin_ctzll(From)]->Call;
        Call->Routine(Call->Context);
        Prcb->IpiCount++;
        __atomic_fetch_and(&Call->Waiting, ~Prcb->ProcessorMask, __ATOMIC_SEQ_CST);
    }
    KiLowerFromIpiLevel(OldIrql);
}

static VOID KiIpiInterrupt(KI_VECTOR *Vector, PKTRAP_FRAME Frame)
{
    KiServeCalls(KeGetCurrentPrcb());
}

VOID KiInitializeIpis(VOID)
{
    KiAnswerLimit = (ULONG)KdQueryOptionNumber("CLOCKWATCHDOG", ANSWER_SECONDS);
    KiConnectVector(IPI_VECTOR, KiIpiInterrupt);
}

// ---- waiting for an answer ----------------------------------------------------------------------
// Of those that are waited for, one that has not even taken the call, if there is one.
static PKPRCB KiDeafProcessor(PKPRCB Prcb)
{
    KAFFINITY Waiting = Prcb->Call.Waiting;
    PKPRCB Deaf = NULL;

    for (; Waiting != 0; Waiting &= Waiting - 1) {
        PKPRCB Target = KiProcessorBlock[__builtin_ctzll(Waiting)];
        if (Deaf == NULL || Target->CallsFrom & Prcb->ProcessorMask)
            Deaf = Target;
    }
    return Deaf;
}

static DECLSPEC_NORETURN VOID KiNoAnswer(PKPRCB Deaf)
{
    char Sentence[128];

    RtlFormat(Sentence, sizeof(Sentence),
              "Processor %u has not answered a call by another processor for %u seconds.",
              Deaf->ProcessorNumber, KiAnswerLimit);
    KiBugCheck(CLOCK_WATCHDOG_TIMEOUT, KiAnswerLimit * (10000000 / HAL_CLOCK_INCREMENT), 0,
               (ULONG_PTR)Deaf, Deaf->ProcessorNumber, NULL, Sentence);
}

typedef struct _KI_PATIENCE {
    ULONG64 Then, Waited; // of the counter
    ULONG Rounds;
} KI_PATIENCE;

// Once a round of waiting, of which a look at the counter is worth some.
FORCEINLINE VOID KiAwaitAnswer(PKPRCB Prcb, KI_PATIENCE *Patience)
{
    ULONG64 Now, Passed;

    KiPauseAndServe(Prcb);
    if (++Patience->Rounds % ROUNDS_A_LOOK != 0 || KiAnswerLimit == 0)
        return;
    Now = HalQueryCounter();
    Passed = Now - Patience->Then;
    Patience->Then = Now;
    Patience->Waited += Passed < HalCounterFrequency / 1000 ? Passed : HalCounterFrequency / 1000;
    if (Patience->Waited > KiAnswerLimit * HalCounterFrequency) {
        PKPRCB Deaf = KiDeafProcessor(Prcb);
        if (Deaf != NULL)
            KiNoAnswer(Deaf);
    }
}

// ---- calling ------------------------------------------------------------------------------------
// At IPI_LEVEL.
static VOID KiPostCall(PKPRCB Prcb, KAFFINITY Targets, VOID (*Routine)(PVOID), PVOID Context)
{
    KAFFINITY Sleeping = 0;

    Prcb->Call.Routine = Routine;
    Prcb->Call.Context = Context;
    __atomic_store_n(&Prcb->Call.Waiting, Targets, __ATOMIC_RELEASE);
    for (KAFFINITY Left = Targets; Left != 0; Left &= Left - 1) {
        PKPRCB Target = KiProcessorBlock[__builtin_ctzll(Left)];
        if (__atomic_fetch_or(&Target->CallsFrom, Prcb->ProcessorMask, __ATOMIC_SEQ_CST) == 0)
            Sleeping |= Target->ProcessorMask;
    }
    if (Sleeping != 0)
        HalSendIpi(Sleeping, Prcb->ProcessorMask);
}

static VOID KiAwaitCall(PKPRCB Prcb)
{
    KI_PATIENCE Patience = {0};

    while (__atomic_load_n(&Prcb->Call.Waiting, __ATOMIC_ACQUIRE) != 0)
        KiAwaitAnswer(Prcb, &Patience);
}

VOID KeCallOthers(KAFFINITY Targets, VOID (*Routine)(PVOID Context), PVOID Context)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    KIRQL OldIrql;

    ASSERT(KiGetIrql() >= DISPATCH_LEVEL);
    Targets &= KeActiveProcessors & ~Prcb->ProcessorMask;
    if (Targets == 0)
        return;
    OldIrql = KiRaiseToIpiLevel();
    KiPostCall(Prcb, Targets, Routine, Context);
    KiAwaitCall(Prcb);
    KiLowerFromIpiLevel(OldIrql);
}

// ---- KeIpiGenericCall ---------------------------------------------------------------------------
typedef struct _KI_GENERIC_CALL {
    PKIPI_BROADCAST_WORKER Worker;
    ULONG_PTR Argument;
    volatile LONG Missing; // processors that have not arrived
} KI_GENERIC_CALL;

static KSPIN_LOCK KiGenericCallLock;

static BOOLEAN KiSomeAreMissing(const KI_GENERIC_CALL *Call)
{
    return __atomic_load_n(&Call->Missing, __ATOMIC_ACQUIRE) != 0;
}

static VOID KiGenericTarget(PVOID Context)
{
    KI_GENERIC_CALL *Call = Context;

    __atomic_fetch_sub(&Call->Missing, 1, __ATOMIC_SEQ_CST);
    while (KiSomeAreMissing(Call))
        KiPause();
    Call->Worker(Call->Argument);
}

// KeIpiGenericCall: calls BroadcastFunction(Context) on all processors at the same time, at
// IPI_LEVEL: none begins before all have stopped what they were doing, and the routine returns when
// all are done. Returns what the function returned on this processor.
// IRQL: < IPI_LEVEL. Source: WDK ntddk.h, KeIpiGenericCall.
ULONG_PTR NTAPI KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(IPI_LEVEL);
    PKPRCB Prcb = KeGetCurrentPrcb();
    KI_GENERIC_CALL Call = {BroadcastFunction, Context, 0};
    KI_PATIENCE Patience = {0};
    KAFFINITY Active;
    ULONG_PTR Result;

    while (!KiTryTakeLock(&KiGenericCallLock))
        KiPauseAndServe(Prcb);
    Active = KeActiveProcessors;
    Call.Missing = (LONG)HalCountProcessors(Active);
    KiPostCall(Prcb, Active & ~Prcb->ProcessorMask, KiGenericTarget, &Call);
    __atomic_fetch_sub(&Call.Missing, 1, __ATOMIC_SEQ_CST);
    while (KiSomeAreMissing(&Call))
        KiAwaitAnswer(Prcb, &Patience);
    Result = BroadcastFunction(Context);
    KiAwaitCall(Prcb);
    KiDropLock(&KiGenericCallLock);
    KiLowerIrql(OldIrql);
    return Result;
}
EXPORT(KeIpiGenericCall, EXPORT_ANY_IRQL, "WDK ntddk.h KeIpiGenericCall");
