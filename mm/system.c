// SPDX-License-Identifier: MIT
// System address space: reserving it, putting memory behind it, mapping physical memory into it.
//
// Reserving and committing are apart, because they end apart: a pool gives pages back and keeps the
// address space, a mapping of a device has address space and no pages of its own. What is reserved
// belongs to whoever reserved it, so page table entries are written without a lock.
//
// Bookkeeping, mm's growing arrays (MI_ARRAY) and the pools' descriptors and records, has a region
// of its own that is handed out from low to high. Only the range handed out last can be given back,
// which is what a reservation needs that found no memory.
//
// What the pools give back waits on its processor until other processors are to be interrupted for
// up to 32 ranges at once, when the pools are trimmed at the latest.
//
// An entry that is no longer valid says that it was freed, or that it is a guard page: the fault
// routine and `!pte` tell the reader (mm/fault.c).
//
// Locks: none here but those of mm/range.c, mm/pte.c and mm/pfn.c. Observability: `!vm`.
#include "mi.h"

#define GUARD_PAGES    1u
#define RETURNED_PAGES 128u // of the pools that a processor holds back at most

static MI_RANGE MiRanges[MmRegionMaximum];
static ULONG_PTR MiBookkeepingNext;
static SIZE_T MiPoolPageCount[MmRegionMaximum];
BOOLEAN MiPoolNeverExecutes;

static BOOLEAN MiHasRange(MM_REGION_TYPE Type)
{
    return Type == MmRegionSystemImages || Type == MmRegionSystemPtes ||
           Type == MmRegionPagedPool || Type == MmRegionNonPagedPool ||
           Type == MmRegionNonPagedPoolExecute;
}

MI_RANGE *MiRangeOf(MM_REGION_TYPE Type)
{
    return MiHasRange(Type) && MiRanges[Type].Groups != 0 ? &MiRanges[Type] : NULL;
}

// ---- bookkeeping --------------------------------------------------------------------------------
static PVOID MiReserveBookkeeping(SIZE_T Pages)
{
    const MM_REGION *Region = MmGetRegion(MmRegionBookkeeping);
    ULONG_PTR Base = __atomic_load_n(&MiBookkeepingNext, __ATOMIC_RELAXED);
    do
        if (Pages > (Region->Size - (Base - Region->Base)) >> PAGE_SHIFT)
            return NULL;
    while (!__atomic_compare_exchange_n(&MiBookkeepingNext, &Base, Base + (Pages << PAGE_SHIFT),
                                        FALSE, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return (PVOID)Base;
}

static VOID MiReleaseBookkeeping(PVOID Base, SIZE_T Pages)
{
    ULONG_PTR End = (ULONG_PTR)Base + (Pages << PAGE_SHIFT);
    __atomic_compare_exchange_n(&MiBookkeepingNext, &End, (ULONG_PTR)Base, FALSE, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

VOID INIT_CODE MiCreateArray(MI_ARRAY *Array, SIZE_T Limit)
{
    Array->Limit = ROUND_TO_PAGES(Limit);
    Array->Committed = 0;
    Array->Base = MiReserveBookkeeping(Array->Limit >> PAGE_SHIFT);
    VERIFY(Array->Base != NULL);
}

// Page by page: what was got stays when memory ends, and nothing need be flushed under the lock.
BOOLEAN MiGrowArray(MI_ARRAY *Array, SIZE_T Bytes)
{
    if (Bytes > Array->Limit)
        return FALSE;
    for (; Array->Committed < Bytes; Array->Committed += PAGE_SIZE)
        if (!MmCommitSystemRange(Array->Base + Array->Committed, 1, MM_READ | MM_WRITE,
                                 MM_PAGE_ZEROED))
            return FALSE;
    return TRUE;
}

// ---- reserve ------------------------------------------------------------------------------------
PVOID MmReserveSystemRange(MM_REGION_TYPE Region, SIZE_T Pages)
{
    ASSERT(MiHasRange(Region) || Region == MmRegionBookkeeping);
    if (Region == MmRegionBookkeeping)
        return MiReserveBookkeeping(Pages);
    PVOID Base = MiReserveRange(&MiRanges[Region], Pages);
    if (Base == NULL && Region == MmRegionSystemPtes && MiReleaseKept())
        Base = MiReserveRange(&MiRanges[Region], Pages);
    return Base;
}

static MM_REGION_TYPE MiRegionOfRange(ULONG_PTR Base)
{
    static const UCHAR ByUse[] = {MmRegionSystemPtes,   MmRegionNonPagedPool,
                                  MmRegionPagedPool,    MmRegionNonPagedPoolExecute,
                                  MmRegionSystemImages, MmRegionBookkeeping};
    for (ULONG i = 0; i < RTL_NUMBER_OF(ByUse); i++)
        if (Base - MiRegion[ByUse[i]].Base < MiRegion[ByUse[i]].Size)
            return ByUse[i];
    return MmRegionMaximum;
}

VOID MmReleaseSystemRange(PVOID Base, SIZE_T Pages)
{
    MM_REGION_TYPE Type = MiRegionOfRange((ULONG_PTR)Base);
    if (Type == MmRegionBookkeeping)
        MiReleaseBookkeeping(Base, Pages);
    else if (!MiHasRange(Type) || !MiReleaseRange(&MiRanges[Type], Base, Pages))
        KiBugCheck(SYSTEM_PTE_MISUSE, 0x304, (ULONG_PTR)Base, Pages, 0, NULL,
                   "A range of system address space was released that is not reserved.");
}

// ---- commit -------------------------------------------------------------------------------------
static BOOLEAN MiCommitPage(PMMPTE Pte, ULONG Protection, ULONG PageFlags)
{
    PFN_NUMBER Page = MmAllocatePage(PageFlags);
    if (Page == MM_NO_PAGE)
        return FALSE;
    MiPfn(Page)->PteAddress = Pte;
    MiWriteValidPte(Pte, MiMakePte(Page, Protection, MmCached));
    return TRUE;
}

BOOLEAN MmCommitSystemRange(PVOID Base, SIZE_T Pages, ULONG Protection, ULONG PageFlags)
{
    PMMPTE Pte = MiPteOf((ULONG_PTR)Base);
    if (!MiMakeTables(Base, Pages))
        return FALSE;
    for (SIZE_T Done = 0; Done < Pages; Done++) {
        ASSERT((MiReadPte(Pte + Done) & PTE_VALID) == 0);
        if (!MiCommitPage(Pte + Done, Protection, PageFlags)) {
            MmDecommitSystemRange(Base, Done);
            return FALSE;
        }
    }
    return TRUE;
}

// Pages that were given back before (a driver's discardable sections) are passed over. No page is
// freed before every processor has forgotten how it was mapped.
VOID MmDecommitLater(MM_FLUSH *Flush, PVOID Base, SIZE_T Pages)
{
    PMMPTE Pte = MiPteOf((ULONG_PTR)Base);
    for (SIZE_T i = 0; i < Pages; i++) {
        ULONG64 Entry = MiReadPte(Pte + i);
        if ((Entry & PTE_VALID) == 0)
            continue;
        MiWriteInvalidPte(Pte + i, PTE_SOFT_FREED);
        MiFreeLater(Flush, PTE_FRAME(Entry));
    }
    MmFlushLater(Flush, Base, Pages);
}

VOID MmDecommitSystemRange(PVOID Base, SIZE_T Pages)
{
    MM_FLUSH Flush;
    MmBeginFlush(&Flush);
    MmDecommitLater(&Flush, Base, Pages);
    MmFinishFlush(&Flush);
}

static PFN_NUMBER MiZeroesPage(VOID)
{
    static DECLSPEC_ALIGN(PAGE_SIZE) UCHAR Zeroes[PAGE_SIZE];
    MI_MAPPING Mapping;
    VERIFY(MiQueryMapping((ULONG_PTR)Zeroes, &Mapping) && Mapping.Valid);
    return Mapping.Page;
}

VOID MmReplaceSystemPage(MM_FLUSH *Flush, PVOID Base)
{
    PMMPTE Pte = MiPteOf((ULONG_PTR)Base);
    PFN_NUMBER Page = PTE_FRAME(MiReadPte(Pte));
    MiReplacePte(Pte, MiMakePte(MiZeroesPage(), MM_READ, MmCached));
    MmFlushLater(Flush, Base, 1);
    MiFreeLater(Flush, Page);
}

BOOLEAN MmRestoreSystemPage(MM_FLUSH *Flush, PVOID Base)
{
    PMMPTE Pte = MiPteOf((ULONG_PTR)Base);
    PFN_NUMBER Page = MmAllocatePage(MM_PAGE_ZEROED);
    if (Page == MM_NO_PAGE)
        return FALSE;
    MiPfn(Page)->PteAddress = Pte;
    MiReplacePte(Pte, MiMakePte(Page, MM_READ | MM_WRITE, MmCached));
    MmRefreshSystemPage(Base);
    MmFlushLater(Flush, Base, 1);
    return TRUE;
}

VOID MmProtectSystemRange(PVOID Base, SIZE_T Pages, ULONG Protection)
{
    PMMPTE Pte = MiPteOf((ULONG_PTR)Base);
    for (SIZE_T i = 0; i < Pages; i++) {
        ULONG64 Entry = MiReadPte(Pte + i);
        if (Entry & PTE_VALID)
            MiReplacePte(Pte + i, (Entry & ~(PTE_WRITE | PTE_NX)) | MiProtectionBits(Protection));
    }
    MiFlushTlb(Base, Pages);
}

// ---- physical memory ----------------------------------------------------------------------------
PVOID MmMapPhysical(ULONG64 Address, SIZE_T Length, ULONG Protection, MEMORY_CACHING_TYPE Cache)
{
    ULONG Offset = (ULONG)Address & (PAGE_SIZE - 1);
    SIZE_T Pages = (Offset + Length + PAGE_SIZE - 1) >> PAGE_SHIFT;
    ULONG64 First = Address >> PAGE_SHIFT;
    if (Pages == 0 || First >= MiPhysicalLimit || Pages > MiPhysicalLimit - First)
        return NULL;
    if (MiCacheBits[Cache] != 0 && MiIsRam((PFN_NUMBER)First, Pages))
        return NULL;
    PVOID Base = MmReserveSystemRange(MmRegionSystemPtes, Pages);
    if (Base == NULL)
        return NULL;
    if (!MiMakeTables(Base, Pages)) {
        MmReleaseSystemRange(Base, Pages);
        return NULL;
    }
    MiMapPages(Base, (PFN_NUMBER)First, Pages, Protection, Cache);
    return (PUCHAR)Base + Offset;
}

VOID MmUnmapPhysical(PVOID Mapping, SIZE_T Length)
{
    SIZE_T Pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(Mapping, Length);
    MiUnmapPages(PAGE_ALIGN(Mapping), Pages);
    MmReleaseSystemRange(PAGE_ALIGN(Mapping), Pages);
}

// ---- pools --------------------------------------------------------------------------------------
ULONG MmPoolProtection(MM_REGION_TYPE Pool)
{
    BOOLEAN Executes = Pool == MmRegionNonPagedPoolExecute ||
                       (Pool == MmRegionPagedPool && MI_PAGED_POOL_EXECUTES);
    return MM_READ | MM_WRITE | (Executes && !MiPoolNeverExecutes ? MM_EXECUTE : 0);
}

PVOID MmAllocatePoolPages(MM_REGION_TYPE Pool, SIZE_T Pages)
{
    PVOID Base = MmReserveSystemRange(Pool, Pages);
    if (Base == NULL)
        return NULL;
    if (!MmCommitSystemRange(Base, Pages, MmPoolProtection(Pool), MM_PAGE_ANY)) {
        MmReleaseSystemRange(Base, Pages);
        return NULL;
    }
    __atomic_fetch_add(&MiPoolPageCount[Pool], Pages, __ATOMIC_RELAXED);
    return Base;
}

static VOID MiFinishReturned(MM_FLUSH *Returned)
{
    ULONG Count = Returned->Count;
    MmFinishFlush(Returned);
    for (ULONG i = 0; i < Count; i++)
        MmReleaseSystemRange(Returned->Range[i].Base, Returned->Range[i].Pages);
}

VOID MmTrimProcessor(BOOLEAN All)
{
    MI_PROCESSOR *Processor = MiCurrentProcessor();
    MiFinishReturned(&Processor->Returned);
    if (!All)
        return;
    KiAcquireLockAtDpcLevel(&MiPfnLock);
    MiDrainCache(Processor, 0);
    KiReleaseLockFromDpcLevel(&MiPfnLock);
}

// This processor forgets the range at once; the others may see the memory for a while longer, and
// neither its pages nor its addresses are used again before they forget it too.
VOID MmFreePoolPages(PVOID Base, SIZE_T Pages)
{
    MM_REGION_TYPE Pool = MiRegionOfRange((ULONG_PTR)Base);
    KIRQL OldIrql = MiRaiseToDispatch();
    MM_FLUSH *Returned = &MiCurrentProcessor()->Returned;
    MmDecommitLater(Returned, Base, Pages);
    if (KeNumberProcessors == 1 || Returned->Count == MM_FLUSH_RANGES ||
        Returned->Pages >= RETURNED_PAGES)
        MiFinishReturned(Returned);
    else
        MiForgetRange(Base, Pages);
    MiLowerFromDispatch(OldIrql);
    __atomic_fetch_sub(&MiPoolPageCount[Pool], Pages, __ATOMIC_RELAXED);
}

PVOID MmReserveSpecialPool(SIZE_T Pages)
{
    PVOID Base = MmReserveSystemRange(MmRegionSystemPtes, Pages);
    if (Base != NULL)
        MiSetRegion(MmRegionSpecialPool, (ULONG_PTR)Base, Pages << PAGE_SHIFT);
    return Base;
}

SIZE_T MiPoolPages(MM_REGION_TYPE Pool)
{
    return MiPoolPageCount[Pool];
}

// ---- kernel stacks ------------------------------------------------------------------------------
// The guard page is the lowest of the range; an overflow finds nothing mapped there.
PVOID MmCreateKernelStack(SIZE_T Pages)
{
    PUCHAR Guard = MmReserveSystemRange(MmRegionSystemPtes, Pages + GUARD_PAGES);
    if (Guard == NULL)
        return NULL;
    PUCHAR Stack = Guard + GUARD_PAGES * PAGE_SIZE;
    if (!MiMakeTables(Guard, GUARD_PAGES) ||
        !MmCommitSystemRange(Stack, Pages, MM_READ | MM_WRITE, MM_PAGE_ANY)) {
        MmReleaseSystemRange(Guard, Pages + GUARD_PAGES);
        return NULL;
    }
    MiMarkGuard(Guard);
    return Stack + Pages * PAGE_SIZE;
}

VOID MmDeleteKernelStack(PVOID StackBase, SIZE_T Pages)
{
    PUCHAR Stack = (PUCHAR)StackBase - Pages * PAGE_SIZE;
    MmDecommitSystemRange(Stack, Pages);
    MiWriteInvalidPte(MiPteOf((ULONG_PTR)Stack - PAGE_SIZE), 0);
    MmReleaseSystemRange(Stack - GUARD_PAGES * PAGE_SIZE, Pages + GUARD_PAGES);
}

// ---- start --------------------------------------------------------------------------------------
VOID INIT_CODE MiInitializeSystemSpace(VOID)
{
    MiBookkeepingNext = MiRegion[MmRegionBookkeeping].Base;
    for (ULONG i = 0; i < MmRegionMaximum; i++)
        if (MiHasRange(i))
            MiInitializeRange(&MiRanges[i], MiRegion[i].Base, MiRegion[i].Size);
}
