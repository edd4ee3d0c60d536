// SPDX-License-Identifier: MIT
// A driver leaves a timer behind whose DPC sets it again. It is taken off, and expires no more.
// Status: 4
// Options: --smp 2
// Says: is still set, timer_left.sys
// Says: SetAgain
// Says: timer_left.sys left 1 active timer
#include "broken.h"

static KTIMER Timer;
static KDPC Dpc;

static VOID SetSoon(VOID)
{
    LARGE_INTEGER Soon = {.QuadPart = -10000};

    KeSetTimer(&Timer, Soon, &Dpc);
}

static VOID NTAPI SetAgain(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    SetSoon();
}

BREAK
{
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, SetAgain, NULL);
    SetSoon();
    return STATUS_SUCCESS;
}
