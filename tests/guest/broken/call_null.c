// SPDX-License-Identifier: MIT
// BC-10: a call through a pointer that was never set: who called is told, though no code ran.
// Says: sent the processor to 0x0 at PASSIVE_LEVEL. A pointer to a function was not set
// Says: *** driver: call_null.sys+0x
#include "broken.h"

static VOID (*volatile Routine)(VOID);

BREAK
{
    Expect(0x1E, (ULONG_PTR)(LONG)STATUS_ACCESS_VIOLATION, 0, 8, 0);
    Routine();
    return STATUS_SUCCESS;
}
