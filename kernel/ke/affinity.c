// SPDX-License-Identifier: MIT
// Where threads may run, and how processors are counted.
//
// A thread has a user affinity, which it starts with and which KeSetAffinityThread changes, and may
// set a system affinity over it for a while: code that has to touch each processor in turn goes
// from one to the next that way. What counts for the scheduler is Affinity; KiSetAffinity (sched.c)
// moves the thread. A routine that changes the caller's own affinity returns on a processor that it
// allows, or, called at DISPATCH_LEVEL, goes there when the IRQL falls.
//
// Processors are numbered from 0 in the order in which they started, without gaps, and there is one
// group: MAXIMUM_PROCESSORS fit in it. So a processor's index and its number in the group are the
// same.
//
// Tests: tests/guest/smp.c.
#include "ki.h"

// ---- affinity -----------------------------------------------------------------------------------
// The thread's system affinity, 0: it has none. Locked: dispatcher.
static KAFFINITY KiSystemAffinity(const KTHREAD *Thread)
{
    return Thread->SystemAffinityActive ? Thread->Affinity : 0;
}

// Affinity 0: back to the user affinity. Returns the system affinity before.
static KAFFINITY KiReplaceSystemAffinity(KAFFINITY Affinity)
{
    KIRQL OldIrql = KiLockDispatcher();
    PKTHREAD Thread = KiCurrentThread();
    KAFFINITY Before = KiSystemAffinity(Thread);

    Thread->SystemAffinityActive = Affinity != 0;
    KiSetAffinity(Thread, Affinity != 0 ? Affinity : Thread->UserAffinity);
    KiUnlockDispatcher(OldIrql);
    return Before;
}

// KeSetSystemAffinityThreadEx: the current thread runs on the processors of Affinity alone, until
// it says otherwise. Returns the affinity that an earlier call had set, 0: none, for
// KeRevertToUserAffinityThreadEx. IRQL: <= DISPATCH_LEVEL. Fails: 0, and nothing changes, when no
// processor of Affinity runs. Source: WDK wdm.h, KeSetSystemAffinityThreadEx.
KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity)
{
    Affinity &= KeActiveProcessors;
    return Affinity != 0 ? KiReplaceSystemAffinity(Affinity) : 0;
}
EXPORT(KeSetSystemAffinityThreadEx, DISPATCH_LEVEL, "WDK wdm.h KeSetSystemAffinityThreadEx");

// KeSetSystemAffinityThread: the same, for callers that had set none.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeSetSystemAffinityThread.
VOID NTAPI KeSetSystemAffinityThread(KAFFINITY Affinity);
VOID NTAPI KeSetSystemAffinityThread(KAFFINITY Affinity)
{
    KeSetSystemAffinityThreadEx(Affinity);
}
EXPORT(KeSetSystemAffinityThread, DISPATCH_LEVEL, "WDK wdm.h KeSetSystemAffinityThread");

// KeRevertToUserAffinityThreadEx: back to Affinity, which KeSetSystemAffinityThreadEx returned.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeRevertToUserAffinityThreadEx.
VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity);
VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity)
{
    KiReplaceSystemAffinity(Affinity & KeActiveProcessors);
}
EXPORT(KeRevertToUserAffinityThreadEx, DISPATCH_LEVEL, "WDK wdm.h KeRevertToUserAffinityThreadEx");

// KeRevertToUserAffinityThread: back to the affinity that the thread has of its own.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeRevertToUserAffinityThread.
VOID NTAPI KeRevertToUserAffinityThread(VOID);
VOID NTAPI KeRevertToUserAffinityThread(VOID)
{
    KiReplaceSystemAffinity(0);
}
EXPORT(KeRevertToUserAffinityThread, DISPATCH_LEVEL, "WDK wdm.h KeRevertToUserAffinityThread");

// KeSetSystemGroupAffinityThread: as KeSetSystemAffinityThreadEx; *PreviousAffinity (may be NULL)
// receives what it returns.
// IRQL: <= DISPATCH_LEVEL. Fails: nothing changes when Affinity names another group than 0 or no
// processor that runs; *PreviousAffinity is zeroed.
// Source: WDK wdm.h, KeSetSystemGroupAffinityThread.
VOID NTAPI KeSetSystemGroupAffinityThread(const GROUP_AFFINITY *Affinity,
                                          PGROUP_AFFINITY PreviousAffinity);
VOID NTAPI KeSetSystemGroupAffinityThread(const GROUP_AFFINITY *Affinity,
                                          PGROUP_AFFINITY PreviousAffinity)
{
    KAFFINITY Before = Affinity->Group == 0 ? KeSetSystemAffinityThreadEx(Affinity->Mask) : 0;

    if (PreviousAffinity != NULL)
        *PreviousAffinity = (GROUP_AFFINITY){.Mask = Before};
}
EXPORT(KeSetSystemGroupAffinityThread, DISPATCH_LEVEL, "WDK wdm.h KeSetSystemGroupAffinityThread");

// KeRevertToUserGroupAffinityThread: back to *PreviousAffinity.
// IRQL: <= DISPATCH_LEVEL. Source: WDK wdm.h, KeRevertToUserGroupAffinityThread.
VOID NTAPI KeRevertToUserGroupAffinityThread(const GROUP_AFFINITY *PreviousAffinity);
VOID NTAPI KeRevertToUserGroupAffinityThread(const GROUP_AFFINITY *PreviousAffinity)
{
    KeRevertToUserAffinityThreadEx(PreviousAffinity->Mask);
}
EXPORT(KeRevertToUserGroupAffinityThread, DISPATCH_LEVEL,
       "WDK wdm.h KeRevertToUserGroupAffinityThread");

// KeSetAffinityThread: Thread's user affinity becomes Affinity; it moves unless it has set a system
// affinity. Returns the user affinity before.
// IRQL: <= DISPATCH_LEVEL. Fails: bugcheck INVALID_AFFINITY_SET when no processor of it runs.
// Source: WDK ntifs.h, and "Bug Check 0x3".
KAFFINITY NTAPI KeSetAffinityThread(PKTHREAD Thread, KAFFINITY Affinity);
KAFFINITY NTAPI KeSetAffinityThread(PKTHREAD Thread, KAFFINITY Affinity)
{
    KIRQL OldIrql;
    KAFFINITY Before;

    if ((Affinity & KeActiveProcessors) == 0)
        KiBugCheck(INVALID_AFFINITY_SET, (ULONG_PTR)Thread, (ULONG_PTR)Affinity,
                   (ULONG_PTR)KeActiveProcessors, 0, NULL,
                   "A thread was to run on processors none of which there is.");
    OldIrql = KiLockDispatcher();
    Before = Thread->UserAffinity & KeActiveProcessors;
    Thread->UserAffinity = Affinity;
    if (!Thread->SystemAffinityActive)
        KiSetAffinity(Thread, Affinity);
    KiUnlockDispatcher(OldIrql);
    return Before;
}
EXPORT(KeSetAffinityThread, DISPATCH_LEVEL, "WDK ntifs.h KeSetAffinityThread");

// KeSetIdealProcessorThread: where Thread is put when its affinity leaves the choice. Returns the
// one before.
// IRQL: <= DISPATCH_LEVEL. Fails: nothing changes for a processor that does not run.
// Source: WDK ntifs.h, KeSetIdealProcessorThread.
UCHAR NTAPI KeSetIdealProcessorThread(PKTHREAD Thread, UCHAR Processor);
UCHAR NTAPI KeSetIdealProcessorThread(PKTHREAD Thread, UCHAR Processor)
{
    KIRQL OldIrql = KiLockDispatcher();
    UCHAR Before = Thread->IdealProcessor;

    if (Processor < KeNumberProcessors)
        Thread->IdealProcessor = Processor;
    KiUnlockDispatcher(OldIrql);
    return Before;
}
EXPORT(KeSetIdealProcessorThread, DISPATCH_LEVEL, "WDK ntifs.h KeSetIdealProcessorThread");

// ---- counting -----------------------------------------------------------------------------------

// KeGetCurrentProcessorNumber: this processor's number, from 0. It is a hint below DISPATCH_LEVEL.
// IRQL: any. Source: WDK wdm.h, KeGetCurrentProcessorNumber.
ULONG NTAPI KeGetCurrentProcessorNumber(VOID);
ULONG NTAPI KeGetCurrentProcessorNumber(VOID)
{
    return KeGetCurrentPrcb()->ProcessorNumber;
}
EXPORT(KeGetCurrentProcessorNumber, EXPORT_ANY_IRQL, "WDK wdm.h KeGetCurrentProcessorNumber");

// KeGetCurrentProcessorNumberEx: the same; *ProcNumber (may be NULL) receives group and number
// within it.
// IRQL: any. Source: WDK wdm.h, KeGetCurrentProcessorNumberEx.
ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber);
ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber)
{
    ULONG Number = KeGetCurrentPrcb()->ProcessorNumber;

    if (ProcNumber != NULL)
        *ProcNumber = (PROCESSOR_NUMBER){.Group = 0, .Number = (UCHAR)Number};
    return Number;
}
EXPORT(KeGetCurrentProcessorNumberEx, EXPORT_ANY_IRQL, "WDK wdm.h KeGetCurrentProcessorNumberEx");

// KeGetProcessorNumberFromIndex: *ProcNumber receives group and number of a processor by index.
// IRQL: any. Fails: STATUS_INVALID_PARAMETER. Source: WDK wdm.h, KeGetProcessorNumberFromIndex.
NTSTATUS NTAPI KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber);
NTSTATUS NTAPI KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcIndex >= (ULONG)KeNumberProcessors)
        return STATUS_INVALID_PARAMETER;
    *ProcNumber = (PROCESSOR_NUMBER){.Group = 0, .Number = (UCHAR)ProcIndex};
    return STATUS_SUCCESS;
}
EXPORT(KeGetProcessorNumberFromIndex, EXPORT_ANY_IRQL, "WDK wdm.h KeGetProcessorNumberFromIndex");

// KeGetProcessorIndexFromNumber: the other way round.
// IRQL: any. Fails: INVALID_PROCESSOR_INDEX. Source: WDK wdm.h, KeGetProcessorIndexFromNumber.
ULONG NTAPI KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber);
ULONG NTAPI KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber)
{
    BOOLEAN Exists = ProcNumber->Group == 0 && ProcNumber->Reserved == 0 &&
                     ProcNumber->Number < KeNumberProcessors;
    return Exists ? ProcNumber->Number : INVALID_PROCESSOR_INDEX;
}
EXPORT(KeGetProcessorIndexFromNumber, EXPORT_ANY_IRQL, "WDK wdm.h KeGetProcessorIndexFromNumber");

// KeQueryActiveProcessors: a bit for each processor that runs.
// IRQL: any. Source: WDK wdm.h, KeQueryActiveProcessors.
KAFFINITY NTAPI KeQueryActiveProcessors(VOID);
KAFFINITY NTAPI KeQueryActiveProcessors(VOID)
{
    return KeActiveProcessors;
}
EXPORT(KeQueryActiveProcessors, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryActiveProcessors");

// KeQueryGroupAffinity: the same by group.
// IRQL: any. Fails: 0 for a group that does not exist. Source: WDK wdm.h, KeQueryGroupAffinity.
KAFFINITY NTAPI KeQueryGroupAffinity(USHORT GroupNumber);
KAFFINITY NTAPI KeQueryGroupAffinity(USHORT GroupNumber)
{
    return GroupNumber == 0 ? KeActiveProcessors : 0;
}
EXPORT(KeQueryGroupAffinity, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryGroupAffinity");

// KeQueryActiveProcessorCount: how many processors run; *ActiveProcessors (may be NULL) receives
// which.
// IRQL: any. Source: WDK wdm.h, KeQueryActiveProcessorCount.
ULONG NTAPI KeQueryActiveProcessorCount(KAFFINITY *ActiveProcessors);
ULONG NTAPI KeQueryActiveProcessorCount(KAFFINITY *ActiveProcessors)
{
    if (ActiveProcessors != NULL)
        *ActiveProcessors = KeQueryActiveProcessors();
    return (ULONG)KeNumberProcessors;
}
EXPORT(KeQueryActiveProcessorCount, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryActiveProcessorCount");

static ULONG KiCountInGroup(USHORT GroupNumber)
{
    return GroupNumber == 0 || GroupNumber == ALL_PROCESSOR_GROUPS ? (ULONG)KeNumberProcessors : 0;
}

// KeQueryActiveProcessorCountEx: how many processors of a group run, or of all.
// IRQL: any. Fails: 0 for a group that does not exist. Source: WDK wdm.h,
// KeQueryActiveProcessorCountEx.
ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT GroupNumber);
ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT GroupNumber)
{
    return KiCountInGroup(GroupNumber);
}
EXPORT(KeQueryActiveProcessorCountEx, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryActiveProcessorCountEx");

// KeQueryMaximumProcessorCount, KeQueryMaximumProcessorCountEx: how many there may ever be: no
// processor starts after the system has.
// IRQL: any. Fails: 0 for a group that does not exist. Source: WDK wdm.h.
ULONG NTAPI KeQueryMaximumProcessorCount(VOID);
ULONG NTAPI KeQueryMaximumProcessorCount(VOID)
{
    return (ULONG)KeNumberProcessors;
}
EXPORT(KeQueryMaximumProcessorCount, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryMaximumProcessorCount");

ULONG NTAPI KeQueryMaximumProcessorCountEx(USHORT GroupNumber);
ULONG NTAPI KeQueryMaximumProcessorCountEx(USHORT GroupNumber)
{
    return KiCountInGroup(GroupNumber);
}
EXPORT(KeQueryMaximumProcessorCountEx, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryMaximumProcessorCountEx");

// KeQueryActiveGroupCount, KeQueryMaximumGroupCount: the number of processor groups: one.
// IRQL: any. Source: WDK wdm.h.
USHORT NTAPI KeQueryActiveGroupCount(VOID);
USHORT NTAPI KeQueryActiveGroupCount(VOID)
{
    return 1;
}
EXPORT(KeQueryActiveGroupCount, EXPORT_ANY_IRQL, "WDK wdm.h KeQueryActiveGroupCount");
EXPORT_AS(KeQueryMaximumGroupCount, KeQueryActiveGroupCount, EXPORT_ANY_IRQL, 0,
          "WDK wdm.h KeQueryMaximumGroupCount");
