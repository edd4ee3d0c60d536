// SPDX-License-Identifier: MIT
// The ExInterlocked list and arithmetic routines: one operation under the caller's spin lock.
//
// A thread at PASSIVE_LEVEL and an interrupt service routine may share such a list (LA-72), so
// interrupts are off while the lock is held, and the lock is used by these routines only (LA-70): a
// plain test-and-set word suffices. Links are compared with their neighbours' before they are
// followed (LA-50); a list that was damaged, or an entry inserted or removed twice, ends in 0x139
// with parameter 3.
#include "ex.h"

#define SOURCE "WDK, wdm.h"
#define FAST_FAIL_CORRUPT_LIST_ENTRY 3

static BOOLEAN ExpLockInterrupts(PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    while (__atomic_exchange_n(Lock, 1, __ATOMIC_ACQUIRE) != 0)
        while (__atomic_load_n(Lock, __ATOMIC_RELAXED) != 0)
            KiPause();
    return Enabled;
}

static VOID ExpUnlockInterrupts(PKSPIN_LOCK Lock, BOOLEAN Enabled)
{
    __atomic_store_n(Lock, 0, __ATOMIC_RELEASE);
    KiRestoreInterrupts(Enabled);
}

// First and Second are to be each other's neighbours.
static VOID ExpCheckLink(PLIST_ENTRY First, PLIST_ENTRY Second)
{
    if (First->Flink != Second || Second->Blink != First)
        KiBugCheck(
            KERNEL_SECURITY_CHECK_FAILURE, FAST_FAIL_CORRUPT_LIST_ENTRY, 0, 0, 0, NULL,
            "A linked list is damaged: an entry was inserted or removed twice, freed while in the "
            "list, or the list was changed without its lock.");
}

static VOID ExpInsertBetween(PLIST_ENTRY Before, PLIST_ENTRY Entry, PLIST_ENTRY After)
{
    ExpCheckLink(Before, After);
    Entry->Flink = After;
    Entry->Blink = Before;
    Before->Flink = Entry;
    After->Blink = Entry;
}

/*
 * ExInterlockedInsertHeadList, ...TailList: puts ListEntry at the head (tail) of the list.
 *
 * Returns the entry that was first (last), NULL when the list was empty.
 * IRQL: any; list, entry and lock are resident.
 * Source: WDK, wdm.h: ExInterlockedInsertHeadList, ExInterlockedInsertTailList.
 */
PLIST_ENTRY NTAPI ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                              PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockInterrupts(Lock);
    PLIST_ENTRY First = ListHead->Flink;
    ExpInsertBetween(ListHead, ListEntry, First);
    ExpUnlockInterrupts(Lock, Enabled);
    return First == ListHead ? NULL : First;
}
EXPORT(ExInterlockedInsertHeadList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedInsertHeadList");

PLIST_ENTRY NTAPI ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                              PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockInterrupts(Lock);
    PLIST_ENTRY Last = ListHead->Blink;
    ExpInsertBetween(Last, ListEntry, ListHead);
    ExpUnlockInterrupts(Lock, Enabled);
    return Last == ListHead ? NULL : Last;
}
EXPORT(ExInterlockedInsertTailList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedInsertTailList");

/*
 * ExInterlockedRemoveHeadList: takes the first entry out of the list.
 *
 * Returns it, NULL when the list is empty (unlike RemoveHeadList, which returns the head).
 * IRQL: any; list and lock are resident.
 * Source: WDK, wdm.h: ExInterlockedRemoveHeadList.
 */
PLIST_ENTRY NTAPI ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockInterrupts(Lock);
    PLIST_ENTRY First = ListHead->Flink;
    if (First != ListHead) {
        ExpCheckLink(ListHead, First);
        ExpCheckLink(First, First->Flink);
        ListHead->Flink = First->Flink;
        First->Flink->Blink = ListHead;
    }
    ExpUnlockInterrupts(Lock, Enabled);
    return First == ListHead ? NULL : First;
}
EXPORT(ExInterlockedRemoveHeadList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedRemoveHeadList");

/*
 * ExInterlockedPushEntryList: puts ListEntry at the front of a singly linked list.
 *
 * Returns the entry that was first, NULL when the list was empty.
 * IRQL: any; list, entry and lock are resident.
 * Source: WDK, wdm.h: ExInterlockedPushEntryList.
 */
PSINGLE_LIST_ENTRY NTAPI ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead,
                                                    PSINGLE_LIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockInterrupts(Lock);
    PSINGLE_LIST_ENTRY First = ListHead->Next;
    PushEntryList(ListHead, ListEntry);
    ExpUnlockInterrupts(Lock, Enabled);
    return First;
}
EXPORT(ExInterlockedPushEntryList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedPushEntryList");

/*
 * ExInterlockedPopEntryList: takes the first entry of a singly linked list; NULL when it is empty.
 *
 * IRQL: any; list and lock are resident.
 * Source: WDK, wdm.h: ExInterlockedPopEntryList.
 */
PSINGLE_LIST_ENTRY NTAPI ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockInterrupts(Lock);
    PSINGLE_LIST_ENTRY First = PopEntryList(ListHead);
    ExpUnlockInterrupts(Lock, Enabled);
    return First;
}
EXPORT(ExInterlockedPopEntryList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedPopEntryList");

/*
 * ExInterlockedAddLargeInteger, ExInterlockedAddUlong: adds Increment to the variable, one
 * processor at a time. Returns the variable's value before the addition.
 *
 * IRQL: any; variable and lock are resident.
 * Source: WDK, wdm.h: ExInterlockedAddLargeInteger, ExInterlockedAddUlong.
 */
LARGE_INTEGER NTAPI ExInterlockedAddLargeInteger(PLARGE_INTEGER Addend, LARGE_INTEGER Increment,
                                                 PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockInterrupts(Lock);
    LARGE_INTEGER Before = *Addend;
    Addend->QuadPart = (LONGLONG)((ULONGLONG)Before.QuadPart + (ULONGLONG)Increment.QuadPart);
    ExpUnlockInterrupts(Lock, Enabled);
    return Before;
}
EXPORT(ExInterlockedAddLargeInteger, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedAddLargeInteger");

ULONG NTAPI ExInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock)
{
    BOOLEAN Enabled = ExpLockInterrupts(Lock);
    ULONG Before = *Addend;
    *Addend = Before + Increment;
    ExpUnlockInterrupts(Lock, Enabled);
    return Before;
}
EXPORT(ExInterlockedAddUlong, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedAddUlong");
