// SPDX-License-Identifier: MIT
// The checked build's eye on locks: what is held where, and in which order locks are taken.
//
// Two threads that take the same two locks in opposite order may stop each other for ever, one day.
// They need not be at it at the same time to be seen: every time a lock is acquired while another
// is held, that order is noted as an edge of a graph, and an acquisition that would close a circle
// is DRIVER_VERIFIER_DETECTED_VIOLATION (0x1001, the lock that is acquired, the one that is held).
// The log then has both call chains: of the acquisition at hand, and of each one that made the
// opposite order.
//
// Watched are drivers' spin locks of all kinds, those of interrupts among them (held by a
// processor), mutexes, fast mutexes, guarded mutexes, resources and push locks (held by a thread);
// not the kernel's own locks, whose order ki.h says. A lock on the stack of its user comes and goes
// with other locks at the same address, and is not watched. An attempt that does not wait cannot
// deadlock: it makes the lock held, and no edge. Nor does who acquires again what he owns.
//
// A share is an acquisition like any other: who wants one may have to wait behind somebody who
// wants all, and that one for a sharer. So two locks that are only ever shared, in both orders, are
// reported: a writer that waits for each is enough to stop the sharers, and whether one ever comes
// cannot be seen from here.
//
// A resource or push lock that another thread gives up than the one that acquired it is looked for
// among what all threads hold (KeForgetOwned).
//
// A lock is known by its address, until it is initialised anew or its memory is freed
// (KeForgetLocks). When one of the tables is full nothing more is noted; that is logged once.
//
// KiOrderLock, with interrupts off, covers the graph and what threads hold; what a processor holds
// belongs to it alone. `!locks` prints the spin locks that are held. Tests:
// tests/guest/broken/order_*.c.
#include "ki.h"

#if KE_WATCHES
#define LOCKS 1024u // known at a time, and their edges; 0 stands for none
#define EDGES 4096u
#define CHAIN 6u    // return addresses of a call chain
#define DEPTH 16u   // spin locks that one processor holds

typedef struct _KI_ORDER_EDGE {
    USHORT From, To, Next; // Next: of the edges with the same From, or of the free ones
    ULONG_PTR Since;       // who had acquired From
    ULONG_PTR Chain[CHAIN];
} KI_ORDER_EDGE;

typedef struct _KI_ORDER_LOCK {
    ULONG_PTR Address; // 0: free
    USHORT Next;       // in its bucket, or of the free ones
    USHORT Edges;      // the first
    USHORT Came;       // the search came here by this edge
    USHORT Search;     // number of the search that came here last
} KI_ORDER_LOCK;

static KSPIN_LOCK KiOrderLock;
static KI_ORDER_LOCK KiOrderLocks[LOCKS];
static KI_ORDER_EDGE KiOrderEdges[EDGES];
static USHORT KiOrderBuckets[LOCKS];
static USHORT KiFreeLock, KiFreeEdge, KiUsedLocks = 1, KiUsedEdges = 1, KiSearch;
static BOOLEAN KiOrderFull;

static struct {
    ULONG Count;
    KE_HELD_LOCK Lock[DEPTH];
} KiHeldSpinLocks[MAXIMUM_PROCESSORS];

// ---- tables: under KiOrderLock ------------------------------------------------------------------
static PUSHORT KiOrderBucket(ULONG_PTR Address)
{
    return &KiOrderBuckets[(Address >> 3 ^ Address >> 13) % LOCKS];
}

static USHORT KiFindOrderLock(ULONG_PTR Address)
{
    USHORT Index = *KiOrderBucket(Address);

    while (Index != 0 && KiOrderLocks[Index].Address != Address)
        Index = KiOrderLocks[Index].Next;
    return Index;
}

// An unused element: one that was freed, or the next that never was used. 0: none.
#define TAKE_ELEMENT(Free, Used, Limit, Array)                                                     \
    ({                                                                                             \
        USHORT Taken_ = Free;                                                                      \
        if (Taken_ != 0)                                                                           \
            Free = Array[Taken_].Next;                                                             \
        else if (Used < Limit)                                                                     \
            Taken_ = Used++;                                                                       \
        Taken_;                                                                                    \
    })

static USHORT KiMakeOrderLock(ULONG_PTR Address)
{
    USHORT Index = KiFindOrderLock(Address), *Bucket = KiOrderBucket(Address);

    if (Index != 0)
        return Index;
    Index = TAKE_ELEMENT(KiFreeLock, KiUsedLocks, LOCKS, KiOrderLocks);
    if (Index == 0)
        return 0;
    KiOrderLocks[Index] = (KI_ORDER_LOCK){.Address = Address, .Next = *Bucket};
    *Bucket = Index;
    KeNoteObject((PVOID)Address);
    return Index;
}

static USHORT KiFindEdge(USHORT From, USHORT To)
{
    USHORT Edge = KiOrderLocks[From].Edges;

    while (Edge != 0 && KiOrderEdges[Edge].To != To)
        Edge = KiOrderEdges[Edge].Next;
    return Edge;
}

// Frees the edges of From that lead To; 0: all of them.
static VOID KiDropEdges(USHORT From, USHORT To)
{
    PUSHORT Link = &KiOrderLocks[From].Edges;

    while (*Link != 0) {
        USHORT Edge = *Link;
        if (To != 0 && KiOrderEdges[Edge].To != To) {
            Link = &KiOrderEdges[Edge].Next;
            continue;
        }
        *Link = KiOrderEdges[Edge].Next;
        KiOrderEdges[Edge].Next = KiFreeEdge;
        KiFreeEdge = Edge;
    }
}

static VOID KiDropOrderLock(USHORT Index)
{
    PUSHORT Link = KiOrderBucket(KiOrderLocks[Index].Address);

    while (*Link != Index)
        Link = &KiOrderLocks[*Link].Next;
    *Link = KiOrderLocks[Index].Next;
    KiDropEdges(Index, 0);
    for (USHORT i = 1; i < KiUsedLocks; i++)
        if (KiOrderLocks[i].Address != 0)
            KiDropEdges(i, Index);
    KiOrderLocks[Index].Address = 0;
    KiOrderLocks[Index].Next = KiFreeLock;
    KiFreeLock = Index;
}

VOID KeForgetLocks(const VOID *Start, SIZE_T Bytes)
{
    BOOLEAN Enabled = KiDisableInterrupts();

    KiTakeLock(&KiOrderLock);
    for (USHORT i = 1; i < KiUsedLocks; i++)
        if (KiOrderLocks[i].Address != 0 && KiOrderLocks[i].Address - (ULONG_PTR)Start < Bytes)
            KiDropOrderLock(i);
    KiDropLock(&KiOrderLock);
    KiRestoreInterrupts(Enabled);
}

// The lock is made anew.
VOID KeForgetLock(const VOID *Lock)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    USHORT Index;

    KiTakeLock(&KiOrderLock);
    Index = KiFindOrderLock((ULONG_PTR)Lock);
    if (Index != 0)
        KiDropOrderLock(Index);
    KiDropLock(&KiOrderLock);
    KiRestoreInterrupts(Enabled);
}

// ---- the graph ----------------------------------------------------------------------------------
// Depth first from Lock to Goal; Came says the way back. Recursion is bounded by DEPTH * 2: longer
// circles are found by their parts.
static BOOLEAN KiReaches(USHORT Lock, USHORT Goal, ULONG Depth)
{
    KiOrderLocks[Lock].Search = KiSearch;
    for (USHORT Edge = KiOrderLocks[Lock].Edges; Edge != 0; Edge = KiOrderEdges[Edge].Next) {
        USHORT To = KiOrderEdges[Edge].To;
        if (KiOrderLocks[To].Search == KiSearch)
            continue;
        KiOrderLocks[To].Came = Edge;
        if (To == Goal || (Depth < DEPTH * 2 && KiReaches(To, Goal, Depth + 1)))
            return TRUE;
    }
    return FALSE;
}

static VOID KiPrintPlace(const char *What, ULONG_PTR Address)
{
    char Name[128];

    if (Address == 0)
        return;
    KdSymbolize(Address, Name, sizeof(Name));
    KLOG("order", "    %s %s", What, Name);
}

static VOID KiPrintChain(const ULONG_PTR *Chain)
{
    for (ULONG i = 0; i < CHAIN && Chain[i] != 0; i++)
        KiPrintPlace("from", Chain[i]);
}

static DECLSPEC_NORETURN VOID KiReportInversion(USHORT Wanted, const KE_HELD_LOCK *Held,
                                                const ULONG_PTR *Chain)
{
    PVOID Lock = (PVOID)KiOrderLocks[Wanted].Address;
    USHORT Goal = KiFindOrderLock(Held->Lock);

    KLOG("order", "lock 0x%p is acquired while 0x%p is held:", Lock, (PVOID)Held->Lock);
    KiPrintChain(Chain);
    KiPrintPlace("which has it since", Held->Caller);
    for (USHORT To = Goal; To != Wanted;) {
        const KI_ORDER_EDGE *Edge = &KiOrderEdges[KiOrderLocks[To].Came];
        KLOG("order", "but 0x%p was acquired while 0x%p was held:", (PVOID)KiOrderLocks[To].Address,
             (PVOID)KiOrderLocks[Edge->From].Address);
        KiPrintChain(Edge->Chain);
        KiPrintPlace("which had it since", Edge->Since);
        To = Edge->From;
    }
    KiDropLock(&KiOrderLock);
    KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1001, (ULONG_PTR)Lock, Held->Lock, 0, NULL,
               "Locks were acquired in one order here and in the opposite one before: some day two "
               "threads will wait for each other (checked build; both call chains are above).");
}

static VOID KiAddEdge(USHORT From, USHORT To, ULONG_PTR Since, const ULONG_PTR *Chain)
{
    USHORT Edge = TAKE_ELEMENT(KiFreeEdge, KiUsedEdges, EDGES, KiOrderEdges);

    if (Edge == 0) {
        if (!KiOrderFull)
            KLOG("order", "more lock orders than can be noted: later ones are not watched");
        KiOrderFull = TRUE;
        return;
    }
    KiOrderEdges[Edge] =
        (KI_ORDER_EDGE){.From = From, .To = To, .Next = KiOrderLocks[From].Edges, .Since = Since};
    memcpy(KiOrderEdges[Edge].Chain, Chain, sizeof(KiOrderEdges[Edge].Chain));
    KiOrderLocks[From].Edges = Edge;
}

// Wanted is about to be acquired while Held is held.
static VOID KiNoteOrder(ULONG_PTR Wanted, const KE_HELD_LOCK *Held)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    ULONG_PTR Chain[CHAIN] = {0};
    USHORT From, To;

    KiTakeLock(&KiOrderLock);
    From = KiMakeOrderLock(Held->Lock);
    To = KiMakeOrderLock(Wanted);
    if (From != 0 && To != 0 && From != To && KiFindEdge(From, To) == 0) {
        KdCaptureBacktrace(NULL, 2, Chain, CHAIN);
        KiSearch++;
        if (KiReaches(To, From, 0))
            KiReportInversion(To, Held, Chain);
        KiAddEdge(From, To, Held->Caller, Chain);
    }
    KiDropLock(&KiOrderLock);
    KiRestoreInterrupts(Enabled);
}

// ---- what is held -------------------------------------------------------------------------------
static BOOLEAN KiIsOnStack(const VOID *Lock)
{
    ULONG_PTR Limit, Base;

    KeQueryStack(&Limit, &Base);
    return (ULONG_PTR)Lock >= Limit && (ULONG_PTR)Lock < Base;
}

// Others may give up what a thread holds. Returns how many there are.
static ULONG KiCopyHeld(const KTHREAD *Thread, KE_HELD_LOCK *Held)
{
    BOOLEAN Enabled;
    ULONG Count;

    if (Thread->HeldCount == 0)
        return 0;
    Enabled = KiDisableInterrupts();
    KiTakeLock(&KiOrderLock);
    Count = Thread->HeldCount;
    memcpy(Held, Thread->Held, Count * sizeof(*Held));
    KiDropLock(&KiOrderLock);
    KiRestoreInterrupts(Enabled);
    return Count;
}

VOID KeNoteLockWanted(const VOID *Lock)
{
    PKTHREAD Thread = KiCurrentThread();

    KE_HELD_LOCK Held[RTL_NUMBER_OF(Thread->Held)];

    if (KiIsOnStack(Lock))
        return;
    for (ULONG i = KiCopyHeld(Thread, Held); i-- != 0;)
        KiNoteOrder((ULONG_PTR)Lock, &Held[i]);
    if (KiGetIrql() < DISPATCH_LEVEL)
        return;
    ULONG Processor = KeGetCurrentPrcb()->ProcessorNumber;
    for (ULONG i = 0; i < KiHeldSpinLocks[Processor].Count; i++)
        KiNoteOrder((ULONG_PTR)Lock, &KiHeldSpinLocks[Processor].Lock[i]);
}

static VOID KiPushHeld(KE_HELD_LOCK *Stack, ULONG Depth, PULONG Count, const VOID *Lock,
                       ULONG_PTR Caller)
{
    if (*Count == Depth) // the oldest is forgotten
        memmove(Stack, Stack + 1, --*Count * sizeof(*Stack));
    Stack[(*Count)++] = (KE_HELD_LOCK){(ULONG_PTR)Lock, Caller};
}

static BOOLEAN KiPopHeld(KE_HELD_LOCK *Stack, PULONG Count, const VOID *Lock)
{
    for (ULONG i = *Count; i-- > 0;) {
        if (Stack[i].Lock == (ULONG_PTR)Lock) {
            memmove(&Stack[i], &Stack[i + 1], (--*Count - i) * sizeof(*Stack));
            return TRUE;
        }
    }
    return FALSE;
}

// Interrupts come at these lists, too.
VOID KeNoteSpinLock(const VOID *Lock, ULONG_PTR Caller)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    ULONG Processor = KeGetCurrentPrcb()->ProcessorNumber;

    if (!KiIsOnStack(Lock))
        KiPushHeld(KiHeldSpinLocks[Processor].Lock, DEPTH, &KiHeldSpinLocks[Processor].Count, Lock,
                   Caller);
    KiRestoreInterrupts(Enabled);
}

VOID KeForgetSpinLock(const VOID *Lock)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    ULONG Processor = KeGetCurrentPrcb()->ProcessorNumber;

    KiPopHeld(KiHeldSpinLocks[Processor].Lock, &KiHeldSpinLocks[Processor].Count, Lock);
    KiRestoreInterrupts(Enabled);
}

VOID KeNoteMutex(PKTHREAD Owner, const VOID *Lock, ULONG_PTR Caller)
{
    BOOLEAN Enabled;

    if (KiIsOnStack(Lock))
        return;
    Enabled = KiDisableInterrupts();
    KiTakeLock(&KiOrderLock);
    KiPushHeld(Owner->Held, RTL_NUMBER_OF(Owner->Held), &Owner->HeldCount, Lock, Caller);
    KiDropLock(&KiOrderLock);
    KiRestoreInterrupts(Enabled);
}

static BOOLEAN KiForgetHeld(PKTHREAD Owner, const VOID *Lock)
{
    BOOLEAN Enabled = KiDisableInterrupts(), Held;

    KiTakeLock(&KiOrderLock);
    Held = KiPopHeld(Owner->Held, &Owner->HeldCount, Lock);
    KiDropLock(&KiOrderLock);
    KiRestoreInterrupts(Enabled);
    return Held;
}

VOID KeForgetMutex(PKTHREAD Owner, const VOID *Lock)
{
    KiForgetHeld(Owner, Lock);
}

VOID KeForgetOwned(const KTHREAD *Owner, const VOID *Lock)
{
    PKTHREAD Self = KiCurrentThread();
    KIRQL OldIrql;

    if ((Owner == Self && KiForgetHeld(Self, Lock)) || KiIsOnStack(Lock))
        return;
    OldIrql = KiLockDispatcher(); // threads do not end meanwhile
    for (PLIST_ENTRY Entry = KiThreadList.Flink; Entry != &KiThreadList; Entry = Entry->Flink) {
        PKTHREAD Thread = CONTAINING_RECORD(Entry, KTHREAD, ThreadListEntry);
        if ((Owner == Self || Owner == Thread) && KiForgetHeld(Thread, Lock))
            break;
    }
    KiUnlockDispatcher(OldIrql);
}

// A thread is about to wait: it holds no spin lock, though it may have lowered the IRQL.
VOID KiCheckWait(VOID)
{
    ULONG Processor = KeGetCurrentPrcb()->ProcessorNumber;

    if (KiHeldSpinLocks[Processor].Count == 0 || KeGetCurrentPrcb()->InterruptDepth != 0)
        return;
    KePrintHeldSpinLocks();
    KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x40009, (ULONG_PTR) "SpinLock",
               KiHeldSpinLocks[Processor].Lock[0].Lock, 0, NULL,
               "A thread waited while it held a spin lock (checked build).");
}

VOID KePrintHeldSpinLocks(VOID)
{
    char Name[128];

    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++) {
        for (ULONG j = 0; j < KiHeldSpinLocks[i].Count; j++) {
            const KE_HELD_LOCK *Held = &KiHeldSpinLocks[i].Lock[j];
            KdSymbolize(Held->Caller, Name, sizeof(Name));
            KdPrintf("processor %u holds spin lock 0x%p since %s\n", i, (PVOID)Held->Lock, Name);
        }
    }
}

#else
VOID KePrintHeldSpinLocks(VOID)
{
    KdPrintf("spin locks that are held: only the checked build keeps a list\n");
}
#endif
