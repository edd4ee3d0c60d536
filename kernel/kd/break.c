// SPDX-License-Identifier: MIT
// What drivers ask of a debugger: whether there is one, and to stop in it.
#include "kdp.h"

BOOLEAN KdDebuggerEnabled;              // TRUE when a debugger may attach; none is built in yet
BOOLEAN KdDebuggerNotPresent = TRUE;
EXPORT_VARIABLE(KdDebuggerEnabled, "WDK ntddk.h KdDebuggerEnabled");
EXPORT_VARIABLE(KdDebuggerNotPresent, "WDK ntddk.h KdDebuggerNotPresent");

// DbgBreakPoint: raises STATUS_BREAKPOINT at the caller; without a debugger or a handler that is
// KMODE_EXCEPTION_NOT_HANDLED.
// IRQL: any. Source: WDK wdm.h, DbgBreakPoint.
VOID NTAPI DbgBreakPoint(VOID);
VOID NTAPI DbgBreakPoint(VOID)
{
    __asm__ volatile("int3");
}
EXPORT(DbgBreakPoint, EXPORT_ANY_IRQL, "WDK wdm.h DbgBreakPoint");

// DbgBreakPointWithStatus: the same; Status is left in the first argument register for the debugger.
// IRQL: any. Source: WDK wdm.h, DbgBreakPointWithStatus.
VOID NTAPI DbgBreakPointWithStatus(ULONG Status);
VOID NTAPI DbgBreakPointWithStatus(ULONG Status)
{
    __asm__ volatile("int3" ::"c"(Status));
}
EXPORT(DbgBreakPointWithStatus, EXPORT_ANY_IRQL, "WDK wdm.h DbgBreakPointWithStatus");

// KdRefreshDebuggerNotPresent: whether no debugger answers now.
// IRQL: any. Source: WDK ntddk.h, KdRefreshDebuggerNotPresent.
BOOLEAN NTAPI KdRefreshDebuggerNotPresent(VOID);
BOOLEAN NTAPI KdRefreshDebuggerNotPresent(VOID)
{
    return KdDebuggerNotPresent;
}
EXPORT(KdRefreshDebuggerNotPresent, EXPORT_ANY_IRQL, "WDK ntddk.h KdRefreshDebuggerNotPresent");
