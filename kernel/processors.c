// SPDX-License-Identifier: MIT
// The other processors: from asleep to the idle loop.
//
// Like start.c this stands above all components, since each has something that a processor needs.
// For every processor that the firmware names, one after the other:
//
//   here                                        on the new processor
//   block, idle thread and its stack, caches
//   trampoline filled, ticket laid out
//   INIT, start-up message
//                                               takes the ticket; real mode to the kernel's page
//                                               tables (boot/trampoline.inc); KiProcessorMain:
//                                               descriptors, registers, local APIC
//   compares counters                           compares counters
//   waits until it is active                    active: from here others interrupt it
//                                               idle loop
//
// A processor that does not answer in ANSWER_MICROSECONDS is left alone, with a message. It might
// answer later: so it has to find the ticket, which is then taken back. If it has just been taken,
// the processor is on its way after all, and is waited for. One that is given up gets another INIT,
// which makes it wait for a message that never comes. What was prepared serves the next one.
//
// /NUMPROC=n starts n at most, /ONECPU one; /SAFE knows of no others.
//
// Tests: tests/guest/smp.c and tests/system/test_processors.py.
#include "cpuid.h"
#include "ex.h"
#include "hal.h"
#include "init.h"
#include "mm.h"
#include "pool.h"
#include "processors.h"
#include "ps.h"
#include "rtl.h"

#define IDLE_STACK_PAGES    6u
#define ANSWER_MICROSECONDS 5000000u // an emulator's processors may be kept waiting by its host
#define PROCESSOR_TAG       0x7250654Bu // "KePr"
#define EFER_ACTIVE         0x400u      // the processor's own: long mode is in use
#define CR4_PAE             0x20u
#define CR4_PGE             0x80u

// What the new processor is to become, and how far it is.
typedef struct _KI_NEWCOMER {
    PKPRCB Prcb;               // NULL: nothing is prepared
    PVOID StackBase;
    volatile ULONG Answered;   // its first sign
    volatile ULONG Active;     // its last
} KI_NEWCOMER;

static KI_NEWCOMER KiNewcomer;

// ---- on the new processor -----------------------------------------------------------------------
static DECLSPEC_NORETURN VOID NTAPI KiProcessorMain(KI_NEWCOMER *Newcomer)
{
    PKPRCB Prcb = Newcomer->Prcb;

    KeLoadProcessor(Prcb);                          // -> KPCR, traps that are reported
    MmLoadProcessor();                              // -> memory types as on the others
    HalInitializeProcessor(Prcb->ProcessorNumber);  // -> local APIC, clock
    __atomic_store_n(&Newcomer->Answered, TRUE, __ATOMIC_RELEASE);
    HalFollowCounter();                             // -> time
    KeActivateProcessor(Prcb);
    MmEnterSystemSpace();                           // what changed before nobody had told it
    __atomic_store_n(&Newcomer->Active, TRUE, __ATOMIC_RELEASE);
    KiSti();
    KeIdleLoop();
}

// ---- preparing it -------------------------------------------------------------------------------
static PVOID INIT_CODE KiCreateBlock(VOID)
{
    SIZE_T Pages = BYTES_TO_PAGES(KeProcessorSize());
    PUCHAR Block = MmReserveSystemRange(MmRegionSystemPtes, Pages);

    if (Block != NULL && !MmCommitSystemRange(Block + PAGE_SIZE, Pages - 1, MM_READ | MM_WRITE,
                                              MM_PAGE_ZEROED)) {
        MmReleaseSystemRange(Block, Pages);
        Block = NULL;
    }
    return Block;
}

// What cannot be had is not given back: there is no memory then for anything that follows either.
static BOOLEAN INIT_CODE KiPrepareNewcomer(KI_NEWCOMER *Newcomer, ULONG Number)
{
    PUCHAR Thread = ExAllocatePoolWithTag(NonPagedPoolNx, PS_STATIC_THREAD_SIZE, PROCESSOR_TAG);
    PUCHAR Stack = MmCreateKernelStack(IDLE_STACK_PAGES);
    PVOID Block = KiCreateBlock();

    if (Thread == NULL || Stack == NULL || Block == NULL)
        return FALSE;
    memset(Thread, 0, PS_STATIC_THREAD_SIZE);
    Newcomer->StackBase = Stack;
    Newcomer->Prcb = KePrepareProcessor(Block, Number, (PKTHREAD)(Thread + OB_HEADER_SIZE),
                                        Stack - IDLE_STACK_PAGES * PAGE_SIZE, Stack);
    PsAdoptIdleThread(Thread);
    MmInitializeProcessor(Newcomer->Prcb);
    return ExInitializePoolProcessor(Newcomer->Prcb);
}

// Control registers as they are here. The rest of CR4 comes later: not all of it is allowed before
// paging.
static VOID INIT_CODE KiFillTrampoline(PLOADER_TRAMPOLINE Trampoline, KI_NEWCOMER *Newcomer)
{
    Trampoline->Entry = (ULONG_PTR)KiProcessorMain;
    Trampoline->Stack = (ULONG_PTR)Newcomer->StackBase - 0x20; // amd64: the callee's home space
    Trampoline->Context = (ULONG_PTR)Newcomer;
    Trampoline->Cr3 = KiReadCr3();
    Trampoline->Cr0 = (ULONG)KiReadCr0();
    Trampoline->Cr4 = (ULONG)KiReadCr4() & (CR4_PAE | CR4_PGE);
    Trampoline->HasEfer = KiHasEfer();
    Trampoline->Efer = Trampoline->HasEfer ? (ULONG)KiReadMsr(MSR_EFER) & ~EFER_ACTIVE : 0;
    Newcomer->Answered = Newcomer->Active = FALSE;
    __atomic_store_n(&Trampoline->Ticket, TRUE, __ATOMIC_SEQ_CST);
}

// ---- starting it --------------------------------------------------------------------------------
static BOOLEAN INIT_CODE KiAwaitAnswer(ULONG ApicId, ULONG64 Page, PLOADER_TRAMPOLINE Trampoline)
{
    if (HalStartProcessor(ApicId, Page, &KiNewcomer.Answered, ANSWER_MICROSECONDS))
        return TRUE;
    if (__atomic_exchange_n(&Trampoline->Ticket, FALSE, __ATOMIC_SEQ_CST)) {
        HalAbandonProcessor(ApicId);
        return FALSE;
    }
    while (!KiNewcomer.Answered)
        KiPause();
    return TRUE;
}

static VOID INIT_CODE KiMeetNewcomer(VOID)
{
    KIRQL OldIrql = KfRaiseIrql(DISPATCH_LEVEL);

    HalLeadCounter();
    while (!KiNewcomer.Active)
        KiPause();
    KfLowerIrql(OldIrql);
    KiNewcomer.Prcb = NULL;
}

// Returns whether there is memory for another one.
static BOOLEAN INIT_CODE KiStartProcessor(ULONG ApicId, ULONG64 Page, PLOADER_TRAMPOLINE Trampoline)
{
    if (KiNewcomer.Prcb == NULL && !KiPrepareNewcomer(&KiNewcomer, (ULONG)KeNumberProcessors)) {
        KLOG("ke", "no memory for another processor");
        return FALSE;
    }
    KiFillTrampoline(Trampoline, &KiNewcomer);
    if (KiAwaitAnswer(ApicId, Page, Trampoline))
        KiMeetNewcomer();
    else
        KLOG("ke", "the processor with APIC id %u does not answer: going on without it", ApicId);
    return TRUE;
}

static ULONG INIT_CODE KiProcessorLimit(VOID)
{
    ULONG64 Limit = KdQueryOptionNumber("NUMPROC", MAXIMUM_PROCESSORS);

    if (KdQueryOption("ONECPU", NULL, 0) || Limit == 0)
        return 1;
    return Limit < MAXIMUM_PROCESSORS ? (ULONG)Limit : MAXIMUM_PROCESSORS;
}

static ULONG INIT_CODE KiCountOthers(ULONG Limit)
{
    ULONG Index = 0, ApicId, Count = 0;

    while (Count + 1 < Limit && HalEnumerateProcessor(&Index, &ApicId))
        Count++;
    return Count;
}

static VOID INIT_CODE KiStartOthers(ULONG64 Page, PLOADER_TRAMPOLINE Trampoline, ULONG Others)
{
    ULONG Index = 0, ApicId;

    MmPrepareProcessors();
    HalResetProcessors(Others);
    while (Others-- != 0 && HalEnumerateProcessor(&Index, &ApicId))
        if (!KiStartProcessor(ApicId, Page, Trampoline))
            break;
    HalEndProcessorStart();
}

VOID INIT_CODE KiStartProcessors(const LOADER_BLOCK *Block)
{
    ULONG64 Page = Block->TrampolinePage;
    ULONG Others = KiCountOthers(KiProcessorLimit());
    PUCHAR Window;

    if (Others == 0)
        return;
    Window = Page != 0 ? HalMapPhysical(Page, PAGE_SIZE, TRUE) : NULL;
    if (Window == NULL || !MmMapIdentity(Page)) {
        KLOG("ke", "no page below 1 MiB to start other processors in: there is one");
        return;
    }
    KiStartOthers(Page, (PLOADER_TRAMPOLINE)(Window + LOADER_TRAMPOLINE_OFFSET), Others);
    MmUnmapIdentity(Page);
    KLOG("ke", "%u processors", (ULONG)KeNumberProcessors);
}
