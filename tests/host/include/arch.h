// SPDX-License-Identifier: MIT
// The processor, for host tests: IRQL, KPRCB and interrupt flag are variables that a test defines
// or takes from tests/host/fake_ke.c; addresses are amd64's. Found before include/amd64/arch.h.
#pragma once

#include "nt/nt.h"
#include "amd64/pcr.h"

#define KERNEL_BASE              0xFFFFFFFF80000000ull
#define HAL_REGION_BASE          0xFFFFFFFFFFC00000ull
#define HAL_REGION_SIZE          0x400000u
#define MM_TRANSIENT_ADDRESS     0xFFFFFFFFFFFFE000ull
#define SHARED_USER_DATA_ADDRESS 0xFFFFF78000000000ull
#define PTE_BASE                 0xFFFFF68000000000ull
#define PAGING_LEVELS            4u
#define SYSTEM_RANGE_START       0xFFFF080000000000ull

#define LEGACY_VECTOR_BASE 0xC0u
#define CLOCK_VECTOR       0xD1u
#define APIC_ERROR_VECTOR  0xE3u
#define IPI_VECTOR         0xE1u
#define SPURIOUS_VECTOR    0xFFu

#define DIRQL_FIRST 3u
#define DIRQL_LAST  11u

typedef struct _KTRAP_FRAME {
    ULONG PreviousIrql;
    ULONG64 Rip, Rsp, Rbp, EFlags, Rcx;
} KTRAP_FRAME, *PKTRAP_FRAME;

#define TRAP_PC(Frame)    ((Frame)->Rip)
#define TRAP_SP(Frame)    ((Frame)->Rsp)
#define TRAP_FP(Frame)    ((Frame)->Rbp)
#define TRAP_FLAGS(Frame) ((Frame)->EFlags)

#define EFLAGS_IF 0x200u

// A thread is a processor.
extern __thread KIRQL HostIrql;
extern __thread KPRCB HostPrcb;

FORCEINLINE PKPRCB KeGetCurrentPrcb(VOID)
{
    return &HostPrcb;
}

FORCEINLINE struct _KTHREAD *KiCurrentThread(VOID)
{
    return HostPrcb.CurrentThread;
}

FORCEINLINE PVOID KiReadPoolProcessor(VOID)
{
    return HostPrcb.PoolProcessor;
}

// ---- hardware: what a test does not define is not there -----------------------------------------
ULONG64 HostReadMsr(ULONG Msr) __attribute__((weak));
VOID HostWriteMsr(ULONG Msr, ULONG64 Value) __attribute__((weak));
VOID HostCpuid(ULONG Leaf, ULONG Registers[4]) __attribute__((weak));
ULONG HostIn(USHORT Port, ULONG Bytes) __attribute__((weak));
VOID HostOut(USHORT Port, ULONG Bytes, ULONG Value) __attribute__((weak));
ULONG64 HostReadTsc(VOID) __attribute__((weak));
VOID HostStop(const char *How) __attribute__((weak));  // does not return

FORCEINLINE ULONG64 KiReadMsr(ULONG Msr)
{
    return HostReadMsr != NULL ? HostReadMsr(Msr) : 0;
}

FORCEINLINE VOID KiWriteMsr(ULONG Msr, ULONG64 Value)
{
    if (HostWriteMsr != NULL)
        HostWriteMsr(Msr, Value);
}

FORCEINLINE VOID KiWriteBackCaches(VOID)
{
}

FORCEINLINE VOID KiCpuid(ULONG Leaf, ULONG SubLeaf, ULONG Registers[4])
{
    (void)SubLeaf;
    for (ULONG i = 0; i < 4; i++)
        Registers[i] = 0;
    if (HostCpuid != NULL)
        HostCpuid(Leaf, Registers);
}

#define HOST_PORT(Name, Type, Bytes)                                                               \
    FORCEINLINE Type KiIn##Name(USHORT Port)                                                       \
    {                                                                                              \
        return (Type)(HostIn != NULL ? HostIn(Port, Bytes) : ~0u);                                 \
    }                                                                                              \
    FORCEINLINE VOID KiOut##Name(USHORT Port, Type Value)                                          \
    {                                                                                              \
        if (HostOut != NULL)                                                                       \
            HostOut(Port, Bytes, Value);                                                           \
    }
HOST_PORT(Byte, UCHAR, 1)
HOST_PORT(Word, USHORT, 2)
HOST_PORT(Long, ULONG, 4)

FORCEINLINE VOID KiTripleFault(VOID)
{
    HostStop("triple fault");
}

FORCEINLINE VOID KiHalt(VOID)
{
    HostStop("halt");
}

FORCEINLINE VOID KiCli(VOID)
{
}

FORCEINLINE ULONG64 KiReadTsc(VOID)
{
    return HostReadTsc != NULL ? HostReadTsc() : __builtin_ia32_rdtsc();
}

FORCEINLINE KIRQL KiGetIrql(VOID)
{
    return HostIrql;
}

FORCEINLINE VOID KiSetIrql(KIRQL Irql)
{
    HostIrql = Irql;
}

FORCEINLINE KIRQL KiRaiseIrql(KIRQL NewIrql)
{
    KIRQL OldIrql = HostIrql;
    HostIrql = NewIrql;
    return OldIrql;
}

FORCEINLINE VOID KiLowerIrql(KIRQL NewIrql)
{
    HostIrql = NewIrql;
}

FORCEINLINE VOID KiInvalidatePage(const VOID *Address)
{
}

FORCEINLINE VOID KiPause(VOID)
{
    __builtin_ia32_pause();
}

FORCEINLINE BOOLEAN KiDisableInterrupts(VOID)
{
    return FALSE;
}

FORCEINLINE VOID KiRestoreInterrupts(BOOLEAN Enabled)
{
}

#define KiReturnAddress() ((ULONG_PTR)__builtin_return_address(0))
