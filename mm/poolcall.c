// SPDX-License-Identifier: MIT
// The pool's further calls: the same blocks, asked for in other words.
//
// Problem. Drivers of twenty years ask for pool by eight routines. They differ in whether the
// contents are zeroed, a failure is raised, a process pays, or memory is kept for others.
//
// Idea. Each call is translated into one POOL_REQUEST (poolp.h), which ExpAllocate (pool.c) serves.
// Only ExAllocatePoolWithTag has a fast path of its own.
//
//   priority  LowPoolPriority is refused while less than a sixteenth of RAM, or of the pool's
//             address space, is free behind it; NormalPoolPriority less than a 64th;
//             HighPoolPriority only when there is nothing at all (PL-70 to PL-72).
//   quota     The current process is charged what the block takes, and gets it back when the block
//             is freed, whoever frees it (PL-103): the cell that the block names carries the
//             process. Charging is ps's affair, behind EX_POOL_QUOTA.
//
// Raising. The kernel's code never unwinds: a status is raised at the end of the exported routine,
// with nothing held.
//
// Observability: !poolused, !quota; tests/host/test_pool_calls.c, tests/guest/pool.c.
#include "poolp.h"

const EX_POOL_QUOTA *ExpQuota;

VOID ExRegisterPoolQuota(const EX_POOL_QUOTA *Quota)
{
    ExpQuota = Quota;
}

// ---- quota -------------------------------------------------------------------------------------
// What a request's block takes, which is what a process is charged.
static SIZE_T ExpBytesTaken(const POOL_REQUEST *Request)
{
    ULONG Class = ExpClassOfRequest(Request->Type, Request->Bytes != 0 ? Request->Bytes : 1);
    return Class == POOL_CLASS_LARGE ? ROUND_TO_PAGES(Request->Bytes) : ExpClassSize[Class];
}

// A request for more than there are addresses is refused before anybody is charged for it.
static NTSTATUS ExpAllocateCharged(POOL_REQUEST *Request, PVOID *Block)
{
    NTSTATUS Status = STATUS_SUCCESS;
    SIZE_T Charge = ExpBytesTaken(Request);
    *Block = NULL;
    ExpCheckRequest(Request);
    ExpCheckQuotaRequest(Request);
    if (Charge < Request->Bytes)
        return STATUS_INSUFFICIENT_RESOURCES;
    if (ExpQuota != NULL)
        Status = ExpQuota->Charge(Request->Type, Charge, &Request->Process);
    if (!NT_SUCCESS(Status))
        return Status;
    *Block = ExpAllocate(Request);
    if (*Block != NULL)
        return STATUS_SUCCESS;
    if (Request->Process != NULL)
        ExpQuota->Return(Request->Process, Request->Type, Charge);
    return STATUS_INSUFFICIENT_RESOURCES;
}

static PVOID ExpAllocateWithQuota(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag, ULONG_PTR Caller)
{
    PVOID Block;
    POOL_REQUEST Request = {.Type = Type & ~POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, .Bytes = Bytes,
                            .Tag = Tag, .Priority = HighPoolPriority, .Caller = Caller};
    NTSTATUS Status = ExpAllocateCharged(&Request, &Block);
    if (!NT_SUCCESS(Status) && !(Type & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE))
        RtlRaiseStatus(Status);
    return Block;
}

/*
 * ExAllocatePoolWithQuotaTag: a block that the current process is charged for until it is freed.
 *
 * PoolType: as for ExAllocatePoolWithTag; with POOL_QUOTA_FAIL_INSTEAD_OF_RAISE a failure is NULL.
 * IRQL: as ExAllocatePoolWithTag; not from a DPC, whose current process is anybody's.
 * Fails: raises STATUS_QUOTA_EXCEEDED or STATUS_INSUFFICIENT_RESOURCES, or NULL where asked.
 * Source: WDK, wdm.h: ExAllocatePoolWithQuotaTag.
 */
PVOID NTAPI ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return ExpAllocateWithQuota(PoolType, NumberOfBytes, Tag, KiReturnAddress());
}
EXPORT(ExAllocatePoolWithQuotaTag, DISPATCH_LEVEL, "WDK, wdm.h: ExAllocatePoolWithQuotaTag");

/*
 * ExAllocatePoolWithQuota: the same for callers without a tag; counted under "None".
 *
 * IRQL, Fails: as ExAllocatePoolWithQuotaTag.
 * Source: WDK, wdm.h: ExAllocatePoolWithQuota.
 */
PVOID NTAPI ExAllocatePoolWithQuota(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
{
    return ExpAllocateWithQuota(PoolType, NumberOfBytes, POOL_TAG_NONE, KiReturnAddress());
}
EXPORT(ExAllocatePoolWithQuota, DISPATCH_LEVEL, "WDK, wdm.h: ExAllocatePoolWithQuota");

// ---- the older calls ---------------------------------------------------------------------------
static PVOID ExpAllocateOrRaise(POOL_REQUEST *Request)
{
    PVOID Block = ExpAllocate(Request);
    if (Block == NULL && (Request->Type & POOL_RAISE_IF_ALLOCATION_FAILURE))
        RtlRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
    return Block;
}

PVOID ExAllocatePoolFor(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller)
{
    POOL_REQUEST Request = {.Type = PoolType, .Bytes = NumberOfBytes, .Tag = Tag,
                            .Priority = HighPoolPriority, .Caller = Caller};
    return ExpAllocateOrRaise(&Request);
}

PVOID ExAllocatePoolOnBehalf(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller)
{
    return ExFailsOnPurpose(Caller, NumberOfBytes, Tag)
               ? NULL
               : ExAllocatePoolWithTag(PoolType, NumberOfBytes, Tag);
}

/*
 * ExAllocatePool: as ExAllocatePoolWithTag for callers without a tag; counted under "None".
 *
 * IRQL, Fails: as ExAllocatePoolWithTag.
 * Source: WDK, wdm.h: ExAllocatePool.
 */
PVOID NTAPI ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
{
    return ExAllocatePoolFor(PoolType, NumberOfBytes, POOL_TAG_NONE, KiReturnAddress());
}
EXPORT(ExAllocatePool, DISPATCH_LEVEL, "WDK, wdm.h: ExAllocatePool");

/*
 * ExAllocatePoolWithTagPriority: as ExAllocatePoolWithTag, leaving memory for who needs it more.
 *
 * Priority: LowPoolPriority, NormalPoolPriority or HighPoolPriority; plus 8 or 9: where special
 *     pool would put the block.
 * IRQL: as ExAllocatePoolWithTag.
 * Fails: NULL, or raises where PoolType asks for it.
 * Source: WDK, wdm.h: ExAllocatePoolWithTagPriority.
 */
PVOID NTAPI ExAllocatePoolWithTagPriority(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                                          EX_POOL_PRIORITY Priority)
{
    POOL_REQUEST Request = {.Type = PoolType, .Bytes = NumberOfBytes, .Tag = Tag,
                            .Priority = Priority, .Caller = KiReturnAddress()};
    return ExpAllocateOrRaise(&Request);
}
EXPORT(ExAllocatePoolWithTagPriority, DISPATCH_LEVEL, "WDK, wdm.h: ExAllocatePoolWithTagPriority");

// ---- the newer calls ---------------------------------------------------------------------------
// What a caller of ExAllocatePool2 or 3 wants, as a request.
typedef struct _POOL_WISH {
    POOL_REQUEST Request;
    BOOLEAN Quota;
    BOOLEAN Raise;
} POOL_WISH;

// The flags that must be understood, in the older calls' terms. FALSE: one of them is not.
static BOOLEAN ExpReadFlags(POOL_FLAGS Flags, POOL_WISH *Wish)
{
    static const struct { ULONG Flag, Type; } Pools[] = {
        {POOL_FLAG_NON_PAGED, NonPagedPoolNx},
        {POOL_FLAG_NON_PAGED_EXECUTE, NonPagedPoolExecute},
        {POOL_FLAG_PAGED, PagedPool},
    };
    const ULONG Modifiers = POOL_FLAG_USE_QUOTA | POOL_FLAG_UNINITIALIZED | POOL_FLAG_CACHE_ALIGNED
                          | POOL_FLAG_RAISE_ON_FAILURE;
    ULONG Required = (ULONG)Flags & ~Modifiers, Type = 0, Selected = 0;
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Pools); Index++)
        if (Required & Pools[Index].Flag) {
            Type |= Pools[Index].Type;
            Required &= ~Pools[Index].Flag;
            Selected++;
        }
    Type |= Flags & POOL_FLAG_UNINITIALIZED ? 0 : POOL_ZERO_ALLOCATION;
    Type |= Flags & POOL_FLAG_CACHE_ALIGNED ? NonPagedPoolCacheAligned : 0;
    Wish->Request.Type = (POOL_TYPE)Type;
    Wish->Request.Special = (Flags & POOL_FLAG_SPECIAL_POOL) != 0;
    Wish->Raise = (Flags & POOL_FLAG_RAISE_ON_FAILURE) != 0;
    Wish->Quota = (Flags & POOL_FLAG_USE_QUOTA) != 0;
    return Selected == 1 && Required == 0;
}

static BOOLEAN ExpIsPriority(EX_POOL_PRIORITY Priority)
{
    ULONG Place = Priority & 15u;
    return (ULONG)Priority < 48 && (Place == 0 || Place == 8 || Place == 9);
}

// One extended parameter. There is one memory node, nearest to all: a preference is met whatever it
// is. There is no secure kernel that could keep secure pool. FALSE: not understood.
static BOOLEAN ExpReadParameter(const POOL_EXTENDED_PARAMETER *Parameter, POOL_WISH *Wish)
{
    switch (Parameter->Type) {
    case PoolExtendedParameterPriority:
        if (!ExpIsPriority(Parameter->Priority))
            return FALSE;
        Wish->Request.Priority = Parameter->Priority;
        return TRUE;
    case PoolExtendedParameterNumaNode:
        return TRUE;
    default:
        return FALSE;
    }
}

static BOOLEAN ExpReadParameters(const POOL_EXTENDED_PARAMETER *Parameters, ULONG Count,
                                 POOL_WISH *Wish)
{
    for (ULONG Index = 0; Index < Count; Index++)
        if (!ExpReadParameter(&Parameters[Index], Wish) && !Parameters[Index].Optional)
            return FALSE;
    return TRUE;
}

static NTSTATUS ExpGrant(POOL_WISH *Wish, PVOID *Block)
{
    if (Wish->Quota)
        return ExpAllocateCharged(&Wish->Request, Block);
    *Block = ExpAllocate(&Wish->Request);
    return *Block != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static PVOID ExpAllocateByFlags(POOL_FLAGS Flags, SIZE_T Bytes, ULONG Tag,
                                const POOL_EXTENDED_PARAMETER *Parameters, ULONG Count,
                                ULONG_PTR Caller)
{
    PVOID Block = NULL;
    NTSTATUS Status = STATUS_INVALID_PARAMETER;
    POOL_WISH Wish = {.Request = {.Bytes = Bytes, .Tag = Tag, .Priority = HighPoolPriority,
                                  .Caller = Caller}};
    BOOLEAN Understood = ExpReadFlags(Flags, &Wish) && ExpReadParameters(Parameters, Count, &Wish);
    if (Understood && Bytes != 0 && Tag != 0)
        Status = ExpGrant(&Wish, &Block);
    if (!NT_SUCCESS(Status) && Wish.Raise)
        RtlRaiseStatus(Status);
    return Block;
}

/*
 * ExAllocatePool2: a block of NumberOfBytes bytes, zeroed unless POOL_FLAG_UNINITIALIZED.
 *
 * Flags: one of POOL_FLAG_NON_PAGED (no-execute), POOL_FLAG_NON_PAGED_EXECUTE, POOL_FLAG_PAGED;
 *     with POOL_FLAG_UNINITIALIZED, POOL_FLAG_CACHE_ALIGNED, POOL_FLAG_USE_QUOTA and
 *     POOL_FLAG_RAISE_ON_FAILURE as wanted. Of the other flags those in the upper half may be
 *     ignored; one in the lower half makes the call fail.
 * IRQL: as ExAllocatePoolWithTag.
 * Fails: NULL, or raises where asked to: memory, quota, flags, no bytes, tag 0.
 * Source: WDK, wdm.h: ExAllocatePool2.
 */
PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    return ExpAllocateByFlags(Flags, NumberOfBytes, Tag, NULL, 0, KiReturnAddress());
}
EXPORT(ExAllocatePool2, DISPATCH_LEVEL, "WDK, wdm.h: ExAllocatePool2");

/*
 * ExAllocatePool3: the same with extended parameters: priority, preferred memory node.
 *
 * ExtendedParameters: ExtendedParametersCount of them. One that is not understood (secure pool is
 *     not) makes the call fail unless it is marked optional.
 * IRQL, Fails: as ExAllocatePool2.
 * Source: WDK, wdm.h: ExAllocatePool3.
 */
PVOID NTAPI ExAllocatePool3(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag,
                            PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                            ULONG ExtendedParametersCount)
{
    return ExpAllocateByFlags(Flags, NumberOfBytes, Tag, ExtendedParameters,
                              ExtendedParametersCount, KiReturnAddress());
}
EXPORT(ExAllocatePool3, DISPATCH_LEVEL, "WDK, wdm.h: ExAllocatePool3");
