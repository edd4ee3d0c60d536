// SPDX-License-Identifier: MIT
// A processor at HIGH_LEVEL without end, while another calls all of them together
// Options: --smp 2 --options "/CLOCKWATCHDOG=2"
// Says: Processor 1 has not answered
// Says: Processor 1, IRQL
#include "broken.h"

static KEVENT Deaf;

static ULONG_PTR NTAPI Nothing(ULONG_PTR Argument)
{
    return Argument;
}

static VOID NTAPI Listen(PVOID Context)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Context);
    KeSetSystemAffinityThread((KAFFINITY)2);
    KeSetEvent(&Deaf, 0, FALSE);
    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    for (;;)
        YieldProcessor();
}

BREAK
{
    HANDLE Thread;

    KeInitializeEvent(&Deaf, NotificationEvent, FALSE);
    KeSetSystemAffinityThread((KAFFINITY)1);
    PsCreateSystemThread(&Thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, Listen, NULL);
    KeWaitForSingleObject(&Deaf, Executive, KernelMode, FALSE, NULL);
    Expect(0x101, 128, 0, ANYTHING, 1);
    for (;;)
        KeIpiGenericCall(Nothing, 0);
    return STATUS_SUCCESS;
}
