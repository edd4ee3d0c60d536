// SPDX-License-Identifier: MIT
// The export table: what drivers may import from ntoskrnl.exe and HAL.dll.
//
// EXPORT stands beside the routine's definition, so a routine is exported exactly when its source
// says so. The linker sorts the entries by name (section .export.NAME, SORT_BY_NAME), which makes
// the loader's search a binary one and `./lookaside exports` a plain dump of this section.
#pragma once

#include "nt/ntdef.h"

#define EXPORT_ANY_IRQL 0xFFu // may be called at any IRQL
#define EXPORT_DATA     0x01u // Flags: a variable, not a routine

typedef struct _EXPORT_ENTRY {
    const char *Name;
    const void *Address;
    ULONG IrqlLimit;    // highest IRQL of a caller
    ULONG Flags;        // EXPORT_*
    const char *Source; // the public document that describes it
} EXPORT_ENTRY; // aligned(): without it GCC aligns large constants further and leaves gaps in the
                // table

#ifdef LOOKASIDE_HOST
#define EXPORT_AS(ExportName, Symbol, Irql, ExportFlags, From)                                     \
    _Static_assert((Irql) <= 0xFF, "IRQL limit")
#else
#define EXPORT_AS(ExportName, Symbol, Irql, ExportFlags, From)                                     \
    static const EXPORT_ENTRY Export_##ExportName                                                  \
        __attribute__((section(".export." #ExportName), used, aligned(sizeof(void *)))) = {        \
            #ExportName, (const void *)&Symbol, (Irql), (ExportFlags), (From)}
#endif

#define EXPORT(Routine, Irql, From) EXPORT_AS(Routine, Routine, Irql, 0, From)
#define EXPORT_VARIABLE(Variable, From)                                                            \
    EXPORT_AS(Variable, Variable, EXPORT_ANY_IRQL, EXPORT_DATA, From)

extern const EXPORT_ENTRY ExportTableStart[], ExportTableEnd[];
