// SPDX-License-Identifier: MIT
// Processor 1 hears nothing any more, for drivers that break the rule that it always answers.
#pragma once

#include "broken.h"

typedef VOID NTAPI DEAFEN(VOID);

static KEVENT Deaf;

static VOID NTAPI HearNothing(PVOID Deafen)
{
    KeSetSystemAffinityThread((KAFFINITY)2);
    KeSetEvent(&Deaf, 0, FALSE);
    ((DEAFEN *)Deafen)();
    for (;;)
        YieldProcessor();
}

// Returns, on processor 0, when processor 1 is about to call Deafen; announces the stop.
static VOID MakeProcessorDeaf(DEAFEN *Deafen)
{
    HANDLE Thread;

    KeInitializeEvent(&Deaf, NotificationEvent, FALSE);
    KeSetSystemAffinityThread((KAFFINITY)1);
    PsCreateSystemThread(&Thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, HearNothing,
                         (PVOID)(ULONG_PTR)Deafen);
    KeWaitForSingleObject(&Deaf, Executive, KernelMode, FALSE, NULL);
    Expect(0x101, 128, 0, ANYTHING, 1);
}
