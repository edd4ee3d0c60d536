// SPDX-License-Identifier: MIT
// interrupt.c: which vector stands for which line or message, and what to do around its service.
//
// Choice of controllers. amd64 needs the local APIC, because CR8 is part of it; its lines come from
// the I/O APICs or, where there are none or by /PIC or /SAFE, from the 8259s through LINT0. i386
// has the same first choice; the second is the 8259s alone, with the local APIC (if any) as a plain
// wire.
//
// A line gets its vector the first time anybody asks and keeps it for good, so every driver that
// shares the line gets the same. A vector's IRQL is fixed by its number; the IRQL's vectors are
// handed out in order, and when they are used up the next lower IRQL's.
//
// Service. Through the local APIC: Begin, the routines, End (the EOI). An 8259 line was
// acknowledged and masked when it arrived (HalAcknowledgeLegacyInterrupt), so its End opens it
// again. i386 masks by IRQL in software: a vector that arrives too early is put off by
// HalHoldInterrupt, and HalResumeInterrupt ends what Hold began; see i386/vector.c.
//
// Observability: `!idt` (ke) prints HalDescribeVector; `hwinfo` the controllers.
#include "halp.h"

HALP_VECTOR HalpVectors[HAL_VECTOR_COUNT];
const HALP_CONTROLLER *HalpController = &HalpPicController;
BOOLEAN HalpApicDelivers;
static HALP_LOCK HalpVectorLock;

// The vector of each 8259 input, 0: nobody wants it.
static UCHAR HalpLegacyVectors[PIC_LINES];
static ULONG HalpSpuriousCount;

// ---- start --------------------------------------------------------------------------------------
static BOOLEAN INIT_CODE HalpWantsIoApic(const LOADER_BLOCK *Block)
{
    return HalpApicExists() && HalpAcpi.IoApicCount > 0 && !HalpQueryOption(Block, "PIC", NULL, 0);
}

VOID INIT_CODE HalpInitializeInterrupts(const LOADER_BLOCK *Block)
{
    BOOLEAN IoApic = HalpWantsIoApic(Block);
    HalpPicInitialize();
    if (HalpApicExists() && HalpApicInitialize(!IoApic) && IoApic && HalpIoApicInitialize() > 0)
        HalpController = &HalpIoApicController;
    else if (IoApic && HalpApic != NULL)
        HalpApicWrite(APIC_LINT0, APIC_MODE_EXTINT);  // no I/O APIC answered
    HalpApicDelivers =
        HalpApic != NULL && (HalpApicRequired() || HalpController == &HalpIoApicController);
}

const char *HalDescribeInterrupts(VOID)
{
    if (HalpController == &HalpIoApicController)
        return "local and I/O APIC";
    return HalpApicDelivers ? "local APIC and 8259" : "8259";
}

VOID INIT_CODE HalpNameVector(ULONG Vector, const char *Name)
{
    HalpVectors[Vector].Kind = HalpVectorFixed;
    HalpVectors[Vector].Name = Name;
}

VOID INIT_CODE HalpWireLegacyClock(ULONG Irq)
{
    HalpLegacyVectors[Irq] = CLOCK_VECTOR;
    HalpPicController.SetMask(Irq, FALSE);
}

// ---- allocation ---------------------------------------------------------------------------------
static ULONG HalpFreeVectorAt(KIRQL Irql)
{
    ULONG First = HalpFirstVector(Irql);
    for (ULONG Vector = First; Vector < First + HalpVectorsPerIrql(); Vector++)
        if (HalpVectors[Vector].Kind == HalpVectorFree)
            return Vector;
    return 0;
}

// A free device vector, at best of the IRQL asked for, else of the next ones below, round to the
// top.
static ULONG HalpFreeVector(KIRQL Preferred)
{
    ULONG Irqls = DIRQL_LAST - DIRQL_FIRST + 1;
    for (ULONG i = 0; i < Irqls; i++) {
        ULONG Irql = DIRQL_FIRST + (Preferred - DIRQL_FIRST + Irqls - i) % Irqls;
        ULONG Vector = HalpFreeVectorAt((KIRQL)Irql);
        if (Vector != 0)
            return Vector;
    }
    return 0;
}

static ULONG HalpVectorOfLine(ULONG Line)
{
    for (ULONG Vector = 0; Vector < HAL_VECTOR_COUNT; Vector++)
        if (HalpVectors[Vector].Kind == HalpVectorLine && HalpVectors[Vector].Line == Line)
            return Vector;
    return 0;
}

static ULONG HalpNewLineVector(ULONG Line)
{
    ULONG Vector = HalpFreeVector(HalpPreferredIrql(Line));
    if (Vector == 0)
        return 0;
    HalpVectors[Vector] = (HALP_VECTOR){.Kind = HalpVectorLine, .Line = Line};
    if (HalpController == &HalpPicController)
        HalpLegacyVectors[Line] = (UCHAR)Vector;
    return Vector;
}

ULONG HalAllocateLineVector(ULONG BusInterruptLevel, PKIRQL Irql)
{
    ULONG Line;
    if (!HalpController->Resolve(BusInterruptLevel, &Line))
        return 0;
    BOOLEAN Enabled = HalpAcquireLock(&HalpVectorLock);
    ULONG Vector = HalpVectorOfLine(Line);
    if (Vector == 0)
        Vector = HalpNewLineVector(Line);
    HalpReleaseLock(&HalpVectorLock, Enabled);
    *Irql = HalVectorToIrql(Vector);
    return Vector;
}

// The IRQL that has most vectors left, so that messages spread.
static KIRQL HalpEmptiestIrql(VOID)
{
    KIRQL Best = DIRQL_FIRST;
    ULONG BestFree = 0;
    for (KIRQL Irql = DIRQL_FIRST; Irql <= DIRQL_LAST; Irql++) {
        ULONG Free = 0, First = HalpFirstVector(Irql);
        for (ULONG i = 0; i < HalpVectorsPerIrql(); i++)
            Free += HalpVectors[First + i].Kind == HalpVectorFree;
        if (Free > BestFree) {
            Best = Irql;
            BestFree = Free;
        }
    }
    return Best;
}

ULONG HalAllocateMessageVector(PKIRQL Irql)
{
    if (!HalpApicDelivers || (HalpAcpi.BootFlags & ACPI_BOOT_NO_MSI))
        return 0;
    BOOLEAN Enabled = HalpAcquireLock(&HalpVectorLock);
    ULONG Vector = HalpFreeVector(HalpEmptiestIrql());
    if (Vector != 0)
        HalpVectors[Vector] = (HALP_VECTOR){.Kind = HalpVectorMessage};
    HalpReleaseLock(&HalpVectorLock, Enabled);
    *Irql = HalVectorToIrql(Vector);
    return Vector;
}

VOID HalComposeMessage(ULONG Vector, ULONG Processor, PULONG64 Address, PULONG Data)
{
    *Address = 0xFEE00000ull | (ULONG64)HalQueryApicId(Processor) << 12;
    *Data = Vector;  // fixed delivery, edge
}

VOID HalFreeMessageVector(ULONG Vector)
{
    ASSERT(Vector < HAL_VECTOR_COUNT && HalpVectors[Vector].Kind == HalpVectorMessage);
    HalpVectors[Vector].Kind = HalpVectorFree;
}

// ---- opening and closing ------------------------------------------------------------------------
// The 8259s are wired to the boot processor.
KAFFINITY HalInterruptTargets(VOID)
{
    return HalpController == &HalpPicController ? 1 : HalpReachableProcessors();
}

BOOLEAN HalEnableSystemInterrupt(ULONG Vector, KIRQL Irql, KINTERRUPT_MODE Mode, ULONG Processor)
{
    HALP_VECTOR *Entry = &HalpVectors[Vector % HAL_VECTOR_COUNT];
    if (Vector >= HAL_VECTOR_COUNT || HalVectorToIrql(Vector) != Irql ||
        Entry->Kind == HalpVectorFree)
        return FALSE;
    if (Entry->Kind != HalpVectorLine)
        return TRUE;
    if (!HalpController->Program(Entry->Line, Vector, Mode, HalQueryApicId(Processor),
                                 &Entry->Level))
        return FALSE;
    Entry->Enabled = TRUE;
    HalpController->SetMask(Entry->Line, FALSE);
    return TRUE;
}

VOID HalDisableSystemInterrupt(ULONG Vector, KIRQL Irql)
{
    UNREFERENCED_PARAMETER(Irql);
    HALP_VECTOR *Entry = &HalpVectors[Vector % HAL_VECTOR_COUNT];
    if (Vector >= HAL_VECTOR_COUNT || Entry->Kind != HalpVectorLine)
        return;
    Entry->Enabled = FALSE;
    HalpController->SetMask(Entry->Line, TRUE);
}

// ---- service ------------------------------------------------------------------------------------
static VOID HalpCountSpurious(VOID)
{
    __atomic_fetch_add(&HalpSpuriousCount, 1, __ATOMIC_RELAXED);
}

BOOLEAN HalBeginSystemInterrupt(ULONG Vector)
{
    if (Vector == SPURIOUS_VECTOR) {
        HalpCountSpurious();
        return FALSE;
    }
    if (Vector == APIC_ERROR_VECTOR) {
        HalpApicHandleError();
        return FALSE;
    }
    return TRUE;
}

VOID HalEndSystemInterrupt(ULONG Vector)
{
    const HALP_VECTOR *Entry = &HalpVectors[Vector];
    if (HalpApicDelivers)
        HalpApicWrite(APIC_EOI, 0);
    if (Entry->Enabled && HalpController == &HalpPicController)
        HalpController->SetMask(Entry->Line, FALSE);
}

// The clock's input is an edge that nobody shares: it needs no mask.
ULONG HalAcknowledgeLegacyInterrupt(ULONG Irq)
{
    if (HalpPicIsSpurious(Irq)) {
        HalpCountSpurious();
        return 0;
    }
    if (HalpLegacyVectors[Irq] != HalClockVector)
        HalpPicController.SetMask(Irq, TRUE);
    HalpPicEnd(Irq);
    return HalpLegacyVectors[Irq];
}

// ---- words --------------------------------------------------------------------------------------
VOID HalDescribeVector(ULONG Vector, char *Buffer, SIZE_T Size)
{
    const HALP_VECTOR *Entry = &HalpVectors[Vector % HAL_VECTOR_COUNT];
    if (Entry->Kind == HalpVectorLine)
        HalpController->Describe(Entry->Line, Buffer, Size);
    else if (Entry->Kind == HalpVectorMessage)
        RtlFormat(Buffer, Size, "message %x", Vector);
    else
        RtlFormat(Buffer, Size, "%s", Entry->Kind == HalpVectorFixed ? Entry->Name : "");
}

ULONG HalpSpuriousInterrupts(VOID)
{
    return HalpSpuriousCount;
}

VOID HalpInterruptReport(VOID)
{
    char Text[64];
    KdPrintf("interrupts: %s, %u spurious, %u APIC errors\n", HalDescribeInterrupts(),
             HalpSpuriousCount, HalpApicErrors());
    if (HalpApic != NULL)
        KdPrintf("  local APIC %u, version %x\n", HalpApicId(), HalpApicRead(APIC_VERSION) & 0xFF);
    HalpIoApicReport();
    HalpPicReport();
    for (ULONG Vector = 0; Vector < HAL_VECTOR_COUNT; Vector++) {
        HalDescribeVector(Vector, Text, sizeof(Text));
        if (Text[0] != '\0')
            KdPrintf("  vector %02x, IRQL %2u: %s\n", Vector, HalVectorToIrql(Vector), Text);
    }
}
