// SPDX-License-Identifier: MIT
// Special pool: blocks alone in a page, so that the touch itself is caught, not its traces.
//
// Problem. A guard behind a block shows at free that somebody wrote past the end; nothing shows who
// only read there, or who touched the block after it was freed.
//
// Idea. The region is a row of slots, each a page that stays inaccessible and a page for one block:
//
//     | guard | page | guard | page | guard | page | guard ...
//
// The block ends where the next guard begins (overrun side, the usual), or starts where its own
// guard ends (underrun side). The rest of its page is filled with the slot's pattern and compared
// at free. A freed block's page goes back to mm at once, its slot to the end of a queue: no slot
// is used again before all others have been, so that a freed block stays inaccessible as long as
// there are addresses. The fault handler asks whose slot an address is and names the block.
//
//   touch behind or before a block      0xCD, 0xD6 when a driver's code did it
//   touch of a freed block              0xCC, 0xD5
//   at free: not allocated              0xC1, P4 0x20
//   at free: not the block's start      0xC1, P4 0x21 (at its page's end), 0x22 (at the start)
//   at free: bytes before it changed    0xC1, P4 0x23
//   at free: bytes behind it changed    0xC1, P4 0x24; 0x32 when it is one bit of one byte
//   wrong IRQL                          0xC1, P4 0x30 allocation, 0x31 free
//
// Which requests come here is decided in poolverify.c. A request of a page or more does not, nor
// does any while less than a sixteenth of RAM is free, or when all slots are taken: it is served as
// usual then (TT-46), and counted.
//
// Accounting. A block counts for the cell that it would have counted for.
//
// Locking: ExpSpecialLock guards the queue and how many slots there are, not the memory behind a
// slot that is between two states. A block's owner reads its slot without a lock; who asks about
// another's block may hear what was true a moment ago.
// Observability: !verifier, !pool, whatis; tests/host/test_pool_special.c,
// tests/guest/pool/misuse.c.
#include "poolp.h"

#define SLOT_SHIFT  (PAGE_SHIFT + 1)
#define SLOT_BYTES  (1u << SLOT_SHIFT)
#define SLOTS_LEAST 4096u
#define SLOTS_MOST  (sizeof(PVOID) == 8 ? 1u << 20 : 1u << 13)

typedef enum _SPECIAL_STATE { SpecialNever, SpecialAllocated, SpecialFreed } SPECIAL_STATE;

typedef struct _SPECIAL_SLOT {
    ULONG_PTR Caller;   // that allocated the block
    ULONG_PTR FreedBy;  // and that freed it
    ULONG Next;         // in the queue of freed slots
    USHORT Cell;
    USHORT Bytes;       // as asked for
    USHORT Offset;      // of the block in its page
    UCHAR Pattern;
    UCHAR State;        // SPECIAL_STATE
} SPECIAL_SLOT;

#define NO_SLOT MAXULONG

static ULONG_PTR ExpSpecialBase;
static ULONG ExpSlots, ExpSlotsUsed;         // reserved; ever used, with a descriptor
static SPECIAL_SLOT *ExpSlot0;               // descriptors
static SIZE_T ExpSlotBytes;                  // of them committed
static ULONG ExpFirstFreed = NO_SLOT, ExpLastFreed = NO_SLOT;
static KSPIN_LOCK ExpSpecialLock;
static ULONG ExpPatternSeed;
SIZE_T ExpSpecialLive[PoolCount];            // blocks in use
ULONG_PTR ExpSpecialServed, ExpSpecialMissed; // requests since start

// ---- slots -------------------------------------------------------------------------------------
BOOLEAN ExpInitializeSpecial(VOID)
{
    ULONG64 Total;
    MmQueryAvailablePages(&Total);
    ULONG Slots = Total < SLOTS_LEAST ? SLOTS_LEAST : Total > SLOTS_MOST ? SLOTS_MOST
                                                                         : (ULONG)Total;
    PVOID Base = MmReserveSpecialPool(((SIZE_T)Slots << (SLOT_SHIFT - PAGE_SHIFT)) + 1);
    ExpSlot0 = MmReserveSystemRange(MmRegionBookkeeping,
                                    BYTES_TO_PAGES(Slots * sizeof(SPECIAL_SLOT)));
    if (Base == NULL || ExpSlot0 == NULL)
        return FALSE;
    ExpSpecialBase = (ULONG_PTR)Base;
    ExpPatternSeed = (ULONG)ExpGuard;
    ExpSlots = Slots;
    return TRUE;
}

static ULONG_PTR ExpSlotPage(const SPECIAL_SLOT *Slot)
{
    return ExpSpecialBase + ((ULONG_PTR)(Slot - ExpSlot0) << SLOT_SHIFT) + PAGE_SIZE;
}

static PVOID ExpSlotBlock(const SPECIAL_SLOT *Slot)
{
    return (PVOID)(ExpSlotPage(Slot) + Slot->Offset);
}

BOOLEAN ExpIsSpecial(const VOID *Address)
{
    return (ULONG_PTR)Address - ExpSpecialBase < (ULONG_PTR)ExpSlots << SLOT_SHIFT;
}

// The slot in which an address of the region lies; NULL: none was ever used there.
static SPECIAL_SLOT *ExpSlotOf(const VOID *Address)
{
    ULONG Index = (ULONG)(((ULONG_PTR)Address - ExpSpecialBase) >> SLOT_SHIFT);
    return Index < ExpLoad(ExpSlotsUsed) ? &ExpSlot0[Index] : NULL;
}

// Called with the lock held. A slot that was never used, with its descriptor.
static SPECIAL_SLOT *ExpNewSlot(VOID)
{
    if (ExpSlotsUsed == ExpSlots)
        return NULL;
    if ((ExpSlotsUsed + 1) * sizeof(SPECIAL_SLOT) > ExpSlotBytes) {
        if (!ExpCommitBookkeeping((PUCHAR)ExpSlot0 + ExpSlotBytes, PAGE_SIZE))
            return NULL;
        ExpSlotBytes += PAGE_SIZE;
    }
    SPECIAL_SLOT *Slot = &ExpSlot0[ExpSlotsUsed];
    ExpStore(ExpSlotsUsed, ExpSlotsUsed + 1);
    return Slot;
}

// Called with the lock held. The slot that was freed longest ago.
static SPECIAL_SLOT *ExpOldestSlot(VOID)
{
    if (ExpFirstFreed == NO_SLOT)
        return NULL;
    SPECIAL_SLOT *Slot = &ExpSlot0[ExpFirstFreed];
    ExpFirstFreed = Slot->Next;
    if (ExpFirstFreed == NO_SLOT)
        ExpLastFreed = NO_SLOT;
    return Slot;
}

static SPECIAL_SLOT *ExpTakeSlot(VOID)
{
    KiAcquireLockAtDpcLevel(&ExpSpecialLock);
    SPECIAL_SLOT *Slot = ExpNewSlot();
    if (Slot == NULL)
        Slot = ExpOldestSlot();
    ExpPatternSeed = ExpPatternSeed * 1664525u + 1013904223u;
    if (Slot != NULL)
        Slot->Pattern = (UCHAR)(ExpPatternSeed >> 24) | 1;
    KiReleaseLockFromDpcLevel(&ExpSpecialLock);
    return Slot;
}

static VOID ExpQueueSlot(SPECIAL_SLOT *Slot)
{
    ULONG Index = (ULONG)(Slot - ExpSlot0);
    KiAcquireLockAtDpcLevel(&ExpSpecialLock);
    Slot->Next = NO_SLOT;
    if (ExpLastFreed == NO_SLOT)
        ExpFirstFreed = Index;
    else
        ExpSlot0[ExpLastFreed].Next = Index;
    ExpLastFreed = Index;
    KiReleaseLockFromDpcLevel(&ExpSpecialLock);
}

// ---- allocation --------------------------------------------------------------------------------
static ULONG ExpPlace(const POOL_REQUEST *Request)
{
    ULONG Side = Request->Priority & 15u;
    ULONG Alignment = Request->Type & NonPagedPoolCacheAligned ? 64 : MEMORY_ALLOCATION_ALIGNMENT;
    if (Side == 9 || (Side != 8 && ExpSpecialUnderrun))
        return 0;
    return (ULONG)ALIGN_DOWN_BY(PAGE_SIZE - Request->Bytes, Alignment);
}

static PVOID ExpFillSlot(SPECIAL_SLOT *Slot, const POOL_REQUEST *Request, USHORT Cell)
{
    Slot->Caller = Request->Caller;
    Slot->FreedBy = 0;
    Slot->Cell = Cell;
    Slot->Bytes = (USHORT)Request->Bytes;
    Slot->Offset = (USHORT)ExpPlace(Request);
    memset((PVOID)ExpSlotPage(Slot), Slot->Pattern, PAGE_SIZE);
    __atomic_store_n(&Slot->State, SpecialAllocated, __ATOMIC_RELEASE);
    return ExpSlotBlock(Slot);
}

static BOOLEAN ExpIsRoomForSpecial(VOID)
{
    ULONG64 Total, Available = MmQueryAvailablePages(&Total);
    return Available > Total / POOL_LOW_SHARE;
}

// IRQL: DISPATCH_LEVEL. Fails: NULL, the usual pool is to serve the request.
PVOID ExpAllocateSpecial(const POOL_REQUEST *Request, USHORT Place)
{
    const POOL_OWNER *Owner = ExpOwnerOf(Place);
    POOL *Pool = &ExpPool[Owner->Pool];
    SPECIAL_SLOT *Slot = ExpIsRoomForSpecial() ? ExpTakeSlot() : NULL;
    if (Slot != NULL && !MmCommitSystemRange((PVOID)ExpSlotPage(Slot), 1,
                                             MmPoolProtection(Pool->Region), MM_PAGE_ANY)) {
        ExpQueueSlot(Slot);
        Slot = NULL;
    }
    if (Slot == NULL) {
        __atomic_fetch_add(&ExpSpecialMissed, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    __atomic_fetch_add(&ExpSpecialServed, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&ExpSpecialLive[Owner->Pool], 1, __ATOMIC_RELAXED);
    POOL_CELL_REST *Rest = ExpRestOf(ExpCurrentProcessor(), Place);
    ExpStore(Rest->LargePages, Rest->LargePages + (Owner->Size == 0));
    ExpCountDown(&ExpCellAt(KiReadPoolProcessor(), Place)->Left);
    return ExpFillSlot(Slot, Request, Place);
}

// ---- free --------------------------------------------------------------------------------------
static const POOL_OWNER *ExpSlotOwner(const SPECIAL_SLOT *Slot)
{
    return ExpOwnerOf(Slot->Cell);
}

static VOID ExpDescribeSlot(const SPECIAL_SLOT *Slot, POOL_SPECIAL *Special)
{
    *Special = (POOL_SPECIAL){.Block = ExpSlotBlock(Slot), .Bytes = Slot->Bytes,
                              .Tag = ExpSlotOwner(Slot)->Tag, .Caller = Slot->Caller,
                              .FreedBy = Slot->FreedBy,
                              .Freed = ExpLoad(Slot->State) == SpecialFreed};
}

static VOID ExpCheckSpecialFree(const SPECIAL_SLOT *Slot, PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    POOL_SPECIAL Special;
    if (Slot == NULL || ExpLoad(Slot->State) == SpecialNever)
        ExpReportSpecialFree(P, NULL, Caller);
    ExpDescribeSlot(Slot, &Special);
    if (Special.Freed)
        ExpReportSpecialFree(P, &Special, Caller);
    if (P != Special.Block)
        ExpReportSpecialPointer(P, &Special, Slot->Offset == 0 ? 0x22 : 0x21, Caller);
    POOL_TYPE Type = ExpPool[ExpSlotOwner(Slot)->Pool].Type;
    KIRQL Irql = KiGetIrql();
    if (Irql > DISPATCH_LEVEL || (Irql == DISPATCH_LEVEL && (Type & PagedPool)))
        ExpReportSpecialIrql(&Special, Type, Irql, Caller);
    if (!ExpTagMatches(ExpSlotOwner(Slot), Tag))
        ExpReportTag(P, ExpSlotOwner(Slot), Tag, Slot->Caller, Caller);
}

// The bytes of the page that are not the block's still hold the pattern.
static VOID ExpCheckPattern(const SPECIAL_SLOT *Slot, ULONG_PTR Caller)
{
    const UCHAR *Page = (const UCHAR *)ExpSlotPage(Slot);
    ULONG End = Slot->Offset + Slot->Bytes;
    for (ULONG Offset = 0; Offset < PAGE_SIZE; Offset++) {
        if (Offset == Slot->Offset)
            Offset = End;
        if (Offset < PAGE_SIZE && Page[Offset] != Slot->Pattern) {
            POOL_SPECIAL Special;
            ExpDescribeSlot(Slot, &Special);
            ExpReportSpecialPattern(&Special, (PVOID)&Page[Offset], Slot->Pattern,
                                    Offset < Slot->Offset ? 0x23 : 0x24, Caller);
        }
    }
}

static BOOLEAN ExpMarkFreed(SPECIAL_SLOT *Slot)
{
    UCHAR Allocated = SpecialAllocated;
    return __atomic_compare_exchange_n(&Slot->State, &Allocated, SpecialFreed, FALSE,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

VOID ExpFreeSpecial(PVOID P, ULONG Tag, ULONG_PTR Caller)
{
    SPECIAL_SLOT *Slot = ExpSlotOf(P);
    ExpCheckSpecialFree(Slot, P, Tag, Caller);
    ExpCheckPattern(Slot, Caller);
    KeCheckFreedMemory(P, Slot->Bytes);
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    if (!ExpMarkFreed(Slot))
        ExpCheckSpecialFree(Slot, P, Tag, Caller);
    Slot->FreedBy = Caller;
    if (ExpTracking)
        ExpUntrack(P, Caller);
    const POOL_OWNER *Owner = ExpSlotOwner(Slot);
    POOL_CELL_REST *Rest = ExpRestOf(ExpCurrentProcessor(), Slot->Cell);
    ExpCountUp(&ExpCellAt(KiReadPoolProcessor(), Slot->Cell)->Frees);
    ExpStore(Rest->LargePages, Rest->LargePages - (Owner->Size == 0));
    ExpReturnCharge(Owner, Owner->Size == 0 ? PAGE_SIZE : Owner->Size);
    __atomic_fetch_sub(&ExpSpecialLive[Owner->Pool], 1, __ATOMIC_RELAXED);
    MmDecommitSystemRange((PVOID)ExpSlotPage(Slot), 1);
    ExpQueueSlot(Slot);
    KiLowerIrql(OldIrql);
}

// ---- questions ---------------------------------------------------------------------------------
// Behind a block or before one? The guard between two is the first one's unless only the second is
// a block, or lies against it.
static const SPECIAL_SLOT *ExpGuardOwner(ULONG Index, ULONG_PTR Address)
{
    ULONG Used = ExpLoad(ExpSlotsUsed);
    const SPECIAL_SLOT *Before = Index - 1 < Used ? &ExpSlot0[Index - 1] : NULL;
    const SPECIAL_SLOT *Behind = Index < Used ? &ExpSlot0[Index] : NULL;
    if (Before == NULL || ExpLoad(Before->State) == SpecialNever)
        return Behind;
    if (Behind == NULL || ExpLoad(Behind->State) != SpecialAllocated)
        return Before;
    BOOLEAN Nearer = BYTE_OFFSET(Address) >= PAGE_SIZE / 2;
    return Behind->Offset == 0 && (Nearer || Before->Offset == 0) ? Behind : Before;
}

BOOLEAN ExpQuerySpecial(const VOID *Address, POOL_SPECIAL *Special)
{
    if (ExpSlots == 0 || !ExpIsSpecial(Address))
        return FALSE;
    ULONG_PTR Offset = (ULONG_PTR)Address - ExpSpecialBase;
    BOOLEAN Guard = (Offset & PAGE_SIZE) == 0;
    const SPECIAL_SLOT *Slot = Guard ? ExpGuardOwner((ULONG)(Offset >> SLOT_SHIFT), Offset)
                                     : ExpSlotOf(Address);
    if (Slot == NULL || ExpLoad(Slot->State) == SpecialNever)
        return FALSE;
    ExpDescribeSlot(Slot, Special);
    Special->Guard = Guard;
    return TRUE;
}

BOOLEAN ExpQuerySpecialBlock(const VOID *Address, EX_POOL_BLOCK *Block)
{
    POOL_SPECIAL Special;
    if (!ExpQuerySpecial(Address, &Special) || Special.Guard)
        return FALSE;
    const POOL_OWNER *Owner = ExpSlotOwner(ExpSlotOf(Address));
    *Block = (EX_POOL_BLOCK){
        .Address = (ULONG_PTR)Special.Block, .Size = Special.Bytes, .Reserved = PAGE_SIZE,
        .Tag = Special.Tag, .PoolType = ExpPool[Owner->Pool].Type, .Allocated = !Special.Freed,
        .Caller = Special.Freed ? Special.FreedBy : Special.Caller};
    return TRUE;
}

VOID ExpVisitSpecial(POOL_VISITOR *Visit, PVOID Context)
{
    EX_POOL_BLOCK Block;
    for (ULONG Index = 0; Index < ExpLoad(ExpSlotsUsed); Index++)
        if (ExpLoad(ExpSlot0[Index].State) == SpecialAllocated &&
            ExpQuerySpecialBlock(ExpSlotBlock(&ExpSlot0[Index]), &Block))
            Visit(&Block, Context);
}
