// SPDX-License-Identifier: MIT
// KiSystemStartup: the whole start of the system, one phase a line.
//
// boot/ jumps to KiBootEntry in the kernel's own address space, with interrupts off, on the boot
// stack, with the loader block as only argument. This file stands above all components: it is the
// one place that may call each of them, and the order below is the order in which things come to
// exist.
#include "ex.h"
#include "hal.h"
#include "init.h"
#include "ldr.h"
#include "mm.h"
#include "processors.h"
#include "ps.h"
#include "rtl.h"

#define BOOT_STACK_SIZE (6 * PAGE_SIZE) // the lowest page becomes a guard

LOADER_BLOCK KeLoaderBlockStorage; // filled by boot/ at its physical address
DECLSPEC_ALIGN(PAGE_SIZE) UCHAR KiBootStack[BOOT_STACK_SIZE + PAGE_SIZE];

// The idle thread of the boot processor: what runs here becomes it.
static DECLSPEC_ALIGN(16) UCHAR KiBootThread[PS_STATIC_THREAD_SIZE];

VOID KiConnectRtl(VOID); // upcalls.c
DECLSPEC_NORETURN VOID NTAPI KiBootEntry(PLOADER_BLOCK Block);
DECLSPEC_NORETURN VOID NTAPI KiSystemStartup(PLOADER_BLOCK Block);

static VOID KiReportMachine(PLOADER_BLOCK Block)
{
    MM_STATISTICS Statistics;
    MmQueryStatistics(&Statistics);
    KLOG("ke", "started by %s, interrupts by %s", Block->LoaderName, HalDescribeInterrupts());
    KLOG("ke", "first instruction at %llu by the time stamp counter", Block->BootTime);
    KLOG("mm", "%llu MiB of RAM, %llu KiB in use", Statistics.TotalPages >> 8,
         Statistics.ActivePages << 2);
}

static VOID KiAttachScreen(const LOADER_DISPLAY *Display)
{
    SIZE_T Length = (SIZE_T)Display->Pitch * Display->Height;
    if (Display->Type != LoaderDisplayFramebuffer)
        return;
    PVOID Mapping = MmMapPhysical(Display->Base, Length, MM_READ | MM_WRITE, MmWriteCombined);
    SIZE_T ShadowPages = BYTES_TO_PAGES(HalFramebufferShadowSize(Display));
    PVOID Shadow = ShadowPages != 0 ? MmAllocatePoolPages(MmRegionNonPagedPool, ShadowPages) : NULL;
    if (Mapping != NULL)
        HalAttachFramebuffer(Display, Mapping, Shadow);
}

// Without the memory to find out, interrupt line registers are believed.
static VOID INIT_CODE KiRoutePciInterrupts(VOID)
{
    SIZE_T Pages = BYTES_TO_PAGES(HalPciRouteWorkspace());
    PVOID Workspace = Pages != 0 ? MmAllocatePoolPages(MmRegionNonPagedPool, Pages) : NULL;
    if (Workspace == NULL)
        return;
    HalRoutePci(Workspace, Pages * PAGE_SIZE);
    MmFreePoolPages(Workspace, Pages);
}

// A thread of each processor's for threaded DPCs.
static VOID KiStartThreadedDpcs(VOID)
{
    for (ULONG i = 0; i < (ULONG)KeNumberProcessors; i++)
        VERIFY(NT_SUCCESS(PsStartKernelThread(KeServeThreadedDpcs, KiProcessorBlock[i],
                                              HIGH_PRIORITY, "threaded DPCs")));
}

// clang-format off
// The rest of the start, where waiting is allowed; then what the system is there for.
static VOID NTAPI KiSystemThread(PVOID Context)
{
    PLOADER_BLOCK Block = Context;

    KiRoutePciInterrupts();                         // pools, one processor -> PCI's interrupts
    KiStartProcessors(Block);                       // pools, interrupts -> the other processors
    KiStartThreadedDpcs();                          // processors -> threaded DPCs in threads
    ExInitializeWorkers(PsStartKernelThread);       // threads -> work items, once-a-second chores
    ExInitializeCallbacks();                        // objects -> the callbacks known by name
    LdrInitialize(Block);                           // pools -> driver modules
    MmFreeInitialMemory();                          // all INIT code done -> its pages
    KiReportMachine(Block);
    if (KdQueryOption("RUN", NULL, 0))
        LdrRunBatch();
    KdMonitor();
}

// What a debugger needs to stop at KiSystemStartup.
DECLSPEC_NORETURN VOID NTAPI KiBootEntry(PLOADER_BLOCK Block)
{
    // Phase                                           needs -> gives
    HalInitializeConsole(Block);                    // ports -> serial and VGA text output
    KeInitializeProcessor((PKTHREAD)(KiBootThread + OB_HEADER_SIZE), KiBootStack + PAGE_SIZE,
                          KiBootStack + sizeof(KiBootStack));  // -> KPCR, traps that are reported
    KdInitialize();                                 // loader block -> log, bugchecks, debugger
    KdBreakAtStart((ULONG_PTR)KiSystemStartup);     // options -> nothing; stops where /BREAK says
    KiSystemStartup(Block);
}

DECLSPEC_NORETURN VOID NTAPI KiSystemStartup(PLOADER_BLOCK Block)
{
    // Phase                                           needs -> gives
    MmInitialize(Block);                            // memory map -> pages, address space
    KiAttachScreen(&Block->Display);                // mappings -> framebuffer console
    ExInitializePool();                             // pages -> pools
    ExInitializeLookaside();                        // pools -> lookaside lists
    HalInitializeSystem(Block);                     // HAL region -> interrupt controllers, timers
    KeStartInterrupts();                            // HAL -> IRQLs that mask, the clock, DPCs
    KdEnableBreakIn();                              // interrupt controllers -> Ctrl-C in gdb
    ExInitializeWatch();                            // lists of ex -> they are looked at, checked
    KiConnectRtl();                                 // pools, traps -> strings, exceptions
    PsInitialize();                                 // pools -> the system process
    VERIFY(NT_SUCCESS(PsStartKernelThread(KiSystemThread, Block, PS_SYSTEM_PRIORITY, "system")));
    KeIdleLoop();
}
// clang-format on
