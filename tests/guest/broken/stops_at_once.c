// SPDX-License-Identifier: MIT
// All processors stop the system in the same moment: one reports, and the others are seen to be
// stopped where they tried.
// Options: --smp 4
// Says: (IPI_LEVEL):
#include "broken.h"

static ULONG_PTR NTAPI StopHere(ULONG_PTR Argument)
{
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, Argument, 0, 0, 0);
}

BREAK
{
    Expect(0xE2, 7, 0, 0, 0);
    KeIpiGenericCall(StopHere, 7);
    return STATUS_SUCCESS;
}
