// SPDX-License-Identifier: MIT
// Frees many blocks of whole pages, each of which is address space that all processors know.
//
// tests/system/test_pool.py counts how often processors had to interrupt each other for that. The
// contents prove that no page was used again while a processor still saw the block before it.
#include "guest.h"

#define NX     ((POOL_TYPE)512)
#define TAG    'sulF'
#define BLOCKS 1024
#define ROUNDS 3

static ULONG *Block[BLOCKS];

static VOID Fill(ULONG *Words, SIZE_T Size, ULONG Value)
{
    for (SIZE_T i = 0; i < Size / sizeof(ULONG); i += PAGE_SIZE / sizeof(ULONG))
        Words[i] = Value;
}

static BOOLEAN IsFilled(const ULONG *Words, SIZE_T Size, ULONG Value)
{
    for (SIZE_T i = 0; i < Size / sizeof(ULONG); i += PAGE_SIZE / sizeof(ULONG))
        if (Words[i] != Value)
            return FALSE;
    return TRUE;
}

static ULONG Allocate(SIZE_T Size, ULONG Count, ULONG Round)
{
    ULONG Got = 0;

    for (ULONG i = 0; i < Count; i++) {
        Block[i] = ExAllocatePoolWithTag(i % 2 ? NX : PagedPool, Size, TAG);
        if (Block[i] == NULL)
            continue;
        Fill(Block[i], Size, Round << 16 | i);
        Got++;
    }
    return Got;
}

// Each block is looked at on another processor than the one that filled it.
static ULONG Free(SIZE_T Size, ULONG Count, ULONG Round)
{
    ULONG Good = 0;

    for (ULONG i = 0; i < Count; i++) {
        if (Block[i] == NULL)
            continue;
        Good += IsFilled(Block[i], Size, Round << 16 | i);
        ExFreePoolWithTag(Block[i], TAG);
    }
    return Good;
}

static VOID MoveOn(ULONG Turn)
{
    KeSetSystemAffinityThread((KAFFINITY)1 << Turn % (ULONG)KeNumberProcessors);
}

static VOID AllocateAndFree(SIZE_T Size, ULONG Count)
{
    for (ULONG Round = 0; Round < ROUNDS; Round++) {
        MoveOn(2 * Round);
        ULONG Got = Allocate(Size, Count, Round);
        MoveOn(2 * Round + 1);
        CHECK(Got >= Count / 4); // the smallest machine has no more
        CHECK_EQUAL(Free(Size, Count, Round), Got);
    }
    KeRevertToUserAffinityThread();
}

static VOID BlocksOfTwoPages(VOID)
{
    AllocateAndFree(2 * PAGE_SIZE, BLOCKS);
}

static VOID BlocksOfSixteenPages(VOID)
{
    AllocateAndFree(16 * PAGE_SIZE, BLOCKS / 4);
}

static const GUEST_CASE Cases[] = {
    {"blocks of two pages keep what was written, on whichever processor", BlocksOfTwoPages},
    {"blocks of sixteen pages keep what was written", BlocksOfSixteenPages},
};
GUEST_DRIVER(Cases)
