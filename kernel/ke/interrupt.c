// SPDX-License-Identifier: MIT
// Interrupt objects: from a vector to the drivers' service routines.
//
// A vector has a chain of KINTERRUPTs; one interrupt object connects one service routine. The
// routine runs at the object's SynchronizeIrql with its spin lock held, so that
// KeSynchronizeExecution and KeAcquireInterruptSpinLock exclude it. Objects that share a lock (one
// driver, several vectors) have the highest of their IRQLs as SynchronizeIrql.
//
// On a level-sensitive line the chain is walked until one routine claims the interrupt: if another
// device asserts the line as well, it interrupts again. On an edge-triggered one an edge may stand
// for several devices and comes once, so the whole chain is walked until a pass in which nobody
// claimed.
//
// A level-sensitive line that stays asserted interrupts again before a single instruction has run:
// the machine would hang. When that has gone on for STORM_LIMIT interrupts, nobody's register
// access is going to end it, and the system stops with HARDWARE_INTERRUPT_STORM: the first routine
// of the chain, its context, its interrupt object, and whether there are more routines (2) or not
// (1).
//
// Where it goes. Every object says which processors it may interrupt (ProcessorEnableMask). A
// vector is sent to one processor that all objects of its chain allow: on the first connection to
// the one that fewest vectors are sent to. When a newcomer forbids it, the vector is sent
// elsewhere; when nobody is left whom all allow, the newcomer is refused. An interrupt that was
// pending on the first processor still comes there.
//
// Locking: KI_VECTOR.Lock holds the chain still. It is taken at the vector's IRQL, so on one
// processor a routine is never interrupted by its own vector, and disconnecting waits for routines
// that run on others. A routine that returns at another IRQL than it was called at is
// IRQL_UNEXPECTED_VALUE: (current << 16) | (expected << 8) | 3, the routine, the interrupt object.
//
// `!idt` prints the vectors. Tests: tests/guest/irql.c, interrupts.c.
#include "ki.h"

KI_VECTOR KiVectors[HAL_VECTOR_COUNT];

static VOID KiUnexpectedInterrupt(KI_VECTOR *Vector, PKTRAP_FRAME Frame)
{
    KiCountUp(&Vector->Unclaimed);
}

VOID KiInitializeVectors(VOID)
{
    for (ULONG i = 0; i < HAL_VECTOR_COUNT; i++) {
        KiVectors[i].Routine = KiUnexpectedInterrupt;
        InitializeListHead(&KiVectors[i].Chain);
    }
}

VOID KiConnectVector(ULONG Vector, KI_VECTOR_ROUTINE *Routine)
{
    KiVectors[Vector].Routine = Routine;
}

static DECLSPEC_NORETURN VOID KiServiceIrqlChanged(PKINTERRUPT Interrupt)
{
    ULONG_PTR Routine = Interrupt->MessageServiceRoutine != NULL
                            ? (ULONG_PTR)Interrupt->MessageServiceRoutine
                            : (ULONG_PTR)Interrupt->ServiceRoutine;
    KiBugCheck(IRQL_UNEXPECTED_VALUE,
               (ULONG_PTR)KiGetIrql() << 16 | (ULONG_PTR)Interrupt->SynchronizeIrql << 8 | 3,
               Routine, (ULONG_PTR)Interrupt, 0, NULL,
               "An interrupt service routine changed the IRQL and did not restore it.");
}

// Calls one service routine as its object asks. Returns whether it claimed the interrupt.
static BOOLEAN KiCallService(PKINTERRUPT Interrupt)
{
    KIRQL Irql = KiGetIrql();
    BOOLEAN Claimed;

    if (Interrupt->SynchronizeIrql > Irql)
        KiSetIrql(Interrupt->SynchronizeIrql);
    KiTakeWatched(Interrupt->ActualLock);
    if (Interrupt->MessageServiceRoutine != NULL)
        Claimed = Interrupt->MessageServiceRoutine(Interrupt, Interrupt->ServiceContext,
                                                   Interrupt->MessageId);
    else
        Claimed = Interrupt->ServiceRoutine(Interrupt, Interrupt->ServiceContext);
    if (__builtin_expect(KiGetIrql() != Interrupt->SynchronizeIrql, 0))
        KiServiceIrqlChanged(Interrupt);
    KiDropWatched(Interrupt->ActualLock);
    if (Interrupt->SynchronizeIrql > Irql)
        KiLowerIrql(Irql);
    if (Claimed)
        Interrupt->Count++;
    return Claimed;
}

static BOOLEAN KiIsForbiddenHere(const KINTERRUPT *Interrupt)
{
    return (Interrupt->Processors & KeGetCurrentPrcb()->ProcessorMask) == 0;
}

// One walk along the chain. Returns whether anybody claimed the interrupt. Those who forbid this
// processor are passed by: it is from before they came.
static BOOLEAN KiWalkChain(KI_VECTOR *Vector, BOOLEAN WholeChain)
{
    BOOLEAN Claimed = FALSE;

    for (PLIST_ENTRY Entry = Vector->Chain.Flink; Entry != &Vector->Chain; Entry = Entry->Flink) {
        PKINTERRUPT Interrupt = CONTAINING_RECORD(Entry, KINTERRUPT, ListEntry);
        if (__builtin_expect(Vector->Moved, 0) && KiIsForbiddenHere(Interrupt))
            continue;
        Claimed |= KiCallService(Interrupt);
        if (Claimed && !WholeChain)
            break;
    }
    return Claimed;
}

#define STORM_LIMIT 100000u

static DECLSPEC_NORETURN VOID KiInterruptStorm(KI_VECTOR *Vector)
{
    PKINTERRUPT First = CONTAINING_RECORD(Vector->Chain.Flink, KINTERRUPT, ListEntry);

    KiBugCheck(HARDWARE_INTERRUPT_STORM, (ULONG_PTR)First->ServiceRoutine,
               (ULONG_PTR)First->ServiceContext, (ULONG_PTR)First,
               Vector->Chain.Flink == Vector->Chain.Blink ? 1 : 2, NULL,
               "A device keeps its interrupt line asserted: no service routine has quieted it.");
}

// A processor that sleeps is interrupted at the same place each time, but has run in between.
FORCEINLINE VOID KiWatchForStorm(KI_VECTOR *Vector, PKTRAP_FRAME Frame)
{
    ULONG_PTR Pc = Frame != NULL ? TRAP_PC(Frame) : 0;
    ULONG IdleCount = KeGetCurrentPrcb()->IdleCount;

    if (Pc != Vector->LastPc || IdleCount != Vector->LastIdleCount) {
        Vector->LastPc = Pc;
        Vector->LastIdleCount = IdleCount;
        Vector->Repeats = 0;
    } else if (++Vector->Repeats >= STORM_LIMIT) {
        KiInterruptStorm(Vector);
    }
}

static VOID KiServeChain(KI_VECTOR *Vector, PKTRAP_FRAME Frame)
{
    BOOLEAN Claimed;

    KiTakeLock(&Vector->Lock);
    if (Vector->Mode == LevelSensitive) {
        KiWatchForStorm(Vector, Frame);
        Claimed = KiWalkChain(Vector, FALSE);
    } else {
        Claimed = KiWalkChain(Vector, TRUE);
        if (Claimed && Vector->Chain.Flink != Vector->Chain.Blink)
            while (KiWalkChain(Vector, TRUE))
                ;
    }
    if (!Claimed)
        KiCountUp(&Vector->Unclaimed);
    KiDropLock(&Vector->Lock);
}

VOID KeInitializeInterrupt(PKINTERRUPT Interrupt, PKSERVICE_ROUTINE ServiceRoutine,
                           PVOID ServiceContext, PKSPIN_LOCK SpinLock, ULONG Vector, KIRQL Irql,
                           KIRQL SynchronizeIrql, KINTERRUPT_MODE Mode, BOOLEAN ShareVector,
                           KAFFINITY Processors)
{
    memset(Interrupt, 0, sizeof(*Interrupt));
    Interrupt->Type = 22;  // as NT numbers its objects
    Interrupt->Size = sizeof(*Interrupt);
    Interrupt->ServiceRoutine = ServiceRoutine;
    Interrupt->ServiceContext = ServiceContext;
    Interrupt->ActualLock = SpinLock != NULL ? SpinLock : &Interrupt->SpinLock;
    Interrupt->Vector = Vector;
    Interrupt->Irql = Irql;
    Interrupt->SynchronizeIrql = SynchronizeIrql;
    Interrupt->Mode = Mode;
    Interrupt->ShareVector = ShareVector;
    Interrupt->Processors = Processors;
}

// Whether the chain takes another object: everybody on it and the newcomer share, and agree on the
// mode.
static BOOLEAN KiChainAccepts(const KI_VECTOR *Vector, const KINTERRUPT *Interrupt)
{
    if (IsListEmpty(&Vector->Chain))
        return Vector->Routine == KiUnexpectedInterrupt || Vector->Routine == KiServeChain;
    const KINTERRUPT *First = CONTAINING_RECORD(Vector->Chain.Flink, KINTERRUPT, ListEntry);
    return First->ShareVector && Interrupt->ShareVector && First->Mode == Interrupt->Mode;
}

// The processors that everybody on the chain and the newcomer allow.
static KAFFINITY KiAllowedProcessors(const KI_VECTOR *Vector, const KINTERRUPT *Interrupt)
{
    KAFFINITY Allowed = Interrupt->Processors & HalInterruptTargets() & KeActiveProcessors;

    for (PLIST_ENTRY Entry = Vector->Chain.Flink; Entry != &Vector->Chain; Entry = Entry->Flink)
        Allowed &= CONTAINING_RECORD(Entry, KINTERRUPT, ListEntry)->Processors;
    return Allowed;
}

// Of these, which are some, the one that fewest vectors are sent to.
static ULONG KiChooseTarget(KAFFINITY Allowed)
{
    ULONG Best = (ULONG)__builtin_ctzll(Allowed);

    for (Allowed &= Allowed - 1; Allowed != 0; Allowed &= Allowed - 1) {
        ULONG Number = (ULONG)__builtin_ctzll(Allowed);
        if (KiProcessorBlock[Number]->VectorsHere < KiProcessorBlock[Best]->VectorsHere)
            Best = Number;
    }
    return Best;
}

static VOID KiCountTarget(ULONG Target, LONG Change)
{
    __atomic_fetch_add(&KiProcessorBlock[Target]->VectorsHere, (ULONG)Change, __ATOMIC_RELAXED);
}

// Opens the vector, or sends it elsewhere. Under its lock.
static BOOLEAN KiSendVector(KI_VECTOR *Vector, const KINTERRUPT *Interrupt, ULONG Target)
{
    if (!HalEnableSystemInterrupt(Interrupt->Vector, Interrupt->Irql, Interrupt->Mode, Target))
        return FALSE;
    Vector->Moved |= Vector->Target != Target;
    Vector->Target = Target;
    KiCountTarget(Target, 1);
    return TRUE;
}

static BOOLEAN KiConnectToVector(KI_VECTOR *Vector, PKINTERRUPT Interrupt)
{
    KAFFINITY Allowed = KiAllowedProcessors(Vector, Interrupt);
    BOOLEAN First = IsListEmpty(&Vector->Chain);
    ULONG Before = Vector->Target;

    if (Interrupt->Connected || Allowed == 0 || !KiChainAccepts(Vector, Interrupt))
        return FALSE;
    Vector->Mode = Interrupt->Mode;
    Vector->Routine = KiServeChain;
    InsertTailList(&Vector->Chain, &Interrupt->ListEntry);
    if (First && !KiSendVector(Vector, Interrupt, KiChooseTarget(Allowed))) {
        RemoveEntryList(&Interrupt->ListEntry);
        Vector->Routine = KiUnexpectedInterrupt;
        return FALSE;
    }
    if (!First && !(Allowed >> Before & 1) &&
        KiSendVector(Vector, Interrupt, KiChooseTarget(Allowed)))
        KiCountTarget(Before, -1);
    Interrupt->Connected = TRUE;
    return TRUE;
}

BOOLEAN KeConnectInterrupt(PKINTERRUPT Interrupt)
{
    KI_VECTOR *Vector = &KiVectors[Interrupt->Vector];
    BOOLEAN Connected;
    KIRQL OldIrql;

    if (Interrupt->Vector >= HAL_VECTOR_COUNT || Interrupt->Irql < DIRQL_FIRST ||
        Interrupt->Irql > DIRQL_LAST || Interrupt->SynchronizeIrql < Interrupt->Irql)
        return FALSE;
    OldIrql = KiRaiseIrqlChecked(Interrupt->Irql);
    KiTakeLock(&Vector->Lock);
    Connected = KiConnectToVector(Vector, Interrupt);
    KiDropLock(&Vector->Lock);
    KiLowerIrql(OldIrql);
    return Connected;
}

BOOLEAN KeDisconnectInterrupt(PKINTERRUPT Interrupt)
{
    KI_VECTOR *Vector = &KiVectors[Interrupt->Vector];
    KIRQL OldIrql = KiRaiseIrqlChecked(Interrupt->Irql);
    BOOLEAN Was;

    KiTakeLock(&Vector->Lock);
    Was = Interrupt->Connected;
    if (Was) {
        Interrupt->Connected = FALSE;
        if (RemoveEntryList(&Interrupt->ListEntry)) {
            HalDisableSystemInterrupt(Interrupt->Vector, Interrupt->Irql);
            Vector->Routine = KiUnexpectedInterrupt;
            KiCountTarget(Vector->Target, -1);
        }
    }
    KiDropLock(&Vector->Lock);
    KiLowerIrql(OldIrql);
    return Was;
}

ULONG KeInterruptTarget(const KINTERRUPT *Interrupt)
{
    return KiVectors[Interrupt->Vector].Target;
}

// KeSynchronizeExecution: calls Routine(Context) so that the interrupt's service routine does not
// run meanwhile. Returns what Routine returns.
// IRQL: <= the interrupt's SynchronizeIrql. Source: WDK wdm.h, KeSynchronizeExecution.
BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE Routine,
                                     PVOID Context)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(Interrupt->SynchronizeIrql);
    KiTakeWatched(Interrupt->ActualLock);
    BOOLEAN Result = Routine(Context);
    KiDropWatched(Interrupt->ActualLock);
    KiLowerIrqlChecked(OldIrql);
    return Result;
}
EXPORT(KeSynchronizeExecution, EXPORT_ANY_IRQL, "WDK wdm.h KeSynchronizeExecution");

// KeAcquireInterruptSpinLock: takes the lock under which the interrupt's service routine runs.
// Returns the IRQL before, for KeReleaseInterruptSpinLock.
// IRQL: <= the interrupt's SynchronizeIrql, which it is after. Source: WDK wdm.h,
// KeAcquireInterruptSpinLock.
KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt);
KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt)
{
    KIRQL OldIrql = KiRaiseIrqlChecked(Interrupt->SynchronizeIrql);
    KiTakeWatched(Interrupt->ActualLock);
    return OldIrql;
}
EXPORT(KeAcquireInterruptSpinLock, EXPORT_ANY_IRQL, "WDK wdm.h KeAcquireInterruptSpinLock");

// KeReleaseInterruptSpinLock: releases it, back to OldIrql.
// IRQL: the interrupt's SynchronizeIrql. Fails: bugcheck SPIN_LOCK_NOT_OWNED.
// Source: WDK wdm.h, KeReleaseInterruptSpinLock.
VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql);
VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql)
{
    KiDropWatched(Interrupt->ActualLock);
    KiLowerIrqlChecked(OldIrql);
}
EXPORT(KeReleaseInterruptSpinLock, EXPORT_ANY_IRQL, "WDK wdm.h KeReleaseInterruptSpinLock");

ULONG_PTR KeServiceRoutineOf(ULONG Vector)
{
    PLIST_ENTRY Entry = KiVectors[Vector].Chain.Flink;
    KINTERRUPT Copy;

    if (Entry == &KiVectors[Vector].Chain ||
        !KeSafeCopy(&Copy, CONTAINING_RECORD(Entry, KINTERRUPT, ListEntry), sizeof(Copy)))
        return 0;
    return Copy.MessageServiceRoutine != NULL ? (ULONG_PTR)Copy.MessageServiceRoutine
                                              : (ULONG_PTR)Copy.ServiceRoutine;
}

// ---- monitor ------------------------------------------------------------------------------------
static VOID KiPrintRoutine(ULONG_PTR Routine, const char *Rest)
{
    char Name[128];
    KdSymbolize(Routine, Name, sizeof(Name));
    KdPrintf("        %s%s\n", Name, Rest);
}

static VOID KiPrintChain(const KI_VECTOR *Vector)
{
    PLIST_ENTRY Entry = Vector->Chain.Flink;
    char Rest[48];
    KINTERRUPT Copy;

    for (ULONG i = 0; i < 32 && Entry != &Vector->Chain; i++) {
        if (!KeSafeCopy(&Copy, CONTAINING_RECORD(Entry, KINTERRUPT, ListEntry), sizeof(Copy)))
            return;
        RtlFormat(Rest, sizeof(Rest), ": claimed %llu", Copy.Count);
        KiPrintRoutine(Copy.MessageServiceRoutine != NULL ? (ULONG_PTR)Copy.MessageServiceRoutine
                                                          : (ULONG_PTR)Copy.ServiceRoutine, Rest);
        Entry = Copy.ListEntry.Flink;
    }
}

static BOOLEAN KiIdtCommand(const char *Arguments)
{
    char Line[64];

    for (ULONG i = 0; i < HAL_VECTOR_COUNT; i++) {
        const KI_VECTOR *Vector = &KiVectors[i];
        if (Vector->Routine == KiUnexpectedInterrupt && Vector->Count == 0 && Vector->Spurious == 0)
            continue;
        HalDescribeVector(i, Line, sizeof(Line));
        KdPrintf("%02x  IRQL %-2u %-24s served %llu, unclaimed %llu, spurious %llu\n", i,
                 HalVectorToIrql(i), Line, (ULONG64)Vector->Count, (ULONG64)Vector->Unclaimed,
                 (ULONG64)Vector->Spurious);
        if (Vector->Routine == KiServeChain)
            KiPrintChain(Vector);
        else if (Vector->Routine != KiUnexpectedInterrupt)
            KiPrintRoutine((ULONG_PTR)Vector->Routine, "");
    }
    return TRUE;
}
KD_COMMAND(idt, "!idt",
           "!idt: interrupt vectors, what is connected to them and how often they came",
           KiIdtCommand, KD_SAFE_IN_BUGCHECK);
