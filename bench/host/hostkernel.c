// SPDX-License-Identifier: MIT
// What the pool expects of ke, kd and mm, for libpoolmalloc.so: spin locks that survive fork,
// address space from mmap, and a bugcheck that ends the process with its sentence.
//
// Memory. Each region is one mapping without swap reservation: committing is touching, decommitting
// is MADV_DONTNEED. Page runs of the pool's region come from mm/range.c, as always.
//
// fork. A child has one thread; no lock may be held by one that it has not got. So before a fork
// new lockers wait, and the fork waits until nobody holds a lock (a thread that holds one may take
// more).
#include "mm/mi.h"
#include "mm/poolp.h"
#include "hostkernel.h"
#include "no_tlb.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GIB                (1ull << 30)
#define PAGES_OF_POOL_PAGE (POOL_PAGE_SIZE / PAGE_SIZE)

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;

// ---- locks -------------------------------------------------------------------------------------
static volatile int forking, holders;
static __thread int held;

static void enter(void)
{
    if (held++ != 0)
        return;
    for (;;) {
        while (__atomic_load_n(&forking, __ATOMIC_SEQ_CST))
            sched_yield();
        __atomic_fetch_add(&holders, 1, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&forking, __ATOMIC_SEQ_CST))
            return;
        __atomic_fetch_sub(&holders, 1, __ATOMIC_SEQ_CST);
    }
}

static void leave(void)
{
    if (--held == 0)
        __atomic_fetch_sub(&holders, 1, __ATOMIC_SEQ_CST);
}

VOID KiAcquireLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    enter();
    for (ULONG spins = 0; __atomic_exchange_n(SpinLock, 1, __ATOMIC_ACQUIRE) != 0;)
        while (__atomic_load_n(SpinLock, __ATOMIC_RELAXED) != 0)
            if (++spins % 64 == 0)
                sched_yield();
            else
                KiPause();
}

VOID KiReleaseLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    __atomic_store_n(SpinLock, 0, __ATOMIC_RELEASE);
    leave();
}

KIRQL KiAcquireLock(PKSPIN_LOCK SpinLock)
{
    KiAcquireLockAtDpcLevel(SpinLock);
    return PASSIVE_LEVEL;
}

VOID KiReleaseLock(PKSPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KiReleaseLockFromDpcLevel(SpinLock);
}

VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    *SpinLock = 0;
}

static void before_fork(void)
{
    while (__atomic_exchange_n(&forking, 1, __ATOMIC_SEQ_CST))
        sched_yield();
    while (__atomic_load_n(&holders, __ATOMIC_SEQ_CST) != 0)
        sched_yield();
}

static void after_fork(void)
{
    __atomic_store_n(&forking, 0, __ATOMIC_SEQ_CST);
}

void PmWatchForks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

// ---- the rest of ke and kd ---------------------------------------------------------------------
static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(127);
}

DECLSPEC_NORETURN VOID KiBugCheck(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                  ULONG_PTR P4, PKTRAP_FRAME Frame, const char *Sentence)
{
    char text[640];
    RtlFormat(text, sizeof(text), "libpoolmalloc: 0x%X (0x%llx, 0x%llx, 0x%llx, 0x%llx) %s\n", Code,
              (ULONG64)P1, (ULONG64)P2, (ULONG64)P3, (ULONG64)P4, Sentence ? Sentence : "");
    say(text);
    abort();
}

DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status)
{
    KiBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)Status, 0, 0, 0, NULL, NULL);
}

DECLSPEC_NORETURN VOID KdAssertionFailed(const char *Expression, const char *File, ULONG Line)
{
    KiBugCheck(0xE2, Line, 0, 0, 0, NULL, Expression);
}

VOID NTAPI KeInitializeDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    Dpc->DeferredRoutine = DeferredRoutine;
    Dpc->DeferredContext = DeferredContext;
}

VOID NTAPI KeSetTargetProcessorDpc(PKDPC Dpc, CCHAR Number)
{
    Dpc->Number = (USHORT)(UCHAR)Number;
}

volatile KAFFINITY KeActiveProcessors = 1;

// There is no way to run code in another thread: its caches stay as they are.
BOOLEAN NTAPI KeInsertQueueDpc(PKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    return FALSE;
}

VOID KeFlushDpcsOf(ULONG Number)
{
}

ULONG64 KeSystemUptime(VOID)
{
    return 0;
}

VOID KdLog(const char *Component, const char *Format, ...)
{
}

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                      PLARGE_INTEGER Interval)
{
    return STATUS_SUCCESS;
}

VOID KdPrintf(const char *Format, ...)
{
}

BOOLEAN KdSymbolize(ULONG_PTR Address, char *Buffer, SIZE_T Size)
{
    RtlFormat(Buffer, Size, "the program");
    return TRUE;
}

ULONG KdCaptureBacktrace(const KTRAP_FRAME *TrapFrame, ULONG Skip, ULONG_PTR *Frames, ULONG Count)
{
    return 0;
}

BOOLEAN KdParseNumber(const char **Text, ULONG64 *Value)
{
    return FALSE;
}

BOOLEAN KdQueryOption(const char *Name, char *Value, SIZE_T Size)
{
    return FALSE;
}

ULONG64 KdQueryOptionNumber(const char *Name, ULONG64 Default)
{
    return Default;
}

// ---- memory ------------------------------------------------------------------------------------
static MM_REGION region[] = {
    {MmRegionNonPagedPool, "heap", 0, 256 * GIB},
    {MmRegionNonPagedPoolExecute, "unused", 0, GIB},
    {MmRegionPagedPool, "unused", 0, GIB},
    {MmRegionBookkeeping, "bookkeeping", 0, 64 * GIB},
};
#define REGIONS (sizeof(region) / sizeof(region[0]))

PM_HEAP PmHeap;

static MI_RANGE heap;
static ULONG_PTR bookkeeping_next;

static void *map(size_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return base != MAP_FAILED ? base : NULL;
}

VOID MiCreateArray(MI_ARRAY *Array, SIZE_T Limit)
{
    Array->Base = map(Limit);
    Array->Limit = Limit;
    Array->Committed = 0;
}

BOOLEAN MiGrowArray(MI_ARRAY *Array, SIZE_T Bytes)
{
    Array->Committed = Bytes;
    return Bytes <= Array->Limit;
}

BOOLEAN PmStartMemory(void)
{
    for (size_t i = 0; i < REGIONS; i++) {
        ULONG_PTR base = (ULONG_PTR)map(region[i].Size + POOL_PAGE_SIZE);
        if (base == 0)
            return FALSE;
        region[i].Base = ALIGN_UP_BY(base, POOL_PAGE_SIZE);
    }
    MiInitializeRange(&heap, PAGE_SIZE, region[0].Size / PAGES_OF_POOL_PAGE);
    bookkeeping_next = region[REGIONS - 1].Base;
    PmHeap.Pages = map(region[0].Size / POOL_PAGE_SIZE * sizeof(PM_PAGE));
    PmHeap.Base = region[0].Base;
    PmHeap.Size = region[0].Size;
    return heap.Array.Base != NULL && PmHeap.Pages != NULL;
}

VOID PmNotePage(ULONG_PTR Address, ULONG Reciprocal, PVOID Records)
{
    PM_PAGE *page = PmPageOfOffset(Address - PmHeap.Base);
    page->Records = Records;
    ExpStore(page->Reciprocal, Reciprocal);
}

const MM_REGION *MmGetRegion(MM_REGION_TYPE Type)
{
    for (size_t i = 0; i < REGIONS; i++)
        if (region[i].Type == Type)
            return &region[i];
    return NULL;
}

const MM_REGION *MmFindRegion(const VOID *Address)
{
    for (size_t i = 0; i < REGIONS; i++)
        if ((ULONG_PTR)Address - region[i].Base < region[i].Size)
            return &region[i];
    return NULL;
}

PVOID MmReserveSystemRange(MM_REGION_TYPE Type, SIZE_T Pages)
{
    if (Type != MmRegionBookkeeping)
        return NULL;
    SIZE_T bytes = Pages << PAGE_SHIFT;
    ULONG_PTR base = __atomic_fetch_add(&bookkeeping_next, bytes, __ATOMIC_RELAXED);
    return base + bytes <= region[REGIONS - 1].Base + region[REGIONS - 1].Size ? (PVOID)base : NULL;
}

VOID MmReleaseSystemRange(PVOID Base, SIZE_T Pages)
{
}

BOOLEAN MmCommitSystemRange(PVOID Base, SIZE_T Pages, ULONG Protection, ULONG PageFlags)
{
    return TRUE;
}

VOID MmDecommitSystemRange(PVOID Base, SIZE_T Pages)
{
    madvise(Base, Pages << PAGE_SHIFT, MADV_DONTNEED);
}

VOID MmReplaceSystemPage(MM_FLUSH *Flush, PVOID Base)
{
    MmDecommitSystemRange(Base, 1);
}

BOOLEAN MmRestoreSystemPage(MM_FLUSH *Flush, PVOID Base)
{
    return TRUE;
}

// The range counts the pool's pages as if they were the machine's.
PVOID MmAllocatePoolPages(MM_REGION_TYPE Pool, SIZE_T Pages)
{
    ULONG_PTR page = Pool == MmRegionNonPagedPool ? (ULONG_PTR)MiReserveRange(&heap, Pages) : 0;
    if (page == 0)
        return NULL;
    return (PVOID)(region[0].Base + (page - PAGE_SIZE) * PAGES_OF_POOL_PAGE);
}

VOID MmFreePoolPages(PVOID Base, SIZE_T Pages)
{
    MmDecommitSystemRange(Base, Pages * PAGES_OF_POOL_PAGE);
    MiReleaseRange(&heap, (PVOID)(((ULONG_PTR)Base - region[0].Base) / PAGES_OF_POOL_PAGE
                                  + PAGE_SIZE), Pages);
}

ULONG64 MmQueryAvailablePages(ULONG64 *Total)
{
    *Total = (ULONG64)sysconf(_SC_PHYS_PAGES);
    return *Total;
}

BOOLEAN MmIsDriverAddress(ULONG_PTR Address)
{
    return FALSE;
}

ULONG MmPoolProtection(MM_REGION_TYPE Pool)
{
    return MM_READ | MM_WRITE;
}

PVOID MmReserveSpecialPool(SIZE_T Pages)
{
    return NULL;
}
