// SPDX-License-Identifier: MIT
// Private to ex. What i386 drivers import by old names, and nothing in the kernel calls, is
// declared here.
#pragma once

#include "ex.h"

VOID ExpAdjustWorkers(VOID); // worker.c
KSTART_ROUTINE ExpBalanceThread;

// resolution.c: how many set timers need the shortest clock interval. IRQL: <= DISPATCH_LEVEL.
VOID ExpNeedFineClock(LONG Change);

// What lies in [Start, End); NULL: none. For freed.c.
PVOID ExpFindResource(ULONG_PTR Start, ULONG_PTR End);
PVOID ExpFindLookaside(ULONG_PTR Start, ULONG_PTR End);
PVOID ExpFindWorkItem(ULONG_PTR Start, ULONG_PTR End); // that is queued

// slist.S: where the link of an entry is read that leads nowhere.
extern UCHAR ExpInterlockedPopEntrySListFault[];

#ifdef __x86_64__
PSLIST_ENTRY NTAPI ExpRefuseMisalignedEntry(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry);
#else
LONG FASTCALL InterlockedIncrement(volatile LONG *Addend);
LONG FASTCALL InterlockedDecrement(volatile LONG *Addend);
LONG FASTCALL InterlockedExchange(volatile LONG *Target, LONG Value);
LONG FASTCALL InterlockedExchangeAdd(volatile LONG *Addend, LONG Value);
LONG FASTCALL InterlockedCompareExchange(volatile LONG *Destination, LONG Exchange, LONG Comperand);
LONGLONG FASTCALL ExfInterlockedCompareExchange64(volatile LONGLONG *Destination,
                                                  PLONGLONG Exchange, PLONGLONG Comperand);
LONGLONG FASTCALL ExInterlockedCompareExchange64(volatile LONGLONG *Destination, PLONGLONG Exchange,
                                                 PLONGLONG Comperand, PKSPIN_LOCK Lock);
VOID FASTCALL ExInterlockedAddLargeStatistic(PLARGE_INTEGER Addend, ULONG Increment);
ULONG FASTCALL Exfi386InterlockedIncrementLong(volatile LONG *Addend);
ULONG FASTCALL Exfi386InterlockedDecrementLong(volatile LONG *Addend);
ULONG FASTCALL Exfi386InterlockedExchangeUlong(volatile ULONG *Target, ULONG Value);
ULONG NTAPI Exi386InterlockedIncrementLong(volatile LONG *Addend);
ULONG NTAPI Exi386InterlockedDecrementLong(volatile LONG *Addend);
ULONG NTAPI Exi386InterlockedExchangeUlong(volatile ULONG *Target, ULONG Value);
ULONG NTAPI ExInterlockedIncrementLong(volatile LONG *Addend, PKSPIN_LOCK Lock);
ULONG NTAPI ExInterlockedDecrementLong(volatile LONG *Addend, PKSPIN_LOCK Lock);
ULONG NTAPI ExInterlockedExchangeUlong(volatile ULONG *Target, ULONG Value, PKSPIN_LOCK Lock);
PLIST_ENTRY FASTCALL ExfInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                                  PKSPIN_LOCK Lock);
PLIST_ENTRY FASTCALL ExfInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                                  PKSPIN_LOCK Lock);
PLIST_ENTRY FASTCALL ExfInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock);
PSINGLE_LIST_ENTRY FASTCALL ExfInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead,
                                                        PSINGLE_LIST_ENTRY ListEntry,
                                                        PKSPIN_LOCK Lock);
PSINGLE_LIST_ENTRY FASTCALL ExfInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead,
                                                       PKSPIN_LOCK Lock);
ULONG FASTCALL ExfInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock);
#endif
