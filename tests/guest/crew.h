// SPDX-License-Identifier: MIT
// Threads for test drivers: started together, joined together.
#pragma once

#include "guest.h"

#define CREW_MAXIMUM 8u

typedef struct _CREW {
    PVOID Thread[CREW_MAXIMUM];
    ULONG Count;
} CREW;

static inline VOID CrewAdd(CREW *Crew, PKSTART_ROUTINE Routine, PVOID Context)
{
    HANDLE Handle;
    NTSTATUS Status =
        PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routine, Context);

    CHECK_EQUAL(Status, STATUS_SUCCESS);
    if (!NT_SUCCESS(Status))
        return;
    Status = ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode,
                                       &Crew->Thread[Crew->Count], NULL);
    CHECK_EQUAL(Status, STATUS_SUCCESS);
    if (NT_SUCCESS(Status))
        Crew->Count++;
    ZwClose(Handle);
}

// Two threads more than there are processors, so that some always have to wait.
static inline VOID CrewFill(CREW *Crew, PKSTART_ROUTINE Routine, PVOID Context)
{
    ULONG Count = (ULONG)KeNumberProcessors + 2;

    for (ULONG i = 0; i < Count && i < CREW_MAXIMUM; i++)
        CrewAdd(Crew, Routine, Context);
}

static inline VOID CrewJoin(CREW *Crew)
{
    for (ULONG i = 0; i < Crew->Count; i++) {
        CHECK_EQUAL(KeWaitForSingleObject(Crew->Thread[i], Executive, KernelMode, FALSE, NULL),
                    STATUS_SUCCESS);
        ObDereferenceObject(Crew->Thread[i]);
    }
    Crew->Count = 0;
}

// Lets others run, of lower priority too.
static inline VOID CrewPause(VOID)
{
    LARGE_INTEGER Tick = {.QuadPart = -1};
    KeDelayExecutionThread(KernelMode, FALSE, &Tick);
}

// Lets others of the same priority run.
static inline VOID CrewYield(VOID)
{
    LARGE_INTEGER None = {.QuadPart = 0};
    KeDelayExecutionThread(KernelMode, FALSE, &None);
}

// How many wait for an object. Others may change the list meanwhile: the walk is bounded, and to be
// repeated until it tells what is expected.
static inline ULONG CrewWaiters(DISPATCHER_HEADER *Object)
{
    ULONG Count = 0;

    for (PLIST_ENTRY Entry = Object->WaitListHead.Flink;
         Entry != &Object->WaitListHead && Count < 100; Entry = Entry->Flink)
        Count++;
    return Count;
}

#define CREW_UNTIL(Condition)                                                                      \
    do {                                                                                           \
        while (!(Condition))                                                                       \
            CrewPause();                                                                           \
    } while (0)

// What a lock protects: two counters that agree whenever nobody holds it.
typedef struct _CREW_PAIR {
    volatile ULONG First, Second;
    volatile ULONG Torn; // times they were seen to disagree
} CREW_PAIR;

// Now and then it lets others run half way: on the same processor, or for a while on any.
static inline VOID CrewCount(CREW_PAIR *Pair, ULONG Round)
{
    ULONG Value = Pair->First;

    if (Value != Pair->Second)
        Pair->Torn++;
    Pair->First = Value + 1;
    if (Round % 64 == 0)
        CrewPause();
    else if (Round % 8 == 0)
        CrewYield();
    Pair->Second = Value + 1;
}
