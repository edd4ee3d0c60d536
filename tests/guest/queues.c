// SPDX-License-Identifier: MIT
// KQUEUEs: order, handing over, how many may run, running down.
#include "crew.h"

typedef struct _GUEST_QUEUE {
    DISPATCHER_HEADER Header;
    LIST_ENTRY EntryListHead;
    volatile ULONG CurrentCount;
    ULONG MaximumCount;
    LIST_ENTRY ThreadListHead;
} GUEST_QUEUE;

NTKERNELAPI VOID NTAPI KeInitializeQueue(GUEST_QUEUE *Queue, ULONG Count);
NTKERNELAPI LONG NTAPI KeInsertQueue(GUEST_QUEUE *Queue, PLIST_ENTRY Entry);
NTKERNELAPI LONG NTAPI KeInsertHeadQueue(GUEST_QUEUE *Queue, PLIST_ENTRY Entry);
NTKERNELAPI PLIST_ENTRY NTAPI KeRemoveQueue(GUEST_QUEUE *Queue, KPROCESSOR_MODE WaitMode,
                                            PLARGE_INTEGER Timeout);
NTKERNELAPI PLIST_ENTRY NTAPI KeRundownQueue(GUEST_QUEUE *Queue);
NTKERNELAPI LONG NTAPI KeReadStateQueue(GUEST_QUEUE *Queue);

static GUEST_QUEUE Queue;
static LARGE_INTEGER Zero;

// The driver's own thread serves the queue only in threads made for it: what serves stays attached.
static VOID InAThread(PKSTART_ROUTINE Routine)
{
    CREW Crew = {.Count = 0};

    CrewAdd(&Crew, Routine, NULL);
    CrewJoin(&Crew);
}

static VOID NTAPI TakeInOrder(PVOID Context)
{
    LIST_ENTRY Entry[4];

    UNREFERENCED_PARAMETER(Context);
    CHECK_EQUAL(KeInsertQueue(&Queue, &Entry[0]), 0);
    CHECK_EQUAL(KeInsertQueue(&Queue, &Entry[1]), 1);
    CHECK_EQUAL(KeInsertHeadQueue(&Queue, &Entry[2]), 2);
    CHECK_EQUAL(KeReadStateQueue(&Queue), 3);
    CHECK(KeRemoveQueue(&Queue, KernelMode, NULL) == &Entry[2]);
    CHECK(KeRemoveQueue(&Queue, KernelMode, NULL) == &Entry[0]);
    CHECK(KeRemoveQueue(&Queue, KernelMode, &Zero) == &Entry[1]);
    CHECK(KeRemoveQueue(&Queue, KernelMode, &Zero) == (PLIST_ENTRY)STATUS_TIMEOUT);
    CHECK_EQUAL(KeReadStateQueue(&Queue), 0);
}

static VOID EntriesComeInOrder(VOID)
{
    KeInitializeQueue(&Queue, 1);
    InAThread(TakeInOrder);
    CHECK_EQUAL(Queue.CurrentCount, 0); // nobody serves it any more
}

// ---- servers ------------------------------------------------------------------------------------
typedef struct _WORK {
    LIST_ENTRY Entry;
    KEVENT Begun, Go;
} WORK;

static volatile LONG Ended;

// Serves until the queue is run down. Work is done while "Go" is not set: waiting, so that another
// may run, if it is told so.
static VOID NTAPI Serve(PVOID Spin)
{
    PLIST_ENTRY Entry;

    while ((Entry = KeRemoveQueue(&Queue, KernelMode, NULL)) != (PLIST_ENTRY)STATUS_ABANDONED) {
        WORK *Work = CONTAINING_RECORD(Entry, WORK, Entry);
        KeSetEvent(&Work->Begun, 0, FALSE);
        if (Spin != NULL)
            while (!KeReadStateEvent(&Work->Go))
                KeStallExecutionProcessor(10);
        else
            KeWaitForSingleObject(&Work->Go, Executive, KernelMode, FALSE, NULL);
    }
    InterlockedIncrement(&Ended);
}

static VOID Give(WORK *Work)
{
    KeInitializeEvent(&Work->Begun, NotificationEvent, FALSE);
    KeInitializeEvent(&Work->Go, NotificationEvent, FALSE);
    KeInsertQueue(&Queue, &Work->Entry);
}

static VOID UntilBegun(WORK *Work)
{
    KeWaitForSingleObject(&Work->Begun, Executive, KernelMode, FALSE, NULL);
}

static ULONG Waiters(VOID)
{
    return CrewWaiters(&Queue.Header);
}

static VOID WaitingServersMakeRoom(VOID)
{
    CREW Crew = {.Count = 0};
    WORK Work[3];

    KeInitializeQueue(&Queue, 1);
    Ended = 0;
    for (ULONG i = 0; i < 3; i++)
        CrewAdd(&Crew, Serve, NULL);
    CREW_UNTIL(Waiters() == 3);
    for (ULONG i = 0; i < 3; i++) {
        Give(&Work[i]);
        UntilBegun(&Work[i]); // the one before waits, and does not count
    }
    CHECK_EQUAL(Waiters(), 0);
    for (ULONG i = 0; i < 3; i++)
        KeSetEvent(&Work[i].Go, 0, FALSE);
    CREW_UNTIL(Waiters() == 3);
    CHECK(KeRundownQueue(&Queue) == NULL);
    CrewJoin(&Crew);
    CHECK_EQUAL(Ended, 3);
}

// With one server running and one allowed, an entry stays on the queue; the server takes it itself.
static VOID NoMoreRunThanMay(VOID)
{
    KPRIORITY Old = KeSetPriorityThread(KeGetCurrentThread(), 10); // before servers that spin
    CREW Crew = {.Count = 0};
    WORK Work[2];

    KeInitializeQueue(&Queue, 1);
    Ended = 0;
    CrewAdd(&Crew, Serve, (PVOID)1);
    CrewAdd(&Crew, Serve, (PVOID)1);
    CREW_UNTIL(Waiters() == 2);
    Give(&Work[0]);
    UntilBegun(&Work[0]);
    Give(&Work[1]);
    CrewPause();
    CHECK_EQUAL(KeReadStateEvent(&Work[1].Begun), 0);
    CHECK_EQUAL(KeReadStateQueue(&Queue), 1);
    CHECK_EQUAL(Waiters(), 1);
    KeSetEvent(&Work[0].Go, 0, FALSE);
    UntilBegun(&Work[1]);
    CHECK_EQUAL(KeReadStateQueue(&Queue), 0);
    KeSetEvent(&Work[1].Go, 0, FALSE);
    CREW_UNTIL(Waiters() == 2);
    KeRundownQueue(&Queue);
    CrewJoin(&Crew);
    KeSetPriorityThread(KeGetCurrentThread(), Old);
}

static VOID RunningDownReturnsTheEntries(VOID)
{
    LIST_ENTRY Entry[3];
    PLIST_ENTRY First;

    KeInitializeQueue(&Queue, 1);
    for (ULONG i = 0; i < 3; i++)
        KeInsertQueue(&Queue, &Entry[i]);
    First = KeRundownQueue(&Queue);
    CHECK(First == &Entry[0]);
    CHECK(First->Flink == &Entry[1] && First->Flink->Flink == &Entry[2]);
    CHECK(First->Flink->Flink->Flink == First && First->Blink == &Entry[2]);
    CHECK_EQUAL(KeReadStateQueue(&Queue), 0);
}

// ---- many ---------------------------------------------------------------------------------------
#define ENTRIES 2000u

static LIST_ENTRY Entries[ENTRIES];
static volatile UCHAR Taken[ENTRIES];
static volatile LONG TakenCount;

static VOID NTAPI TakeAll(PVOID Context)
{
    PLIST_ENTRY Entry;

    UNREFERENCED_PARAMETER(Context);
    while ((Entry = KeRemoveQueue(&Queue, KernelMode, NULL)) != (PLIST_ENTRY)STATUS_ABANDONED) {
        Taken[Entry - Entries]++;
        InterlockedIncrement(&TakenCount);
    }
}

static VOID NothingIsLostOrTakenTwice(VOID)
{
    CREW Crew = {.Count = 0};

    KeInitializeQueue(&Queue, 0);
    TakenCount = 0;
    CrewFill(&Crew, TakeAll, NULL);
    for (ULONG i = 0; i < ENTRIES; i++) {
        KeInsertQueue(&Queue, &Entries[i]);
        if (i % 64 == 0)
            CrewYield();
    }
    CREW_UNTIL(TakenCount == ENTRIES && Waiters() == Crew.Count);
    CHECK(KeRundownQueue(&Queue) == NULL);
    CrewJoin(&Crew);
    for (ULONG i = 0; i < ENTRIES; i++)
        CHECK_EQUAL(Taken[i], 1);
}

// Run down while entries come and go: each is taken once, or returned once, and all servers leave.
static volatile LONG Returned, Feeding;

static VOID NTAPI Feed(PVOID Context)
{
    ULONG First = (ULONG)(ULONG_PTR)Context;

    for (ULONG i = First; i < ENTRIES; i += 2) {
        KeInsertQueue(&Queue, &Entries[i]);
        if (i % 16 == First)
            CrewYield();
    }
    InterlockedDecrement(&Feeding);
}

static VOID CountReturned(PLIST_ENTRY First)
{
    PLIST_ENTRY Entry = First;

    if (First == NULL)
        return;
    do {
        Taken[Entry - Entries]++;
        Returned++;
        Entry = Entry->Flink;
    } while (Entry != First);
}

static VOID RunDownUnderLoad(VOID)
{
    CREW Servers = {.Count = 0}, Feeders = {.Count = 0};

    KeInitializeQueue(&Queue, 2);
    memset((PVOID)Taken, 0, sizeof(Taken));
    TakenCount = Returned = 0;
    Feeding = 2;
    CrewFill(&Servers, TakeAll, NULL);
    CrewAdd(&Feeders, Feed, (PVOID)0);
    CrewAdd(&Feeders, Feed, (PVOID)1);
    while (Feeding != 0) {
        CountReturned(KeRundownQueue(&Queue));
        CrewPause();
    }
    CrewJoin(&Feeders);
    // A server that was running when the queue was run down serves it again: until none waits.
    while (Servers.Count != 0) {
        LARGE_INTEGER Zero = {.QuadPart = 0};
        CountReturned(KeRundownQueue(&Queue));
        if (KeWaitForSingleObject(Servers.Thread[Servers.Count - 1], Executive, KernelMode, FALSE,
                                  &Zero) == STATUS_SUCCESS)
            ObDereferenceObject(Servers.Thread[--Servers.Count]);
        else
            CrewPause();
    }
    CountReturned(KeRundownQueue(&Queue));
    CHECK_EQUAL(TakenCount + Returned, ENTRIES);
    for (ULONG i = 0; i < ENTRIES; i++)
        CHECK_EQUAL(Taken[i], 1);
    CHECK_EQUAL(Waiters(), 0);
}

// A queue that was run down while a thread served it can be used again: that one does not count.
static VOID NTAPI ServeAndRunDown(PVOID Context)
{
    LIST_ENTRY Entry;

    UNREFERENCED_PARAMETER(Context);
    KeInsertQueue(&Queue, &Entry);
    CHECK(KeRemoveQueue(&Queue, KernelMode, &Zero) == &Entry);
    CHECK_EQUAL(Queue.CurrentCount, 1);
    CHECK(KeRundownQueue(&Queue) == NULL);
    CHECK_EQUAL(Queue.CurrentCount, 0);
    KeInsertQueue(&Queue, &Entry);
    CHECK(KeRemoveQueue(&Queue, KernelMode, &Zero) == &Entry);
    KeRundownQueue(&Queue);
}

static VOID RunDownItServesAgain(VOID)
{
    KeInitializeQueue(&Queue, 1);
    InAThread(ServeAndRunDown);
}

static const GUEST_CASE Cases[] = {
    {"entries come in order, from the head first", EntriesComeInOrder},
    {"a server that waits makes room for another", WaitingServersMakeRoom},
    {"no more servers run than may", NoMoreRunThanMay},
    {"running down returns the entries", RunningDownReturnsTheEntries},
    {"2000 entries: none lost, none taken twice", NothingIsLostOrTakenTwice},
    {"run down under load it loses nothing", RunDownUnderLoad},
    {"run down while it is served, it can be used again", RunDownItServesAgain},
};
GUEST_DRIVER(Cases)
