// SPDX-License-Identifier: MIT
// i386/vector.c: vectors of eight to an IRQL, and interrupts that arrive too early.
//
// The IRQL is a number in the KPCR; the controllers know nothing of it. ke puts off an interrupt
// that arrives at or below the current IRQL: it remembers the vector and calls HalHoldInterrupt,
// which sees to it that other interrupts go on arriving. A level line would fire again at once and
// is therefore masked; an edge or a message is simply acknowledged, since a second one would mean
// the same. After ke has run the vector's routines, HalResumeInterrupt opens the line. An 8259 line
// was masked and acknowledged before ke saw it.
#include "../halp.h"

#define CLOCK_IRQL 28u
#define IPI_IRQL   29u
#define HIGH_IRQL  31u

KIRQL HalVectorToIrql(ULONG Vector)
{
    if (Vector < CLOCK_VECTOR)
        return Vector < DIRQL_VECTOR_BASE ? 0 : (KIRQL)((Vector - 0x18) / 8);
    if (Vector < IPI_VECTOR)
        return CLOCK_IRQL;
    return Vector < SPURIOUS_VECTOR ? IPI_IRQL : HIGH_IRQL;
}

ULONG HalpFirstVector(KIRQL Irql)
{
    return 0x18 + (ULONG)Irql * 8;
}

ULONG HalpVectorsPerIrql(VOID)
{
    return 8;
}

// NT's rule for the 8259s' inputs, 27 less the number; the others share the IRQLs below.
KIRQL HalpPreferredIrql(ULONG Line)
{
    ULONG Irql =
        Line < PIC_LINES ? 27 - Line : DIRQL_FIRST + Line % (27 - PIC_LINES - DIRQL_FIRST + 1);
    return (KIRQL)(Irql > DIRQL_LAST ? DIRQL_LAST : Irql);
}

BOOLEAN HalpApicRequired(VOID)
{
    return FALSE;
}

VOID HalpAcceptAllPriorities(VOID)
{
    HalpApicWrite(APIC_TASK_PRIORITY, 0);
}

ULONG HalpSoftwareVector(KIRQL Irql)
{
    return Irql == APC_LEVEL ? APC_IPI_VECTOR : DISPATCH_IPI_VECTOR;
}

VOID HalHoldInterrupt(ULONG Vector)
{
    const HALP_VECTOR *Entry = &HalpVectors[Vector];
    if (!HalpApicDelivers)
        return;
    if (Entry->Kind == HalpVectorLine && Entry->Level)
        HalpController->SetMask(Entry->Line, TRUE);
    HalpApicWrite(APIC_EOI, 0);
}

VOID HalResumeInterrupt(ULONG Vector)
{
    const HALP_VECTOR *Entry = &HalpVectors[Vector];
    if (Entry->Enabled && (Entry->Level || !HalpApicDelivers))
        HalpController->SetMask(Entry->Line, FALSE);
}
