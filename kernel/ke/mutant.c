// SPDX-License-Identifier: MIT
// Mutants and mutexes: dispatcher objects that belong to the thread that acquired them.
//
// SignalState is 1 when free; every acquisition takes one away, so that an owner has acquired it
// 1 - SignalState times. A mutex, as drivers make it, keeps normal kernel APCs from its owner
// (ApcDisable). A mutant whose owner ends is abandoned: it becomes free and the next wait that gets
// it returns STATUS_ABANDONED. A system thread that ends so has a bug, and with a mutex stops the
// system: THREAD_ TERMINATE_HELD_MUTEX (the thread, the mutex, 0, 0).
//
// Acquiring is waiting (wait.c). Tests: tests/guest/threads.c.
#include "ki.h"

static VOID KiInitializeMutant(PKMUTANT Mutant, PKTHREAD Owner, UCHAR ApcDisable)
{
    KiInitializeHeader(&Mutant->Header, MutantObject, sizeof(*Mutant), Owner == NULL);
    KeForgetLock(Mutant);
    Mutant->OwnerThread = Owner;
    Mutant->Abandoned = FALSE;
    Mutant->ApcDisable = ApcDisable;
    if (Owner != NULL) {
        KIRQL OldIrql = KiLockDispatcher();
        InsertTailList(&Owner->MutantListHead, &Mutant->MutantListEntry);
        KiUnlockDispatcher(OldIrql);
    }
}

// KeInitializeMutex: makes a free mutex. Level is no longer looked at.
// IRQL: any. Source: WDK wdm.h, KeInitializeMutex.
VOID NTAPI KeInitializeMutex(PRKMUTEX Mutex, ULONG Level)
{
    KiInitializeMutant(Mutex, NULL, 1);
}
EXPORT(KeInitializeMutex, EXPORT_ANY_IRQL, "WDK wdm.h KeInitializeMutex");

// KeInitializeMutant: makes a mutant, owned by the caller if InitialOwner.
// IRQL: <= DISPATCH_LEVEL. Source: WDK ntifs.h, KeInitializeMutant.
VOID NTAPI KeInitializeMutant(PRKMUTANT Mutant, BOOLEAN InitialOwner)
{
    KiInitializeMutant(Mutant, InitialOwner ? KiCurrentThread() : NULL, 0);
}
EXPORT(KeInitializeMutant, DISPATCH_LEVEL, "WDK ntifs.h KeInitializeMutant");

// The owner's last hold has gone, by release or abandonment. Locked: dispatcher.
static VOID KiFreeMutant(PKMUTANT Mutant, KPRIORITY Increment)
{
    PKTHREAD Owner = Mutant->OwnerThread;

    Mutant->Header.SignalState = 1;
    Mutant->OwnerThread = NULL;
    if (Owner != NULL) {
        RemoveEntryList(&Mutant->MutantListEntry);
        KeForgetMutex(Owner, Mutant);
        Owner->KernelApcDisable += Mutant->ApcDisable;
    }
    KiSignalWaiters(&Mutant->Header, Increment);
}

static DECLSPEC_NORETURN VOID KiRaiseNotOwned(PKMUTANT Mutant, KIRQL OldIrql)
{
    NTSTATUS Status = Mutant->Abandoned ? STATUS_ABANDONED : STATUS_MUTANT_NOT_OWNED;

    KiUnlockDispatcher(OldIrql);
    for (;;)
        RtlRaiseStatus(Status);
}

FORCEINLINE LONG KiReleaseMutant(PRKMUTANT Mutant, KPRIORITY Increment, BOOLEAN Abandoned,
                                 BOOLEAN Wait)
{
    PKTHREAD Thread = KiCurrentThread();
    KIRQL OldIrql = KiLockDispatcher();
    LONG OldState = Mutant->Header.SignalState;
    BOOLEAN Apcs = FALSE;

    if (!Abandoned && Mutant->OwnerThread != Thread)
        KiRaiseNotOwned(Mutant, OldIrql);
    if (Abandoned)
        Mutant->Abandoned = TRUE;
    if (!Abandoned && OldState < 0) {
        Mutant->Header.SignalState = OldState + 1;
    } else {
        KiFreeMutant(Mutant, Increment);
        Apcs = Thread->KernelApcDisable == 0 && !IsListEmpty(&Thread->ApcListHead[KernelMode]);
    }
    if (Apcs) {
        Thread->KernelApcPending = TRUE;
        KiRequestApc();
    }
    KiEndSignal(OldIrql, Wait);
    return OldState;
}

// KeReleaseMutant: gives one acquisition back, or with Abandoned all of them, whoever the owner is.
// Returns the state before: 1 free, 0 and less owned. IRQL: <= DISPATCH_LEVEL; with Wait <=
// APC_LEVEL. Fails: raises STATUS_MUTANT_NOT_OWNED (STATUS_ABANDONED) when the caller is not its
// owner. Source: WDK ntifs.h, KeReleaseMutant.
LONG NTAPI KeReleaseMutant(PRKMUTANT Mutant, KPRIORITY Increment, BOOLEAN Abandoned, BOOLEAN Wait)
{
    return KiReleaseMutant(Mutant, Increment, Abandoned, Wait);
}
EXPORT(KeReleaseMutant, DISPATCH_LEVEL, "WDK ntifs.h KeReleaseMutant");

// KeReleaseMutex: as KeReleaseMutant for a mutex.
// IRQL: as that. Source: WDK wdm.h, KeReleaseMutex.
LONG NTAPI KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait)
{
    return KiReleaseMutant(Mutex, 1, FALSE, Wait);
}
EXPORT(KeReleaseMutex, DISPATCH_LEVEL, "WDK wdm.h KeReleaseMutex");

// KeReadStateMutex, KeReadStateMutant: 1 when it is free just now.
// IRQL: any. Source: WDK wdm.h, KeReadStateMutex.
LONG NTAPI KeReadStateMutex(PRKMUTEX Mutex)
{
    return *(volatile LONG *)&Mutex->Header.SignalState;
}
EXPORT(KeReadStateMutex, EXPORT_ANY_IRQL, "WDK wdm.h KeReadStateMutex");
EXPORT_AS(KeReadStateMutant, KeReadStateMutex, EXPORT_ANY_IRQL, 0, "WDK ntifs.h KeReadStateMutant");

VOID KiAbandonMutants(PKTHREAD Thread)
{
    while (!IsListEmpty(&Thread->MutantListHead)) {
        PKMUTANT Mutant = CONTAINING_RECORD(Thread->MutantListHead.Flink, KMUTANT, MutantListEntry);
        if (Mutant->ApcDisable != 0)
            KiBugCheck(THREAD_TERMINATE_HELD_MUTEX, (ULONG_PTR)Thread, (ULONG_PTR)Mutant, 0, 0,
                       NULL, "A thread ended while it owned a mutex.");
        Mutant->Abandoned = TRUE;
        KiFreeMutant(Mutant, 1);
    }
}
