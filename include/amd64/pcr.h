// SPDX-License-Identifier: MIT
// The processor control region, amd64: GS base. Offsets that drivers compile in are asserted below.
#pragma once

#include "prcb.h"

typedef struct DECLSPEC_ALIGN(64) _KPRCB {
    ULONG MxCsr;                    // 0x00
    UCHAR Number;                   // 0x04, read as gs:[184h]
    UCHAR NumberHigh;               // 0x05, zero: some readers take a word
    BOOLEAN InterruptRequest;       // 0x06
    BOOLEAN IdleHalt;               // 0x07
    struct _KTHREAD *CurrentThread; // 0x08, read as gs:[188h]
    struct _KTHREAD *NextThread;    // 0x10
    struct _KTHREAD *IdleThread;    // 0x18
    KPRCB_BODY
} KPRCB, *PKPRCB;

typedef struct DECLSPEC_ALIGN(64) _KPCR {
    union {
        NT_TIB NtTib;
        struct {
            PVOID GdtBase;
            PVOID TssBase;
            ULONG64 UserRsp;
            struct _KPCR *Self;          // 0x18
            struct _KPRCB *CurrentPrcb;  // 0x20
            PKSPIN_LOCK_QUEUE LockArray; // 0x28
            PVOID Used_Self;             // 0x30
        };
    };
    PVOID IdtBase;                       // 0x38
    ULONG64 Unused[2];
    KIRQL Irql;                          // 0x50, unused: the IRQL is CR8
    UCHAR SecondLevelCacheAssociativity;
    UCHAR ObsoleteNumber;
    UCHAR Fill0;
    ULONG Unused0[3];
    USHORT MajorVersion;                 // 0x60
    USHORT MinorVersion;
    ULONG StallScaleFactor;              // 0x64, TSC ticks per microsecond
    PVOID Unused1[3];
    ULONG KernelReserved[15];            // 0x80
    ULONG SecondLevelCacheSize;          // 0xBC
    ULONG HalReserved[16];               // 0xC0
    ULONG Unused2;                       // 0x100
    PVOID KdVersionBlock;                // 0x108
    PVOID Unused3;
    ULONG PcrAlign1[24];                 // 0x118
    KPRCB Prcb;                          // 0x180
} KPCR, *PKPCR;

C_ASSERT(FIELD_OFFSET(KPCR, Self) == 0x18);
C_ASSERT(FIELD_OFFSET(KPCR, CurrentPrcb) == 0x20);
C_ASSERT(FIELD_OFFSET(KPCR, Irql) == 0x50);
C_ASSERT(FIELD_OFFSET(KPCR, KdVersionBlock) == 0x108);
C_ASSERT(FIELD_OFFSET(KPCR, Prcb) == 0x180);
C_ASSERT(FIELD_OFFSET(KPCR, Prcb.Number) == 0x184);
C_ASSERT(FIELD_OFFSET(KPCR, Prcb.CurrentThread) == 0x188);
// Addressed by ke/amd64/*.S.
C_ASSERT(FIELD_OFFSET(KPCR, Prcb.DpcStack) == 0x1A0);
C_ASSERT(FIELD_OFFSET(KPCR, Prcb.DpcActive) == 0x1A8);
C_ASSERT(FIELD_OFFSET(KPCR, Prcb.Reschedule) == 0x1AA);
