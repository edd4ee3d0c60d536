// SPDX-License-Identifier: MIT
// IR-48: waiting in a DPC
#include "broken.h"

static KEVENT Event;

static VOID NTAPI Wait(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
}

BREAK
{
    static KDPC Dpc;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KeInitializeDpc(&Dpc, Wait, NULL);
    Expect(0xB8, ANYTHING, 0, 0, 0);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    return STATUS_SUCCESS;
}
