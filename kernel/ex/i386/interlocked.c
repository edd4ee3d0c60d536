// SPDX-License-Identifier: MIT
// Interlocked routines that are imports on i386 and compiler intrinsics elsewhere, and the fastcall
// forms (Exf...) that i386 headers call in place of the ExInterlocked list routines
// (kernel/ex/list.c).
//
// IRQL: any, for all of them. The Interlocked routines return the new value (Increment, Decrement)
// or the old one (the others); the Exi386 ones return where the new value stands to zero, as flag
// bits.
#include "../exp.h"

#define SOURCE "WDK, wdm.h"
#define OLD    "DDK, ntddk.h"

// ---- one variable ------------------------------------------------------------------------------
LONG FASTCALL InterlockedIncrement(volatile LONG *Addend)
{
    return __atomic_add_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}
EXPORT(InterlockedIncrement, EXPORT_ANY_IRQL, SOURCE ": InterlockedIncrement");

LONG FASTCALL InterlockedDecrement(volatile LONG *Addend)
{
    return __atomic_sub_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}
EXPORT(InterlockedDecrement, EXPORT_ANY_IRQL, SOURCE ": InterlockedDecrement");

LONG FASTCALL InterlockedExchange(volatile LONG *Target, LONG Value)
{
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}
EXPORT(InterlockedExchange, EXPORT_ANY_IRQL, SOURCE ": InterlockedExchange");

LONG FASTCALL InterlockedExchangeAdd(volatile LONG *Addend, LONG Value)
{
    return __atomic_fetch_add(Addend, Value, __ATOMIC_SEQ_CST);
}
EXPORT(InterlockedExchangeAdd, EXPORT_ANY_IRQL, SOURCE ": InterlockedExchangeAdd");

LONG FASTCALL InterlockedCompareExchange(volatile LONG *Destination, LONG Exchange, LONG Comperand)
{
    __atomic_compare_exchange_n(Destination, &Comperand, Exchange, FALSE, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return Comperand;
}
EXPORT(InterlockedCompareExchange, EXPORT_ANY_IRQL, SOURCE ": InterlockedCompareExchange");

LONGLONG FASTCALL ExfInterlockedCompareExchange64(volatile LONGLONG *Destination,
                                                  PLONGLONG Exchange, PLONGLONG Comperand)
{
    return __sync_val_compare_and_swap(Destination, *Comperand, *Exchange);
}
EXPORT(ExfInterlockedCompareExchange64, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedCompareExchange64");

LONGLONG FASTCALL ExInterlockedCompareExchange64(volatile LONGLONG *Destination, PLONGLONG Exchange,
                                                 PLONGLONG Comperand, PKSPIN_LOCK Lock)
{
    return ExfInterlockedCompareExchange64(Destination, Exchange, Comperand);
}
EXPORT(ExInterlockedCompareExchange64, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedCompareExchange64");

VOID FASTCALL ExInterlockedAddLargeStatistic(PLARGE_INTEGER Addend, ULONG Increment)
{
    __sync_fetch_and_add(&Addend->QuadPart, (LONGLONG)Increment);
}
EXPORT(ExInterlockedAddLargeStatistic, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedAddLargeStatistic");

// ---- results as flags --------------------------------------------------------------------------
// The bits of EFLAGS' low half: sign and zero.
#define RESULT_NEGATIVE 0x8000
#define RESULT_ZERO     0x4000
#define RESULT_POSITIVE 0

static ULONG ExpResult(LONG Value)
{
    return Value < 0 ? RESULT_NEGATIVE : Value == 0 ? RESULT_ZERO : RESULT_POSITIVE;
}

ULONG FASTCALL Exfi386InterlockedIncrementLong(volatile LONG *Addend)
{
    return ExpResult(InterlockedIncrement(Addend));
}
EXPORT(Exfi386InterlockedIncrementLong, EXPORT_ANY_IRQL, OLD ": ExInterlockedIncrementLong");

ULONG FASTCALL Exfi386InterlockedDecrementLong(volatile LONG *Addend)
{
    return ExpResult(InterlockedDecrement(Addend));
}
EXPORT(Exfi386InterlockedDecrementLong, EXPORT_ANY_IRQL, OLD ": ExInterlockedDecrementLong");

ULONG FASTCALL Exfi386InterlockedExchangeUlong(volatile ULONG *Target, ULONG Value)
{
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}
EXPORT(Exfi386InterlockedExchangeUlong, EXPORT_ANY_IRQL, OLD ": ExInterlockedExchangeUlong");

ULONG NTAPI Exi386InterlockedIncrementLong(volatile LONG *Addend)
{
    return Exfi386InterlockedIncrementLong(Addend);
}
EXPORT(Exi386InterlockedIncrementLong, EXPORT_ANY_IRQL, OLD ": ExInterlockedIncrementLong");

ULONG NTAPI Exi386InterlockedDecrementLong(volatile LONG *Addend)
{
    return Exfi386InterlockedDecrementLong(Addend);
}
EXPORT(Exi386InterlockedDecrementLong, EXPORT_ANY_IRQL, OLD ": ExInterlockedDecrementLong");

ULONG NTAPI Exi386InterlockedExchangeUlong(volatile ULONG *Target, ULONG Value)
{
    return Exfi386InterlockedExchangeUlong(Target, Value);
}
EXPORT(Exi386InterlockedExchangeUlong, EXPORT_ANY_IRQL, OLD ": ExInterlockedExchangeUlong");

ULONG NTAPI ExInterlockedIncrementLong(volatile LONG *Addend, PKSPIN_LOCK Lock)
{
    return Exfi386InterlockedIncrementLong(Addend);
}
EXPORT(ExInterlockedIncrementLong, EXPORT_ANY_IRQL, OLD ": ExInterlockedIncrementLong");

ULONG NTAPI ExInterlockedDecrementLong(volatile LONG *Addend, PKSPIN_LOCK Lock)
{
    return Exfi386InterlockedDecrementLong(Addend);
}
EXPORT(ExInterlockedDecrementLong, EXPORT_ANY_IRQL, OLD ": ExInterlockedDecrementLong");

ULONG NTAPI ExInterlockedExchangeUlong(volatile ULONG *Target, ULONG Value, PKSPIN_LOCK Lock)
{
    return Exfi386InterlockedExchangeUlong(Target, Value);
}
EXPORT(ExInterlockedExchangeUlong, EXPORT_ANY_IRQL, OLD ": ExInterlockedExchangeUlong");

// ---- lists, fastcall ---------------------------------------------------------------------------
PLIST_ENTRY FASTCALL ExfInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                                  PKSPIN_LOCK Lock)
{
    return ExInterlockedInsertHeadList(ListHead, ListEntry, Lock);
}
EXPORT(ExfInterlockedInsertHeadList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedInsertHeadList");

PLIST_ENTRY FASTCALL ExfInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                                  PKSPIN_LOCK Lock)
{
    return ExInterlockedInsertTailList(ListHead, ListEntry, Lock);
}
EXPORT(ExfInterlockedInsertTailList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedInsertTailList");

PLIST_ENTRY FASTCALL ExfInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    return ExInterlockedRemoveHeadList(ListHead, Lock);
}
EXPORT(ExfInterlockedRemoveHeadList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedRemoveHeadList");

PSINGLE_LIST_ENTRY FASTCALL ExfInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead,
                                                        PSINGLE_LIST_ENTRY ListEntry,
                                                        PKSPIN_LOCK Lock)
{
    return ExInterlockedPushEntryList(ListHead, ListEntry, Lock);
}
EXPORT(ExfInterlockedPushEntryList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedPushEntryList");

PSINGLE_LIST_ENTRY FASTCALL ExfInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead,
                                                       PKSPIN_LOCK Lock)
{
    return ExInterlockedPopEntryList(ListHead, Lock);
}
EXPORT(ExfInterlockedPopEntryList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedPopEntryList");

ULONG FASTCALL ExfInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock)
{
    return ExInterlockedAddUlong(Addend, Increment, Lock);
}
EXPORT(ExfInterlockedAddUlong, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedAddUlong");
