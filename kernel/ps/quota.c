// SPDX-License-Identifier: MIT
// Quotas: how much pool a process may have drivers allocate on its behalf.
//
// A process has a limit, a use and a peak for nonpaged and for paged pool. A charge is one atomic
// addition, taken back when it proves too much; so two processors never wait for each other, and a
// charge beside another that is about to fail may fail too, never the other way round.
//
// The pool reaches this through EX_POOL_QUOTA, drivers through the Ps routines. The system process
// has no limit unless /POOLQUOTA=bytes sets one for each pool.
//
// Observability: !quota; tests/guest/pool.c.
#include "psp.h"

static PSP_QUOTA *PspQuotaOf(PEPROCESS Process, POOL_TYPE PoolType)
{
    return &Process->Quota[PoolType & PagedPool];
}

static VOID PspNotePeak(PSP_QUOTA *Quota, SIZE_T Usage)
{
    SIZE_T Peak = Quota->Peak;
    while (Usage > Peak && !__atomic_compare_exchange_n(&Quota->Peak, &Peak, Usage, TRUE,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/*
 * PsChargeProcessPoolQuota: charges a process for pool of its.
 *
 * PoolType: NonPagedPool or PagedPool. Amount: bytes.
 * IRQL: <= DISPATCH_LEVEL.
 * Fails: STATUS_QUOTA_EXCEEDED; nothing is charged then.
 * Source: WDK, ntifs.h: PsChargeProcessPoolQuota.
 */
NTSTATUS NTAPI PsChargeProcessPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, SIZE_T Amount);
NTSTATUS NTAPI PsChargeProcessPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, SIZE_T Amount)
{
    PSP_QUOTA *Quota = PspQuotaOf(Process, PoolType);
    SIZE_T Usage = __atomic_add_fetch(&Quota->Usage, Amount, __ATOMIC_RELAXED);
    if (Usage < Amount || Usage > Quota->Limit) {
        __atomic_sub_fetch(&Quota->Usage, Amount, __ATOMIC_RELAXED);
        return STATUS_QUOTA_EXCEEDED;
    }
    PspNotePeak(Quota, Usage);
    return STATUS_SUCCESS;
}
EXPORT(PsChargeProcessPoolQuota, DISPATCH_LEVEL, "WDK, ntifs.h: PsChargeProcessPoolQuota");

/*
 * PsChargePoolQuota: the same, raising.
 *
 * IRQL: <= DISPATCH_LEVEL. Fails: raises STATUS_QUOTA_EXCEEDED.
 * Source: WDK, ntifs.h: PsChargePoolQuota.
 */
VOID NTAPI PsChargePoolQuota(PEPROCESS Process, POOL_TYPE PoolType, SIZE_T Amount);
VOID NTAPI PsChargePoolQuota(PEPROCESS Process, POOL_TYPE PoolType, SIZE_T Amount)
{
    NTSTATUS Status = PsChargeProcessPoolQuota(Process, PoolType, Amount);
    if (!NT_SUCCESS(Status))
        RtlRaiseStatus(Status);
}
EXPORT(PsChargePoolQuota, DISPATCH_LEVEL, "WDK, ntifs.h: PsChargePoolQuota");

/*
 * PsReturnPoolQuota: gives back what was charged. More than that is a bugcheck 0x21
 * (QUOTA_UNDERFLOW: process, pool type, use, amount).
 *
 * IRQL: <= DISPATCH_LEVEL.
 * Source: WDK, ntifs.h: PsReturnPoolQuota.
 */
VOID NTAPI PsReturnPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, SIZE_T Amount);
VOID NTAPI PsReturnPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, SIZE_T Amount)
{
    SIZE_T Usage = __atomic_fetch_sub(&PspQuotaOf(Process, PoolType)->Usage, Amount,
                                      __ATOMIC_RELAXED);
    if (Usage < Amount)
        KiBugCheck(QUOTA_UNDERFLOW, (ULONG_PTR)Process, PoolType, Usage, Amount, NULL,
                   "More pool quota was returned to a process than it had been charged.");
}
EXPORT(PsReturnPoolQuota, DISPATCH_LEVEL, "WDK, ntifs.h: PsReturnPoolQuota");

// ---- the pool's side ---------------------------------------------------------------------------
static NTSTATUS PspChargeCurrent(POOL_TYPE PoolType, SIZE_T Bytes, PVOID *Process)
{
    PEPROCESS Current = ((PETHREAD)KiCurrentThread())->Process;
    NTSTATUS Status = PsChargeProcessPoolQuota(Current, PoolType, Bytes);
    *Process = NT_SUCCESS(Status) ? Current : NULL;
    return Status;
}

static VOID PspReturn(PVOID Process, POOL_TYPE PoolType, SIZE_T Bytes)
{
    PsReturnPoolQuota(Process, PoolType, Bytes);
}

VOID PspInitializeQuota(PEPROCESS Process)
{
    static const EX_POOL_QUOTA Routines = {PspChargeCurrent, PspReturn};
    SIZE_T Limit = (SIZE_T)KdQueryOptionNumber("POOLQUOTA", (SIZE_T)-1);
    Process->Quota[NonPagedPool].Limit = Process->Quota[PagedPool].Limit = Limit;
    ExRegisterPoolQuota(&Routines);
}

// ---- !quota ------------------------------------------------------------------------------------
static VOID PspPrintQuota(const char *Name, const PSP_QUOTA *Quota)
{
    KdPrintf("  %-9s %12llu %12llu", Name, (ULONG64)Quota->Usage, (ULONG64)Quota->Peak);
    if (Quota->Limit == (SIZE_T)-1)
        KdPrintf("         none\n");
    else
        KdPrintf(" %12llu\n", (ULONG64)Quota->Limit);
}

static BOOLEAN PspQuotaCommand(const char *Arguments)
{
    KdPrintf("  %-9s %12s %12s %12s  %s\n", "pool", "charged", "peak", "limit",
             PsInitialSystemProcess->ImageFileName);
    PspPrintQuota("nonpaged", &PsInitialSystemProcess->Quota[NonPagedPool]);
    PspPrintQuota("paged", &PsInitialSystemProcess->Quota[PagedPool]);
    return TRUE;
}
KD_COMMAND(quota, "!quota", "!quota: pool that processes are charged for", PspQuotaCommand,
           KD_SAFE_IN_BUGCHECK);
