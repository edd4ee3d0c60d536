// SPDX-License-Identifier: MIT
// processor.c: the other processors: waking them, and interrupting them.
//
// Which there are, the MADT says. Each waits where reset or firmware left it. INIT puts it into the
// state in which it waits for a start-up message, and the message names the page below 1 MiB at
// which it begins in real mode (Intel, Software Developer's Manual, volume 3, "MP Initialization").
// INIT needs 10 ms before the message, so all get theirs first and wait together; the messages
// follow one by one. A second message is sent if the first was not heeded; a processor that runs
// takes no notice of it.
//
// NT's processor numbers are ke's; a processor tells its own here when it starts
// (HalInitializeProcessor), and ke names receivers by a set of numbers. How a set is reached:
//     all but this one     the APIC's shorthand, if every processor of the machine has been started
//     within the first 8   one command by logical ids (xAPIC mode)
//     x2APIC mode          one command for each cluster of 16 ids
//     otherwise            one command each, by APIC id
// A processor that nobody has started must get nothing: it may still be running firmware's code.
//
// Clocks. Every processor runs its own timer (clock.c). Their time stamp counters have to agree,
// since HalQueryCounter reads them; see counter.c.
//
// Observability: `hwinfo`.
#include "halp.h"

#define INIT_DELAY      10000u // microseconds
#define STARTUP_DELAY   200u
#define LOGICAL_IDS     8u

ULONG HalpBootApicId;
static ULONG HalpApicIds[MAXIMUM_PROCESSORS];  // by processor number
static volatile KAFFINITY HalpRunning;         // numbers in use
static BOOLEAN HalpAllRun;                     // every processor of the machine is among them

// ---- starting -----------------------------------------------------------------------------------
VOID INIT_CODE HalpInitializeBootProcessor(VOID)
{
    HalpBootApicId = HalpApicIds[0] = HalpApicId();
    HalpRunning = 1;
    HalpApicSetLogicalId(1);
}

// Without the local APIC there is no way to reach another processor.
static BOOLEAN INIT_CODE HalpCanStart(ULONG ApicId)
{
    return HalpApicDelivers && ApicId != HalpBootApicId && (HalpX2Apic || ApicId < 0xFF);
}

BOOLEAN INIT_CODE HalEnumerateProcessor(PULONG Index, PULONG ApicId)
{
    while (*Index < HalpAcpi.ProcessorCount) {
        *ApicId = HalpAcpi.ApicId[(*Index)++];
        if (HalpCanStart(*ApicId))
            return TRUE;
    }
    return FALSE;
}

VOID INIT_CODE HalResetProcessors(ULONG Count)
{
    ULONG Index = 0, ApicId;

    while (Count-- != 0 && HalEnumerateProcessor(&Index, &ApicId))
        HalpApicSend(ApicId, APIC_COMMAND_INIT);
    HalStallExecution(INIT_DELAY);
}

VOID INIT_CODE HalAbandonProcessor(ULONG ApicId)
{
    HalpApicSend(ApicId, APIC_COMMAND_INIT);
}

static BOOLEAN INIT_CODE HalpHasAnswered(const volatile ULONG *Answered, ULONG64 Microseconds)
{
    ULONG64 Start = HalQueryCounter();

    while (*Answered == 0)
        if (HalQueryCounter() - Start > HalCounterFrequency / 1000000 * Microseconds)
            return FALSE;
    return TRUE;
}

BOOLEAN INIT_CODE HalStartProcessor(ULONG ApicId, ULONG64 Page, const volatile ULONG *Answered,
                                    ULONG Microseconds)
{
    ULONG Command = APIC_COMMAND_STARTUP | (ULONG)(Page >> PAGE_SHIFT);

    HalpApicSend(ApicId, Command);
    if (HalpHasAnswered(Answered, STARTUP_DELAY))
        return TRUE;
    HalpApicSend(ApicId, Command);
    return HalpHasAnswered(Answered, Microseconds);
}

VOID HalInitializeProcessor(ULONG Number)
{
    HalpApicStartProcessor(Number < LOGICAL_IDS ? 1u << Number : 0);
    HalpApicIds[Number] = HalpApicId();
    __atomic_fetch_or(&HalpRunning, (KAFFINITY)1 << Number, __ATOMIC_SEQ_CST);
    HalpStartLocalClock();
}

VOID INIT_CODE HalEndProcessorStart(VOID)
{
    HalpAllRun = HalCountProcessors(HalpRunning) == HalpAcpi.ProcessorCount;
}

ULONG HalQueryApicId(ULONG Number)
{
    return HalpApicIds[Number];
}

KAFFINITY HalpReachableProcessors(VOID)
{
    KAFFINITY Reachable = 0;

    for (KAFFINITY Left = HalpRunning; Left != 0; Left &= Left - 1) {
        ULONG Number = (ULONG)__builtin_ctzll(Left);
        if (HalpApicIds[Number] <= XAPIC_LARGEST_ID)
            Reachable |= (KAFFINITY)1 << Number;
    }
    return Reachable;
}

// ---- interrupting -------------------------------------------------------------------------------
static VOID HalpSendToEach(KAFFINITY Processors, ULONG Command)
{
    for (; Processors != 0; Processors &= Processors - 1)
        HalpApicSend(HalpApicIds[__builtin_ctzll(Processors)], Command);
}

// x2APIC mode: processors whose ids differ in the last four bits alone are a cluster, which one
// command reaches any set of. The logical ids follow from the ids.
static VOID HalpSendToClusters(KAFFINITY Processors, ULONG Command)
{
    while (Processors != 0) {
        ULONG Cluster = HalpApicIds[__builtin_ctzll(Processors)] >> 4, Members = 0;
        for (KAFFINITY Left = Processors; Left != 0; Left &= Left - 1) {
            ULONG Number = (ULONG)__builtin_ctzll(Left), Id = HalpApicIds[Number];
            if (Id >> 4 != Cluster)
                continue;
            Members |= 1u << (Id & 15);
            Processors &= ~((KAFFINITY)1 << Number);
        }
        HalpApicSend(Cluster << 16 | Members, Command | APIC_COMMAND_LOGICAL);
    }
}

// Processors does not include this one.
static VOID HalpSendToSet(KAFFINITY Processors, KAFFINITY Self, ULONG Command)
{
    if ((Processors & (Processors - 1)) == 0)
        HalpSendToEach(Processors, Command);
    else if (HalpAllRun && (Processors | Self) == HalpRunning)
        HalpApicSend(0, Command | APIC_COMMAND_OTHERS);
    else if (!HalpX2Apic && Processors >> LOGICAL_IDS == 0)
        HalpApicSend((ULONG)Processors, Command | APIC_COMMAND_LOGICAL);
    else if (HalpX2Apic)
        HalpSendToClusters(Processors, Command);
    else
        HalpSendToEach(Processors, Command);
}

VOID HalSendIpi(KAFFINITY Processors, KAFFINITY Self)
{
    HalpSendToSet(Processors, Self, APIC_COMMAND_FIXED | IPI_VECTOR);
}

// Which processors get it does not depend on what they have been told: one by one.
VOID HalSendNmi(KAFFINITY Processors)
{
    HalpSendToEach(Processors, APIC_COMMAND_NMI);
}

VOID HalRequestRemoteInterrupt(ULONG Number, KIRQL Irql)
{
    HalpApicSend(HalpApicIds[Number], APIC_COMMAND_FIXED | HalpSoftwareVector(Irql));
}
