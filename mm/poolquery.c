// SPDX-License-Identifier: MIT
// What is known of a pool address: whatis, !pool, and what a driver left behind.
//
// Everything here reads descriptors and records, never the blocks, and takes no lock: it runs in
// the monitor and during a bugcheck. Answers about a block that is being freed meanwhile may be a
// moment old.
//
// A record keeps the low 32 bits of a call site. Code lies in two places only: the kernel image at
// the top of the address space and the drivers in the system image region, which is entered from
// its start.
#include "poolp.h"

ULONG_PTR ExpExpandCaller(ULONG Caller)
{
    if (Caller == 0 || sizeof(ULONG_PTR) == sizeof(ULONG))
        return Caller;
    ULONG_PTR Base = (ULONG_PTR)&ExpExpandCaller;
    if ((LONG)Caller >= 0 && (LONG_PTR)Base < 0)
        Base = MmGetRegion(MmRegionSystemImages)->Base;
    return (Base & ~(ULONG_PTR)MAXULONG) | Caller;
}

// ---- one address -------------------------------------------------------------------------------
static BOOLEAN ExpQuerySmall(const POOL *Pool, const POOL_PAGE *Page, ULONG Index,
                             EX_POOL_BLOCK *Block)
{
    if (Index >= Page->BlockCount)
        return FALSE;
    const POOL_RECORD *Record = &Page->Records[Index];
    Block->Address = ExpPageAddress(Pool, Page) + Index * Page->BlockSize;
    Block->Allocated = Record->Size != 0;
    Block->Size = Record->Size != 0 ? Record->Size : Page->BlockSize;
    Block->Reserved = Page->BlockSize;
    Block->Tag = ExpOwnerOf(Record->Cell)->Tag;
    Block->PoolType = Pool->Type;
    Block->Caller = ExpExpandCaller(ExpNotedCaller(Record));
    return TRUE;
}

static BOOLEAN ExpQueryLarge(const POOL *Pool, const POOL_PAGE *Page, EX_POOL_BLOCK *Block)
{
    Block->Address = ExpPageAddress(Pool, Page);
    Block->Allocated = Page->State == PoolPageLarge;
    Block->Size = Page->Bytes;
    Block->Reserved = Page->Pages << POOL_PAGE_SHIFT;
    Block->Tag = ExpOwnerOf(Page->Cell)->Tag;
    Block->PoolType = Pool->Type;
    Block->Caller = Page->Caller;
    return TRUE;
}

static BOOLEAN ExpQueryBlock(const POOL *Pool, const VOID *Address, EX_POOL_BLOCK *Block)
{
    const POOL_PAGE *Page = ExpPageOfOffset(Pool, (ULONG_PTR)Address - Pool->Base);
    switch (Page->State) {
    case PoolPageSmall:
        return ExpQuerySmall(Pool, Page, POOL_OFFSET(Address) / Page->BlockSize, Block);
    case PoolPageLargeTail:
        return ExpQueryLarge(Pool, ExpPageOfNumber(Pool, Page->Head), Block);
    case PoolPageLarge:
    case PoolPageLargeFreed:
        return ExpQueryLarge(Pool, Page, Block);
    default:
        return FALSE;
    }
}

BOOLEAN ExQueryPoolBlock(const VOID *Address, EX_POOL_BLOCK *Block)
{
    const POOL *Pool = ExpPoolOfAddress((ULONG_PTR)Address);
    if (Pool == NULL)
        return ExpQuerySpecialBlock(Address, Block);
    ExpHoldBookkeeping();
    BOOLEAN Found = ExpQueryBlock(Pool, Address, Block);
    ExpLetGoOfBookkeeping();
    return Found;
}

// ---- all blocks --------------------------------------------------------------------------------
static VOID ExpVisitPage(const POOL *Pool, const POOL_PAGE *Page, POOL_VISITOR *Visit,
                         PVOID Context)
{
    EX_POOL_BLOCK Block;
    if (Page->State == PoolPageLarge && ExpQueryLarge(Pool, Page, &Block))
        Visit(&Block, Context);
    if (Page->State != PoolPageSmall)
        return;
    for (ULONG Index = 0; ExpQuerySmall(Pool, Page, Index, &Block); Index++)
        if (Block.Allocated)
            Visit(&Block, Context);
}

VOID ExpVisitAllocated(POOL_VISITOR *Visit, PVOID Context)
{
    ExpHoldBookkeeping();
    for (ULONG Index = 0; Index < PoolCount; Index++) {
        const POOL *Pool = &ExpPool[Index];
        for (ULONG_PTR Offset = 0; Offset < Pool->Limit; Offset += POOL_PAGE_SIZE)
            ExpVisitPage(Pool, ExpPageOfOffset(Pool, Offset), Visit, Context);
    }
    ExpLetGoOfBookkeeping();
    ExpVisitSpecial(Visit, Context);
}

static const char *ExpTypeName(POOL_TYPE Type)
{
    return Type == PagedPool        ? "paged pool"
           : Type == NonPagedPoolNx ? "nonpaged pool (NX)"
                                    : "nonpaged pool";
}

// ---- what a driver left ------------------------------------------------------------------------
typedef struct _POOL_LEAKS { ULONG_PTR Start, End; ULONG Count; } POOL_LEAKS;

static VOID ExpLogCaller(const char *Place)
{
    KLOG("leak", "    called by %s", Place);
}

static VOID ExpVisitLeak(const EX_POOL_BLOCK *Block, PVOID Context)
{
    POOL_LEAKS *Leaks = Context;
    if (Block->Caller < Leaks->Start || Block->Caller >= Leaks->End)
        return;
    char Place[96];
    if (!KdSymbolize(Block->Caller, Place, sizeof(Place)))
        RtlFormat(Place, sizeof(Place), "%p", (PVOID)Block->Caller);
    KLOG("leak", "%s: %llu bytes at %p, tag %s, allocated by %s", ExpTypeName(Block->PoolType),
         (ULONG64)Block->Size, (PVOID)Block->Address, ExpTagText(Block->Tag).Text, Place);
    ExpSayTrace((PVOID)Block->Address, ExpLogCaller);
    Leaks->Count++;
}

static ULONG ExpReportPoolLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    POOL_LEAKS Leaks = {Start, End, 0};
    ExpVisitAllocated(ExpVisitLeak, &Leaks);
    return Leaks.Count;
}
LEAK_SOURCE(pool, "pool allocations", ExpReportPoolLeaks);

// ---- !pool -------------------------------------------------------------------------------------
static VOID ExpPrintCaller(const char *Place)
{
    KdPrintf("        called by %s\n", Place);
}

VOID ExpPrintBlock(const EX_POOL_BLOCK *Block, BOOLEAN Wanted)
{
    char Place[96] = "";
    if (Block->Caller != 0 && !KdSymbolize(Block->Caller, Place, sizeof(Place)))
        RtlFormat(Place, sizeof(Place), "%p", (PVOID)Block->Caller);
    KdPrintf("%c%p size: %6llx of %6llx  (%s)  %s  %s%s\n", Wanted ? '*' : ' ',
             (PVOID)Block->Address, (ULONG64)Block->Size, (ULONG64)Block->Reserved,
             Block->Allocated ? "Allocated" : "Free", ExpTagText(Block->Tag).Text,
             Block->Caller == 0 ? ""
             : Block->Allocated ? "by "
                                : "freed by ",
             Place);
    if (Wanted && Block->Allocated)
        ExpSayTrace((PVOID)Block->Address, ExpPrintCaller);
}

#define POOL_ONE 2u  // of !pool's flags: only the block that was asked for

static VOID ExpPrintPage(const POOL *Pool, const POOL_PAGE *Page, ULONG_PTR Address, ULONG64 Flags)
{
    EX_POOL_BLOCK Block;
    for (ULONG Index = 0; ExpQuerySmall(Pool, Page, Index, &Block); Index++)
        if (!(Flags & POOL_ONE) || Address - Block.Address < Block.Reserved)
            ExpPrintBlock(&Block, Address - Block.Address < Block.Reserved);
}

static BOOLEAN ExpPoolCommand(const char *Arguments)
{
    ULONG64 Number, Flags = 0;
    EX_POOL_BLOCK Block;
    if (!KdParseNumber(&Arguments, &Number) ||
        (*Arguments != '\0' && !KdParseNumber(&Arguments, &Flags)))
        return FALSE;
    ULONG_PTR Address = (ULONG_PTR)Number;
    const POOL *Pool = ExpPoolOfAddress(Address);
    if (!ExQueryPoolBlock((PVOID)Address, &Block)) {
        KdPrintf("%p is in no pool block.\n", (PVOID)Address);
        return TRUE;
    }
    if (Pool == NULL) {
        KdPrintf("Pool page %p region is special pool, for %s\n", PAGE_ALIGN(Address),
                 ExpTypeName(Block.PoolType));
        ExpPrintBlock(&Block, TRUE);
        return TRUE;
    }
    const POOL_PAGE *Page = ExpPageOfOffset(Pool, Address - Pool->Base);
    KdPrintf("Pool page %p region is %s\n", PAGE_ALIGN(Address), ExpTypeName(Pool->Type));
    ExpHoldBookkeeping();
    if (Page->State == PoolPageSmall)
        ExpPrintPage(Pool, Page, Address, Flags);
    else
        ExpPrintBlock(&Block, TRUE);
    ExpLetGoOfBookkeeping();
    return TRUE;
}
KD_COMMAND(pool, "!pool",
           "!pool ADDRESS [2]: the pool block at ADDRESS and its neighbours in the page; 2 without",
           ExpPoolCommand, KD_SAFE_IN_BUGCHECK);

// ---- !poolfind ---------------------------------------------------------------------------------
typedef struct _POOL_SEARCH {
    const char *Pattern;
    BOOLEAN Paged, NonPaged;
    ULONG Found;
    ULONG64 Bytes;
} POOL_SEARCH;

static VOID ExpVisitFind(const EX_POOL_BLOCK *Block, PVOID Context)
{
    POOL_SEARCH *Search = Context;
    if (!(Block->PoolType & PagedPool ? Search->Paged : Search->NonPaged) ||
        !ExpIsTagLike(Block->Tag, Search->Pattern))
        return;
    Search->Found++;
    Search->Bytes += Block->Size;
    ExpPrintBlock(Block, FALSE);
}

static BOOLEAN ExpPoolFindCommand(const char *Arguments)
{
    POOL_SEARCH Search = {.Pattern = Arguments, .Paged = TRUE, .NonPaged = TRUE};
    const char *Rest = strchr(Arguments, ' ');
    ULONG64 Which;
    if (*Arguments == '\0')
        return FALSE;
    if (Rest != NULL && (Rest++, KdParseNumber(&Rest, &Which))) {
        Search.NonPaged = Which == 0;
        Search.Paged = Which == 1;
    }
    ExpVisitAllocated(ExpVisitFind, &Search);
    KdPrintf("%u blocks, %llu bytes\n", Search.Found, Search.Bytes);
    return TRUE;
}
KD_COMMAND(poolfind, "!poolfind",
           "!poolfind TAG [0|1]: allocated blocks of TAG, with ? and *; 0 nonpaged, 1 paged",
           ExpPoolFindCommand, KD_SAFE_IN_BUGCHECK);
