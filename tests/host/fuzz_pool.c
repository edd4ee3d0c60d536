// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c mm/poolbook.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/pooltag.c mm/poolbug.c mm/poolquery.c
// Links: mm/poolcheck.c kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// Any sequence of pool operations: no block overlaps another, each keeps its contents, none is
// lost, and the allocator's state is sound at the end. Four bytes are one operation: what to do,
// with which of the slots, of which size.
#include "fake_ke.h"
#include "fake_mm.h"
#include "pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS    64
#define FUZZ_TAG 0x7A7A7546u  // "Fuzz"

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

typedef struct _SLOT { UCHAR *Block; SIZE_T Bytes; UCHAR Fill; } SLOT;

static SLOT Slots[SLOTS];

static VOID Require(BOOLEAN Condition)
{
    if (!Condition)
        abort();
}

static VOID Empty(SLOT *Slot, BOOLEAN AnyTag)
{
    for (SIZE_T i = 0; i < Slot->Bytes; i++)
        Require(Slot->Block[i] == Slot->Fill);
    if (AnyTag)
        ExFreePool(Slot->Block);
    else
        ExFreePoolWithTag(Slot->Block, FUZZ_TAG);
    Slot->Block = NULL;
}

static PVOID Allocate(ULONG Way, SIZE_T Bytes)
{
    static const POOL_TYPE Types[] = {NonPagedPool, PagedPool, NonPagedPoolNx,
                                      NonPagedPoolNxCacheAligned};
    POOL_TYPE Type = Types[Way & 3];
    switch (Way >> 2 & 3) {
    case 0: return ExAllocatePoolWithTagPriority(Type, Bytes, FUZZ_TAG, LowPoolPriority);
    case 1: return ExAllocatePoolWithTag(Type | POOL_ZERO_ALLOCATION, Bytes, FUZZ_TAG);
    default: return ExAllocatePoolWithTag(Type, Bytes, FUZZ_TAG);
    }
}

static VOID Fill(SLOT *Slot, ULONG Way, SIZE_T Bytes)
{
    Slot->Bytes = Bytes;
    Slot->Fill = (UCHAR)(Way * 37 + Bytes);
    Slot->Block = Allocate(Way, Bytes);
    if (Slot->Block != NULL)
        memset(Slot->Block, Slot->Fill, Bytes);
}

static VOID Turn(const uint8_t *Operation)
{
    SLOT *Slot = &Slots[Operation[1] % SLOTS];
    SIZE_T Bytes = 1 + ((SIZE_T)Operation[2] | (SIZE_T)(Operation[3] & 0x1F) << 8);
    if ((Operation[0] & 0xF0) == 0xF0)
        ExTrimPool();
    else if (Slot->Block != NULL)
        Empty(Slot, Operation[0] & 1);
    else
        Fill(Slot, Operation[0], Bytes);
}

static VOID Start(VOID)
{
    static BOOLEAN Started;
    if (Started)
        return;
    fake_mm_start();
    ExInitializePool();
    Started = TRUE;
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    Start();
    fake_mm_page_limit = Size > 0 && Data[0] & 1 ? fake_mm_pages_in_use + 40 : ~(SIZE_T)0;
    for (; Size >= 4; Data += 4, Size -= 4)
        Turn(Data);
    fake_mm_page_limit = ~(SIZE_T)0;
    Require(ExValidatePool() == NULL);
    for (ULONG i = 0; i < SLOTS; i++)
        if (Slots[i].Block != NULL)
            Empty(&Slots[i], FALSE);
    Require(ExValidatePool() == NULL);
    return 0;
}
