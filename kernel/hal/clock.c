// SPDX-License-Identifier: MIT
// clock.c: the periodic clock interrupt, 64 times a second.
//
// The local APIC's timer, where vectors come through the local APIC: its frequency is measured
// against the counter. On a machine with the 8259s alone it is the PIT's channel 0, at their input
// 0.
//
// The period's exact length does not matter to timekeeping: time is read from the counter.
#include "halp.h"

#define CLOCK_RATE       64u
#define APIC_DIVIDE_BY_2 0u
#define PIT_FREQUENCY    1193182u
#define PIT_CHANNEL0     0x40u
#define PIT_COMMAND      0x43u
#define PIT_SET_CHANNEL0 0x34u  // both bytes, mode 2
#define PIT_INPUT        0u

ULONG HalClockVector = CLOCK_VECTOR;
static ULONG64 HalpApicTimerFrequency;  // after the divider
static const char *HalpClockName = "none";

static ULONG64 INIT_CODE HalpReadApicTimer(VOID)
{
    return 0u - (ULONG64)HalpApicRead(APIC_TIMER_CURRENT);
}

static BOOLEAN INIT_CODE HalpMeasureApicTimer(VOID)
{
    HALP_REFERENCE Timer = {"local APIC timer", 0, 0xFFFFFFFF, HalpReadApicTimer};
    HALP_SPAN Longest = {~0ull, HalCounterFrequency / 50}, Result;
    HalpApicWrite(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_2);
    HalpApicWrite(APIC_TIMER, APIC_MASKED);
    HalpApicWrite(APIC_TIMER_INITIAL, 0xFFFFFFFF);
    BOOLEAN Measured = HalpMeasure(&Timer, Longest, &Result);
    HalpApicWrite(APIC_TIMER_INITIAL, 0);
    if (Measured)
        HalpApicTimerFrequency = Result.Ticks * HalCounterFrequency / Result.Counts;
    return Measured && HalpApicTimerFrequency >= CLOCK_RATE;
}

VOID INIT_CODE HalpInitializeClock(VOID)
{
    if (!HalpApicDelivers)
        HalpClockName = "PIT";
    else if (HalpMeasureApicTimer())
        HalpClockName = "local APIC timer";
    else
        KLOG("hal", "the local APIC's timer does not count: no clock");
    HalpNameVector(CLOCK_VECTOR, "clock");
}

static VOID INIT_CODE HalpStartPitClock(VOID)
{
    ULONG Divisor = PIT_FREQUENCY / CLOCK_RATE;
    KiOutByte(PIT_COMMAND, PIT_SET_CHANNEL0);
    KiOutByte(PIT_CHANNEL0, (UCHAR)Divisor);
    KiOutByte(PIT_CHANNEL0, (UCHAR)(Divisor >> 8));
    HalpWireLegacyClock(PIT_INPUT);
}

VOID INIT_CODE HalStartClock(VOID)
{
    if (!HalpApicDelivers) {
        HalpStartPitClock();
        return;
    }
    if (HalpApicTimerFrequency == 0)
        return;
    HalpApicWrite(APIC_TIMER, APIC_TIMER_PERIODIC | CLOCK_VECTOR);
    HalpApicWrite(APIC_TIMER_INITIAL, (ULONG)(HalpApicTimerFrequency / CLOCK_RATE));
}

VOID HalpClockReport(VOID)
{
    KdPrintf("clock: %u Hz by %s", CLOCK_RATE, HalpClockName);
    if (HalpApicTimerFrequency != 0)
        KdPrintf(" at %llu Hz", HalpApicTimerFrequency);
    KdPrintf("\n");
}
