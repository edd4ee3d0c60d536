// SPDX-License-Identifier: MIT
// pool: what drivers allocate from (mm/pool*.c).
#pragma once

#include "nt/nt.h"
#include "ke.h"

VOID ExInitializePool(VOID);  // needs MmInitialize
// Caches and counters of one processor. Fails: FALSE when memory is used up.
BOOLEAN ExInitializePoolProcessor(PKPRCB Prcb);
// Once a second: pages that a burst left empty go back to the memory manager. IRQL: <=
// DISPATCH_LEVEL.
VOID ExTrimPool(VOID);

PVOID NTAPI ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes);
PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);
PVOID NTAPI ExAllocatePool3(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag,
                            PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                            ULONG ExtendedParametersCount);
PVOID NTAPI ExAllocatePoolWithTagPriority(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                                          EX_POOL_PRIORITY Priority);
PVOID NTAPI ExAllocatePoolWithQuota(POOL_TYPE PoolType, SIZE_T NumberOfBytes);
PVOID NTAPI ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
VOID NTAPI ExFreePool2(PVOID P, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                       ULONG ExtendedParametersCount);
VOID NTAPI ExFreePool(PVOID P);
VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag);

// ExAllocatePoolWithTag on behalf of the code at Caller, which the block's record and reports will
// name.
PVOID ExAllocatePoolFor(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller);

// ExAllocatePoolWithTag for the kernel itself, which does something for the code at Caller: fails
// where a request of Caller's own is to fail on purpose. The block is the kernel's.
PVOID ExAllocatePoolOnBehalf(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                             ULONG_PTR Caller);

// How processes are charged; comes from ps. PoolType: NonPagedPool or PagedPool, more bits are
// ignored. IRQL: <= DISPATCH_LEVEL.
typedef struct _EX_POOL_QUOTA {
    // Charges the current process and names it. Fails: STATUS_QUOTA_EXCEEDED, nothing is charged.
    NTSTATUS (*Charge)(POOL_TYPE PoolType, SIZE_T Bytes, PVOID *Process);
    VOID (*Return)(PVOID Process, POOL_TYPE PoolType, SIZE_T Bytes);
} EX_POOL_QUOTA;
VOID ExRegisterPoolQuota(const EX_POOL_QUOTA *Quota);

// What is asked to free pool it holds before a request fails; one routine, from ex. Called at
// <= DISPATCH_LEVEL, with none of the pool's locks held.
VOID ExRegisterPoolReclaim(VOID (*Routine)(VOID));

// All that the pools and lookaside lists keep for later goes back to mm; at DISPATCH_LEVEL what
// other processors have a little later, and paged lists keep theirs. For mm, when what it has will
// not do. IRQL: <= DISPATCH_LEVEL.
VOID ExReclaimPool(VOID);

// Shall this request fail on purpose (/FAULTS, /FAILALLOCATION)? A driver's may; the log says so.
// Also for what is not from the pools; Tag says what it is. IRQL: <= DISPATCH_LEVEL.
BOOLEAN ExFailsOnPurpose(ULONG_PTR Caller, SIZE_T Bytes, ULONG Tag);

// Is it a driver's code, and are drivers verified (/VERIFIER)? IRQL: any.
BOOLEAN ExIsVerified(ULONG_PTR Caller);

// What is known of a pool block, for the monitor, whatis and reports.
typedef struct _EX_POOL_BLOCK {
    ULONG_PTR Address;   // first byte of the block
    SIZE_T Size;         // bytes asked for; of a free block: the bytes it has room for
    SIZE_T Reserved;     // bytes the block takes
    ULONG Tag;           // of a free block: its last tag, 0 when it never had one
    POOL_TYPE PoolType;  // NonPagedPool, PagedPool or NonPagedPoolNx
    BOOLEAN Allocated;
    ULONG_PTR Caller;    // call site of the allocation, or of the free; 0: unknown
} EX_POOL_BLOCK;

// The block, allocated or free, in which Address lies. Returns FALSE when there is none.
// IRQL: any; takes no lock.
BOOLEAN ExQueryPoolBlock(const VOID *Address, EX_POOL_BLOCK *Block);

// Use by tag, as poolmon shows it. Nonpaged sums both nonpaged pools.
typedef struct _EX_POOL_TAG {
    ULONG Tag;
    ULONG64 NonPagedAllocs, NonPagedFrees, NonPagedBytes;
    ULONG64 PagedAllocs, PagedFrees, PagedBytes;
    ULONG64 NonPagedPeak, PagedPeak; // bytes; exact to what a processor caches at a time
} EX_POOL_TAG;

// Counters of the tag with this number; tags are numbered from 0 in order of their first use.
// Returns FALSE behind the last. IRQL: any; takes no lock.
BOOLEAN ExQueryPoolTag(ULONG Number, EX_POOL_TAG *Use);

// The text of a pooltag.txt, which stays where it is: what tags stand for. IRQL: <= APC_LEVEL.
VOID ExSetPoolTagFile(const char *Text, SIZE_T Length);

typedef struct _EX_POOL_STATISTICS {
    ULONG64 Pages;            // held by the pool, its bookkeeping not counted
    ULONG64 BookkeepingPages; // descriptors, records, counters, caches of all pools
    ULONG64 ZeroByteRequests; // since start, all pools
    ULONG64 Failures;         // requests answered with NULL since start, all pools
} EX_POOL_STATISTICS;
VOID ExQueryPoolStatistics(POOL_TYPE PoolType, EX_POOL_STATISTICS *Statistics);

// Checks the allocator's own state page by page. Returns NULL when all is well, else what is not.
// For tests and the monitor: the pools must be at rest. IRQL: any.
const char *ExValidatePool(VOID);
