// SPDX-License-Identifier: MIT
// Processors: their control blocks, control registers, and who is running.
//
// Every processor has a KPCR, found through GS or FS, with its KPRCB inside. Drivers read both, so
// their heads have NT's layout; what follows is ours (include/prcb.h). KiProcessorBlock finds the
// others. The architecture's processor.c builds descriptor tables and stacks around them. `!pcr`
// prints one.
#include "cpuid.h"
#include "ki.h"

PKPRCB KiProcessorBlock[MAXIMUM_PROCESSORS];
volatile CCHAR KeNumberProcessors;
EXPORT_VARIABLE(KeNumberProcessors, "WDK wdm.h KeNumberProcessors");

const ULONG KiInitialMxCsr = 0x1F80;  // all SIMD exceptions masked, round to nearest

volatile KAFFINITY KeActiveProcessors;

VOID KiInitializePrcb(PKPRCB Prcb, ULONG Number, PKTHREAD IdleThread, PVOID DpcStack)
{
    Prcb->ProcessorNumber = Number;
    Prcb->ProcessorMask = (KAFFINITY)1 << Number;
    KiInitializeRwLocks(Prcb);
    KiInitializeScheduler(Prcb, IdleThread);
    KiInitializeDpcs(Prcb, DpcStack);
    KiInitializeTimers(Prcb);
}

VOID KeActivateProcessor(PKPRCB Prcb)
{
    Prcb->ApicId = HalQueryApicId(Prcb->ProcessorNumber);
    KiPcrOfPrcb(Prcb)->StallScaleFactor = (ULONG)(HalCounterFrequency / 1000000);
    KiProcessorBlock[Prcb->ProcessorNumber] = Prcb;
    __atomic_fetch_or(&KeActiveProcessors, Prcb->ProcessorMask, __ATOMIC_SEQ_CST);
    KeNumberProcessors++; // they start one by one
    if (KeSharedUserData != NULL)
        KeSharedUserData->ActiveProcessorCount = (ULONG)KeNumberProcessors;
}

#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u

typedef struct _KI_FEATURE {
    ULONG Leaf, Register, Bit;  // of CPUID; registers in the order eax, ebx, ecx, edx
    ULONG Cr4;
} KI_FEATURE;

// What is switched on where the processor has it.
static const KI_FEATURE KiFeatures[] = {
    {1, 3, 2, 0x8},        // debugging extensions
    {1, 3, 13, 0x80},      // global pages
    {1, 3, 24, 0x200},     // FXSAVE
    {1, 3, 25, 0x400},     // SSE, and exceptions from it
    {7, 1, 7, 0x100000},   // SMEP: no user page is executed
    {7, 1, 20, 0x200000},  // SMAP: no user page is touched by accident
    {7, 2, 2, 0x800},      // UMIP: user code cannot read descriptor tables
};

VOID KiInitializeControlRegisters(VOID)
{
    ULONG Cr4 = 0;

    for (ULONG i = 0; i < RTL_NUMBER_OF(KiFeatures); i++) {
        const KI_FEATURE *Feature = &KiFeatures[i];
        if (KiCpuidRegister(Feature->Leaf, Feature->Register) >> Feature->Bit & 1)
            Cr4 |= Feature->Cr4;
    }
    KiWriteCr0((KiReadCr0() & ~(ULONG_PTR)(CR0_EM | CR0_TS | CR0_AM)) | CR0_MP | CR0_NE | CR0_WP);
    KiWriteCr4(KiReadCr4() | Cr4);
    __asm__ volatile("fninit");
    if (Cr4 & 0x400)
        __asm__ volatile("ldmxcsr %0" ::"m"(KiInitialMxCsr));
}

// KeGetCurrentThread: the thread that runs on this processor.
// IRQL: any. Source: WDK wdm.h, KeGetCurrentThread.
PKTHREAD NTAPI KeGetCurrentThread(VOID);
PKTHREAD NTAPI KeGetCurrentThread(VOID)
{
    return KiCurrentThread();
}
EXPORT(KeGetCurrentThread, EXPORT_ANY_IRQL, "WDK wdm.h KeGetCurrentThread");

// ---- monitor ------------------------------------------------------------------------------------
static BOOLEAN KiPcrCommand(const char *Arguments)
{
    ULONG64 Number = KeGetCurrentPrcb()->ProcessorNumber;
    if (*Arguments != '\0' && !KdParseNumber(&Arguments, &Number))
        return FALSE;
    if (Number >= MAXIMUM_PROCESSORS || KiProcessorBlock[Number] == NULL) {
        KdPrintf("there is no processor %u\n", (ULONG)Number);
        return TRUE;
    }
    PKPRCB Prcb = KiProcessorBlock[Number];
    PKTHREAD Thread = Prcb->CurrentThread;
    KdPrintf("processor %u   KPCR 0x%p   KPRCB 0x%p   APIC id %u\n", Prcb->ProcessorNumber,
             (PVOID)KiPcrOfPrcb(Prcb), (PVOID)Prcb, Prcb->ApicId);
    KdPrintf("thread \"%s\" 0x%p, stack 0x%p - 0x%p\n", Thread->Name, (PVOID)Thread,
             Thread->StackLimit, Thread->StackBase);
    KdPrintf("interrupts %llu, nested now %u; clock ticks %llu; DPCs %u\n", Prcb->InterruptCount,
             Prcb->InterruptDepth, Prcb->ClockTicks, Prcb->DpcCount);
    return TRUE;
}
KD_COMMAND(pcr, "!pcr", "!pcr [N]: the control region of processor N, of this one without a number",
           KiPcrCommand, KD_SAFE_IN_BUGCHECK);
