// SPDX-License-Identifier: MIT
// amd64/vector.c: vectors whose upper half is the IRQL, and interrupts that the processor sends
// itself.
//
// CR8 masks by the upper half of the vector, in the local APIC. An interrupt of the 8259s comes
// past it (ExtINT is not prioritised); it is turned into a self-interrupt of its line's vector,
// which waits in the local APIC for its IRQL like any other. The 8259s' own vectors lie at
// LEGACY_VECTOR_BASE, where no device has any.
#include "../halp.h"

KIRQL HalVectorToIrql(ULONG Vector)
{
    return (KIRQL)(Vector >> 4);
}

ULONG HalpFirstVector(KIRQL Irql)
{
    return (ULONG)Irql << 4;
}

ULONG HalpVectorsPerIrql(VOID)
{
    return 16;
}

// In the order of the 8259s' priority, spread over the nine IRQLs: 0 is highest, 8 to 15 come
// before 3 to 7.
KIRQL HalpPreferredIrql(ULONG Line)
{
    static const UCHAR Irqls[PIC_LINES] = {11, 11, 10, 5, 5, 4, 4, 3, 10, 9, 9, 8, 8, 7, 7, 6};
    return Line < PIC_LINES ? Irqls[Line]
                            : (KIRQL)(DIRQL_FIRST + Line % (DIRQL_LAST - DIRQL_FIRST + 1));
}

BOOLEAN HalpApicRequired(VOID)
{
    return TRUE;
}

// The task priority is CR8, and that is ke's.
VOID HalpAcceptAllPriorities(VOID)
{
}

ULONG HalpSoftwareVector(KIRQL Irql)
{
    return (ULONG)Irql << 4 | 0xF;
}

VOID HalRequestSoftwareInterrupt(KIRQL Irql)
{
    HalpApicSendSelf(HalpSoftwareVector(Irql));
}

VOID HalRequestVector(ULONG Vector)
{
    HalpApicSendSelf(Vector);
}
