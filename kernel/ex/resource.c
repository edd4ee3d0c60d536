// SPDX-License-Identifier: MIT
// Resources (ERESOURCE): locks with one exclusive owner or many shared ones, which owners may
// acquire again, and whose waiters sleep.
//
// Who owns it is recorded by thread: the exclusive owner, or the first shared one, in OwnerEntry,
// further ones in OwnerTable, whose entry 0 tells its size. ActiveEntries counts the owners. An
// entry counts how often its owner has acquired the resource.
//
// Who gets it:
//     exclusive                 when nobody owns it; the exclusive owner again
//     shared                    when nobody owns it, or it is shared and nobody waits for it
//                               exclusively; an owner again, whoever waits
//     shared, starve exclusive  the same whoever waits
//     shared, wait for it       the same, but an owner too stays behind who waits exclusively
// When an exclusive owner leaves (or converts to shared), all who wait for a share get it, else the
// first who waits exclusively; when the last sharer leaves, the other way round: neither starves.
//
// A waiter is a record on the waiting thread's stack, in the ring that SharedWaiters or
// ExclusiveWaiters points to the last of. It is granted what it waits for by whoever releases, who
// counts it in ActiveEntries at once: nothing can come between the release and the waking. A new
// exclusive owner is entered then, too; new sharers enter themselves once they run, since the table
// may have to grow.
//
// A thread that has to wait lends its priority to owners of less: else one of low priority that
// owns the resource, and does not get to run, would hold up all. What is lent wears off by the
// quantum, as every boost does (ExDisableResourceBoostLite forbids it).
//
// All under the resource's SpinLock, at DISPATCH_LEVEL. ExpResourceLock covers the list of all
// resources; nothing is taken under it.
//
// Mistakes: releasing what one does not own is RESOURCE_NOT_OWNED (the resource, the thread, the
// owner table, the caller). DRIVER_VERIFIER_DETECTED_VIOLATION is deleting what is no resource
// (0xD1), and in the checked build: initialising twice (0xD0), with normal APCs enabled acquiring
// (0x37) or releasing (0x38; IRQL, the disable count, the resource), waiting for oneself (0x1000),
// deleting while it is owned (0x100B).
//
// `!locks` prints those that are owned. Tests: tests/guest/resources.c.
#include "exp.h"
#include "rtl.h"

#define RESOURCE_TAG        'seRx'
#define FIRST_TABLE         4u // entries of the first owner table, the size's included
#define RESOURCE_NO_BOOST   0x0008u
#define RESOURCE_EXCLUSIVE  0x0080u // ResourceOwnedExclusive of the DDK
#define NOT_A_THREAD        3u      // low bits of an owner pointer that a driver set
#define OWNER_IS_THREAD     1u      // FLAG_OWNER_POINTER_IS_THREAD

typedef struct _EXP_WAITER {
    struct _EXP_WAITER *Next; // ring
    ERESOURCE_THREAD Thread;
    KEVENT Granted;
} EXP_WAITER;

typedef enum _EXP_SHARE { ShareInTurn, ShareStarveExclusive, ShareWaitForExclusive } EXP_SHARE;

static KSPIN_LOCK ExpResourceLock;
static LIST_ENTRY ExpResources = {&ExpResources, &ExpResources};

FORCEINLINE ERESOURCE_THREAD ExpThisThread(VOID) { return (ERESOURCE_THREAD)KiCurrentThread(); }

FORCEINLINE BOOLEAN ExpIsExclusive(const ERESOURCE *Resource)
{
    return (Resource->Flag & RESOURCE_EXCLUSIVE) != 0;
}

// ---- owners: under SpinLock ---------------------------------------------------------------------
// The entry of this owner; 0: a free one. NULL: there is none.
static DECLSPEC_NOINLINE POWNER_ENTRY ExpFindInTable(PERESOURCE Resource, ERESOURCE_THREAD Owner)
{
    POWNER_ENTRY Table = Resource->OwnerTable;

    for (ULONG i = 1; Table != NULL && i < Table->TableSize; i++)
        if (Table[i].OwnerThread == Owner)
            return &Table[i];
    return NULL;
}

FORCEINLINE POWNER_ENTRY ExpFindOwner(PERESOURCE Resource, ERESOURCE_THREAD Owner)
{
    if (__builtin_expect(Resource->OwnerEntry.OwnerThread == Owner, 1))
        return &Resource->OwnerEntry;
    return ExpFindInTable(Resource, Owner);
}

FORCEINLINE VOID ExpEnter(POWNER_ENTRY Entry, ERESOURCE_THREAD Owner)
{
    Entry->OwnerThread = Owner;
    Entry->TableSize = 0;
    Entry->OwnerCount = 1;
}

// Makes room for more owners. Lets go of the lock meanwhile; when no memory is to be had it waits,
// since an acquisition cannot fail.
static DECLSPEC_NOINLINE VOID ExpGrowTable(PERESOURCE Resource, PKIRQL OldIrql)
{
    POWNER_ENTRY Old = Resource->OwnerTable, New;
    ULONG Size = Old != NULL ? Old->TableSize * 2 : FIRST_TABLE;
    LARGE_INTEGER Tick = {.QuadPart = -1};

    KiReleaseLock(&Resource->SpinLock, *OldIrql);
    New = ExAllocatePoolWithTag(NonPagedPoolNx, Size * sizeof(*New), RESOURCE_TAG);
    if (New == NULL)
        KeDelayExecutionThread(KernelMode, FALSE, &Tick);
    else
        memset(New, 0, Size * sizeof(*New));
    *OldIrql = KiAcquireLock(&Resource->SpinLock);
    // A table that has grown meanwhile may lie where the old one did.
    if (New != NULL && Resource->OwnerTable == Old && (Old == NULL || Old->TableSize < Size)) {
        if (Old != NULL)
            memcpy(New, Old, Old->TableSize * sizeof(*New));
        New->TableSize = Size;
        Resource->OwnerTable = New;
        New = Old;
    }
    if (New != NULL)
        ExFreePoolWithTag(New, RESOURCE_TAG);
}

// Enters a thread that ActiveEntries counts already.
static VOID ExpEnterShare(PERESOURCE Resource, ERESOURCE_THREAD Thread, PKIRQL OldIrql)
{
    POWNER_ENTRY Entry;

    while ((Entry = ExpFindOwner(Resource, 0)) == NULL)
        ExpGrowTable(Resource, OldIrql);
    ExpEnter(Entry, Thread);
}

// ---- waiting ------------------------------------------------------------------------------------
FORCEINLINE EXP_WAITER *volatile *ExpSharedRing(PERESOURCE Resource)
{
    return (EXP_WAITER *volatile *)&Resource->SharedWaiters;
}

FORCEINLINE EXP_WAITER *volatile *ExpExclusiveRing(PERESOURCE Resource)
{
    return (EXP_WAITER *volatile *)&Resource->ExclusiveWaiters;
}

static VOID ExpLendTo(POWNER_ENTRY Entry, KPRIORITY Priority)
{
    if (Entry->OwnerThread != 0 && (Entry->OwnerThread & NOT_A_THREAD) == 0)
        KeLendPriority((PKTHREAD)Entry->OwnerThread, Priority);
}

static VOID ExpLendPriority(PERESOURCE Resource)
{
    KPRIORITY Priority = KeQueryPriorityThread(KiCurrentThread());
    POWNER_ENTRY Table = Resource->OwnerTable;

    if (Resource->Flag & RESOURCE_NO_BOOST)
        return;
    ExpLendTo(&Resource->OwnerEntry, Priority);
    for (ULONG i = 1; Table != NULL && i < Table->TableSize; i++)
        ExpLendTo(&Table[i], Priority);
}

// Waits at the end of a ring until it is granted. The lock is held, and released inside.
static DECLSPEC_NOINLINE VOID ExpWait(PERESOURCE Resource, EXP_WAITER *volatile *Ring,
                                      PULONG Waiters, KIRQL OldIrql)
{
    EXP_WAITER Waiter = {.Thread = ExpThisThread()}, *Last = *Ring;

    KeInitializeEvent(&Waiter.Granted, SynchronizationEvent, FALSE);
    Waiter.Next = Last != NULL ? Last->Next : &Waiter;
    if (Last != NULL)
        Last->Next = &Waiter;
    *Ring = &Waiter;
    ++*Waiters;
    Resource->ContentionCount++;
    ExpLendPriority(Resource);
    KiReleaseLock(&Resource->SpinLock, OldIrql);
    KeWaitForSingleObject(&Waiter.Granted, WrResource, KernelMode, FALSE, NULL);
}

// Everyone who waits for a share gets one. Returns the ring, to be woken.
static EXP_WAITER *ExpGrantShares(PERESOURCE Resource)
{
    EXP_WAITER *Last = *ExpSharedRing(Resource);

    Resource->ActiveEntries += Resource->NumberOfSharedWaiters;
    Resource->ActiveCount = 1;
    Resource->NumberOfSharedWaiters = 0;
    *ExpSharedRing(Resource) = NULL;
    return Last;
}

// The first who waits for all of it gets it. Returns a ring of one.
static EXP_WAITER *ExpGrantExclusive(PERESOURCE Resource)
{
    EXP_WAITER *Last = *ExpExclusiveRing(Resource), *First = Last->Next;

    if (First == Last)
        *ExpExclusiveRing(Resource) = NULL;
    Last->Next = First->Next;
    First->Next = First;
    Resource->NumberOfExclusiveWaiters--;
    Resource->ActiveEntries = 1;
    Resource->ActiveCount = 1;
    Resource->Flag |= RESOURCE_EXCLUSIVE;
    ExpEnter(&Resource->OwnerEntry, First->Thread);
    return First;
}

// Nobody owns it any more. Returns whom to wake, NULL: nobody.
static EXP_WAITER *ExpPassOn(PERESOURCE Resource)
{
    BOOLEAN WasExclusive = ExpIsExclusive(Resource);

    Resource->Flag &= (USHORT)~RESOURCE_EXCLUSIVE;
    Resource->ActiveCount = 0;
    if (*ExpSharedRing(Resource) != NULL &&
        (WasExclusive || *ExpExclusiveRing(Resource) == NULL))
        return ExpGrantShares(Resource);
    if (*ExpExclusiveRing(Resource) != NULL)
        return ExpGrantExclusive(Resource);
    return NULL;
}

// A waiter's record is gone once its event is set.
static VOID ExpWake(EXP_WAITER *Last)
{
    EXP_WAITER *Waiter, *Next;

    if (Last == NULL)
        return;
    Next = Last->Next;
    do {
        Waiter = Next;
        Next = Waiter->Next;
        KeSetEvent(&Waiter->Granted, IO_NO_INCREMENT, FALSE);
    } while (Waiter != Last);
}

// ---- rules --------------------------------------------------------------------------------------
static VOID ExpCheckApcs(PERESOURCE Resource, ULONG_PTR Subcode)
{
#if DBG
    if (KiGetIrql() < APC_LEVEL && KiCurrentThread()->CombinedApcDisable == 0)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, Subcode, KiGetIrql(), 0, (ULONG_PTR)Resource,
                   NULL,
                   "A resource was acquired or released with normal kernel APCs enabled (checked "
                   "build): KeEnterCriticalRegion comes first.");
#endif
}

static VOID ExpCheckSelfDeadlock(PERESOURCE Resource)
{
#if DBG
    if (ExpFindOwner(Resource, ExpThisThread()) != NULL)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, (ULONG_PTR)Resource, 0, 0, NULL,
                   "A thread that shares a resource waits to own it exclusively: for itself "
                   "(checked build).");
#endif
}

// For the order in which locks are acquired: not by who owns it already.
FORCEINLINE VOID ExpNoteWanted(PERESOURCE Resource, BOOLEAN Wait)
{
    if (Wait)
        KeNoteLockWanted(Resource);
}

// ---- acquiring ----------------------------------------------------------------------------------

FORCEINLINE BOOLEAN ExpAcquireExclusive(PERESOURCE Resource, BOOLEAN Wait)
{
    KIRQL OldIrql;
    BOOLEAN Granted = TRUE;

    ExpCheckApcs(Resource, 0x37);
    OldIrql = KiAcquireLock(&Resource->SpinLock);
    if (Resource->ActiveEntries == 0) {
        ExpNoteWanted(Resource, Wait);
        Resource->ActiveEntries = 1;
        Resource->ActiveCount = 1;
        Resource->Flag |= RESOURCE_EXCLUSIVE;
        ExpEnter(&Resource->OwnerEntry, ExpThisThread());
        KeNoteMutex(KiCurrentThread(), Resource, KiReturnAddress());
    } else if (ExpIsExclusive(Resource) && Resource->OwnerEntry.OwnerThread == ExpThisThread()) {
        Resource->OwnerEntry.OwnerCount++;
    } else if (Wait) {
        ExpCheckSelfDeadlock(Resource);
        ExpNoteWanted(Resource, Wait);
        ExpWait(Resource, ExpExclusiveRing(Resource), &Resource->NumberOfExclusiveWaiters, OldIrql);
        KeNoteMutex(KiCurrentThread(), Resource, KiReturnAddress());
        return TRUE;
    } else {
        Granted = FALSE;
    }
    KiReleaseLock(&Resource->SpinLock, OldIrql);
    return Granted;
}

// ExAcquireResourceExclusiveLite: acquires all of the resource. Wait FALSE: only if that needs no
// waiting. Returns whether it did.
// IRQL: <= APC_LEVEL, normal kernel APCs disabled. Fails: FALSE. A thread that shares it already
// waits for ever. Source: WDK wdm.h, ExAcquireResourceExclusiveLite.
BOOLEAN NTAPI ExAcquireResourceExclusiveLite(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquireExclusive(Resource, Wait);
}
EXPORT(ExAcquireResourceExclusiveLite, APC_LEVEL, "WDK wdm.h ExAcquireResourceExclusiveLite");

// ExTryToAcquireResourceExclusiveLite: the same without waiting.
// IRQL: <= APC_LEVEL. Source: WDK ntifs.h, ExTryToAcquireResourceExclusiveLite.
BOOLEAN NTAPI ExTryToAcquireResourceExclusiveLite(PERESOURCE Resource)
{
    return ExpAcquireExclusive(Resource, FALSE);
}
EXPORT(ExTryToAcquireResourceExclusiveLite, APC_LEVEL,
       "WDK ntifs.h ExTryToAcquireResourceExclusiveLite");

static BOOLEAN ExpMayShare(PERESOURCE Resource, const OWNER_ENTRY *Mine, EXP_SHARE How)
{
    if (Resource->ActiveEntries == 0)
        return TRUE;
    if (ExpIsExclusive(Resource))
        return Mine != NULL;
    if (Resource->NumberOfExclusiveWaiters == 0 || How == ShareStarveExclusive)
        return TRUE;
    return How == ShareInTurn && Mine != NULL;
}

FORCEINLINE BOOLEAN ExpAcquireShared(PERESOURCE Resource, BOOLEAN Wait, EXP_SHARE How)
{
    ERESOURCE_THREAD Thread = ExpThisThread();
    POWNER_ENTRY Mine;
    KIRQL OldIrql;
    BOOLEAN Granted;

    ExpCheckApcs(Resource, 0x37);
    OldIrql = KiAcquireLock(&Resource->SpinLock);
    Mine = ExpFindOwner(Resource, Thread);
    Granted = ExpMayShare(Resource, Mine, How);
    if (Mine == NULL)
        ExpNoteWanted(Resource, Wait);
    if (Granted && Mine != NULL) {
        Mine->OwnerCount++;
    } else if (Granted) {
        Resource->ActiveEntries++;
        Resource->ActiveCount = 1;
        ExpEnterShare(Resource, Thread, &OldIrql);
    } else if (Wait) {
        ExpWait(Resource, ExpSharedRing(Resource), &Resource->NumberOfSharedWaiters, OldIrql);
        OldIrql = KiAcquireLock(&Resource->SpinLock);
        ExpEnterShare(Resource, Thread, &OldIrql);
        Granted = TRUE;
    }
    if (Granted && Mine == NULL)
        KeNoteMutex(KiCurrentThread(), Resource, KiReturnAddress());
    KiReleaseLock(&Resource->SpinLock, OldIrql);
    return Granted;
}

// ExAcquireResourceSharedLite: acquires a share of the resource, behind who waits for it
// exclusively, unless the caller owns it already. Wait FALSE: only if that needs no waiting.
// Returns whether it did.
// IRQL: <= APC_LEVEL, normal kernel APCs disabled. Fails: FALSE.
// Source: WDK wdm.h, ExAcquireResourceSharedLite.
BOOLEAN NTAPI ExAcquireResourceSharedLite(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquireShared(Resource, Wait, ShareInTurn);
}
EXPORT(ExAcquireResourceSharedLite, APC_LEVEL, "WDK wdm.h ExAcquireResourceSharedLite");

// ExAcquireSharedStarveExclusive: the same, before who waits exclusively.
// IRQL, Fails: as ExAcquireResourceSharedLite. Source: WDK wdm.h, ExAcquireSharedStarveExclusive.
BOOLEAN NTAPI ExAcquireSharedStarveExclusive(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquireShared(Resource, Wait, ShareStarveExclusive);
}
EXPORT(ExAcquireSharedStarveExclusive, APC_LEVEL, "WDK wdm.h ExAcquireSharedStarveExclusive");

// ExAcquireSharedWaitForExclusive: the same, behind who waits exclusively even for one who shares
// it already (who had better not wait, then).
// IRQL, Fails: as ExAcquireResourceSharedLite. Source: WDK wdm.h, ExAcquireSharedWaitForExclusive.
BOOLEAN NTAPI ExAcquireSharedWaitForExclusive(PERESOURCE Resource, BOOLEAN Wait)
{
    return ExpAcquireShared(Resource, Wait, ShareWaitForExclusive);
}
EXPORT(ExAcquireSharedWaitForExclusive, APC_LEVEL, "WDK wdm.h ExAcquireSharedWaitForExclusive");

// ---- releasing ----------------------------------------------------------------------------------
static DECLSPEC_NORETURN DECLSPEC_NOINLINE VOID ExpNotOwned(PERESOURCE Resource,
                                                            ERESOURCE_THREAD Thread,
                                                            ULONG_PTR Caller)
{
    KiBugCheck(RESOURCE_NOT_OWNED, (ULONG_PTR)Resource, Thread, (ULONG_PTR)Resource->OwnerTable,
               Caller, NULL, "A thread released a resource that it does not own.");
}

// An owner that is no thread was noted as one only until it was set.
FORCEINLINE VOID ExpNoteGivenUp(PERESOURCE Resource, ERESOURCE_THREAD Owner)
{
    if ((Owner & NOT_A_THREAD) == 0)
        KeForgetOwned((PKTHREAD)Owner, Resource);
}

FORCEINLINE VOID ExpRelease(PERESOURCE Resource, ERESOURCE_THREAD Thread, ULONG_PTR Caller)
{
    EXP_WAITER *Woken = NULL;
    POWNER_ENTRY Entry;
    KIRQL OldIrql;

    ExpCheckApcs(Resource, 0x38);
    OldIrql = KiAcquireLock(&Resource->SpinLock);
    Entry = ExpFindOwner(Resource, Thread);
    if (__builtin_expect(Entry == NULL || Thread == 0, 0))
        ExpNotOwned(Resource, Thread, Caller);
    if (--Entry->OwnerCount == 0) {
        Entry->OwnerThread = 0;
        ExpNoteGivenUp(Resource, Thread);
        if (--Resource->ActiveEntries == 0)
            Woken = ExpPassOn(Resource);
    }
    KiReleaseLock(&Resource->SpinLock, OldIrql);
    if (__builtin_expect(Woken != NULL, 0))
        ExpWake(Woken);
}

// ExReleaseResourceLite: gives one acquisition of the calling thread back.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck RESOURCE_NOT_OWNED. Source: WDK wdm.h,
// ExReleaseResourceLite.
VOID FASTCALL ExReleaseResourceLite(PERESOURCE Resource)
{
    ExpRelease(Resource, ExpThisThread(), KiReturnAddress());
}
EXPORT(ExReleaseResourceLite, DISPATCH_LEVEL, "WDK wdm.h ExReleaseResourceLite");

// ExReleaseResourceForThreadLite: gives one acquisition of another owner back: a thread's, as
// ExGetCurrentResourceThread told, or that of a pointer set by ExSetResourceOwnerPointer.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck RESOURCE_NOT_OWNED. Source: WDK wdm.h,
// ExReleaseResourceForThreadLite.
VOID NTAPI ExReleaseResourceForThreadLite(PERESOURCE Resource, ERESOURCE_THREAD ResourceThreadId)
{
    ExpRelease(Resource, ResourceThreadId, KiReturnAddress());
}
EXPORT(ExReleaseResourceForThreadLite, DISPATCH_LEVEL, "WDK wdm.h ExReleaseResourceForThreadLite");

// ExConvertExclusiveToSharedLite: the exclusive owner, the caller, shares from now on; so do all
// who wait for a share. What it has acquired more than once it still releases as often.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck RESOURCE_NOT_OWNED when it does not own all of it.
// Source: WDK wdm.h, ExConvertExclusiveToSharedLite.
VOID NTAPI ExConvertExclusiveToSharedLite(PERESOURCE Resource)
{
    KIRQL OldIrql = KiAcquireLock(&Resource->SpinLock);
    EXP_WAITER *Woken = NULL;

    if (!ExpIsExclusive(Resource) || Resource->OwnerEntry.OwnerThread != ExpThisThread())
        ExpNotOwned(Resource, ExpThisThread(), KiReturnAddress());
    Resource->Flag &= (USHORT)~RESOURCE_EXCLUSIVE;
    if (*ExpSharedRing(Resource) != NULL)
        Woken = ExpGrantShares(Resource);
    KiReleaseLock(&Resource->SpinLock, OldIrql);
    ExpWake(Woken);
}
EXPORT(ExConvertExclusiveToSharedLite, DISPATCH_LEVEL, "WDK wdm.h ExConvertExclusiveToSharedLite");

// ---- with a critical region ---------------------------------------------------------------------

// ExEnterCriticalRegionAndAcquireResourceExclusive, ...Shared, ...AcquireSharedWaitForExclusive:
// KeEnterCriticalRegion and the acquisition, which waits. They return the thread.
// IRQL: <= APC_LEVEL. Source: WDK ntifs.h, ExEnterCriticalRegionAndAcquireResourceExclusive.
PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceExclusive(PERESOURCE Resource)
{
    KeEnterCriticalRegion();
    ExpAcquireExclusive(Resource, TRUE);
    return KiCurrentThread();
}
EXPORT(ExEnterCriticalRegionAndAcquireResourceExclusive, APC_LEVEL,
       "WDK ntifs.h ExEnterCriticalRegionAndAcquireResourceExclusive");

PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceShared(PERESOURCE Resource)
{
    KeEnterCriticalRegion();
    ExpAcquireShared(Resource, TRUE, ShareInTurn);
    return KiCurrentThread();
}
EXPORT(ExEnterCriticalRegionAndAcquireResourceShared, APC_LEVEL,
       "WDK ntifs.h ExEnterCriticalRegionAndAcquireResourceShared");

PVOID NTAPI ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(PERESOURCE Resource)
{
    KeEnterCriticalRegion();
    ExpAcquireShared(Resource, TRUE, ShareWaitForExclusive);
    return KiCurrentThread();
}
EXPORT(ExEnterCriticalRegionAndAcquireSharedWaitForExclusive, APC_LEVEL,
       "WDK ntifs.h ExEnterCriticalRegionAndAcquireSharedWaitForExclusive");

// ExReleaseResourceAndLeaveCriticalRegion: undoes them.
// IRQL: <= APC_LEVEL. Fails: bugcheck RESOURCE_NOT_OWNED. Source: WDK ntifs.h,
// ExReleaseResourceAndLeaveCriticalRegion.
VOID FASTCALL ExReleaseResourceAndLeaveCriticalRegion(PERESOURCE Resource)
{
    ExpRelease(Resource, ExpThisThread(), KiReturnAddress());
    KeLeaveCriticalRegion();
}
EXPORT(ExReleaseResourceAndLeaveCriticalRegion, APC_LEVEL,
       "WDK ntifs.h ExReleaseResourceAndLeaveCriticalRegion");

// ---- its state ----------------------------------------------------------------------------------

// ExIsResourceAcquiredExclusiveLite: whether the calling thread owns all of the resource.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExIsResourceAcquiredExclusiveLite.
BOOLEAN NTAPI ExIsResourceAcquiredExclusiveLite(PERESOURCE Resource)
{
    return ExpIsExclusive(Resource) && Resource->OwnerEntry.OwnerThread == ExpThisThread();
}
EXPORT(ExIsResourceAcquiredExclusiveLite, DISPATCH_LEVEL,
       "WDK wdm.h ExIsResourceAcquiredExclusiveLite");

// ExIsResourceAcquiredSharedLite: how often the calling thread has acquired the resource, in either
// way.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExIsResourceAcquiredSharedLite.
ULONG NTAPI ExIsResourceAcquiredSharedLite(PERESOURCE Resource)
{
    KIRQL OldIrql = KiAcquireLock(&Resource->SpinLock);
    POWNER_ENTRY Mine = ExpFindOwner(Resource, ExpThisThread());
    ULONG Count = Mine != NULL ? Mine->OwnerCount : 0;

    KiReleaseLock(&Resource->SpinLock, OldIrql);
    return Count;
}
EXPORT(ExIsResourceAcquiredSharedLite, DISPATCH_LEVEL, "WDK wdm.h ExIsResourceAcquiredSharedLite");

// ExGetExclusiveWaiterCount, ExGetSharedWaiterCount: how many threads wait for it just now.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExGetExclusiveWaiterCount.
ULONG NTAPI ExGetExclusiveWaiterCount(PERESOURCE Resource)
{
    return *(volatile ULONG *)&Resource->NumberOfExclusiveWaiters;
}
EXPORT(ExGetExclusiveWaiterCount, DISPATCH_LEVEL, "WDK wdm.h ExGetExclusiveWaiterCount");

ULONG NTAPI ExGetSharedWaiterCount(PERESOURCE Resource)
{
    return *(volatile ULONG *)&Resource->NumberOfSharedWaiters;
}
EXPORT(ExGetSharedWaiterCount, DISPATCH_LEVEL, "WDK wdm.h ExGetSharedWaiterCount");

// ExDisableResourceBoostLite: who waits for it lends its priority no longer.
// IRQL: <= DISPATCH_LEVEL. Source: WDK ntifs.h, ExDisableResourceBoostLite.
VOID NTAPI ExDisableResourceBoostLite(PERESOURCE Resource)
{
    KIRQL OldIrql = KiAcquireLock(&Resource->SpinLock);

    Resource->Flag |= RESOURCE_NO_BOOST;
    KiReleaseLock(&Resource->SpinLock, OldIrql);
}
EXPORT(ExDisableResourceBoostLite, DISPATCH_LEVEL, "WDK ntifs.h ExDisableResourceBoostLite");

// ExSetResourceOwnerPointerEx: what the calling thread has acquired belongs to OwnerPointer from
// now on, to be released by ExReleaseResourceForThreadLite from any thread.
//   OwnerPointer  in system memory, its two low bits set; with Flags FLAG_OWNER_POINTER_IS_THREAD
//                 (1) a thread.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck RESOURCE_NOT_OWNED. Source: WDK wdm.h,
// ExSetResourceOwnerPointerEx.
VOID NTAPI ExSetResourceOwnerPointerEx(PERESOURCE Resource, PVOID OwnerPointer, ULONG Flags)
{
    ERESOURCE_THREAD Owner = (ERESOURCE_THREAD)OwnerPointer;
    KIRQL OldIrql = KiAcquireLock(&Resource->SpinLock);
    POWNER_ENTRY Mine = ExpFindOwner(Resource, ExpThisThread()), Others;

    VERIFY(Owner != 0 && ((Flags & OWNER_IS_THREAD) || (Owner & NOT_A_THREAD) == NOT_A_THREAD));
    if (Mine == NULL)
        ExpNotOwned(Resource, ExpThisThread(), KiReturnAddress());
    KeForgetOwned(KiCurrentThread(), Resource);
    Others = ExpFindOwner(Resource, Owner);
    if (Others != NULL && Others != Mine) { // shared by it already
        Others->OwnerCount += Mine->OwnerCount;
        Mine->OwnerThread = 0;
        Resource->ActiveEntries--;
    } else {
        Mine->OwnerThread = Owner;
    }
    KiReleaseLock(&Resource->SpinLock, OldIrql);
}
EXPORT(ExSetResourceOwnerPointerEx, DISPATCH_LEVEL, "WDK wdm.h ExSetResourceOwnerPointerEx");

// ExSetResourceOwnerPointer: the same without flags.
// IRQL, Fails: as that. Source: WDK wdm.h, ExSetResourceOwnerPointer.
VOID NTAPI ExSetResourceOwnerPointer(PERESOURCE Resource, PVOID OwnerPointer)
{
    ExSetResourceOwnerPointerEx(Resource, OwnerPointer, 0);
}
EXPORT(ExSetResourceOwnerPointer, DISPATCH_LEVEL, "WDK wdm.h ExSetResourceOwnerPointer");

// ---- its life -----------------------------------------------------------------------------------
// Under ExpResourceLock.
static BOOLEAN ExpIsListed(const ERESOURCE *Resource)
{
    for (PLIST_ENTRY Entry = ExpResources.Flink; Entry != &ExpResources; Entry = Entry->Flink)
        if (CONTAINING_RECORD(Entry, ERESOURCE, SystemResourcesList) == Resource)
            return TRUE;
    return FALSE;
}

// ExInitializeResourceLite: makes a resource that nobody owns. Its memory is nonpaged and eight
// byte aligned. Returns STATUS_SUCCESS.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck, checked build, when it is one already.
// Source: WDK wdm.h, ExInitializeResourceLite.
NTSTATUS NTAPI ExInitializeResourceLite(PERESOURCE Resource)
{
    KIRQL OldIrql = KiAcquireLock(&ExpResourceLock);

    if (DBG && ExpIsListed(Resource))
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xD0, (ULONG_PTR)Resource, 0, 0, NULL,
                   "A resource was initialised that is one already (checked build).");
    memset(Resource, 0, sizeof(*Resource));
    Resource->Address = (PVOID)KiReturnAddress();
    KeForgetLock(Resource);
    InsertTailList(&ExpResources, &Resource->SystemResourcesList);
    KeNoteObject(Resource);
    KiReleaseLock(&ExpResourceLock, OldIrql);
    return STATUS_SUCCESS;
}
EXPORT(ExInitializeResourceLite, DISPATCH_LEVEL, "WDK wdm.h ExInitializeResourceLite");

// ExReinitializeResourceLite: makes an initialised resource new without the way through the list.
// Nobody owns it or waits for it. Returns STATUS_SUCCESS.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, ExReinitializeResourceLite.
NTSTATUS NTAPI ExReinitializeResourceLite(PERESOURCE Resource)
{
    KIRQL OldIrql = KiAcquireLock(&Resource->SpinLock);
    POWNER_ENTRY Table = Resource->OwnerTable;

    ASSERT(Resource->ActiveEntries == 0 && Resource->NumberOfSharedWaiters == 0);
    Resource->Flag = 0;
    Resource->ContentionCount = 0;
    Resource->OwnerTable = NULL;
    KiReleaseLock(&Resource->SpinLock, OldIrql);
    if (Table != NULL)
        ExFreePoolWithTag(Table, RESOURCE_TAG);
    return STATUS_SUCCESS;
}
EXPORT(ExReinitializeResourceLite, DISPATCH_LEVEL, "WDK wdm.h ExReinitializeResourceLite");

// ExDeleteResourceLite: the memory is a resource no longer. Returns STATUS_SUCCESS.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck when it is none, checked build also when it is owned.
// Source: WDK wdm.h, ExDeleteResourceLite.
NTSTATUS NTAPI ExDeleteResourceLite(PERESOURCE Resource)
{
    PLIST_ENTRY Entry = &Resource->SystemResourcesList;
    KIRQL OldIrql = KiAcquireLock(&ExpResourceLock);

    if (Entry->Flink == NULL || (DBG && !ExpIsListed(Resource)))
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xD1, (ULONG_PTR)Resource, 0, 0, NULL,
                   "A resource was deleted that was never initialised, or is deleted already.");
    if (DBG && Resource->ActiveEntries != 0)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x100B, (ULONG_PTR)Resource,
                   Resource->OwnerEntry.OwnerThread, 0, NULL,
                   "A resource was deleted while it was owned (checked build).");
    RemoveEntryList(Entry);
    Entry->Flink = Entry->Blink = NULL;
    KiReleaseLock(&ExpResourceLock, OldIrql);
    if (Resource->OwnerTable != NULL)
        ExFreePoolWithTag(Resource->OwnerTable, RESOURCE_TAG);
    Resource->OwnerTable = NULL;
    return STATUS_SUCCESS;
}
EXPORT(ExDeleteResourceLite, DISPATCH_LEVEL, "WDK wdm.h ExDeleteResourceLite");

// ---- what a driver left, and the monitor --------------------------------------------------------
// The first resource that lies in [Start, End); NULL: none.
PVOID ExpFindResource(ULONG_PTR Start, ULONG_PTR End)
{
    KIRQL OldIrql = KiAcquireLock(&ExpResourceLock);
    PERESOURCE Found = NULL;

    for (PLIST_ENTRY Entry = ExpResources.Flink; Entry != &ExpResources; Entry = Entry->Flink) {
        PERESOURCE Resource = CONTAINING_RECORD(Entry, ERESOURCE, SystemResourcesList);
        if ((ULONG_PTR)Resource - Start < End - Start) {
            Found = Resource;
            break;
        }
    }
    KiReleaseLock(&ExpResourceLock, OldIrql);
    return Found;
}

// Resources that lie in the driver's image or were made by its code.
static ULONG ExpResourceLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    KIRQL OldIrql = KiAcquireLock(&ExpResourceLock);
    ULONG Count = 0;
    char Name[128];

    for (PLIST_ENTRY Entry = ExpResources.Flink; Entry != &ExpResources; Entry = Entry->Flink) {
        PERESOURCE Resource = CONTAINING_RECORD(Entry, ERESOURCE, SystemResourcesList);
        if ((ULONG_PTR)Resource - Start >= End - Start &&
            (ULONG_PTR)Resource->Address - Start >= End - Start)
            continue;
        KdSymbolize((ULONG_PTR)Resource->Address, Name, sizeof(Name));
        KLOG("leak", "resource 0x%p, initialised by %s, not deleted", (PVOID)Resource, Name);
        Count++;
    }
    KiReleaseLock(&ExpResourceLock, OldIrql);
    return Count;
}
LEAK_SOURCE(resources, "resources", ExpResourceLeaks);

// Changes may be under way: every step is read safely.
static VOID ExpPrintWaiters(const EXP_WAITER *Last, const char *How)
{
    const EXP_WAITER *Address = Last;
    EXP_WAITER Waiter;

    for (ULONG i = 0; i < 256 && Address != NULL; i++) {
        if (!KeSafeCopy(&Waiter, Address, sizeof(Waiter)))
            return;
        if (i != 0)
            KdPrintf("    thread 0x%p waits, %s\n", (PVOID)Waiter.Thread, How);
        if (i != 0 && Address == Last)
            return;
        Address = Waiter.Next; // the last one's is the first
    }
}

static VOID ExpPrintOwner(const OWNER_ENTRY *Entry, BOOLEAN Exclusive)
{
    if (Entry->OwnerThread != 0)
        KdPrintf("    %s 0x%p owns it, %s, %u times\n",
                 Entry->OwnerThread & NOT_A_THREAD ? "owner" : "thread",
                 (PVOID)(Entry->OwnerThread & ~(ULONG_PTR)NOT_A_THREAD),
                 Exclusive ? "exclusive" : "shared", Entry->OwnerCount);
}

static VOID ExpPrintResource(const ERESOURCE *Resource, const VOID *Address)
{
    OWNER_ENTRY Entry;
    ULONG Size;
    char Name[128];

    KdSymbolize((ULONG_PTR)Resource->Address, Name, sizeof(Name));
    KdPrintf("resource 0x%p, initialised by %s: %u owners, contended %u times\n", Address, Name,
             Resource->ActiveEntries, Resource->ContentionCount);
    ExpPrintOwner(&Resource->OwnerEntry, ExpIsExclusive(Resource));
    if (Resource->OwnerTable != NULL &&
        KeSafeCopy(&Size, &Resource->OwnerTable->TableSize, sizeof(Size)))
        for (ULONG i = 1; i < Size && i < 256; i++)
            if (KeSafeCopy(&Entry, &Resource->OwnerTable[i], sizeof(Entry)))
                ExpPrintOwner(&Entry, FALSE);
    ExpPrintWaiters(*ExpSharedRing((PERESOURCE)Resource), "shared");
    ExpPrintWaiters(*ExpExclusiveRing((PERESOURCE)Resource), "exclusive");
}

static BOOLEAN ExLocksCommand(const char *Arguments)
{
    PLIST_ENTRY Entry = ExpResources.Flink;
    ERESOURCE Resource;
    ULONG Count = 0, Owned = 0;

    if (*Arguments != '\0')
        return FALSE;
    for (; Entry != &ExpResources && Count < 65536; Count++) {
        PERESOURCE Address = CONTAINING_RECORD(Entry, ERESOURCE, SystemResourcesList);
        if (!KeSafeCopy(&Resource, Address, sizeof(Resource)))
            break;
        if (Resource.ActiveEntries != 0) {
            ExpPrintResource(&Resource, Address);
            Owned++;
        }
        Entry = Resource.SystemResourcesList.Flink;
    }
    KdPrintf("%u resources, %u of them owned\n", Count, Owned);
    KePrintHeldSpinLocks();
    return TRUE;
}
KD_COMMAND(locks, "!locks", "!locks: resources that are owned, and spin locks that are held",
           ExLocksCommand, KD_SAFE_IN_BUGCHECK);
