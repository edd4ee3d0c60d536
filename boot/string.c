// SPDX-License-Identifier: MIT
// The four routines that GCC calls by itself. The kernel has its own, above KERNEL_BASE; the build
// makes these local to boot/ so that neither ever calls the other's.

#include "boot.h"

void *memcpy(void *Destination, const void *Source, size_t Length);
void *memmove(void *Destination, const void *Source, size_t Length);
void *memset(void *Destination, int Value, size_t Length);
int memcmp(const void *Left, const void *Right, size_t Length);

void *memcpy(void *Destination, const void *Source, size_t Length)
{
    void *Next = Destination;

    __asm__ volatile("rep movsb" : "+D"(Next), "+S"(Source), "+c"(Length) : : "memory");
    return Destination;
}

void *memmove(void *Destination, const void *Source, size_t Length)
{
    UCHAR *To = Destination;
    const UCHAR *From = Source;

    if (To <= From)
        return memcpy(Destination, Source, Length);
    while (Length--)
        To[Length] = From[Length];
    return Destination;
}

void *memset(void *Destination, int Value, size_t Length)
{
    void *Next = Destination;

    __asm__ volatile("rep stosb" : "+D"(Next), "+c"(Length) : "a"(Value) : "memory");
    return Destination;
}

int memcmp(const void *Left, const void *Right, size_t Length)
{
    const UCHAR *A = Left, *B = Right;

    for (; Length; Length--, A++, B++)
        if (*A != *B)
            return *A - *B;
    return 0;
}
