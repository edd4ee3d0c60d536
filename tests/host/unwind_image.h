// SPDX-License-Identifier: MIT
// A pretended driver image and stack for tests of the unwinder, and the only memory it may read.
#pragma once

#include "kernel/rtl/amd64/rtlu.h"

#define IMAGE_SIZE 0x1000u
#define INFO_AT    0x800u   // UNWIND_INFO of the function under test
#define STACK_SIZE 0x800u

static DECLSPEC_ALIGN(16) UCHAR Image[IMAGE_SIZE];
static DECLSPEC_ALIGN(16) UCHAR Stack[STACK_SIZE];
static RUNTIME_FUNCTION Functions[3];

static BOOLEAN IsWithin(const VOID *Address, SIZE_T Length, const VOID *Start, SIZE_T Size)
{
    ULONG64 Offset = (ULONG64)Address - (ULONG64)Start;
    return Offset <= Size && Length <= Size - Offset;
}

BOOLEAN RtlpSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length)
{
    if (!IsWithin(Source, Length, Image, sizeof(Image)) &&
        !IsWithin(Source, Length, Stack, sizeof(Stack)) &&
        !IsWithin(Source, Length, Functions, sizeof(Functions)))
        return FALSE;
    memcpy(Destination, Source, Length);
    return TRUE;
}

BOOLEAN RtlpFindImage(ULONG_PTR Address, PRTL_IMAGE Found)
{
    if (!IsWithin((const VOID *)Address, 1, Image, sizeof(Image)))
        return FALSE;
    *Found = (RTL_IMAGE){(ULONG_PTR)Image, sizeof(Image), Functions, RTL_NUMBER_OF(Functions)};
    return TRUE;
}
