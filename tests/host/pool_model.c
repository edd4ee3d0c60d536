// SPDX-License-Identifier: MIT
// The pools and lookaside lists against a model (pool_model.h).
//
//   operation byte 0, high half   0 to 8    allocate by that routine, or free, in a slot
//                                 9 to 11   the same with a lookaside list
//                                 12, 13    trim and tune; ask about a block
//                                 14        a list is flushed, or deleted and made again
//                                 15        memory ends, or fails once, or the quota is used up
//   byte 0, low half              pool type and IRQL, or which list
//   byte 1                        which slot
//   bytes 2, 3                    size
#include "pool_model.h"

#include <stdlib.h>
#include <string.h>

#define TAG(a, b, c, d) ((ULONG)(a) | (ULONG)(b) << 8 | (ULONG)(c) << 16 | (ULONG)(d) << 24)
#define TAG_NONE  TAG('N', 'o', 'n', 'e')
#define RAISES    POOL_RAISE_IF_ALLOCATION_FAILURE
#define MODIFIERS (POOL_COLD_ALLOCATION | RAISES | 4)

static VOID Require(BOOLEAN Condition)
{
    if (!Condition)
        abort();
}

// ---- what is raised ----------------------------------------------------------------------------
static __thread jmp_buf Handler;
static __thread int Guarded;

DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status);
DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status)
{
    Require(Guarded);
    Require(Status == STATUS_INSUFFICIENT_RESOURCES || Status == STATUS_QUOTA_EXCEEDED ||
            Status == STATUS_INVALID_PARAMETER);  // no bytes
    longjmp(Handler, 1);
}

// ---- who pays ----------------------------------------------------------------------------------
static SIZE_T Charged[2];
static BOOLEAN QuotaUsedUp;
static int TheProcess;

static NTSTATUS Charge(POOL_TYPE Type, SIZE_T Bytes, PVOID *Process)
{
    if (QuotaUsedUp)
        return STATUS_QUOTA_EXCEEDED;
    __atomic_fetch_add(&Charged[Type & 1], Bytes, __ATOMIC_RELAXED);
    *Process = &TheProcess;
    return STATUS_SUCCESS;
}

static VOID PayBack(PVOID Process, POOL_TYPE Type, SIZE_T Bytes)
{
    Require(Process == &TheProcess);
    Require(__atomic_fetch_sub(&Charged[Type & 1], Bytes, __ATOMIC_RELAXED) >= Bytes);
}

// ---- allocation --------------------------------------------------------------------------------
static const POOL_TYPE Types[] = {
    NonPagedPool,
    PagedPool,
    NonPagedPoolNx,
    NonPagedPoolCacheAligned,
    PagedPoolCacheAligned,
    NonPagedPoolNxCacheAligned,
    (POOL_TYPE)(PagedPool | POOL_COLD_ALLOCATION),
    (POOL_TYPE)(NonPagedPoolNx | RAISES),
};

static POOL_FLAGS FlagsOf(POOL_TYPE Type)
{
    POOL_FLAGS Flags = Type & PagedPool             ? POOL_FLAG_PAGED
                       : Type & POOL_NX_ALLOCATION ? POOL_FLAG_NON_PAGED
                                                    : POOL_FLAG_NON_PAGED_EXECUTE;
    Flags |= Type & NonPagedPoolCacheAligned ? POOL_FLAG_CACHE_ALIGNED : 0;
    return Flags | (Type & RAISES ? POOL_FLAG_RAISE_ON_FAILURE : 0);
}

static PVOID Ask3(POOL_FLAGS Flags, SIZE_T Bytes, ULONG Tag, EX_POOL_PRIORITY Priority)
{
    POOL_EXTENDED_PARAMETER Parameters[2] = {{.Type = PoolExtendedParameterPriority},
                                             {.Type = PoolExtendedParameterSecurePool}};
    Parameters[0].Priority = Priority;
    Parameters[1].Optional = 1;
    return ExAllocatePool3(Flags, Bytes, Tag, Parameters, 2);
}

static PVOID Ask(ULONG Routine, POOL_TYPE Type, SIZE_T Bytes, ULONG Tag)
{
    static const EX_POOL_PRIORITY Priorities[] = {
        LowPoolPriority, NormalPoolPriority, HighPoolPriority, LowPoolPrioritySpecialPoolUnderrun};
    EX_POOL_PRIORITY Priority = Priorities[Bytes & 3];
    switch (Routine) {
    case 0: return ExAllocatePool(Type, Bytes);
    case 1: return ExAllocatePoolWithTagPriority(Type, Bytes, Tag, Priority);
    case 2: return ExAllocatePoolWithTag((POOL_TYPE)(Type | POOL_ZERO_ALLOCATION), Bytes, Tag);
    case 3: return ExAllocatePoolWithQuotaTag(Type, Bytes, Tag);
    case 4:
        return ExAllocatePoolWithQuotaTag((POOL_TYPE)(Type | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE),
                                          Bytes, Tag);
    case 5: return ExAllocatePool2(FlagsOf(Type), Bytes, Tag);
    case 6: return Ask3(FlagsOf(Type) | POOL_FLAG_UNINITIALIZED, Bytes, Tag, Priority);
    default: return ExAllocatePoolWithTag(Type, Bytes, Tag);
    }
}

static BOOLEAN IsZeroed(ULONG Routine)
{
    return Routine == 2 || Routine == 5;
}

// NULL, too, when it was raised that there is none.
static PVOID AskGuarded(ULONG Routine, POOL_TYPE Type, SIZE_T Bytes, ULONG Tag)
{
    KIRQL Irql = HostIrql;
    PVOID volatile Block = NULL;
    Guarded = 1;
    if (setjmp(Handler) == 0)
        Block = Ask(Routine, Type, Bytes, Tag);
    Guarded = 0;
    Require(HostIrql == Irql && HostLocksHeld == 0);
    return Block;
}

static VOID CheckPlace(const MODEL_SLOT *Slot, POOL_TYPE Type)
{
    ULONG Alignment = Type & NonPagedPoolCacheAligned ? 64 : MEMORY_ALLOCATION_ALIGNMENT;
    Require((ULONG_PTR)Slot->Block % Alignment == 0);
    if (Slot->Bytes != 0 && Slot->Bytes <= PAGE_SIZE)
        Require(PAGE_ALIGN(Slot->Block) == PAGE_ALIGN(Slot->Block + Slot->Bytes - 1));
    if (Slot->Bytes >= PAGE_SIZE)
        Require(BYTE_OFFSET(Slot->Block) == 0);
}

static VOID CheckKnown(const MODEL_SLOT *Slot)
{
    EX_POOL_BLOCK Found;
    Require(ExQueryPoolBlock(Slot->Block + (Slot->Bytes != 0 ? Slot->Bytes - 1 : 0), &Found));
    Require(Found.Address == (ULONG_PTR)Slot->Block && Found.Allocated);
    Require(Found.Size == (Slot->Bytes != 0 ? Slot->Bytes : 1) && Found.Reserved >= Found.Size);
    Require(Found.Tag == Slot->Tag && Found.PoolType == Slot->Type);
}

// All bytes are the first one's neighbours' equals.
static VOID CheckContents(const MODEL_SLOT *Slot)
{
    if (Slot->Bytes == 0)
        return;
    Require(Slot->Block[0] == Slot->Fill);
    Require(memcmp(Slot->Block, Slot->Block + 1, Slot->Bytes - 1) == 0);
}

// A verified driver is stopped at what others get away with: requests for nothing.
static SIZE_T AtLeast(SIZE_T Least, SIZE_T Bytes)
{
    return Bytes < Least && ExIsVerified((ULONG_PTR)&AtLeast) ? Least : Bytes;
}

static SIZE_T SizeOf(const UCHAR *Operation)
{
    SIZE_T Bytes = (SIZE_T)Operation[2] | (SIZE_T)(Operation[3] & 0x1F) << 8;
    if (Operation[3] >> 5 != 0)
        return AtLeast(1, Bytes % 700);
    return AtLeast(1, Operation[1] & 0x80 ? Bytes : 8 * Bytes);
}

static VOID Fill(MODEL_SLOT *Slot, const UCHAR *Operation)
{
    ULONG Routine = Operation[0] >> 4;
    POOL_TYPE Type = Types[Operation[0] & 7];
    Slot->Bytes = SizeOf(Operation);
    Slot->Tag = TAG('M', 'd', 'a' + Operation[1] % 5, '0' + Routine);
    Slot->Type = (POOL_TYPE)(Type & ~MODIFIERS);
    Slot->List = 0;
    if (Operation[0] & 8)
        HostIrql = Type & PagedPool ? APC_LEVEL : DISPATCH_LEVEL;
    Slot->Block = AskGuarded(Routine, Type, Slot->Bytes, Slot->Tag);
    HostIrql = PASSIVE_LEVEL;
    if (Slot->Block == NULL)
        return;
    if (Routine == 0)
        Slot->Tag = TAG_NONE;
    CheckPlace(Slot, Type);
    Slot->Fill = 0;
    if (IsZeroed(Routine))
        CheckContents(Slot);
    Slot->Fill = (UCHAR)(Operation[0] * 37 + Operation[2]);
    memset(Slot->Block, Slot->Fill, Slot->Bytes);
}

static VOID Free(MODEL_SLOT *Slot, const UCHAR *Operation)
{
    CheckContents(Slot);
    if ((Operation[0] & 8) && !(Slot->Type & PagedPool))
        HostIrql = DISPATCH_LEVEL;
    switch (Operation[0] & 3) {
    case 0: ExFreePool(Slot->Block); break;
    case 1: ExFreePool2(Slot->Block, Slot->Tag, NULL, 0); break;
    case 2: ExFreePoolWithTag(Slot->Block, 0); break;
    default: ExFreePoolWithTag(Slot->Block, Slot->Tag);
    }
    HostIrql = PASSIVE_LEVEL;
    Slot->Block = NULL;
}

// ---- lookaside lists ---------------------------------------------------------------------------
// A list with a driver's own routines and something of the driver's beside it.
typedef struct _MODEL_LIST {
    union {
        NPAGED_LOOKASIDE_LIST NonPaged;
        PAGED_LOOKASIDE_LIST Paged;
        LOOKASIDE_LIST_EX Extended;
    };
    ULONG Allocated, Freed;  // by the driver's routines
    LONG Out;                // blocks in models' slots
} MODEL_LIST;

typedef enum _MODEL_KIND { KindNonPaged, KindPaged, KindExtended } MODEL_KIND;

typedef struct _MODEL_LIST_PLAN {
    MODEL_KIND Kind;
    BOOLEAN Own;
    POOL_TYPE Type;
    ULONG Flags;
    SIZE_T Bytes;
} MODEL_LIST_PLAN;

static const MODEL_LIST_PLAN Plans[] = {
    {KindNonPaged, FALSE, NonPagedPool, 0, 40},
    {KindNonPaged, FALSE, NonPagedPoolNx, POOL_NX_ALLOCATION, 5000},
    {KindPaged, FALSE, PagedPool, 0, 300},
    {KindExtended, FALSE, NonPagedPoolNx, 0, 1},
    {KindExtended, TRUE, PagedPool, EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE, 64},
    {KindExtended, TRUE, NonPagedPoolNx, EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL, 700},
};
#define LISTS (sizeof(Plans) / sizeof(Plans[0]))

static MODEL_LIST Lists[LISTS];

static ULONG ListTag(ULONG Number)
{
    return TAG('M', 'l', 's', '0' + Number);
}

static PVOID NTAPI OwnAllocate(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag, PLOOKASIDE_LIST_EX List)
{
    MODEL_LIST *Owner = CONTAINING_RECORD(List, MODEL_LIST, Extended);
    Require(Tag == ListTag((ULONG)(Owner - Lists)));
    Require(Bytes == Plans[Owner - Lists].Bytes);
    PVOID Block = Type & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE
                      ? ExAllocatePoolWithQuotaTag(Type, Bytes, Tag)
                      : ExAllocatePoolWithTag(Type, Bytes, Tag);
    if (Block != NULL)
        __atomic_fetch_add(&Owner->Allocated, 1, __ATOMIC_RELAXED);
    return Block;
}

static VOID NTAPI OwnFree(PVOID Block, PLOOKASIDE_LIST_EX List)
{
    __atomic_fetch_add(&CONTAINING_RECORD(List, MODEL_LIST, Extended)->Freed, 1, __ATOMIC_RELAXED);
    ExFreePool(Block);
}

static VOID OpenList(ULONG Number)
{
    const MODEL_LIST_PLAN *Plan = &Plans[Number];
    MODEL_LIST *List = &Lists[Number];
    ULONG Tag = ListTag(Number);
    SIZE_T Bytes = AtLeast(LOOKASIDE_MINIMUM_BLOCK_SIZE, Plan->Bytes);
    memset(List, 0, sizeof(*List));
    if (Plan->Kind == KindNonPaged)
        ExInitializeNPagedLookasideList(&List->NonPaged, NULL, NULL, Plan->Flags, Bytes, Tag, 0);
    else if (Plan->Kind == KindPaged)
        ExInitializePagedLookasideList(&List->Paged, NULL, NULL, Plan->Flags, Bytes, Tag, 0);
    else
        Require(ExInitializeLookasideListEx(&List->Extended, Plan->Own ? OwnAllocate : NULL,
                                            Plan->Own ? OwnFree : NULL, Plan->Type, Plan->Flags,
                                            Bytes, Tag, 0) == STATUS_SUCCESS);
}

// What a list had from its own routines is in it, or out, and nowhere else.
static VOID CheckList(ULONG Number)
{
    const MODEL_LIST *List = &Lists[Number];
    const GENERAL_LOOKASIDE_POOL *L = &List->Extended.L;
    USHORT Entries = ExQueryDepthSList((PSLIST_HEADER)&L->ListHead);
    Require(Entries <= L->MaximumDepth && L->Depth <= L->MaximumDepth);
    Require(L->AllocateMisses <= L->TotalAllocates && L->FreeMisses <= L->TotalFrees);
    if (Plans[Number].Own)
        Require(List->Allocated - List->Freed == Entries + (ULONG)List->Out);
}

static VOID CloseList(ULONG Number)
{
    MODEL_LIST *List = &Lists[Number];
    CheckList(Number);
    if (Plans[Number].Kind == KindNonPaged)
        ExDeleteNPagedLookasideList(&List->NonPaged);
    else if (Plans[Number].Kind == KindPaged)
        ExDeletePagedLookasideList(&List->Paged);
    else
        ExDeleteLookasideListEx(&List->Extended);
    CheckList(Number);
}

// The DDK's headers inline these two. Counters are the drivers' affair: other processors' updates
// may be lost there.
static VOID Count(ULONG *Counter)
{
    __atomic_store_n(Counter, __atomic_load_n(Counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static PVOID TakeInline(GENERAL_LOOKASIDE_POOL *L, PLOOKASIDE_LIST_EX Extended)
{
    Count(&L->TotalAllocates);
    PVOID Entry = InterlockedPopEntrySList(&L->ListHead);
    if (Entry != NULL)
        return Entry;
    Count(&L->AllocateMisses);
    return Extended != NULL ? L->AllocateEx(L->Type, L->Size, L->Tag, Extended)
                            : L->Allocate(L->Type, L->Size, L->Tag);
}

static VOID GiveInline(GENERAL_LOOKASIDE_POOL *L, PLOOKASIDE_LIST_EX Extended, PVOID Entry)
{
    Count(&L->TotalFrees);
    if (ExQueryDepthSList(&L->ListHead) < __atomic_load_n(&L->Depth, __ATOMIC_RELAXED)) {
        InterlockedPushEntrySList(&L->ListHead, Entry);
        return;
    }
    Count(&L->FreeMisses);
    if (Extended != NULL)
        L->FreeEx(Entry, Extended);
    else
        L->Free(Entry);
}

static PVOID TakeFrom(ULONG Number)
{
    MODEL_LIST *List = &Lists[Number];
    PVOID volatile Block = NULL;
    Guarded = 1;
    if (setjmp(Handler) == 0)
        Block = Plans[Number].Kind == KindPaged
                    ? ExAllocateFromPagedLookasideList(&List->Paged)
                    : TakeInline(&List->Extended.L, Plans[Number].Kind == KindExtended
                                                        ? &List->Extended
                                                        : NULL);
    Guarded = 0;
    return Block;
}

static VOID GiveTo(ULONG Number, PVOID Block)
{
    MODEL_LIST *List = &Lists[Number];
    if (Plans[Number].Kind == KindPaged)
        ExFreeToPagedLookasideList(&List->Paged, Block);
    else
        GiveInline(&List->Extended.L,
                   Plans[Number].Kind == KindExtended ? &List->Extended : NULL, Block);
}

static VOID FillFromList(MODEL_SLOT *Slot, ULONG Number)
{
    Slot->Block = TakeFrom(Number);
    if (Slot->Block == NULL)
        return;
    __atomic_fetch_add(&Lists[Number].Out, 1, __ATOMIC_RELAXED);
    Slot->List = (UCHAR)(Number + 1);
    Slot->Bytes = Plans[Number].Bytes;
    Slot->Tag = ListTag(Number);
    Slot->Type = (POOL_TYPE)(Plans[Number].Type & ~MODIFIERS);
    Slot->Fill = (UCHAR)(Number * 41 + 7);
    memset(Slot->Block, Slot->Fill, Slot->Bytes);
}

static VOID FreeToList(MODEL_SLOT *Slot)
{
    ULONG Number = Slot->List - 1u;
    CheckContents(Slot);
    GiveTo(Number, Slot->Block);
    __atomic_fetch_sub(&Lists[Number].Out, 1, __ATOMIC_RELAXED);
    Slot->Block = NULL;
}

// Blocks that are out when their list goes are the pool's like any other; the new list's if they
// are given to it.
static VOID ReopenList(ULONG Number)
{
    LONG Out = Lists[Number].Out;
    CloseList(Number);
    OpenList(Number);
    Lists[Number].Out = Out;
    Lists[Number].Allocated = Plans[Number].Own ? (ULONG)Out : 0;
}

static VOID ChangeList(ULONG Number, BOOLEAN Delete)
{
    if (Delete)
        ReopenList(Number);
    else if (Plans[Number].Kind == KindExtended)
        ExFlushLookasideListEx(&Lists[Number].Extended);
    CheckList(Number);
}

// ---- the rest ----------------------------------------------------------------------------------
static VOID Trim(const MODEL *Model)
{
    if (!Model->Keeper)
        return;
    ExTrimPool();
    ExAdjustLookasideDepth();
    if (Model->Alone)
        HostRunDpcs();
}

static VOID AskAbout(const MODEL_SLOT *Slot)
{
    EX_POOL_TAG Use;
    EX_POOL_BLOCK Found;
    EX_POOL_STATISTICS Statistics;
    if (Slot->Block != NULL && Slot->List != 4)  // whose size is raised to that of a link
        CheckKnown(Slot);
    ExQueryPoolBlock((PVOID)((ULONG_PTR)Slot * 16), &Found);
    ExQueryPoolTag(Slot->Fill, &Use);
    ExQueryPoolStatistics(Slot->Type, &Statistics);
}

static VOID ShortenMemory(const UCHAR *Operation)
{
    fake_mm_page_limit = ~(SIZE_T)0;
    fake_mm_fail_at = 0;
    QuotaUsedUp = (Operation[0] & 7) == 1;
    if ((Operation[0] & 7) == 2)
        fake_mm_page_limit = fake_mm_pages_in_use + Operation[1];
    if ((Operation[0] & 7) == 3)
        fake_mm_fail_at = 1 + Operation[1] % 16;
}

VOID ModelTurn(MODEL *Model, const UCHAR *Operation)
{
    MODEL_SLOT *Slot = &Model->Slot[Operation[1] % MODEL_SLOTS];
    ULONG Kind = Operation[0] >> 4;
    if (Kind == 12 && (Operation[1] & 31) == 0)
        Trim(Model);
    else if (Kind == 13 || Kind == 12)
        AskAbout(Slot);
    else if (Kind == 14 && Model->Alone)
        ChangeList((Operation[0] & 7) % LISTS, Operation[1] & 1);
    else if (Kind == 15 && Model->Alone)
        ShortenMemory(Operation);
    else if (Slot->Block != NULL && Slot->List != 0)
        FreeToList(Slot);
    else if (Slot->Block != NULL)
        Free(Slot, Operation);
    else if (Kind >= 9)
        FillFromList(Slot, (Operation[0] & 7) % LISTS);
    else
        Fill(Slot, Operation);
}

VOID ModelEmpty(MODEL *Model)
{
    static const UCHAR Operation[MODEL_OPERATION];
    for (ULONG i = 0; i < MODEL_SLOTS; i++) {
        if (Model->Slot[i].Block != NULL && Model->Slot[i].List != 0)
            FreeToList(&Model->Slot[i]);
        else if (Model->Slot[i].Block != NULL)
            Free(&Model->Slot[i], Operation);
    }
}

VOID ModelCheckBooks(VOID)
{
    static const UCHAR Plenty[MODEL_OPERATION] = {0xF0};
    EX_POOL_TAG Use;
    ShortenMemory(Plenty);
    for (ULONG i = 0; i < LISTS; i++)
        CloseList(i);
    for (ULONG i = 0; ExQueryPoolTag(i, &Use); i++) {
        Require(Use.NonPagedAllocs == Use.NonPagedFrees && Use.NonPagedBytes == 0);
        Require(Use.PagedAllocs == Use.PagedFrees && Use.PagedBytes == 0);
    }
    Require(Charged[0] == 0 && Charged[1] == 0);
    Require(ExValidatePool() == NULL);
    for (ULONG i = 0; i < LISTS; i++)
        OpenList(i);
}

VOID ModelStart(VOID)
{
    static const EX_POOL_QUOTA Quota = {Charge, PayBack};
    fake_mm_start();
    ExInitializePool();
    ExInitializeLookaside();
    ExRegisterPoolQuota(&Quota);
    for (ULONG i = 0; i < LISTS; i++)
        OpenList(i);
}
