// SPDX-License-Identifier: MIT
// Physical memory with ACPI tables in it, and HalMapPhysical onto it: each mapping is a copy of its
// own, so that the address sanitizer sees the first byte read outside.
#pragma once

#include "hal.h"
#include "kd.h"
#include "kernel/hal/acpi.h"
#include "rtl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static UCHAR *Memory;
static SIZE_T MemorySize;
static ULONG Mappings;           // made and not undone
static BOOLEAN RepairChecksums;  // of whatever is mapped

// Makes the Length bytes at Data sum to zero by the one at Index.
static void repair(UCHAR *Data, SIZE_T Length, SIZE_T Index)
{
    Data[Index] = 0;
    for (SIZE_T i = 0; i < Length; i++)
        Data[Index] = (UCHAR)(Data[Index] - (i == Index ? 0 : Data[i]));
}

PVOID HalMapPhysical(ULONG64 Address, SIZE_T Length, BOOLEAN Cached)
{
    if (Length == 0 || Address >= MemorySize || MemorySize - Address < Length)
        return NULL;
    UCHAR *Copy = malloc(Length);
    memcpy(Copy, Memory + Address, Length);
    if (RepairChecksums && Length > ACPI_HEADER_LENGTH)
        repair(Copy, Length, 9);
    if (RepairChecksums && Length == ACPI_RSDP_LENGTH && memcmp(Copy, "RSD PTR ", 8) == 0) {
        repair(Copy, 20, 8);
        repair(Copy, ACPI_RSDP_LENGTH, 32);
    }
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
