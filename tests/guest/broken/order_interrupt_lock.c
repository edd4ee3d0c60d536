// SPDX-License-Identifier: MIT
// BC-192: a synchronised routine acquires a spin lock whose owner waits for the interrupt's lock
// Options: --checked
// Says: is acquired while
// Says: which had it since
#include "broken.h"

NTHALAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                           ULONG BusInterruptLevel, ULONG BusInterruptVector,
                                           PKIRQL Irql, PKAFFINITY Affinity);

static KSPIN_LOCK Lock, InterruptLock;

static BOOLEAN NTAPI Service(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    return FALSE;
}

static BOOLEAN NTAPI Nothing(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    return TRUE;
}

static BOOLEAN NTAPI UseTheLock(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeAcquireSpinLockAtDpcLevel(&Lock);
    KeReleaseSpinLockFromDpcLevel(&Lock);
    return TRUE;
}

BREAK
{
    PKINTERRUPT Interrupt;
    KAFFINITY Affinity;
    KIRQL Irql, OldIrql;
    ULONG Vector = HalGetInterruptVector(Isa, 0, 5, 0, &Irql, &Affinity);

    KeInitializeSpinLock(&Lock);
    KeInitializeSpinLock(&InterruptLock);
    IoConnectInterrupt(&Interrupt, Service, NULL, &InterruptLock, Vector, Irql, Irql, Latched,
                       FALSE, Affinity, FALSE);
    KeAcquireSpinLock(&Lock, &OldIrql);
    KeSynchronizeExecution(Interrupt, Nothing, NULL);
    KeReleaseSpinLock(&Lock, OldIrql);
    Expect(0xC4, 0x1001, (ULONG_PTR)&Lock, (ULONG_PTR)&InterruptLock, 0);
    KeSynchronizeExecution(Interrupt, UseTheLock, NULL);
    return STATUS_SUCCESS;
}
