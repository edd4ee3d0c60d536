// SPDX-License-Identifier: MIT
// Lookaside lists: caches of blocks of one size that a driver owns.
//
// Problem. A driver that takes and gives one kind of block all the time wants it without the pool's
// checks.
//
// Idea. The list is an SLIST in the driver's own nonpaged memory. The driver's compiler inlines the
// fast path (pop, or push while the list is shorter than Depth) and the counters; so the
// structure's layout is the interface. What is here: making and deleting lists, a registry of all
// of them, and the tuning of Depth once a second.
//
// Tuning (ours; the published texts say only that busy lists grow and idle ones shrink, LA-25). In
// a second with A allocations, M of which found the list empty:
//     grow      by M, but by no more than half of what is left to MaximumDepth;
//     ceiling   A, kept within the minimum and MaximumDepth: a list that handed out A blocks never
//               needs more; a Depth above it falls half of the way.
// So Depth stays within its limits, never falls when A or M rise, and an idle list is at the
// minimum after nine seconds. Entries above a lowered Depth go to the pool as the driver frees
// (LA-07); those of lists without a free routine of their own are freed here.
//
// Attribution. A new block is allocated by the code that runs in the driver: its call site is
// recorded. The list remembers who initialised it (Future, which is reserved), for the leak report.
//
// Pressure. Before the pool answers with NULL it has the entries of lists freed that have no free
// routine of their own; those of paged lists only below DISPATCH_LEVEL.
//
// Counters. Drivers' inlined code counts with plain additions, so that among processors some are
// lost: they are good for tuning and for statistics, and nothing else depends on them.
//
// What can go wrong. A list is initialised twice, deleted twice or never, or freed with its memory:
// 0xC4 with the verifier's parameters (LA-30, LA-31), or a line in the leak report. Blocks too
// small for a link are made larger; a verified driver is told so (0xC4, 0xCD). Flags that mean
// nothing are ignored where the routine cannot fail (LA-35).
//
// A driver may write to a block that it gave back: the block's first word links it to the next, and
// since drivers walk and inline these lists the link cannot be encoded. Where it then leads to no
// memory, the next pop ends in a page fault that says so (mm/fault.c); where it leads to memory,
// that is handed out as a block. Special pool does not see it either, since the block was not freed
// to the pool.
//
// Locking: ExpLookasideLock guards the registry, at DISPATCH_LEVEL. The lists need none. Entries of
// a paged list are in paged memory, so they are taken off at APC_LEVEL, with ExpPagedLookasideLock
// held instead: no paged list is deleted meanwhile. Lock order: ExpPagedLookasideLock ->
// ExpLookasideLock.
//
// Observability: !lookaside [ADDRESS]; tests/host/test_lookaside.c, tests/guest/lookaside.c.
#include "exp.h"
#include "mm.h"
#include "rtl.h"

#define MINIMUM_DEPTH 4u
#define MAXIMUM_DEPTH 256u
#define LOOKASIDE_FLAGS (POOL_NX_ALLOCATION | POOL_RAISE_IF_ALLOCATION_FAILURE)

#define SOURCE "WDK, wdm.h"

// The GENERAL_LOOKASIDE_POOL layout is the common part of all kinds.
typedef GENERAL_LOOKASIDE_POOL LOOKASIDE, *PLOOKASIDE;

C_ASSERT(FIELD_OFFSET(GENERAL_LOOKASIDE, Future) == FIELD_OFFSET(GENERAL_LOOKASIDE_POOL, Future));

static LIST_ENTRY ExpLookasideLists = {&ExpLookasideLists, &ExpLookasideLists};
static KSPIN_LOCK ExpLookasideLock;
static FAST_MUTEX ExpPagedLookasideLock;

// ---- the registry ------------------------------------------------------------------------------
static PLOOKASIDE ExpLookasideOf(PLIST_ENTRY Entry)
{
    return CONTAINING_RECORD(Entry, LOOKASIDE, ListEntry);
}

// Called with the lock held, or when nothing else runs.
static BOOLEAN ExpIsRegistered(const LOOKASIDE *List)
{
    for (PLIST_ENTRY Entry = ExpLookasideLists.Flink; Entry != &ExpLookasideLists;
         Entry = Entry->Flink)
        if (ExpLookasideOf(Entry) == List)
            return TRUE;
    return FALSE;
}

static ULONG_PTR ExpLookasideOwner(const LOOKASIDE *List)
{
    ULONG_PTR Owner;
    memcpy(&Owner, List->Future, sizeof(Owner));
    return Owner;
}

static VOID ExpRegister(PLOOKASIDE List, ULONG_PTR Caller)
{
    KIRQL OldIrql = KiAcquireLock(&ExpLookasideLock);
    BOOLEAN Known = ExpIsRegistered(List);
    if (!Known) {
        RtlZeroMemory(List, sizeof(*List));
        memcpy(List->Future, &Caller, sizeof(Caller));
        InsertTailList(&ExpLookasideLists, &List->ListEntry);
        KeNoteObject(List);
    }
    KiReleaseLock(&ExpLookasideLock, OldIrql);
    if (Known)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCA, (ULONG_PTR)List, 0, 0, NULL,
                   "A lookaside list was initialised a second time without being deleted.");
}

#if KE_WATCHES
PVOID ExpFindLookaside(ULONG_PTR Start, ULONG_PTR End)
{
    KIRQL OldIrql = KiAcquireLock(&ExpLookasideLock);
    PLIST_ENTRY Entry = ExpLookasideLists.Flink;

    while (Entry != &ExpLookasideLists &&
           (ULONG_PTR)ExpLookasideOf(Entry) - Start >= End - Start)
        Entry = Entry->Flink;
    KiReleaseLock(&ExpLookasideLock, OldIrql);
    return Entry != &ExpLookasideLists ? ExpLookasideOf(Entry) : NULL;
}
#endif

// Blocks that the list handed out and never got back. They may still be in use, and can be freed to
// the pool; mostly they are forgotten, and then the leak report names each. Where several
// processors count, the counters may be a little off.
static VOID ExpReportOut(const LOOKASIDE *List, ULONG_PTR Caller)
{
    LONG Out = (LONG)(List->TotalAllocates - List->TotalFrees);
    char Place[96];
    if (Out <= 0)
        return;
    if (!KdSymbolize(Caller, Place, sizeof(Place)))
        RtlFormat(Place, sizeof(Place), "%p", (PVOID)Caller);
    KLOG("ex", "lookaside list at %p, tag %.4s, deleted by %s with %s%d block%s still out",
         (PVOID)List, (const char *)&List->Tag, Place, KeNumberProcessors > 1 ? "about " : "", Out,
         Out == 1 ? "" : "s");
}

static BOOLEAN ExpRemoveIfKnown(PLOOKASIDE List)
{
    KIRQL OldIrql = KiAcquireLock(&ExpLookasideLock);
    BOOLEAN Known = ExpIsRegistered(List);
    if (Known)
        RemoveEntryList(&List->ListEntry);
    KiReleaseLock(&ExpLookasideLock, OldIrql);
    return Known;
}

// A list that is not paged may be deleted at DISPATCH_LEVEL.
static BOOLEAN ExpRemoveFromRegistry(PLOOKASIDE List)
{
    if (KiGetIrql() >= DISPATCH_LEVEL || !(List->Type & PagedPool))
        return ExpRemoveIfKnown(List);
    ExAcquireFastMutex(&ExpPagedLookasideLock);
    BOOLEAN Known = ExpRemoveIfKnown(List);
    ExReleaseFastMutex(&ExpPagedLookasideLock);
    return Known;
}

static VOID ExpUnregister(PLOOKASIDE List, ULONG_PTR Caller)
{
    BOOLEAN Known = ExpRemoveFromRegistry(List);
    if (!Known)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCB, (ULONG_PTR)List, 0, 0, NULL,
                   "A lookaside list was deleted that is not initialised, or was deleted before.");
    ExpReportOut(List, Caller);
}

// ---- making and deleting -----------------------------------------------------------------------
static VOID ExpInitializeList(PLOOKASIDE List, POOL_TYPE Type, SIZE_T Size, ULONG Tag,
                              ULONG_PTR Caller)
{
    if (Size < LOOKASIDE_MINIMUM_BLOCK_SIZE && ExIsVerified(Caller))
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCD, (ULONG_PTR)List, Size,
                   LOOKASIDE_MINIMUM_BLOCK_SIZE, NULL,
                   "A lookaside list's blocks have no room for the link that joins them.");
    ExpRegister(List, Caller);
    InitializeSListHead(&List->ListHead);
    List->Depth = MINIMUM_DEPTH;
    List->MaximumDepth = MAXIMUM_DEPTH;
    List->Type = Type;
    List->Tag = Tag;
    List->Size = Size < LOOKASIDE_MINIMUM_BLOCK_SIZE ? LOOKASIDE_MINIMUM_BLOCK_SIZE : (ULONG)Size;
}

static VOID ExpFreeEntries(PLOOKASIDE List)
{
    PVOID Entry;
    while ((Entry = InterlockedPopEntrySList(&List->ListHead)) != NULL)
        List->Free(Entry);
}

/*
 * ExInitializeNPagedLookasideList: makes an empty list of nonpaged blocks.
 *
 * Lookaside: the list, in nonpaged memory. Allocate, Free: where blocks come from and go to, NULL:
 * the pool. Flags: 0, POOL_NX_ALLOCATION, POOL_RAISE_IF_ALLOCATION_FAILURE. Size: bytes of a block.
 * Depth: 0.
 * IRQL: <= DISPATCH_LEVEL.
 * Source: WDK, wdm.h: ExInitializeNPagedLookasideList.
 */
VOID NTAPI ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside,
                                           PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free,
                                           ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth)
{
    PLOOKASIDE List = (PLOOKASIDE)&Lookaside->L;
    ExpInitializeList(List, NonPagedPool | (Flags & LOOKASIDE_FLAGS), Size, Tag, KiReturnAddress());
    List->Allocate = Allocate != NULL ? Allocate : ExAllocatePoolWithTag;
    List->Free = Free != NULL ? Free : ExFreePool;
}
EXPORT(ExInitializeNPagedLookasideList, DISPATCH_LEVEL, SOURCE ": ExInitializeNPagedLookasideList");

/*
 * ExInitializePagedLookasideList: makes an empty list of paged blocks; the list itself is in
 * nonpaged memory.
 *
 * IRQL: <= APC_LEVEL. Otherwise as ExInitializeNPagedLookasideList.
 * Source: WDK, wdm.h: ExInitializePagedLookasideList.
 */
VOID NTAPI ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside,
                                          PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free,
                                          ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth)
{
    PLOOKASIDE List = (PLOOKASIDE)&Lookaside->L;
    ExpInitializeList(List, PagedPool | (Flags & POOL_RAISE_IF_ALLOCATION_FAILURE), Size, Tag,
                      KiReturnAddress());
    List->Allocate = Allocate != NULL ? Allocate : ExAllocatePoolWithTag;
    List->Free = Free != NULL ? Free : ExFreePool;
}
EXPORT(ExInitializePagedLookasideList, APC_LEVEL, SOURCE ": ExInitializePagedLookasideList");

/*
 * ExDeleteNPagedLookasideList, ExDeletePagedLookasideList: frees a list's entries and forgets the
 * list.
 *
 * IRQL: <= DISPATCH_LEVEL, paged lists <= APC_LEVEL.
 * Source: WDK, wdm.h: ExDeleteNPagedLookasideList, ExDeletePagedLookasideList.
 */
VOID NTAPI ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    ExpUnregister((PLOOKASIDE)&Lookaside->L, KiReturnAddress());
    ExpFreeEntries((PLOOKASIDE)&Lookaside->L);
}
EXPORT(ExDeleteNPagedLookasideList, DISPATCH_LEVEL, SOURCE ": ExDeleteNPagedLookasideList");

VOID NTAPI ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    ExpUnregister((PLOOKASIDE)&Lookaside->L, KiReturnAddress());
    ExpFreeEntries((PLOOKASIDE)&Lookaside->L);
}
EXPORT(ExDeletePagedLookasideList, APC_LEVEL, SOURCE ": ExDeletePagedLookasideList");

// ---- taking and giving, for drivers that import it ---------------------------------------------
// As a driver's inlined code counts: one instruction, not interlocked.
FORCEINLINE VOID ExpCount(ULONG *Counter)
{
    __asm__("addl $1, %0" : "+m"(*Counter)::"cc");
}

// What others change meanwhile: at no cost, but said.
#define ExpLook(Field)       __atomic_load_n(&(Field), __ATOMIC_RELAXED)
#define ExpSet(Field, Value) __atomic_store_n(&(Field), (Value), __ATOMIC_RELAXED)

/*
 * ExAllocateFromPagedLookasideList: the list's first entry, or a new block when it is empty.
 *
 * IRQL: <= APC_LEVEL. Fails: NULL, as the list's allocate routine.
 * Source: WDK, wdm.h: ExAllocateFromPagedLookasideList.
 */
PVOID NTAPI ExAllocateFromPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    PLOOKASIDE List = (PLOOKASIDE)&Lookaside->L;
    ExpCount(&List->TotalAllocates);
    PVOID Entry = InterlockedPopEntrySList(&List->ListHead);
    if (Entry != NULL)
        return Entry;
    ExpCount(&List->AllocateMisses);
    if (List->Allocate == ExAllocatePoolWithTag)
        return ExAllocatePoolFor(List->Type, List->Size, List->Tag, KiReturnAddress());
    return List->Allocate(List->Type, List->Size, List->Tag);
}
EXPORT(ExAllocateFromPagedLookasideList, APC_LEVEL, SOURCE ": ExAllocateFromPagedLookasideList");

/*
 * ExFreeToPagedLookasideList: gives a block to the list, or to its free routine when the list is
 * full.
 *
 * IRQL: <= APC_LEVEL.
 * Source: WDK, wdm.h: ExFreeToPagedLookasideList.
 */
VOID NTAPI ExFreeToPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    PLOOKASIDE List = (PLOOKASIDE)&Lookaside->L;
    ExpCount(&List->TotalFrees);
    if (ExQueryDepthSList(&List->ListHead) < ExpLook(List->Depth)) {
        InterlockedPushEntrySList(&List->ListHead, Entry);
        return;
    }
    ExpCount(&List->FreeMisses);
    List->Free(Entry);
}
EXPORT(ExFreeToPagedLookasideList, APC_LEVEL, SOURCE ": ExFreeToPagedLookasideList");

// ---- the Ex form -------------------------------------------------------------------------------
static PVOID NTAPI ExpAllocateEx(POOL_TYPE Type, SIZE_T Size, ULONG Tag,
                                 PLOOKASIDE_LIST_EX Lookaside)
{
    return ExAllocatePoolFor(Type, Size, Tag, KiReturnAddress());
}

static VOID NTAPI ExpFreeEx(PVOID Entry, PLOOKASIDE_LIST_EX Lookaside)
{
    ExFreePool(Entry);
}

static BOOLEAN ExpIsPoolType(POOL_TYPE Type)
{
    return Type == NonPagedPool || Type == PagedPool || Type == NonPagedPoolNx
        || Type == NonPagedPoolCacheAligned || Type == PagedPoolCacheAligned
        || Type == NonPagedPoolNxCacheAligned;
}

static BOOLEAN ExpAreExFlags(ULONG Flags, BOOLEAN OwnAllocate)
{
    return Flags == 0 || Flags == EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL
        || (Flags == EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE && OwnAllocate);
}

/*
 * ExInitializeLookasideListEx: makes an empty list of blocks of any pool; Allocate and Free get the
 * list too.
 *
 * Flags: 0, EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL or, with Allocate only, ..._FAIL_NO_RAISE;
 * they reach Allocate as bits of its pool type (LA-14).
 * IRQL: <= DISPATCH_LEVEL.
 * Fails: STATUS_INVALID_PARAMETER_4 pool type, STATUS_INVALID_PARAMETER_5 flags.
 * Source: WDK, wdm.h: ExInitializeLookasideListEx.
 */
NTSTATUS NTAPI ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside,
                                           PALLOCATE_FUNCTION_EX Allocate, PFREE_FUNCTION_EX Free,
                                           POOL_TYPE PoolType, ULONG Flags, SIZE_T Size, ULONG Tag,
                                           USHORT Depth)
{
    if (!ExpIsPoolType(PoolType))
        return STATUS_INVALID_PARAMETER_4;
    if (!ExpAreExFlags(Flags, Allocate != NULL))
        return STATUS_INVALID_PARAMETER_5;
    if (Flags == EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL)
        PoolType |= POOL_RAISE_IF_ALLOCATION_FAILURE;
    if (Flags == EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE)
        PoolType |= POOL_QUOTA_FAIL_INSTEAD_OF_RAISE;
    ExpInitializeList(&Lookaside->L, PoolType, Size, Tag, KiReturnAddress());
    Lookaside->L.AllocateEx = Allocate != NULL ? Allocate : ExpAllocateEx;
    Lookaside->L.FreeEx = Free != NULL ? Free : ExpFreeEx;
    return STATUS_SUCCESS;
}
EXPORT(ExInitializeLookasideListEx, DISPATCH_LEVEL, SOURCE ": ExInitializeLookasideListEx");

/*
 * ExFlushLookasideListEx: frees a list's entries; the list stays in use.
 *
 * IRQL: <= DISPATCH_LEVEL, paged lists <= APC_LEVEL.
 * Source: WDK, wdm.h: ExFlushLookasideListEx.
 */
VOID NTAPI ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    PVOID Entry;
    while ((Entry = InterlockedPopEntrySList(&Lookaside->L.ListHead)) != NULL)
        Lookaside->L.FreeEx(Entry, Lookaside);
}
EXPORT(ExFlushLookasideListEx, DISPATCH_LEVEL, SOURCE ": ExFlushLookasideListEx");

/*
 * ExDeleteLookasideListEx: frees a list's entries and forgets the list.
 *
 * IRQL: <= DISPATCH_LEVEL, paged lists <= APC_LEVEL.
 * Source: WDK, wdm.h: ExDeleteLookasideListEx.
 */
VOID NTAPI ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    ExpUnregister(&Lookaside->L, KiReturnAddress());
    ExFlushLookasideListEx(Lookaside);
}
EXPORT(ExDeleteLookasideListEx, DISPATCH_LEVEL, SOURCE ": ExDeleteLookasideListEx");

// ---- tuning ------------------------------------------------------------------------------------
static ULONG ExpClamp(ULONG Value, ULONG Low, ULONG High)
{
    return Value < Low ? Low : Value > High ? High : Value;
}

// The depth for the next second, from this one's allocations and misses.
static ULONG ExpTuneDepth(ULONG Depth, ULONG Maximum, ULONG Allocates, ULONG Misses)
{
    ULONG Growth = (Maximum - Depth + 1) / 2;
    ULONG Ceiling = ExpClamp(Allocates, MINIMUM_DEPTH, Maximum);
    Depth += Misses < Growth ? Misses : Growth;
    return Depth > Ceiling ? Depth - (Depth - Ceiling + 1) / 2 : Depth;
}

// Only what is the pool's is taken off a list: a driver's free routine may want a lower IRQL.
static BOOLEAN ExpGoesToPool(const LOOKASIDE *List)
{
    return List->Free == ExFreePool || List->FreeEx == ExpFreeEx;
}

// Entries above a number leave a nonpaged list for a chain through their first words, to be freed
// when the lock is not held any more.
static VOID ExpTakeDownTo(PLOOKASIDE List, ULONG Entries, PVOID *Chain)
{
    if ((List->Type & PagedPool) || !ExpGoesToPool(List))
        return;
    while (ExQueryDepthSList(&List->ListHead) > Entries) {
        PVOID *Entry = (PVOID *)InterlockedPopEntrySList(&List->ListHead);
        if (Entry == NULL)
            break;
        *Entry = *Chain;
        *Chain = Entry;
    }
}

static VOID ExpFreeChain(PVOID Chain)
{
    while (Chain != NULL) {
        PVOID Next = *(PVOID *)Chain;
        ExFreePool(Chain);
        Chain = Next;
    }
}

static VOID ExpTuneList(PLOOKASIDE List, PVOID *Chain)
{
    ULONG Allocates = ExpLook(List->TotalAllocates) - List->LastTotalAllocates;
    ULONG Misses = ExpLook(List->AllocateMisses) - List->LastAllocateMisses;
    List->LastTotalAllocates += Allocates;
    List->LastAllocateMisses += Misses;
    ULONG Depth = ExpTuneDepth(ExpClamp(List->Depth, MINIMUM_DEPTH, List->MaximumDepth),
                               List->MaximumDepth, Allocates, Misses);
    ExpSet(List->Depth, (USHORT)Depth);
    ExpTakeDownTo(List, Depth, Chain);
}

// A list that was freed without being deleted no longer names its neighbour, if it is there at all.
static BOOLEAN ExpIsIntact(PLIST_ENTRY Entry, PLIST_ENTRY Previous)
{
    return (ULONG_PTR)Entry % sizeof(PVOID) == 0 && MmIsMapped(Entry, MM_READ) &&
           MmIsMapped(&Entry->Blink, MM_READ) && Entry->Blink == Previous;
}

typedef VOID LOOKASIDE_VISITOR(PLOOKASIDE List, PVOID *Chain);

static VOID ExpForEachList(LOOKASIDE_VISITOR *Visit)
{
    PVOID Chain = NULL;
    KIRQL OldIrql = KiAcquireLock(&ExpLookasideLock);
    PLIST_ENTRY Previous = &ExpLookasideLists, Entry = Previous->Flink;
    for (; Entry != &ExpLookasideLists && ExpIsIntact(Entry, Previous); Entry = Entry->Flink) {
        Visit(ExpLookasideOf(Entry), &Chain);
        Previous = Entry;
    }
    KiReleaseLock(&ExpLookasideLock, OldIrql);
    ExpFreeChain(Chain);
    if (Entry != &ExpLookasideLists)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCC, (ULONG_PTR)ExpLookasideOf(Entry), 0, 0,
                   NULL,
                   "The memory of a lookaside list was freed or overwritten before the list was "
                   "deleted.");
}

// ---- paged lists, at APC_LEVEL ------------------------------------------------------------------
static BOOLEAN ExpIsPagedList(const LOOKASIDE *List)
{
    return (List->Type & PagedPool) && ExpGoesToPool(List);
}

// The paged list with this number; they are numbered from 0, and keep their numbers while none is
// deleted.
static PLOOKASIDE ExpFindPagedList(ULONG Number)
{
    PLOOKASIDE Found = NULL;
    KIRQL OldIrql = KiAcquireLock(&ExpLookasideLock);
    PLIST_ENTRY Previous = &ExpLookasideLists, Entry = Previous->Flink;
    for (; Entry != &ExpLookasideLists && Found == NULL && ExpIsIntact(Entry, Previous);
         Previous = Entry, Entry = Entry->Flink)
        if (ExpIsPagedList(ExpLookasideOf(Entry)) && Number-- == 0)
            Found = ExpLookasideOf(Entry);
    KiReleaseLock(&ExpLookasideLock, OldIrql);
    return Found;
}

static VOID ExpFreePagedDownTo(PLOOKASIDE List, ULONG Entries)
{
    PVOID Entry;
    while (ExQueryDepthSList(&List->ListHead) > Entries &&
           (Entry = InterlockedPopEntrySList(&List->ListHead)) != NULL)
        ExFreePool(Entry);
}

// Each keeps as many entries as its depth says, or none.
static VOID ExpTrimPagedLists(BOOLEAN All)
{
    PLOOKASIDE List;
    ExAcquireFastMutex(&ExpPagedLookasideLock);
    for (ULONG Number = 0; (List = ExpFindPagedList(Number)) != NULL; Number++)
        ExpFreePagedDownTo(List, All ? 0 : List->Depth);
    ExReleaseFastMutex(&ExpPagedLookasideLock);
}

VOID ExAdjustLookasideDepth(VOID)
{
    ExpForEachList(ExpTuneList);
    ExpTrimPagedLists(FALSE);
}

// ---- when memory is short ----------------------------------------------------------------------
static VOID ExpEmptyList(PLOOKASIDE List, PVOID *Chain)
{
    ExpTakeDownTo(List, 0, Chain);
}

// The pool asks for what lists hold before it gives up.
static VOID ExpEmptyLists(VOID)
{
    ExpForEachList(ExpEmptyList);
    if (KiGetIrql() <= APC_LEVEL)
        ExpTrimPagedLists(TRUE);
}

VOID ExInitializeLookaside(VOID)
{
    KeInitializeSpinLock(&ExpLookasideLock);
    ExInitializeFastMutex(&ExpPagedLookasideLock);
    MmExplainFault((ULONG_PTR)ExpInterlockedPopEntrySListFault,
                   "The link in an entry of a sequenced list was overwritten: somebody wrote to a "
                   "block that he had given back to a lookaside list, or pushed it twice.");
    ExRegisterPoolReclaim(ExpEmptyLists);
}

// ---- what a driver left ------------------------------------------------------------------------
static BOOLEAN ExpIsWithin(ULONG_PTR Address, ULONG_PTR Start, ULONG_PTR End)
{
    return Address >= Start && Address < End;
}

static VOID ExpReportLeft(PLOOKASIDE List)
{
    char Place[96];
    if (!KdSymbolize(ExpLookasideOwner(List), Place, sizeof(Place)))
        RtlFormat(Place, sizeof(Place), "%p", (PVOID)ExpLookasideOwner(List));
    KLOG("leak", "lookaside list at %p, tag %.4s, initialised by %s, not deleted", (PVOID)List,
         (const char *)&List->Tag, Place);
}

// A list that lies in the image itself goes with it, so that it is forgotten here.
static ULONG ExpReportLookasideLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    ULONG Count = 0;
    KIRQL OldIrql = KiAcquireLock(&ExpLookasideLock);
    for (PLIST_ENTRY Entry = ExpLookasideLists.Flink, Next; Entry != &ExpLookasideLists;
         Entry = Next) {
        PLOOKASIDE List = ExpLookasideOf(Entry);
        BOOLEAN Inside = ExpIsWithin((ULONG_PTR)List, Start, End);
        Next = Entry->Flink;
        if (!Inside && !ExpIsWithin(ExpLookasideOwner(List), Start, End))
            continue;
        ExpReportLeft(List);
        Count++;
        if (Inside)
            RemoveEntryList(Entry);
    }
    KiReleaseLock(&ExpLookasideLock, OldIrql);
    return Count;
}
LEAK_SOURCE(lookaside, "lookaside lists", ExpReportLookasideLeaks);

// ---- !lookaside --------------------------------------------------------------------------------
static ULONG ExpHitRate(ULONG Total, ULONG Misses)
{
    return Total == 0 ? 0 : (ULONG)(100ull * (Total - Misses) / Total);
}

static VOID ExpPrintLookaside(PLOOKASIDE List)
{
    char Owner[96] = "?";
    KdSymbolize(ExpLookasideOwner(List), Owner, sizeof(Owner));
    KdPrintf("Lookaside %p  Tag: 0x%08x %.4s  by %s\n", (PVOID)List, List->Tag,
             (const char *)&List->Tag, Owner);
    KdPrintf("    Type          %4x%s%s\n", List->Type,
             List->Type & PagedPool ? " paged" : " nonpaged",
             List->Type & POOL_RAISE_IF_ALLOCATION_FAILURE ? " RaiseIfAllocationFailure" : "");
    KdPrintf("    Current depth %4u   entries %4u   Max depth %4u\n", List->Depth,
             ExQueryDepthSList(&List->ListHead), List->MaximumDepth);
    KdPrintf("    Size          %4u   Max alloc %u\n", List->Size, List->Size * List->MaximumDepth);
    KdPrintf("    Allocates %10u   misses %10u   hit rate %3u%%\n", List->TotalAllocates,
             List->AllocateMisses, ExpHitRate(List->TotalAllocates, List->AllocateMisses));
    KdPrintf("    Frees     %10u   misses %10u   hit rate %3u%%\n", List->TotalFrees,
             List->FreeMisses, ExpHitRate(List->TotalFrees, List->FreeMisses));
}

// Option 1 forgets the counters, 2 sets the depth.
static BOOLEAN ExpChangeLookaside(PLOOKASIDE List, ULONG64 Option, ULONG64 Depth)
{
    if (Option == 1) {
        List->TotalAllocates = List->AllocateMisses = List->TotalFrees = List->FreeMisses = 0;
        List->LastTotalAllocates = List->LastAllocateMisses = 0;
    }
    if (Option == 2)
        List->Depth = (USHORT)ExpClamp((ULONG)Depth, MINIMUM_DEPTH, List->MaximumDepth);
    return Option <= 2;
}

static BOOLEAN ExpLookasideCommand(const char *Arguments)
{
    ULONG64 Address = 0, Option = 0, Depth = MINIMUM_DEPTH;
    ULONG Count = 0;
    if ((*Arguments != '\0' && !KdParseNumber(&Arguments, &Address)) ||
        (*Arguments != '\0' && !KdParseNumber(&Arguments, &Option)) ||
        (*Arguments != '\0' && !KdParseNumber(&Arguments, &Depth)))
        return FALSE;
    for (PLIST_ENTRY Entry = ExpLookasideLists.Flink; Entry != &ExpLookasideLists;
         Entry = Entry->Flink)
        if (Address == 0 || (ULONG_PTR)Address == (ULONG_PTR)ExpLookasideOf(Entry)) {
            if (!ExpChangeLookaside(ExpLookasideOf(Entry), Option, Depth))
                return FALSE;
            ExpPrintLookaside(ExpLookasideOf(Entry));
            Count++;
        }
    if (Count == 0)
        KdPrintf(Address == 0 ? "No lookaside lists.\n" : "No lookaside list there.\n");
    return TRUE;
}
KD_COMMAND(lookaside, "!lookaside",
           "!lookaside [ADDRESS]: all lookaside lists, or the one at ADDRESS",
           ExpLookasideCommand, KD_SAFE_IN_BUGCHECK);
