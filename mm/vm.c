// SPDX-License-Identifier: MIT
// The memory manager in numbers and in words: statistics, `!vm`, what an address is.
#include "mi.h"
#include "pool.h"

#define SMALL_SYSTEM_PAGES  0x4000u  // 64 MiB
#define MEDIUM_SYSTEM_PAGES 0x20000u // 512 MiB

static ULONG64 MiPoolBookkeepingPages(VOID)
{
    EX_POOL_STATISTICS Pool;
    ExQueryPoolStatistics(NonPagedPool, &Pool);
    return Pool.BookkeepingPages;
}

static ULONG64 MiCountShootdowns(VOID)
{
    ULONG64 Count = 0;
    for (ULONG i = 0; i < MAXIMUM_PROCESSORS; i++)
        if (MiProcessors[i] != NULL)
            Count += MiProcessors[i]->Shootdowns;
    return Count;
}

VOID MmQueryStatistics(MM_STATISTICS *Statistics)
{
    memset(Statistics, 0, sizeof(*Statistics));
    Statistics->TotalPages = MiTotalPages;
    Statistics->FreePages = MiCountPages(MiPageFree);
    Statistics->UntouchedPages = MiUntouched[MiPageFree];
    Statistics->ZeroedPages = MiCountPages(MiPageZeroed);
    Statistics->ActivePages = MiCountPages(MiPageActive);
    Statistics->BadPages = MiCountPages(MiPageBad);
    Statistics->TablePages = MiTablePages;
    Statistics->PfnPages = MiPfnPages;
    Statistics->ImagePages = MiLoadedPages;
    Statistics->PoolPages[0] = MiPoolPages(MmRegionNonPagedPool);
    Statistics->PoolPages[1] = MiPoolPages(MmRegionNonPagedPoolExecute);
    Statistics->PoolPages[2] = MiPoolPages(MmRegionPagedPool);
    Statistics->PoolBookkeeping = MiPoolBookkeepingPages();
    Statistics->SystemPtePages = MiRangeOf(MmRegionSystemPtes)->Used;
    Statistics->Shootdowns = MiCountShootdowns();
    Statistics->LowestPage = MiLowestPage;
    Statistics->HighestPage = MiHighestPage;
}

ULONG64 MmQueryAvailablePages(ULONG64 *Total)
{
    *Total = MiTotalPages;
    return (ULONG64)MiCountPages(MiPageFree) + MiCountPages(MiPageZeroed);
}

/// MmQuerySystemSize: a rough measure of how much memory there is, for sizing caches and buffers.
/// Returns MmSmallSystem below 64 MiB of RAM, MmMediumSystem below 512 MiB, MmLargeSystem
/// otherwise. IRQL: <= DISPATCH_LEVEL. Fails: never. Source: WDK documentation,
/// "MmQuerySystemSize".
MM_SYSTEMSIZE NTAPI MmQuerySystemSize(VOID)
{
    return MiTotalPages < SMALL_SYSTEM_PAGES    ? MmSmallSystem
           : MiTotalPages < MEDIUM_SYSTEM_PAGES ? MmMediumSystem
                                                : MmLargeSystem;
}
EXPORT(MmQuerySystemSize, DISPATCH_LEVEL, "WDK: MmQuerySystemSize");

// ---- monitor ------------------------------------------------------------------------------------
static VOID MiPrintPages(const char *Name, ULONG64 Pages)
{
    KdPrintf("  %-24s %10llu (%11llu Kb)\n", Name, Pages, Pages << 2);
}

static ULONG64 MiRangePages(MM_REGION_TYPE Type)
{
    return MiRegion[Type].Size >> PAGE_SHIFT;
}

// Stacks, drivers' images, contiguous memory, mm's own arrays.
static ULONG64 MiOtherActivePages(const MM_STATISTICS *Vm)
{
    ULONG64 Known = Vm->ImagePages + Vm->TablePages + Vm->PfnPages + Vm->PoolBookkeeping +
                    Vm->PoolPages[0] + Vm->PoolPages[1] + Vm->PoolPages[2];
    return Vm->ActivePages > Known ? Vm->ActivePages - Known : 0;
}

static BOOLEAN MmVmCommand(const char *Arguments)
{
    MM_STATISTICS Vm;
    MmQueryStatistics(&Vm);
    KdPrintf("*** Virtual Memory Usage ***\n");
    MiPrintPages("Physical Memory:", Vm.TotalPages);
    KdPrintf("  No page file\n");
    MiPrintPages("Available Pages:", Vm.FreePages + Vm.ZeroedPages);
    MiPrintPages("  never touched:", Vm.UntouchedPages);
    MiPrintPages("Active Pages:", Vm.ActivePages);
    MiPrintPages("  kernel and modules:", Vm.ImagePages);
    MiPrintPages("  page tables:", Vm.TablePages);
    MiPrintPages("  PFN database:", Vm.PfnPages);
    MiPrintPages("  pools:", Vm.PoolPages[0] + Vm.PoolPages[1] + Vm.PoolPages[2]);
    MiPrintPages("  pools' bookkeeping:", Vm.PoolBookkeeping);
    MiPrintPages("  others:", MiOtherActivePages(&Vm));
    MiPrintPages("Bad Pages:", Vm.BadPages);
    MiPrintPages("Free System PTEs:", MiRangePages(MmRegionSystemPtes) - Vm.SystemPtePages);
    MiPrintPages("NonPagedPool Usage:", Vm.PoolPages[0]);
    MiPrintPages("NonPagedPool Max:", MiRangePages(MmRegionNonPagedPool));
    MiPrintPages("NonPagedPool X Usage:", Vm.PoolPages[1]);
    MiPrintPages("NonPagedPool X Max:", MiRangePages(MmRegionNonPagedPoolExecute));
    MiPrintPages("PagedPool Usage:", Vm.PoolPages[2]);
    MiPrintPages("PagedPool Maximum:", MiRangePages(MmRegionPagedPool));
    MiPrintPages("Driver Images:", MiRangeOf(MmRegionSystemImages)->Used);
    KdPrintf("  %-24s %10llu\n", "TLB Shootdowns:", Vm.Shootdowns);
    KdPrintf("The regions of the address space:\n");
    MmPrintLayout();
    return TRUE;
}
KD_COMMAND(vm, "!vm", "!vm: memory summary and layout", MmVmCommand, KD_SAFE_IN_BUGCHECK);

// ---- what is this address? ----------------------------------------------------------------------
static VOID MiDescribeMapping(ULONG_PTR Address)
{
    MI_MAPPING Mapping;
    if (!MiQueryMapping(Address, &Mapping)) {
        KdPrintf("memory  not a canonical address\n");
        return;
    }
    if (!Mapping.Valid) {
        KdPrintf("memory  not mapped: %s\n", Mapping.Entry & PTE_SOFT_GUARD   ? "a guard page"
                                             : Mapping.Entry & PTE_SOFT_FREED ? "freed"
                                                                              : "never used");
        return;
    }
    KdPrintf("memory  physical 0x%llX in a %u KiB page,%s%s%s\n",
             PAGE_BYTES(Mapping.Page) + BYTE_OFFSET(Address), 4u << 9 * (Mapping.Level - 1),
             Mapping.Rights & MM_READ ? " read" : "", Mapping.Rights & MM_WRITE ? " write" : "",
             Mapping.Rights & MM_EXECUTE ? " execute" : "");
    KdPrintf("page    %llX, %s\n", (ULONG64)Mapping.Page,
             MiPageStateName(MiQueryPageState(Mapping.Page)));
}

VOID MmDescribeAddress(const VOID *Address)
{
    const MM_REGION *Region = MmFindRegion(Address);
    MI_RECORD Record;
    KdPrintf("region  %s\n", Region != NULL ? Region->Name : "none");
    MiDescribeMapping((ULONG_PTR)Address);
    if (MiLedgerFind((ULONG_PTR)Address, &Record))
        MiDescribeRecord(&Record);
}
