// SPDX-License-Identifier: MIT
// i386: the fast mutex routines as drivers built to stand in for a HAL import them from ntoskrnl.
#include "../exp.h"

EXPORT_AS(ExiAcquireFastMutex, ExAcquireFastMutex, APC_LEVEL, 0, "WDK wdm.h ExAcquireFastMutex");
EXPORT_AS(ExiTryToAcquireFastMutex, ExTryToAcquireFastMutex, APC_LEVEL, 0,
          "WDK wdm.h ExTryToAcquireFastMutex");
EXPORT_AS(ExiReleaseFastMutex, ExReleaseFastMutex, APC_LEVEL, 0, "WDK wdm.h ExReleaseFastMutex");
