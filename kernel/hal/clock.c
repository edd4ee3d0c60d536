// SPDX-License-Identifier: MIT
// clock.c: the periodic clock interrupt, 64 times a second on every processor.
//
// The local APIC's timer, where vectors come through the local APIC: its frequency is measured
// against the counter, once, on the first processor. Where the processor can compare its time stamp
// counter with a deadline (and the counter is the TSC, as it always is here), that is used: it has
// no frequency of its own to measure, and is set anew at each tick (HalAcknowledgeClock). On a
// machine with the 8259s alone it is the PIT's channel 0, at their input 0.
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
#define CPUID_DEADLINE   (1u << 24)
#define MSR_TSC_DEADLINE 0x6E0u

ULONG HalClockVector = CLOCK_VECTOR;
static ULONG64 HalpApicTimerFrequency;  // after the divider
static ULONG64 HalpDeadlinePeriod;      // in counts of the TSC; 0: the timer is periodic by itself
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
        HalpDeadlinePeriod = HalCounterFrequency / CLOCK_RATE;
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

static VOID INIT_CODE HalpStartPitClock(VOID)
{
    ULONG Divisor = PIT_FREQUENCY / CLOCK_RATE;
    KiOutByte(PIT_COMMAND, PIT_SET_CHANNEL0);
    KiOutByte(PIT_CHANNEL0, (UCHAR)Divisor);
    KiOutByte(PIT_CHANNEL0, (UCHAR)(Divisor >> 8));
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
