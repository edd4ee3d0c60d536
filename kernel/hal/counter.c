// SPDX-License-Identifier: MIT
// counter.c: a monotonic counter of known frequency.
//
// The counter is the TSC, which boot/ insists on. Its frequency comes from CPUID where the
// processor or the hypervisor tells, and is measured otherwise, against the first that exists of:
// ACPI's PM timer, the HPET, the PIT's channel 2.
//
// Measuring. The reference is read until it changes, and the counter is read before and after, so
// that each sample knows how wrong it can be: by the time between the two. From a first sample on,
// others are taken until the error is less than 1/5000 of the time between, or 20 ms have passed;
// the best ratio wins. On a machine with slow ports this takes some milliseconds; in an emulator
// that counts instructions as nanoseconds a fraction of one. Being stopped by a hypervisor in the
// middle of a sample makes it a bad sample, not a wrong result. What it could hide is a whole turn
// of a short reference (the PIT's is 55 ms), so two results have to agree.
//
// Several processors. Each has a TSC of its own; machines of this century reset them together, but
// firmware and hypervisors have been seen to set one and forget another. A new processor therefore
// compares its TSC with the first one's (HalFollowCounter, HalLeadCounter: both at the same time):
// in each round it asks, the other reads its TSC, and it reads its own before and after. The round
// with the shortest time between tells most exactly how far they are apart; no more than that time
// is the same as nothing. Else the new processor's TSC is set right, and if then it is still ahead
// or behind, the counter of the system becomes the largest value that any processor has read: never
// backwards, on any of them, at the price of a shared word.
//
// Observability: `hwinfo` names the source.
#include "cpuid.h"
#include "halp.h"

#define CPUID_HYPERVISOR     (1u << 31)
#define HYPERVISOR_BASE      0x40000000u
#define HYPERVISOR_FREQUENCY 0x40000010u
#define CPUID_CRYSTAL        0x15u

#define PM_TIMER_FREQUENCY 3579545u
#define PIT_FREQUENCY      1193182u
#define PIT_CHANNEL2       0x42u
#define PIT_COMMAND        0x43u
#define PIT_GATE           0x61u
#define PIT_SET_CHANNEL2   0xB4u  // both bytes, mode 2
#define PIT_LATCH_CHANNEL2 0x80u

#define HPET_REGISTERS      0x400u
#define HPET_PERIOD         0x004u  // femtoseconds
#define HPET_CONFIGURATION  0x010u
#define HPET_COUNTER        0x0F0u
#define HPET_LONGEST_PERIOD 100000000u
#define FEMTOSECONDS        1000000000000000ull

#define ERROR_SHARE     5000u  // an error of less than 1/5000 is good enough
#define LONGEST_SHARE   50u    // a measurement ends after 1/50 s
#define AGREEMENT_SHARE 200u
#define STILL_LIMIT     100000u

ULONG64 HalCounterFrequency;
static const char *HalpCounterSource = "nothing";
static HALP_REFERENCE HalpReference;

// ---- references ---------------------------------------------------------------------------------
static ULONG64 INIT_CODE HalpReadPmTimer(VOID)
{
    return KiInLong((USHORT)HalpAcpi.PmTimerPort);
}

static volatile UCHAR *HalpHpet;

static ULONG64 INIT_CODE HalpReadHpet(VOID)
{
    return *(volatile ULONG *)(HalpHpet + HPET_COUNTER);
}

// The channel counts down from 65536; latched, so that the two bytes belong together.
static ULONG64 INIT_CODE HalpReadPit(VOID)
{
    KiOutByte(PIT_COMMAND, PIT_LATCH_CHANNEL2);
    ULONG Low = KiInByte(PIT_CHANNEL2);
    return 0x10000 - (Low | (ULONG)KiInByte(PIT_CHANNEL2) << 8);
}

static VOID INIT_CODE HalpStartPit(VOID)
{
    KiOutByte(PIT_GATE, (UCHAR)((KiInByte(PIT_GATE) & ~2) | 1));  // counting, speaker off
    KiOutByte(PIT_COMMAND, PIT_SET_CHANNEL2);
    KiOutByte(PIT_CHANNEL2, 0);
    KiOutByte(PIT_CHANNEL2, 0);
}

// Returns its frequency, 0: there is none.
static ULONG64 INIT_CODE HalpStartHpet(VOID)
{
    if (HalpAcpi.HpetAddress == 0)
        return 0;
    HalpHpet = HalMapPhysical(HalpAcpi.HpetAddress, HPET_REGISTERS, FALSE);
    ULONG Period = HalpHpet != NULL ? *(volatile ULONG *)(HalpHpet + HPET_PERIOD) : 0;
    if (Period == 0 || Period > HPET_LONGEST_PERIOD)
        return 0;
    *(volatile ULONG *)(HalpHpet + HPET_CONFIGURATION) |= 1;
    return FEMTOSECONDS / Period;
}

static BOOLEAN INIT_CODE HalpReferenceRuns(const HALP_REFERENCE *Reference)
{
    ULONG64 First = Reference->Read() & Reference->Mask;
    for (ULONG i = 0; i < STILL_LIMIT; i++)
        if ((Reference->Read() & Reference->Mask) != First)
            return TRUE;
    return FALSE;
}

static BOOLEAN INIT_CODE HalpUseReference(const char *Name, ULONG64 Frequency, ULONG64 Mask,
                                          ULONG64 (*Read)(VOID))
{
    HALP_REFERENCE Reference = {Name, Frequency, Mask, Read};
    if (!HalpReferenceRuns(&Reference))
        return FALSE;
    HalpReference = Reference;
    return TRUE;
}

static BOOLEAN INIT_CODE HalpFindReference(VOID)
{
    ULONG64 PmMask = HalpAcpi.PmTimerWide ? 0xFFFFFFFF : 0xFFFFFF;
    if (HalpAcpi.PmTimerPort != 0 &&
        HalpUseReference("PM timer", PM_TIMER_FREQUENCY, PmMask, HalpReadPmTimer))
        return TRUE;
    ULONG64 Frequency = HalpStartHpet();
    if (Frequency != 0 && HalpUseReference("HPET", Frequency, 0xFFFFFFFF, HalpReadHpet))
        return TRUE;
    HalpStartPit();
    return HalpUseReference("PIT", PIT_FREQUENCY, 0xFFFF, HalpReadPit);
}

// ---- measuring ----------------------------------------------------------------------------------
typedef struct _HALP_SAMPLE {
    ULONG64 Counter;
    ULONG64 Error;  // in units of the counter
    ULONG64 Reference;
} HALP_SAMPLE;

// The counter's value when the reference changes next. FALSE: it has stopped.
static BOOLEAN INIT_CODE HalpSample(const HALP_REFERENCE *Reference, HALP_SAMPLE *Sample)
{
    ULONG64 Old = Reference->Read() & Reference->Mask;
    ULONG64 Before = HalQueryCounter();
    for (ULONG i = 0; i < STILL_LIMIT; i++) {
        ULONG64 New = Reference->Read() & Reference->Mask;
        ULONG64 After = HalQueryCounter();
        if (New != Old) {
            *Sample = (HALP_SAMPLE){Before + (After - Before) / 2, After - Before, New};
            return TRUE;
        }
        Before = After;
    }
    return FALSE;
}

// The most exact of a few.
static BOOLEAN INIT_CODE HalpFirstSample(const HALP_REFERENCE *Reference, HALP_SAMPLE *Best)
{
    HALP_SAMPLE Sample;
    if (!HalpSample(Reference, Best))
        return FALSE;
    for (ULONG i = 0; i < 4 && HalpSample(Reference, &Sample); i++)
        if (Sample.Error < Best->Error)
            *Best = Sample;
    return TRUE;
}

BOOLEAN INIT_CODE HalpMeasure(const HALP_REFERENCE *Reference, HALP_SPAN Longest, HALP_SPAN *Result)
{
    HALP_SAMPLE First, Sample;
    ULONG64 BestError = 0;
    *Result = (HALP_SPAN){0, 0};
    if (!HalpFirstSample(Reference, &First))
        return FALSE;
    while (HalpSample(Reference, &Sample)) {
        ULONG64 Error = First.Error + Sample.Error;
        HALP_SPAN Span = {(Sample.Reference - First.Reference) & Reference->Mask,
                          Sample.Counter - First.Counter};
        if (Result->Counts == 0 || Error * Result->Counts < BestError * Span.Counts) {
            BestError = Error;
            *Result = Span;
        }
        if (Error * ERROR_SHARE < Span.Counts || Span.Ticks > Longest.Ticks ||
            Span.Counts > Longest.Counts)
            return Result->Ticks != 0;
    }
    return FALSE;
}

// The counter's frequency by one measurement, 0: it failed.
static ULONG64 INIT_CODE HalpMeasureCounter(VOID)
{
    HALP_SPAN Longest = {HalpReference.Frequency / LONGEST_SHARE, ~0ull}, Result;
    if (!HalpMeasure(&HalpReference, Longest, &Result))
        return 0;
    return Result.Counts * HalpReference.Frequency / Result.Ticks;
}

static ULONG64 INIT_CODE HalpMeasureUntilAgreed(VOID)
{
    ULONG64 Last = HalpMeasureCounter();
    for (ULONG i = 0; i < 3; i++) {
        ULONG64 Next = HalpMeasureCounter();
        ULONG64 Difference = Next > Last ? Next - Last : Last - Next;
        if (Difference < Next / AGREEMENT_SHARE)
            return Next;
        Last = Next;
    }
    return Last;
}

// ---- what CPUID tells ---------------------------------------------------------------------------
static ULONG64 INIT_CODE HalpHypervisorFrequency(VOID)
{
    ULONG Registers[4];
    KiCpuid(1, 0, Registers);
    if (!(Registers[2] & CPUID_HYPERVISOR))
        return 0;
    KiCpuid(HYPERVISOR_BASE, 0, Registers);
    if (Registers[0] < HYPERVISOR_FREQUENCY || Registers[0] > HYPERVISOR_BASE + 0xFFFF)
        return 0;
    KiCpuid(HYPERVISOR_FREQUENCY, 0, Registers);
    return Registers[0] * 1000ull;
}

// The crystal's frequency times the ratio, where the processor gives all three numbers.
static ULONG64 INIT_CODE HalpProcessorFrequency(VOID)
{
    ULONG Denominator = KiCpuidRegister(CPUID_CRYSTAL, CpuidEax);
    ULONG64 Crystal = KiCpuidRegister(CPUID_CRYSTAL, CpuidEcx);
    if (Denominator == 0)
        return 0;
    return Crystal * KiCpuidRegister(CPUID_CRYSTAL, CpuidEbx) / Denominator;
}

// ---- start --------------------------------------------------------------------------------------
// Before there is ACPI: what can be known without measuring, so that the first lines of the log
// have times.
VOID INIT_CODE HalpEarlyCounter(VOID)
{
    HalpCounterSource = "the hypervisor";
    HalCounterFrequency = HalpHypervisorFrequency();
    if (HalCounterFrequency == 0) {
        HalpCounterSource = "CPUID";
        HalCounterFrequency = HalpProcessorFrequency();
    }
}

VOID INIT_CODE HalpInitializeCounter(VOID)
{
    BOOLEAN Found = HalpFindReference();
    if (HalCounterFrequency == 0 && Found) {
        HalpCounterSource = HalpReference.Name;
        HalCounterFrequency = HalpMeasureUntilAgreed();
    }
    if (HalCounterFrequency == 0) {
        HalpCounterSource = "a guess";  // no timer at all: any number keeps the kernel alive
        HalCounterFrequency = 1000000000;
    }
}

// ---- several processors -------------------------------------------------------------------------
#define MSR_TSC          0x10u
#define MSR_TSC_ADJUST   0x3Bu
#define CPUID_TSC_ADJUST (1u << 1)  // leaf 7, ebx
#define SYNC_ROUNDS      16u

static volatile ULONG HalpSyncAsked, HalpSyncAnswered; // rounds
static volatile ULONG64 HalpSyncValue;
static BOOLEAN HalpSharedCounter;
static volatile ULONG64 HalpLargestCounter;

// How far this processor's TSC is behind the first one's, 0 when no difference can be told.
static LONG64 HalpMeasureLag(VOID)
{
    ULONG64 Shortest = ~0ull;
    LONG64 Lag = 0;

    for (ULONG i = 0; i < SYNC_ROUNDS; i++) {
        ULONG Round = HalpSyncAsked + 1;
        ULONG64 Before = KiReadTsc(), After;
        __atomic_store_n(&HalpSyncAsked, Round, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&HalpSyncAnswered, __ATOMIC_ACQUIRE) != Round)
            KiPause();
        After = KiReadTsc();
        if (After - Before < Shortest) {
            Shortest = After - Before;
            Lag = (LONG64)(HalpSyncValue - (Before + Shortest / 2));
        }
    }
    return (ULONG64)(Lag < 0 ? -Lag : Lag) <= Shortest ? 0 : Lag;
}

static BOOLEAN HalpHasTscAdjust(VOID)
{
    return (KiCpuidRegister(7, CpuidEbx) & CPUID_TSC_ADJUST) != 0;
}

// What is added to the counter can be changed by itself on newer processors: no time is lost then
// between reading the counter and writing it.
static VOID HalpMoveCounter(LONG64 Lag)
{
    if (HalpHasTscAdjust())
        KiWriteMsr(MSR_TSC_ADJUST, KiReadMsr(MSR_TSC_ADJUST) + (ULONG64)Lag);
    else
        KiWriteMsr(MSR_TSC, KiReadTsc() + (ULONG64)Lag);
}

VOID HalFollowCounter(VOID)
{
    LONG64 Lag = HalpMeasureLag();

    if (Lag != 0)
        HalpMoveCounter(Lag);
    if (HalpMeasureLag() != 0)
        HalpSharedCounter = TRUE;
}

VOID HalLeadCounter(VOID)
{
    ULONG Last = HalpSyncAnswered + 2 * SYNC_ROUNDS;

    while (HalpSyncAnswered != Last) {
        ULONG Round = HalpSyncAnswered + 1;
        while (__atomic_load_n(&HalpSyncAsked, __ATOMIC_ACQUIRE) != Round)
            KiPause();
        HalpSyncValue = KiReadTsc();
        __atomic_store_n(&HalpSyncAnswered, Round, __ATOMIC_RELEASE);
    }
}

static ULONG64 HalpQueryShared(VOID)
{
    ULONG64 Largest = __sync_val_compare_and_swap(&HalpLargestCounter, 0, 0);
    ULONG64 Counter = KiReadTsc();

    while (Counter > Largest) {
        ULONG64 Seen = __sync_val_compare_and_swap(&HalpLargestCounter, Largest, Counter);
        if (Seen == Largest)
            return Counter;
        Largest = Seen;
    }
    return Largest;
}

// ---- use ----------------------------------------------------------------------------------------
ULONG64 HalQueryCounter(VOID)
{
    return __builtin_expect(HalpSharedCounter, 0) ? HalpQueryShared() : KiReadTsc();
}

// Before the counter has a frequency, a write to the diagnostic port stands for about a
// microsecond.
static VOID HalpStallByPort(ULONG Microseconds)
{
    while (Microseconds-- > 0)
        KiOutByte(0x80, 0);
}

VOID HalStallExecution(ULONG Microseconds)
{
    if (HalCounterFrequency == 0) {
        HalpStallByPort(Microseconds);
        return;
    }
    ULONG64 Start = HalQueryCounter();
    ULONG64 Ticks = Microseconds * (HalCounterFrequency / 1000) / 1000 + 1;
    while (HalQueryCounter() - Start < Ticks)
        KiPause();
}

// The TSC keeps its pace in every power state.
static BOOLEAN HalpCounterIsInvariant(VOID)
{
    return KiCpuidRegister(0x80000007, CpuidEdx) >> 8 & 1;
}

VOID HalpCounterSummary(HALP_ITEM_ROUTINE *Item)
{
    Item("TSC %llu.%03llu MHz by %s, %s;", HalCounterFrequency / 1000000,
         HalCounterFrequency / 1000 % 1000, HalpCounterSource,
         HalpCounterIsInvariant() ? "invariant" : "not invariant");
    if (HalpSharedCounter)
        Item("the processors' differ;");
    Item("reference: %s;", HalpReference.Name != NULL ? HalpReference.Name : "none");
}
