// SPDX-License-Identifier: MIT
// What pools and lists raise where they were asked to (PL-61): the caller's __try gets it, at the
// IRQL it called at, and nothing was taken.
#include "../guest.h"

#include "lkddk.h"

#define TAG      'siaR'
#define TOO_MUCH (~(SIZE_T)0 / 2)
#define RAISES   16u
#define ON_FAIL  1u  // EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL
#define NOINLINE __attribute__((noinline))

#ifndef STATUS_QUOTA_EXCEEDED
#define STATUS_QUOTA_EXCEEDED ((NTSTATUS)0xC0000044)
#endif

static LOOKASIDE_LIST_EX List;

static PVOID ByTag(SIZE_T Bytes)
{
    return ExAllocatePoolWithTag((POOL_TYPE)(NonPagedPool | RAISES), Bytes, TAG);
}

static PVOID ByPriority(SIZE_T Bytes)
{
    return ExAllocatePoolWithTagPriority((POOL_TYPE)(NonPagedPool | RAISES), Bytes, TAG,
                                         NormalPoolPriority);
}

static PVOID ByQuota(SIZE_T Bytes)
{
    return ExAllocatePoolWithQuotaTag(NonPagedPool, Bytes, TAG);
}

static PVOID Untagged(SIZE_T Bytes)
{
    return ExAllocatePool((POOL_TYPE)(NonPagedPool | RAISES), Bytes);
}

static PVOID UntaggedByQuota(SIZE_T Bytes)
{
    return ExAllocatePoolWithQuota(NonPagedPool, Bytes);
}

static PVOID ByFlags(SIZE_T Bytes)
{
    return ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, Bytes, TAG);
}

static PVOID ByParameters(SIZE_T Bytes)
{
    POOL_EXTENDED_PARAMETER Parameter = {.Type = PoolExtendedParameterPriority};

    Parameter.Priority = HighPoolPriority;
    return ExAllocatePool3(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, Bytes, TAG, &Parameter,
                           1);
}

// Nothing is inlined into a __try.
NOINLINE static PVOID Take(VOID)
{
    return ExAllocateFromLookasideListEx(&List);
}

// A list's blocks have 32 bits of size.
static PVOID FromList(SIZE_T Bytes)
{
    PVOID Block;

    if (ExInitializeLookasideListEx(&List, NULL, NULL, NonPagedPool, ON_FAIL,
                                    Bytes < MAXLONG ? Bytes : MAXLONG, TAG, 0) != STATUS_SUCCESS)
        return NULL;
    __try {
        Block = Take();
    } __finally {
        ExDeleteLookasideListEx(&List);
    }
    return Block;
}

static PVOID (*const Ways[])(SIZE_T Bytes) = {
    ByTag, ByPriority, ByQuota, Untagged, UntaggedByQuota, ByFlags, ByParameters, FromList,
};

NOINLINE static NTSTATUS Try(ULONG Way, SIZE_T Bytes)
{
    __try {
        PVOID Block = Ways[Way](Bytes);
        if (Block == NULL)
            return STATUS_NO_MEMORY;  // nobody says that
        ExFreePool(Block);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}

static VOID EachWayRaisesWhenThereIsNoMemory(VOID)
{
    for (ULONG Way = 0; Way < RTL_NUMBER_OF(Ways); Way++) {
        NTSTATUS Status = Try(Way, TOO_MUCH);
        if (Status != STATUS_INSUFFICIENT_RESOURCES && Status != STATUS_QUOTA_EXCEEDED)
            DbgPrint("# way %u: 0x%08X\n", Way, Status);
        CHECK(Status == STATUS_INSUFFICIENT_RESOURCES || Status == STATUS_QUOTA_EXCEEDED);
        CHECK_EQUAL(Try(Way, 100), STATUS_SUCCESS);
    }
}

static VOID ItIsRaisedAtTheCallersIrql(VOID)
{
    KIRQL OldIrql;

    for (ULONG Way = 0; Way < RTL_NUMBER_OF(Ways); Way++) {
        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        CHECK(Try(Way, TOO_MUCH) != STATUS_SUCCESS);
        CHECK_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
        KeLowerIrql(OldIrql);
    }
}

NOINLINE static NTSTATUS TryFlags(POOL_FLAGS Flags, SIZE_T Bytes, ULONG Tag)
{
    __try {
        return ExAllocatePool2(Flags | POOL_FLAG_RAISE_ON_FAILURE, Bytes, Tag) == NULL
                   ? STATUS_NO_MEMORY
                   : STATUS_SUCCESS;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
}

// PL-54: what is not understood is raised too, where raising was.
static VOID WrongFlagsAreRaised(VOID)
{
    static const struct {
        POOL_FLAGS Flags;
        SIZE_T Bytes;
        ULONG Tag;
    } Wrong[] = {
        {0, 100, TAG},
        {POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED, 100, TAG},
        {POOL_FLAG_PAGED | 0x200, 100, TAG},
        {POOL_FLAG_PAGED, 0, TAG},
        {POOL_FLAG_PAGED, 100, 0},
    };

    for (ULONG i = 0; i < RTL_NUMBER_OF(Wrong); i++)
        CHECK_EQUAL((ULONG)TryFlags(Wrong[i].Flags, Wrong[i].Bytes, Wrong[i].Tag),
                    (ULONG)STATUS_INVALID_PARAMETER);
}

// LA-67: only 64-bit systems want the header aligned, and only there it is a routine that makes it.
NOINLINE static VOID MakeHeader(PSLIST_HEADER Header)
{
    InitializeSListHead(Header);
}

NOINLINE static NTSTATUS TryHeader(PSLIST_HEADER Header)
{
    __try {
        MakeHeader(Header);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}

static VOID AMisalignedSlistIsRaised(VOID)
{
    static DECLSPEC_ALIGN(16) UCHAR Memory[64];
    NTSTATUS Wanted = sizeof(PVOID) == 8 ? STATUS_DATATYPE_MISALIGNMENT : STATUS_SUCCESS;

    CHECK_EQUAL((ULONG)TryHeader((PSLIST_HEADER)Memory), STATUS_SUCCESS);
    CHECK_EQUAL((ULONG)TryHeader((PSLIST_HEADER)(Memory + 8)), (ULONG)Wanted);
}

static const GUEST_CASE Cases[] = {
    {"PL-53 PL-61 LA-06 each call raises when there is no memory",
     EachWayRaisesWhenThereIsNoMemory},
    {"PL-61 it is raised at the caller's IRQL", ItIsRaisedAtTheCallersIrql},
    {"PL-85 what ExAllocatePool2 does not understand is raised", WrongFlagsAreRaised},
    {"LA-62 a misaligned SLIST header is raised", AMisalignedSlistIsRaised},
};
GUEST_DRIVER(Cases)
