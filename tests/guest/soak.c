// SPDX-License-Identifier: MIT
// Everything at once, on all processors: threads that allocate, map, lock, signal, set timers,
// queue DPCs, wait for each other and move from processor to processor, and books that have to
// balance.
//
// Every worker draws its operations from a generator of its own, so that what each does is the same
// in every run; who meets whom is not. What the operations did is counted twice, by whoever did it
// and by whatever it was done to, and the two counts are compared when all are done.
//
// As a test it does ROUNDS operations a worker. `make soak` builds it with SOAK_MINUTES and lets it
// go on for that long.
#include "crew.h"

#include <lkddk.h>

NTKERNELAPI VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(volatile LONG *Lock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(volatile LONG *Lock);
NTKERNELAPI VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(volatile LONG *Lock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(volatile LONG *Lock);

#define ROUNDS        1000u
#define BLOCKS        64u
#define TAG           'kaoS'
#define MILLISECONDS(n) (-10000LL * (n))

typedef struct _BLOCK {
    ULONG Size;
    UCHAR Seed;
    UCHAR Bytes[];
} BLOCK;

// What a lock with shared holders protects: they see both agree.
typedef struct _PAIR {
    volatile ULONG First, Second;
} PAIR;

// What all share. The guarded words are only touched under their lock.
static struct {
    KSPIN_LOCK SpinLock;
    ULONG64 UnderSpinLock;
    KSPIN_LOCK QueuedLock;
    ULONG64 UnderQueuedLock;
    FAST_MUTEX FastMutex;
    ULONG64 UnderFastMutex;
    KMUTEX Mutex;
    ULONG64 UnderMutex;
    KGUARDED_MUTEX GuardedMutex;
    ULONG64 UnderGuardedMutex;
    ERESOURCE Resource;
    PAIR UnderResource;
    EX_PUSH_LOCK PushLock;
    PAIR UnderPushLock;
    volatile LONG RwLock;
    PAIR UnderRwLock;
    KSEMAPHORE Semaphore; // as many as have been put in and not taken
    KEVENT Token;         // one goes round
    ULONG64 UnderToken;
    NPAGED_LOOKASIDE_LIST Lookaside;
    SLIST_HEADER Stack; // of lookaside blocks
    volatile LONG Dpcs, ThreadedDpcs, Timers, Items, Pushed, Popped, Seen;
    volatile LONG Wrong;
    PULONG Page; // what everybody maps
} Shared;

typedef struct _WORKER {
    ULONG Number;
    ULONG64 State; // of the generator
    BLOCK *Block[BLOCKS];
    KDPC Dpc, ThreadedDpc, TimerDpc;
    KTIMER Timer;
    WORK_QUEUE_ITEM Item;
    KEVENT DpcDone, TimerDone, ItemDone;
    ULONG64 SpinLocks, QueuedLocks, FastMutexes, Mutexes, GuardedMutexes, Resources, PushLocks,
        RwLocks, Tokens, Dpcs, ThreadedDpcs, Timers, Items;
} WORKER;

static WORKER Workers[CREW_MAXIMUM];
static volatile LONG NextWorker;

static VOID Wrong(const char *What)
{
    if (InterlockedIncrement(&Shared.Wrong) < 10)
        DbgPrint("# wrong: %s\n", What);
}

static ULONG Draw(WORKER *Worker, ULONG Limit)
{
    Worker->State = Worker->State * 6364136223846793005ull + 1442695040888963407ull;
    return (ULONG)(Worker->State >> 33) % Limit;
}

// ---- memory -------------------------------------------------------------------------------------
static VOID CheckAndFree(BLOCK *Block)
{
    for (ULONG i = 0; i < Block->Size; i++) {
        if (Block->Bytes[i] != (UCHAR)(Block->Seed + i)) {
            Wrong("a block of pool was changed by somebody else");
            break;
        }
    }
    ExFreePoolWithTag(Block, TAG);
}

static VOID UsePool(WORKER *Worker)
{
    BLOCK **Slot = &Worker->Block[Draw(Worker, BLOCKS)];
    ULONG Size = Draw(Worker, Draw(Worker, 8) == 0 ? 12000 : 500);

    if (*Slot != NULL) {
        CheckAndFree(*Slot);
        *Slot = NULL;
        return;
    }
    *Slot = ExAllocatePoolWithTag(Draw(Worker, 2) ? NonPagedPool : PagedPool, sizeof(BLOCK) + Size,
                                  TAG);
    if (*Slot == NULL)
        return;
    (*Slot)->Size = Size;
    (*Slot)->Seed = (UCHAR)Draw(Worker, 256);
    for (ULONG i = 0; i < Size; i++)
        (*Slot)->Bytes[i] = (UCHAR)((*Slot)->Seed + i);
}

static VOID PushBlock(WORKER *Worker)
{
    PSLIST_ENTRY Entry = ExAllocateFromNPagedLookasideList(&Shared.Lookaside);

    UNREFERENCED_PARAMETER(Worker);
    if (Entry == NULL)
        return;
    InterlockedIncrement(&Shared.Pushed);
    InterlockedPushEntrySList(&Shared.Stack, Entry);
}

static VOID PopBlock(WORKER *Worker)
{
    PSLIST_ENTRY Entry = InterlockedPopEntrySList(&Shared.Stack);

    UNREFERENCED_PARAMETER(Worker);
    if (Entry == NULL)
        return;
    InterlockedIncrement(&Shared.Popped);
    ExFreeToNPagedLookasideList(&Shared.Lookaside, Entry);
}

static VOID MapPage(WORKER *Worker)
{
    volatile ULONG *Mapping =
        MmMapIoSpace(MmGetPhysicalAddress(Shared.Page), PAGE_SIZE, MmCached);

    UNREFERENCED_PARAMETER(Worker);
    if (Mapping == NULL)
        return;
    if (*Mapping != TAG)
        Wrong("a mapping shows another page");
    MmUnmapIoSpace((PVOID)Mapping, PAGE_SIZE);
}

// ---- locks --------------------------------------------------------------------------------------
static VOID UseSpinLock(WORKER *Worker)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(&Shared.SpinLock, &OldIrql);
    Shared.UnderSpinLock++;
    KeReleaseSpinLock(&Shared.SpinLock, OldIrql);
    Worker->SpinLocks++;
}

static VOID UseQueuedLock(WORKER *Worker)
{
    KLOCK_QUEUE_HANDLE Handle;

    KeAcquireInStackQueuedSpinLock(&Shared.QueuedLock, &Handle);
    Shared.UnderQueuedLock++;
    KeReleaseInStackQueuedSpinLock(&Handle);
    Worker->QueuedLocks++;
}

static VOID UseFastMutex(WORKER *Worker)
{
    ExAcquireFastMutex(&Shared.FastMutex);
    Shared.UnderFastMutex++;
    ExReleaseFastMutex(&Shared.FastMutex);
    Worker->FastMutexes++;
}

static VOID UseMutex(WORKER *Worker)
{
    KeWaitForSingleObject(&Shared.Mutex, Executive, KernelMode, FALSE, NULL);
    Shared.UnderMutex++;
    if (Draw(Worker, 4) == 0)
        CrewYield();
    KeReleaseMutex(&Shared.Mutex, FALSE);
    Worker->Mutexes++;
}

static VOID UseGuardedMutex(WORKER *Worker)
{
    KeAcquireGuardedMutex(&Shared.GuardedMutex);
    Shared.UnderGuardedMutex++;
    KeReleaseGuardedMutex(&Shared.GuardedMutex);
    Worker->GuardedMutexes++;
}

// ---- locks that are shared ----------------------------------------------------------------------
static VOID Change(PAIR *Pair)
{
    Pair->First++;
    Pair->Second++;
}

static VOID See(const PAIR *Pair)
{
    if (Pair->First != Pair->Second)
        Wrong("a sharer sees half a change");
}

static VOID UseResource(WORKER *Worker)
{
    KeEnterCriticalRegion();
    if (Draw(Worker, 3) == 0) {
        ExAcquireResourceExclusiveLite(&Shared.Resource, TRUE);
        Change(&Shared.UnderResource);
        Worker->Resources++;
        if (Draw(Worker, 2))
            ExConvertExclusiveToSharedLite(&Shared.Resource);
    } else if (Draw(Worker, 2)) {
        ExAcquireResourceSharedLite(&Shared.Resource, TRUE);
    } else {
        ExAcquireSharedStarveExclusive(&Shared.Resource, TRUE);
    }
    See(&Shared.UnderResource);
    ExReleaseResourceLite(&Shared.Resource);
    KeLeaveCriticalRegion();
}

static VOID UsePushLock(WORKER *Worker)
{
    KeEnterCriticalRegion();
    if (Draw(Worker, 3) == 0) {
        ExAcquirePushLockExclusive(&Shared.PushLock);
        Change(&Shared.UnderPushLock);
        Worker->PushLocks++;
    } else {
        ExAcquirePushLockShared(&Shared.PushLock);
    }
    See(&Shared.UnderPushLock);
    ExReleasePushLock(&Shared.PushLock);
    KeLeaveCriticalRegion();
}

static VOID UseRwLock(WORKER *Worker)
{
    KIRQL OldIrql;

    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    if (Draw(Worker, 3) == 0) {
        ExAcquireSpinLockExclusiveAtDpcLevel(&Shared.RwLock);
        Change(&Shared.UnderRwLock);
        Worker->RwLocks++;
        ExReleaseSpinLockExclusiveFromDpcLevel(&Shared.RwLock);
    } else {
        ExAcquireSpinLockSharedAtDpcLevel(&Shared.RwLock);
        See(&Shared.UnderRwLock);
        ExReleaseSpinLockSharedFromDpcLevel(&Shared.RwLock);
    }
    KeLowerIrql(OldIrql);
}

// ---- signals ------------------------------------------------------------------------------------
static VOID PassToken(WORKER *Worker)
{
    KeWaitForSingleObject(&Shared.Token, Executive, KernelMode, FALSE, NULL);
    Shared.UnderToken++;
    KeSetEvent(&Shared.Token, 0, FALSE);
    Worker->Tokens++;
}

static VOID UseSemaphore(WORKER *Worker)
{
    LARGE_INTEGER None = {.QuadPart = 0};
    BOOLEAN Took = KeWaitForSingleObject(&Shared.Semaphore, Executive, KernelMode, FALSE,
                                         Draw(Worker, 2) ? &None : NULL) == STATUS_SUCCESS;

    if (Took)
        KeReleaseSemaphore(&Shared.Semaphore, 0, 1, FALSE);
}

static VOID NTAPI CountDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    WORKER *Worker = Context;

    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (KeGetCurrentIrql() != DISPATCH_LEVEL)
        Wrong("a DPC does not run at DISPATCH_LEVEL");
    if (Dpc == &Worker->Dpc) {
        InterlockedIncrement(&Shared.Dpcs);
        KeSetEvent(&Worker->DpcDone, 0, FALSE);
    } else {
        InterlockedIncrement(&Shared.Timers);
        KeSetEvent(&Worker->TimerDone, 0, FALSE);
    }
}

static VOID QueueDpc(WORKER *Worker)
{
    KeSetTargetProcessorDpc(&Worker->Dpc, (CCHAR)Draw(Worker, (ULONG)KeNumberProcessors));
    KeSetImportanceDpc(&Worker->Dpc, Draw(Worker, 2) ? HighImportance : MediumHighImportance);
    if (!KeInsertQueueDpc(&Worker->Dpc, NULL, NULL))
        Wrong("a DPC that has run is still queued");
    Worker->Dpcs++;
    KeWaitForSingleObject(&Worker->DpcDone, Executive, KernelMode, FALSE, NULL);
}

static VOID NTAPI CountThreadedDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    WORKER *Worker = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (KeGetCurrentIrql() != PASSIVE_LEVEL)
        Wrong("a threaded DPC does not run at PASSIVE_LEVEL");
    InterlockedIncrement(&Shared.ThreadedDpcs);
    KeSetEvent(&Worker->DpcDone, 0, FALSE);
}

static VOID QueueThreadedDpc(WORKER *Worker)
{
    KeSetTargetProcessorDpc(&Worker->ThreadedDpc,
                            (CCHAR)Draw(Worker, (ULONG)KeNumberProcessors));
    KeSetImportanceDpc(&Worker->ThreadedDpc, HighImportance);
    if (!KeInsertQueueDpc(&Worker->ThreadedDpc, NULL, NULL))
        Wrong("a threaded DPC that has run is still queued");
    Worker->ThreadedDpcs++;
    KeWaitForSingleObject(&Worker->DpcDone, Executive, KernelMode, FALSE, NULL);
}

static VOID NTAPI CountItem(PVOID Context)
{
    WORKER *Worker = Context;

    InterlockedIncrement(&Shared.Items);
    KeSetEvent(&Worker->ItemDone, 0, FALSE);
}

static VOID QueueItem(WORKER *Worker)
{
    ExInitializeWorkItem(&Worker->Item, CountItem, Worker);
    ExQueueWorkItem(&Worker->Item, Draw(Worker, 2) ? DelayedWorkQueue : CriticalWorkQueue);
    Worker->Items++;
    KeWaitForSingleObject(&Worker->ItemDone, Executive, KernelMode, FALSE, NULL);
}

static VOID SetTimer(WORKER *Worker)
{
    LARGE_INTEGER Due = {.QuadPart = MILLISECONDS(1 + Draw(Worker, 3))};

    KeSetTimer(&Worker->Timer, Due, &Worker->TimerDpc);
    if (Draw(Worker, 2) && KeCancelTimer(&Worker->Timer))
        return;
    Worker->Timers++;
    KeWaitForSingleObject(&Worker->TimerDone, Executive, KernelMode, FALSE, NULL);
}

static VOID Move(WORKER *Worker)
{
    ULONG Number = Draw(Worker, (ULONG)KeNumberProcessors);

    KeSetSystemAffinityThread((KAFFINITY)1 << Number);
    if (KeGetCurrentProcessorNumber() != Number)
        Wrong("an affinity does not hold");
    if (Draw(Worker, 2))
        KeRevertToUserAffinityThread();
}

static ULONG_PTR NTAPI SeeMe(ULONG_PTR Argument)
{
    InterlockedIncrement(&Shared.Seen);
    return Argument;
}

static VOID CallAll(WORKER *Worker)
{
    if (Draw(Worker, 8) == 0)
        KeIpiGenericCall(SeeMe, 0);
}

// ---- the workers --------------------------------------------------------------------------------
static VOID (*const Operations[])(WORKER *Worker) = {
    UsePool, UsePool, UsePool, PushBlock, PushBlock, PopBlock, PopBlock, MapPage, UseSpinLock,
    UseSpinLock, UseQueuedLock, UseFastMutex, UseFastMutex, UseMutex, UseGuardedMutex, UseResource,
    UsePushLock, UseRwLock, PassToken, PassToken, UseSemaphore, QueueDpc, QueueDpc,
    QueueThreadedDpc, QueueItem, Move, CallAll,
};

static BOOLEAN GoesOn(ULONG Done, ULONGLONG Start)
{
#ifdef SOAK_MINUTES
    UNREFERENCED_PARAMETER(Done);
    return KeQueryInterruptTime() - Start < SOAK_MINUTES * 600000000ull;
#else
    UNREFERENCED_PARAMETER(Start);
    return Done < ROUNDS;
#endif
}

static VOID PrepareWorker(WORKER *Worker, ULONG Number)
{
    RtlZeroMemory(Worker, sizeof(*Worker));
    Worker->Number = Number;
    Worker->State = Number + 1;
    KeInitializeDpc(&Worker->Dpc, CountDpc, Worker);
    KeInitializeThreadedDpc(&Worker->ThreadedDpc, CountThreadedDpc, Worker);
    KeInitializeDpc(&Worker->TimerDpc, CountDpc, Worker);
    KeInitializeTimer(&Worker->Timer);
    KeInitializeEvent(&Worker->DpcDone, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Worker->TimerDone, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Worker->ItemDone, SynchronizationEvent, FALSE);
}

static VOID NTAPI Work(PVOID Context)
{
    ULONG Number = (ULONG)InterlockedIncrement(&NextWorker) - 1;
    WORKER *Worker = &Workers[Number];
    ULONGLONG Start = KeQueryInterruptTime();

    UNREFERENCED_PARAMETER(Context);
    PrepareWorker(Worker, Number);
    for (ULONG Done = 0; GoesOn(Done, Start); Done++) {
        Operations[Draw(Worker, RTL_NUMBER_OF(Operations))](Worker);
        if (Done % 64 == 0)
            SetTimer(Worker);
    }
    for (ULONG i = 0; i < BLOCKS; i++)
        if (Worker->Block[i] != NULL)
            CheckAndFree(Worker->Block[i]);
    KeRevertToUserAffinityThread();
}

// ---- the books ----------------------------------------------------------------------------------
static VOID Open(VOID)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = -1};

    RtlZeroMemory(&Shared, sizeof(Shared));
    NextWorker = 0;
    KeInitializeSpinLock(&Shared.SpinLock);
    KeInitializeSpinLock(&Shared.QueuedLock);
    ExInitializeFastMutex(&Shared.FastMutex);
    KeInitializeMutex(&Shared.Mutex, 0);
    KeInitializeGuardedMutex(&Shared.GuardedMutex);
    ExInitializeResourceLite(&Shared.Resource);
    ExInitializePushLock(&Shared.PushLock);
    KeInitializeSemaphore(&Shared.Semaphore, 2, 2);
    KeInitializeEvent(&Shared.Token, SynchronizationEvent, TRUE);
    ExInitializeNPagedLookasideList(&Shared.Lookaside, NULL, NULL, 0, 64, TAG, 0);
    InitializeSListHead(&Shared.Stack);
    Shared.Page = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    *Shared.Page = TAG;
}

static VOID Balance(VOID)
{
    WORKER Sum = {0};

    for (LONG i = 0; i < NextWorker; i++) {
        Sum.SpinLocks += Workers[i].SpinLocks;
        Sum.QueuedLocks += Workers[i].QueuedLocks;
        Sum.FastMutexes += Workers[i].FastMutexes;
        Sum.Mutexes += Workers[i].Mutexes;
        Sum.GuardedMutexes += Workers[i].GuardedMutexes;
        Sum.Resources += Workers[i].Resources;
        Sum.PushLocks += Workers[i].PushLocks;
        Sum.RwLocks += Workers[i].RwLocks;
        Sum.Tokens += Workers[i].Tokens;
        Sum.Dpcs += Workers[i].Dpcs;
        Sum.ThreadedDpcs += Workers[i].ThreadedDpcs;
        Sum.Timers += Workers[i].Timers;
        Sum.Items += Workers[i].Items;
    }
    CHECK_EQUAL(Shared.UnderSpinLock, Sum.SpinLocks);
    CHECK_EQUAL(Shared.UnderQueuedLock, Sum.QueuedLocks);
    CHECK_EQUAL(Shared.UnderFastMutex, Sum.FastMutexes);
    CHECK_EQUAL(Shared.UnderMutex, Sum.Mutexes);
    CHECK_EQUAL(Shared.UnderGuardedMutex, Sum.GuardedMutexes);
    CHECK_EQUAL(Shared.UnderResource.First, (ULONG)Sum.Resources);
    CHECK_EQUAL(Shared.UnderPushLock.First, (ULONG)Sum.PushLocks);
    CHECK_EQUAL(Shared.UnderRwLock.First, (ULONG)Sum.RwLocks);
    CHECK_EQUAL(Shared.UnderToken, Sum.Tokens);
    CHECK_EQUAL(Shared.Dpcs, Sum.Dpcs);
    CHECK_EQUAL((ULONG)Shared.ThreadedDpcs, (ULONG)Sum.ThreadedDpcs);
    CHECK_EQUAL(Shared.Timers, Sum.Timers);
    CHECK_EQUAL((ULONG)Shared.Items, (ULONG)Sum.Items);
    CHECK_EQUAL(Shared.Seen % KeNumberProcessors, 0);
    CHECK_EQUAL(KeReadStateSemaphore(&Shared.Semaphore), 2);
    CHECK_EQUAL(Shared.Wrong, 0);
}

static VOID Close(VOID)
{
    PSLIST_ENTRY Entry;

    while ((Entry = InterlockedPopEntrySList(&Shared.Stack)) != NULL) {
        Shared.Popped++;
        ExFreeToNPagedLookasideList(&Shared.Lookaside, Entry);
    }
    CHECK_EQUAL(Shared.Popped, Shared.Pushed);
    ExDeleteResourceLite(&Shared.Resource);
    ExDeleteNPagedLookasideList(&Shared.Lookaside);
    MmFreeContiguousMemory(Shared.Page);
    KeFlushQueuedDpcs();
}

static VOID NothingIsLost(VOID)
{
    CREW Crew = {.Count = 0};

    Open();
    CrewFill(&Crew, Work, NULL);
    CrewJoin(&Crew);
    Balance();
    Close();
}

static const GUEST_CASE Cases[] = {
    {"everything at once on all processors, and nothing is lost", NothingIsLost},
};
GUEST_DRIVER(Cases)
