// SPDX-License-Identifier: MIT
// Memory: copy, fill, compare, search.
//
// GCC turns structure assignments into calls of memcpy and memset, and drivers import them by
// these names, so they exist exactly so, in C's convention. NT's memcpy copes with overlap (it is
// memmove there) and drivers rely on it; so does ours.
//
// Only general registers may be used. Up to BLOCK bytes, words are moved in a loop and the odd
// rest is one more, overlapping, word; above it the string instructions win. A copy that has to
// run downwards always moves words: string instructions with the direction flag set are slow, and
// a fault in the middle would leave the flag set for the handler.
#include "rtl.h"
#include "rtlp.h"

typedef ULONG_PTR WORD_AT __attribute__((may_alias, aligned(1)));
typedef ULONG LONG_AT __attribute__((may_alias, aligned(1)));
typedef USHORT SHORT_AT __attribute__((may_alias, aligned(1)));

#define WORD  sizeof(ULONG_PTR)
#define BLOCK 256u  // bytes from which rep movs and rep stos are faster

// Fewer bytes than two words: the first and the last piece are read before either is written.
static inline VOID RtlpMoveFew(UCHAR *To, const UCHAR *From, size_t Length)
{
    if (Length >= WORD) {
        ULONG_PTR First = *(const WORD_AT *)From, Last = *(const WORD_AT *)(From + Length - WORD);
        *(WORD_AT *)To = First;
        *(WORD_AT *)(To + Length - WORD) = Last;
    } else if (Length >= 4) {
        ULONG First = *(const LONG_AT *)From, Last = *(const LONG_AT *)(From + Length - 4);
        *(LONG_AT *)To = First;
        *(LONG_AT *)(To + Length - 4) = Last;
    } else if (Length >= 2) {
        USHORT First = *(const SHORT_AT *)From, Last = *(const SHORT_AT *)(From + Length - 2);
        *(SHORT_AT *)To = First;
        *(SHORT_AT *)(To + Length - 2) = Last;
    } else if (Length == 1) {
        *To = *From;
    }
}

static inline VOID RtlpMoveUp(UCHAR *To, const UCHAR *From, size_t Length)
{
    ULONG_PTR Last = *(const WORD_AT *)(From + Length - WORD);
    UCHAR *End = To + Length - WORD;
    while (To < End) {
        *(WORD_AT *)To = *(const WORD_AT *)From;
        To += WORD;
        From += WORD;
    }
    *(WORD_AT *)End = Last;
}

static inline VOID RtlpMoveDown(UCHAR *To, const UCHAR *From, size_t Length)
{
    ULONG_PTR First = *(const WORD_AT *)From;
    size_t Rest = Length;
    while (Rest > WORD) {
        Rest -= WORD;
        *(WORD_AT *)(To + Rest) = *(const WORD_AT *)(From + Rest);
    }
    *(WORD_AT *)To = First;
}

// Copies Length bytes; source and destination may overlap. IRQL: any (the memory must be resident
// above APC_LEVEL). Returns Destination. Source: ISO C.
void *memmove(void *Destination, const void *Source, size_t Length)
{
    UCHAR *To = Destination;
    const UCHAR *From = Source;
    // As unsigned numbers: the destination starts inside the source only when this is below Length.
    BOOLEAN Downwards = (ULONG_PTR)To - (ULONG_PTR)From < Length;

    if (Length < 2 * WORD)
        RtlpMoveFew(To, From, Length);
    else if (Downwards)
        RtlpMoveDown(To, From, Length);
    else if (Length < BLOCK)
        RtlpMoveUp(To, From, Length);
    else
        __asm__ volatile("rep movsb" : "+D"(To), "+S"(From), "+c"(Length)::"memory");
    return Destination;
}
EXPORT(memmove, EXPORT_ANY_IRQL, ON_CRT);

// The same: drivers rely on NT's memcpy coping with overlap. IRQL: any. Source: ISO C.
void *memcpy(void *Destination, const void *Source, size_t Length)
{
    return memmove(Destination, Source, Length);
}
EXPORT(memcpy, EXPORT_ANY_IRQL, ON_CRT);

// Fills Length bytes with Value's low byte. Returns Destination. IRQL: any. Source: ISO C.
void *memset(void *Destination, int Value, size_t Length)
{
    UCHAR *To = Destination;
    ULONG_PTR Pattern = (ULONG_PTR)(UCHAR)Value * (~(ULONG_PTR)0 / 0xFF);

    if (Length < WORD) {
        while (Length != 0)
            To[--Length] = (UCHAR)Value;
        return Destination;
    }
    *(WORD_AT *)(To + Length - WORD) = Pattern;
    if (Length >= BLOCK) {
        __asm__ volatile("rep stosb" : "+D"(To), "+c"(Length) : "a"(Value) : "memory");
        return Destination;
    }
    for (UCHAR *End = To + Length - WORD; To < End; To += WORD)
        *(WORD_AT *)To = Pattern;
    return Destination;
}
EXPORT(memset, EXPORT_ANY_IRQL, ON_CRT);

// Orders two blocks of Length bytes as unsigned bytes: below, 0 or above 0. IRQL: any. Source:
// ISO C.
int memcmp(const void *First, const void *Second, size_t Length)
{
    const UCHAR *A = First, *B = Second;

    while (Length >= WORD && *(const WORD_AT *)A == *(const WORD_AT *)B) {
        A += WORD;
        B += WORD;
        Length -= WORD;
    }
    for (; Length != 0; A++, B++, Length--)
        if (*A != *B)
            return *A - *B;
    return 0;
}
EXPORT(memcmp, EXPORT_ANY_IRQL, ON_CRT);

// The first of Length bytes that equals Value's low byte. Fails: NULL. IRQL: any. Source: ISO C.
void *memchr(const void *Memory, int Value, size_t Length)
{
    for (const UCHAR *At = Memory; Length != 0; At++, Length--)
        if (*At == (UCHAR)Value)
            return (void *)At;
    return NULL;
}
EXPORT(memchr, EXPORT_ANY_IRQL, ON_CRT);

// The routines by NT's names. Parenthesised: the names are also macros.
typedef ULONG PATTERN_AT __attribute__((may_alias));

// Copies Length bytes; the blocks must not overlap (when they do, this still copies right). IRQL:
// any. Source: Windows driver documentation.
VOID NTAPI (RtlCopyMemory)(PVOID Destination, const VOID *Source, SIZE_T Length)
{
    memcpy(Destination, Source, Length);
}
EXPORT(RtlCopyMemory, EXPORT_ANY_IRQL, ON_WDM);

// Copies Length bytes of which the processor need not keep a copy in its caches; that is advice,
// and this processor-independent form caches them all the same. IRQL: any. Source: Windows driver
// documentation.
VOID NTAPI RtlCopyMemoryNonTemporal(PVOID Destination, const VOID *Source, SIZE_T Length)
{
    memcpy(Destination, Source, Length);
}
EXPORT(RtlCopyMemoryNonTemporal, EXPORT_ANY_IRQL, ON_WDM);

// Copies Length bytes that may overlap. IRQL: any. Source: Windows driver documentation.
VOID NTAPI (RtlMoveMemory)(PVOID Destination, const VOID *Source, SIZE_T Length)
{
    memmove(Destination, Source, Length);
}
EXPORT(RtlMoveMemory, EXPORT_ANY_IRQL, ON_WDM);

// Fills Length bytes with Fill. IRQL: any. Source: Windows driver documentation.
VOID NTAPI (RtlFillMemory)(PVOID Destination, SIZE_T Length, UCHAR Fill)
{
    memset(Destination, Fill, Length);
}
EXPORT(RtlFillMemory, EXPORT_ANY_IRQL, ON_WDM);

// Fills Length bytes with zeros. IRQL: any. Source: Windows driver documentation.
VOID NTAPI (RtlZeroMemory)(PVOID Destination, SIZE_T Length)
{
    memset(Destination, 0, Length);
}
EXPORT(RtlZeroMemory, EXPORT_ANY_IRQL, ON_WDM);

// Fills Length bytes, a multiple of four, with a 32-bit pattern. Destination is aligned to four.
// IRQL: any. Source: Windows driver documentation.
VOID NTAPI RtlFillMemoryUlong(PVOID Destination, SIZE_T Length, ULONG Pattern)
{
    PATTERN_AT *To = Destination;
    for (SIZE_T Count = Length / sizeof(ULONG); Count != 0; Count--)
        *To++ = Pattern;
}
EXPORT(RtlFillMemoryUlong, EXPORT_ANY_IRQL, ON_NTIFS);

// How many bytes, of at most Length, are equal from the start. IRQL: any.
// Source: Windows driver documentation.
SIZE_T NTAPI RtlCompareMemory(const VOID *First, const VOID *Second, SIZE_T Length)
{
    const UCHAR *A = First, *B = Second;
    SIZE_T Equal = 0;

    while (Length - Equal >= WORD && *(const WORD_AT *)(A + Equal) == *(const WORD_AT *)(B + Equal))
        Equal += WORD;
    while (Equal < Length && A[Equal] == B[Equal])
        Equal++;
    return Equal;
}
EXPORT(RtlCompareMemory, EXPORT_ANY_IRQL, ON_WDM);

// How many bytes, of at most Length, repeat a 32-bit pattern from the start: a multiple of four.
// Memory is aligned to four; a Length that is no multiple of four is rounded down.
// IRQL: any. Source: Windows driver documentation.
SIZE_T NTAPI RtlCompareMemoryUlong(PVOID Memory, SIZE_T Length, ULONG Pattern)
{
    const PATTERN_AT *At = Memory;
    SIZE_T Count = 0;

    while (Count < Length / sizeof(ULONG) && At[Count] == Pattern)
        Count++;
    return Count * sizeof(ULONG);
}
EXPORT(RtlCompareMemoryUlong, EXPORT_ANY_IRQL, ON_NTIFS);

// Brings Length bytes at Memory near the processor, if it likes. IRQL: any.
// Source: Windows driver documentation.
VOID FASTCALL RtlPrefetchMemoryNonTemporal(PVOID Memory, SIZE_T Length)
{
    const UCHAR *At = Memory;
    for (SIZE_T Offset = 0; Offset < Length; Offset += 64)
        __builtin_prefetch(At + Offset, 0, 0);
}
EXPORT(RtlPrefetchMemoryNonTemporal, EXPORT_ANY_IRQL, ON_WDM);
