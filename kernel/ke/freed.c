// SPDX-License-Identifier: MIT
// The checked build's look at freed memory: no object that the system still knows lies in it.
//
// A timer that is set, a DPC that is queued, a resource, a lookaside list or a work item in memory
// that somebody else gets next is a crash at some later time, in somebody else's name. So every
// freed pool block, contiguous or noncached memory, and the stack of a thread that ends, is
// compared with the lists of those. To keep that cheap a bit map remembers the pages, hashed, on
// which there ever was such an object (KeNoteObject); most blocks lie on others.
//
// TIMER_OR_DPC_INVALID (0 a timer, 1 a DPC; the object, start and end of the memory),
// DRIVER_VERIFIER_DETECTED_VIOLATION (0xD2 a resource, 0xCC a lookaside list; the object, start and
// size), WORKER_INVALID (0, the item, start and end). What ex keeps lists of is its own routine's
// (KeFreedRoutine). Locks whose memory goes are forgotten (lockorder.c).
//
// Tests: tests/guest/broken/freed_*.c.
#include "ki.h"

#if KE_WATCHES
#define PAGE_BITS 16384u

KE_FREED_ROUTINE *KeFreedRoutine;
static ULONG KiObjectPages[PAGE_BITS / 32];

static ULONG KiPageBit(ULONG_PTR Address)
{
    return (ULONG)(Address >> PAGE_SHIFT) % PAGE_BITS;
}

VOID KeNoteObject(const VOID *Object)
{
    ULONG Bit = KiPageBit((ULONG_PTR)Object);

    if (!(KiObjectPages[Bit / 32] >> Bit % 32 & 1))
        __atomic_fetch_or(&KiObjectPages[Bit / 32], 1u << Bit % 32, __ATOMIC_RELAXED);
}

static BOOLEAN KiMayHoldObjects(ULONG_PTR Start, ULONG_PTR End)
{
    for (ULONG_PTR Page = Start & ~(ULONG_PTR)(PAGE_SIZE - 1); Page < End; Page += PAGE_SIZE)
        if (KiObjectPages[KiPageBit(Page) / 32] >> KiPageBit(Page) % 32 & 1)
            return TRUE;
    return FALSE;
}

VOID KeCheckFreedMemory(const VOID *Memory, SIZE_T Bytes)
{
    ULONG_PTR Start = (ULONG_PTR)Memory, End = Start + Bytes;
    PVOID Object;

    if (!KiMayHoldObjects(Start, End))
        return;
    Object = KiFindSetTimer(Start, End);
    if (Object != NULL)
        KiBugCheck(TIMER_OR_DPC_INVALID, 0, (ULONG_PTR)Object, Start, End, NULL,
                   "Memory, or a stack, was freed that holds a timer that is set (checked build).");
    Object = KiFindQueuedDpc(Start, End);
    if (Object != NULL)
        KiBugCheck(TIMER_OR_DPC_INVALID, 1, (ULONG_PTR)Object, Start, End, NULL,
                   "Memory, or a stack, was freed that holds a DPC that is queued (checked "
                   "build).");
    if (KeFreedRoutine != NULL)
        KeFreedRoutine(Start, End);
    KeForgetLocks(Memory, Bytes);
}
#endif
