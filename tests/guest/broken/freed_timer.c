// SPDX-License-Identifier: MIT
// PL-115: freeing pool memory that holds a timer that is set
// Options: --checked
#include "broken.h"

BREAK
{
    PKTIMER Timer = ExAllocatePoolWithTag(NonPagedPool, sizeof(*Timer), 'korB');
    LARGE_INTEGER Due = {.QuadPart = -600000000};

    KeInitializeTimer(Timer);
    KeSetTimer(Timer, Due, NULL);
    Expect(0xC7, 0, (ULONG_PTR)Timer, ANYTHING, ANYTHING);
    ExFreePoolWithTag(Timer, 'korB');
    return STATUS_SUCCESS;
}
