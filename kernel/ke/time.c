// SPDX-License-Identifier: MIT
// Time: the clock interrupt, and the page of shared data that shows what it counts.
//
// The clock interrupts every HAL_CLOCK_INCREMENT (15.625 ms). Interrupt time, system time and tick
// count advance by whole increments, as many as the HAL's counter says have passed: an interrupt
// that was held back or lost delays them and loses nothing. Drivers read the three from
// KUSER_SHARED_DATA directly, the tick count also from KeTickCount (i386).
//
// A finer clock. KeSetClockInterval has the clock interrupt oftener (for ExSetTimerResolution and
// high-resolution timers, kernel/ex/resolution.c). Then interrupt time and system time advance by
// whole intervals, and timers expire at that rate. A tick remains HAL_CLOCK_INCREMENT: the tick
// count, quanta, the DPC rate and the watchdog count in it, each processor adding up its intervals
// until they make one (KiTickIsOver). Interrupt time is never behind the tick count and never goes
// back, whichever the interval was before. When the interval becomes shorter every processor is
// called, and has it from that moment; when longer, each follows at its next clock interrupt.
//
// i386 cannot store a 64-bit time at once, so a KSYSTEM_TIME has its upper half twice: the writer
// stores High2Time, LowPart, High1Time, a reader takes High1Time, LowPart, High2Time until the
// halves agree. amd64 drivers read LowPart and High1Time as one word, and so they are written. One
// processor writes, at CLOCK_LEVEL.
#include "ki.h"

PKUSER_SHARED_DATA KeSharedUserData;
volatile KSYSTEM_TIME KeTickCount;
EXPORT_VARIABLE(KeTickCount, "WDK wdm.h KeTickCount");

ULONG64 KiBootTime;
static volatile ULONG KiClockInterval = HAL_CLOCK_INCREMENT; // what processors are to follow

static ULONG64 KiReadTime(const volatile KSYSTEM_TIME *Time)
{
    ULONG64 High, Low;

    while ((High = (ULONG)Time->High1Time, Low = Time->LowPart, (ULONG)Time->High2Time != High))
        KiPause();
    return High << 32 | Low;
}

ULONG64 KiInterruptTime(VOID)
{
    return KiReadTime(&KeSharedUserData->InterruptTime);
}

// The HAL's counter in 100 ns units, without overflow on the way.
static ULONG64 KiCounterToTime(ULONG64 Counter)
{
    ULONG64 Frequency = HalCounterFrequency;
    return Counter / Frequency * 10000000 + Counter % Frequency * 10000000 / Frequency;
}

// boot/ noted the counter at the kernel's first instruction; without a time stamp counter it is 0,
// and the HAL's own counter starts there too.
ULONG64 KeSystemUptime(VOID)
{
    if (HalCounterFrequency == 0)
        return 0;
    return KiCounterToTime(HalQueryCounter() - KeLoaderBlockStorage.BootTime);
}

// What interrupt time becomes: whole intervals, no less than the ticks or than it is.
static ULONG64 KiNextInterruptTime(ULONG64 Uptime, ULONG64 TickTime)
{
    ULONG64 Interval = KiClockInterval, Last = KiInterruptTime(), Next = TickTime;

    if (Interval != HAL_CLOCK_INCREMENT && Uptime / Interval * Interval > Next)
        Next = Uptime / Interval * Interval;
    return Next > Last ? Next : Last;
}

static VOID KiAdvanceTime(VOID)
{
    ULONG64 Uptime = KeSystemUptime(), Ticks = Uptime / HAL_CLOCK_INCREMENT;
    ULONG64 InterruptTime = KiNextInterruptTime(Uptime, Ticks * HAL_CLOCK_INCREMENT);

    KiStoreTime(&KeSharedUserData->InterruptTime, InterruptTime);
    KiStoreTime(&KeSharedUserData->SystemTime, KiBootTime + InterruptTime);
    KiStoreTime(&KeSharedUserData->TickCount, Ticks);
    KeSharedUserData->TickCountLowDeprecated = (ULONG)Ticks;
    KiStoreTime(&KeTickCount, Ticks);
}

// ---- the interval -------------------------------------------------------------------------------
static VOID KiFollowInterval(PVOID Context)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    BOOLEAN Enabled = KiDisableInterrupts();

    Prcb->ClockInterval = KiClockInterval;
    HalSetClockInterval(Prcb->ClockInterval);
    KiRestoreInterrupts(Enabled);
}

ULONG KeClockInterval(VOID)
{
    return KiClockInterval;
}

VOID KeSetClockInterval(ULONG Interval)
{
    BOOLEAN Shorter = Interval < KiClockInterval;

    ASSERT(Interval >= HAL_CLOCK_MINIMUM && Interval <= HAL_CLOCK_INCREMENT);
    KiClockInterval = Interval;
    if (!Shorter)
        return;
    KiFollowInterval(NULL);
    KeCallOthers(KeActiveProcessors, KiFollowInterval, NULL);
}

// Whether this interrupt completes a HAL_CLOCK_INCREMENT.
static BOOLEAN KiTickIsOver(PKPRCB Prcb)
{
    Prcb->ClockPart += Prcb->ClockInterval;
    if (Prcb->ClockPart < HAL_CLOCK_INCREMENT)
        return FALSE;
    Prcb->ClockPart -= HAL_CLOCK_INCREMENT;
    return TRUE;
}

VOID KiClockInterrupt(KI_VECTOR *Vector, PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KeGetCurrentPrcb();
    BOOLEAN Tick = KiTickIsOver(Prcb);

    HalAcknowledgeClock();
    Prcb->ClockTicks++;
    if (__builtin_expect(Prcb->ClockInterval != KiClockInterval, 0))
        KiFollowInterval(NULL);
    if (Prcb->ProcessorNumber == 0)
        KiAdvanceTime();
    KiCheckTimers(Prcb, KiInterruptTime());
    if (!Tick)
        return;
    KiAdjustDpcRate(Prcb);
    KiChargeQuantum(Prcb);
    KiWatchDispatchLevel(Prcb, Frame);
    KiDebugEvent(KeDebugClock, Frame, NULL);
}

VOID KiInitializeTime(VOID)
{
    KiBootTime = HalQueryRealTime() - KeSystemUptime();
    KiAdvanceTime();
    KeGetPcr()->StallScaleFactor = (ULONG)(HalCounterFrequency / 1000000);
    KiInitializeWatchdog();
    KiConnectVector(HalClockVector, KiClockInterrupt);
}

// KeStallExecutionProcessor: keeps this processor busy for Microseconds.
// IRQL: any. Source: WDK wdm.h, KeStallExecutionProcessor.
VOID NTAPI KeStallExecutionProcessor(ULONG Microseconds)
{
    HalStallExecution(Microseconds);
}
EXPORT(KeStallExecutionProcessor, EXPORT_ANY_IRQL, "WDK wdm.h KeStallExecutionProcessor");

// KeQuerySystemTime: *CurrentTime receives the time in 100 ns units since 1601, UTC, as of the last
// tick.
// IRQL: any. Source: WDK wdm.h, KeQuerySystemTime.
VOID NTAPI KeQuerySystemTime(PLARGE_INTEGER CurrentTime);
VOID NTAPI KeQuerySystemTime(PLARGE_INTEGER CurrentTime)
{
    CurrentTime->QuadPart = (LONGLONG)KiReadTime(&KeSharedUserData->SystemTime);
}
EXPORT(KeQuerySystemTime, EXPORT_ANY_IRQL, "WDK wdm.h KeQuerySystemTime");

// KeQuerySystemTimePrecise: the same, exact to the HAL's counter instead of the tick.
// IRQL: any. Source: WDK wdm.h, KeQuerySystemTimePrecise.
VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime);
VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime)
{
    CurrentTime->QuadPart = (LONGLONG)(KiBootTime + KeSystemUptime());
}
EXPORT(KeQuerySystemTimePrecise, EXPORT_ANY_IRQL, "WDK wdm.h KeQuerySystemTimePrecise");

// KeQueryInterruptTime: 100 ns units since the start, as of the last tick.
// IRQL: any. Source: WDK wdm.h, KeQueryInterruptTime.
ULONGLONG NTAPI KeQueryInterruptTime(VOID);
ULONGLONG NTAPI KeQueryInterruptTime(VOID)
{
    return KiReadTime(&KeSharedUserData->InterruptTime);
}
EXPORT(KeQueryInterruptTime, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryInterruptTime");

// KeQueryInterruptTimePrecise: the same, exact to the HAL's counter; *QpcTimeStamp receives what
// KeQueryPerformanceCounter said at that instant.
// IRQL: any. Source: WDK wdm.h, KeQueryInterruptTimePrecise.
ULONGLONG NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp);
ULONGLONG NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp)
{
    *QpcTimeStamp = HalQueryCounter();
    return KiCounterToTime(*QpcTimeStamp - KeLoaderBlockStorage.BootTime);
}
EXPORT(KeQueryInterruptTimePrecise, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryInterruptTimePrecise");

// KeQueryUnbiasedInterruptTime: the same without the time the system slept, which it never does.
// IRQL: any. Source: WDK wdm.h, KeQueryUnbiasedInterruptTime.
ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(VOID);
ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(VOID)
{
    return KeQueryInterruptTime() - KeSharedUserData->InterruptTimeBias;
}
EXPORT(KeQueryUnbiasedInterruptTime, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryUnbiasedInterruptTime");

// KeQueryUnbiasedInterruptTimePrecise: as KeQueryInterruptTimePrecise, without that time.
// IRQL: any. Source: WDK wdm.h, KeQueryUnbiasedInterruptTimePrecise.
ULONGLONG NTAPI KeQueryUnbiasedInterruptTimePrecise(PULONG64 QpcTimeStamp);
ULONGLONG NTAPI KeQueryUnbiasedInterruptTimePrecise(PULONG64 QpcTimeStamp)
{
    return KeQueryInterruptTimePrecise(QpcTimeStamp) - KeSharedUserData->InterruptTimeBias;
}
EXPORT(KeQueryUnbiasedInterruptTimePrecise, EXPORT_ANY_IRQL,
       "WDK wdm.h KeQueryUnbiasedInterruptTimePrecise");

// KeQueryTickCount: *TickCount receives the number of clock ticks since the start.
// IRQL: any. Source: WDK wdm.h, KeQueryTickCount.
VOID NTAPI KeQueryTickCount(PLARGE_INTEGER TickCount);
VOID NTAPI KeQueryTickCount(PLARGE_INTEGER TickCount)
{
    TickCount->QuadPart = (LONGLONG)KiReadTime(&KeTickCount);
}
EXPORT(KeQueryTickCount, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryTickCount");

// KeQueryTimeIncrement: 100 ns units in a clock tick.
// IRQL: any. Source: WDK wdm.h, KeQueryTimeIncrement.
ULONG NTAPI KeQueryTimeIncrement(VOID);
ULONG NTAPI KeQueryTimeIncrement(VOID)
{
    return HAL_CLOCK_INCREMENT;
}
EXPORT(KeQueryTimeIncrement, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryTimeIncrement");

// KeQueryPerformanceCounter: the finest counter there is; *Frequency (may be NULL) receives its
// ticks in a second.
// IRQL: any. Source: WDK wdm.h, KeQueryPerformanceCounter.
LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER Frequency);
LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER Frequency)
{
    if (Frequency != NULL)
        Frequency->QuadPart = (LONGLONG)HalCounterFrequency;
    return (LARGE_INTEGER){.QuadPart = (LONGLONG)HalQueryCounter()};
}
EXPORT(KeQueryPerformanceCounter, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryPerformanceCounter");
