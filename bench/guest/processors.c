// SPDX-License-Identifier: MIT
// What processors cost each other, by the wall clock: four of them, each a thread of the host's.
//
// Every figure is a line "BENCH key nanoseconds", or for scaling a percentage: how much more two
// processors get done than one.
#include <ntddk.h>

#define TAG    0x68636E42u // "Bnch"
#define ROUNDS 2000u
#define PAIRS  20000u // a round, in bursts
#define BURST  50u

#define ROUNDS_OF_PAIRS 100u

static ULONG64 Nanoseconds(VOID)
{
    LARGE_INTEGER Frequency, Counter = KeQueryPerformanceCounter(&Frequency);
    return (ULONG64)Counter.QuadPart * 1000 / ((ULONG64)Frequency.QuadPart / 1000000);
}

static VOID Report(const char *Key, ULONG64 Value)
{
    DbgPrint("BENCH %s %lu\n", Key, (ULONG)Value);
}

// ---- TLB ----------------------------------------------------------------------------------------
static VOID MeasureShootdown(VOID)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = -1};
    PVOID Page = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    ULONG64 Start = Nanoseconds();

    for (ULONG i = 0; i < ROUNDS; i++) {
        PVOID Mapping = MmMapIoSpace(MmGetPhysicalAddress(Page), PAGE_SIZE, MmCached);
        MmUnmapIoSpace(Mapping, PAGE_SIZE);
    }
    Report("shootdown", (Nanoseconds() - Start) / ROUNDS);
    MmFreeContiguousMemory(Page);
}

// ---- DPC ----------------------------------------------------------------------------------------
static volatile LONG Ran;

static VOID NTAPI CountDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Ran++;
}

static VOID MeasureRemoteDpc(VOID)
{
    KDPC Dpc;
    ULONG64 Start;

    KeSetSystemAffinityThread(1);
    KeInitializeDpc(&Dpc, CountDpc, NULL);
    KeSetImportanceDpc(&Dpc, HighImportance);
    KeSetTargetProcessorDpc(&Dpc, 1);
    Start = Nanoseconds();
    for (ULONG i = 0; i < ROUNDS; i++) {
        LONG Before = Ran;
        KeInsertQueueDpc(&Dpc, NULL, NULL);
        while (Ran == Before)
            YieldProcessor();
    }
    Report("remote-dpc", (Nanoseconds() - Start) / ROUNDS);
    KeRevertToUserAffinityThread();
}

// ---- scaling ------------------------------------------------------------------------------------
// How much of its own speed each processor keeps while another does the same, added up: 200 % when
// neither notices the other. Each is compared with itself, since an emulated processor may be
// slower than its neighbour for no other reason than where its pages lie in the emulator's tables.
//
// Alone and together take turns, in rounds so short that the host's other work spares some of them
// altogether: the best round is what it costs. All of a round begin together, and it ends for all
// when the first has done its share.
static NPAGED_LOOKASIDE_LIST Lists[2];
static ULONG ListsUsed; // 0: the pool itself
static volatile LONG Missing;
static volatile BOOLEAN Begun, Ended;
static ULONG64 Start, PairsASecond[2];

static VOID Pair(ULONG Number)
{
    PNPAGED_LOOKASIDE_LIST List = &Lists[ListsUsed == 2 ? Number : 0];

    if (ListsUsed != 0)
        ExFreeToNPagedLookasideList(List, ExAllocateFromNPagedLookasideList(List));
    else
        ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPool, 64, TAG), TAG);
}

static VOID NTAPI TakePart(PVOID Context)
{
    ULONG Number = (ULONG)(ULONG_PTR)Context, Done;

    KeSetSystemAffinityThread((KAFFINITY)1 << Number);
    Pair(Number); // whatever comes with the first one
    if (InterlockedDecrement(&Missing) == 0) {
        Start = Nanoseconds();
        Begun = TRUE;
    }
    while (!Begun)
        YieldProcessor();
    for (Done = 0; Done < PAIRS && !Ended; Done += BURST)
        for (ULONG i = 0; i < BURST; i++)
            Pair(Number);
    Ended = TRUE;
    PairsASecond[Number] = Done * 1000000000ull / (Nanoseconds() - Start);
}

// The processors from First on, Count of them.
static VOID RunRound(ULONG First, ULONG Count)
{
    PVOID Threads[2];

    Missing = (LONG)Count;
    Begun = Ended = FALSE;
    for (ULONG i = 0; i < Count; i++) {
        HANDLE Handle;
        PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, TakePart,
                             (PVOID)(ULONG_PTR)(First + i));
        ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &Threads[i],
                                  NULL);
        ZwClose(Handle);
    }
    for (ULONG i = 0; i < Count; i++) {
        KeWaitForSingleObject(Threads[i], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Threads[i]);
    }
}

static VOID MeasureScaling(const char *Key)
{
    static ULONG64 Together[ROUNDS_OF_PAIRS][2];
    ULONG64 Alone[2] = {0}, Best = 0;

    for (ULONG Round = 0; Round < ROUNDS_OF_PAIRS; Round++) {
        for (ULONG i = 0; i < 2; i++) {
            RunRound(i, 1);
            Alone[i] = PairsASecond[i] > Alone[i] ? PairsASecond[i] : Alone[i];
        }
        RunRound(0, 2);
        Together[Round][0] = PairsASecond[0];
        Together[Round][1] = PairsASecond[1];
    }
    for (ULONG Round = 0; Round < ROUNDS_OF_PAIRS; Round++) {
        ULONG64 Kept = 100 * Together[Round][0] / Alone[0] + 100 * Together[Round][1] / Alone[1];
        Best = Kept > Best ? Kept : Best;
    }
    Report(Key, Best);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    if (KeNumberProcessors < 2)
        return STATUS_NOT_SUPPORTED;
    MeasureShootdown();
    MeasureRemoteDpc();
    MeasureScaling("scaling-pool");
    for (ULONG i = 0; i < 2; i++)
        ExInitializeNPagedLookasideList(&Lists[i], NULL, NULL, 0, 64, TAG, 0);
    ListsUsed = 2;
    MeasureScaling("scaling-lookaside");
    ListsUsed = 1;
    MeasureScaling("scaling-one-list");
    for (ULONG i = 0; i < 2; i++)
        ExDeleteNPagedLookasideList(&Lists[i]);
    return STATUS_SUCCESS;
}
