// SPDX-License-Identifier: MIT
// rtl's private header: what its files share with each other.
#pragma once

#include <stdarg.h>
#include "export.h"
#include "nt/nt.h"

// ---- where an exported routine is described ---------------------------------------------------
#define ON_CRT      "ISO C library"
#define ON_MSCRT    "Microsoft C runtime reference"
#define ON_WDM      "Windows driver documentation, wdm.h"
#define ON_NTDDK    "Windows driver documentation, ntddk.h"
#define ON_NTIFS    "Windows driver documentation, ntifs.h"
#define ON_WINNT    "Windows developer documentation, winnt.h"

// ---- characters -------------------------------------------------------------------------------
FORCEINLINE int RtlpLowerAscii(int Character)
{
    return Character >= 'A' && Character <= 'Z' ? Character + ('a' - 'A') : Character;
}

FORCEINLINE int RtlpUpperAscii(int Character)
{
    return Character >= 'a' && Character <= 'z' ? Character - ('a' - 'A') : Character;
}

// ---- UTF-8 and UTF-16 -------------------------------------------------------------------------
// Reads one character at *Position (below Length units) and advances past it. What is not well
// formed is read as U+FFFD, one unit at a time.
ULONG RtlpReadUtf16(const WCHAR *Text, SIZE_T Length, SIZE_T *Position);
ULONG RtlpReadUtf8(const UCHAR *Text, SIZE_T Length, SIZE_T *Position);
// Writes a character into Units (at least 4 bytes, 2 WCHARs). Returns the number of units.
ULONG RtlpWriteUtf8(ULONG Character, CHAR *Units);
ULONG RtlpWriteUtf16(ULONG Character, WCHAR *Units);

// ---- formatting -------------------------------------------------------------------------------
// Where formatted text goes. A target is told text of either width and converts it to its own.
typedef struct _RTLP_FORMAT_TARGET {
    VOID (*PutNarrow)(struct _RTLP_FORMAT_TARGET *Target, const CHAR *Text, SIZE_T Length);
    VOID (*PutWide)(struct _RTLP_FORMAT_TARGET *Target, const WCHAR *Text, SIZE_T Length);
    SIZE_T Count;  // units produced so far, whether they found room or not
} RTLP_FORMAT_TARGET, *PRTLP_FORMAT_TARGET;

// Format is 8-bit or, when WideFormat, UTF-16; in a wide format %s and %c mean wide text.
VOID RtlpFormat(PRTLP_FORMAT_TARGET Target, const VOID *Format, BOOLEAN WideFormat,
                va_list Arguments);

// ---- memory -----------------------------------------------------------------------------------
PVOID RtlpAllocate(SIZE_T Length, PVOID Caller);  // from the registered allocator; fails: NULL
VOID RtlpFree(PVOID Memory, PVOID Caller);

// ---- exceptions -------------------------------------------------------------------------------
// What RtlInitializeExceptions was given; before that, nothing is readable and no image is known.
BOOLEAN RtlpSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length);
BOOLEAN RtlpFindImage(ULONG_PTR Address, struct _RTL_IMAGE *Image);
DECLSPEC_NORETURN VOID RtlpUnhandled(PEXCEPTION_RECORD Record, PCONTEXT Context);
// Raises Status because of what became of Record.
DECLSPEC_NORETURN VOID RtlpRaiseAbout(NTSTATUS Status, PEXCEPTION_RECORD Record);
