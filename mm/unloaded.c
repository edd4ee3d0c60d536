// SPDX-License-Identifier: MIT
// Where drivers were that have been unloaded, so that what still goes there can be named.
//
// A driver that leaves a thread, a callback or anything else behind that comes back into its image
// when that is gone ends in a page fault at an address that says nothing. The last REMEMBERED
// images are kept here, the latest first to be asked; the fault becomes
// DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS (mm/fault.c). An image that is loaded where
// others were makes them forgotten, since its own discarded sections are not theirs.
//
// The loader alone writes, at PASSIVE_LEVEL; faults read without a lock, before they stop the
// system.
//
// `lm` prints the list. Tests: tests/host/test_mm_fault.c, tests/system/test_drivers.py.
#include "mi.h"

#define REMEMBERED 32u

typedef struct _MI_UNLOADED {
    ULONG_PTR Base;
    SIZE_T Bytes; // 0: forgotten
    char Name[64];
} MI_UNLOADED;

static MI_UNLOADED MiUnloaded[REMEMBERED];
static ULONG MiUnloadedCount; // since start

VOID MmNoteUnloadedDriver(const char *Name, ULONG_PTR Base, SIZE_T Bytes)
{
    MI_UNLOADED *Unloaded = &MiUnloaded[MiUnloadedCount % REMEMBERED];

    Unloaded->Base = Base;
    Unloaded->Bytes = Bytes;
    RtlFormat(Unloaded->Name, sizeof(Unloaded->Name), "%s", Name);
    MiUnloadedCount++;
}

VOID MmForgetUnloadedDrivers(ULONG_PTR Base, SIZE_T Bytes)
{
    for (ULONG i = 0; i < REMEMBERED; i++)
        if (MiUnloaded[i].Base < Base + Bytes && Base < MiUnloaded[i].Base + MiUnloaded[i].Bytes)
            MiUnloaded[i].Bytes = 0;
}

const char *MmUnloadedDriverOf(ULONG_PTR Address, ULONG_PTR *Base)
{
    for (ULONG i = 1; i <= REMEMBERED && i <= MiUnloadedCount; i++) {
        const MI_UNLOADED *Unloaded = &MiUnloaded[(MiUnloadedCount - i) % REMEMBERED];
        *Base = Unloaded->Base;
        if (Address - Unloaded->Base < Unloaded->Bytes)
            return Unloaded->Name;
    }
    return NULL;
}

VOID MmPrintUnloadedDrivers(VOID)
{
    for (ULONG i = 1; i <= REMEMBERED && i <= MiUnloadedCount; i++) {
        const MI_UNLOADED *Unloaded = &MiUnloaded[(MiUnloadedCount - i) % REMEMBERED];
        if (Unloaded->Bytes != 0)
            KdPrintf("unloaded: %p - %p  %s\n", (PVOID)Unloaded->Base,
                     (PVOID)(Unloaded->Base + Unloaded->Bytes), Unloaded->Name);
    }
}
