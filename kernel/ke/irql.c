// SPDX-License-Identifier: MIT
// The interrupt request level: what a processor lets itself be interrupted by.
//
// At IRQL n a processor takes interrupts of levels above n alone. From DISPATCH_LEVEL up there is
// no scheduling, no paging and no waiting either, because all of these are themselves
// DISPATCH_LEVEL work. Code may raise its IRQL and must then lower it to what it was; a raise that
// lowers, or a lowering that raises, has lost track, and stops the system at once:
// IRQL_NOT_GREATER_OR_EQUAL from the raising routines, IRQL_NOT_LESS_OR_EQUAL from the lowering
// ones, with the current level, the requested one, 0 and the caller as parameters.
//
// amd64: the IRQL is CR8, the local APIC masks by it, and what becomes due is delivered as CR8
// falls. Drivers read and write CR8 inline, where nobody checks the rule.
//
// i386: the IRQL is KPCR.Irql, and masking is lazy: see i386/interrupt.c.
//
// `!irql` prints it. Test: tests/guest/irql.c.
#include "ki.h"

// The levels that have a name. gdb's `nt irql` reads this table too.
static const struct {
    KIRQL Irql;
    const char *Name;
} KiIrqlNames[] = {
    {PASSIVE_LEVEL, "PASSIVE_LEVEL"},
    {APC_LEVEL, "APC_LEVEL"},
    {DISPATCH_LEVEL, "DISPATCH_LEVEL"},
    {SYNCH_LEVEL, "SYNCH_LEVEL"},
    {CLOCK_LEVEL, "CLOCK_LEVEL"},
    {IPI_LEVEL, "IPI_LEVEL"},
    {POWER_LEVEL, "POWER_LEVEL"}, // on amd64 that is IPI_LEVEL
    {HIGH_LEVEL, "HIGH_LEVEL"},
};

const char *KeIrqlName(KIRQL Irql)
{
    for (ULONG i = 0; i < RTL_NUMBER_OF(KiIrqlNames); i++)
        if (KiIrqlNames[i].Irql == Irql)
            return KiIrqlNames[i].Name;
    return Irql <= DIRQL_LAST ? "device level" : "no level";
}

DECLSPEC_NORETURN VOID FASTCALL KiBadRaise(KIRQL Current, KIRQL Requested, ULONG_PTR Caller)
{
    KiBugCheck(IRQL_NOT_GREATER_OR_EQUAL, Current, Requested, 0, Caller, NULL,
               "The IRQL was to be raised to a level below the current one, or to none at all.");
}

DECLSPEC_NORETURN VOID FASTCALL KiBadLower(KIRQL Current, KIRQL Requested, ULONG_PTR Caller)
{
    KiBugCheck(IRQL_NOT_LESS_OR_EQUAL, Current, Requested, 0, Caller, NULL,
               "The IRQL was to be lowered to a level above the current one.");
}

// KeGetCurrentIrql: this processor's IRQL.
// IRQL: any. Source: WDK wdm.h, KeGetCurrentIrql.
KIRQL NTAPI KeGetCurrentIrql(VOID)
{
    return KiGetIrql();
}
EXPORT(KeGetCurrentIrql, EXPORT_ANY_IRQL, "WDK wdm.h KeGetCurrentIrql");

// KfRaiseIrql: raises to NewIrql; returns the level before, for KfLowerIrql.
// IRQL: <= NewIrql. Fails: bugcheck IRQL_NOT_GREATER_OR_EQUAL. Source: WDK wdm.h, KeRaiseIrql.
KIRQL FASTCALL KfRaiseIrql(KIRQL NewIrql)
{
    return KiRaiseIrqlChecked(NewIrql);
}
EXPORT(KfRaiseIrql, EXPORT_ANY_IRQL, "WDK wdm.h KeRaiseIrql");

// KfLowerIrql: back to NewIrql, which the matching raise returned. Interrupts and DPCs that were
// held back above it run before the routine returns.
// IRQL: >= NewIrql. Fails: bugcheck IRQL_NOT_LESS_OR_EQUAL. Source: WDK wdm.h, KeLowerIrql.
VOID FASTCALL KfLowerIrql(KIRQL NewIrql)
{
    KiLowerIrqlChecked(NewIrql);
}
EXPORT(KfLowerIrql, EXPORT_ANY_IRQL, "WDK wdm.h KeLowerIrql");

// KeRaiseIrql: as KfRaiseIrql; *OldIrql receives the level before.
// IRQL: <= NewIrql. Fails: bugcheck IRQL_NOT_GREATER_OR_EQUAL. Source: WDK wdm.h, KeRaiseIrql.
VOID NTAPI KeRaiseIrql(KIRQL NewIrql, PKIRQL OldIrql);
VOID NTAPI KeRaiseIrql(KIRQL NewIrql, PKIRQL OldIrql)
{
    *OldIrql = KiRaiseIrqlChecked(NewIrql);
}
EXPORT(KeRaiseIrql, EXPORT_ANY_IRQL, "WDK wdm.h KeRaiseIrql");

// KeLowerIrql: as KfLowerIrql.
// IRQL: >= NewIrql. Fails: bugcheck IRQL_NOT_LESS_OR_EQUAL. Source: WDK wdm.h, KeLowerIrql.
VOID NTAPI KeLowerIrql(KIRQL NewIrql);
VOID NTAPI KeLowerIrql(KIRQL NewIrql)
{
    KiLowerIrqlChecked(NewIrql);
}
EXPORT(KeLowerIrql, EXPORT_ANY_IRQL, "WDK wdm.h KeLowerIrql");

// KeRaiseIrqlToDpcLevel: raises to DISPATCH_LEVEL; returns the level before.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck. Source: WDK wdm.h, KeRaiseIrqlToDpcLevel.
KIRQL NTAPI KeRaiseIrqlToDpcLevel(VOID)
{
    return KiRaiseIrqlChecked(DISPATCH_LEVEL);
}
EXPORT(KeRaiseIrqlToDpcLevel, DISPATCH_LEVEL, "WDK wdm.h KeRaiseIrqlToDpcLevel");

// KeRaiseIrqlToSynchLevel: raises to SYNCH_LEVEL; returns the level before.
// IRQL: <= SYNCH_LEVEL. Fails: bugcheck. Source: WDK wdm.h, KeRaiseIrqlToSynchLevel.
KIRQL NTAPI KeRaiseIrqlToSynchLevel(VOID);
KIRQL NTAPI KeRaiseIrqlToSynchLevel(VOID)
{
    return KiRaiseIrqlChecked(SYNCH_LEVEL);
}
EXPORT(KeRaiseIrqlToSynchLevel, SYNCH_LEVEL, "WDK wdm.h KeRaiseIrqlToSynchLevel");

// ---- monitor ------------------------------------------------------------------------------------
#define IRQL_UNKNOWN 0xFFu

// On amd64 another processor's IRQL can be had only from where it was stopped.
static KIRQL KiStoppedIrql(PKPRCB Prcb)
{
    if (Prcb == KeGetCurrentPrcb())
        return KiBugCheckActive ? Prcb->BugCheckIrql : KiGetIrql();
    return Prcb->FreezeFrame != NULL ? (KIRQL)Prcb->FreezeFrame->PreviousIrql : IRQL_UNKNOWN;
}

static VOID KiPrintIrql(PKPRCB Prcb, KIRQL Irql)
{
    if (Irql == IRQL_UNKNOWN)
        KdPrintf("processor %u did not stop\n", Prcb->ProcessorNumber);
    else
        KdPrintf("processor %u: IRQL %u (%s)%s%s\n", Prcb->ProcessorNumber, Irql,
                 KeIrqlName(Irql), Prcb->InterruptDepth != 0 ? ", in interrupt service" : "",
                 Prcb->DpcActive ? ", running DPCs" : "");
}

static BOOLEAN KiIrqlCommand(const char *Arguments)
{
    KIRQL Irqls[MAXIMUM_PROCESSORS];
    PKPRCB Prcb;

    KiFreezeProcessors(); // and nothing is printed meanwhile: one of them may hold the log's lock
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++)
        if ((Prcb = KiProcessorBlock[i]) != NULL)
            Irqls[i] = KiStoppedIrql(Prcb);
    KiThawProcessors();
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++)
        if ((Prcb = KiProcessorBlock[i]) != NULL)
            KiPrintIrql(Prcb, Irqls[i]);
    return TRUE;
}
KD_COMMAND(irql, "!irql", "!irql: the processors' IRQL, in a bugcheck the one before it",
           KiIrqlCommand, KD_SAFE_IN_BUGCHECK);
