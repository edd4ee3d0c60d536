// SPDX-License-Identifier: MIT
// A bugcheck stops every processor, whatever its IRQL and with interrupts off, and says where it
// was. The clock may tick on processors 1 and 2 just then; nothing interrupts processor 3.
// Options: --smp 4
// Says: Processor 1, IRQL
// Says: Processor 2, IRQL
// Says: (HIGH_LEVEL):
// Says: #0  stopped_everywhere.sys+
#include "broken.h"

static volatile LONG Ready;

static VOID NTAPI SpinForEver(PVOID Context)
{
    ULONG Number = (ULONG)(ULONG_PTR)Context;
    KIRQL OldIrql;

    KeSetSystemAffinityThread((KAFFINITY)1 << Number);
    if (Number == 2)
        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    if (Number == 3) {
        KeRaiseIrql(HIGH_LEVEL, &OldIrql);
        __asm__ volatile("cli");
    }
    InterlockedIncrement(&Ready);
    for (;;)
        YieldProcessor();
}

BREAK
{
    HANDLE Handle;

    KeSetSystemAffinityThread(1);
    for (ULONG_PTR i = 1; i < 4; i++)
        if (NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL,
                                            SpinForEver, (PVOID)i)))
            ZwClose(Handle);
    while (Ready < 3)
        YieldProcessor();
    Expect(0xE2, 1, 2, 3, 4);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, 1, 2, 3, 4);
}
