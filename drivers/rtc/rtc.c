// SPDX-License-Identifier: MIT
// rtc: the CMOS real-time clock and its periodic interrupt, on any PC.
//
// The clock (Motorola MC146818 and everything since) sits behind two ports: an index and a data
// port. That makes every access two steps that nobody may come between, ISR included, so all of
// them happen at the device's IRQL: in the ISR, or in a routine called by KeSynchronizeExecution.
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

// Exported by every HAL, but the headers declare it for i386 alone.
NTHALAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                           ULONG BusInterruptLevel, ULONG BusInterruptVector,
                                           PKIRQL Irql, PKAFFINITY Affinity);

#define RTC_INDEX ((PUCHAR)0x70)
#define RTC_DATA  ((PUCHAR)0x71)
#define RTC_IRQ   8

#define RTC_SECONDS 0x00
#define RTC_MINUTES 0x02
#define RTC_HOURS   0x04
#define RTC_DAY     0x07
#define RTC_MONTH   0x08
#define RTC_YEAR    0x09
#define RTC_A       0x0A // bit 7: being updated; bits 3-0: rate of the periodic interrupt
#define RTC_B       0x0B // bit 6: periodic interrupt; bit 2: binary, not BCD; bit 1: 24 hours
#define RTC_C       0x0C // why it interrupts; reading it lets the next one come

#define RTC_A_UPDATING 0x80
#define RTC_A_RATE     0x0F
#define RTC_RATE_64HZ  0x0A
#define RTC_B_PERIODIC 0x40
#define RTC_B_BINARY   0x04
#define RTC_C_PERIODIC 0x40

#define RTC_TAG 0x20637452 // "Rtc "

typedef struct _RTC_DEVICE {
    PKINTERRUPT Interrupt;
    KDPC Dpc;
    volatile LONG Interrupts; // counted by the ISR
    volatile LONG Ticks;      // of these, seen by the DPC
    UCHAR OldA, OldB;         // the registers as they were
    UCHAR Time[6];            // seconds, minutes, hours, day, month, year
} RTC_DEVICE, *PRTC_DEVICE;

static PRTC_DEVICE RtcDevice;

static UCHAR RtcRead(UCHAR Register)
{
    WRITE_PORT_UCHAR(RTC_INDEX, Register);
    return READ_PORT_UCHAR(RTC_DATA);
}

static VOID RtcWrite(UCHAR Register, UCHAR Value)
{
    WRITE_PORT_UCHAR(RTC_INDEX, Register);
    WRITE_PORT_UCHAR(RTC_DATA, Value);
}

// DIRQL. Reading register C acknowledges, and says whether it was us.
static BOOLEAN NTAPI RtcInterrupt(PKINTERRUPT Interrupt, PVOID Context)
{
    PRTC_DEVICE Device = Context;

    UNREFERENCED_PARAMETER(Interrupt);
    if ((RtcRead(RTC_C) & RTC_C_PERIODIC) == 0)
        return FALSE;
    Device->Interrupts++;
    KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
    return TRUE;
}

// DISPATCH_LEVEL. Several interrupts may have become one DPC: it takes over what the ISR has
// counted.
static VOID NTAPI RtcDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PRTC_DEVICE Device = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedExchange(&Device->Ticks, Device->Interrupts);
}

// DIRQL, by KeSynchronizeExecution, as all below that touch the ports.
static BOOLEAN NTAPI RtcStart(PVOID Context)
{
    PRTC_DEVICE Device = Context;

    Device->OldA = RtcRead(RTC_A);
    Device->OldB = RtcRead(RTC_B);
    RtcWrite(RTC_A, (UCHAR)((Device->OldA & ~RTC_A_RATE & ~RTC_A_UPDATING) | RTC_RATE_64HZ));
    RtcWrite(RTC_B, (UCHAR)(Device->OldB | RTC_B_PERIODIC));
    RtcRead(RTC_C); // whatever was pending
    return TRUE;
}

static BOOLEAN NTAPI RtcStop(PVOID Context)
{
    PRTC_DEVICE Device = Context;

    RtcWrite(RTC_B, Device->OldB);
    RtcWrite(RTC_A, (UCHAR)(Device->OldA & ~RTC_A_UPDATING));
    RtcRead(RTC_C);
    return TRUE;
}

// FALSE while the clock updates itself; the caller tries again.
static BOOLEAN NTAPI RtcReadTime(PVOID Context)
{
    static const UCHAR Registers[6] = {RTC_SECONDS, RTC_MINUTES, RTC_HOURS,
                                       RTC_DAY,     RTC_MONTH,   RTC_YEAR};
    PRTC_DEVICE Device = Context;
    ULONG i;

    if ((RtcRead(RTC_A) & RTC_A_UPDATING) != 0)
        return FALSE;
    for (i = 0; i < 6; i++) {
        UCHAR Value = RtcRead(Registers[i]);
        if ((Device->OldB & RTC_B_BINARY) == 0)
            Value = (UCHAR)((Value >> 4) * 10 + (Value & 0x0F));
        Device->Time[i] = Value;
    }
    return TRUE;
}

static VOID RtcPrintTime(PRTC_DEVICE Device)
{
    ULONG Attempt;

    for (Attempt = 0; Attempt < 100; Attempt++) {
        if (KeSynchronizeExecution(Device->Interrupt, RtcReadTime, Device)) {
            DbgPrint("rtc: the clock says 20%02u-%02u-%02u %02u:%02u:%02u\n", Device->Time[5],
                     Device->Time[4], Device->Time[3], Device->Time[2], Device->Time[1],
                     Device->Time[0]);
            return;
        }
        KeStallExecutionProcessor(50);
    }
    DbgPrint("rtc: the clock never stops updating\n");
}

static VOID NTAPI RtcUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeSynchronizeExecution(RtcDevice->Interrupt, RtcStop, RtcDevice);
    IoDisconnectInterrupt(RtcDevice->Interrupt);
    KeFlushQueuedDpcs();
    DbgPrint("rtc: %ld interrupts, unloaded\n", RtcDevice->Interrupts);
    ExFreePoolWithTag(RtcDevice, RTC_TAG);
    RtcDevice = NULL;
}

static NTSTATUS RtcConnect(PRTC_DEVICE Device)
{
    KAFFINITY Affinity;
    KIRQL Irql;
    ULONG Vector = HalGetInterruptVector(Isa, 0, RTC_IRQ, RTC_IRQ, &Irql, &Affinity);

    if (Vector == 0)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    return IoConnectInterrupt(&Device->Interrupt, RtcInterrupt, Device, NULL, Vector, Irql, Irql,
                              Latched, FALSE, Affinity, FALSE);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PRTC_DEVICE Device = ExAllocatePoolWithTag(NonPagedPool, sizeof(RTC_DEVICE), RTC_TAG);
    NTSTATUS Status;
    ULONG Waited;

    UNREFERENCED_PARAMETER(RegistryPath);
    if (Device == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(Device, sizeof(*Device));
    KeInitializeDpc(&Device->Dpc, RtcDpc, Device);
    Status = RtcConnect(Device);
    if (!NT_SUCCESS(Status)) {
        ExFreePoolWithTag(Device, RTC_TAG);
        return Status;
    }
    KeSynchronizeExecution(Device->Interrupt, RtcStart, Device);
    RtcDevice = Device;
    DriverObject->DriverUnload = RtcUnload;

    // 64 ticks a second: four take about 63 ms. A second without them means there is no clock.
    for (Waited = 0; Device->Ticks < 4 && Waited < 1000000; Waited += 100)
        KeStallExecutionProcessor(100);
    RtcPrintTime(Device);
    if (Device->Ticks >= 4) {
        DbgPrint("rtc: ticking at 64 Hz\n");
        return STATUS_SUCCESS;
    }
    DbgPrint("rtc: no periodic interrupt\n");
    RtcUnload(DriverObject);
    return STATUS_IO_TIMEOUT;
}
