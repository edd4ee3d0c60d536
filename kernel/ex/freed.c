// SPDX-License-Identifier: MIT
// The checked build: what ex keeps lists of is not in memory that is freed (kernel/ke/freed.c).
#include "exp.h"
#include "rtl.h"

#if KE_WATCHES
static VOID ExpCheckFreed(ULONG_PTR Start, ULONG_PTR End)
{
    PVOID Object = ExpFindResource(Start, End);

    if (Object != NULL)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xD2, (ULONG_PTR)Object, Start, End - Start,
                   NULL,
                   "Memory, or a stack, was freed that holds a resource: ExDeleteResourceLite "
                   "comes first (checked build).");
    Object = ExpFindLookaside(Start, End);
    if (Object != NULL)
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xCC, (ULONG_PTR)Object, Start, End - Start,
                   NULL,
                   "Memory, or a stack, was freed that holds a lookaside list: it has to be "
                   "deleted first (checked build).");
    Object = ExpFindWorkItem(Start, End);
    if (Object != NULL)
        KiBugCheck(WORKER_INVALID, 0, (ULONG_PTR)Object, Start, End, NULL,
                   "Memory, or a stack, was freed that holds a work item that is queued (checked "
                   "build).");
}

VOID ExInitializeWatch(VOID)
{
    KeFreedRoutine = ExpCheckFreed;
}
#else
VOID ExInitializeWatch(VOID)
{
}
#endif
