// SPDX-License-Identifier: MIT
// Does again what a real program allocated and freed: sizes, order and lifetimes are the program's.
// The trace is written into the array below by bench/traces.py. Every block is filled, and looked
// at when it is freed.
//
// bench/bench.py has it run under -icount, where the counter counts instructions: what an operation
// costs is measured in a round without looking at contents.
#include "../guest.h"

#define NX         ((POOL_TYPE)512)
#define TAG        'yalR'
#define OPERATIONS 65528u
#define SLOTS      32768u

typedef struct _OPERATION { USHORT Slot, Bytes; } OPERATION;  // no bytes: a free

static volatile struct {
    char Mark[16];
    ULONG Count;
    OPERATION Operation[OPERATIONS];
} Trace = {.Mark = "TRACE GOES HERE"};

typedef struct _SLOT { UCHAR *Block; USHORT Bytes; UCHAR Fill; } SLOT;

static SLOT Slots[SLOTS];
static SIZE_T Live, MostLive;  // bytes

static POOL_TYPE TypeOf(ULONG Slot)
{
    return Slot % 4 == 3 ? PagedPool : NX;
}

static VOID Allocate(ULONG Number, USHORT Bytes, BOOLEAN Look)
{
    SLOT *Slot = &Slots[Number];
    Slot->Block = ExAllocatePoolWithTag(TypeOf(Number), Bytes, TAG);
    Slot->Bytes = Bytes;
    CHECK(Slot->Block != NULL);
    Live += Bytes;
    if (Live > MostLive)
        MostLive = Live;
    if (!Look || Slot->Block == NULL)
        return;
    Slot->Fill = (UCHAR)(Number * 31 + Bytes);
    RtlFillMemory(Slot->Block, Bytes, Slot->Fill);
}

static BOOLEAN IsIntact(const SLOT *Slot)
{
    for (ULONG i = 0; i < Slot->Bytes; i++)
        if (Slot->Block[i] != Slot->Fill)
            return FALSE;
    return TRUE;
}

static VOID Free(ULONG Number, BOOLEAN Look)
{
    SLOT *Slot = &Slots[Number];
    if (Slot->Block == NULL)
        return;
    if (Look)
        CHECK(IsIntact(Slot));
    ExFreePoolWithTag(Slot->Block, TAG);
    Live -= Slot->Bytes;
    Slot->Block = NULL;
}

static VOID Replay(BOOLEAN Look)
{
    for (ULONG i = 0; i < Trace.Count; i++) {
        OPERATION Operation = Trace.Operation[i];
        if (Operation.Bytes != 0)
            Allocate(Operation.Slot, Operation.Bytes, Look);
        else
            Free(Operation.Slot, Look);
    }
}

static VOID FreeAll(BOOLEAN Look)
{
    for (ULONG i = 0; i < SLOTS; i++)
        Free(i, Look);
}

static VOID EveryBlockKeepsItsContents(VOID)
{
    CHECK(Trace.Count != 0);
    Replay(TRUE);
    FreeAll(TRUE);
    CHECK_EQUAL(Live, 0);
}

static ULONG64 Now(VOID)
{
    ULONG Low, High;
    __asm__ volatile("rdtsc" : "=a"(Low), "=d"(High)::"memory");
    return (ULONG64)High << 32 | Low;
}

// The second time: pages and caches are there.
static VOID AnOperationsCost(VOID)
{
    ULONG64 Start = Now();
    Replay(FALSE);
    ULONG64 Ticks = Now() - Start;
    FreeAll(FALSE);
    DbgPrint("BENCH replay %lu\n", (ULONG)(Ticks / Trace.Count));
    DbgPrint("BENCH replay-live %lu\n", (ULONG)MostLive);
}

static const GUEST_CASE Cases[] = {
    {"every block keeps its contents", EveryBlockKeepsItsContents},
    {"what an operation costs", AnOperationsCost},
};
GUEST_DRIVER(Cases)
