// SPDX-License-Identifier: MIT
// BC-88, LA-50: a list whose links do not agree.
#include "broken.h"

BREAK
{
    static KSPIN_LOCK Lock;
    LIST_ENTRY Head, First, Second;

    KeInitializeSpinLock(&Lock);
    InitializeListHead(&Head);
    ExInterlockedInsertTailList(&Head, &First, &Lock);
    ExInterlockedInsertTailList(&Head, &Second, &Lock);
    Second.Blink = &Second;
    Expect(0x139, 3, 0, 0, 0);
    ExInterlockedRemoveHeadList(&Head, &Lock);
    return STATUS_SUCCESS;
}
