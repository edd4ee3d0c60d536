// SPDX-License-Identifier: MIT
// A processor with interrupts off without end, while another waits for it to forget a mapping
// Options: --smp 2 --options "/CLOCKWATCHDOG=2"
// Says: Processor 1 has not answered
#include "broken.h"

static KEVENT Deaf;

static VOID NTAPI Listen(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KeSetSystemAffinityThread((KAFFINITY)2);
    KeSetEvent(&Deaf, 0, FALSE);
    __asm__ volatile("cli");
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
        MmFreeNonCachedMemory(MmAllocateNonCachedMemory(PAGE_SIZE), PAGE_SIZE);
    return STATUS_SUCCESS;
}
