// SPDX-License-Identifier: MIT
// What the kernel's everyday routines cost, in instructions.
//
// bench/bench.py runs this under QEMU's -icount shift=0, where one guest instruction is one tick of
// the time stamp counter: differences of it count instructions, and two runs give the same figures.
// Every figure is a line "BENCH key count", the cost of the empty loop taken off.
#include "ticks.h"

#include <lkddk.h>

#define ROUNDS 1000u
#define TAG    0x68636E42u  // "Bnch"

NTHALAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                           ULONG BusInterruptLevel, ULONG BusInterruptVector,
                                           PKIRQL Irql, PKAFFINITY Affinity);

NTKERNELAPI KIRQL NTAPI ExAcquireSpinLockShared(volatile LONG *SpinLock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockShared(volatile LONG *SpinLock, KIRQL OldIrql);
NTKERNELAPI KIRQL NTAPI ExAcquireSpinLockExclusive(volatile LONG *SpinLock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockExclusive(volatile LONG *SpinLock, KIRQL OldIrql);

NTSYSAPI NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable,
                                              PLARGE_INTEGER Timeout);

static ULONG64 EmptyLoop;

static VOID Report(const char *Key, ULONG64 Ticks, ULONG Count)
{
    Ticks = Ticks > EmptyLoop ? Ticks - EmptyLoop : 0;
    DbgPrint("BENCH %s %lu\n", Key, (ULONG)(Ticks / Count));
}

// The least of three: the first round fills caches of free blocks, a clock tick may hit any one.
#define MEASURE(Key, Statement)                                                                    \
    do {                                                                                           \
        ULONG64 Least = ~0ull;                                                                     \
        for (ULONG Try = 0; Try < 3; Try++) {                                                      \
            ULONG64 Start = Now();                                                                 \
            for (ULONG i = 0; i < ROUNDS; i++) {                                                   \
                Statement;                                                                         \
                __asm__ volatile("" ::: "memory");                                                 \
            }                                                                                      \
            ULONG64 Ticks = Now() - Start;                                                         \
            Least = Ticks < Least ? Ticks : Least;                                                 \
        }                                                                                          \
        if (*(Key) != 0)                                                                           \
            Report(Key, Least, ROUNDS);                                                            \
        else                                                                                       \
            EmptyLoop = Least;                                                                     \
    } while (0)

// ---- pool and lists -----------------------------------------------------------------------------

static VOID MeasurePool(const char *Key, SIZE_T Size)
{
    MEASURE(Key, ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPool, Size, TAG), TAG));
}

static VOID MeasureLookaside(VOID)
{
    static NPAGED_LOOKASIDE_LIST List;

    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 64, TAG, 0);
    MEASURE("lookaside",
            ExFreeToNPagedLookasideList(&List, ExAllocateFromNPagedLookasideList(&List)));
    ExDeleteNPagedLookasideList(&List);
}

static VOID MeasureSlist(VOID)
{
    static SLIST_HEADER Head;
    static SLIST_ENTRY Entry;

    InitializeSListHead(&Head);
    InterlockedPushEntrySList(&Head, &Entry);
    MEASURE("slist", InterlockedPushEntrySList(&Head, InterlockedPopEntrySList(&Head)));
}

// Blocks freed in another order than they were allocated in: free lists get fragmented.
static VOID Shuffle(PVOID *Blocks, ULONG Count)
{
    static ULONG Seed = 1;

    for (ULONG i = Count - 1; i > 0; i--) {
        Seed = Seed * 1664525u + 1013904223u;
        ULONG Other = (Seed >> 8) % (i + 1);
        PVOID Block = Blocks[i];
        Blocks[i] = Blocks[Other];
        Blocks[Other] = Block;
    }
}

static VOID MeasureRandomOrder(VOID)
{
    static PVOID Blocks[ROUNDS];
    ULONG64 Least = ~0ull;

    for (ULONG Try = 0; Try < 3; Try++) {
        ULONG64 Start = Now();
        for (ULONG i = 0; i < ROUNDS; i++)
            Blocks[i] = ExAllocatePoolWithTag(NonPagedPool, 64, TAG);
        ULONG64 Ticks = Now() - Start;
        Shuffle(Blocks, ROUNDS);
        Start = Now();
        for (ULONG i = 0; i < ROUNDS; i++)
            ExFreePoolWithTag(Blocks[i], TAG);
        Ticks += Now() - Start;
        Least = Ticks < Least ? Ticks : Least;
    }
    Report("pool-64-random", Least, ROUNDS);
}

static VOID MeasurePages(VOID)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = -1}, Address;
    PVOID Pages = MmAllocateContiguousMemory(16 * PAGE_SIZE, Highest);

    MEASURE("contiguous-page",
            MmFreeContiguousMemory(MmAllocateContiguousMemory(PAGE_SIZE, Highest)));
    if (Pages == NULL)
        return;
    Address = MmGetPhysicalAddress(Pages);
    MEASURE("map-16", MmUnmapIoSpace(MmMapIoSpace(Address, 16 * PAGE_SIZE, MmCached),
                                     16 * PAGE_SIZE));
    MmFreeContiguousMemory(Pages);
}

// ---- IRQL and locks -----------------------------------------------------------------------------

static VOID MeasureIrql(VOID)
{
    static KSPIN_LOCK Lock;
    KIRQL OldIrql;

    KeInitializeSpinLock(&Lock);
    MEASURE("raise-lower", KeRaiseIrql(DISPATCH_LEVEL, &OldIrql); KeLowerIrql(OldIrql));
    MEASURE("spin-lock", KeAcquireSpinLock(&Lock, &OldIrql); KeReleaseSpinLock(&Lock, OldIrql));
}

static VOID MeasureReaderWriter(VOID)
{
    static volatile LONG Lock;
    KIRQL OldIrql;

    MEASURE("rw-spin-lock-exclusive", OldIrql = ExAcquireSpinLockExclusive(&Lock);
            ExReleaseSpinLockExclusive(&Lock, OldIrql));
    MEASURE("rw-spin-lock-shared", OldIrql = ExAcquireSpinLockShared(&Lock);
            ExReleaseSpinLockShared(&Lock, OldIrql));
}

// ---- what waits ---------------------------------------------------------------------------------

static VOID MeasureMutexes(VOID)
{
    static FAST_MUTEX Fast;
    static KGUARDED_MUTEX Guarded;
    static KMUTEX Mutex;
    static ERESOURCE Resource;

    ExInitializeFastMutex(&Fast);
    KeInitializeGuardedMutex(&Guarded);
    KeInitializeMutex(&Mutex, 0);
    ExInitializeResourceLite(&Resource);
    MEASURE("fast-mutex", ExAcquireFastMutex(&Fast); ExReleaseFastMutex(&Fast));
    MEASURE("guarded-mutex", KeAcquireGuardedMutex(&Guarded); KeReleaseGuardedMutex(&Guarded));
    MEASURE("mutex", KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL);
            KeReleaseMutex(&Mutex, FALSE));
    KeEnterCriticalRegion();
    MEASURE("resource-exclusive", ExAcquireResourceExclusiveLite(&Resource, TRUE);
            ExReleaseResourceLite(&Resource));
    MEASURE("resource-shared", ExAcquireResourceSharedLite(&Resource, TRUE);
            ExReleaseResourceLite(&Resource));
    KeLeaveCriticalRegion();
    ExDeleteResourceLite(&Resource);
}

static VOID MeasureWordLocks(VOID)
{
    static KSPIN_LOCK Lock;
    static EX_RUNDOWN_REF Rundown;
    static EX_PUSH_LOCK Push;
    KLOCK_QUEUE_HANDLE Handle;

    KeInitializeSpinLock(&Lock);
    ExInitializeRundownProtection(&Rundown);
    ExInitializePushLock(&Push);
    MEASURE("queued-spin-lock", KeAcquireInStackQueuedSpinLock(&Lock, &Handle);
            KeReleaseInStackQueuedSpinLock(&Handle));
    MEASURE("rundown", ExAcquireRundownProtection(&Rundown); ExReleaseRundownProtection(&Rundown));
    KeEnterCriticalRegion();
    MEASURE("push-lock-exclusive", ExAcquirePushLockExclusive(&Push);
            ExReleasePushLockExclusive(&Push));
    MEASURE("push-lock-shared", ExAcquirePushLockShared(&Push); ExReleasePushLockShared(&Push));
    KeLeaveCriticalRegion();
}

static VOID MeasureObjects(VOID)
{
    static KEVENT Event;
    static KSEMAPHORE Semaphore;
    static KTIMER Timer;
    LARGE_INTEGER Due;

    Due.QuadPart = -10000000LL;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeInitializeSemaphore(&Semaphore, 0, 1);
    KeInitializeTimer(&Timer);
    MEASURE("event-set-wait", KeSetEvent(&Event, 0, FALSE);
            KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL));
    MEASURE("semaphore", KeReleaseSemaphore(&Semaphore, 0, 1, FALSE);
            KeWaitForSingleObject(&Semaphore, Executive, KernelMode, FALSE, NULL));
    MEASURE("timer-set-cancel", KeSetTimer(&Timer, Due, NULL); KeCancelTimer(&Timer));
}

// ---- from thread to thread ----------------------------------------------------------------------

static KEVENT Ping, Pong;
static volatile BOOLEAN GameOver;
static volatile ULONG64 Woken;

static VOID NTAPI Return(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (!GameOver) {
        KeWaitForSingleObject(&Ping, Executive, KernelMode, FALSE, NULL);
        KeSetEvent(&Pong, 0, FALSE);
    }
}

static VOID NTAPI NoteAndReturn(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (!GameOver) {
        KeWaitForSingleObject(&Ping, Executive, KernelMode, FALSE, NULL);
        Woken = Now();
        KeSetEvent(&Pong, 0, FALSE);
    }
}

// Each round is two switches: there, and back.
static VOID MeasureRounds(VOID)
{
    MEASURE("event-round", KeSetEvent(&Ping, 0, FALSE);
            KeWaitForSingleObject(&Pong, Executive, KernelMode, FALSE, NULL));
}

// The boost makes the waiter run before KeSetEvent returns.
static VOID MeasureWaking(VOID)
{
    ULONG64 Least = ~0ull;

    for (ULONG i = 0; i < ROUNDS; i++) {
        ULONG64 Start = Now();
        KeSetEvent(&Ping, 1, FALSE);
        KeWaitForSingleObject(&Pong, Executive, KernelMode, FALSE, NULL);
        Least = Woken - Start < Least ? Woken - Start : Least;
    }
    DbgPrint("BENCH event-wakes %lu\n", (ULONG)Least);
}

// With a second thread on the other end of Ping and Pong.
static VOID MeasureWith(PKSTART_ROUTINE Partner, VOID (*Measure)(VOID))
{
    HANDLE Thread;

    GameOver = FALSE;
    KeInitializeEvent(&Ping, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Pong, SynchronizationEvent, FALSE);
    if (!NT_SUCCESS(PsCreateSystemThread(&Thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, Partner,
                                         NULL)))
        return;
    Measure();
    GameOver = TRUE;
    KeSetEvent(&Ping, 0, FALSE);
    ZwWaitForSingleObject(Thread, FALSE, NULL);
    ZwClose(Thread);
}

// ---- DPC at the lowering ------------------------------------------------------------------------

static volatile ULONG64 LoweringRan;

static VOID NTAPI LoweringDeferred(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LoweringRan = Now();
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

// From the lowering to the routine's first instruction; queueing is not in it.
static VOID MeasureLowering(VOID)
{
    static KDPC Dpc;
    ULONG64 Least = ~0ull;
    KIRQL OldIrql;

    KeInitializeDpc(&Dpc, LoweringDeferred, NULL);
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        KeInsertQueueDpc(&Dpc, NULL, NULL);
        ULONG64 Start = Now();
        KeLowerIrql(OldIrql);
        Least = LoweringRan - Start < Least ? LoweringRan - Start : Least;
    }
    DbgPrint("BENCH dpc-lowering %lu\n", (ULONG)Least);
}

// ---- interrupt to ISR, ISR to DPC ---------------------------------------------------------------

#define EDU_RAISE       0x60
#define EDU_ACKNOWLEDGE 0x64
#define EDU_ROUNDS      64u

static PUCHAR EduRegisters;
static KDPC EduDpc;
static volatile ULONG64 EduSent, EduSeen, EduQueued, EduRan;

static BOOLEAN NTAPI EduInterrupt(PKINTERRUPT Interrupt, PVOID Context)
{
    EduSeen = Now();
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    if (READ_REGISTER_ULONG((PULONG)(EduRegisters + 0x24)) == 0)
        return FALSE;
    WRITE_REGISTER_ULONG((PULONG)(EduRegisters + EDU_ACKNOWLEDGE), 1);
    KeInsertQueueDpc(&EduDpc, NULL, NULL);
    EduQueued = Now();
    return TRUE;
}

static VOID NTAPI EduDeferred(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    EduRan = Now();
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static ULONG EduFind(PPCI_COMMON_CONFIG Config)
{
    for (ULONG Number = 0; Number < PCI_MAX_DEVICES; Number++) {
        HalGetBusDataByOffset(PCIConfiguration, 0, Number, Config, 0, PCI_COMMON_HDR_LENGTH);
        if (Config->VendorID == 0x1234 && Config->DeviceID == 0x11E8)
            return Number;
    }
    return PCI_MAX_DEVICES;
}

static VOID EduMeasure(VOID)
{
    ULONG64 ToIsr = ~0ull, ToDpc = ~0ull;

    for (ULONG i = 0; i < EDU_ROUNDS; i++) {
        EduRan = 0;
        EduSent = Now();
        WRITE_REGISTER_ULONG((PULONG)(EduRegisters + EDU_RAISE), 1);
        for (ULONG Waited = 0; EduRan == 0 && Waited < 1000; Waited++)
            KeStallExecutionProcessor(1);
        if (EduRan == 0)
            return;
        ToIsr = EduSeen - EduSent < ToIsr ? EduSeen - EduSent : ToIsr;
        ToDpc = EduRan - EduQueued < ToDpc ? EduRan - EduQueued : ToDpc;
    }
    EmptyLoop = 0;
    Report("interrupt-isr", ToIsr, 1);
    Report("isr-dpc", ToDpc, 1);
}

static VOID MeasureInterrupt(VOID)
{
    PCI_COMMON_CONFIG Config;
    PHYSICAL_ADDRESS Address;
    ULONG Number = EduFind(&Config), Vector;
    USHORT Command = Config.Command | PCI_ENABLE_MEMORY_SPACE;
    PKINTERRUPT Interrupt;
    KAFFINITY Affinity;
    KIRQL Irql;

    if (Number == PCI_MAX_DEVICES)
        return;
    HalSetBusDataByOffset(PCIConfiguration, 0, Number, &Command,
                          FIELD_OFFSET(PCI_COMMON_CONFIG, Command), sizeof(Command));
    Address.QuadPart = Config.u.type0.BaseAddresses[0] & PCI_ADDRESS_MEMORY_ADDRESS_MASK;
    EduRegisters = MmMapIoSpace(Address, PAGE_SIZE, MmNonCached);
    KeInitializeDpc(&EduDpc, EduDeferred, NULL);
    Vector = HalGetInterruptVector(PCIBus, 0, Config.u.type0.InterruptLine, 0, &Irql, &Affinity);
    if (EduRegisters != NULL && Vector != 0 &&
        NT_SUCCESS(IoConnectInterrupt(&Interrupt, EduInterrupt, NULL, NULL, Vector, Irql, Irql,
                                      LevelSensitive, TRUE, Affinity, FALSE))) {
        EduMeasure();
        IoDisconnectInterrupt(Interrupt);
    }
    if (EduRegisters != NULL)
        MmUnmapIoSpace(EduRegisters, PAGE_SIZE);
}

// ---- driver -------------------------------------------------------------------------------------

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ULONG64 Entered = Now();

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    DbgPrint("BENCH entered %I64u\n", Entered);
    MEASURE("", (VOID)0);
    MeasureLookaside();
    MeasureSlist();
    MeasurePool("pool-16", 16);
    MeasurePool("pool-64", 64);
    MeasurePool("pool-256", 256);
    MeasurePool("pool-1024", 1024);
    MeasurePool("pool-4096", 4096);
    MeasurePool("pool-8192", 8192);
    MeasurePool("pool-65536", 65536);
    MeasureRandomOrder();
    MeasurePages();
    MeasureIrql();
    MeasureReaderWriter();
    MeasureWordLocks();
    MeasureMutexes();
    MeasureObjects();
    MeasureWith(Return, MeasureRounds);
    MeasureWith(NoteAndReturn, MeasureWaking);
    MeasureLowering();
    MeasureInterrupt();
    return STATUS_SUCCESS;
}
