// SPDX-License-Identifier: MIT
// The names under which i386 drivers import SLISTs (slist.S). Their headers initialise lists and
// read depths inline.
#include "ex.h"

#define SOURCE "WDK, wdm.h"

EXPORT(InterlockedPushEntrySList, EXPORT_ANY_IRQL, SOURCE ": InterlockedPushEntrySList");
EXPORT(InterlockedPopEntrySList, EXPORT_ANY_IRQL, SOURCE ": InterlockedPopEntrySList");
EXPORT(ExInterlockedPushEntrySList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedPushEntrySList");
EXPORT(ExInterlockedPopEntrySList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedPopEntrySList");
EXPORT(ExInterlockedFlushSList, EXPORT_ANY_IRQL, SOURCE ": ExInterlockedFlushSList");
