// SPDX-License-Identifier: MIT
// The processor, for the simulator: every primitive is a call into machine.c, which may let another
// processor go on or deliver an interrupt first. Found before include/amd64/arch.h.
#pragma once

#include "nt/nt.h"
#include "amd64/pcr.h"

#define KERNEL_BASE              0xFFFFFFFF80000000ull
#define SHARED_USER_DATA_ADDRESS 0xFFFFF78000000000ull

// Vectors; the upper nibble is the IRQL.
#define APC_VECTOR         0x1Fu
#define DPC_VECTOR         0x2Fu
#define LEGACY_VECTOR_BASE 0xC0u
#define CLOCK_VECTOR       0xD1u
#define IPI_VECTOR         0xE1u
#define SPURIOUS_VECTOR    0xFFu
#define DIRQL_FIRST        3u
#define DIRQL_LAST         11u

typedef struct _KTRAP_FRAME {
    ULONG PreviousIrql;
    ULONG64 Vector, ErrorCode, Rip, Rsp, Rbp, Rcx, SegCs, EFlags;
} KTRAP_FRAME, *PKTRAP_FRAME;

#define TRAP_PC(Frame)    ((Frame)->Rip)
#define TRAP_SP(Frame)    ((Frame)->Rsp)
#define TRAP_FP(Frame)    ((Frame)->Rbp)
#define TRAP_FLAGS(Frame) ((Frame)->EFlags)

#define EFLAGS_IF 0x200u

PKPCR KeGetPcr(VOID);
PKPRCB KeGetCurrentPrcb(VOID);
struct _KTHREAD *KiCurrentThread(VOID);
KIRQL KiGetIrql(VOID);
VOID KiSetIrql(KIRQL Irql);
KIRQL KiRaiseIrql(KIRQL NewIrql);
VOID KiLowerIrql(KIRQL NewIrql);
VOID KiCli(VOID);
VOID KiSti(VOID);
BOOLEAN KiDisableInterrupts(VOID);
VOID KiRestoreInterrupts(BOOLEAN Enabled);
VOID KiPause(VOID);
VOID KiEnableAndHalt(VOID);
ULONG64 KiReadTsc(VOID);

#define KiReturnAddress() ((ULONG_PTR)__builtin_return_address(0))
