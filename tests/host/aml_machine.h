// SPDX-License-Identifier: MIT
// A machine with PCI functions and one definition block, for what reads AML: hal's PCI routing.
#pragma once

#include "kernel/hal/halp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define FUNCTION_LIMIT 16u
#define BLOCK_LIMIT    0x10000u

typedef struct _FUNCTION {
    UCHAR Bus, Device, Function, Pin, Line;
    UCHAR Behind; // the bus behind a bridge, 0: it is none
    UCHAR Routing[4]; // a chipset's registers from 0x60 on
} FUNCTION;

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;
HALP_ACPI HalpAcpi;
const HALP_CONTROLLER HalpIoApicController;
const HALP_CONTROLLER *HalpController = &HalpIoApicController;

static FUNCTION Functions[FUNCTION_LIMIT];
static ULONG FunctionCount;
static const UCHAR *Block; // with a table's header
static ULONG Mappings;

BOOLEAN HalpPciExists(VOID)
{
    return TRUE;
}

BOOLEAN HalpPciBusKnown(ULONG Bus)
{
    return Bus <= 1;
}

VOID HalpPciVisitBus(ULONG Bus, HALP_PCI_VISIT *Visit)
{
    for (ULONG i = 0; i < FunctionCount; i++)
        if (Functions[i].Bus == Bus)
            Visit(Functions[i].Bus, Functions[i].Device, Functions[i].Function);
}

static UCHAR read_byte(const FUNCTION *Function, ULONG Offset)
{
    switch (Offset) {
    case 0x0E:
        return Function->Behind != 0 ? PCI_BRIDGE_TYPE : 0;
    case 0x19:
        return Function->Behind;
    case 0x3C:
        return Function->Line;
    case 0x60 ... 0x63:
        return Function->Routing[Offset - 0x60];
    case 0x3D:
        return Function->Pin;
    }
    return 0;
}

ULONG HalReadPci(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, PVOID Buffer, ULONG Length)
{
    for (ULONG i = 0; i < FunctionCount; i++)
        if (Functions[i].Bus == Bus && Functions[i].Device == Device &&
            Functions[i].Function == Function)
            for (ULONG j = 0; j < Length; j++)
                ((PUCHAR)Buffer)[j] = read_byte(&Functions[i], Offset + j);
    return Length;
}

// Each mapping is a copy, so that the address sanitizer sees the first byte read outside.
PVOID HalMapPhysical(ULONG64 Address, SIZE_T Length, BOOLEAN Cached)
{
    PVOID Copy = malloc(Length);
    memcpy(Copy, Block, Length);
    Mappings++;
    return Copy;
}

VOID HalUnmapPhysical(PVOID Mapping, SIZE_T Length)
{
    Mappings--;
    free(Mapping);
}

VOID KdLog(const char *Component, const char *Format, ...)
{
}

// Routes the functions by this code.
static void route(const UCHAR *Table, ULONG Length)
{
    Block = Table;
    memset(&HalpAcpi, 0, sizeof(HalpAcpi));
    HalpAcpi.TableCount = 1;
    memcpy(HalpAcpi.Table[0].Signature, "DSDT", 5);
    HalpAcpi.Table[0].Length = Length;
    HalpAcpi.Table[0].Address = 1;
    SIZE_T Size = HalPciRouteWorkspace();
    PVOID Workspace = malloc(Size);
    HalRoutePci(Workspace, Size);
    free(Workspace);
}
