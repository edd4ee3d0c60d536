// SPDX-License-Identifier: MIT
// BC-197: releasing rundown protection that was not acquired
#include "broken.h"

BREAK
{
    static EX_RUNDOWN_REF Ref;

    ExInitializeRundownProtection(&Ref);
    Expect(0xC4, 0x1007, (ULONG_PTR)&Ref, 0, 0);
    ExReleaseRundownProtection(&Ref);
    return STATUS_SUCCESS;
}
