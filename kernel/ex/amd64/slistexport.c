// SPDX-License-Identifier: MIT
// The names under which amd64 drivers import SLISTs (slist.S), and their initialisation.
#include "../exp.h"
#include "rtl.h"

#define SOURCE "WDK, wdm.h"

EXPORT(ExpInterlockedPushEntrySList, EXPORT_ANY_IRQL, SOURCE ": InterlockedPushEntrySList");
EXPORT(ExpInterlockedPopEntrySList, EXPORT_ANY_IRQL, SOURCE ": InterlockedPopEntrySList");
EXPORT(ExpInterlockedFlushSList, EXPORT_ANY_IRQL, SOURCE ": InterlockedFlushSList");
EXPORT(ExQueryDepthSList, EXPORT_ANY_IRQL, SOURCE ": ExQueryDepthSList");
EXPORT(FirstEntrySList, EXPORT_ANY_IRQL, "WDK, ntifs.h: FirstEntrySList");

// Instead of a push, in the checked build.
PSLIST_ENTRY NTAPI ExpRefuseMisalignedEntry(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
{
    RtlRaiseStatus(STATUS_DATATYPE_MISALIGNMENT);
}

/*
 * InitializeSListHead: makes an empty list. The header has to be 16-byte aligned and resident.
 *
 * IRQL: any.
 * Fails: STATUS_DATATYPE_MISALIGNMENT is raised.
 * Source: WDK, wdm.h: ExInitializeSListHead.
 */
VOID NTAPI InitializeSListHead(PSLIST_HEADER SListHead)
{
    if ((ULONG_PTR)SListHead % sizeof(SLIST_HEADER) != 0)
        RtlRaiseStatus(STATUS_DATATYPE_MISALIGNMENT);
    SListHead->Alignment = 0;
    SListHead->Region = 0;
}
EXPORT(InitializeSListHead, EXPORT_ANY_IRQL, SOURCE ": ExInitializeSListHead");
