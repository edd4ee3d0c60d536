// SPDX-License-Identifier: MIT
// Spin locks by all their names, and i386's own names for locks and interlocked operations.
//
// Each pair shows the same: the IRQL while it is held and after, that the lock is held in between,
// and that trying for it elsewhere fails. Import libraries lack some of the names: those are asked
// for as drivers do that run on several versions (MmGetSystemRoutineAddress).
#include "guest.h"

typedef KIRQL(FASTCALL *ACQUIRE)(PKSPIN_LOCK Lock);
typedef VOID(FASTCALL *RELEASE)(PKSPIN_LOCK Lock, KIRQL OldIrql);
typedef VOID(FASTCALL *ENTER)(PKSPIN_LOCK Lock, PKLOCK_QUEUE_HANDLE Handle);
typedef VOID(FASTCALL *LEAVE)(PKLOCK_QUEUE_HANDLE Handle);
typedef LOGICAL(NTAPI *TRY)(volatile LONG *Lock);

NTKERNELAPI BOOLEAN FASTCALL KeTestSpinLock(PKSPIN_LOCK Lock);
NTKERNELAPI VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(volatile LONG *Lock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(volatile LONG *Lock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(volatile LONG *Lock);

static KSPIN_LOCK Lock;
static volatile LONG RwLock;

// ---- ordinary and queued locks ------------------------------------------------------------------
static VOID CheckPair(ACQUIRE Acquire, RELEASE Release, KIRQL Before, KIRQL Inside)
{
    KIRQL Irql, OldIrql;

    KeRaiseIrql(Before, &OldIrql);
    Irql = Acquire(&Lock);
    CHECK_EQUAL(Irql, Before);
    CHECK_EQUAL(KeGetCurrentIrql(), Inside);
    CHECK(!KeTestSpinLock(&Lock));
    CHECK(!KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    Release(&Lock, Irql);
    CHECK_EQUAL(KeGetCurrentIrql(), Before);
    CHECK(KeTestSpinLock(&Lock));
    KeLowerIrql(OldIrql);
}

static VOID ForDpcSuitsBothKinds(VOID)
{
    ACQUIRE Acquire = (ACQUIRE)GuestFind(L"KeAcquireSpinLockForDpc");
    RELEASE Drop = (RELEASE)GuestFind(L"KeReleaseSpinLockForDpc");

    if (Acquire == NULL || Drop == NULL)
        return;
    CheckPair(Acquire, Drop, PASSIVE_LEVEL, DISPATCH_LEVEL);
    CheckPair(Acquire, Drop, DISPATCH_LEVEL, DISPATCH_LEVEL);
}

static VOID FASTCALL Release(PKSPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KeReleaseSpinLock(SpinLock, OldIrql);
}

static VOID RaiseToSynchKeepsTheSchedulerAway(VOID)
{
    ACQUIRE Acquire = (ACQUIRE)GuestFind(L"KeAcquireSpinLockRaiseToSynch");
    KIRQL(NTAPI *Raise)(VOID) = (KIRQL(NTAPI *)(VOID))GuestFind(L"KeRaiseIrqlToSynchLevel");
    KIRQL OldIrql, Synch;

    if (Acquire == NULL || Raise == NULL)
        return;
    OldIrql = Raise();
    Synch = KeGetCurrentIrql();
    CHECK_EQUAL(OldIrql, PASSIVE_LEVEL);
    CHECK(Synch >= DISPATCH_LEVEL);
    KeLowerIrql(OldIrql);
    CheckPair(Acquire, Release, PASSIVE_LEVEL, Synch);
    CheckPair(Acquire, Release, DISPATCH_LEVEL, Synch);
}

static VOID CheckQueued(ENTER Enter, LEAVE Leave, KIRQL Before)
{
    KLOCK_QUEUE_HANDLE Handle;
    KIRQL OldIrql;

    KeRaiseIrql(Before, &OldIrql);
    Enter(&Lock, &Handle);
    CHECK(KeGetCurrentIrql() >= DISPATCH_LEVEL);
    CHECK_EQUAL(Handle.OldIrql, Before);
    CHECK(!KeTestSpinLock(&Lock));
    Leave(&Handle);
    CHECK_EQUAL(KeGetCurrentIrql(), Before);
    CHECK(KeTestSpinLock(&Lock));
    KeLowerIrql(OldIrql);
}

static VOID QueuedLocksGoByAllNames(VOID)
{
    ENTER ToSynch = (ENTER)GuestFind(L"KeAcquireInStackQueuedSpinLockRaiseToSynch");

    for (KIRQL Before = PASSIVE_LEVEL; Before <= DISPATCH_LEVEL; Before++) {
        CheckQueued(KeAcquireInStackQueuedSpinLockForDpc, KeReleaseInStackQueuedSpinLockForDpc,
                    Before);
        if (ToSynch != NULL)
            CheckQueued(ToSynch, KeReleaseInStackQueuedSpinLock, Before);
    }
}

// ---- reader-writer locks ------------------------------------------------------------------------
static VOID TryingForAReaderWriterLock(VOID)
{
    TRY Shared = (TRY)GuestFind(L"ExTryAcquireSpinLockSharedAtDpcLevel");
    TRY Exclusive = (TRY)GuestFind(L"ExTryAcquireSpinLockExclusiveAtDpcLevel");
    KIRQL OldIrql;

    if (Shared == NULL || Exclusive == NULL)
        return;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK(Shared(&RwLock));
    CHECK(Shared(&RwLock)); // sharers do not keep each other out
    CHECK(!Exclusive(&RwLock));
    ExReleaseSpinLockSharedFromDpcLevel(&RwLock);
    CHECK(!Exclusive(&RwLock));
    ExReleaseSpinLockSharedFromDpcLevel(&RwLock);
    CHECK(Exclusive(&RwLock));
    CHECK(!Shared(&RwLock));
    CHECK(!Exclusive(&RwLock));
    ExReleaseSpinLockExclusiveFromDpcLevel(&RwLock);
    ExAcquireSpinLockExclusiveAtDpcLevel(&RwLock);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    CHECK(!Shared(&RwLock));
    ExReleaseSpinLockExclusiveFromDpcLevel(&RwLock);
    CHECK_EQUAL(RwLock, 0);
    KeLowerIrql(OldIrql);
}

// ---- names that one architecture has ------------------------------------------------------------
#ifdef _AMD64_
static KIRQL FASTCALL RaiseToDpc(PKSPIN_LOCK SpinLock)
{
    return KeAcquireSpinLockRaiseToDpc(SpinLock);
}

static VOID RaisingToDispatchLevel(VOID)
{
    CheckPair(RaiseToDpc, Release, PASSIVE_LEVEL, DISPATCH_LEVEL);
    CheckPair(RaiseToDpc, Release, DISPATCH_LEVEL, DISPATCH_LEVEL);
}
#else
typedef VOID(FASTCALL *PLAIN)(PKSPIN_LOCK Lock);
typedef VOID(FASTCALL *MUTEX)(PFAST_MUTEX Mutex);
typedef BOOLEAN(FASTCALL *TRY_MUTEX)(PFAST_MUTEX Mutex);
typedef ULONG(FASTCALL *FAST_SIGN)(volatile LONG *Value);
typedef ULONG(NTAPI *SIGN)(volatile LONG *Value);
typedef ULONG(NTAPI *LOCKED_SIGN)(volatile LONG *Value, PKSPIN_LOCK Lock);
typedef ULONG(FASTCALL *FAST_EXCHANGE)(volatile ULONG *Target, ULONG Value);
typedef ULONG(NTAPI *EXCHANGE)(volatile ULONG *Target, ULONG Value);
typedef ULONG(NTAPI *LOCKED_EXCHANGE)(volatile ULONG *Target, ULONG Value, PKSPIN_LOCK Lock);
typedef ULONG(FASTCALL *ADD)(PULONG Addend, ULONG Value, PKSPIN_LOCK Lock);
typedef LONGLONG(FASTCALL *EXCHANGE64)(volatile LONGLONG *, PLONGLONG, PLONGLONG);
typedef VOID(FASTCALL *STATISTIC)(PLARGE_INTEGER Addend, ULONG Increment);
typedef PLIST_ENTRY(FASTCALL *INSERT)(PLIST_ENTRY, PLIST_ENTRY, PKSPIN_LOCK);
typedef PLIST_ENTRY(FASTCALL *REMOVE)(PLIST_ENTRY, PKSPIN_LOCK);
typedef PSINGLE_LIST_ENTRY(FASTCALL *PUSH)(PSINGLE_LIST_ENTRY, PSINGLE_LIST_ENTRY, PKSPIN_LOCK);
typedef PSINGLE_LIST_ENTRY(FASTCALL *POP)(PSINGLE_LIST_ENTRY, PKSPIN_LOCK);
typedef PSLIST_ENTRY(FASTCALL *SLIST_PUSH)(PSLIST_HEADER, PSLIST_ENTRY, PKSPIN_LOCK);
typedef PSLIST_ENTRY(FASTCALL *SLIST_POP)(PSLIST_HEADER, PKSPIN_LOCK);

static VOID CheckAtDpcLevel(PCWSTR AcquireName, PCWSTR ReleaseName)
{
    PLAIN Acquire = (PLAIN)GuestFind(AcquireName), Drop = (PLAIN)GuestFind(ReleaseName);
    KIRQL OldIrql;

    if (Acquire == NULL || Drop == NULL)
        return;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Acquire(&Lock);
    CHECK(!KeTestSpinLock(&Lock));
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    Drop(&Lock);
    CHECK(KeTestSpinLock(&Lock));
    KeLowerIrql(OldIrql);
}

static VOID FastcallNamesOfSpinLocks(VOID)
{
    ACQUIRE Acquire = (ACQUIRE)GuestFind(L"KfAcquireSpinLock");
    RELEASE Drop = (RELEASE)GuestFind(L"KfReleaseSpinLock");

    if (Acquire != NULL && Drop != NULL)
        CheckPair(Acquire, Drop, PASSIVE_LEVEL, DISPATCH_LEVEL);
    CheckAtDpcLevel(L"KefAcquireSpinLockAtDpcLevel", L"KefReleaseSpinLockFromDpcLevel");
    CheckAtDpcLevel(L"KiAcquireSpinLock", L"KiReleaseSpinLock");
}

static VOID HalNamesOfFastMutexes(VOID)
{
    MUTEX Acquire = (MUTEX)GuestFind(L"ExiAcquireFastMutex");
    MUTEX Drop = (MUTEX)GuestFind(L"ExiReleaseFastMutex");
    TRY_MUTEX Try = (TRY_MUTEX)GuestFind(L"ExiTryToAcquireFastMutex");
    static FAST_MUTEX Mutex;

    if (Acquire == NULL || Drop == NULL || Try == NULL)
        return;
    ExInitializeFastMutex(&Mutex);
    Acquire(&Mutex);
    CHECK_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    Drop(&Mutex);
    CHECK(Try(&Mutex));
    CHECK_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    Drop(&Mutex);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

// The sign of the result, as the flags of LAHF say it: 0x8000 negative, 0x4000 zero, 0 positive.
static VOID CheckSigns(FAST_SIGN Fast, SIGN Standard, LOCKED_SIGN Locked, LONG Step)
{
    static const ULONG Signs[3] = {0x8000, 0x4000, 0};
    volatile LONG Value = -2 * Step;

    if (Fast == NULL || Standard == NULL || Locked == NULL)
        return;
    CHECK_EQUAL(Fast(&Value), Signs[Step > 0 ? 0 : 2]); // one step from zero
    CHECK_EQUAL(Standard(&Value), Signs[1]);
    CHECK_EQUAL(Locked(&Value, &Lock), Signs[Step > 0 ? 2 : 0]);
    CHECK_EQUAL(Value, Step);
}

static VOID OldInterlockedOperationsTellTheSign(VOID)
{
    CheckSigns((FAST_SIGN)GuestFind(L"Exfi386InterlockedIncrementLong"),
               (SIGN)GuestFind(L"Exi386InterlockedIncrementLong"),
               (LOCKED_SIGN)GuestFind(L"ExInterlockedIncrementLong"), 1);
    CheckSigns((FAST_SIGN)GuestFind(L"Exfi386InterlockedDecrementLong"),
               (SIGN)GuestFind(L"Exi386InterlockedDecrementLong"),
               (LOCKED_SIGN)GuestFind(L"ExInterlockedDecrementLong"), -1);
}

static VOID OldExchangesReturnWhatWasThere(VOID)
{
    FAST_EXCHANGE Fast = (FAST_EXCHANGE)GuestFind(L"Exfi386InterlockedExchangeUlong");
    EXCHANGE Standard = (EXCHANGE)GuestFind(L"Exi386InterlockedExchangeUlong");
    LOCKED_EXCHANGE Locked = (LOCKED_EXCHANGE)GuestFind(L"ExInterlockedExchangeUlong");
    ADD Add = (ADD)GuestFind(L"ExfInterlockedAddUlong");
    ULONG Value = 1;

    if (Fast == NULL || Standard == NULL || Locked == NULL || Add == NULL)
        return;
    CHECK_EQUAL(Fast(&Value, 2), 1);
    CHECK_EQUAL(Standard(&Value, 3), 2);
    CHECK_EQUAL(Locked(&Value, 4, &Lock), 3);
    CHECK_EQUAL(Add(&Value, 5, &Lock), 4);
    CHECK_EQUAL(Value, 9);
}

static VOID WideOperationsAreOne(VOID)
{
    EXCHANGE64 Exchange = (EXCHANGE64)GuestFind(L"ExfInterlockedCompareExchange64");
    STATISTIC Statistic = (STATISTIC)GuestFind(L"ExInterlockedAddLargeStatistic");
    LARGE_INTEGER Sum = {.QuadPart = 0xFFFFFFFF};
    LONGLONG Value = 0x100000000, Wrong = 1, Right = 0x100000000, New = -5;

    if (Exchange == NULL || Statistic == NULL)
        return;
    CHECK_EQUAL(Exchange(&Value, &New, &Wrong), 0x100000000);
    CHECK_EQUAL(Value, 0x100000000);
    CHECK_EQUAL(Exchange(&Value, &New, &Right), 0x100000000);
    CHECK_EQUAL(Value, -5);
    Statistic(&Sum, 0xFFFFFFFF); // it carries, and is not signed
    CHECK_EQUAL(Sum.QuadPart, 0x1FFFFFFFE);
}

static VOID FastcallNamesOfListOperations(VOID)
{
    INSERT Head = (INSERT)GuestFind(L"ExfInterlockedInsertHeadList");
    INSERT Tail = (INSERT)GuestFind(L"ExfInterlockedInsertTailList");
    REMOVE Remove = (REMOVE)GuestFind(L"ExfInterlockedRemoveHeadList");
    PUSH Push = (PUSH)GuestFind(L"ExfInterlockedPushEntryList");
    POP Pop = (POP)GuestFind(L"ExfInterlockedPopEntryList");
    SINGLE_LIST_ENTRY First = {NULL}, Single;
    LIST_ENTRY List, A, B;

    if (Head == NULL || Tail == NULL || Remove == NULL || Push == NULL || Pop == NULL)
        return;
    InitializeListHead(&List);
    CHECK(Head(&List, &A, &Lock) == NULL);
    CHECK(Tail(&List, &B, &Lock) == &A);
    CHECK(Remove(&List, &Lock) == &A);
    CHECK(Remove(&List, &Lock) == &B);
    CHECK(Remove(&List, &Lock) == NULL);
    CHECK(Push(&First, &Single, &Lock) == NULL);
    CHECK(Pop(&First, &Lock) == &Single);
    CHECK(Pop(&First, &Lock) == NULL);
}

static VOID SequencedListsWithALockArgument(VOID)
{
    SLIST_PUSH Push = (SLIST_PUSH)GuestFind(L"ExInterlockedPushEntrySList");
    SLIST_POP Pop = (SLIST_POP)GuestFind(L"ExInterlockedPopEntrySList");
    static SLIST_HEADER List;
    static SLIST_ENTRY A, B;

    if (Push == NULL || Pop == NULL)
        return;
    ExInitializeSListHead(&List);
    CHECK(Push(&List, &A, &Lock) == NULL);
    CHECK(Push(&List, &B, &Lock) == &A);
    CHECK_EQUAL(ExQueryDepthSList(&List), 2);
    CHECK(Pop(&List, &Lock) == &B);
    CHECK(Pop(&List, &Lock) == &A);
    CHECK(Pop(&List, &Lock) == NULL);
}
#endif

static const GUEST_CASE Cases[] = {
    {"ForDpc suits threaded and ordinary DPCs", ForDpcSuitsBothKinds},
    {"a lock may raise to SYNCH_LEVEL", RaiseToSynchKeepsTheSchedulerAway},
    {"queued locks go by all their names", QueuedLocksGoByAllNames},
    {"trying for a reader-writer lock does not wait", TryingForAReaderWriterLock},
#ifdef _AMD64_
    {"KeAcquireSpinLockRaiseToDpc raises and returns the IRQL", RaisingToDispatchLevel},
#else
    {"i386's fastcall names of spin locks", FastcallNamesOfSpinLocks},
    {"the HAL's names of fast mutexes", HalNamesOfFastMutexes},
    {"old interlocked operations tell the sign", OldInterlockedOperationsTellTheSign},
    {"old exchanges and additions return what was there", OldExchangesReturnWhatWasThere},
    {"64-bit operations are one", WideOperationsAreOne},
    {"i386's fastcall names of list operations", FastcallNamesOfListOperations},
    {"sequenced lists take a lock argument", SequencedListsWithALockArgument},
#endif
};
GUEST_DRIVER(Cases)
