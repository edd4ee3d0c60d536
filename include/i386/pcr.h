// SPDX-License-Identifier: MIT
// The processor control region, i386: FS base. Offsets that drivers compile in are asserted below.
#pragma once

#include "prcb.h"

typedef struct DECLSPEC_ALIGN(32) _KPRCB {
    USHORT MinorVersion;            // 0x00
    USHORT MajorVersion;            // 0x02
    struct _KTHREAD *CurrentThread; // 0x04, read as fs:[124h]
    struct _KTHREAD *NextThread;    // 0x08
    struct _KTHREAD *IdleThread;    // 0x0C
    UCHAR Number;                   // 0x10
    UCHAR Reserved[3];
    KPRCB_BODY
    // The soft IRQL: vectors that arrived masked and wait to be replayed, one bit each. Device
    // IRQLs have eight vectors each, so every byte belongs to one IRQL.
    UCHAR HeldVectors[256 / 8];
} KPRCB, *PKPRCB;

typedef struct DECLSPEC_ALIGN(32) _KPCR {
    union {
        NT_TIB NtTib;                    // 0x00, ExceptionList is fs:[0]
        struct {
            PVOID Used_ExceptionList;
            PVOID Used_StackBase;
            PVOID Spare2;
            PVOID TssCopy;
            ULONG ContextSwitches;
            KAFFINITY SetMemberCopy;
            PVOID Used_Self;
        };
    };
    struct _KPCR *SelfPcr;               // 0x1C
    struct _KPRCB *Prcb;                 // 0x20
    KIRQL Irql;                          // 0x24, the IRQL
    ULONG IRR;                           // 0x28, one bit for each IRQL with something pending
    ULONG IrrActive;                     // 0x2C
    ULONG IDR;                           // 0x30
    PVOID KdVersionBlock;                // 0x34
    PVOID IDT;                           // 0x38
    PVOID GDT;                           // 0x3C
    PVOID TSS;                           // 0x40
    USHORT MajorVersion;                 // 0x44
    USHORT MinorVersion;
    KAFFINITY SetMember;                 // 0x48
    ULONG StallScaleFactor;              // 0x4C, TSC ticks per microsecond
    UCHAR SpareUnused;
    UCHAR Number;                        // 0x51
    UCHAR Spare0;
    UCHAR SecondLevelCacheAssociativity;
    ULONG VdmAlert;
    ULONG KernelReserved[14];
    ULONG SecondLevelCacheSize;          // 0x90
    ULONG HalReserved[16];               // 0x94
    ULONG Reserved[19];                  // 0xD4
    DECLSPEC_ALIGN(32) KPRCB PrcbData;   // 0x120
} KPCR, *PKPCR;

C_ASSERT(FIELD_OFFSET(KPCR, SelfPcr) == 0x1C);
C_ASSERT(FIELD_OFFSET(KPCR, Prcb) == 0x20);
C_ASSERT(FIELD_OFFSET(KPCR, Irql) == 0x24);
C_ASSERT(FIELD_OFFSET(KPCR, Number) == 0x51);
C_ASSERT(FIELD_OFFSET(KPCR, PrcbData) == 0x120);
C_ASSERT(FIELD_OFFSET(KPCR, PrcbData.CurrentThread) == 0x124);
// Addressed by ke/i386/*.S.
C_ASSERT(FIELD_OFFSET(KPCR, IRR) == 0x28);
C_ASSERT(FIELD_OFFSET(KPCR, PrcbData.DpcStack) == 0x134);
C_ASSERT(FIELD_OFFSET(KPCR, PrcbData.DpcActive) == 0x138);
