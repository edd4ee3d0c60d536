// SPDX-License-Identifier: MIT
// Pool on several processors: a thread on each allocates, and whoever comes next to the same place
// checks and frees.
#include "guest.h"

#define NX      ((POOL_TYPE)512)
#define TAG     'pmSP'
#define PLACES  256
#define TURNS   5000
#define MOST    32

typedef struct _LOAD { SIZE_T Size; ULONG Value; UCHAR Rest[1]; } LOAD;

static LOAD *Places[PLACES];
static LONG Wrong, Failed;

static VOID Check(LOAD *Load)
{
    for (SIZE_T i = 0; i < Load->Size; i++)
        if (Load->Rest[i] != (UCHAR)Load->Value) {
            InterlockedIncrement(&Wrong);
            break;
        }
    ExFreePoolWithTag(Load, TAG);
}

static LOAD *Make(POOL_TYPE Type, ULONG Random)
{
    SIZE_T Size = 1 + (Random >> 8) % ((Random & 31) == 0 ? 9000 : 500);
    LOAD *Load = ExAllocatePoolWithTag(Type, sizeof(LOAD) + Size, TAG);

    if (Load == NULL) {
        InterlockedIncrement(&Failed);
        return NULL;
    }
    Load->Size = Size;
    Load->Value = Random;
    RtlFillMemory(Load->Rest, Size, (UCHAR)Random);
    return Load;
}

static VOID NTAPI Work(PVOID Context)
{
    static const POOL_TYPE Types[] = {NonPagedPool, PagedPool, NX};
    ULONG Number = (ULONG)(ULONG_PTR)Context, Random = Number + 1;

    KeSetSystemAffinityThread((KAFFINITY)1 << Number);
    for (ULONG i = 0; i < TURNS; i++) {
        Random = Random * 1664525u + 1013904223u;
        LOAD *Load = Make(Types[i % 3], Random >> 3);
        Load = InterlockedExchangePointer((PVOID *)&Places[(Random >> 20) % PLACES], Load);
        if (Load != NULL)
            Check(Load);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID BlocksTravelBetweenProcessors(VOID)
{
    PVOID Threads[MOST];
    ULONG Count = 0;
    HANDLE Handle;

    for (; Count < (ULONG)KeNumberProcessors && Count < MOST; Count++) {
        NTSTATUS Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Work,
                                               (PVOID)(ULONG_PTR)Count);
        CHECK_EQUAL(Status, STATUS_SUCCESS);
        ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Threads[Count],
                                  NULL);
        ZwClose(Handle);
    }
    for (ULONG i = 0; i < Count; i++) {
        KeWaitForSingleObject(Threads[i], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Threads[i]);
    }
    for (ULONG i = 0; i < PLACES; i++)
        if (Places[i] != NULL)
            Check(Places[i]);
    CHECK_EQUAL(Wrong, 0);
    CHECK_EQUAL(Failed, 0);
}

static const GUEST_CASE Cases[] = {
    {"a block may be freed on another processor", BlocksTravelBetweenProcessors},
};
GUEST_DRIVER(Cases)
