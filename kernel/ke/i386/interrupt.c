// SPDX-License-Identifier: MIT
// i386: the soft IRQL, and interrupts under it.
//
// The IRQL is a byte in the KPCR, and raising it is a store: no controller is told. So an interrupt
// may arrive at or above whose level the processor already is. It is then held: the HAL masks its
// line and acknowledges it, its bit in HeldVectors and its level's bit in KPCR.IRR are set, and the
// interrupted code goes on. Lowering the IRQL looks at IRR and replays what has become due, highest
// first. That pays where it should: raising and lowering happen all the time, an interrupt in
// between hardly ever.
//
// Invariants: IRR's bit n is set exactly when a vector of IRQL n is held, or n is DISPATCH_LEVEL
// and DPCs have been asked for. Both words are this processor's own and change with interrupts off
// or by a single instruction. An interrupt that comes between lowering's store and its look at IRR
// is simply taken.
#include "../ki.h"

FORCEINLINE KIRQL KiVectorIrql(ULONG Number)
{
    return Number < CLOCK_VECTOR ? (KIRQL)((Number - 0x18) / 8)
           : Number < IPI_VECTOR ? CLOCK_LEVEL
                                 : IPI_LEVEL;
}

// The byte of HeldVectors with the eight vectors of an IRQL.
FORCEINLINE ULONG KiHeldByte(KIRQL Irql)
{
    return Irql >= CLOCK_LEVEL ? CLOCK_VECTOR / 8 + (Irql - CLOCK_LEVEL) : Irql + 3u;
}

static VOID KiServe(PKPRCB Prcb, ULONG Number, PKTRAP_FRAME Frame)
{
    KI_VECTOR *Vector = &KiVectors[Number];

    Prcb->InterruptCount++;
    Prcb->InterruptDepth++;
    KiSetIrql(KiVectorIrql(Number));
    KiSti();
    KiCountUp(&Vector->Count);
    Vector->Routine(Vector, Frame);
    KiCli();
    Prcb->InterruptDepth--;
}

static VOID KiHold(PKPCR Pcr, ULONG Number)
{
    Pcr->PrcbData.HeldVectors[Number / 8] |= 1u << (Number % 8);
    Pcr->IRR |= 1u << KiVectorIrql(Number);
}

// Runs one held vector of this IRQL. Interrupts are off.
static VOID KiReplayVector(PKPCR Pcr, KIRQL Irql)
{
    UCHAR *Held = &Pcr->PrcbData.HeldVectors[KiHeldByte(Irql)];
    ULONG Bit = (ULONG)__builtin_ctz(*Held);
    ULONG Number = KiHeldByte(Irql) * 8 + Bit;

    *Held &= ~(1u << Bit);
    if (*Held == 0)
        Pcr->IRR &= ~(1u << Irql);
    KiServe(&Pcr->PrcbData, Number, NULL);
    HalResumeInterrupt(Number);
}

static VOID KiReplayDispatch(PKPCR Pcr)
{
    Pcr->IRR &= ~(1u << DISPATCH_LEVEL);
    KiSetIrql(DISPATCH_LEVEL);
    KiDrainDispatch();
}

// The thread's own affair: the routines may wait, and go on on another processor.
static VOID KiReplayApc(PKPCR Pcr)
{
    Pcr->IRR &= ~(1u << APC_LEVEL);
    KiSetIrql(APC_LEVEL);
    KiSti();
    KiDeliverApcs();
    KiCli();
}

// Everything pending above NewIrql, highest first; leaves at NewIrql. Called with the IRQL lowered
// already, or with interrupts off on the way out of one.
VOID FASTCALL KiReplayInterrupts(KIRQL NewIrql)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    PKPCR Pcr;

    while (Pcr = KeGetPcr(), Pcr->IRR >> NewIrql > 1) { // each round may be on another processor
        KIRQL Irql = (KIRQL)(31 - __builtin_clz(Pcr->IRR));
        if (Irql == DISPATCH_LEVEL)
            KiReplayDispatch(Pcr);
        else if (Irql == APC_LEVEL)
            KiReplayApc(Pcr);
        else
            KiReplayVector(Pcr, Irql);
        KiSetIrql(NewIrql);
    }
    KiRestoreInterrupts(Enabled);
}

// Another processor wants this one to look at its DPCs or APCs: at any IRQL that is a bit to set.
static BOOLEAN KiArriveSoftware(PKPCR Pcr, ULONG Number)
{
    Pcr->IRR |= 1u << (Number == APC_IPI_VECTOR ? APC_LEVEL : DISPATCH_LEVEL);
    HalEndSystemInterrupt(Number);
    return TRUE;
}

// FALSE: it was spurious. TRUE: it has run or is held.
static BOOLEAN KiArrive(PKPCR Pcr, ULONG Number, PKTRAP_FRAME Frame)
{
    if (KiVectorIrql(Number) <= Frame->PreviousIrql) {
        HalHoldInterrupt(Number);
        KiHold(Pcr, Number);
        return TRUE;
    }
    if (!HalBeginSystemInterrupt(Number))
        return FALSE;
    KiServe(&Pcr->PrcbData, Number, Frame);
    HalEndSystemInterrupt(Number);
    KiSetIrql((KIRQL)Frame->PreviousIrql);
    return TRUE;
}

// An 8259 line, masked and acknowledged by the HAL: as if held.
static BOOLEAN KiArriveLegacy(PKPCR Pcr, ULONG Number)
{
    ULONG Forwarded = HalAcknowledgeLegacyInterrupt(Number - LEGACY_VECTOR_BASE);

    if (Forwarded == 0)
        return FALSE;
    KiHold(Pcr, Forwarded);
    return TRUE;
}

VOID FASTCALL KiInterrupt(PKTRAP_FRAME Frame)
{
    PKPCR Pcr = KeGetPcr();
    ULONG Number = Frame->Vector;
    BOOLEAN Arrived = FALSE;

    KiRestartSequence(Frame);
    if (Number - LEGACY_VECTOR_BASE < 16)
        Arrived = KiArriveLegacy(Pcr, Number);
    else if (Number == APC_IPI_VECTOR || Number == DISPATCH_IPI_VECTOR)
        Arrived = KiArriveSoftware(Pcr, Number);
    else if (Number >= DIRQL_VECTOR_BASE && Number != SPURIOUS_VECTOR)
        Arrived = KiArrive(Pcr, Number, Frame);
    if (!Arrived)
        KiCountUp(&KiVectors[Number].Spurious);
    if (Pcr->IRR >> Frame->PreviousIrql > 1)
        KiReplayInterrupts((KIRQL)Frame->PreviousIrql);
}
