// SPDX-License-Identifier: MIT
// Push locks: one pointer-sized word, shared by many or owned by one, whose waiters sleep.
//
// The word:
//     bit 0        somebody owns it exclusively
//     bit 1        somebody waits; newcomers wait behind
//     bits 2...    how many share it
// While nobody waits, each operation is one compare-exchange. Who has to wait has no room in the
// word: it parks, a record on its stack, in a list chosen by the lock's address (ExpLots). The
// record is put there, and bit 1 set, under the lot's spin lock, and whoever gives the lock up
// with bit 1 set takes the same spin lock and hands the lock over: to the first parked if it wants
// all, else to all up to the first that does. So it is given in the order of coming, and once bit 1
// is set nothing but the hand-over clears it.
//
// Owners are not recorded; the lock is not recursive. Normal kernel APCs are disabled by the caller
// (KeEnterCriticalRegion): in the checked build DRIVER_VERIFIER_DETECTED_VIOLATION (0xEA acquiring,
// 0xEB releasing; the IRQL, the disable count, the lock) when they are not. Releasing what nobody
// owns is (0x1007, the lock).
//
// Tests: tests/guest/pushlocks.c.
#include "exp.h"
#include "rtl.h"

#define PUSH_EXCLUSIVE ((ULONG_PTR)1)
#define PUSH_WAITERS   ((ULONG_PTR)2)
#define PUSH_SHARE     ((ULONG_PTR)4)
#define LOTS           64u

typedef struct _EXP_PARKED {
    struct _EXP_PARKED *Next;
    PEX_PUSH_LOCK Lock;
    BOOLEAN Exclusive;
    KEVENT Granted;
} EXP_PARKED;

typedef struct DECLSPEC_ALIGN(64) _EXP_LOT {
    KSPIN_LOCK Lock;
    EXP_PARKED *First; // of all locks that share the lot, in order of coming
} EXP_LOT;

static EXP_LOT ExpLots[LOTS];

FORCEINLINE EXP_LOT *ExpLotOf(PEX_PUSH_LOCK Lock)
{
    return &ExpLots[((ULONG_PTR)Lock >> 4 ^ (ULONG_PTR)Lock >> 12) % LOTS];
}

FORCEINLINE BOOLEAN ExpChangePush(PEX_PUSH_LOCK Lock, ULONG_PTR *From, ULONG_PTR To)
{
    return __atomic_compare_exchange_n(Lock, From, To, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

FORCEINLINE ULONG_PTR ExpReadPush(PEX_PUSH_LOCK Lock)
{
    return __atomic_load_n(Lock, __ATOMIC_RELAXED);
}

static VOID ExpCheckPush(PEX_PUSH_LOCK Lock, ULONG_PTR Subcode)
{
#if DBG
    if (KiGetIrql() < APC_LEVEL && KiCurrentThread()->CombinedApcDisable == 0)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, Subcode, KiGetIrql(), 0, (ULONG_PTR)Lock,
                   NULL,
                   "A push lock was acquired or released with normal kernel APCs enabled (checked "
                   "build): KeEnterCriticalRegion comes first.");
#endif
}

static DECLSPEC_NORETURN DECLSPEC_NOINLINE VOID ExpPushNotOwned(PEX_PUSH_LOCK Lock)
{
    KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1007, (ULONG_PTR)Lock, 0, 0, NULL,
               "A push lock was released that nobody had acquired in this way.");
}

// ---- acquiring ----------------------------------------------------------------------------------
// FALSE: it is not to be had now.
FORCEINLINE BOOLEAN ExpTryPush(PEX_PUSH_LOCK Lock, BOOLEAN Exclusive)
{
    ULONG_PTR Value = Exclusive ? 0 : ExpReadPush(Lock);

    if (Exclusive)
        return ExpChangePush(Lock, &Value, PUSH_EXCLUSIVE);
    while (!(Value & (PUSH_EXCLUSIVE | PUSH_WAITERS)))
        if (ExpChangePush(Lock, &Value, Value + PUSH_SHARE))
            return TRUE;
    return FALSE;
}

// Takes the lock, or marks it as waited for. Locked: the lot.
static BOOLEAN ExpTryPushOrMark(PEX_PUSH_LOCK Lock, BOOLEAN Exclusive)
{
    for (;;) {
        ULONG_PTR Value;
        if (ExpTryPush(Lock, Exclusive))
            return TRUE;
        Value = ExpReadPush(Lock);
        if (Value & PUSH_WAITERS || (Value != 0 && (Exclusive || Value & PUSH_EXCLUSIVE) &&
                                     ExpChangePush(Lock, &Value, Value | PUSH_WAITERS)))
            return FALSE;
    }
}

static DECLSPEC_NOINLINE VOID ExpPark(PEX_PUSH_LOCK Lock, BOOLEAN Exclusive)
{
    EXP_PARKED Parked = {.Lock = Lock, .Exclusive = Exclusive};
    EXP_LOT *Lot = ExpLotOf(Lock);
    EXP_PARKED **Link = &Lot->First;
    KIRQL OldIrql;

    KeInitializeEvent(&Parked.Granted, SynchronizationEvent, FALSE);
    OldIrql = KiAcquireLock(&Lot->Lock);
    if (ExpTryPushOrMark(Lock, Exclusive)) {
        KiReleaseLock(&Lot->Lock, OldIrql);
        return;
    }
    while (*Link != NULL)
        Link = &(*Link)->Next;
    *Link = &Parked;
    KiReleaseLock(&Lot->Lock, OldIrql);
    KeWaitForSingleObject(&Parked.Granted, WrPushLock, KernelMode, FALSE, NULL);
}

// ---- handing over: under the lot's lock ---------------------------------------------------------
// Takes those off the list that are next to own the lock, in order, and gives it to them.
static EXP_PARKED *ExpTakeParked(EXP_LOT *Lot, PEX_PUSH_LOCK Lock)
{
    EXP_PARKED *Taken = NULL, **Tail = &Taken, **Link = &Lot->First;
    ULONG_PTR Value = 0;

    while (*Link != NULL) {
        EXP_PARKED *Parked = *Link;
        if (Parked->Lock != Lock) {
            Link = &Parked->Next;
            continue;
        }
        if (Value != 0 && (Parked->Exclusive || Value == PUSH_EXCLUSIVE)) {
            Value |= PUSH_WAITERS;
            break;
        }
        Value += Parked->Exclusive ? PUSH_EXCLUSIVE : PUSH_SHARE;
        *Link = Parked->Next;
        *Tail = Parked;
        Tail = &Parked->Next;
        Parked->Next = NULL;
    }
    __atomic_store_n(Lock, Value, __ATOMIC_RELEASE);
    return Taken;
}

// The caller, the last owner, gives the lock up, which others wait for.
static DECLSPEC_NOINLINE VOID ExpHandOver(PEX_PUSH_LOCK Lock)
{
    EXP_LOT *Lot = ExpLotOf(Lock);
    KIRQL OldIrql = KiAcquireLock(&Lot->Lock);
    EXP_PARKED *Next = ExpTakeParked(Lot, Lock);

    KiReleaseLock(&Lot->Lock, OldIrql);
    while (Next != NULL) {
        EXP_PARKED *Parked = Next;
        Next = Parked->Next; // gone once its event is set
        KeSetEvent(&Parked->Granted, IO_NO_INCREMENT, FALSE);
    }
}

FORCEINLINE VOID ExpGivePushExclusive(PEX_PUSH_LOCK Lock)
{
    ULONG_PTR Value = PUSH_EXCLUSIVE;

    if (__builtin_expect(ExpChangePush(Lock, &Value, 0), 1))
        return;
    if (Value != (PUSH_EXCLUSIVE | PUSH_WAITERS))
        ExpPushNotOwned(Lock);
    ExpHandOver(Lock);
}

FORCEINLINE VOID ExpGivePushShare(PEX_PUSH_LOCK Lock)
{
    ULONG_PTR Value = ExpReadPush(Lock);

    do {
        if (__builtin_expect(Value < PUSH_SHARE || Value & PUSH_EXCLUSIVE, 0))
            ExpPushNotOwned(Lock);
        if (__builtin_expect(Value == (PUSH_SHARE | PUSH_WAITERS), 0)) {
            ExpHandOver(Lock);
            return;
        }
    } while (!ExpChangePush(Lock, &Value, Value - PUSH_SHARE));
}

// ---- routines -----------------------------------------------------------------------------------

// ExInitializePushLock: makes a lock free. Its memory is nonpaged, pointer aligned.
// IRQL: any. Source: WDK wdm.h, ExInitializePushLock.
VOID NTAPI ExInitializePushLock(PEX_PUSH_LOCK PushLock)
{
    KeForgetLock(PushLock);
    *PushLock = 0;
}
EXPORT(ExInitializePushLock, EXPORT_ANY_IRQL, "WDK wdm.h ExInitializePushLock");

// ExAcquirePushLockExclusiveEx, ExAcquirePushLockSharedEx: acquire the lock, all of it or a share,
// waiting for it. Drivers call ExAcquirePushLockExclusive and ExAcquirePushLockShared. Flags: 0.
// IRQL: <= APC_LEVEL, normal kernel APCs disabled.
// Source: WDK wdm.h, ExAcquirePushLockExclusive.
VOID FASTCALL ExAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    ExpCheckPush(PushLock, 0xEA);
    KeNoteLockWanted(PushLock);
    if (__builtin_expect(!ExpTryPush(PushLock, TRUE), 0))
        ExpPark(PushLock, TRUE);
    KeNoteMutex(KiCurrentThread(), PushLock, KiReturnAddress());
}
EXPORT(ExAcquirePushLockExclusiveEx, APC_LEVEL, "WDK wdm.h ExAcquirePushLockExclusive");

VOID FASTCALL ExAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    ExpCheckPush(PushLock, 0xEA);
    KeNoteLockWanted(PushLock);
    if (__builtin_expect(!ExpTryPush(PushLock, FALSE), 0))
        ExpPark(PushLock, FALSE);
    KeNoteMutex(KiCurrentThread(), PushLock, KiReturnAddress());
}
EXPORT(ExAcquirePushLockSharedEx, APC_LEVEL, "WDK wdm.h ExAcquirePushLockShared");

FORCEINLINE BOOLEAN ExpTryPushNoted(PEX_PUSH_LOCK Lock, BOOLEAN Exclusive, ULONG_PTR Caller)
{
    ExpCheckPush(Lock, 0xEA);
    if (!ExpTryPush(Lock, Exclusive))
        return FALSE;
    KeNoteMutex(KiCurrentThread(), Lock, Caller);
    return TRUE;
}

// ExTryAcquirePushLockExclusiveEx, ExTryAcquirePushLockSharedEx: the same if that needs no waiting.
// Return whether they did.
// IRQL: as those. Source: WDK wdm.h.
BOOLEAN FASTCALL ExTryAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    return ExpTryPushNoted(PushLock, TRUE, KiReturnAddress());
}
EXPORT(ExTryAcquirePushLockExclusiveEx, APC_LEVEL, "WDK wdm.h ExTryAcquirePushLockExclusiveEx");

BOOLEAN FASTCALL ExTryAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    return ExpTryPushNoted(PushLock, FALSE, KiReturnAddress());
}
EXPORT(ExTryAcquirePushLockSharedEx, APC_LEVEL, "WDK wdm.h ExTryAcquirePushLockSharedEx");

// ExReleasePushLockExclusiveEx, ExReleasePushLockSharedEx, ExReleasePushLockEx (either): give it
// back, to who waits first.
// IRQL: <= APC_LEVEL, normal kernel APCs disabled. Fails: bugcheck when it is not owned so.
// Source: WDK wdm.h, ExReleasePushLockExclusive.
VOID FASTCALL ExReleasePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    ExpCheckPush(PushLock, 0xEB);
    KeForgetOwned(KiCurrentThread(), PushLock);
    ExpGivePushExclusive(PushLock);
}
EXPORT(ExReleasePushLockExclusiveEx, APC_LEVEL, "WDK wdm.h ExReleasePushLockExclusive");

VOID FASTCALL ExReleasePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    ExpCheckPush(PushLock, 0xEB);
    KeForgetOwned(KiCurrentThread(), PushLock);
    ExpGivePushShare(PushLock);
}
EXPORT(ExReleasePushLockSharedEx, APC_LEVEL, "WDK wdm.h ExReleasePushLockShared");

VOID FASTCALL ExReleasePushLockEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    ExpCheckPush(PushLock, 0xEB);
    KeForgetOwned(KiCurrentThread(), PushLock);
    if (ExpReadPush(PushLock) & PUSH_EXCLUSIVE)
        ExpGivePushExclusive(PushLock);
    else
        ExpGivePushShare(PushLock);
}
EXPORT(ExReleasePushLockEx, APC_LEVEL, "WDK wdm.h ExReleasePushLock");
