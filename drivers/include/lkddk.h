// SPDX-License-Identifier: MIT
// lkddk.h: newer routines for pool, mappings and locks, for drivers built with mingw-w64
//
// mingw-w64's DDK headers stop before ExAllocatePool2 and MmMapIoSpaceEx. A driver that wants them
// includes this after <ntddk.h> (or wdm.h, ntifs.h); Microsoft's headers have all of it. The import
// library is made from lkddk.def by tools/drivers.mk and linked to every driver of this tree.
//
// Sources: learn.microsoft.com/en-us/windows-hardware/drivers/kernel/pool_flags,
//          .../ddi/wdm/nf-wdm-exallocatepool2, .../ddi/wdm/nf-wdm-mmmapiospaceex

#pragma once

// What the pool call must do (low half) and may do (high half). Exactly one of NON_PAGED,
// NON_PAGED_EXECUTE and PAGED chooses the pool.
typedef ULONG64 POOL_FLAGS;

#ifndef POOL_FLAG_NON_PAGED
#define POOL_FLAG_USE_QUOTA         0x0000000000000001ULL // charge the current process
#define POOL_FLAG_UNINITIALIZED     0x0000000000000002ULL // do not zero
#define POOL_FLAG_SESSION           0x0000000000000004ULL
#define POOL_FLAG_CACHE_ALIGNED     0x0000000000000008ULL
#define POOL_FLAG_RAISE_ON_FAILURE  0x0000000000000020ULL
#define POOL_FLAG_NON_PAGED         0x0000000000000040ULL // no-execute
#define POOL_FLAG_NON_PAGED_EXECUTE 0x0000000000000080ULL
#define POOL_FLAG_PAGED             0x0000000000000100ULL
#define POOL_FLAG_SPECIAL_POOL      0x0000000100000000ULL
#endif

// ORed into the POOL_TYPE of the older calls.
#ifndef POOL_NX_ALLOCATION
#define POOL_NX_ALLOCATION 512
#endif
#ifndef POOL_ZERO_ALLOCATION
#define POOL_ZERO_ALLOCATION 1024
#endif

/* Zeroed pool memory, NULL when there is none. IRQL: <= DISPATCH_LEVEL, paged <= APC_LEVEL. */
NTKERNELAPI PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);

// The older calls with their contents' state in the name, as newer headers inline them.
static inline PVOID ExAllocatePoolZero(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag)
{
    return ExAllocatePoolWithTag((POOL_TYPE)(Type | POOL_ZERO_ALLOCATION), Bytes, Tag);
}

static inline PVOID ExAllocatePoolUninitialized(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag)
{
    return ExAllocatePoolWithTag(Type, Bytes, Tag);
}

static inline PVOID ExAllocatePoolQuotaZero(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag)
{
    return ExAllocatePoolWithQuotaTag((POOL_TYPE)(Type | POOL_ZERO_ALLOCATION), Bytes, Tag);
}

static inline PVOID ExAllocatePoolPriorityZero(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag,
                                               EX_POOL_PRIORITY Priority)
{
    return ExAllocatePoolWithTagPriority((POOL_TYPE)(Type | POOL_ZERO_ALLOCATION), Bytes, Tag,
                                         Priority);
}

// Extended parameters of ExAllocatePool3 and ExFreePool2.
typedef enum _POOL_EXTENDED_PARAMETER_TYPE {
    PoolExtendedParameterInvalidType,
    PoolExtendedParameterPriority,
    PoolExtendedParameterSecurePool,
    PoolExtendedParameterNumaNode,
    PoolExtendedParameterMax
} POOL_EXTENDED_PARAMETER_TYPE;

typedef struct _POOL_EXTENDED_PARAMS_SECURE_POOL {
    HANDLE SecurePoolHandle;
    PVOID Buffer;
    ULONG_PTR Cookie;
    ULONG SecurePoolFlags;
} POOL_EXTENDED_PARAMS_SECURE_POOL;

typedef struct DECLSPEC_ALIGN(8) _POOL_EXTENDED_PARAMETER {
    struct {
        ULONG64 Type : 8;
        ULONG64 Optional : 1;
        ULONG64 Reserved : 55;
    };
    union {
        ULONG64 Reserved2;
        PVOID Reserved3;
        EX_POOL_PRIORITY Priority;
        POOL_EXTENDED_PARAMS_SECURE_POOL *SecurePoolParams;
        ULONG PreferredNode;
    };
} POOL_EXTENDED_PARAMETER, *PPOOL_EXTENDED_PARAMETER;
typedef const POOL_EXTENDED_PARAMETER *PCPOOL_EXTENDED_PARAMETER;

/* As ExAllocatePool2, with priority and preferred memory node. IRQL: as ExAllocatePool2. */
NTKERNELAPI PVOID NTAPI ExAllocatePool3(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag,
                                        PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                                        ULONG ExtendedParametersCount);

/* As ExFreePoolWithTag. */
NTKERNELAPI VOID NTAPI ExFreePool2(PVOID P, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                                   ULONG ExtendedParametersCount);

/*
 * Maps device memory with a page protection: PAGE_READWRITE or PAGE_READONLY, with PAGE_NOCACHE or
 * PAGE_WRITECOMBINE, never executable unless asked for. Unmapped by MmUnmapIoSpace.
 * IRQL: <= DISPATCH_LEVEL.
 */
NTKERNELAPI PVOID NTAPI MmMapIoSpaceEx(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes,
                                       ULONG Protect);

/*
 * Push locks: one word, zero is free, shared or exclusive, not recursive. Normal kernel APCs are
 * disabled by the caller (KeEnterCriticalRegion). IRQL: <= APC_LEVEL.
 */
#ifndef EX_PUSH_LOCK
typedef ULONG_PTR EX_PUSH_LOCK, *PEX_PUSH_LOCK;
#endif
#define EX_DEFAULT_PUSH_LOCK_FLAGS 0

/* mingw-w64's ntifs.h declares it, too, but on i386 as __cdecl: it would not take its argument. */
#define ExInitializePushLock LkInitializePushLock
FORCEINLINE VOID LkInitializePushLock(PEX_PUSH_LOCK PushLock)
{
    *PushLock = 0;
}

NTKERNELAPI VOID FASTCALL ExAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
NTKERNELAPI VOID FASTCALL ExAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
NTKERNELAPI BOOLEAN FASTCALL ExTryAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
NTKERNELAPI BOOLEAN FASTCALL ExTryAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
NTKERNELAPI VOID FASTCALL ExReleasePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
NTKERNELAPI VOID FASTCALL ExReleasePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
NTKERNELAPI VOID FASTCALL ExReleasePushLockEx(PEX_PUSH_LOCK PushLock, ULONG Flags);

#define ExAcquirePushLockExclusive(Lock)                                                           \
    ExAcquirePushLockExclusiveEx(Lock, EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExAcquirePushLockShared(Lock) ExAcquirePushLockSharedEx(Lock, EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExReleasePushLockExclusive(Lock)                                                           \
    ExReleasePushLockExclusiveEx(Lock, EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExReleasePushLockShared(Lock) ExReleasePushLockSharedEx(Lock, EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExReleasePushLock(Lock)       ExReleasePushLockEx(Lock, EX_DEFAULT_PUSH_LOCK_FLAGS)
