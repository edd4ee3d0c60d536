// SPDX-License-Identifier: MIT
// What processors cost each other, by the wall clock: four of them, each a thread of the host's.
//
// Every figure is a line "BENCH key nanoseconds", or for scaling a percentage: how much more two
// processors get done than one in the same time.
#include <ntddk.h>

#define TAG    0x68636E42u // "Bnch"
#define ROUNDS 2000u
#define PAIRS  200000u

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
static NPAGED_LOOKASIDE_LIST List;
static BOOLEAN UseList;
static volatile LONG NextProcessor;

static VOID NTAPI AllocatePairs(PVOID Context)
{
    KeSetSystemAffinityThread((KAFFINITY)1 << (InterlockedIncrement(&NextProcessor) - 1));
    for (ULONG i = 0; i < PAIRS; i++) {
        if (UseList)
            ExFreeToNPagedLookasideList(&List, ExAllocateFromNPagedLookasideList(&List));
        else
            ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPool, 64, TAG), TAG);
    }
    UNREFERENCED_PARAMETER(Context);
}

static ULONG64 TimeThreads(ULONG Count)
{
    PVOID Threads[2];
    ULONG64 Start = Nanoseconds();

    NextProcessor = 0;
    for (ULONG i = 0; i < Count; i++) {
        HANDLE Handle;
        PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, AllocatePairs, NULL);
        ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &Threads[i],
                                  NULL);
        ZwClose(Handle);
    }
    for (ULONG i = 0; i < Count; i++) {
        KeWaitForSingleObject(Threads[i], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Threads[i]);
    }
    return Nanoseconds() - Start;
}

static VOID MeasureScaling(const char *Key)
{
    ULONG64 One = ~0ull, Two = ~0ull;

    for (ULONG Try = 0; Try < 3; Try++) {
        ULONG64 Time = TimeThreads(1);
        One = Time < One ? Time : One;
        Time = TimeThreads(2);
        Two = Time < Two ? Time : Two;
    }
    Report(Key, 200 * One / Two);
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
    ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 64, TAG, 0);
    UseList = TRUE;
    MeasureScaling("scaling-lookaside");
    ExDeleteNPagedLookasideList(&List);
    return STATUS_SUCCESS;
}
