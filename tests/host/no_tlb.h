// SPDX-License-Identifier: MIT
// What the pool asks of mm for the sake of TLBs and page tables, where there are none of its own:
// tests/host/fake_mm.c and bench/host/hostkernel.c include it once each.
#pragma once

#include "mm.h"

// There is no TLB to flush: what is put off is done at once.
VOID MmFlushLater(MM_FLUSH *Flush, PVOID Base, SIZE_T Pages)
{
    Flush->Count = 1;
}

VOID MmDecommitLater(MM_FLUSH *Flush, PVOID Base, SIZE_T Pages)
{
    MmDecommitSystemRange(Base, Pages);
}

VOID MmFinishFlush(MM_FLUSH *Flush)
{
    MmBeginFlush(Flush);
}

VOID MmRefreshSystemPage(const VOID *Base)
{
}

VOID MmTrimProcessor(BOOLEAN All)
{
}

VOID MmTrimPoolTables(BOOLEAN All)
{
}
