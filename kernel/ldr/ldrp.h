// SPDX-License-Identifier: MIT
// ldr's private header.
//
// The list of drivers changes only at PASSIVE_LEVEL on the thread that loads and unloads; readers
// at any IRQL (backtraces, fault classification) walk it without a lock, so an entry is complete
// before it is linked, and is unlinked before its image goes.
#pragma once

#include "ex.h"
#include "hal.h"
#include "io.h"
#include "ldr.h"
#include "mm.h"
#include "pe.h"
#include "rtl.h"

#define LDR_TAG       0x2072644Cu // 'Ldr '
#define LDR_MAX_TRAPS 512u

// import.c
typedef struct _LDR_BIND {
    PLDR_DRIVER Driver;
    ULONG Bound, Missing;
    BOOLEAN Trap; // /IMPORTS=TRAP
} LDR_BIND;
BOOLEAN LdrpBindImports(PPE_IMAGE Image, PLDR_DRIVER Driver, PULONG Missing);
VOID LdrpReleaseTraps(PLDR_DRIVER Driver);

// {amd64,i386}/thunk.c: writes at Code (LDR_THUNK_SIZE bytes) a jump to LdrpTrapEntry with Index.
#define LDR_THUNK_SIZE 32u
VOID LdrpWriteThunk(UCHAR *Code, ULONG Index);
