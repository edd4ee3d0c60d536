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
#include "export.h"
#include "rtl.h"

typedef ULONG_PTR WORD_AT __attribute__((may_alias, aligned(1)));
typedef ULONG LONG_AT __attribute__((may_alias, aligned(1)));
typedef USHORT SHORT_AT __attribute__((may_alias, aligned(1)));

#define WORD  sizeof(ULONG_PTR)
#define BLOCK 256u  // bytes from which rep movs and rep stos are faster

#define ON_CRT "C standard library (ISO C), provided to drivers by ntoskrnl.exe"

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

void *memcpy(void *Destination, const void *Source, size_t Length)
{
    return memmove(Destination, Source, Length);
}
EXPORT(memcpy, EXPORT_ANY_IRQL, ON_CRT);

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

void *memchr(const void *Memory, int Value, size_t Length)
{
    for (const UCHAR *At = Memory; Length != 0; At++, Length--)
        if (*At == (UCHAR)Value)
            return (void *)At;
    return NULL;
}
EXPORT(memchr, EXPORT_ANY_IRQL, ON_CRT);
