// SPDX-License-Identifier: MIT
// ke and kd for host tests: a thread is a processor, locks that notice recursion, a bugcheck that a
// test can catch, options from a string, a log that goes nowhere.
#include "fake_ke.h"

#include "ex.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;
HOST_BUGCHECK HostBugCheck;
jmp_buf HostBugCheckJump;
int HostBugCheckExpected;
const char *HostOptions = "";
__thread int HostLocksHeld;

KE_PAGE_FAULT_ROUTINE *KePageFaultRoutine;

DECLSPEC_NORETURN VOID KiBugCheck(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                  ULONG_PTR P4, PKTRAP_FRAME Frame, const char *Sentence)
{
    HostBugCheck = (HOST_BUGCHECK){.Code = Code, .Parameter = {P1, P2, P3, P4}};
    snprintf(HostBugCheck.Sentence, sizeof(HostBugCheck.Sentence), "%s", Sentence ? Sentence : "");
    if (HostBugCheckExpected)
        longjmp(HostBugCheckJump, 1);
    fprintf(stderr, "bugcheck 0x%X (0x%llx, 0x%llx, 0x%llx, 0x%llx) %s\n", Code,
            (unsigned long long)P1, (unsigned long long)P2, (unsigned long long)P3,
            (unsigned long long)P4, HostBugCheck.Sentence);
    abort();
}

DECLSPEC_NORETURN VOID NTAPI KeBugCheckEx(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                          ULONG_PTR P4)
{
    KiBugCheck(Code, P1, P2, P3, P4, NULL, NULL);
}

// Nobody handles exceptions here.
DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status);
__attribute__((weak)) DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status)
{
    KiBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)Status, 0, 0, 0, NULL,
               "An exception was raised and not handled.");
}

DECLSPEC_NORETURN VOID KdAssertionFailed(const char *Expression, const char *File, ULONG Line)
{
    fprintf(stderr, "%s:%u: %s\n", File, Line, Expression);
    abort();
}

__attribute__((weak)) ULONG64 KeSystemUptime(VOID)
{
    return 0;
}

// ---- spin locks ---------------------------------------------------------------------------------
VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    *SpinLock = 0;
}

// The lock's value while it is held: an address that no other thread has.
static KSPIN_LOCK host_lock_value(void)
{
    return (KSPIN_LOCK)&HostPrcb;
}

VOID KiAcquireLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    KSPIN_LOCK Free = 0;
    if (HostIrql < DISPATCH_LEVEL)
        abort();
    while (!__atomic_compare_exchange_n(SpinLock, &Free, host_lock_value(), FALSE, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
        if (Free == host_lock_value())
            abort();
        Free = 0;
        KiPause();
    }
    HostLocksHeld++;
}

VOID KiReleaseLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    if (__atomic_load_n(SpinLock, __ATOMIC_RELAXED) != host_lock_value() ||
        HostIrql < DISPATCH_LEVEL)
        abort();
    __atomic_store_n(SpinLock, 0, __ATOMIC_RELEASE);
    HostLocksHeld--;
}

KIRQL KiAcquireLock(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    KiAcquireLockAtDpcLevel(SpinLock);
    return OldIrql;
}

VOID KiReleaseLock(PKSPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KiReleaseLockFromDpcLevel(SpinLock);
    KiLowerIrql(OldIrql);
}

const char *KeIrqlName(KIRQL Irql)
{
    return Irql == PASSIVE_LEVEL    ? "PASSIVE_LEVEL"
           : Irql == APC_LEVEL      ? "APC_LEVEL"
           : Irql == DISPATCH_LEVEL ? "DISPATCH_LEVEL"
                                    : "a device's IRQL";
}

// Nobody else runs that one could wait for.
__attribute__((weak)) NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode,
                                                            BOOLEAN Alertable,
                                                            PLARGE_INTEGER Interval)
{
    return STATUS_SUCCESS;
}

// ---- DPCs: queued until the test has them run ---------------------------------------------------
static PKDPC host_dpcs[64];
static int host_dpc_count;

__attribute__((weak)) VOID NTAPI KeInitializeDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine,
                                                 PVOID DeferredContext)
{
    memset(Dpc, 0, sizeof(*Dpc));
    Dpc->DeferredRoutine = DeferredRoutine;
    Dpc->DeferredContext = DeferredContext;
}

__attribute__((weak)) VOID NTAPI KeSetTargetProcessorDpc(PKDPC Dpc, CCHAR Number)
{
    Dpc->Number = (USHORT)(UCHAR)Number;
}

__attribute__((weak)) VOID KeFlushDpcsOf(ULONG Number)
{
}

__attribute__((weak)) BOOLEAN NTAPI KeInsertQueueDpc(PKDPC Dpc, PVOID SystemArgument1,
                                                     PVOID SystemArgument2)
{
    for (int i = 0; i < host_dpc_count; i++)
        if (host_dpcs[i] == Dpc)
            return FALSE;
    host_dpcs[host_dpc_count++] = Dpc;
    return TRUE;
}

void HostRunDpcs(void)
{
    int kept = 0;
    KIRQL OldIrql = KiRaiseIrql(DISPATCH_LEVEL);
    for (int i = 0; i < host_dpc_count; i++) {
        PKDPC Dpc = host_dpcs[i];
        if (Dpc->Number == KeGetCurrentPrcb()->ProcessorNumber)
            Dpc->DeferredRoutine(Dpc, Dpc->DeferredContext, NULL, NULL);
        else
            host_dpcs[kept++] = Dpc;
    }
    host_dpc_count = kept;
    KiLowerIrql(OldIrql);
}

// ---- kd -----------------------------------------------------------------------------------------
VOID KdLog(const char *Component, const char *Format, ...)
{
}

VOID KdPrintf(const char *Format, ...)
{
}

BOOLEAN KdSymbolize(ULONG_PTR Address, char *Buffer, SIZE_T Size)
{
    snprintf(Buffer, Size, "code+0x%llx", (unsigned long long)Address);
    return TRUE;
}

__attribute__((weak)) ULONG KdCaptureBacktrace(const struct _KTRAP_FRAME *TrapFrame, ULONG Skip,
                                               ULONG_PTR *Frames, ULONG Count)
{
    return 0;
}

BOOLEAN KdParseNumber(const char **Text, ULONG64 *Value)
{
    char *End;
    *Value = strtoull(*Text, &End, 16);
    *Text = End;
    return TRUE;
}

static const char *host_find_option(const char *Name)
{
    size_t Length = strlen(Name);
    for (const char *p = HostOptions; (p = strstr(p, Name)) != NULL; p += Length)
        if ((p == HostOptions || p[-1] == ' ') &&
            (p[Length] == '=' || p[Length] == ' ' || p[Length] == 0))
            return p + Length;
    return NULL;
}

BOOLEAN KdQueryOption(const char *Name, char *Value, SIZE_T Size)
{
    const char *Found = host_find_option(Name);
    if (Found != NULL && Value != NULL && Size != 0) {
        size_t Length = *Found == '=' ? strcspn(++Found, " ") : 0;
        snprintf(Value, Size, "%.*s", (int)Length, Found);
    }
    return Found != NULL;
}

ULONG64 KdQueryOptionNumber(const char *Name, ULONG64 Default)
{
    const char *Found = host_find_option(Name);
    if (Found == NULL || *Found != '=')
        return Default;
    char *End;
    ULONG64 Value = strtoull(Found + 1, &End, 0);
    return *End == 'G'   ? Value << 30
           : *End == 'M' ? Value << 20
           : *End == 'K' ? Value << 10
                         : Value;
}

// ---- other processors ---------------------------------------------------------------------------
// There is nobody to call.
volatile CCHAR KeNumberProcessors = 1;
volatile KAFFINITY KeActiveProcessors = ~(KAFFINITY)0;

VOID KeCallOthers(KAFFINITY Targets, VOID (*Routine)(PVOID Context), PVOID Context)
{
}

// ---- fast mutexes: no thread waits for another here ---------------------------------------------
VOID NTAPI KeInitializeEvent(PKEVENT event, EVENT_TYPE type, BOOLEAN state)
{
    event->Header.SignalState = state;
}

VOID FASTCALL ExAcquireFastMutex(PFAST_MUTEX mutex)
{
    if (HostIrql > APC_LEVEL)
        KiBugCheck(0xA, (ULONG_PTR)mutex, HostIrql, 0, 0, NULL, "a fast mutex above APC_LEVEL");
    mutex->OldIrql = HostIrql;
    HostIrql = APC_LEVEL;
}

VOID FASTCALL ExReleaseFastMutex(PFAST_MUTEX mutex)
{
    HostIrql = (KIRQL)mutex->OldIrql;
}
