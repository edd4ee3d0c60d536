// SPDX-License-Identifier: MIT
// mm's private header: page table entries, the PFN database, system address ranges.
//
// Lock order, outermost first; all are spin locks held at DISPATCH_LEVEL:
//
//     MiLedgerLock     who mapped what (mm/ledger.c)
//     MI_RANGE.Lock    one for each region with an allocator (mm/range.c)
//     MiTableLock      page tables of system space, but for the database's (mm/pte.c)
//     MiPfnLock        page lists, RAM table, the database and its page tables (mm/pfn.c, chunk.c)
//
// A processor's page cache and its transient window belong to that processor at DISPATCH_LEVEL; no
// lock.
#pragma once

#include "init.h"
#include "ke.h"
#include "mm.h"
#include "rtl.h"

// Of rare paths: the common one has registers enough then.
#define NOINLINE __attribute__((noinline))

#define PAGES_A_TURN 8u // of loops over pages that are unrolled

// ---- page table entries -------------------------------------------------------------------------
// PAE and long mode share the 64-bit entry. Entries of all levels look alike but for PTE_LARGE,
// which in the lowest level is the PAT bit.
#define PTE_VALID      0x001ull
#define PTE_WRITE      0x002ull
#define PTE_USER       0x004ull
#define PTE_PWT        0x008ull // with PCD and PAT: which of the eight PAT entries
#define PTE_PCD        0x010ull
#define PTE_ACCESSED   0x020ull
#define PTE_DIRTY      0x040ull
#define PTE_LARGE      0x080ull // above the lowest level: maps memory instead of naming a table
#define PTE_PAT        0x080ull // in the lowest level
#define PTE_GLOBAL     0x100ull
#define PTE_NX         0x8000000000000000ull
#define PTE_FRAME_MASK 0x000FFFFFFFFFF000ull

// What an invalid entry says; the processor looks at bit 0 alone. Zero: never used.
#define PTE_SOFT_FREED 0x2ull // was mapped until it was given back
#define PTE_SOFT_GUARD 0x4ull // a guard page: left out on purpose

typedef union _MMPTE {
    ULONG64 Long;
    struct {
        ULONG64 Valid : 1, Write : 1, User : 1, WriteThrough : 1, CacheDisable : 1, Accessed : 1;
        ULONG64 Dirty : 1, Large : 1, Global : 1, Software : 3, Frame : 40, Available : 11,
            NoExecute : 1;
    } Hard;
} MMPTE, *PMMPTE;

#define PTE_FRAME(Long)  ((PFN_NUMBER)(((Long)&PTE_FRAME_MASK) >> PAGE_SHIFT))
#define PAGE_BYTES(Page) ((ULONG64)(Page) << PAGE_SHIFT)

#ifdef LOOKASIDE_HOST
#include "host_mi.h"
#elif defined(_AMD64_)
#include "amd64/miarch.h"
#else
#include "i386/miarch.h"
#endif

#define LARGE_PAGE_SIZE  0x200000u
#define LARGE_PAGE_PAGES 512u

extern ULONG64 MiNoExecute; // PTE_NX, or 0 where the processor has none
extern ULONG64 MiGlobal;    // PTE_GLOBAL, or 0
extern ULONG64 MiCacheBits[MmMaximumCacheType];
extern BOOLEAN MiPoolNeverExecutes; // /NOEXECUTE=ALWAYSON
extern PFN_NUMBER MiPhysicalLimit;  // first page number that the processor cannot address

// The entry of a level (1: lowest) that has to do with an address. The self map makes the table
// entry of an address's table entry the entry one level up.
FORCEINLINE PMMPTE MiPteOf(ULONG_PTR Address)
{
    return (PMMPTE)(PTE_BASE + ((Address >> (PAGE_SHIFT - 3)) & MI_PTE_OFFSET_MASK));
}

FORCEINLINE PMMPTE MiEntryOf(ULONG_PTR Address, ULONG Level)
{
    PMMPTE Entry = MiPteOf(Address);
    while (--Level != 0)
        Entry = MiPteOf((ULONG_PTR)Entry);
    return Entry;
}

FORCEINLINE ULONG64 MiProtectionBits(ULONG Protection)
{
    return (Protection & MM_WRITE ? PTE_WRITE : 0) | (Protection & MM_EXECUTE ? 0 : MiNoExecute);
}

// A valid entry for system space. Accessed and dirty are set beforehand: nobody reads them here,
// and the processor need not write them.
FORCEINLINE ULONG64 MiMakePte(PFN_NUMBER Page, ULONG Protection, MEMORY_CACHING_TYPE Cache)
{
    return PAGE_BYTES(Page) | PTE_VALID | PTE_ACCESSED | PTE_DIRTY | MiGlobal |
           MiProtectionBits(Protection) | MiCacheBits[Cache];
}

// How an address is mapped now.
typedef struct _MI_MAPPING {
    ULONG64 Entry;  // contents of the entry that decides
    PMMPTE Address; // where it is
    ULONG Level;    // 1: a page of 4 KiB, 2: of 2 MiB, 3: of 1 GiB
    BOOLEAN Valid;
    ULONG Rights;    // MM_*, of all levels together
    PFN_NUMBER Page; // the frame of the address's own 4 KiB
} MI_MAPPING;

// IRQL: any; takes no lock. FALSE for an address that is not canonical.
BOOLEAN MiQueryMapping(ULONG_PTR Address, MI_MAPPING *Mapping);

// Supplies one page for a table. Fails: MM_NO_PAGE.
typedef PFN_NUMBER MI_SUPPLY_ROUTINE(PVOID Context);

BOOLEAN MiEnsureTables(ULONG_PTR Address, MI_SUPPLY_ROUTINE *Supply,
                       PVOID Context);           // caller's lock
BOOLEAN MiMakeTables(PVOID Base, SIZE_T Pages);  // IRQL <= DISPATCH_LEVEL. Fails: no page.
VOID MiShareTopLevel(VOID);                      // top-level entries of every region
VOID MiFlushTlb(PVOID Base, SIZE_T Pages);       // on every processor, now
VOID MiForgetRange(const VOID *Base, SIZE_T Pages); // on this processor alone
VOID MiFreeLater(MM_FLUSH *Flush, PFN_NUMBER Page);
// Writes to a page that is mapped nowhere: valid until the next call. IRQL >= DISPATCH_LEVEL.
PVOID MiMapTransient(PFN_NUMBER Page);
VOID MiZeroPage(PFN_NUMBER Page);     // IRQL >= DISPATCH_LEVEL
VOID MiEnableProcessorFeatures(VOID); // CR0.WP, CR4, PAT: on every processor
VOID MiInitializePageTables(VOID);
VOID MiFlushCaches(VOID);  // before memory changes its cache type
extern ULONG MiTablePages; // page tables of system space

// ---- physical memory ----------------------------------------------------------------------------
typedef enum _MI_PAGE_STATE {
    MiPageNone,   // no RAM of ours: a hole, firmware's, a device
    MiPageFree,   // contents unspecified
    MiPageZeroed, // free, and known to be zero
    MiPageActive, // in use
    MiPageBad,    // reported defective
    MiPageStates
} MI_PAGE_STATE;

const char *MiPageStateName(MI_PAGE_STATE State);

// RAM as boot found it, sorted, never overlapping. Decides for pages whose chunk of the PFN
// database is not populated; Free pages there are as good as on the free list.
typedef struct _MI_RAM {
    PFN_NUMBER First, End;
    MI_PAGE_STATE State;
} MI_RAM;

#define MI_RAM_MAX (LOADER_MAX_MEMORY + 128u)
extern MI_RAM MiRam[MI_RAM_MAX];
extern ULONG MiRamCount;
extern PFN_NUMBER MiTotalPages; // of all states but MiPageNone
extern PFN_NUMBER MiLowestPage, MiHighestPage;
extern PFN_NUMBER MiLoadedPages; // kernel image and boot modules

VOID MiInitializeRam(PLOADER_BLOCK Block, PFN_NUMBER Limit);
MI_PAGE_STATE MiRamState(PFN_NUMBER Page);           // what boot found
BOOLEAN MiIsRam(PFN_NUMBER First, PFN_NUMBER Count); // is any of these pages RAM?
ULONG MiCountRam(PFN_NUMBER First, PFN_NUMBER End, MI_PAGE_STATE State);
BOOLEAN MiSetRamState(PFN_NUMBER First, PFN_NUMBER End, MI_PAGE_STATE State); // within one entry

// ---- PFN database -------------------------------------------------------------------------------
#define MI_LIST_END ((PFN_NUMBER)-1)

// One physical page. Where the two forms of a word differ, the first is for pages on a list.
typedef struct _MMPFN {
    union {
        PFN_NUMBER Flink; // next page of the list
        ULONG_PTR Caller; // active, first page of a contiguous block: who allocated it
    } u1;
    PMMPTE PteAddress; // active: the entry that maps it, NULL when none or several
    union {
        PFN_NUMBER Blink;     // previous page of the list
        ULONG_PTR ShareCount; // active: entries that map it
    } u2;
    union {
        struct {
            USHORT ReferenceCount; // active: 1 for being in use, 1 for each lock for I/O
            UCHAR State;           // MI_PAGE_STATE, written by MiSetPageState alone
            UCHAR Cached : 1;      // free, and in a processor's page cache instead of on the list
            UCHAR CacheType : 2;   // MmCached when 0, else MEMORY_CACHING_TYPE + 1
            UCHAR Fixed : 1;       // never given back: page tables, the database itself
        };
        ULONG Word;
    } u3;
    MMPTE OriginalPte;  // what the entry becomes when the page is taken from its owner
    ULONG_PTR PteFrame; // frame of the table that holds *PteAddress
} MMPFN, *PMMPFN;

#define MI_CHUNK_PAGES          512u // pages whose entries come and go together: 2 MiB of RAM
#define MI_CHUNK_DATABASE_PAGES (MI_CHUNK_PAGES * sizeof(MMPFN) / PAGE_SIZE)
#define MI_CHUNK_MINIMUM        16u // free pages a chunk must have to be worth its entries
#define MI_CHUNK_OF(Page)       ((Page) / MI_CHUNK_PAGES)

C_ASSERT(sizeof(MMPTE) == 8);
C_ASSERT(sizeof(MMPFN) == (sizeof(PVOID) == 8 ? 48 : 32));
C_ASSERT(MI_CHUNK_PAGES * sizeof(MMPFN) % PAGE_SIZE == 0);

extern PMMPFN MiPfnDatabase;
extern KSPIN_LOCK MiPfnLock;
extern ULONG MiPfnPages; // that hold the database

typedef struct _MI_PAGE_LIST {
    PFN_NUMBER Head; // MI_LIST_END: empty
    PFN_NUMBER Count;
    MI_PAGE_STATE State;
} MI_PAGE_LIST;
extern MI_PAGE_LIST MiFreeList, MiZeroedList;
extern PFN_NUMBER MiUntouched[MiPageStates]; // pages by state that have no entry yet

FORCEINLINE PMMPFN MiPfn(PFN_NUMBER Page)
{
    return &MiPfnDatabase[Page];
}

// What one processor has for itself.
#define MI_CACHE_PAGES 32u
typedef struct _MI_PROCESSOR {
    ULONG CacheCount;
    PFN_NUMBER Cache[MI_CACHE_PAGES]; // free pages, popped from the end
    LONG_PTR Count[MiPageStates]; // changes made by this processor; the sum over all is the count
    PVOID Transient;              // one page of address space for MiMapTransient
    MM_FLUSH Returned;            // pool pages whose address space is free after the flush, too
    ULONG Shootdowns;             // flushes of the others that this one asked for
} MI_PROCESSOR;
extern MI_PROCESSOR *MiProcessors[MAXIMUM_PROCESSORS];
extern MI_PROCESSOR MiBootProcessor;

FORCEINLINE MI_PROCESSOR *MiCurrentProcessor(VOID)
{
    return (MI_PROCESSOR *)KeGetCurrentPrcb()->MmProcessor;
}

FORCEINLINE KIRQL MiRaiseToDispatch(VOID)
{
    KIRQL OldIrql = KiGetIrql();
    if (OldIrql < DISPATCH_LEVEL)
        KiSetIrql(DISPATCH_LEVEL);
    return OldIrql;
}

FORCEINLINE VOID MiLowerFromDispatch(KIRQL OldIrql)
{
    if (OldIrql < DISPATCH_LEVEL)
        KiLowerIrql(OldIrql);
}

FORCEINLINE KIRQL MiAcquire(PKSPIN_LOCK Lock)
{
    KIRQL OldIrql = MiRaiseToDispatch();
    KiAcquireLockAtDpcLevel(Lock);
    return OldIrql;
}

FORCEINLINE VOID MiRelease(PKSPIN_LOCK Lock, KIRQL OldIrql)
{
    KiReleaseLockFromDpcLevel(Lock);
    MiLowerFromDispatch(OldIrql);
}

VOID MiInitializePfnDatabase(VOID);
// Locked: MiPfnLock, for all of these.
VOID MiPushPage(MI_PAGE_LIST *List, PFN_NUMBER Page);
VOID MiUnlinkPage(MI_PAGE_LIST *List, PFN_NUMBER Page);
PFN_NUMBER MiPopPage(MI_PAGE_LIST *List);                    // Fails: MM_NO_PAGE
VOID MiMakeActive(MI_PROCESSOR *Processor, PFN_NUMBER Page); // one reference, no flags
VOID MiReturnPage(PFN_NUMBER Page);                          // active, back to the free list
VOID MiDrainCache(MI_PROCESSOR *Processor, ULONG Keep);
BOOLEAN MiGrowFreeList(VOID); // the next untouched chunk; FALSE: there is none
// Page became free: what is known of contiguous runs may no longer hold (mm/run.c).
VOID MiRaiseRunTops(PFN_NUMBER Page);
extern PFN_NUMBER MiRunAlert;
FORCEINLINE VOID MiNoteFreePage(PFN_NUMBER Page)
{
    if (Page >= MiRunAlert)
        MiRaiseRunTops(Page);
}
BOOLEAN MiPopulateRun(PFN_NUMBER First, PFN_NUMBER Count); // its pages are active then, or FALSE

BOOLEAN MiIsChunkPopulated(PFN_NUMBER Chunk); // IRQL: any
BOOLEAN MiIsInDatabase(PFN_NUMBER Page);      // IRQL: any; does the page have an entry?
VOID MiSetPageState(PFN_NUMBER Page, MI_PAGE_STATE State); // the only writer of MMPFN.State
PFN_NUMBER MiCountPages(MI_PAGE_STATE State);
MI_PAGE_STATE MiQueryPageState(PFN_NUMBER Page); // from the database, else from the RAM table
// All of these: MiPageNone, no RAM at all; MiPageFree, *Found is free; MiPageActive, some RAM and
// none of it free.
MI_PAGE_STATE MiQueryPages(PFN_NUMBER First, PFN_NUMBER Count, PFN_NUMBER *Found);
// Gives back pages that boot had loaded something into. Returns how many became free.
PFN_NUMBER MiReleaseLoadedPages(PFN_NUMBER First, PFN_NUMBER Count);
// Physically contiguous pages, every one in [Low, High], not crossing a multiple of Boundary (0:
// any). Fails: MM_NO_PAGE. IRQL: <= DISPATCH_LEVEL.
PFN_NUMBER MiAllocateContiguousPages(PFN_NUMBER Count, PFN_NUMBER Low, PFN_NUMBER High,
                                     PFN_NUMBER Boundary);

// ---- system address ranges ----------------------------------------------------------------------
extern MM_REGION MiRegion[MmRegionMaximum];
VOID MmPrintLayout(VOID);
VOID MiSetRegion(MM_REGION_TYPE Type, ULONG_PTR Base, ULONG_PTR Size);
PFN_NUMBER MiDatabaseLimit(VOID); // arch: pages that a PFN database can describe at most
VOID MiComputeLayout(PFN_NUMBER HighestPage, ULONG_PTR ImageEnd, BOOLEAN ThreeGigabytes); // arch

// Memory of mm's own that only grows: address space reserved at start, pages as needed, zeroed.
typedef struct _MI_ARRAY {
    PUCHAR Base;
    SIZE_T Committed, Limit; // bytes
} MI_ARRAY;
VOID MiCreateArray(MI_ARRAY *Array, SIZE_T Limit);
BOOLEAN MiGrowArray(MI_ARRAY *Array, SIZE_T Bytes);

#define MI_GROUP_PAGES 1024u
#define MI_GROUP_WORDS (MI_GROUP_PAGES / 32)

typedef struct _MI_GROUP {
    ULONG Bits[MI_GROUP_WORDS]; // one for each page; set: reserved
    USHORT Free;                // clear bits
    USHORT LongestRun;          // never less than the longest run of clear bits
    USHORT FirstWord;           // no word below has a clear bit
    USHORT Spare;
} MI_GROUP;

typedef struct _MI_RANGE {
    KSPIN_LOCK Lock;
    ULONG_PTR Base;
    ULONG Groups;   // of the whole region
    ULONG Frontier; // groups below have bookkeeping; above everything is free
    ULONG Hint;     // no group below has a clear bit
    SIZE_T Used;    // pages reserved
    ULONG_PTR TableHint; // where page tables are looked for that may go back
    MI_ARRAY Array; // of MI_GROUP
} MI_RANGE;

VOID MiInitializeRange(MI_RANGE *Range, ULONG_PTR Base, ULONG_PTR Size);
PVOID MiReserveRange(MI_RANGE *Range, SIZE_T Pages);
BOOLEAN MiReserveExactly(MI_RANGE *Range, PVOID Base, SIZE_T Pages); // FALSE: is not free
BOOLEAN MiReleaseRange(MI_RANGE *Range, PVOID Base, SIZE_T Pages); // FALSE: was not reserved
BOOLEAN MiCheckRange(const MI_RANGE *Range, const char **What);

VOID MiInitializeSystemSpace(VOID);
MI_RANGE *MiRangeOf(MM_REGION_TYPE Type); // NULL: the region has no allocator
SIZE_T MiPoolPages(MM_REGION_TYPE Pool);
// Entries for Pages pages from Page on; tables must exist.
VOID MiMapPages(PVOID Base, PFN_NUMBER Page, SIZE_T Pages, ULONG Protection,
                MEMORY_CACHING_TYPE Cache);
VOID MiUnmapPages(PVOID Base, SIZE_T Pages); // marks them freed and flushes
VOID MiMarkGuard(PVOID Page);                // never mapped since it was reserved, or unmapped
BOOLEAN MiReleaseKept(VOID); // addresses kept for mappings of I/O space; FALSE: there were none

// ---- who holds what -----------------------------------------------------------------------------
typedef enum _MI_LEDGER_KIND {
    MiLedgerIoSpace,
    MiLedgerContiguous,
    MiLedgerNonCached,
    MiLedgerKinds
} MI_LEDGER_KIND;

typedef struct _MI_RECORD {
    ULONG_PTR Base;          // as returned to the caller; 0: record not in use
    ULONG_PTR Caller;        // return address into the caller
    PFN_NUMBER Page;         // the first one's frame, where they are contiguous
    SIZE_T Bytes;            // as asked for
    struct _MI_RECORD *Next; // of its chain
    UCHAR Kind;              // MI_LEDGER_KIND
    UCHAR Cache;             // MEMORY_CACHING_TYPE
} MI_RECORD;

VOID MiInitializeLedger(VOID);
BOOLEAN MiLedgerInsert(const MI_RECORD *Record); // Fails: no memory
// The same where its physical memory has no other cache type. Otherwise: the type of memory that no
// record speaks of; MmNotMapped: any. Fails: no memory, or another type.
BOOLEAN MiLedgerInsertIfFits(const MI_RECORD *Record, MEMORY_CACHING_TYPE Otherwise);
BOOLEAN MiLedgerRemove(MI_LEDGER_KIND Kind, ULONG_PTR Base, MI_RECORD *Record);
BOOLEAN MiLedgerFind(ULONG_PTR Address, MI_RECORD *Record); // IRQL: any; no lock
VOID MiDescribeRecord(const MI_RECORD *Record);             // prints a line

// ---- faults -------------------------------------------------------------------------------------
KE_PAGE_FAULT_ROUTINE MiPageFault;

// ---- checks -------------------------------------------------------------------------------------
BOOLEAN MmCheckIntegrity(VOID); // mm/check.c

// ---- bugchecks with mm's words ------------------------------------------------------------------
DECLSPEC_NORETURN VOID MiPfnBugCheck(ULONG_PTR P1, PFN_NUMBER Page, ULONG_PTR P3, ULONG_PTR P4,
                                     const char *Sentence);
