// SPDX-License-Identifier: MIT
// Page tables: making them, reading them, cache types, the TLB.
//
// The tables are seen through the self map: the entry for an address lies at a computed address,
// and so does the entry for that entry, one level up (MiEntryOf). Tables of system space are made
// when first needed, and an entry that was reachable once stays reachable, so that readers take no
// lock. A pool's last-level table goes back when nobody has any of its 512 pages reserved: it is
// replaced, in one store, by a table for all such places, which says of every page that it was
// freed. It is free itself after a flush: who reads an entry without a lock reads the old table or
// that one, and finds nothing mapped in either. Nobody writes entries meanwhile, because who writes
// them has reserved the range, and here that is this file.
//
// When such a place gets a table again, other processors may still know the common one. The table
// is PTE_NEW until they do; who needs it meanwhile flushes too.
//
// The top-level entries of all regions are made at start: a later process
// copies them once and has the same system space for ever.
//
// A new table is zeroed through the processor's transient window before it is linked in. The other
// order would let the processor walk, ahead of time, through whatever the page held before.
//
// Cache types. The page attribute table is programmed so that PAT, PCD and PWT select WB, WT, UC-,
// UC as after reset and WC in the fifth place; MTRRs are left as firmware set them. Without a PAT,
// write-combined becomes uncached.
//
// Locks: MiTableLock for all of system space but the PFN database's tables, which MiPfnLock guards.
// Observability: `!pte ADDRESS`.
#include "cpuid.h"
#include "mi.h"

#define MSR_PAT  0x277u
#define CR0_WP   0x10000u
#define CR4_PGE  0x80u
#define CR4_UMIP 0x800u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u

// WB WT UC- UC, then WC WT UC- UC: the first four as after reset.
#define PAT_VALUE 0x0007040100070406ull

#define FLUSH_ALL_PAGES 64u // from so many pages on it is cheaper to forget everything

ULONG64 MiNoExecute, MiGlobal;
ULONG64 MiCacheBits[MmMaximumCacheType] = {
    [MmNonCached] = PTE_PCD | PTE_PWT,
    [MmWriteCombined] = PTE_PCD, // without a PAT firmware's MTRRs may combine writes here
    [MmNonCachedUnordered] = PTE_PCD | PTE_PWT,
    [MmUSWCCached] = PTE_PCD,
};
ULONG MiTablePages;
PFN_NUMBER MiPhysicalLimit;

static KSPIN_LOCK MiTableLock;

// ---- processor ----------------------------------------------------------------------------------
static ULONG INIT_CODE MiProtectionFeatures(VOID)
{
    ULONG Ebx7 = KiCpuidRegister(7, CpuidEbx), Ecx7 = KiCpuidRegister(7, CpuidEcx);
    return (KiCpuidRegister(1, CpuidEdx) & 1u << 13 ? CR4_PGE : 0) |
           (Ebx7 & 1u << 7 ? CR4_SMEP : 0) | (Ebx7 & 1u << 20 ? CR4_SMAP : 0) |
           (Ecx7 & 1u << 2 ? CR4_UMIP : 0);
}

static VOID INIT_CODE MiProgramPat(VOID)
{
    if ((KiCpuidRegister(1, CpuidEdx) & 1u << 16) == 0)
        return;
    MiFlushCaches();
    KiWriteMsr(MSR_PAT, PAT_VALUE);
    KiWriteCr3(KiReadCr3());
    MiCacheBits[MmWriteCombined] = MiCacheBits[MmUSWCCached] = PTE_PAT;
}

VOID INIT_CODE MiEnableProcessorFeatures(VOID)
{
    KiWriteCr0(KiReadCr0() | CR0_WP);
    KiWriteCr4(KiReadCr4() | MiProtectionFeatures());
    MiProgramPat();
}

// Bits of a physical address. Processors that do not say have 36 where they have PSE-36, and QEMU's
// that have PAE alone take 32.
static ULONG INIT_CODE MiPhysicalWidth(VOID)
{
    ULONG Width = KiCpuidRegister(0x80000008u, CpuidEax) & 0xFF;
    if (Width == 0)
        return KiCpuidRegister(1, CpuidEdx) & 1u << 17 ? 36 : 32;
    return Width < 52 ? Width : 52;
}

VOID INIT_CODE MiInitializePageTables(VOID)
{
    ULONG Width = MiPhysicalWidth();
    MiEnableProcessorFeatures();
    MiNoExecute = KiNoExecuteIsOn() ? PTE_NX : 0;
    MiGlobal = KiCpuidRegister(1, CpuidEdx) & 1u << 13 ? PTE_GLOBAL : 0;
    ULONG64 Limit = 1ull << (Width - PAGE_SHIFT); // i386 has no number for as many pages
    MiPhysicalLimit = Limit < MM_NO_PAGE ? (PFN_NUMBER)Limit : MM_NO_PAGE;
    MiBootProcessor.Transient = (PVOID)MM_TRANSIENT_ADDRESS;
    KeInitializeSpinLock(&MiTableLock);
}

VOID MiFlushCaches(VOID)
{
    KiWriteBackCaches();
}

// ---- TLB ----------------------------------------------------------------------------------------
// A shootdown interrupts every other processor and waits for each. Hence MM_FLUSH: what changes
// under a lock, or piece by piece, is noted there and flushed once, and pages that nobody may use
// before are chained to it through their PFN entries. `!vm` counts shootdowns.
static VOID MiFlushOwnTlb(const VOID *Base, SIZE_T Pages)
{
    if (Pages < FLUSH_ALL_PAGES) {
        const UCHAR *Page = Base;
        for (; Pages >= PAGES_A_TURN; Pages -= PAGES_A_TURN, Page += PAGES_A_TURN * PAGE_SIZE)
#pragma GCC unroll 8
            for (ULONG i = 0; i < PAGES_A_TURN; i++)
                KiInvalidatePage(Page + i * PAGE_SIZE);
        for (; Pages != 0; Pages--, Page += PAGE_SIZE)
            KiInvalidatePage(Page);
        return;
    }
    BOOLEAN Enabled = KiDisableInterrupts();
    ULONG_PTR Cr4 = KiReadCr4();
    if (Cr4 & CR4_PGE) {
        KiWriteCr4(Cr4 & ~(ULONG_PTR)CR4_PGE);
        KiWriteCr4(Cr4);
    } else {
        KiWriteCr3(KiReadCr3());
    }
    KiRestoreInterrupts(Enabled);
}

static VOID MiServeFlush(PVOID Context)
{
    const MM_FLUSH *Flush = Context;
    if (Flush->Count > MM_FLUSH_RANGES || Flush->Pages >= FLUSH_ALL_PAGES) {
        MiFlushOwnTlb(NULL, ~(SIZE_T)0);
        return;
    }
    for (ULONG i = 0; i < Flush->Count; i++)
        MiFlushOwnTlb(Flush->Range[i].Base, Flush->Range[i].Pages);
}

// System space is every processor's.
static VOID MiFlushEverywhere(MM_FLUSH *Flush)
{
    KIRQL OldIrql = MiRaiseToDispatch();
    MiServeFlush(Flush);
    if (KeNumberProcessors > 1) {
        MiCurrentProcessor()->Shootdowns++;
        KeCallOthers(KeActiveProcessors, MiServeFlush, Flush);
    }
    MiLowerFromDispatch(OldIrql);
}

VOID MmFlushLater(MM_FLUSH *Flush, PVOID Base, SIZE_T Pages)
{
    Flush->Pages += Pages;
    if (Flush->Count < MM_FLUSH_RANGES) {
        Flush->Range[Flush->Count].Base = Base;
        Flush->Range[Flush->Count].Pages = Pages;
    }
    if (Flush->Count <= MM_FLUSH_RANGES)
        Flush->Count++;
}

VOID MiFreeLater(MM_FLUSH *Flush, PFN_NUMBER Page)
{
    MiPfn(Page)->PteAddress = NULL;
    MiPfn(Page)->u1.Flink = Flush->Held;
    Flush->Held = Page;
    Flush->HeldPages++;
}

VOID MmFinishFlush(MM_FLUSH *Flush)
{
    if (Flush->Pages != 0)
        MiFlushEverywhere(Flush);
    for (; Flush->HeldPages != 0; Flush->HeldPages--) {
        PFN_NUMBER Page = Flush->Held;
        Flush->Held = MiPfn(Page)->u1.Flink;
        MmFreePage(Page);
    }
    MmBeginFlush(Flush);
}

VOID MiFlushTlb(PVOID Base, SIZE_T Pages)
{
    MM_FLUSH Flush;
    if (KeNumberProcessors == 1) {
        MiFlushOwnTlb(Base, Pages);
        return;
    }
    MmBeginFlush(&Flush);
    MmFlushLater(&Flush, Base, Pages);
    MmFinishFlush(&Flush);
}

VOID MiForgetRange(const VOID *Base, SIZE_T Pages)
{
    MiFlushOwnTlb(Base, Pages);
}

VOID MmRefreshSystemPage(const VOID *Base)
{
    KiInvalidatePage(Base);
}

VOID MmEnterSystemSpace(VOID)
{
    MiFlushOwnTlb(NULL, ~(SIZE_T)0);
}

// ---- transient window ---------------------------------------------------------------------------
PVOID MiMapTransient(PFN_NUMBER Page)
{
    PVOID Window = MiCurrentProcessor()->Transient;
    PMMPTE Pte = MiPteOf((ULONG_PTR)Window);
    MiReplacePte(Pte,
                 PAGE_BYTES(Page) | PTE_VALID | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY | MiNoExecute);
    KiInvalidatePage(Window);
    return Window;
}

VOID MiZeroPage(PFN_NUMBER Page)
{
    memset(MiMapTransient(Page), 0, PAGE_SIZE);
}

// ---- reading ------------------------------------------------------------------------------------
static VOID MiNarrowRights(MI_MAPPING *Mapping, ULONG64 Entry)
{
    if ((Entry & PTE_WRITE) == 0)
        Mapping->Rights &= ~MM_WRITE;
    if ((Entry & PTE_NX) != 0)
        Mapping->Rights &= ~MM_EXECUTE;
}

BOOLEAN MiQueryMapping(ULONG_PTR Address, MI_MAPPING *Mapping)
{
    memset(Mapping, 0, sizeof(*Mapping));
    if (!MiIsCanonical(Address))
        return FALSE;
    Mapping->Rights = MM_READ | MM_WRITE | MM_EXECUTE;
    for (ULONG Level = MI_SELF_MAP_LEVELS; Level != 0; Level--) {
        Mapping->Level = Level;
        Mapping->Address = MiEntryOf(Address, Level);
        Mapping->Entry = MiReadPte(Mapping->Address);
        if ((Mapping->Entry & PTE_VALID) == 0)
            return TRUE;
        MiNarrowRights(Mapping, Mapping->Entry);
        if (Level != 1 && (Mapping->Entry & PTE_LARGE) != 0)
            break;
    }
    Mapping->Valid = TRUE;
    PFN_NUMBER Within = ((PFN_NUMBER)1 << 9 * (Mapping->Level - 1)) - 1;
    Mapping->Page = (PTE_FRAME(Mapping->Entry) & ~Within) | (Address >> PAGE_SHIFT & Within);
    return TRUE;
}

// Like MiQueryMapping, for those who want no more than a yes or no.
static BOOLEAN MiIsPresent(ULONG_PTR Address)
{
#pragma GCC unroll 4
    for (ULONG Level = MI_SELF_MAP_LEVELS; Level != 0; Level--) {
        ULONG64 Entry = MiReadPte(MiEntryOf(Address, Level));
        if ((Entry & PTE_VALID) == 0)
            return FALSE;
        if (Level != 1 && (Entry & PTE_LARGE) != 0)
            return TRUE;
    }
    return TRUE;
}

BOOLEAN MmIsMapped(const VOID *Address, ULONG Protection)
{
    MI_MAPPING Mapping;
    return MiQueryMapping((ULONG_PTR)Address, &Mapping) && Mapping.Valid &&
           (Mapping.Rights & Protection) == Protection;
}

// A chunk that has entries keeps them. The one asked for last is known without looking.
BOOLEAN MiIsChunkPopulated(PFN_NUMBER Chunk)
{
    static PFN_NUMBER Known = MM_NO_PAGE;
    if (Chunk == __atomic_load_n(&Known, __ATOMIC_RELAXED))
        return TRUE;
    if (!MiIsPresent((ULONG_PTR)&MiPfnDatabase[Chunk * MI_CHUNK_PAGES]))
        return FALSE;
    __atomic_store_n(&Known, Chunk, __ATOMIC_RELAXED);
    return TRUE;
}

/// MmIsAddressValid: would an access to this byte go without a page fault?
/// The answer holds as long as the caller keeps the memory from being freed, and no longer.
/// VirtualAddress: any. Returns TRUE when it is mapped.
/// IRQL: <= DISPATCH_LEVEL. Fails: never.
/// Source: WDK documentation, "MmIsAddressValid".
BOOLEAN NTAPI MmIsAddressValid(PVOID VirtualAddress)
{
    return MmIsMapped(VirtualAddress, MM_READ);
}
EXPORT(MmIsAddressValid, DISPATCH_LEVEL, "WDK: MmIsAddressValid");

/// MmGetPhysicalAddress: the physical address behind a virtual one.
/// BaseAddress: any; the memory should be nonpaged or locked.
/// Returns the physical address of that byte, 0 when it is not mapped.
/// IRQL: any. Fails: 0.
/// Source: WDK documentation, "MmGetPhysicalAddress".
PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress)
{
    PHYSICAL_ADDRESS Address = {.QuadPart = 0};
    MI_MAPPING Mapping;
    if (MiQueryMapping((ULONG_PTR)BaseAddress, &Mapping) && Mapping.Valid)
        Address.QuadPart = (LONGLONG)(PAGE_BYTES(Mapping.Page) + BYTE_OFFSET(BaseAddress));
    return Address;
}
EXPORT(MmGetPhysicalAddress, EXPORT_ANY_IRQL, "WDK: MmGetPhysicalAddress");

// ---- making -------------------------------------------------------------------------------------
#define PTE_TABLE (PTE_VALID | PTE_WRITE | PTE_ACCESSED)
#define PTE_NEW   0x200ull // software's: of a table that not every processor knows

// What a table becomes that went back. MM_NO_PAGE: none did yet.
static DECLSPEC_ALIGN(PAGE_SIZE) MMPTE MiFreedTable[LARGE_PAGE_PAGES];
static PFN_NUMBER MiFreedTablePage = MM_NO_PAGE;

static BOOLEAN MiIsFreedTable(ULONG64 Entry)
{
    return PTE_FRAME(Entry) == MiFreedTablePage;
}

static BOOLEAN MiLinkTable(PMMPTE Entry, MI_SUPPLY_ROUTINE *Supply, PVOID Context)
{
    PFN_NUMBER Page = Supply(Context);
    if (Page == MM_NO_PAGE)
        return FALSE;
    MiZeroPage(Page);
    MiWriteValidPte(Entry, PAGE_BYTES(Page) | PTE_TABLE);
    MiTablePages++;
    return TRUE;
}

BOOLEAN MiEnsureTables(ULONG_PTR Address, MI_SUPPLY_ROUTINE *Supply, PVOID Context)
{
    for (ULONG Level = MI_SELF_MAP_LEVELS; Level > 1; Level--) {
        PMMPTE Entry = MiEntryOf(Address, Level);
        if ((MiReadPte(Entry) & PTE_VALID) == 0 && !MiLinkTable(Entry, Supply, Context))
            return FALSE;
    }
    return TRUE;
}

static PFN_NUMBER MiSupplyTablePage(PVOID Context)
{
    PFN_NUMBER Page = MmAllocatePage(MM_PAGE_ANY);
    if (Page != MM_NO_PAGE)
        MiPfn(Page)->u3.Fixed = 1;
    return Page;
}

// Tables that were found lately, by the 2 MiB that they map. One that goes back leaves this too.
#define KNOWN_TABLES 16u
static ULONG_PTR MiKnownTable[KNOWN_TABLES];

// Is there a table of its own in which the address has an entry?
static BOOLEAN MiIsReachable(ULONG_PTR Address)
{
    for (ULONG Level = MI_SELF_MAP_LEVELS; Level > 1; Level--)
        if ((MiReadPte(MiEntryOf(Address, Level)) & PTE_VALID) == 0)
            return FALSE;
    return !MiIsFreedTable(MiReadPte(MiEntryOf(Address, 2)));
}

static BOOLEAN MiHasTable(ULONG_PTR Address)
{
    ULONG_PTR Number = Address / LARGE_PAGE_SIZE;
    if (MiKnownTable[Number % KNOWN_TABLES] == Number)
        return TRUE;
    if (!MiIsReachable(Address) || (MiReadPte(MiEntryOf(Address, 2)) & PTE_NEW))
        return FALSE;
    MiKnownTable[Number % KNOWN_TABLES] = Number;
    return TRUE;
}

// Locked: MiTableLock.
static BOOLEAN MiRestoreTable(PMMPTE Entry)
{
    PFN_NUMBER Page = MiSupplyTablePage(NULL);
    if (Page == MM_NO_PAGE)
        return FALSE;
    memcpy(MiMapTransient(Page), MiFreedTable, PAGE_SIZE);
    MiReplacePte(Entry, PAGE_BYTES(Page) | PTE_TABLE | PTE_NEW);
    MiTablePages++;
    return TRUE;
}

static VOID MiSettleTable(ULONG_PTR Address)
{
    PMMPTE Entry = MiEntryOf(Address, 2);
    MiFlushTlb(PAGE_ALIGN(MiPteOf(Address)), 1);
    KIRQL OldIrql = MiAcquire(&MiTableLock);
    MiReplacePte(Entry, MiReadPte(Entry) & ~PTE_NEW);
    MiRelease(&MiTableLock, OldIrql);
}

static BOOLEAN MiMakeTable(ULONG_PTR Address)
{
    PMMPTE Entry = MiEntryOf(Address, 2);
    KIRQL OldIrql = MiAcquire(&MiTableLock);
    BOOLEAN Made = MiEnsureTables(Address, MiSupplyTablePage, NULL) &&
                   (!MiIsFreedTable(MiReadPte(Entry)) || MiRestoreTable(Entry));
    BOOLEAN New = Made && (MiReadPte(Entry) & PTE_NEW) != 0;
    MiRelease(&MiTableLock, OldIrql);
    if (New)
        MiSettleTable(Address);
    return Made;
}

BOOLEAN MiMakeTables(PVOID Base, SIZE_T Pages)
{
    ULONG_PTR Address = (ULONG_PTR)Base, Last = Address + (Pages - 1) * PAGE_SIZE;
    for (;; Address = ALIGN_DOWN_BY(Address, LARGE_PAGE_SIZE) + LARGE_PAGE_SIZE) {
        if (!MiHasTable(Address) && !MiMakeTable(Address))
            return FALSE;
        if (Last - ALIGN_DOWN_BY(Address, LARGE_PAGE_SIZE) < LARGE_PAGE_SIZE)
            return TRUE;
    }
}

// ---- giving back --------------------------------------------------------------------------------
#define TABLES_AT_ONCE 32u // with one flush
#define TABLES_A_LOOK  128u

static VOID MiFindFreedTablePage(VOID)
{
    MI_MAPPING Mapping;
    if (MiFreedTablePage != MM_NO_PAGE)
        return;
    for (ULONG i = 0; i < LARGE_PAGE_PAGES; i++)
        MiFreedTable[i].Long = PTE_SOFT_FREED;
    VERIFY(MiQueryMapping((ULONG_PTR)MiFreedTable, &Mapping) && Mapping.Valid);
    MiFreedTablePage = Mapping.Page;
}

// Its 512 pages are reserved by the caller.
static VOID MiUnlinkTable(MM_FLUSH *Flush, ULONG_PTR Address)
{
    PMMPTE Entry = MiEntryOf(Address, 2);
    ULONG_PTR Number = Address / LARGE_PAGE_SIZE;
    KIRQL OldIrql = MiAcquire(&MiTableLock);
    MiFindFreedTablePage();
    PFN_NUMBER Page = PTE_FRAME(MiReadPte(Entry));
    if (MiKnownTable[Number % KNOWN_TABLES] == Number)
        MiKnownTable[Number % KNOWN_TABLES] = 0;
    MiReplacePte(Entry, PAGE_BYTES(MiFreedTablePage) | PTE_VALID | PTE_ACCESSED);
    MiTablePages--;
    MiRelease(&MiTableLock, OldIrql);
    MiPfn(Page)->u3.Fixed = 0;
    MiFreeLater(Flush, Page);
    MmFlushLater(Flush, MiPteOf(Address), 1);
}

// Looks at up to Looks tables from Address on, until a flush is full; returns where it came.
static ULONG_PTR MiReleaseTables(MI_RANGE *Range, ULONG_PTR Address, ULONG Looks)
{
    ULONG_PTR Released[TABLES_AT_ONCE];
    ULONG Count = 0;
    MM_FLUSH Flush;
    MmBeginFlush(&Flush);
    for (; Looks != 0 && Count < TABLES_AT_ONCE; Looks--, Address += LARGE_PAGE_SIZE) {
        if (!MiIsReachable(Address) || !MiReserveExactly(Range, (PVOID)Address, LARGE_PAGE_PAGES))
            continue;
        if (MiIsReachable(Address))
            MiUnlinkTable(&Flush, Address);
        Released[Count++] = Address;
    }
    MmFinishFlush(&Flush);
    while (Count != 0)
        MiReleaseRange(Range, (PVOID)Released[--Count], LARGE_PAGE_PAGES);
    return Address;
}

static VOID MiTrimTables(MI_RANGE *Range, BOOLEAN All)
{
    ULONG_PTR First = ALIGN_UP_BY(Range->Base, LARGE_PAGE_SIZE);
    ULONG_PTR Size = (ULONG_PTR)Range->Frontier * MI_GROUP_PAGES * PAGE_SIZE;
    ULONG_PTR End = ALIGN_DOWN_BY(Range->Base + Size, LARGE_PAGE_SIZE);
    ULONG_PTR Address = All || Range->TableHint < First || Range->TableHint >= End
                            ? First : Range->TableHint;
    while (Address < End) {
        ULONG_PTR Left = (End - Address) / LARGE_PAGE_SIZE;
        Address = MiReleaseTables(Range, Address,
                                  Left < TABLES_A_LOOK ? (ULONG)Left : TABLES_A_LOOK);
        if (!All)
            break;
    }
    Range->TableHint = Address;
}

VOID MmTrimPoolTables(BOOLEAN All)
{
    static const UCHAR Pools[] = {MmRegionNonPagedPool, MmRegionPagedPool,
                                  MmRegionNonPagedPoolExecute};
    for (ULONG i = 0; i < RTL_NUMBER_OF(Pools); i++)
        if (MiRangeOf(Pools[i]) != NULL)
            MiTrimTables(MiRangeOf(Pools[i]), All);
}

// User space and hyperspace are each process's own. The page directories of i386 all exist from
// boot on.
VOID INIT_CODE MiShareTopLevel(VOID)
{
    KIRQL OldIrql = MiAcquire(&MiTableLock);
    for (ULONG i = MmRegionSharedData; i < MmRegionMaximum && MI_SELF_MAP_LEVELS > 2; i++) {
        PMMPTE Entry = MiEntryOf(MiRegion[i].Base, MI_SELF_MAP_LEVELS);
        if (MiRegion[i].Size != 0 && (MiReadPte(Entry) & PTE_VALID) == 0 &&
            !MiLinkTable(Entry, MiSupplyTablePage, NULL))
            KiBugCheck(NO_PAGES_AVAILABLE, MiTotalPages, 0, 0, 0, NULL,
                       "No RAM for the first page tables.");
    }
    MiRelease(&MiTableLock, OldIrql);
}

VOID MiMapPages(PVOID Base, PFN_NUMBER Page, SIZE_T Pages, ULONG Protection,
                MEMORY_CACHING_TYPE Cache)
{
    PMMPTE Pte = MiPteOf((ULONG_PTR)Base);
    ULONG64 Value = MiMakePte(Page, Protection, Cache);
    for (; Pages >= PAGES_A_TURN; Pages -= PAGES_A_TURN, Pte += PAGES_A_TURN)
#pragma GCC unroll 8
        for (ULONG i = 0; i < PAGES_A_TURN; i++, Value = MiNextPte(Value))
            MiWriteValidPte(Pte + i, Value);
    for (; Pages != 0; Pages--, Pte++, Value = MiNextPte(Value))
        MiWriteValidPte(Pte, Value);
}

VOID MiUnmapPages(PVOID Base, SIZE_T Pages)
{
    PMMPTE Pte = MiPteOf((ULONG_PTR)Base);
    SIZE_T Left = Pages;
    for (; Left >= PAGES_A_TURN; Left -= PAGES_A_TURN, Pte += PAGES_A_TURN)
#pragma GCC unroll 8
        for (ULONG i = 0; i < PAGES_A_TURN; i++)
            MiWriteInvalidPte(Pte + i, PTE_SOFT_FREED);
    for (; Left != 0; Left--, Pte++)
        MiWriteInvalidPte(Pte, PTE_SOFT_FREED);
    MiFlushTlb(Base, Pages);
}

VOID MiMarkGuard(PVOID Page)
{
    MiWriteInvalidPte(MiPteOf((ULONG_PTR)Page), PTE_SOFT_GUARD);
}

// ---- monitor ------------------------------------------------------------------------------------
// C G L D A N T U/K W/R E V, as WinDbg prints them; a clear bit is '-', K, R or blank.
static VOID MiFormatFlags(ULONG64 Entry, char Text[12])
{
    static const struct {
        ULONG64 Bit;
        char Set, Clear;
    } Flag[] = {{0x200, 'C', '-'},     {PTE_GLOBAL, 'G', '-'},   {PTE_LARGE, 'L', '-'},
                {PTE_DIRTY, 'D', '-'}, {PTE_ACCESSED, 'A', '-'}, {PTE_PCD, 'N', '-'},
                {PTE_PWT, 'T', '-'},   {PTE_USER, 'U', 'K'},     {PTE_WRITE, 'W', 'R'},
                {PTE_NX, '-', 'E'},    {PTE_VALID, 'V', ' '}};
    for (ULONG i = 0; i < RTL_NUMBER_OF(Flag); i++)
        Text[i] = Entry & Flag[i].Bit ? Flag[i].Set : Flag[i].Clear;
    Text[RTL_NUMBER_OF(Flag)] = 0;
}

static VOID MiPrintInvalidEntry(ULONG64 Entry)
{
    if (Entry & PTE_SOFT_GUARD)
        KdPrintf("  not valid: guard page\n");
    else if (Entry & PTE_SOFT_FREED)
        KdPrintf("  not valid: freed\n");
    else
        KdPrintf("  not valid\n");
}

static BOOLEAN MmPteCommand(const char *Arguments)
{
    static const char *const Name[] = {"", "PTE", "PDE", "PPE", "PXE"};
    ULONG64 Address;
    if (!KdParseNumber(&Arguments, &Address))
        return FALSE;
    if (!MiIsCanonical((ULONG_PTR)Address)) {
        KdPrintf("%p is not a canonical address\n", (PVOID)(ULONG_PTR)Address);
        return TRUE;
    }
    KdPrintf("                 VA %p\n", (PVOID)(ULONG_PTR)Address);
    for (ULONG Level = MI_SELF_MAP_LEVELS; Level != 0; Level--) {
        PMMPTE Pte = MiEntryOf((ULONG_PTR)Address, Level);
        ULONG64 Entry = MiReadPte(Pte);
        char Flags[12];
        KdPrintf("%s at %p  contains %016llX", Name[Level], Pte, Entry);
        if ((Entry & PTE_VALID) == 0) {
            MiPrintInvalidEntry(Entry);
            return TRUE;
        }
        MiFormatFlags(Entry, Flags);
        KdPrintf("  pfn %-8llX %s\n", (ULONG64)PTE_FRAME(Entry), Flags);
        if (Level != 1 && (Entry & PTE_LARGE) != 0) {
            KdPrintf("  a large page of %u KiB\n", 4u << (9 * (Level - 1)));
            return TRUE;
        }
    }
    return TRUE;
}
KD_COMMAND(pte, "!pte", "!pte ADDRESS: the page table entries that map it", MmPteCommand,
           KD_SAFE_IN_BUGCHECK);
