// SPDX-License-Identifier: MIT
// IRQLs, interrupts, DPCs and spin locks, as a driver sees them. The interrupt is the real-time
// clock's periodic one (line 8), which every PC has; nothing here measures time, it only waits for
// what must come.
#include "guest.h"

#define RTC_INDEX    ((PUCHAR)0x70)
#define RTC_DATA     ((PUCHAR)0x71)
#define RTC_LINE     8
#define RTC_B        0x8B  // register B, NMI as it is at reset
#define RTC_C        0x8C  // reading it acknowledges
#define RTC_PERIODIC 0x40

NTHALAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                           ULONG BusInterruptLevel, ULONG BusInterruptVector,
                                           PKIRQL Irql, PKAFFINITY Affinity);

// ---- levels -------------------------------------------------------------------------------------
static VOID EveryLevelCanBeRaisedTo(VOID)
{
    for (KIRQL Level = PASSIVE_LEVEL; Level <= HIGH_LEVEL; Level++) {
        KIRQL OldIrql;
        KeRaiseIrql(Level, &OldIrql);
        CHECK_EQUAL(KeGetCurrentIrql(), Level);
        CHECK_EQUAL(OldIrql, PASSIVE_LEVEL);
        KeLowerIrql(OldIrql);
        CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
}

static VOID RaisesNest(VOID)
{
    KIRQL First, Second, Third = KeRaiseIrqlToDpcLevel();

    CHECK_EQUAL(Third, PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &First);
    CHECK_EQUAL(First, DISPATCH_LEVEL);
    KeRaiseIrql(HIGH_LEVEL, &Second);
    CHECK_EQUAL(Second, DISPATCH_LEVEL);
    KeLowerIrql(Second);
    KeLowerIrql(First);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Third);
}

// ---- the clock ----------------------------------------------------------------------------------
static LONGLONG Ticks(VOID)
{
    LARGE_INTEGER Count;
    KeQueryTickCount(&Count);
    return Count.QuadPart;
}

static VOID WaitForTick(VOID)
{
    for (LONGLONG Start = Ticks(); Ticks() == Start;)
        ;
}

// Time is kept by processor 0: these speak of its clock interrupt.
static VOID ClockIsMaskedAt(KIRQL Level)
{
    KIRQL OldIrql;
    LONGLONG Before;

    KeSetSystemAffinityThread(1);
    WaitForTick();
    KeRaiseIrql(Level, &OldIrql);
    Before = Ticks();
    KeStallExecutionProcessor(40000);
    CHECK_EQUAL(Ticks(), Before);
    KeLowerIrql(OldIrql);
    WaitForTick();
    KeRevertToUserAffinityThread();
}

static VOID ClockStopsAtItsOwnLevelAndAbove(VOID)
{
    ClockIsMaskedAt(CLOCK_LEVEL);
    ClockIsMaskedAt(HIGH_LEVEL);
}

static VOID ClockInterruptsBelow(VOID)
{
    KIRQL OldIrql;

    KeRaiseIrql(CLOCK_LEVEL - 1, &OldIrql);
    WaitForTick();
    KeLowerIrql(DISPATCH_LEVEL);
    WaitForTick();
    KeLowerIrql(OldIrql);
}

static VOID LostTicksAreMadeUp(VOID)
{
    ULONG Increment = KeQueryTimeIncrement();
    KIRQL OldIrql;
    LONGLONG Before;

    KeSetSystemAffinityThread(1);
    WaitForTick();
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    Before = Ticks();
    KeStallExecutionProcessor(5 * Increment / 10);
    KeLowerIrql(OldIrql);
    WaitForTick();
    CHECK(Ticks() - Before >= 5);
    KeRevertToUserAffinityThread();
}

static VOID StallLastsAtLeast(VOID)
{
    LARGE_INTEGER Frequency, Start = KeQueryPerformanceCounter(&Frequency), End;

    KeStallExecutionProcessor(1000);
    End = KeQueryPerformanceCounter(NULL);
    // A thousandth is left to the rounding of the two clocks' frequencies.
    CHECK((End.QuadPart - Start.QuadPart) * 1000 >= Frequency.QuadPart * 999 / 1000);
}

static VOID InterruptTimeAndTickCountAgree(VOID)
{
    ULONGLONG Time;
    LONGLONG Before, After;

    do {
        Before = Ticks();
        Time = KeQueryInterruptTime();
        After = Ticks();
    } while (Before != After);
    CHECK_EQUAL(Time / KeQueryTimeIncrement(), Before);
}

static VOID SystemTimeIsLaterThanThisFile(VOID)
{
    LARGE_INTEGER Time;
    KeQuerySystemTime(&Time);
    CHECK(Time.QuadPart > 132000000000000000);  // April 2019
}

// ---- DPCs ---------------------------------------------------------------------------------------
typedef struct _RUN {
    ULONG Count;
    ULONG Order[8];
    PVOID Argument1, Argument2;
    KIRQL Irql;
    ULONG Again;  // times to queue itself again
} RUN;

static RUN Run;

static VOID NTAPI DpcRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    if (Run.Count < RTL_NUMBER_OF(Run.Order))
        Run.Order[Run.Count] = (ULONG)(ULONG_PTR)Context;
    Run.Count++;
    Run.Argument1 = Argument1;
    Run.Argument2 = Argument2;
    Run.Irql = KeGetCurrentIrql();
    if (Run.Again != 0) {
        Run.Again--;
        KeInsertQueueDpc(Dpc, Argument1, Argument2);
    }
}

static VOID NewDpc(PKDPC Dpc, ULONG Number)
{
    KeInitializeDpc(Dpc, DpcRoutine, (PVOID)(ULONG_PTR)Number);
}

static VOID DpcQueuedAtPassiveHasRun(VOID)
{
    KDPC Dpc;

    RtlZeroMemory(&Run, sizeof(Run));
    NewDpc(&Dpc, 1);
    CHECK(KeInsertQueueDpc(&Dpc, (PVOID)0x11, (PVOID)0x22));
    CHECK_EQUAL(Run.Count, 1);
    CHECK_EQUAL((ULONG_PTR)Run.Argument1, 0x11);
    CHECK_EQUAL((ULONG_PTR)Run.Argument2, 0x22);
    CHECK_EQUAL(Run.Irql, DISPATCH_LEVEL);
}

static VOID DpcWaitsForTheIrqlToFall(VOID)
{
    KDPC Dpc;
    KIRQL OldIrql;

    RtlZeroMemory(&Run, sizeof(Run));
    NewDpc(&Dpc, 1);
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    CHECK(KeInsertQueueDpc(&Dpc, NULL, NULL));
    KeLowerIrql(DISPATCH_LEVEL);
    CHECK_EQUAL(Run.Count, 0);
    KeLowerIrql(APC_LEVEL);
    CHECK_EQUAL(Run.Count, 1);
    CHECK_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(OldIrql);
}

static VOID QueuedDpcIsNotQueuedAgain(VOID)
{
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();
    KDPC Dpc;

    RtlZeroMemory(&Run, sizeof(Run));
    NewDpc(&Dpc, 1);
    CHECK(KeInsertQueueDpc(&Dpc, (PVOID)1, NULL));
    CHECK(!KeInsertQueueDpc(&Dpc, (PVOID)2, NULL));
    KeLowerIrql(OldIrql);
    CHECK_EQUAL(Run.Count, 1);
    CHECK_EQUAL((ULONG_PTR)Run.Argument1, 1);
}

static VOID RemovedDpcDoesNotRun(VOID)
{
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();
    KDPC Dpc;

    RtlZeroMemory(&Run, sizeof(Run));
    NewDpc(&Dpc, 1);
    CHECK(!KeRemoveQueueDpc(&Dpc));
    CHECK(KeInsertQueueDpc(&Dpc, NULL, NULL));
    CHECK(KeRemoveQueueDpc(&Dpc));
    CHECK(!KeRemoveQueueDpc(&Dpc));
    KeLowerIrql(OldIrql);
    CHECK_EQUAL(Run.Count, 0);
}

static VOID ImportanceDecidesTheOrder(VOID)
{
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();
    KDPC Dpc[4];

    RtlZeroMemory(&Run, sizeof(Run));
    for (ULONG i = 0; i < RTL_NUMBER_OF(Dpc); i++)
        NewDpc(&Dpc[i], i);
    KeSetImportanceDpc(&Dpc[1], LowImportance);
    KeSetImportanceDpc(&Dpc[3], HighImportance);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Dpc); i++)
        KeInsertQueueDpc(&Dpc[i], NULL, NULL);
    KeLowerIrql(OldIrql);
    CHECK_EQUAL(Run.Count, 4);
    CHECK_EQUAL(Run.Order[0], 3);
    CHECK_EQUAL(Run.Order[1], 0);
    CHECK_EQUAL(Run.Order[2], 1);
    CHECK_EQUAL(Run.Order[3], 2);
}

static VOID DpcMayQueueItself(VOID)
{
    KDPC Dpc;

    RtlZeroMemory(&Run, sizeof(Run));
    Run.Again = 3;
    NewDpc(&Dpc, 1);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    CHECK_EQUAL(Run.Count, 4);
}

static VOID LowDpcHasRunAfterTheFlush(VOID)
{
    KDPC Dpc;

    RtlZeroMemory(&Run, sizeof(Run));
    NewDpc(&Dpc, 1);
    KeSetImportanceDpc(&Dpc, LowImportance);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
    CHECK_EQUAL(Run.Count, 1);
}

static VOID DpcForTheFirstProcessorRuns(VOID)
{
    KDPC Dpc;

    RtlZeroMemory(&Run, sizeof(Run));
    NewDpc(&Dpc, 1);
    KeSetTargetProcessorDpc(&Dpc, 0);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
    CHECK_EQUAL(Run.Count, 1);
}

// ---- spin locks ---------------------------------------------------------------------------------
static VOID SpinLockRaisesToDispatch(VOID)
{
    KSPIN_LOCK Lock;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    CHECK(KeTestSpinLock(&Lock));
    KeAcquireSpinLock(&Lock, &OldIrql);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    CHECK_EQUAL(OldIrql, PASSIVE_LEVEL);
    CHECK(!KeTestSpinLock(&Lock));
    CHECK(!KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    KeReleaseSpinLock(&Lock, OldIrql);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    CHECK(KeTestSpinLock(&Lock));
}

static VOID SpinLockAtDpcLevelKeepsTheIrql(VOID)
{
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLockAtDpcLevel(&Lock);
    CHECK(!KeTestSpinLock(&Lock));
    KeReleaseSpinLockFromDpcLevel(&Lock);
    CHECK(KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    KeReleaseSpinLockFromDpcLevel(&Lock);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(OldIrql);
}

static VOID QueuedSpinLockRemembersTheIrql(VOID)
{
    KLOCK_QUEUE_HANDLE Outer, Inner;
    KSPIN_LOCK First, Second;

    KeInitializeSpinLock(&First);
    KeInitializeSpinLock(&Second);
    KeAcquireInStackQueuedSpinLock(&First, &Outer);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Second, &Inner);
    CHECK(!KeTestSpinLock(&First) && !KeTestSpinLock(&Second));
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Inner);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLock(&Outer);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    CHECK(KeTestSpinLock(&First) && KeTestSpinLock(&Second));
}

static VOID ReleasingALockRunsDpcs(VOID)
{
    KSPIN_LOCK Lock;
    KIRQL OldIrql;
    KDPC Dpc;

    RtlZeroMemory(&Run, sizeof(Run));
    NewDpc(&Dpc, 1);
    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &OldIrql);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    CHECK_EQUAL(Run.Count, 0);
    KeReleaseSpinLock(&Lock, OldIrql);
    CHECK_EQUAL(Run.Count, 1);
}

// ---- a device's interrupt -----------------------------------------------------------------------
static struct {
    PKINTERRUPT Object;
    ULONG Vector;
    KIRQL Irql, SeenIrql;
    volatile LONG Count;
    volatile BOOLEAN WaitForTick;   // the next service waits for a clock tick
    BOOLEAN DpcRanInside;
    KDPC Dpc;
} Device;

static UCHAR RtcRead(UCHAR Register)
{
    WRITE_PORT_UCHAR(RTC_INDEX, Register);
    return READ_PORT_UCHAR(RTC_DATA);
}

static VOID RtcWrite(UCHAR Register, UCHAR Value)
{
    WRITE_PORT_UCHAR(RTC_INDEX, Register);
    WRITE_PORT_UCHAR(RTC_DATA, Value);
}

static BOOLEAN NTAPI ServiceRoutine(PKINTERRUPT Interrupt, PVOID Context)
{
    LONG DpcsBefore = (LONG)Run.Count;

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
#ifdef _AMD64_
    __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm5, %%xmm5" ::: "xmm0", "xmm5");
#endif
    RtcRead(RTC_C);
    Device.SeenIrql = KeGetCurrentIrql();
    KeInsertQueueDpc(&Device.Dpc, NULL, NULL);
    if (Device.WaitForTick) {
        WaitForTick();
        Device.WaitForTick = FALSE;
    }
    Device.DpcRanInside |= (LONG)Run.Count != DpcsBefore;
    Device.Count++;
    return TRUE;
}

// Connects to processor 0 and stays there: what is masked here has to come here.
static BOOLEAN ConnectRtc(VOID)
{
    KAFFINITY Affinity;
    NTSTATUS Status;

    RtlZeroMemory(&Run, sizeof(Run));
    RtlZeroMemory(&Device, sizeof(Device));
    NewDpc(&Device.Dpc, 1);
    Device.Vector = HalGetInterruptVector(Isa, 0, RTC_LINE, RTC_LINE, &Device.Irql, &Affinity);
    Status = IoConnectInterrupt(&Device.Object, ServiceRoutine, NULL, NULL, Device.Vector,
                                Device.Irql, Device.Irql, Latched, FALSE, Affinity & 1, FALSE);
    CHECK_EQUAL(Status, STATUS_SUCCESS);
    if (!NT_SUCCESS(Status))
        return FALSE;
    KeSetSystemAffinityThread(1);
    RtcWrite(RTC_B, RtcRead(RTC_B) | RTC_PERIODIC);
    RtcRead(RTC_C);
    return TRUE;
}

static VOID DisconnectRtc(VOID)
{
    RtcWrite(RTC_B, RtcRead(RTC_B) & ~RTC_PERIODIC);
    RtcRead(RTC_C);
    IoDisconnectInterrupt(Device.Object);
    KeRevertToUserAffinityThread();
}

static VOID WaitForInterrupts(LONG More)
{
    for (LONG Start = Device.Count; Device.Count - Start < More;)
        ;
}

static VOID ServiceRoutineRunsAtItsIrqlAndItsDpcAfterIt(VOID)
{
    if (!ConnectRtc())
        return;
    WaitForInterrupts(3);
    CHECK_EQUAL(Device.SeenIrql, Device.Irql);
    CHECK(!Device.DpcRanInside);
    CHECK(Run.Count >= 2);
    CHECK_EQUAL(Run.Irql, DISPATCH_LEVEL);
    DisconnectRtc();
}

static VOID DeviceIsMaskedAtItsIrql(VOID)
{
    KIRQL OldIrql;
    LONG Before;

    if (!ConnectRtc())
        return;
    WaitForInterrupts(1);
    KeRaiseIrql(Device.Irql, &OldIrql);
    Before = Device.Count;
    while ((RtcRead(RTC_C) & RTC_PERIODIC) == 0)
        ;
    while ((RtcRead(RTC_C) & RTC_PERIODIC) == 0)
        ;
    CHECK_EQUAL(Device.Count, Before);
    KeLowerIrql(OldIrql);
    WaitForInterrupts(1);
    DisconnectRtc();
}

static VOID HigherInterruptsNest(VOID)
{
    if (!ConnectRtc())
        return;
    Device.WaitForTick = TRUE;
    WaitForInterrupts(2);
    CHECK(!Device.WaitForTick);
    DisconnectRtc();
}

static BOOLEAN NTAPI SynchronizedRoutine(PVOID Context)
{
    *(PKIRQL)Context = KeGetCurrentIrql();
    return FALSE;
}

static VOID SynchronizedRoutineExcludesTheService(VOID)
{
    KIRQL Seen, OldIrql;

    if (!ConnectRtc())
        return;
    CHECK(!KeSynchronizeExecution(Device.Object, SynchronizedRoutine, &Seen));
    CHECK_EQUAL(Seen, Device.Irql);
    OldIrql = KeAcquireInterruptSpinLock(Device.Object);
    CHECK_EQUAL(KeGetCurrentIrql(), Device.Irql);
    CHECK_EQUAL(OldIrql, PASSIVE_LEVEL);
    KeReleaseInterruptSpinLock(Device.Object, OldIrql);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    DisconnectRtc();
}

static VOID AnUnsharedVectorIsConnectedOnce(VOID)
{
    PKINTERRUPT Second = NULL;

    if (!ConnectRtc())
        return;
    CHECK(!NT_SUCCESS(IoConnectInterrupt(&Second, ServiceRoutine, NULL, NULL, Device.Vector,
                                         Device.Irql, Device.Irql, Latched, TRUE, 1, FALSE)));
    DisconnectRtc();
}

#ifdef _AMD64_
static VOID InterruptsKeepTheVolatileXmmRegisters(VOID)
{
    ULONG64 Seen0 = 0, Seen5 = 0;
    LONG Until;

    if (!ConnectRtc())
        return;
    Until = Device.Count + 2;
    __asm__ volatile("movq %3, %%xmm0\n\t"
                     "movq %3, %%xmm5\n"
                     "1:\tcmpl %4, %2\n\t"
                     "js 1b\n\t"
                     "movq %%xmm0, %0\n\t"
                     "movq %%xmm5, %1"
                     : "=r"(Seen0), "=r"(Seen5)
                     : "m"(Device.Count), "r"(0x0123456789ABCDEFull), "r"(Until)
                     : "xmm0", "xmm5", "cc");
    CHECK_EQUAL(Seen0, 0x0123456789ABCDEFull);
    CHECK_EQUAL(Seen5, 0x0123456789ABCDEFull);
    DisconnectRtc();
}
#else
static VOID FloatingPointStateIsPutBack(VOID)
{
    KFLOATING_SAVE Outer, Inner;
    LONG Value = 7;

    CHECK_EQUAL(KeSaveFloatingPointState(&Outer), STATUS_SUCCESS);
    __asm__ volatile("fildl %0" ::"m"(Value));
    CHECK_EQUAL(KeSaveFloatingPointState(&Inner), STATUS_SUCCESS);
    __asm__ volatile("fldz; fldz");
    CHECK_EQUAL(KeRestoreFloatingPointState(&Inner), STATUS_SUCCESS);
    Value = 0;
    __asm__ volatile("fistpl %0" : "=m"(Value));
    CHECK_EQUAL(Value, 7);
    CHECK_EQUAL(KeRestoreFloatingPointState(&Outer), STATUS_SUCCESS);
}

static VOID FloatingPointStatesRunOut(VOID)
{
    static KFLOATING_SAVE Saves[64];
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Count = 0;
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL + 1, &OldIrql);
    CHECK_EQUAL(KeSaveFloatingPointState(&Saves[0]), STATUS_ILLEGAL_FLOAT_CONTEXT);
    KeLowerIrql(OldIrql);
    while (Count < RTL_NUMBER_OF(Saves) && NT_SUCCESS(Status)) {
        Status = KeSaveFloatingPointState(&Saves[Count]);
        Count += NT_SUCCESS(Status);
    }
    CHECK_EQUAL(Status, STATUS_INSUFFICIENT_RESOURCES);
    CHECK(Count >= 4);
    while (Count-- > 0)
        CHECK_EQUAL(KeRestoreFloatingPointState(&Saves[Count]), STATUS_SUCCESS);
}
#endif

// ---- identity -----------------------------------------------------------------------------------
static VOID OneProcessorRuns(VOID)
{
    CHECK(KeNumberProcessors >= 1);
    CHECK(KeGetCurrentProcessorNumber() < (ULONG)KeNumberProcessors);
    CHECK((KeQueryActiveProcessors() >> KeGetCurrentProcessorNumber() & 1) == 1);
    CHECK(KeGetCurrentThread() != NULL);
}

static const GUEST_CASE Cases[] = {
    {"IR-01 every level can be raised to and left", EveryLevelCanBeRaisedTo},
    {"IR-23 raises nest", RaisesNest},
    {"IR-20 the clock is masked at its own level and above", ClockStopsAtItsOwnLevelAndAbove},
    {"IR-20 the clock interrupts below its level", ClockInterruptsBelow},
    {"time that was masked is made up", LostTicksAreMadeUp},
    {"a stall lasts at least as long as asked", StallLastsAtLeast},
    {"interrupt time and tick count agree", InterruptTimeAndTickCountAgree},
    {"the system time is set", SystemTimeIsLaterThanThisFile},
    {"IR-45 a DPC queued at PASSIVE_LEVEL has run at once", DpcQueuedAtPassiveHasRun},
    {"IR-25 a DPC waits until the IRQL is below DISPATCH_LEVEL", DpcWaitsForTheIrqlToFall},
    {"IR-42 a queued DPC is not queued again", QueuedDpcIsNotQueuedAgain},
    {"IR-49 a removed DPC does not run", RemovedDpcDoesNotRun},
    {"IR-44 high importance goes first, the others in order", ImportanceDecidesTheOrder},
    {"a DPC may queue itself", DpcMayQueueItself},
    {"IR-49 a flush runs what low importance left", LowDpcHasRunAfterTheFlush},
    {"IR-41 a DPC runs on the processor it was meant for", DpcForTheFirstProcessorRuns},
    {"IR-61 a spin lock raises to DISPATCH_LEVEL and back", SpinLockRaisesToDispatch},
    {"IR-63 a spin lock at DISPATCH_LEVEL keeps the IRQL", SpinLockAtDpcLevelKeepsTheIrql},
    {"IR-65 a queued spin lock remembers the IRQL", QueuedSpinLockRemembersTheIrql},
    {"IR-25 releasing a lock runs the DPCs", ReleasingALockRunsDpcs},
    {"IR-04 a service routine runs at its IRQL, its DPC after it",
     ServiceRoutineRunsAtItsIrqlAndItsDpcAfterIt},
    {"IR-20 a device is masked at its IRQL", DeviceIsMaskedAtItsIrql},
    {"IR-20 a higher interrupt nests in a service routine", HigherInterruptsNest},
    {"IR-69, IR-70 a synchronised routine runs at the interrupt's IRQL",
     SynchronizedRoutineExcludesTheService},
    {"a vector that is not shared is connected once", AnUnsharedVectorIsConnectedOnce},
#ifdef _AMD64_
    {"interrupts keep the volatile XMM registers", InterruptsKeepTheVolatileXmmRegisters},
#else
    {"a saved floating point state is put back", FloatingPointStateIsPutBack},
    {"floating point states run out, and are refused above DISPATCH_LEVEL",
     FloatingPointStatesRunOut},
#endif
    {"a processor knows itself", OneProcessorRuns},
};
GUEST_DRIVER(Cases)
