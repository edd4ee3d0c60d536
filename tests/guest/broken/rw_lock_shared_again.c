// SPDX-License-Identifier: MIT
// IR-71: a second share of a reader-writer spin lock, behind another that waits for the first to go
// Options: --smp 2
// Says: processor 0 waits for 0x
// Says: shares that stay: they are its own, or those of processors that wait
#include "rw_lock.h"

static volatile LONG Shared;

static VOID NTAPI TakeAll(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeSetSystemAffinityThread((KAFFINITY)2);
    while (!Shared)
        YieldProcessor();
    ExReleaseSpinLockExclusive(&Lock, ExAcquireSpinLockExclusive(&Lock));
}

BREAK
{
    HANDLE Thread;

    KeSetSystemAffinityThread((KAFFINITY)1);
    PsCreateSystemThread(&Thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, TakeAll, NULL);
    ExAcquireSpinLockShared(&Lock);
    Expect(0x0F, (ULONG_PTR)&Lock, 0x81000001u, 0, IN_DRIVER);
    Shared = TRUE;
    while (Lock == 1)
        YieldProcessor();
    ExAcquireSpinLockShared(&Lock);
    return STATUS_SUCCESS;
}
