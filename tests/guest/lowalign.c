// SPDX-License-Identifier: MIT
// An image whose sections are aligned to 0x80 bytes, as the XP kit's linker options have it: code,
// constants, data and what is discarded after the start share pages. tools/drivers.mk links it so.
#include "guest.h"

static volatile ULONG Data = 1, Zeroed;
static const ULONG Constants[3] = {5, 6, 7};
static ULONG (*volatile Indirect)(ULONG Value);

static ULONG Twice(ULONG Value)
{
    return 2 * Value;
}

static VOID SectionsShareAPage(VOID)
{
    CHECK((ULONG_PTR)&Data / PAGE_SIZE == (ULONG_PTR)Twice / PAGE_SIZE);
}

static VOID CodeRunsAndDataIsWritten(VOID)
{
    Indirect = Twice;
    CHECK_EQUAL(Indirect(21), 42);
    CHECK_EQUAL(Zeroed, 0);
    Data += Constants[2];
    Zeroed = Data;
    CHECK_EQUAL(Zeroed, 8);
}

static const GUEST_CASE Cases[] = {
    {"sections lie closer together than a page", SectionsShareAPage},
    {"code runs and data is written where they share one", CodeRunsAndDataIsWritten},
};
GUEST_DRIVER(Cases)
