// SPDX-License-Identifier: MIT
// Fast mutexes and guarded mutexes: one owner at a time, not recursive, waiters sleep.
//
// Count is 1 while the mutex is free; whoever takes it from 1 to 0 owns it. Everyone else takes it
// further down and waits on the event, which is given to exactly one of them, the longest waiting,
// at each release. So a release hands the mutex over, an acquisition that is not contended is one
// locked instruction, and Count says how many wait: -n.
//
// The two kinds differ in what they do to their owner. A fast mutex raises it to APC_LEVEL, a
// guarded mutex enters a guarded region; either keeps all kernel APCs away from it. The Unsafe
// forms leave that to the caller. The structures begin alike (a gate is an event by another name),
// and FAST_MUTEX stands for both here.
//
// Acquiring what one owns would wait for ever: DRIVER_VERIFIER_DETECTED_VIOLATION (0x1000, the
// mutex). Releasing what nobody owns is (0x1007, the mutex), what another thread owns (0x1004, the
// mutex, the owner, the caller's thread); at a wrong IRQL (0x33 acquiring, 0x34 releasing; the
// IRQL, the mutex).
//
// Tests: tests/guest/mutexes.c, tests/guest/broken/mutex_*.c.
#include "exp.h"
#include "rtl.h"

#define FIRST_FIELDS_ALIKE(Field, Other)                                                           \
    C_ASSERT(FIELD_OFFSET(FAST_MUTEX, Field) == FIELD_OFFSET(KGUARDED_MUTEX, Other))
FIRST_FIELDS_ALIKE(Count, Count);
FIRST_FIELDS_ALIKE(Owner, Owner);
FIRST_FIELDS_ALIKE(Contention, Contention);
FIRST_FIELDS_ALIKE(Event, Gate);

FORCEINLINE PFAST_MUTEX ExpFastOf(PKGUARDED_MUTEX Mutex) { return (PFAST_MUTEX)Mutex; }

// ---- the common part ----------------------------------------------------------------------------
static DECLSPEC_NOINLINE VOID ExpWaitForMutex(PFAST_MUTEX Mutex, KWAIT_REASON Reason)
{
    if (Mutex->Owner == KiCurrentThread())
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, (ULONG_PTR)Mutex, 0, 0, NULL,
                   "A thread acquired a mutex that it owns: it would wait for itself for ever.");
    __atomic_fetch_add(&Mutex->Contention, 1, __ATOMIC_RELAXED);
    KeWaitForSingleObject(&Mutex->Event, Reason, KernelMode, FALSE, NULL);
}

FORCEINLINE VOID ExpTakeMutex(PFAST_MUTEX Mutex, KWAIT_REASON Reason)
{
    KeNoteLockWanted(Mutex);
    if (__builtin_expect(__atomic_sub_fetch(&Mutex->Count, 1, __ATOMIC_ACQUIRE) != 0, 0))
        ExpWaitForMutex(Mutex, Reason);
    Mutex->Owner = KiCurrentThread();
    KeNoteMutex(KiCurrentThread(), Mutex, KiReturnAddress());
}

FORCEINLINE BOOLEAN ExpTryTakeMutex(PFAST_MUTEX Mutex)
{
    LONG Free = 1;

    if (!__atomic_compare_exchange_n(&Mutex->Count, &Free, 0, FALSE, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return FALSE;
    Mutex->Owner = KiCurrentThread();
    KeNoteMutex(KiCurrentThread(), Mutex, KiReturnAddress());
    return TRUE;
}

static DECLSPEC_NORETURN DECLSPEC_NOINLINE VOID ExpMutexNotOwned(PFAST_MUTEX Mutex)
{
    PKTHREAD Owner = Mutex->Owner;

    if (Owner == NULL)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1007, (ULONG_PTR)Mutex, 0, 0, NULL,
                   "A mutex was released that nobody had acquired.");
    KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1004, (ULONG_PTR)Mutex, (ULONG_PTR)Owner,
               (ULONG_PTR)KiCurrentThread(), NULL,
               "A mutex was released by a thread that does not own it.");
}

// The mutex may be gone as soon as it is free, so nothing touches it after that.
FORCEINLINE VOID ExpGiveMutex(PFAST_MUTEX Mutex)
{
    if (__builtin_expect(Mutex->Owner != KiCurrentThread(), 0))
        ExpMutexNotOwned(Mutex);
    Mutex->Owner = NULL;
    KeForgetMutex(KiCurrentThread(), Mutex);
    if (__builtin_expect(__atomic_add_fetch(&Mutex->Count, 1, __ATOMIC_RELEASE) != 1, 0))
        KeSetEvent(&Mutex->Event, IO_NO_INCREMENT, FALSE);
}

static DECLSPEC_NORETURN DECLSPEC_NOINLINE VOID ExpMutexIrql(ULONG_PTR Subcode, KIRQL Irql,
                                                             PFAST_MUTEX Mutex)
{
    KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, Subcode, Irql, (ULONG_PTR)Mutex, 0, NULL,
               Subcode == 0x33 ? "A mutex was acquired above APC_LEVEL, where nothing may wait."
                               : "A fast mutex was released at another IRQL than APC_LEVEL.");
}

FORCEINLINE KIRQL ExpRaiseForMutex(PFAST_MUTEX Mutex)
{
    KIRQL OldIrql = KiGetIrql();

    if (__builtin_expect(OldIrql > APC_LEVEL, 0))
        ExpMutexIrql(0x33, OldIrql, Mutex);
    KiSetIrql(APC_LEVEL);
    return OldIrql;
}

// The Unsafe forms want APCs disabled already.
FORCEINLINE VOID ExpCheckUnsafe(PFAST_MUTEX Mutex)
{
#if DBG
    if (KiGetIrql() > APC_LEVEL)
        ExpMutexIrql(0x33, KiGetIrql(), Mutex);
    if (KiGetIrql() < APC_LEVEL && KiCurrentThread()->CombinedApcDisable == 0)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x39, KiGetIrql(), 0, (ULONG_PTR)Mutex, NULL,
                   "A mutex was acquired or released in the Unsafe way with APCs enabled "
                   "(checked build).");
#endif
}

// ---- fast mutexes -------------------------------------------------------------------------------

// ExAcquireFastMutex: acquires the mutex, waiting for it. Drivers have ExInitializeFastMutex from
// their headers.
// IRQL: <= APC_LEVEL; APC_LEVEL after. Fails: bugcheck, see above.
// Source: WDK wdm.h, ExAcquireFastMutex.
VOID FASTCALL ExAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL OldIrql = ExpRaiseForMutex(FastMutex);

    ExpTakeMutex(FastMutex, WrFastMutex);
    FastMutex->OldIrql = OldIrql;
}
EXPORT(ExAcquireFastMutex, APC_LEVEL, "WDK wdm.h ExAcquireFastMutex");

// ExTryToAcquireFastMutex: acquires the mutex if it is free. Returns whether it did.
// IRQL: <= APC_LEVEL; APC_LEVEL after when it did. Source: WDK wdm.h, ExTryToAcquireFastMutex.
BOOLEAN FASTCALL ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL OldIrql = ExpRaiseForMutex(FastMutex);

    if (!ExpTryTakeMutex(FastMutex)) {
        KiLowerIrql(OldIrql);
        return FALSE;
    }
    FastMutex->OldIrql = OldIrql;
    return TRUE;
}
EXPORT(ExTryToAcquireFastMutex, APC_LEVEL, "WDK wdm.h ExTryToAcquireFastMutex");

// ExReleaseFastMutex: hands the mutex to the longest waiting thread, or frees it; back to the IRQL
// before.
// IRQL: APC_LEVEL. Fails: bugcheck, see above. Source: WDK wdm.h, ExReleaseFastMutex.
VOID FASTCALL ExReleaseFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL OldIrql = (KIRQL)FastMutex->OldIrql;

    if (__builtin_expect(KiGetIrql() != APC_LEVEL, 0))
        ExpMutexIrql(0x34, KiGetIrql(), FastMutex);
    ExpGiveMutex(FastMutex);
    KiLowerIrql(OldIrql);
}
EXPORT(ExReleaseFastMutex, APC_LEVEL, "WDK wdm.h ExReleaseFastMutex");

// ExAcquireFastMutexUnsafe, ExReleaseFastMutexUnsafe: the same where APCs are disabled already, by
// a critical region or the IRQL, which stays.
// IRQL: <= APC_LEVEL. Fails: as above. Source: WDK wdm.h, ExAcquireFastMutexUnsafe.
VOID FASTCALL ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    ExpCheckUnsafe(FastMutex);
    ExpTakeMutex(FastMutex, WrFastMutex);
}
EXPORT(ExAcquireFastMutexUnsafe, APC_LEVEL, "WDK wdm.h ExAcquireFastMutexUnsafe");

VOID FASTCALL ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    ExpCheckUnsafe(FastMutex);
    ExpGiveMutex(FastMutex);
}
EXPORT(ExReleaseFastMutexUnsafe, APC_LEVEL, "WDK wdm.h ExReleaseFastMutexUnsafe");

// ---- guarded mutexes ----------------------------------------------------------------------------

// KeInitializeGuardedMutex: makes a free guarded mutex. Its memory is nonpaged.
// IRQL: any. Source: WDK wdm.h, KeInitializeGuardedMutex.
VOID FASTCALL KeInitializeGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    KeForgetLock(GuardedMutex);
    GuardedMutex->CombinedApcDisable = 0;
    ExInitializeFastMutexHead(ExpFastOf(GuardedMutex));
}
EXPORT(KeInitializeGuardedMutex, EXPORT_ANY_IRQL, "WDK wdm.h KeInitializeGuardedMutex");

// KeAcquireGuardedMutex: enters a guarded region and acquires the mutex, waiting for it.
// IRQL: <= APC_LEVEL. Fails: bugcheck, see above. Source: WDK wdm.h, KeAcquireGuardedMutex.
VOID FASTCALL KeAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    if (__builtin_expect(KiGetIrql() > APC_LEVEL, 0))
        ExpMutexIrql(0x33, KiGetIrql(), ExpFastOf(GuardedMutex));
    KeEnterGuardedRegion();
    ExpTakeMutex(ExpFastOf(GuardedMutex), WrGuardedMutex);
}
EXPORT(KeAcquireGuardedMutex, APC_LEVEL, "WDK wdm.h KeAcquireGuardedMutex");

// KeTryToAcquireGuardedMutex: acquires the mutex if it is free, in a guarded region. Returns
// whether it did.
// IRQL: <= APC_LEVEL. Source: WDK wdm.h, KeTryToAcquireGuardedMutex.
BOOLEAN FASTCALL KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    KeEnterGuardedRegion();
    if (ExpTryTakeMutex(ExpFastOf(GuardedMutex)))
        return TRUE;
    KeLeaveGuardedRegion();
    return FALSE;
}
EXPORT(KeTryToAcquireGuardedMutex, APC_LEVEL, "WDK wdm.h KeTryToAcquireGuardedMutex");

// KeReleaseGuardedMutex: hands the mutex on, or frees it, and leaves the guarded region.
// IRQL: <= APC_LEVEL. Fails: bugcheck, see above. Source: WDK wdm.h, KeReleaseGuardedMutex.
VOID FASTCALL KeReleaseGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    ExpGiveMutex(ExpFastOf(GuardedMutex));
    KeLeaveGuardedRegion();
}
EXPORT(KeReleaseGuardedMutex, APC_LEVEL, "WDK wdm.h KeReleaseGuardedMutex");

// KeAcquireGuardedMutexUnsafe, KeReleaseGuardedMutexUnsafe: the same inside a guarded region, or at
// APC_LEVEL.
// IRQL: <= APC_LEVEL. Fails: as above. Source: WDK wdm.h, KeAcquireGuardedMutexUnsafe.
VOID FASTCALL KeAcquireGuardedMutexUnsafe(PKGUARDED_MUTEX GuardedMutex)
{
    ExpCheckUnsafe(ExpFastOf(GuardedMutex));
    ExpTakeMutex(ExpFastOf(GuardedMutex), WrGuardedMutex);
}
EXPORT(KeAcquireGuardedMutexUnsafe, APC_LEVEL, "WDK wdm.h KeAcquireGuardedMutexUnsafe");

VOID FASTCALL KeReleaseGuardedMutexUnsafe(PKGUARDED_MUTEX GuardedMutex)
{
    ExpCheckUnsafe(ExpFastOf(GuardedMutex));
    ExpGiveMutex(ExpFastOf(GuardedMutex));
}
EXPORT(KeReleaseGuardedMutexUnsafe, APC_LEVEL, "WDK wdm.h KeReleaseGuardedMutexUnsafe");
