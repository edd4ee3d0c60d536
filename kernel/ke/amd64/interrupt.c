// SPDX-License-Identifier: MIT
// amd64: from an interrupt's arrival to its vector's routine, and out again through the DPCs.
//
// CR8 is the IRQL and the local APIC enforces it: what arrives may run. Its vector's upper nibble
// becomes the new IRQL, interrupts are opened so that higher ones nest, and the vector's routine is
// called.
//
// On the way out DPCs that the service routines queued are run at once, and a switch of threads
// that became due is made, when the interrupted code was below DISPATCH_LEVEL: that saves the
// self-interrupt, which is then asked for only when the interrupted code was at or above it. See
// dpc.c.
#include "../ki.h"

static VOID KiServe(PKPRCB Prcb, ULONG Number, PKTRAP_FRAME Frame)
{
    KI_VECTOR *Vector = &KiVectors[Number];

    Prcb->InterruptCount++;
    Prcb->InterruptDepth++;
    KiSetIrql((KIRQL)(Number >> 4));
    KiSti();
    KiCountUp(&Vector->Count);
    Vector->Routine(Vector, Frame);
    KiCli();
    HalEndSystemInterrupt(Number);
    Prcb->InterruptDepth--;
}

static VOID KiLeaveInterrupt(PKPRCB Prcb, KIRQL PreviousIrql)
{
    if (Prcb->DpcRequested && !Prcb->DpcActive && Prcb->InterruptDepth == 0) {
        if (PreviousIrql < DISPATCH_LEVEL) {
            KiSetIrql(DISPATCH_LEVEL);
            KiDrainDispatch();
        } else {
            HalRequestSoftwareInterrupt(DISPATCH_LEVEL);
        }
    }
    KiSetIrql(PreviousIrql);
}

// The APC_LEVEL self-interrupt. It is the thread's own affair, not interrupt service: the routines
// may wait, and go on on another processor.
static VOID KiApcInterrupt(KIRQL PreviousIrql)
{
    HalEndSystemInterrupt(APC_VECTOR);
    KiSetIrql(APC_LEVEL);
    KiSti();
    KiDeliverApcs();
    KiCli();
    KiSetIrql(PreviousIrql);
}

// An 8259 line: its system vector arrives as soon as CR8 lets it.
static VOID KiForwardLegacy(ULONG Number)
{
    ULONG Forwarded = HalAcknowledgeLegacyInterrupt(Number - LEGACY_VECTOR_BASE);

    if (Forwarded != 0)
        HalRequestVector(Forwarded);
    else
        KiCountUp(&KiVectors[Number].Spurious);
}

VOID FASTCALL KiInterrupt(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    ULONG Number = (ULONG)Frame->Vector;

    KiRestartSequence(Frame);
    if (Number - LEGACY_VECTOR_BASE < 16) {
        KiForwardLegacy(Number);
        return;
    }
    if (Number == APC_VECTOR) {
        KiApcInterrupt((KIRQL)Frame->PreviousIrql);
        return;
    }
    if (!HalBeginSystemInterrupt(Number)) {
        KiCountUp(&KiVectors[Number].Spurious);
        return;
    }
    KiServe(Prcb, Number, Frame);
    KiLeaveInterrupt(Prcb, (KIRQL)Frame->PreviousIrql);
}

VOID KiDpcInterrupt(VOID);

// The DISPATCH_LEVEL self-interrupt, on the DPC stack, interrupts off. Acknowledged before the DPCs
// run: CR8 holds back its class, and the APIC must not hold back anything else.
VOID KiDpcInterrupt(VOID)
{
    HalEndSystemInterrupt(DPC_VECTOR);
    KiRetireDpcs();
}
