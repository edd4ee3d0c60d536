// SPDX-License-Identifier: MIT
// The resolution of timers: who wants the clock to interrupt oftener, and how often it does.
//
// Requests come from drivers (ExSetTimerResolution) and, while they are set, from high-resolution
// ExTimers. The clock has the shortest interval that anybody asks for, HAL_CLOCK_INCREMENT when
// nobody does. A driver's request is noted with the image it came from: what it withdraws is its
// own latest one; what it has left when it is unloaded is reported, and withdrawn for it.
//
// Locking: ExpResolutionLock guards the list and the count, and is held while ke changes the clock,
// so that the last change made is the last one decided. Tests: tests/guest/resolution.c.
#include "exp.h"
#include "hal.h"
#include "kd.h"
#include "ke.h"
#include "rtl.h"

#define RESOLUTION_TAG 'seRE'

typedef struct _EXP_REQUEST {
    LIST_ENTRY Entry; // on ExpRequests, the latest first
    ULONG_PTR Image;  // where the image of the driver begins
    ULONG_PTR Caller;
    ULONG Interval;
} EXP_REQUEST;

static KSPIN_LOCK ExpResolutionLock;
static LIST_ENTRY ExpRequests = {&ExpRequests, &ExpRequests};
static LONG ExpFineTimers; // high-resolution timers that are set

static EXP_REQUEST *ExpRequestOf(PLIST_ENTRY Entry)
{
    return CONTAINING_RECORD(Entry, EXP_REQUEST, Entry);
}

// Locked: ExpResolutionLock. Returns the interval that holds from now on.
static ULONG ExpApplyRequests(VOID)
{
    ULONG Interval = ExpFineTimers != 0 ? HAL_CLOCK_MINIMUM : HAL_CLOCK_INCREMENT;

    for (PLIST_ENTRY Entry = ExpRequests.Flink; Entry != &ExpRequests; Entry = Entry->Flink)
        if (ExpRequestOf(Entry)->Interval < Interval)
            Interval = ExpRequestOf(Entry)->Interval;
    if (Interval != KeClockInterval())
        KeSetClockInterval(Interval);
    return Interval;
}

VOID ExpNeedFineClock(LONG Change)
{
    KIRQL OldIrql = KiAcquireLock(&ExpResolutionLock);

    ExpFineTimers += Change;
    ASSERT(ExpFineTimers >= 0);
    ExpApplyRequests();
    KiReleaseLock(&ExpResolutionLock, OldIrql);
}

// ---- drivers' requests --------------------------------------------------------------------------
static ULONG ExpAddRequest(ULONG_PTR Image, ULONG_PTR Caller, ULONG Interval)
{
    EXP_REQUEST *Request =
        ExAllocatePoolOnBehalf(NonPagedPoolNx, sizeof(*Request), RESOLUTION_TAG, Caller);
    KIRQL OldIrql;

    if (Request == NULL)
        return KeClockInterval();
    Request->Image = Image;
    Request->Caller = Caller;
    Request->Interval = Interval < HAL_CLOCK_MINIMUM ? HAL_CLOCK_MINIMUM : Interval;
    OldIrql = KiAcquireLock(&ExpResolutionLock);
    InsertHeadList(&ExpRequests, &Request->Entry);
    Interval = ExpApplyRequests();
    KiReleaseLock(&ExpResolutionLock, OldIrql);
    return Interval;
}

// Locked: ExpResolutionLock. The latest of this image; NULL: it has none.
static EXP_REQUEST *ExpTakeRequest(ULONG_PTR Image)
{
    for (PLIST_ENTRY Entry = ExpRequests.Flink; Entry != &ExpRequests; Entry = Entry->Flink) {
        if (ExpRequestOf(Entry)->Image == Image) {
            RemoveEntryList(Entry);
            return ExpRequestOf(Entry);
        }
    }
    return NULL;
}

static ULONG ExpDropRequest(ULONG_PTR Image, ULONG_PTR *Caller)
{
    KIRQL OldIrql = KiAcquireLock(&ExpResolutionLock);
    EXP_REQUEST *Request = ExpTakeRequest(Image);
    ULONG Interval = ExpApplyRequests();

    KiReleaseLock(&ExpResolutionLock, OldIrql);
    *Caller = Request != NULL ? Request->Caller : 0;
    if (Request != NULL)
        ExFreePoolWithTag(Request, RESOLUTION_TAG);
    return Interval;
}

// ExSetTimerResolution: has the clock interrupt, and so timers expire, oftener.
//   DesiredTime    100 ns units between clock interrupts, at least. What is shorter than the clock
//                  can do is taken for what it can.
//   SetResolution  TRUE: asks for it. FALSE: withdraws the driver's latest request; DesiredTime
//                  means nothing then.
// Returns the interval that holds, in 100 ns units: the shortest that any driver asks for.
// IRQL: <= APC_LEVEL. Fails: without memory nothing changes, which the value tells.
// Source: WDK wdm.h ExSetTimerResolution.
ULONG NTAPI ExSetTimerResolution(ULONG DesiredTime, BOOLEAN SetResolution);
ULONG NTAPI ExSetTimerResolution(ULONG DesiredTime, BOOLEAN SetResolution)
{
    ULONG_PTR Caller = KiReturnAddress();
    PVOID Image;

    RtlPcToFileHeader((PVOID)Caller, &Image);
    if (SetResolution)
        return ExpAddRequest((ULONG_PTR)Image, Caller, DesiredTime);
    return ExpDropRequest((ULONG_PTR)Image, &Caller);
}
EXPORT(ExSetTimerResolution, APC_LEVEL, "WDK wdm.h ExSetTimerResolution");

// ExQueryTimerResolution: what ExSetTimerResolution can set; all in 100 ns units.
//   MaximumTime  receives the interval between clock interrupts when nobody asks for less.
//   MinimumTime  receives the shortest.
//   CurrentTime  receives the one that holds.
// IRQL: any. Source: WDK wdm.h ExQueryTimerResolution.
VOID NTAPI ExQueryTimerResolution(PULONG MaximumTime, PULONG MinimumTime, PULONG CurrentTime);
VOID NTAPI ExQueryTimerResolution(PULONG MaximumTime, PULONG MinimumTime, PULONG CurrentTime)
{
    *MaximumTime = HAL_CLOCK_INCREMENT;
    *MinimumTime = HAL_CLOCK_MINIMUM;
    *CurrentTime = KeClockInterval();
}
EXPORT(ExQueryTimerResolution, EXPORT_ANY_IRQL, "WDK wdm.h ExQueryTimerResolution");

// ---- leaks --------------------------------------------------------------------------------------
// Requests the driver has left are withdrawn: nobody else could.
static ULONG ExpResolutionLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    ULONG Count = 0;
    ULONG_PTR Caller;
    char Name[128];

    UNREFERENCED_PARAMETER(End);
    while (ExpDropRequest(Start, &Caller), Caller != 0) {
        KdSymbolize(Caller - 1, Name, sizeof(Name));
        KLOG("leak", "timer resolution asked for by %s, not withdrawn", Name);
        Count++;
    }
    return Count;
}
LEAK_SOURCE(resolutions, "timer resolutions", ExpResolutionLeaks);
