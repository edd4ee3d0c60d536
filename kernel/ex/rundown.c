// SPDX-License-Identifier: MIT
// Rundown protection: many may use a thing at little cost, until somebody waits for all of them to
// be done and lets nobody in any more.
//
// Count is twice the number of uses while it is open. Once somebody waits it is the address of a
// record on the waiter's stack, bit 0 set; the uses still to end are counted there, and the last
// one wakes the waiter. Run down, Count is 1: nobody gets in until it is made new.
//
// The cache-aware kind has a count for every processor, each on a cache line of its own. A use may
// end on another processor than it began on, so that only their sum says something: the waiter
// closes them one by one, adds up what they held and then takes its own bias off the record.
//
// Ending a use that did not begin: DRIVER_VERIFIER_DETECTED_VIOLATION (0x1007, the reference),
// where it can be seen.
//
// Tests: tests/guest/rundown.c.
#include "exp.h"
#include "rtl.h"

#define RUNDOWN_ACTIVE ((ULONG_PTR)1)
#define RUNDOWN_USE    ((ULONG_PTR)2)
#define CACHE_LINE     64u

typedef struct DECLSPEC_ALIGN(8) _EXP_RUNDOWN {
    volatile LONG_PTR Left; // uses that have yet to end
    KEVENT Done;
} EXP_RUNDOWN;

// ---- one count ----------------------------------------------------------------------------------
FORCEINLINE BOOLEAN ExpChangeCount(PEX_RUNDOWN_REF Ref, ULONG_PTR *From, ULONG_PTR To)
{
    return __atomic_compare_exchange_n(&Ref->Count, From, To, FALSE, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

FORCEINLINE BOOLEAN ExpBeginUse(PEX_RUNDOWN_REF Ref, ULONG Count)
{
    ULONG_PTR Value = __atomic_load_n(&Ref->Count, __ATOMIC_RELAXED);

    do {
        if (Value & RUNDOWN_ACTIVE)
            return FALSE;
    } while (!ExpChangeCount(Ref, &Value, Value + Count * RUNDOWN_USE));
    return TRUE;
}

static DECLSPEC_NOINLINE VOID ExpEndLastUses(PEX_RUNDOWN_REF Ref, ULONG_PTR Value, ULONG Count)
{
    EXP_RUNDOWN *Rundown = (EXP_RUNDOWN *)(Value & ~RUNDOWN_ACTIVE);

    if (Rundown == NULL)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1007, (ULONG_PTR)Ref, 0, 0, NULL,
                   "Rundown protection was released that had not been acquired.");
    if (__atomic_sub_fetch(&Rundown->Left, Count, __ATOMIC_ACQ_REL) == 0)
        KeSetEvent(&Rundown->Done, IO_NO_INCREMENT, FALSE);
}

// Signed: a cache-aware reference's counts may be negative one by one.
FORCEINLINE VOID ExpEndUse(PEX_RUNDOWN_REF Ref, ULONG Count, BOOLEAN Signed)
{
    ULONG_PTR Value = __atomic_load_n(&Ref->Count, __ATOMIC_RELAXED);

    do {
        if (__builtin_expect(Value & RUNDOWN_ACTIVE, 0)) {
            ExpEndLastUses(Ref, Value, Count);
            return;
        }
        if (!Signed && __builtin_expect(Value < Count * RUNDOWN_USE, 0))
            ExpEndLastUses(Ref, 0, Count);
    } while (!ExpChangeCount(Ref, &Value, Value - Count * RUNDOWN_USE));
}

// Closes a count; the uses it held end at Rundown from now on. Returns how many there were.
static LONG_PTR ExpCloseCount(PEX_RUNDOWN_REF Ref, EXP_RUNDOWN *Rundown)
{
    ULONG_PTR Value = __atomic_load_n(&Ref->Count, __ATOMIC_RELAXED);

    do {
        if (Value & RUNDOWN_ACTIVE)
            return 0; // run down already
    } while (!ExpChangeCount(Ref, &Value, (ULONG_PTR)Rundown | RUNDOWN_ACTIVE));
    return (LONG_PTR)Value / (LONG_PTR)RUNDOWN_USE;
}

// Counts that do not stand next to each other.
typedef struct _EXP_COUNTS {
    PUCHAR First;
    ULONG Number;
} EXP_COUNTS;

FORCEINLINE PEX_RUNDOWN_REF ExpCountOf(const EXP_COUNTS *Counts, ULONG Index)
{
    return (PEX_RUNDOWN_REF)(Counts->First + Index * CACHE_LINE);
}

static VOID ExpSetCounts(const EXP_COUNTS *Counts, ULONG_PTR Value)
{
    for (ULONG i = 0; i < Counts->Number; i++)
        __atomic_store_n(&ExpCountOf(Counts, i)->Count, Value, __ATOMIC_RELEASE);
}

// Bias keeps the last use from being seen before all counts are closed.
static VOID ExpRunDown(const EXP_COUNTS *Counts)
{
    const LONG_PTR Bias = MAXLONG;
    EXP_RUNDOWN Rundown = {.Left = Bias};
    LONG_PTR Uses = 0;

    if (ExpCountOf(Counts, 0)->Count & RUNDOWN_ACTIVE)
        return; // run down already
    KeInitializeEvent(&Rundown.Done, SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < Counts->Number; i++)
        Uses += ExpCloseCount(ExpCountOf(Counts, i), &Rundown);
    if (__atomic_add_fetch(&Rundown.Left, Uses - Bias, __ATOMIC_ACQ_REL) != 0)
        KeWaitForSingleObject(&Rundown.Done, WrRundown, KernelMode, FALSE, NULL);
    ExpSetCounts(Counts, RUNDOWN_ACTIVE);
}

// ---- routines for one count ---------------------------------------------------------------------

// ExInitializeRundownProtection: makes a reference that is open and not used. Nonpaged, pointer
// aligned.
// IRQL: any. Source: WDK wdm.h, ExInitializeRundownProtection.
VOID FASTCALL ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    RunRef->Count = 0;
}
EXPORT(ExInitializeRundownProtection, EXPORT_ANY_IRQL, "WDK wdm.h ExInitializeRundownProtection");

// ExReInitializeRundownProtection: opens a reference again that has been run down.
// IRQL: any. Source: WDK wdm.h, ExReInitializeRundownProtection.
VOID FASTCALL ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    ASSERT(RunRef->Count == RUNDOWN_ACTIVE);
    __atomic_store_n(&RunRef->Count, 0, __ATOMIC_RELEASE);
}
EXPORT(ExReInitializeRundownProtection, EXPORT_ANY_IRQL,
       "WDK wdm.h ExReInitializeRundownProtection");

// ExAcquireRundownProtection, ExAcquireRundownProtectionEx (Count at once): begin a use.
// IRQL: <= DISPATCH_LEVEL. Fails: FALSE once it is being run down.
// Source: WDK wdm.h, ExAcquireRundownProtection.
BOOLEAN FASTCALL ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    return ExpBeginUse(RunRef, 1);
}
EXPORT(ExAcquireRundownProtection, DISPATCH_LEVEL, "WDK wdm.h ExAcquireRundownProtection");

BOOLEAN FASTCALL ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    return ExpBeginUse(RunRef, Count);
}
EXPORT(ExAcquireRundownProtectionEx, DISPATCH_LEVEL, "WDK wdm.h ExAcquireRundownProtectionEx");

// ExReleaseRundownProtection, ExReleaseRundownProtectionEx: end a use, or Count.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck, see above. Source: WDK wdm.h,
// ExReleaseRundownProtection.
VOID FASTCALL ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    ExpEndUse(RunRef, 1, FALSE);
}
EXPORT(ExReleaseRundownProtection, DISPATCH_LEVEL, "WDK wdm.h ExReleaseRundownProtection");

VOID FASTCALL ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    ExpEndUse(RunRef, Count, FALSE);
}
EXPORT(ExReleaseRundownProtectionEx, DISPATCH_LEVEL, "WDK wdm.h ExReleaseRundownProtectionEx");

// ExWaitForRundownProtectionRelease: lets nobody in any more and waits until every use has ended.
// IRQL: <= APC_LEVEL. Source: WDK wdm.h, ExWaitForRundownProtectionRelease.
VOID FASTCALL ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef)
{
    EXP_COUNTS Counts = {(PUCHAR)RunRef, 1};

    ASSERT_IRQL_AT_MOST(APC_LEVEL);
    ExpRunDown(&Counts);
}
EXPORT(ExWaitForRundownProtectionRelease, APC_LEVEL,
       "WDK wdm.h ExWaitForRundownProtectionRelease");

// ExRundownCompleted: says that the rundown is complete. It is, after the wait.
// IRQL: any. Source: WDK wdm.h, ExRundownCompleted.
VOID FASTCALL ExRundownCompleted(PEX_RUNDOWN_REF RunRef)
{
    __atomic_store_n(&RunRef->Count, RUNDOWN_ACTIVE, __ATOMIC_RELEASE);
}
EXPORT(ExRundownCompleted, EXPORT_ANY_IRQL, "WDK wdm.h ExRundownCompleted");

// ---- a count for every processor ----------------------------------------------------------------
struct _EX_RUNDOWN_REF_CACHE_AWARE {
    EXP_COUNTS Counts;
    ULONG PoolTag; // ExAllocateCacheAwareRundownProtection's
};

// The header, the counts, and what aligning them may take.
#define AWARE_SIZE(Number)                                                                         \
    (sizeof(struct _EX_RUNDOWN_REF_CACHE_AWARE) + ((SIZE_T)(Number) + 1) * CACHE_LINE)

SIZE_T NTAPI ExSizeOfRundownProtectionCacheAware(VOID);
VOID NTAPI ExInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef,
                                                   SIZE_T RunRefSize);
PEX_RUNDOWN_REF_CACHE_AWARE NTAPI ExAllocateCacheAwareRundownProtection(POOL_TYPE PoolType,
                                                                        ULONG PoolTag);
VOID NTAPI ExFreeCacheAwareRundownProtection(PEX_RUNDOWN_REF_CACHE_AWARE RunRef);
BOOLEAN FASTCALL ExAcquireRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef);
BOOLEAN FASTCALL ExAcquireRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRef,
                                                        ULONG Count);
VOID FASTCALL ExReleaseRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef);
VOID FASTCALL ExReleaseRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRef,
                                                     ULONG Count);
VOID FASTCALL ExWaitForRundownProtectionReleaseCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef);
VOID FASTCALL ExReInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef);
VOID FASTCALL ExRundownCompletedCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef);

// Any processor's will do; the own one's is in its cache.
FORCEINLINE PEX_RUNDOWN_REF ExpOwnCount(PEX_RUNDOWN_REF_CACHE_AWARE RunRef)
{
    return ExpCountOf(&RunRef->Counts, KeGetCurrentPrcb()->ProcessorNumber % RunRef->Counts.Number);
}

// ExSizeOfRundownProtectionCacheAware: bytes that a cache-aware reference takes.
// IRQL: any. Source: WDK wdm.h, ExSizeOfRundownProtectionCacheAware.
SIZE_T NTAPI ExSizeOfRundownProtectionCacheAware(VOID)
{
    return AWARE_SIZE(KeNumberProcessors);
}
EXPORT(ExSizeOfRundownProtectionCacheAware, EXPORT_ANY_IRQL,
       "WDK wdm.h ExSizeOfRundownProtectionCacheAware");

// ExInitializeRundownProtectionCacheAware: makes a reference in the caller's memory of RunRefSize
// bytes, nonpaged.
// IRQL: any. Source: WDK wdm.h, ExInitializeRundownProtectionCacheAware.
VOID NTAPI ExInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef,
                                                   SIZE_T RunRefSize)
{
    VERIFY(RunRefSize >= AWARE_SIZE(1));
    RunRef->Counts.Number =
        (ULONG)((RunRefSize - sizeof(*RunRef)) / CACHE_LINE) - 1;
    RunRef->Counts.First =
        (PUCHAR)(((ULONG_PTR)(RunRef + 1) + CACHE_LINE - 1) & ~(ULONG_PTR)(CACHE_LINE - 1));
    RunRef->PoolTag = 0;
    ExpSetCounts(&RunRef->Counts, 0);
}
EXPORT(ExInitializeRundownProtectionCacheAware, EXPORT_ANY_IRQL,
       "WDK wdm.h ExInitializeRundownProtectionCacheAware");

// ExAllocateCacheAwareRundownProtection: a new reference in pool memory.
// IRQL: <= DISPATCH_LEVEL, paged pool <= APC_LEVEL. Fails: NULL.
// Source: WDK wdm.h, ExAllocateCacheAwareRundownProtection.
PEX_RUNDOWN_REF_CACHE_AWARE NTAPI ExAllocateCacheAwareRundownProtection(POOL_TYPE PoolType,
                                                                        ULONG PoolTag)
{
    SIZE_T Size = AWARE_SIZE(KeNumberProcessors);
    PEX_RUNDOWN_REF_CACHE_AWARE RunRef =
        ExAllocatePoolFor(PoolType, Size, PoolTag, KiReturnAddress());

    if (RunRef == NULL)
        return NULL;
    ExInitializeRundownProtectionCacheAware(RunRef, Size);
    RunRef->PoolTag = PoolTag;
    return RunRef;
}
EXPORT(ExAllocateCacheAwareRundownProtection, DISPATCH_LEVEL,
       "WDK wdm.h ExAllocateCacheAwareRundownProtection");

// ExFreeCacheAwareRundownProtection: frees it.
// IRQL: as the allocation. Source: WDK wdm.h, ExFreeCacheAwareRundownProtection.
VOID NTAPI ExFreeCacheAwareRundownProtection(PEX_RUNDOWN_REF_CACHE_AWARE RunRef)
{
    ExFreePoolWithTag(RunRef, RunRef->PoolTag);
}
EXPORT(ExFreeCacheAwareRundownProtection, DISPATCH_LEVEL,
       "WDK wdm.h ExFreeCacheAwareRundownProtection");

// The rest as for one count.
// IRQL, Fails: as there. Source: WDK wdm.h.
BOOLEAN FASTCALL ExAcquireRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef)
{
    return ExpBeginUse(ExpOwnCount(RunRef), 1);
}
EXPORT(ExAcquireRundownProtectionCacheAware, DISPATCH_LEVEL,
       "WDK wdm.h ExAcquireRundownProtectionCacheAware");

BOOLEAN FASTCALL ExAcquireRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRef,
                                                        ULONG Count)
{
    return ExpBeginUse(ExpOwnCount(RunRef), Count);
}
EXPORT(ExAcquireRundownProtectionCacheAwareEx, DISPATCH_LEVEL,
       "WDK wdm.h ExAcquireRundownProtectionCacheAwareEx");

VOID FASTCALL ExReleaseRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef)
{
    ExpEndUse(ExpOwnCount(RunRef), 1, TRUE);
}
EXPORT(ExReleaseRundownProtectionCacheAware, DISPATCH_LEVEL,
       "WDK wdm.h ExReleaseRundownProtectionCacheAware");

VOID FASTCALL ExReleaseRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRef,
                                                     ULONG Count)
{
    ExpEndUse(ExpOwnCount(RunRef), Count, TRUE);
}
EXPORT(ExReleaseRundownProtectionCacheAwareEx, DISPATCH_LEVEL,
       "WDK wdm.h ExReleaseRundownProtectionCacheAwareEx");

VOID FASTCALL ExWaitForRundownProtectionReleaseCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef)
{
    ASSERT_IRQL_AT_MOST(APC_LEVEL);
    ExpRunDown(&RunRef->Counts);
}
EXPORT(ExWaitForRundownProtectionReleaseCacheAware, APC_LEVEL,
       "WDK wdm.h ExWaitForRundownProtectionReleaseCacheAware");

VOID FASTCALL ExReInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef)
{
    ExpSetCounts(&RunRef->Counts, 0);
}
EXPORT(ExReInitializeRundownProtectionCacheAware, EXPORT_ANY_IRQL,
       "WDK wdm.h ExReInitializeRundownProtectionCacheAware");

VOID FASTCALL ExRundownCompletedCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef)
{
    ExpSetCounts(&RunRef->Counts, RUNDOWN_ACTIVE);
}
EXPORT(ExRundownCompletedCacheAware, EXPORT_ANY_IRQL, "WDK wdm.h ExRundownCompletedCacheAware");
