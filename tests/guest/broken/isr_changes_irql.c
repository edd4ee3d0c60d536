// SPDX-License-Identifier: MIT
// IR-27: a service routine that returns at another IRQL than it was called at.
#include "broken.h"

#define RTC_LINE 8

NTHALAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                           ULONG BusInterruptLevel, ULONG BusInterruptVector,
                                           PKIRQL Irql, PKAFFINITY Affinity);

static UCHAR Rtc(UCHAR Register)
{
    WRITE_PORT_UCHAR((PUCHAR)0x70, Register);
    return READ_PORT_UCHAR((PUCHAR)0x71);
}

static BOOLEAN NTAPI Service(PKINTERRUPT Interrupt, PVOID Context)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    Rtc(0x8C);
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    return TRUE;
}

BREAK
{
    PKINTERRUPT Interrupt = NULL;
    KAFFINITY Affinity;
    KIRQL Irql;
    ULONG Vector = HalGetInterruptVector(Isa, 0, RTC_LINE, RTC_LINE, &Irql, &Affinity);
    UCHAR Enable = Rtc(0x8B) | 0x40;

    IoConnectInterrupt(&Interrupt, Service, NULL, NULL, Vector, Irql, Irql, Latched, FALSE,
                       Affinity, FALSE);
    Expect(0xC8, (ULONG_PTR)HIGH_LEVEL << 16 | (ULONG_PTR)Irql << 8 | 3, (ULONG_PTR)Service,
           (ULONG_PTR)Interrupt, 0);
    Rtc(0x8B);
    WRITE_PORT_UCHAR((PUCHAR)0x71, Enable);
    Rtc(0x8C);
    while (Interrupt != NULL)
        KeStallExecutionProcessor(50);
    return STATUS_SUCCESS;
}
