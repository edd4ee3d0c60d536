// SPDX-License-Identifier: MIT
// What dispatcher objects raise as an exception: nothing has changed then, the IRQL included.
#include "../crew.h"

NTKERNELAPI VOID NTAPI KeInitializeMutant(PRKMUTEX Mutant, BOOLEAN InitialOwner);

#ifndef STATUS_MUTANT_LIMIT_EXCEEDED
#define STATUS_MUTANT_LIMIT_EXCEEDED ((NTSTATUS)0xC0000191)
#endif
#define NOINLINE __attribute__((noinline))

NOINLINE static NTSTATUS GiveUnits(PKSEMAPHORE Semaphore, LONG Units)
{
    NTSTATUS Status = STATUS_SUCCESS;

    __try {
        KeReleaseSemaphore(Semaphore, 0, Units, FALSE);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Status = GetExceptionCode();
    }
    return Status;
}

NOINLINE static NTSTATUS GiveMutex(PKMUTEX Mutex)
{
    NTSTATUS Status = STATUS_SUCCESS;

    __try {
        KeReleaseMutex(Mutex, FALSE);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Status = GetExceptionCode();
    }
    return Status;
}

NOINLINE static NTSTATUS TakeMutex(PKMUTEX Mutex)
{
    NTSTATUS Status;

    __try {
        Status = KeWaitForSingleObject(Mutex, Executive, KernelMode, FALSE, NULL);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Status = GetExceptionCode();
    }
    return Status;
}

static VOID SemaphoresKeepTheirLimit(VOID)
{
    KSEMAPHORE Semaphore;
    KIRQL OldIrql;

    KeInitializeSemaphore(&Semaphore, 1, 3);
    CHECK_EQUAL((ULONG)GiveUnits(&Semaphore, 3), (ULONG)STATUS_SEMAPHORE_LIMIT_EXCEEDED);
    CHECK_EQUAL((ULONG)GiveUnits(&Semaphore, MAXLONG), (ULONG)STATUS_SEMAPHORE_LIMIT_EXCEEDED);
    CHECK_EQUAL((ULONG)GiveUnits(&Semaphore, -1), (ULONG)STATUS_SEMAPHORE_LIMIT_EXCEEDED);
    CHECK_EQUAL(KeReadStateSemaphore(&Semaphore), 1);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    CHECK_EQUAL((ULONG)GiveUnits(&Semaphore, 3), (ULONG)STATUS_SEMAPHORE_LIMIT_EXCEEDED);
    CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(OldIrql);
    CHECK_EQUAL(GiveUnits(&Semaphore, 2), STATUS_SUCCESS);
    CHECK_EQUAL(KeReadStateSemaphore(&Semaphore), 3);
}

static NTSTATUS Seen;

static VOID NTAPI GiveWhatIsNotMine(PVOID Mutex)
{
    Seen = GiveMutex(Mutex);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID MutexesAreReleasedByTheirOwner(VOID)
{
    CREW Crew = {.Count = 0};
    KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    CHECK_EQUAL((ULONG)GiveMutex(&Mutex), (ULONG)STATUS_MUTANT_NOT_OWNED);
    CHECK_EQUAL(TakeMutex(&Mutex), STATUS_SUCCESS);
    CrewAdd(&Crew, GiveWhatIsNotMine, &Mutex);
    CrewJoin(&Crew);
    CHECK_EQUAL((ULONG)Seen, (ULONG)STATUS_MUTANT_NOT_OWNED);
    CHECK_EQUAL(KeReadStateMutex(&Mutex), 0);
    CHECK(KeAreApcsDisabled());
    CHECK_EQUAL(GiveMutex(&Mutex), STATUS_SUCCESS);
    CHECK(!KeAreApcsDisabled());
    CHECK_EQUAL((ULONG)GiveMutex(&Mutex), (ULONG)STATUS_MUTANT_NOT_OWNED);
    CHECK_EQUAL(KeReadStateMutex(&Mutex), 1);
}

static VOID NTAPI TakeAndEnd(PVOID Mutant)
{
    TakeMutex(Mutant);
}

// NT says STATUS_ABANDONED of a mutant that has been abandoned and not been had since.
static VOID AbandonedMutantsSaySo(VOID)
{
    CREW Crew = {.Count = 0};
    KMUTEX Mutant;

    KeInitializeMutant(&Mutant, FALSE);
    CrewAdd(&Crew, TakeAndEnd, &Mutant);
    CrewJoin(&Crew);
    CHECK_EQUAL((ULONG)GiveMutex(&Mutant), (ULONG)STATUS_ABANDONED);
    CHECK_EQUAL(TakeMutex(&Mutant), STATUS_ABANDONED_WAIT_0);
    CHECK_EQUAL(GiveMutex(&Mutant), STATUS_SUCCESS);
    CHECK_EQUAL((ULONG)GiveMutex(&Mutant), (ULONG)STATUS_MUTANT_NOT_OWNED);
}

static VOID MutexesCountSoFar(VOID)
{
    KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    CHECK_EQUAL(TakeMutex(&Mutex), STATUS_SUCCESS);
    Mutex.Header.SignalState = MINLONG; // as if acquired 2^31 times more
    CHECK_EQUAL((ULONG)TakeMutex(&Mutex), (ULONG)STATUS_MUTANT_LIMIT_EXCEEDED);
    CHECK_EQUAL((ULONG)Mutex.Header.SignalState, (ULONG)MINLONG);
    CHECK_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    Mutex.Header.SignalState = 0;
    CHECK_EQUAL(GiveMutex(&Mutex), STATUS_SUCCESS);
}

static const GUEST_CASE Cases[] = {
    {"a semaphore over its limit", SemaphoresKeepTheirLimit},
    {"a mutex released by who does not own it", MutexesAreReleasedByTheirOwner},
    {"a mutant that was abandoned, released", AbandonedMutantsSaySo},
    {"a mutex acquired more often than it counts", MutexesCountSoFar},
};
GUEST_DRIVER(Cases)
