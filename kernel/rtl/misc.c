// SPDX-License-Identifier: MIT
// Small things of rtl that belong to no subject: random numbers, byte order, backtraces,
// assertions.
#include "kd.h"
#include "rtl.h"
#include "rtlp.h"

// ---- random numbers ---------------------------------------------------------------------------

// Returns a number from 0 to 0x7FFFFFFE from *Seed, and makes *Seed the next one. Not for
// secrets. The generator is Lehmer's, modulo 2^31 - 1 with multiplier 48271, and a step that
// keeps 0 from being its own successor. IRQL: any. Source: Windows developer documentation.
ULONG NTAPI RtlRandom(PULONG Seed)
{
    *Seed = (ULONG)(((ULONG64)*Seed * 48271 + 11) % MAXLONG);
    return *Seed;
}
EXPORT(RtlRandom, EXPORT_ANY_IRQL, ON_NTIFS);

// The same, with the bits mixed further. IRQL: any. Source: Windows driver documentation.
ULONG NTAPI RtlRandomEx(PULONG Seed)
{
    ULONG Value = RtlRandom(Seed);

    Value ^= Value >> 15;
    Value *= 0x2C1B3C6D;
    Value ^= Value >> 12;
    return Value % MAXLONG;
}
EXPORT(RtlRandomEx, EXPORT_ANY_IRQL, ON_NTIFS);

// ---- byte order -------------------------------------------------------------------------------

// Reverses the bytes of a number. IRQL: any. Source: Windows driver documentation.
USHORT FASTCALL RtlUshortByteSwap(USHORT Source)
{
    return __builtin_bswap16(Source);
}
EXPORT(RtlUshortByteSwap, EXPORT_ANY_IRQL, ON_WDM);

ULONG FASTCALL RtlUlongByteSwap(ULONG Source)
{
    return __builtin_bswap32(Source);
}
EXPORT(RtlUlongByteSwap, EXPORT_ANY_IRQL, ON_WDM);

ULONGLONG FASTCALL RtlUlonglongByteSwap(ULONGLONG Source)
{
    return __builtin_bswap64(Source);
}
EXPORT(RtlUlonglongByteSwap, EXPORT_ANY_IRQL, ON_WDM);

// ---- backtraces -------------------------------------------------------------------------------

// Stores up to FramesToCapture return addresses, without the first FramesToSkip, the caller's own
// being number 0. *BackTraceHash (optional) receives their sum. Returns how many were stored.
// IRQL: any. Source: Windows driver documentation.
USHORT NTAPI RtlCaptureStackBackTrace(ULONG FramesToSkip, ULONG FramesToCapture, PVOID *BackTrace,
                                      PULONG BackTraceHash)
{
    ULONG_PTR *Frames = (ULONG_PTR *)BackTrace;
    ULONG Count = KdCaptureBacktrace(NULL, FramesToSkip + 1, Frames, FramesToCapture), Hash = 0;

    for (ULONG i = 0; i < Count; i++)
        Hash += (ULONG)Frames[i];
    if (BackTraceHash != NULL)
        *BackTraceHash = Hash;
    return (USHORT)Count;
}
EXPORT(RtlCaptureStackBackTrace, EXPORT_ANY_IRQL, ON_NTIFS);

#define WALK_USER_FRAMES 1u
#define WALK_SKIP_SHIFT  8u

// Stores up to Count return addresses of the kernel stack, without the first (Flags >> 8). There
// are no user frames to walk: 0 is returned for them. IRQL: any. Source: Windows driver
// documentation.
ULONG NTAPI RtlWalkFrameChain(PVOID *Callers, ULONG Count, ULONG Flags)
{
    if ((Flags & WALK_USER_FRAMES) != 0)
        return 0;
    return KdCaptureBacktrace(NULL, (Flags >> WALK_SKIP_SHIFT) + 1, (ULONG_PTR *)Callers, Count);
}
EXPORT(RtlWalkFrameChain, EXPORT_ANY_IRQL, ON_NTDDK);

// ---- assertions -------------------------------------------------------------------------------

// What a driver's ASSERT calls: reports the failed assertion and stops the system, since there is
// nobody to ask whether to go on. IRQL: any. Source: Windows driver documentation, ASSERT.
VOID NTAPI RtlAssert(PVOID FailedAssertion, PVOID FileName, ULONG LineNumber, PCHAR Message)
{
    KdPrintf("\n*** Assertion failed: %s%s\n***   Source File: %s, line %u\n\n",
             Message != NULL ? Message : "", (PCHAR)FailedAssertion, (PCHAR)FileName, LineNumber);
    KdAssertionFailed(FailedAssertion, FileName, LineNumber);
}
EXPORT(RtlAssert, EXPORT_ANY_IRQL, "Windows driver documentation, ASSERT");
