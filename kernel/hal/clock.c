// SPDX-License-Identifier: MIT
// clock.c: the periodic clock interrupt, 64 times a second on every processor, or oftener if asked.
//
// The local APIC's timer, where vectors come through the local APIC: its frequency is measured
// against the counter, once, on the first processor. Where the processor can compare its time stamp
// counter with a deadline (and the counter is the TSC, as it always is here), that is used: it has
// no frequency of its own to measure, and is set anew at each tick (HalAcknowledgeClock). On a
// machine with the 8259s alone it is the PIT's channel 0, at their input 0.
//
// HalSetClockInterval changes the period on the processor that calls it, to HAL_CLOCK_MINIMUM at
// least. The deadline's period is one variable for all of them: ke, which decides,
// has every processor call within one period (kernel/ke/time.c).
//
// The period's exact length does not matter to timekeeping: time is read from the counter.
#include "halp.h"

#define CLOCK_RATE       64u
#define UNITS_A_SECOND   10000000u
#define APIC_DIVIDE_BY_2 0u
#define PIT_FREQUENCY    1193182u
#define PIT_CHANNEL0     0x40u
#define PIT_COMMAND      0x43u
#define PIT_SET_CHANNEL0 0x34u  // both bytes, mode 2
#define PIT_INPUT        0u
#define CPUID_DEADLINE   (1u << 24)
#define MSR_TSC_DEADLINE 0x6E0u

ULONG HalClockVector = CLOCK_VECTOR;
static ULONG64 HalpApicTimerFrequency;  // after the divider
static volatile ULONG HalpDeadlinePeriod; // in counts of the TSC; 0: the timer is periodic itself
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

static BOOLEAN INIT_CODE HalpHasDeadline(VOID)
{
    ULONG Registers[4];
    KiCpuid(1, 0, Registers);
    if (Registers[2] & CPUID_DEADLINE)
        HalpDeadlinePeriod = (ULONG)(HalCounterFrequency / CLOCK_RATE);
    return HalpDeadlinePeriod != 0;
}

VOID INIT_CODE HalpInitializeClock(VOID)
{
    if (!HalpApicDelivers)
        HalpClockName = "PIT";
    else if (HalpHasDeadline())
        HalpClockName = "TSC deadline";
    else if (HalpMeasureApicTimer())
        HalpClockName = "local APIC timer";
    else
        KLOG("hal", "the local APIC's timer does not count: no clock");
    HalpNameVector(CLOCK_VECTOR, "clock");
}

// What a timer of this frequency counts in Interval, in 100 ns units.
static ULONG HalpTicksIn(ULONG Interval, ULONG64 Frequency)
{
    return (ULONG)(Frequency * Interval / UNITS_A_SECOND);
}

static VOID HalpSetPitClock(ULONG Interval)
{
    ULONG Divisor = HalpTicksIn(Interval, PIT_FREQUENCY);
    KiOutByte(PIT_COMMAND, PIT_SET_CHANNEL0);
    KiOutByte(PIT_CHANNEL0, (UCHAR)Divisor);
    KiOutByte(PIT_CHANNEL0, (UCHAR)(Divisor >> 8));
}

static VOID INIT_CODE HalpStartPitClock(VOID)
{
    HalpSetPitClock(HAL_CLOCK_INCREMENT);
    HalpWireLegacyClock(PIT_INPUT);
}

VOID HalpStartLocalClock(VOID)
{
    if (HalpDeadlinePeriod != 0) {
        HalpApicWrite(APIC_TIMER, APIC_TIMER_DEADLINE | CLOCK_VECTOR);
        __asm__ volatile("mfence" ::: "memory");  // the mode before the first deadline
        HalAcknowledgeClock();
    } else if (HalpApicTimerFrequency != 0) {
        HalpApicWrite(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_2);
        HalpApicWrite(APIC_TIMER, APIC_TIMER_PERIODIC | CLOCK_VECTOR);
        HalpApicWrite(APIC_TIMER_INITIAL, (ULONG)(HalpApicTimerFrequency / CLOCK_RATE));
    }
}

VOID HalSetClockInterval(ULONG Interval)
{
    if (!HalpApicDelivers) {
        HalpSetPitClock(Interval);
    } else if (HalpDeadlinePeriod != 0) {
        HalpDeadlinePeriod = HalpTicksIn(Interval, HalCounterFrequency);
        HalAcknowledgeClock();
    } else if (HalpApicTimerFrequency != 0) {
        HalpApicWrite(APIC_TIMER_INITIAL, HalpTicksIn(Interval, HalpApicTimerFrequency));
    }
}

VOID HalAcknowledgeClock(VOID)
{
    if (__builtin_expect(HalpDeadlinePeriod != 0, 0))
        KiWriteMsr(MSR_TSC_DEADLINE, KiReadTsc() + HalpDeadlinePeriod);
}

VOID INIT_CODE HalStartClock(VOID)
{
    if (HalpApicDelivers)
        HalpStartLocalClock();
    else
        HalpStartPitClock();
}

VOID HalpClockSummary(HALP_ITEM_ROUTINE *Item)
{
    Item("clock: %u Hz by %s", CLOCK_RATE, HalpClockName);
    if (HalpApicTimerFrequency != 0)
        Item("at %llu.%03llu MHz", HalpApicTimerFrequency / 1000000,
             HalpApicTimerFrequency / 1000 % 1000);
}
